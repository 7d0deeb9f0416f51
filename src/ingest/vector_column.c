/* Vectors in a column of the item file, one a field: "0.12 -3 1e-2", or a list as Python writes it,
 * "[0.12, -3, 1e-2]".
 *
 * The column stays text in its file. ingest_items has where each field is; a field is read and
 * parsed when its vector is written. The first vector of the file gives the number of dimensions,
 * and all others must have as many. */
#include "vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* Read the bytes of a field into `out`. */
static cf_status read_field(const ingest_vectors *in, const ingest_span *field, char *out)
{
    return ingest_read_bytes(in->name, in->matrix.fd, out,
                             (int64_t[2]){field->offset, field->length});
}

/* ---- The numbers of a field ------------------------------------------------------------------ */

/* What is left of a field. */
typedef struct field_reader {
    const char *at, *end; /* `at` is behind `end` once all numbers were taken */
    bool is_list;         /* in brackets: commas or spaces are between the numbers */
    char separator;       /* else exactly one of these */
} field_reader;

static const char *skip_spaces(const char *at, const char *end)
{
    while (at < end && *at == ' ')
        at++;
    return at;
}

static field_reader open_field(const char *text, int64_t length, char separator)
{
    field_reader reader = {.at = text, .end = text + length, .separator = separator};
    const char *begin = skip_spaces(text, reader.end), *end = reader.end;

    while (end > begin && end[-1] == ' ')
        end--;
    reader.is_list = end - begin >= 2 && *begin == '[' && end[-1] == ']';
    if (reader.is_list) {
        reader.at = skip_spaces(begin + 1, end - 1);
        reader.end = end - 1;
        if (reader.at == reader.end) reader.at++; /* an empty list has no numbers */
    }
    return reader;
}

/* Take the text up to the next separator; false if all were taken. In a list, one comma, spaces, or
 * both end a number. */
static bool next_number(field_reader *reader, const char **number, int64_t *length)
{
    const char *stop = reader->at;

    if (stop > reader->end) return false;
    while (stop < reader->end && *stop != (reader->is_list ? ',' : reader->separator) &&
           !(reader->is_list && *stop == ' '))
        stop++;
    *number = reader->at;
    *length = stop - reader->at;
    reader->at = stop + 1;
    if (reader->is_list && stop < reader->end) {
        stop = skip_spaces(stop, reader->end);
        if (stop < reader->end && *stop == ',') stop = skip_spaces(stop + 1, reader->end);
        reader->at = stop < reader->end ? stop : stop + 1;
    }
    return true;
}

/* ---- The column ------------------------------------------------------------------------------ */

/* Local: count the numbers of the vector on a line. */
static cf_status count_numbers(const ingest_vectors *in, int64_t line, int64_t *out)
{
    const int64_t length = in->column->embedding[line].length;
    char *text = NULL;
    const char *number;
    int64_t number_length;
    field_reader reader;
    cf_status status;

    CF_TRY(CF_ALLOC(text, length + 1));
    CF_TRY(read_field(in, &in->column->embedding[line], text));
    reader = open_field(text, length, in->separator);
    for (*out = 0; next_number(&reader, &number, &number_length);)
        ++*out;
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

/* Every number must be one, and there must be as many as in the first vector. */
cf_status ingest_read_column(ingest_vectors *in, int64_t item, float *out)
{
    const int64_t length = in->span[item].length;
    const char *number;
    int64_t n = 0, number_length;
    field_reader reader;
    cf_status status;

    CF_TRY(CF_GROW(in->raw, in->raw_capacity, length + 1));
    CF_TRY(read_field(in, &in->span[item], in->raw));
    reader = open_field(in->raw, length, in->separator);
    while (next_number(&reader, &number, &number_length)) {
        double value;

        if (n == in->matrix.dim) return refuse_field(in, item, "too many numbers");
        if (!ingest_parse_number(number, number_length, &value))
            return refuse_field(in, item, "something that is not a number");
        out[n++] = (float)value;
    }
    if (n < in->matrix.dim) return refuse_field(in, item, "too few numbers");
done:
    return status;
}
