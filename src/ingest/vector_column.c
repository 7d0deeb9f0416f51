/* Vectors in a float_seq column of the item file: "0.12 -3 1e-2", one vector a field.
 *
 * The column stays text in its file. ingest_items has where each field is; a field is read and
 * parsed when its vector is written. The first vector of the file gives the number of dimensions,
 * and all others must have as many. */
#include "vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* Read the bytes of a line's field into `out`. */
static cf_status read_field(const ingest_vectors *in, int64_t line, char *out)
{
    const ingest_span *field = &in->column->embedding[line];

    return ingest_read_bytes(in->name, in->matrix.fd, out,
                             (int64_t[2]){field->offset, field->length});
}

/* Local: count the numbers of the vector on a line. */
static cf_status count_numbers(const ingest_vectors *in, int64_t line, int64_t *out)
{
    const int64_t length = in->column->embedding[line].length;
    char *text = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(text, length));
    CF_TRY(read_field(in, line, text));
    *out = 1;
    for (int64_t k = 0; k < length; k++)
        *out += text[k] == in->separator;
done:
    cf_free(&text);
    return status;
}

/* Find the first vector of the file among the lines of all ranks; its owner counts the numbers. */
static cf_status find_dim(const cf_par *world, const char *column_name, ingest_vectors *in)
{
    const ingest_items *rows = in->column;
    int64_t mine = -1, row, first_row;
    cf_status status = CF_OK;

    for (int64_t k = 0; k < rows->ids.count; k++)
        if (rows->embedding[k].length > 0 && (mine < 0 || rows->row[k] < rows->row[mine])) mine = k;
    row = first_row = mine >= 0 ? rows->row[mine] : INT64_MAX;
    MPI_Allreduce(MPI_IN_PLACE, &first_row, 1, MPI_INT64_T, MPI_MIN, world->comm);
    CF_REQUIRE(first_row < INT64_MAX, CF_ERR_FORMAT, "%s: %s: no item has a vector", rows->path,
               column_name);
    if (row == first_row) status = count_numbers(in, mine, &in->matrix.dim);
    CF_TRY(cf_par_agree_on_input(world, status));
    MPI_Allreduce(MPI_IN_PLACE, &in->matrix.dim, 1, MPI_INT64_T, MPI_MAX, world->comm);
done:
    return status;
}

/* The file is opened again, for reading fields by their position. */
cf_status ingest_open_column(const cf_par *world, const cf_ingest_options *options,
                             const ingest_items *rows, ingest_vectors *in)
{
    cf_status status = CF_OK;

    in->name = rows->path;
    in->matrix = (ingest_matrix){.n_rows = rows->n_rows, .type = CF_F32};
    in->column = rows;
    in->separator = options->seq_separator;
    in->type = CF_F32;
    in->matrix.fd = open(rows->file->path, O_RDONLY | O_CLOEXEC);
    if (in->matrix.fd < 0) status = CF_FAIL(CF_ERR_IO, "%s: %s", rows->path, strerror(errno));
    CF_TRY(cf_par_agree_on_input(world, status));
    CF_TRY(find_dim(world, options->embedding_field, in));
done:
    return status;
}

/* Note the error of a vector that is not like the first, by the line number of its item. */
static cf_status refuse_field(const ingest_vectors *in, int64_t item, const char *why)
{
    return CF_FAIL(CF_ERR_FORMAT,
                   "%s:%" PRId64 ": item \"%.100s\": %s, expected %" PRId64 " numbers", in->name,
                   in->column->first_line + in->row[item], ingest_vector_id(in, item), why,
                   in->matrix.dim);
}

/* Numbers are separated by one separator each; an empty one is malformed. */
cf_status ingest_read_column(ingest_vectors *in, int64_t item, float *out)
{
    const int64_t line = in->line[item], length = in->column->embedding[line].length;
    char *at, *end;
    int64_t n = 0;
    cf_status status;

    CF_TRY(CF_GROW(in->raw, in->raw_capacity, length + 1));
    CF_TRY(read_field(in, line, in->raw));
    at = in->raw;
    end = in->raw + length;
    *end = in->separator; /* so that every number has one after it */
    for (char *stop; at <= end; at = stop + 1) {
        double value;

        stop = memchr(at, in->separator, (size_t)(end + 1 - at));
        if (n == in->matrix.dim) return refuse_field(in, item, "too many numbers");
        if (!ingest_parse_number(at, stop - at, &value))
            return refuse_field(in, item, "something that is not a number");
        out[n++] = (float)value;
    }
    if (n < in->matrix.dim) return refuse_field(in, item, "too few numbers");
done:
    return status;
}
