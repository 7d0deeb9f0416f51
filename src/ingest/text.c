/* Lines of a file, by blocks and in place, and the numbers in them. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 256 << 10 }; /* stays in the cache until it is taken apart */

/* Read on behind `end`, growing the buffer if a line fills it. Sets `ended` at the end of the file.
 */
static cf_status refill(ingest_text *text)
{
    int64_t left = text->end - text->begin;
    const char *nul;
    ssize_t got;
    cf_status status;

    if (left > 0 && text->begin > 0)
        memmove(text->buffer, text->buffer + text->begin, (size_t)left);
    text->offset += text->begin;
    if (text->nul < INT64_MAX) text->nul -= text->begin;
    text->begin = 0;
    text->end = left;
    if (left + READ_BYTES / 2 + INGEST_SLACK > text->capacity) {
        status = CF_GROW(text->buffer, text->capacity, left + READ_BYTES + INGEST_SLACK);
        if (status != CF_OK) return status;
    }
    do
        got = read(text->fd, text->buffer + left, (size_t)(text->capacity - left - INGEST_SLACK));
    while (got < 0 && errno == EINTR);
    if (got < 0) return CF_FAIL(CF_ERR_IO, "%s: %s", text->path, strerror(errno));
    nul = memchr(text->buffer + left, 0, (size_t)got);
    if (nul && text->nul == INT64_MAX) text->nul = nul - text->buffer;
    text->end += got;
    text->ended = got == 0;
    cf_progress_update(&text->progress, (text->offset + text->end) >> 20, NULL);
    return CF_OK;
}

cf_status ingest_text_open(const char *path, ingest_text *out)
{
    ingest_text text = {.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC), .nul = INT64_MAX};
    struct stat about;
    cf_status status = CF_OK;

    *out = text;
    if (text.fd < 0 || fstat(text.fd, &about) != 0)
        return CF_FAIL(CF_ERR_IO, "%s: %s", path, strerror(errno));
    out->size = about.st_size;
    cf_progress_begin(&out->progress, path, "MB", out->size >> 20);
    while (status == CF_OK && !out->ended && out->end < 3)
        status = refill(out);
    if (status == CF_OK && out->end >= 3 && memcmp(out->buffer, "\xef\xbb\xbf", 3) == 0)
        out->begin = 3;
    return status;
}

void ingest_text_close(ingest_text *text)
{
    if (text->fd >= 0 && text->path) {
        close(text->fd);
        cf_progress_end(&text->progress);
    }
    text->path = NULL;
    cf_free(&text->buffer);
}

/* The next line as it stands, maybe empty; NULL at the end. */
static cf_status take_line(ingest_text *text, char **line, int64_t *length)
{
    int64_t searched = 0;
    char *end = NULL;

    for (;;) {
        int64_t left = text->end - text->begin - searched;

        if (left > 0) end = memchr(text->buffer + text->begin + searched, '\n', (size_t)left);
        if (end || text->ended) break;
        searched = text->end - text->begin;
        cf_status status = refill(text);
        if (status != CF_OK) return status;
    }
    *line = NULL;
    if (!end && text->begin == text->end) return CF_OK;
    if (!end) end = text->buffer + text->end;
    *line = text->buffer + text->begin;
    *length = end - *line;
    text->begin = end + 1 - text->buffer;
    if (text->begin > text->end) text->begin = text->end;
    if (*length > 0 && (*line)[*length - 1] == '\r') --*length;
    (*line)[*length] = 0;
    text->line++;
    return CF_OK;
}

cf_status ingest_text_next(ingest_text *text, char **line, int64_t *length)
{
    int64_t empty = 0;
    cf_status status;

    for (;;) {
        status = take_line(text, line, length);
        if (status != CF_OK || !*line) return status;
        if (*length > 0) break;
        if (empty == 0) empty = text->line;
    }
    if (empty > 0)
        return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": an empty line", text->path, empty);
    if (*line - text->buffer + *length > text->nul)
        return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": a NUL byte, expected text", text->path,
                       text->line);
    return CF_OK;
}

const char *ingest_excerpt(const char *text, int64_t length)
{
    static char out[44];
    int64_t n = length < 40 ? length : 40;

    for (int64_t k = 0; k < n; k++)
        out[k] = (unsigned char)text[k] < 32 ? '?' : text[k];
    strcpy(out + n, length > n ? "..." : "");
    return out;
}

/* Whatever the fast way below cannot do exactly, at most 63 characters of it. */
static bool parse_slowly(const char *text, int64_t length, double *out)
{
    char copy[64], *end;

    if (length >= (int64_t)sizeof copy || strspn(text, "0123456789+-.eE") < (size_t)length)
        return false;
    memcpy(copy, text, (size_t)length);
    copy[length] = 0;
    *out = strtod(copy, &end);
    return length > 0 && end == copy + length && isfinite(*out);
}

/*
 * Digits and one point, up to 2^53, divided by an exact power of ten: correctly rounded by one
 * operation (Clinger 1990, "How to read floating point numbers accurately", the fast path).
 */
bool ingest_parse_number(const char *text, int64_t length, double *out)
{
    static const double power[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const int64_t sign = length > 0 && text[0] == '-';
    int64_t mantissa = 0, point = -1, digits = 0;

    for (int64_t k = sign; k < length; k++) {
        unsigned digit = (unsigned)(text[k] - '0');

        if (digit < 10 && digits < 15) {
            mantissa = mantissa * 10 + digit;
            digits++;
        } else if (text[k] == '.' && point < 0)
            point = digits;
        else
            return parse_slowly(text, length, out);
    }
    if (digits == 0) return false;
    *out = (double)mantissa / power[point < 0 ? 0 : digits - point];
    if (sign) *out = -*out;
    return true;
}
