/* Cutting a line into fields.
 *
 * Three ways: at each separator, of one byte or several; at separators outside of quotes (RFC 4180:
 * a quoted field begins and ends with a quote, and a quote within it is doubled); at runs of
 * separators. Only the first n_columns fields are kept, and only these are changed: a quoted field
 * loses its quotes in place. */
#include "fields.h"

#include <inttypes.h>
#include <string.h>

/* Keep field `n`, if there is a column for it. */
static void keep_field(ingest_records *records, int64_t n, char *text, int64_t length)
{
    if (n < records->n_columns) records->fields[n] = (ingest_field){text, length};
}

/* Sets the top bit of each byte that is 0 in `word`, and no other bit: the addition carries into
 * the top bit of a byte exactly if its low seven bits are not all 0. */
static uint64_t zero_bytes(uint64_t word)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);

    return ~(((word & low) + low) | word | low);
}

/* Whether a separator of several bytes begins at `at`, behind the one before. No more than the
 * slack is read, and the NUL that ends the line is in no separator. */
static bool is_separator(const ingest_records *records, const char *at, const char *begin)
{
    return at >= begin && memcmp(at, records->separator, (size_t)records->separator_length) == 0;
}

/* Cut a line at separators. Returns how many fields there are. It tests eight bytes at a time:
 * fields are too short to pay for a call of memchr() each. */
static int64_t cut_fields(ingest_records *records, char *line, int64_t length)
{
    const uint64_t separators = UINT64_C(0x0101010101010101) * (unsigned char)records->separator[0];
    const int64_t size = records->separator_length;
    int64_t n = 0, begin = 0;

    for (int64_t k = 0; k < length; k += 8) {
        uint64_t word;

        memcpy(&word, line + k, 8); /* within INGEST_SLACK; little-endian: first byte lowest */
        for (uint64_t found = zero_bytes(word ^ separators); found; found &= found - 1) {
            const int64_t end = k + __builtin_ctzll(found) / 8;

            if (end >= length) break;
            if (size > 1 && !is_separator(records, line + end, line + begin)) continue;
            keep_field(records, n++, line + begin, end - begin);
            begin = end + size;
        }
    }
    keep_field(records, n++, line + begin, length - begin);
    return n;
}

/* Cut a line at runs of separators of one byte. */
static int64_t cut_runs(ingest_records *records, char *line)
{
    int64_t n = 0;

    for (line += strspn(line, records->separator); *line != 0;) {
        const int64_t length = (int64_t)strcspn(line, records->separator);

        keep_field(records, n++, line, length);
        line += length;
        line += strspn(line, records->separator);
    }
    return n;
}

/* ---- Quotes ---------------------------------------------------------------------------------- */

/* The closing quote of a field, whose text begins at `at`; NULL if there is none. */
static char *find_closing_quote(char *at)
{
    for (;; at += 2) {
        at = strchr(at, '"');
        if (at == NULL || at[1] != '"') return at;
    }
}

/* Make one quote of each two. Returns the new length. */
static int64_t join_quotes(char *text, int64_t length)
{
    int64_t kept = 0;

    for (int64_t k = 0; k < length; k++) {
        text[kept++] = text[k];
        if (text[k] == '"') k++;
    }
    return kept;
}

static cf_status refuse_quotes(const ingest_records *records, int64_t column, const char *what)
{
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": column %" PRId64 ": %s", records->text.path,
                   records->text.line, column + 1, what);
}

/* Cut a line at separators outside of quotes. A quote that does not begin a field is text. */
static cf_status cut_quoted(ingest_records *records, char *line, int64_t length, int64_t *out)
{
    const char separator = records->separator[0];
    char *const end = line + length;
    int64_t n = 0;

    for (char *at = line;; at++, n++) {
        const bool is_quoted = *at == '"';
        char *begin = at + is_quoted;

        if (is_quoted) {
            at = find_closing_quote(begin);
            if (at == NULL)
                return refuse_quotes(records, n,
                                     "a quote is not closed on its line; fields of several lines "
                                     "are not read");
            if (at + 1 != end && at[1] != separator)
                return refuse_quotes(records, n,
                                     "text behind a quoted field, expected a quote "
                                     "within a field to be doubled");
        } else {
            char *next = memchr(begin, separator, (size_t)(end - begin));

            at = next != NULL ? next : end;
        }
        if (n < records->n_columns)
            keep_field(records, n, begin, is_quoted ? join_quotes(begin, at - begin) : at - begin);
        at += is_quoted;
        if (at == end) break;
    }
    *out = n + 1;
    return CF_OK;
}

cf_status ingest_cut_line(ingest_records *records, char *line, int64_t length, int64_t *n)
{
    if (records->has_quotes && memchr(line, '"', (size_t)length) != NULL)
        return cut_quoted(records, line, length, n);
    *n = records->has_runs ? cut_runs(records, line) : cut_fields(records, line, length);
    return CF_OK;
}
