/* Language-model vectors: which row is whose, and reading them by blocks. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *item_id(const ingest_vectors *in, int64_t item)
{
    return in->item_ids->bytes + in->item_ids->start[item];
}

/* ---- Whose row ------------------------------------------------------------------------------- */

/* Local. An empty field of an embedding column is no vector. */
static void find_row(const ingest_items *rows, int64_t item, ingest_vectors *in)
{
    const char *id = item_id(in, item);

    if (!rows) {
        in->row[item] = strtoll(id, NULL, 10);
        if (in->row[item] >= in->matrix.n_rows) in->row[item] = -1;
        return;
    }
    in->line[item] = ingest_names_find(&rows->ids, id, (int64_t)strlen(id));
    in->row[item] = in->line[item] >= 0 ? rows->row[in->line[item]] : -1;
    if (in->column && in->line[item] >= 0 && in->column->field[in->line[item]].length == 0)
        in->row[item] = -1;
}

static cf_status find_rows(const cf_par *world, const ingest_options *options,
                           const ingest_items *rows, ingest_vectors *in)
{
    const int64_t count = in->item_ids->count;
    int64_t first_missing = -1, before, n_items, n_missing, n_empty = 0;
    cf_status status = CF_ALLOC(in->row, count);

    if (status == CF_OK) status = CF_ALLOC(in->line, count);
    CF_TRY(cf_par_agree(world, status));
    for (int64_t k = 0; k < count; k++) {
        find_row(rows, k, in);
        if (in->row[k] < 0 && in->n_missing++ == 0) first_missing = k;
    }
    for (int64_t k = 0; in->column && k < in->column->ids.count; k++)
        n_empty += in->column->field[k].length == 0;
    cf_par_exscan(world, count, &before, &n_items);
    cf_par_exscan(world, in->n_missing, &before, &n_missing);
    cf_par_exscan(world, n_empty, &before, &n_empty);
    in->n_unused = in->matrix.n_rows - n_empty - (n_items - n_missing);
    if (in->n_missing > 0 && options->missing_is_error)
        status = CF_FAIL(CF_ERR_FORMAT,
                         "%s: %" PRId64 " of %" PRId64 " items have no vector, the first is item "
                         "\"%.100s\": set missing_embedding to zero, mean or random to keep them",
                         in->name, n_missing, n_items, item_id(in, first_missing));
    CF_TRY(cf_par_agree_on_input(world, status));
done:
    return status;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Are the numbers of a range of rows all exactly float16? Local. */
static cf_status are_halves(const ingest_vectors *in, const int64_t range[2], bool *out)
{
    const int64_t dim = in->matrix.dim, at_once = dim < 1 << 18 ? (1 << 18) / dim : 1;
    float *rows = NULL, *back = NULL;
    uint16_t *halves = NULL;
    bool equal = true;
    cf_status status;

    CF_TRY(CF_ALLOC(rows, at_once * dim));
    CF_TRY(CF_ALLOC(back, at_once * dim));
    CF_TRY(CF_ALLOC(halves, at_once * dim));
    for (int64_t first = range[0], n; equal && first < range[1]; first += n) {
        n = range[1] - first < at_once ? range[1] - first : at_once;
        CF_TRY(ingest_matrix_read(&in->matrix, first, n, rows));
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

/* float32 numbers that are all exactly float16 are kept as such: nothing is lost, half the file is
 * saved. Each rank looks at an even part. */
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

static cf_status open_matrix(const cf_par *world, const char *source, const ingest_items *rows,
                             ingest_vectors *in)
{
    cf_status status = ingest_matrix_open(source, &in->matrix);

    in->name = in->matrix.name;
    if (status == CF_OK && rows && rows->n_rows != in->matrix.n_rows)
        status = CF_FAIL(CF_ERR_FORMAT, "%s: %" PRId64 " rows, but %s has %" PRId64 " items",
                         in->name, in->matrix.n_rows, rows->path, rows->n_rows);
    CF_TRY(cf_par_agree_on_input(world, status));
    CF_TRY(choose_type(world, in));
done:
    return status;
}

static cf_status read_field(const ingest_vectors *in, int64_t line, char *out)
{
    const ingest_span *field = &in->column->field[line];

    return ingest_read_bytes(in->name, in->matrix.fd, out,
                             (int64_t[2]){field->offset, field->length});
}

/* Local: how many numbers there are on a line; none on -1. */
static cf_status count_numbers(const ingest_vectors *in, int64_t line, int64_t *out)
{
    char *text = NULL;
    int64_t length;
    cf_status status = CF_OK;

    *out = 0;
    if (line < 0) goto done;
    length = in->column->field[line].length;
    CF_TRY(CF_ALLOC(text, length));
    CF_TRY(read_field(in, line, text));
    *out = 1;
    for (int64_t k = 0; k < length; k++)
        *out += text[k] == in->separator;
done:
    cf_free(&text);
    return status;
}

/* The column stays text in its file; the numbers of the first vector in the file are counted, the
 * others must be as many. */
static cf_status open_column(const cf_par *world, const ingest_options *options,
                             const ingest_items *rows, ingest_vectors *in)
{
    int64_t first = -1, row, lowest;
    cf_status status = CF_OK;

    in->name = rows->path;
    in->matrix = (ingest_matrix){.n_rows = rows->n_rows, .type = CF_F32};
    in->column = rows;
    in->separator = options->seq_separator;
    in->type = CF_F32;
    in->matrix.fd = open(rows->path, O_RDONLY | O_CLOEXEC);
    if (in->matrix.fd < 0) status = CF_FAIL(CF_ERR_IO, "%s: %s", rows->path, strerror(errno));
    CF_TRY(cf_par_agree_on_input(world, status));
    for (int64_t k = 0; k < rows->ids.count; k++)
        if (rows->field[k].length > 0 && (first < 0 || rows->row[k] < rows->row[first])) first = k;
    row = lowest = first >= 0 ? rows->row[first] : INT64_MAX;
    MPI_Allreduce(MPI_IN_PLACE, &lowest, 1, MPI_INT64_T, MPI_MIN, world->comm);
    if (lowest == INT64_MAX)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: %s: no item has a vector", rows->path,
                       options->embedding_field));
    status = count_numbers(in, row == lowest ? first : -1, &in->matrix.dim);
    CF_TRY(cf_par_agree_on_input(world, status));
    MPI_Allreduce(MPI_IN_PLACE, &in->matrix.dim, 1, MPI_INT64_T, MPI_MAX, world->comm);
done:
    return status;
}

cf_status ingest_vectors_open(const cf_par *world, const ingest_options *options,
                              const cf_ingest_paths *paths, const ingest_items *rows,
                              const cf_strings *item_ids, ingest_vectors *out)
{
    cf_status status;

    out->item_ids = item_ids;
    if (paths->embedding)
        CF_TRY(open_matrix(world, paths->embedding, rows, out));
    else
        CF_TRY(open_column(world, options, rows, out));
    CF_TRY(find_rows(world, options, rows, out));
done:
    return status;
}

void ingest_vectors_close(ingest_vectors *vectors)
{
    ingest_matrix_close(&vectors->matrix);
    cf_free(&vectors->row);
    cf_free(&vectors->line);
    cf_free(&vectors->raw);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static cf_status refuse_number(const ingest_vectors *in, int64_t item, int64_t column)
{
    return CF_FAIL(CF_ERR_NUMERIC,
                   "%s: row %" PRId64 " (item \"%.100s\"), column %" PRId64 ": not a finite number",
                   in->name, in->row[item], item_id(in, item), column);
}

static cf_status check_finite(const ingest_vectors *in, int64_t item, int64_t count,
                              const void *rows)
{
    const int64_t dim = in->matrix.dim;

    for (int64_t e = 0; e < count * dim; e++) {
        bool finite = in->type == CF_F16 ? (((const uint16_t *)rows)[e] & 0x7c00) != 0x7c00
                                         : isfinite(((const float *)rows)[e]);

        if (!finite) return refuse_number(in, item + e / dim, e % dim);
    }
    return CF_OK;
}

/* `count` consecutive rows of the matrix that belong to consecutive items. */
static cf_status read_rows(ingest_vectors *in, int64_t item, int64_t count, void *out)
{
    const int64_t n = count * in->matrix.dim, size = (int64_t)cf_store_type_size(in->matrix.type);
    cf_status status;

    if (in->matrix.type == in->type) {
        CF_TRY(ingest_matrix_read(&in->matrix, in->row[item], count, out));
    } else {
        CF_TRY(CF_GROW(in->raw, in->raw_capacity, n * size));
        CF_TRY(ingest_matrix_read(&in->matrix, in->row[item], count, in->raw));
        if (in->matrix.type == CF_F32)
            cf_store_f32_to_f16((const float *)(void *)in->raw, out, n);
        else
            for (int64_t e = 0; e < n; e++)
                ((float *)out)[e] = (float)((const double *)(void *)in->raw)[e];
    }
    CF_TRY(check_finite(in, item, count, out));
done:
    return status;
}

static cf_status refuse_field(const ingest_vectors *in, int64_t item, const char *why)
{
    return CF_FAIL(CF_ERR_FORMAT,
                   "%s:%" PRId64 ": item \"%.100s\": %s, expected %" PRId64 " numbers", in->name,
                   in->column->first_line + in->row[item], item_id(in, item), why, in->matrix.dim);
}

static cf_status read_column_row(ingest_vectors *in, int64_t item, float *out)
{
    const int64_t line = in->line[item], length = in->column->field[line].length;
    char *at, *end;
    int64_t n = 0;
    cf_status status;

    CF_TRY(CF_GROW(in->raw, in->raw_capacity, length + 1));
    CF_TRY(read_field(in, line, in->raw));
    at = in->raw;
    end = in->raw + length;
    *end = in->separator;
    for (char *stop; at <= end; at = stop + 1) {
        double value;

        stop = memchr(at, in->separator, (size_t)(end + 1 - at));
        if (n == in->matrix.dim) return refuse_field(in, item, "too many numbers");
        if (!ingest_parse_number(at, stop - at, &value))
            return refuse_field(in, item, "something that is not a number");
        out[n++] = (float)value;
    }
    if (n < in->matrix.dim) return refuse_field(in, item, "too few numbers");
    CF_TRY(check_finite(in, item, 1, out));
done:
    return status;
}

cf_status ingest_vectors_read(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present)
{
    ingest_vectors *in = context;
    const int64_t row_bytes = in->matrix.dim * (int64_t)cf_store_type_size(in->type);
    cf_status status = CF_OK;

    for (int64_t k = 0, run; k < count; k += run) {
        char *out = (char *)rows + k * row_bytes;
        const int64_t *row = &in->row[first + k];

        run = 1;
        present[k] = *row >= 0;
        if (*row < 0) {
            memset(out, 0, (size_t)row_bytes);
        } else if (in->column) {
            CF_TRY(read_column_row(in, first + k, (float *)(void *)out));
        } else {
            for (; k + run < count && row[run] == *row + run; run++)
                present[k + run] = 1;
            CF_TRY(read_rows(in, first + k, run, out));
        }
    }
done:
    return status;
}
