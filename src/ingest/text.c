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
        got = pread(text->fd, text->buffer + left, (size_t)(text->capacity - left - INGEST_SLACK),
                    text->offset + left);
    while (got < 0 && errno == EINTR);
    if (got < 0) return CF_FAIL(CF_ERR_IO, "%s: %s", text->path, strerror(errno));
    nul = memchr(text->buffer + left, 0, (size_t)got);
    if (nul && text->nul == INT64_MAX) text->nul = nul - text->buffer;
    text->end += got;
    text->ended = got == 0;
    cf_progress_update(&text->progress,
                       (int64_t)(ingest_text_progress(text) * (double)text->progress.total), NULL);
    return CF_OK;
}

cf_status ingest_text_open(const char *path, ingest_text *out)
{
    ingest_text text = {
        .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC), .stop = INT64_MAX, .nul = INT64_MAX};
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

/* Pass over the rest of a line that begins before the share: all up to the first line end from the
 * byte before it on. */
static cf_status skip_to(ingest_text *text, int64_t begin)
{
    const char *end = NULL, *nul;

    text->offset = begin - 1;
    text->begin = text->end = 0;
    text->ended = false;
    while (!end && !text->ended && text->offset + text->end < text->stop) {
        cf_status status;

        text->begin = text->end;
        status = refill(text);
        if (status != CF_OK) return status;
        end = memchr(text->buffer, '\n', (size_t)text->end);
    }
    text->begin = end ? end + 1 - text->buffer : text->end;
    nul = memchr(text->buffer + text->begin, 0, (size_t)(text->end - text->begin));
    text->nul = nul ? nul - text->buffer : INT64_MAX;
    if (!end) text->stop = 0; /* the line goes on beyond the share */
    return CF_OK;
}

cf_status ingest_text_limit(ingest_text *text, ingest_share *share)
{
    text->share = share;
    text->stop = share->end;
    if (share->begin == 0) return CF_OK;
    text->line = share->first_line;
    text->filled = false;
    if (text->offset + text->begin >= share->begin) return CF_OK; /* the first lines reach so far */
    return skip_to(text, share->begin);
}

double ingest_text_progress(const ingest_text *text)
{
    const int64_t at = text->offset + text->begin, begin = text->share ? text->share->begin : 0;
    const int64_t end = text->stop < text->size ? text->stop : text->size;

    return at < end ? (double)(at - begin) / (double)(end - begin) : 1;
}

void ingest_text_close(ingest_text *text)
{
    if (text->share) {
        text->share->lines = text->line - text->share->first_line;
        text->share->empty = text->empty;
        text->share->filled = text->filled;
    }
    text->share = NULL;
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

    *line = NULL;
    if (text->offset + text->begin >= text->stop) return CF_OK;
    for (;;) {
        int64_t left = text->end - text->begin - searched;

        if (left > 0) end = memchr(text->buffer + text->begin + searched, '\n', (size_t)left);
        if (end || text->ended) break;
        searched = text->end - text->begin;
        cf_status status = refill(text);
        if (status != CF_OK) return status;
    }
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
        if (status == CF_OK && !*line) text->empty = empty;
        if (status != CF_OK || !*line) return status;
        if (*length > 0) break;
        if (empty == 0) empty = text->line;
    }
    text->filled = true;
    if (empty > 0) {
        text->line = empty;
        return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": an empty line", text->path, empty);
    }
    if (*line - text->buffer + *length > text->nul)
        return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": a NUL byte, expected text", text->path,
                       text->line);
    return CF_OK;
}

/* ---- Shares ---------------------------------------------------------------------------------- */

/* An even part of the bytes. The last rank reads to the end, wherever that is by then. */
static ingest_share make_share(const cf_par *world, const char *path)
{
    const bool last = world->rank == world->size - 1;
    struct stat about = {0};

    if (stat(path, &about) != 0) about.st_size = 0; /* opening it will say why */
    return (ingest_share){
        .begin = cf_par_even_start(about.st_size, world->size, world->rank),
        .end = last ? INT64_MAX : cf_par_even_start(about.st_size, world->size, world->rank + 1)};
}

/* Empty lines at the end of a share are lines, if others follow on another rank. */
static cf_status check_end(const cf_par *world, const char *path, const ingest_share *share,
                           cf_status status)
{
    int last = share->filled ? world->rank : -1;

    MPI_Allreduce(MPI_IN_PLACE, &last, 1, MPI_INT, MPI_MAX, world->comm);
    if (status != CF_OK || share->empty == 0 || world->rank >= last) return status;
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": an empty line", path, share->empty);
}

cf_status ingest_share_file(const cf_par *world, const char *path,
                            cf_status (*read)(void *context, ingest_share *share), void *context,
                            ingest_share *share)
{
    int64_t total;
    cf_status mine, status;

    *share = make_share(world, path);
    mine = check_end(world, path, share, read(context, share));
    status = cf_par_agree_on_input(world, mine);
    share->bad_line = INT64_MAX;
    cf_par_exscan(world, share->lines, &share->first_line, &total);
    if (status != CF_ERR_FORMAT) return status;
    /* the ranks before the first that failed are through: its line has its number now */
    if (mine != CF_OK) {
        mine = read(context, share);
        share->bad_line = mine != CF_OK ? share->first_line + share->lines : share->empty;
    }
    status = cf_par_agree_on_input(world, check_end(world, path, share, mine));
    MPI_Allreduce(MPI_IN_PLACE, &share->bad_line, 1, MPI_INT64_T, MPI_MIN, world->comm);
    if (status == CF_OK) status = CF_FAIL(CF_ERR_FORMAT, "%s: changed while it was read", path);
    return status;
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
