/* Language-model vectors: which row of the source belongs to which item, and reading them in blocks
 * while the dataset is written.
 *
 * The source is n_rows x dim in float16, float32 or float64, or a column of text. It is written as
 * float16 if every number is exactly representable, else as float32. Row k belongs to line k of an
 * item file or id file; in LightGCN's format, to item k, as if an id file had these. Consecutive
 * items of consecutive rows are read by one call. */
#include "vectors.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- Which row ------------------------------------------------------------------------------- */

int64_t ingest_find_vector(const ingest_vectors *in, const ingest_items *rows, const char *id)
{
    const int64_t line = ingest_find_id(&rows->ids, id, (int64_t)strlen(id));

    return line >= 0 && in->column != NULL && in->column->embedding[line].length == 0 ? -1 : line;
}

/* Count missing and unused vectors too, and refuse missing ones unless the options keep them. */
cf_status ingest_find_rows(const cf_par *world, const cf_ingest_options *options,
                           const ingest_items *rows, ingest_vectors *in)
{
    const int64_t count = in->item_ids->count;
    int64_t first_missing = -1, before, n_items, n_missing, n_empty = 0;
    cf_status status = CF_ALLOC(in->row, count);

    if (status == CF_OK && in->column != NULL) status = CF_ALLOC(in->span, count);
    CF_TRY(cf_par_agree(world, status));
    for (int64_t k = 0; k < count; k++) {
        const int64_t line = ingest_find_vector(in, rows, ingest_vector_id(in, k));

        in->row[k] = line >= 0 ? rows->row[line] : -1;
        if (in->span != NULL && line >= 0) in->span[k] = in->column->embedding[line];
        if (in->row[k] < 0 && in->n_missing++ == 0) first_missing = k;
    }
    for (int64_t k = 0; in->column != NULL && k < in->column->ids.count; k++)
        n_empty += in->column->embedding[k].length == 0;
    cf_par_exscan(world, count, &before, &n_items);
    cf_par_exscan(world, in->n_missing, &before, &n_missing);
    cf_par_exscan(world, n_empty, &before, &n_empty);
    in->n_unused = in->matrix.n_rows - n_empty - (n_items - n_missing);
    if (in->n_missing > 0 && options->missing_is_error)
        status =
            CF_FAIL(CF_ERR_FORMAT,
                    "%s: %" PRId64 " of %" PRId64 " items have no vector, the first is item "
                    "\"%.100s\": set missing_embedding to zero, mean or random to keep them, or to "
                    "drop",
                    in->name, n_missing, n_items, ingest_vector_id(in, first_missing));
    CF_TRY(cf_par_agree_on_input(world, status));
done:
    return status;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Local: tell whether the float32 numbers of rows range[0] .. range[1] - 1 are all exactly float16:
 * converted there and back, they have the same bits. */
static cf_status are_halves(const ingest_vectors *in, const int64_t range[2], bool *out)
{
    const int64_t dim = in->matrix.dim, block = cf_max(1, (1 << 18) / dim);
    float *rows = NULL, *back = NULL;
    uint16_t *halves = NULL;
    bool equal = true;
    cf_status status;

    CF_TRY(CF_ALLOC(rows, block * dim));
    CF_TRY(CF_ALLOC(back, block * dim));
    CF_TRY(CF_ALLOC(halves, block * dim));
    for (int64_t first = range[0], n; equal && first < range[1]; first += n) {
        n = cf_min(range[1] - first, block);
        CF_TRY(ingest_read_matrix(&in->matrix, first, n, rows));
        cf_store_f32_to_f16(rows, halves, n * dim);
        cf_store_f16_to_f32(halves, back, n * dim);
        equal = memcmp(rows, back, (size_t)(n * dim) * 4) == 0;
    }
    *out = equal;
done:
    cf_free(&rows);
    cf_free(&back);
    cf_free(&halves);
    return status;
}

/* Choose the type to write. float32 numbers that are all exactly float16 are written as float16: it
 * loses nothing and halves the file. Each rank checks an even part of the rows. */
static cf_status choose_type(const cf_par *world, ingest_vectors *in)
{
    const int64_t n = in->matrix.n_rows;
    const int64_t mine[2] = {cf_par_even_start(n, world->size, world->rank),
                             cf_par_even_start(n, world->size, world->rank + 1)};
    bool halves = true;
    int all;
    cf_status status = CF_OK;

    in->type = in->matrix.type == CF_F16 ? CF_F16 : CF_F32;
    if (in->matrix.type != CF_F32) goto done;
    CF_TRY(cf_par_agree_on_input(world, are_halves(in, mine, &halves)));
    all = halves;
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, world->comm);
    if (all) in->type = CF_F16;
done:
    return status;
}

