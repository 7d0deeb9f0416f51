/* Delimited files with a header: RecBole's atomic files, and plain ones whose header has no types.
 */
#include "internal.h"

#include <inttypes.h>
#include <string.h>

static cf_status read_header(ingest_table *table, char *line, int64_t length)
{
    int n = 1;
    cf_status status;
    char *at;

    for (int64_t k = 0; k < length; k++)
        n += line[k] == table->separator;
    CF_TRY(CF_ALLOC(table->header, length + 1));
    CF_TRY(CF_ALLOC(table->names, n));
    CF_TRY(CF_ALLOC(table->types, n));
    CF_TRY(CF_ALLOC(table->fields, n));
    at = memcpy(table->header, line, (size_t)length + 1);
    for (int c = 0; c < n; c++) {
        char *end = strchr(at, table->separator), *colon;

        if (end) *end = 0;
        colon = strchr(at, ':');
        if (colon) *colon = 0;
        table->names[c] = at;
        table->types[c] = colon ? colon + 1 : "";
        if (end) at = end + 1;
    }
    table->n_columns = n;
done:
    return status;
}

cf_status ingest_table_open(const char *path, char separator, ingest_share *share,
                            ingest_table *out)
{
    char *line;
    int64_t length;
    cf_status status;

    *out = (ingest_table){.separator = separator};
    CF_TRY(ingest_text_open(path, &out->text));
    CF_TRY(ingest_text_next(&out->text, &line, &length));
    if (!line) CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: the file is empty", path));
    CF_TRY(read_header(out, line, length));
    CF_TRY(ingest_text_limit(&out->text, share));
done:
    return status;
}

void ingest_table_close(ingest_table *table)
{
    ingest_text_close(&table->text);
    cf_free(&table->header);
    cf_free(&table->names);
    cf_free(&table->types);
    cf_free(&table->fields);
}

cf_status ingest_table_find(const ingest_table *table, const char *name, const char *type, int *out)
{
    int found = -1;

    for (int c = 0; c < table->n_columns; c++) {
        if (strcmp(table->names[c], name) != 0) continue;
        if (found >= 0)
            return CF_FAIL(CF_ERR_FORMAT, "%s:1: two columns are named \"%s\"", table->text.path,
                           name);
        if (type && table->types[c][0] && strcmp(table->types[c], type) != 0)
            return CF_FAIL(CF_ERR_FORMAT, "%s:1: %s has type \"%s\", expected %s", table->text.path,
                           name, ingest_excerpt(table->types[c], (int64_t)strlen(table->types[c])),
                           type);
        found = c;
    }
    *out = found;
    return CF_OK;
}

/* The top bit of each byte of `word` that is 0, no other bit. */
static uint64_t zero_bytes(uint64_t word)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);

    return ~(((word & low) + low) | word | low);
}

/*
 * Cut a line at separators into at most n_columns fields; how many there would be. Eight bytes at a
 * time, for fields are too short to pay for a call of memchr() each.
 */
static int64_t cut_fields(ingest_table *table, char *line, int64_t length)
{
    const uint64_t separators = UINT64_C(0x0101010101010101) * (unsigned char)table->separator;
    int64_t n = 0, begin = 0;

    for (int64_t k = 0; k < length; k += 8) {
        uint64_t word;

        memcpy(&word, line + k, 8); /* little-endian: the lowest byte comes first */
        for (uint64_t found = zero_bytes(word ^ separators); found; found &= found - 1) {
            const int64_t end = k + __builtin_ctzll(found) / 8;

            if (end >= length) break;
            if (n < table->n_columns) table->fields[n] = (ingest_field){line + begin, end - begin};
            n++;
            begin = end + 1;
        }
    }
    if (n < table->n_columns) table->fields[n] = (ingest_field){line + begin, length - begin};
    return n + 1;
}

cf_status ingest_table_next(ingest_table *table, bool *more)
{
    char *line = NULL;
    int64_t length = 0, n;
    cf_status status = ingest_text_next(&table->text, &line, &length);

    if (status != CF_OK) return status;
    *more = line != NULL;
    if (!line) return CF_OK;
    n = cut_fields(table, line, length);
    if (n == table->n_columns) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": %s columns, expected %d as in line 1",
                   table->text.path, table->text.line,
                   n < table->n_columns ? "too few" : "too many", table->n_columns);
}

cf_status ingest_table_number(const ingest_table *table, int column, double *out)
{
    const ingest_field *field = &table->fields[column];

    if (ingest_parse_number(field->text, field->length, out)) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": %s: \"%s\" is not a number", table->text.path,
                   table->text.line, table->names[column],
                   ingest_excerpt(field->text, field->length));
}

cf_status ingest_table_id(const ingest_table *table, int column)
{
    if (table->fields[column].length > 0) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": %s: is empty, expected an id", table->text.path,
                   table->text.line, table->names[column]);
}
