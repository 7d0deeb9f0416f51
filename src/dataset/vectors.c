/* The language-model vectors: /items/embedding, n_items x D of float16 or float32, read as float32,
 * and /items/embedding_present, n_items flags, 0 where an item has no vector (its row is zero).
 */
#include "internal.h"

#include <inttypes.h>
#include <math.h>

/* Number of the first item, over all ranks, whose vector has a NaN or an infinity; n_items if none.
 * Collective. */
static int64_t first_not_finite(const cf_dataset *dataset, int64_t first, int64_t count,
                                const float *rows)
{
    const int64_t dim = dataset->embedding_dim;
    int64_t bad = dataset->n_items;

    for (int64_t k = 0; k < count && bad == dataset->n_items; k++)
        for (int64_t j = 0; j < dim; j++)
            if (!isfinite(rows[k * dim + j])) bad = first + k;
    /* the minimum: the same item is reported on any number of ranks */
    MPI_Allreduce(MPI_IN_PLACE, &bad, 1, MPI_INT64_T, MPI_MIN, dataset->world->comm);
    return bad;
}

/* Rows as `type`, and flags: verification wants every element read once. Collective. */
static cf_status read_rows(const cf_dataset *dataset, cf_type type, const int64_t range[2],
                           void *out, uint8_t *present)
{
    const cf_slab slab = {range[0], range[1], 0, dataset->embedding_dim, dataset->embedding_dim};
    cf_status status;

    CF_TRY(cf_store_read(dataset->store, "/items/embedding", type, &slab, out));
    CF_TRY(dataset_read_part(dataset->store, "/items/embedding_present", CF_U8, range[0], range[1],
                             present));
done:
    return status;
}

cf_status cf_dataset_read_vectors(const cf_dataset *dataset, int64_t first, int64_t count,
                                  void *out, uint8_t *present)
{
    CF_ASSERT(dataset->embedding_dim > 0);
    return read_rows(dataset, dataset->embedding_type, (int64_t[]){first, count}, out, present);
}

/* The flags are read even if the caller needs none: verification wants every element read once. */
cf_status cf_dataset_read_embedding(const cf_dataset *dataset, int64_t first, int64_t count,
                                    float *out, uint8_t *present)
{
    uint8_t *flags = NULL;
    int64_t bad;
    cf_status status = CF_OK;

    if (dataset->embedding_dim == 0)
        return CF_FAIL(CF_ERR_FORMAT, "%s: has no language-model vectors",
                       cf_dataset_path(dataset));
    CF_TRY(cf_par_agree(dataset->world, CF_ALLOC(flags, count)));
    CF_TRY(read_rows(dataset, CF_F32, (int64_t[]){first, count}, out,
                     present != NULL ? present : flags));
    bad = first_not_finite(dataset, first, count, out);
    if (bad < dataset->n_items) {
        char name[256];

        cf_dataset_describe(dataset, CF_ITEM_IDS, bad, name, sizeof name);
        status = CF_FAIL(CF_ERR_FORMAT, "%s: /items/embedding: the vector of %s is not finite",
                         cf_dataset_path(dataset), name);
    }
done:
    cf_free(&flags);
    return status;
}

/* The two arrays are always read together. */
cf_status cf_dataset_verify_embedding(const cf_dataset *dataset)
{
    cf_status status = cf_store_verify(dataset->store, "/items/embedding");

    if (status != CF_OK) return status;
    return cf_store_verify(dataset->store, "/items/embedding_present");
}

/* Number of the first item without a vector, n_items if all have one. Each rank looks through its
 * even part; the flags are verified, and can be read once more. Collective. */
static cf_status find_first_missing(const cf_dataset *dataset, int64_t *out)
{
    const cf_par *world = dataset->world;
    const int64_t first = cf_par_even_start(dataset->n_items, world->size, world->rank);
    const int64_t count = cf_par_even_start(dataset->n_items, world->size, world->rank + 1) - first;
    int64_t missing = 0;
    uint8_t *present = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(present, count)));
    CF_TRY(dataset_read_part(dataset->store, "/items/embedding_present", CF_U8, first, count,
                             present));
    CF_TRY(cf_store_verify(dataset->store, "/items/embedding_present"));
    while (missing < count && present[missing] != 0)
        missing++;
    missing = missing < count ? first + missing : dataset->n_items;
    MPI_Allreduce(MPI_IN_PLACE, &missing, 1, MPI_INT64_T, MPI_MIN, world->comm);
    *out = missing;
done:
    cf_free(&present);
    return status;
}

/* n_missing is an attribute of the file, so all ranks go the same way. */
cf_status cf_dataset_refuse_missing(const cf_dataset *dataset, const char *accepted)
{
    int64_t missing;
    char item[256];
    cf_status status = CF_OK;

    if (dataset->n_missing == 0) return CF_OK;
    CF_TRY(find_first_missing(dataset, &missing));
    CF_REQUIRE(missing < dataset->n_items, CF_ERR_FORMAT,
               "%s: n_missing is %" PRId64 ", but every item has a vector",
               cf_dataset_path(dataset), dataset->n_missing);
    cf_dataset_describe(dataset, CF_ITEM_IDS, missing, item, sizeof item);
    status =
        CF_FAIL(CF_ERR_FORMAT,
                "%s: %" PRId64 " of %" PRId64
                " items have no vector, the first is %s; set missing_embedding to %s",
                cf_dataset_path(dataset), dataset->n_missing, dataset->n_items, item, accepted);
done:
    return status;
}