/* Open a matrix, which must have a row for each line of the file that names its rows. */
static cf_status open_matrix(const cf_par *world, const char *source, const ingest_items *rows,
                             ingest_vectors *in)
{
    cf_status status = ingest_open_matrix(source, &in->matrix);

    in->name = in->matrix.name;
    if (status == CF_OK && rows != NULL && rows->n_rows != in->matrix.n_rows)
        status = CF_FAIL(CF_ERR_FORMAT, "%s: %" PRId64 " rows, but %s has %" PRId64 " items",
                         in->name, in->matrix.n_rows, rows->path, rows->n_rows);
    CF_TRY(cf_par_agree_on_input(world, status));
    CF_TRY(choose_type(world, in));
done:
    return status;
}

/* Dimensions and type come first: they say what a row is. */
cf_status ingest_open_vectors(const cf_par *world, const cf_ingest_options *options,
                              const char *embedding, const ingest_items *rows, ingest_vectors *out)
{
    cf_status status;

    if (embedding != NULL)
        CF_TRY(open_matrix(world, embedding, rows, out));
    else
        CF_TRY(ingest_open_column(world, options, rows, out));
done:
    return status;
}

void ingest_close_vectors(ingest_vectors *vectors)
{
    ingest_close_matrix(&vectors->matrix);
    cf_free(&vectors->row);
    cf_free(&vectors->span);
    cf_free(&vectors->raw);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Refuse NaN and infinity in `count` rows as they will be written: also a float64 number that is
 * too large for float32. */
static cf_status check_finite(const ingest_vectors *in, int64_t item, int64_t count,
                              const void *rows)
{
    const int64_t dim = in->matrix.dim;

    for (int64_t e = 0; e < count * dim; e++) {
        const bool finite = in->type == CF_F16
                                ? (((const uint16_t *)rows)[e] & 0x7c00) != 0x7c00 /* exponent */
                                : isfinite(((const float *)rows)[e]);

        if (!finite)
            return CF_FAIL(
                CF_ERR_NUMERIC,
                "%s: row %" PRId64 " (item \"%.100s\"), column %" PRId64 ": not a finite number%s",
                in->name, in->row[item + e / dim], ingest_vector_id(in, item + e / dim), e % dim,
                in->column != NULL || in->matrix.type == CF_F64
                    ? " of float32, whose greatest is 3.4e38"
                    : "");
    }
    return CF_OK;
}

/* Read `count` consecutive rows, from the row of `item` on, and convert them to the written type.
 */
static cf_status read_rows(ingest_vectors *in, int64_t item, int64_t count, void *out)
{
    const int64_t n = count * in->matrix.dim, size = (int64_t)cf_store_type_size(in->matrix.type);
    cf_status status;

    if (in->matrix.type == in->type)
        return ingest_read_matrix(&in->matrix, in->row[item], count, out);
    CF_TRY(CF_GROW(in->raw, in->raw_capacity, n * size));
    CF_TRY(ingest_read_matrix(&in->matrix, in->row[item], count, in->raw));
    if (in->matrix.type == CF_F32)
        cf_store_f32_to_f16((const float *)(void *)in->raw, out, n);
    else
        for (int64_t e = 0; e < n; e++)
            ((float *)out)[e] = (float)((const double *)(void *)in->raw)[e];
done:
    return status;
}

/* Items without a vector get zeros. A run of items whose rows are consecutive is read at once; in
 * the usual case, where both are sorted alike, that is a whole block. */
cf_status ingest_read_vectors(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present)
{
    ingest_vectors *in = context;
    const int64_t row_bytes = in->matrix.dim * (int64_t)cf_store_type_size(in->type);
    cf_status status = CF_OK;

    for (int64_t k = 0, n; k < count; k += n) {
        char *out = (char *)rows + k * row_bytes;
        const int64_t *row = &in->row[first + k];

        n = 1;
        present[k] = *row >= 0;
        if (*row < 0) {
            memset(out, 0, (size_t)row_bytes);
            continue;
        }
        if (in->column != NULL) {
            CF_TRY(ingest_read_column(in, first + k, (float *)(void *)out));
        } else {
            for (; k + n < count && row[n] == *row + n; n++)
                present[k + n] = 1;
            CF_TRY(read_rows(in, first + k, n, out));
        }
        CF_TRY(check_finite(in, first + k, n, out));
    }
done:
    return status;
}
