/* Delimited files with named columns: RecBole's atomic files, and plain ones whose header has no
 * types.
 *
 * The header names the columns, "name" or "name:type"; columns are found by name. Each further line
 * is a record of as many fields, cut by cut.c. A field is a pointer into the line's buffer, so a
 * record costs no copy. */
#include "fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Header ---------------------------------------------------------------------------------- */

/* Separate the name of a column from its type. A colon that separates fields begins no type. */
static void cut_type(const ingest_records *records, int column)
{
    char *name = records->fields[column].text, *colon;

    name[records->fields[column].length] = 0;
    colon = records->separator[0] != ':' ? strchr(name, ':') : NULL;
    if (colon != NULL) *colon = 0;
    records->names[column] = name;
    records->types[column] = colon != NULL ? colon + 1 : "";
}

/* Room for n_columns columns. */
static cf_status allocate_columns(ingest_records *records)
{
    cf_status status;

    CF_TRY(CF_ALLOC(records->names, records->n_columns));
    CF_TRY(CF_ALLOC(records->types, records->n_columns));
    CF_TRY(CF_ALLOC(records->fields, records->n_columns));
done:
    return status;
}

/* Cut a copy of the header: first to count the columns, then to find them. */
static cf_status read_header(ingest_records *records)
{
    char *line;
    int64_t length, n;
    cf_status status;

    CF_TRY(ingest_next_line(&records->text, &line, &length));
    CF_REQUIRE(line != NULL, CF_ERR_FORMAT, "%s: the file is empty", records->text.path);
    CF_TRY(CF_ALLOC(records->header, length + 1));
    CF_TRY(CF_ALLOC(records->cut_header, length + INGEST_SLACK));
    memcpy(records->header, line, (size_t)length + 1);
    memcpy(records->cut_header, line, (size_t)length + 1);
    CF_TRY(ingest_cut_line(records, records->cut_header, length, &n));
    records->n_columns = (int)cf_min(n, INT32_MAX);
    CF_TRY(allocate_columns(records));
    CF_TRY(ingest_cut_line(records, records->cut_header, length, &n));
    for (int c = 0; c < records->n_columns; c++)
        cut_type(records, c);
done:
    return status;
}

/* The names of the columns of a file without a header. */
static cf_status take_names(const ingest_layout *layout, ingest_records *records)
{
    cf_status status;

    records->n_columns = layout->n_names;
    CF_TRY(allocate_columns(records));
    for (int c = 0; c < layout->n_names; c++) {
        records->names[c] = layout->names[c];
        records->types[c] = "";
    }
done:
    return status;
}

/* Every rank reads the header; then each continues at its own range. */
cf_status ingest_open_records(const ingest_file *file, const ingest_layout *layout,
                              ingest_range *range, ingest_records *out)
{
    cf_status status;

    *out = (ingest_records){.separator = layout->separator,
                            .separator_length = (int64_t)strlen(layout->separator),
                            .has_quotes = strcmp(layout->separator, ",") == 0 ||
                                          strcmp(layout->separator, ";") == 0,
                            .has_runs = layout->has_runs};
    CF_TRY(ingest_open_text(file, &out->text));
    CF_TRY(layout->names != NULL ? take_names(layout, out) : read_header(out));
    CF_TRY(ingest_limit_text(&out->text, range));
done:
    return status;
}

void ingest_close_records(ingest_records *records)
{
    ingest_close_text(&records->text);
    cf_free(&records->header);
    cf_free(&records->cut_header);
    cf_free(&records->names);
    cf_free(&records->types);
    cf_free(&records->fields);
}

/* ---- Columns --------------------------------------------------------------------------------- */

/* What the message of a header says that is not cut at all: a separator that is in it. */
static const char *suggest_separator(const ingest_records *records)
{
    static const char *const separators[] = {"\t", ",", ";", "::", "|", " ", ":"};
    static char out[64];

    out[0] = 0;
    if (records->n_columns > 1 || records->header == NULL) return out;
    for (size_t k = 0; k < sizeof separators / sizeof *separators; k++)
        if (strstr(records->header, separators[k]) != NULL) {
            snprintf(out, sizeof out, "; field_separator \"%s\" would cut the line",
                     separators[k][0] == '\t' ? "\\t" : separators[k]);
            break;
        }
    return out;
}

