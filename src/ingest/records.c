/* Delimited files with a header: RecBole's atomic files, and plain ones whose header has no types.
 *
 * The header names the columns, "name" or "name:type"; columns are found by name. Each further line
 * is a record of as many fields. Fields are cut at the separator; there is no quoting. A field is a
 * pointer into the line's buffer, so a record costs no copy. */
#include "fields.h"

#include <inttypes.h>
#include <string.h>

/* Copy the header and cut the copy into names and types. */
static cf_status read_header(ingest_records *records, char *line, int64_t length)
{
    int n = 1;
    cf_status status;
    char *at;

    for (int64_t k = 0; k < length; k++)
        n += line[k] == records->separator;
    CF_TRY(CF_ALLOC(records->header, length + 1));
    CF_TRY(CF_ALLOC(records->names, n));
    CF_TRY(CF_ALLOC(records->types, n));
    CF_TRY(CF_ALLOC(records->fields, n));
    at = memcpy(records->header, line, (size_t)length + 1);
    for (int c = 0; c < n; c++) {
        char *end = strchr(at, records->separator), *colon;

        if (end != NULL) *end = 0;
        colon = strchr(at, ':');
        if (colon != NULL) *colon = 0;
        records->names[c] = at;
        records->types[c] = colon != NULL ? colon + 1 : "";
        if (end != NULL) at = end + 1;
    }
    records->n_columns = n;
done:
    return status;
}

/* Every rank reads the header; then each continues at its own range. */
cf_status ingest_open_records(const char *path, char separator, ingest_range *range,
                              ingest_records *out)
{
    char *line;
    int64_t length;
    cf_status status;

    *out = (ingest_records){.separator = separator};
    CF_TRY(ingest_open_text(path, &out->text));
    CF_TRY(ingest_next_line(&out->text, &line, &length));
    CF_REQUIRE(line != NULL, CF_ERR_FORMAT, "%s: the file is empty", path);
    CF_TRY(read_header(out, line, length));
    CF_TRY(ingest_limit_text(&out->text, range));
done:
    return status;
}

void ingest_close_records(ingest_records *records)
{
    ingest_close_text(&records->text);
    cf_free(&records->header);
    cf_free(&records->names);
    cf_free(&records->types);
    cf_free(&records->fields);
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
            return CF_FAIL(
                CF_ERR_FORMAT, "%s:1: %s has type \"%s\", expected %s", records->text.path, name,
                ingest_excerpt(records->types[c], (int64_t)strlen(records->types[c])), type);
        found = c;
    }
    *out = found;
    return CF_OK;
}

/* Sets the top bit of each byte that is 0 in `word`, and no other bit: the addition carries into
 * the top bit of a byte exactly if its low seven bits are not all 0. */
static uint64_t zero_bytes(uint64_t word)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);

    return ~(((word & low) + low) | word | low);
}

/* Cut a line at separators into fields. Returns how many there are, of which at most n_columns are
 * kept. It tests eight bytes at a time: fields are too short to pay for a call of memchr() each. */
static int64_t cut_fields(ingest_records *records, char *line, int64_t length)
{
    const uint64_t separators = UINT64_C(0x0101010101010101) * (unsigned char)records->separator;
    int64_t n = 0, begin = 0;

    for (int64_t k = 0; k < length; k += 8) {
        uint64_t word;

        memcpy(&word, line + k, 8); /* within INGEST_SLACK; little-endian: first byte lowest */
        for (uint64_t found = zero_bytes(word ^ separators); found; found &= found - 1) {
            const int64_t end = k + __builtin_ctzll(found) / 8;

            if (end >= length) break;
            if (n < records->n_columns)
                records->fields[n] = (ingest_field){line + begin, end - begin};
            n++;
            begin = end + 1;
        }
    }
    if (n < records->n_columns) records->fields[n] = (ingest_field){line + begin, length - begin};
    return n + 1;
}

/* A record with too few or too many fields is refused: a separator inside a field would shift the
 * columns. */
cf_status ingest_next_record(ingest_records *records, bool *more)
{
    char *line = NULL;
    int64_t length = 0, n;
    cf_status status = ingest_next_line(&records->text, &line, &length);

    if (status != CF_OK) return status;
    *more = line != NULL;
    if (line == NULL) return CF_OK;
    n = cut_fields(records, line, length);
    if (n == records->n_columns) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": %s columns, expected %d as in line 1",
                   records->text.path, records->text.line,
                   n < records->n_columns ? "too few" : "too many", records->n_columns);
}

cf_status ingest_read_number(const ingest_records *records, int column, double *out)
{
    const ingest_field *field = &records->fields[column];

    if (ingest_parse_number(field->text, field->length, out)) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": %s: \"%s\" is not a number", records->text.path,
                   records->text.line, records->names[column],
                   ingest_excerpt(field->text, field->length));
}

cf_status ingest_check_id(const ingest_records *records, int column)
{
    if (records->fields[column].length > 0) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": %s: is empty, expected an id",
                   records->text.path, records->text.line, records->names[column]);
}
