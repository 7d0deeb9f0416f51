/* The vectors of an appended dataset: old ones as they are in the file, new ones converted to their
 * type.
 *
 * All ranks first read the old vectors once together, an even part each, to compare the checksums.
 * While the dataset is written, each rank then reads those of its own items from a handle of its
 * own. Both go by blocks. */
#include "append.h"

#include <inttypes.h>
#include <string.h>

enum { BLOCK_BYTES = 8 << 20 }; /* of float32 vectors in memory at once */

/* ---- Old vectors ----------------------------------------------------------------------------- */

/* Compare the checksums, and count my items without a vector. Collective. */
static cf_status verify_old(const cf_dataset *dataset, const cf_shard *shard, int64_t *n_missing)
{
    const cf_par *world = dataset->world;
    const int64_t rows = cf_max(BLOCK_BYTES / (dataset->embedding_dim * 4), 1);
    int64_t most = shard->n_items;
    float *vectors = NULL;
    uint8_t *present = NULL;
    cf_status status = CF_ALLOC(vectors, rows * dataset->embedding_dim);

    if (status == CF_OK) status = CF_ALLOC(present, rows);
    CF_TRY(cf_par_agree(world, status));
    MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT64_T, MPI_MAX, world->comm);
    for (int64_t at = 0; at < most; at += rows) {
        const int64_t first = cf_min(at, shard->n_items);
        const int64_t count = cf_min(shard->n_items - first, rows);

        CF_TRY(
            cf_dataset_read_embedding(dataset, shard->first_item + first, count, vectors, present));
        for (int64_t k = 0; k < count; k++)
            *n_missing += !present[k];
    }
    CF_TRY(cf_dataset_verify_embedding(dataset));
done:
    cf_free(&vectors);
    cf_free(&present);
    return status;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Find the vectors of the new items, if they have any. Local, on the rank that has the news. */
static cf_status find_new(append_news *news, append_vectors *out)
{
    const cf_ingest_options kept = {0}; /* items without a vector are kept */
    const ingest_items *rows = news->ids.path != NULL ? &news->ids : &news->items;
    cf_status status = CF_OK;

    out->n_new_missing = news->new_ids.count;
    if (news->has_vectors) {
        news->vectors.item_ids = &news->new_ids;
        CF_TRY(ingest_find_rows(&out->self, &kept, rows, &news->vectors));
        out->n_new_missing = news->vectors.n_missing;
        out->news = &news->vectors;
    }
    out->n_missing += out->n_new_missing;
done:
    return status;
}

/* Numbers that float16 has not are rounded. */
static void log_rounding(const cf_dataset *dataset, const append_news *news)
{
    if (news->has_vectors && dataset->embedding_type == CF_F16 && news->vectors.type == CF_F32)
        cf_log("%s: the vectors are rounded to float16, as those of %s are stored",
               news->vectors.name, cf_dataset_path(dataset));
}

cf_status append_open_vectors(const cf_dataset *dataset, const cf_shard *shard, append_news *news,
                              append_vectors *out)
{
    cf_status status = CF_OK;

    *out = (append_vectors){
        .self = {MPI_COMM_SELF, 0, 1}, .first_item = shard->first_item, .n_old = shard->n_items};
    if (dataset->embedding_dim == 0) goto done;
    CF_TRY(verify_old(dataset, shard, &out->n_missing));
    status = cf_dataset_open(&out->self, cf_dataset_path(dataset), &out->dataset);
    if (status == CF_OK) status = find_new(news, out);
    CF_TRY(cf_par_agree_on_input(dataset->world, status));
    log_rounding(dataset, news);
done:
    return status;
}

void append_close_vectors(append_vectors *vectors)
{
    cf_dataset_close(&vectors->dataset);
    cf_free(&vectors->rows);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Refuse what float16 is too small for. */
static cf_status check_halves(const append_vectors *in, int64_t first, int64_t count,
                              const uint16_t *rows)
{
    const int64_t dim = in->dataset->embedding_dim;

    for (int64_t e = 0; e < count * dim; e++)
        if ((rows[e] & 0x7c00) == 0x7c00) /* exponent */
            return CF_FAIL(CF_ERR_NUMERIC,
                           "%s: item \"%.100s\", column %" PRId64
                           ": too large for float16, as which vectors of the dataset are stored",
                           in->news->name, ingest_vector_id(in->news, first + e / dim), e % dim);
    return CF_OK;
}

/* The vectors of new items first .. first + count - 1, in the type of the dataset. */
static cf_status read_new(append_vectors *in, int64_t first, int64_t count, void *rows,
                          uint8_t *present)
{
    const cf_type type = in->dataset->embedding_type;
    const int64_t n = count * in->dataset->embedding_dim;
    cf_status status = CF_OK;

    if (in->news == NULL) {
        memset(rows, 0, (size_t)n * cf_store_type_size(type));
        memset(present, 0, (size_t)count);
        return CF_OK;
    }
    if (in->news->type == type) return ingest_read_vectors(in->news, first, count, rows, present);
    CF_TRY(CF_GROW(in->rows, in->capacity, n * (int64_t)cf_store_type_size(in->news->type)));
    CF_TRY(ingest_read_vectors(in->news, first, count, in->rows, present));
    if (type == CF_F32) {
        cf_store_f16_to_f32((const uint16_t *)(void *)in->rows, rows, n);
    } else {
        cf_store_f32_to_f16((const float *)(void *)in->rows, rows, n);
        CF_TRY(check_halves(in, first, count, rows));
    }
done:
    return status;
}

cf_status append_read_vectors(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present)
{
    append_vectors *in = context;
    const int64_t row_bytes =
        in->dataset->embedding_dim * (int64_t)cf_store_type_size(in->dataset->embedding_type);
    const int64_t n_old = cf_max(cf_min(in->n_old - first, count), 0);
    cf_status status = CF_OK;

    if (n_old > 0)
        CF_TRY(cf_dataset_read_vectors(in->dataset, in->first_item + first, n_old, rows, present));
    if (count > n_old)
        CF_TRY(read_new(in, first + n_old - in->n_old, count - n_old,
                        (char *)rows + n_old * row_bytes, present + n_old));
done:
    return status;
}