/* The names of the columns, in quotes; what does not fit is left out. A header that is not cut is
 * shown as it is. Static buffer. */
static const char *list_columns(const ingest_records *records)
{
    static char out[256];
    size_t used = 0;

    for (int c = 0; c < records->n_columns; c++) {
        const char *whole = records->n_columns == 1 ? records->header : records->names[c];
        const char *name = ingest_excerpt(whole, (int64_t)strlen(whole));
        const int n = snprintf(out + used, sizeof out - used, "%s\"%s\"", c > 0 ? ", " : "", name);

        if (used + (size_t)n + sizeof ", ..." > sizeof out) {
            strcpy(out + used, c > 0 ? ", ..." : "...");
            break;
        }
        used += (size_t)n;
    }
    return out;
}

cf_status ingest_find_column(const ingest_records *records, const char *name, const char *type,
                             int *out)
{
    int found = -1;

    /* Look at all columns: a name that occurs twice would be ambiguous. */
    for (int c = 0; c < records->n_columns; c++) {
        if (strcmp(records->names[c], name) != 0) continue;
        if (found >= 0)
            return CF_FAIL(CF_ERR_FORMAT, "%s:1: two columns are named \"%s\"", records->text.path,
                           name);
        if (type != NULL && records->types[c][0] && strcmp(records->types[c], type) != 0)
            return CF_FAIL(CF_ERR_FORMAT, "%s:1: %s has type \"%s\", expected %s%s",
                           records->text.path, name,
                           ingest_excerpt(records->types[c], (int64_t)strlen(records->types[c])),
                           type, suggest_separator(records));
        found = c;
    }
    *out = found;
    return CF_OK;
}

cf_status ingest_require_column(const ingest_records *records, const char *name, const char *type,
                                const char *why, int *out)
{
    cf_status status = ingest_find_column(records, name, type, out);

    if (status != CF_OK || *out >= 0) return status;
    return CF_FAIL(CF_ERR_FORMAT, "%s:1: no column \"%s\", required by %s; the columns are %s%s",
                   records->text.path, name, why, list_columns(records),
                   suggest_separator(records));
}

/* ---- Records --------------------------------------------------------------------------------- */

/* A record with too few or too many fields is refused: a separator inside a field would shift the
 * columns. */
cf_status ingest_next_record(ingest_records *records, bool *more)
{
    char *line = NULL;
    int64_t length = 0, n;
    cf_status status;

    CF_TRY(ingest_next_line(&records->text, &line, &length));
    *more = line != NULL;
    if (line == NULL) goto done;
    CF_TRY(ingest_cut_line(records, line, length, &n));
    CF_REQUIRE(n == records->n_columns, CF_ERR_FORMAT,
               "%s:%" PRId64 ": %s columns, expected %d as in line 1", records->text.path,
               records->text.line, n < records->n_columns ? "too few" : "too many",
               records->n_columns);
done:
    return status;
}

/* Note the error of a field that is not what its column has. */
static cf_status refuse_field(const ingest_records *records, int column, const char *expected)
{
    const ingest_field *field = &records->fields[column];

    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": %s: \"%s\" is not %s", records->text.path,
                   records->text.line, records->names[column],
                   ingest_excerpt(field->text, field->length), expected);
}

cf_status ingest_read_number(const ingest_records *records, int column, double *out)
{
    const ingest_field *field = &records->fields[column];

    if (ingest_parse_number(field->text, field->length, out)) return CF_OK;
    return refuse_field(records, column, "a number");
}

cf_status ingest_read_time(const ingest_records *records, int column, double *out)
{
    const ingest_field *field = &records->fields[column];

    if (ingest_parse_time(field->text, field->length, out)) return CF_OK;
    return refuse_field(records, column, "a number or a date such as 2022-03-01T12:34:56");
}

cf_status ingest_check_id(const ingest_records *records, int column)
{
    if (records->fields[column].length > 0) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": %s: is empty, expected an id",
                   records->text.path, records->text.line, records->names[column]);
}
