/* Lines of a text file, read in blocks and handed out in place.
 *
 * The buffer holds a part of the file: buffer[begin .. end) is not yet handed out. When it has no
 * whole line left, the rest moves to the front and a block is read behind it; a line longer than
 * the buffer makes it grow. INGEST_SLACK bytes beyond the end may be read, so that callers can load
 * fields as whole words. */
#include "fields.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef CF_READ_BYTES /* set by fuzzers, whose files would end before the first block does */
#define CF_READ_BYTES (256 << 10)
#endif
enum { READ_BYTES = CF_READ_BYTES }; /* small enough to stay in the cache until it is parsed */

/* Move the rest to the front of the buffer and make room for a block behind it. */
static cf_status make_room_for_block(ingest_text *text)
{
    const int64_t left = text->end - text->begin;

    if (left > 0 && text->begin > 0)
        memmove(text->buffer, text->buffer + text->begin, (size_t)left);
    text->offset += text->begin;
    if (text->nul < INT64_MAX) text->nul -= text->begin;
    text->begin = 0;
    text->end = left;
    if (left + READ_BYTES / 2 + INGEST_SLACK <= text->capacity) return CF_OK;
    return CF_GROW(text->buffer, text->capacity, left + READ_BYTES + INGEST_SLACK);
}

/* Read a block. Sets `at_end` if there was nothing to read. */
static cf_status refill(ingest_text *text)
{
    const char *nul;
    ssize_t n;
    cf_status status = make_room_for_block(text);

    if (status != CF_OK) return status;
    cf_par_enter("pread");
    n = cf_file_read(text->fd, text->buffer + text->end, text->capacity - text->end - INGEST_SLACK,
                     text->offset + text->end);
    cf_par_leave();
    if (n < 0) return CF_FAIL(CF_ERR_IO, "%s: %s", text->path, strerror(errno));
    nul = memchr(text->buffer + text->end, 0, (size_t)n);
    if (nul != NULL && text->nul == INT64_MAX) text->nul = nul - text->buffer;
    text->end += n;
    text->at_end = n == 0;
    cf_progress_update(&text->progress,
                       (int64_t)(ingest_text_progress(text) * (double)text->progress.total), NULL);
    return CF_OK;
}

/* A first block is read at once, so that a byte order mark is seen before the first line. */
cf_status ingest_open_text(const ingest_file *file, ingest_text *out)
{
    ingest_text text = {.path = file->name,
                        .fd = open(file->path, O_RDONLY | O_CLOEXEC),
                        .stop = INT64_MAX,
                        .nul = INT64_MAX};
    struct stat about;
    cf_status status = CF_OK;

    *out = text;
    if (text.fd < 0 || fstat(text.fd, &about) != 0)
        return CF_FAIL(CF_ERR_IO, "%s: %s", file->name, strerror(errno));
    out->size = about.st_size;
    cf_progress_begin(&out->progress, file->name, "MB", out->size >> 20);
    while (status == CF_OK && !out->at_end && out->end < 3)
        status = refill(out);
    if (status == CF_OK && out->end >= 3 && memcmp(out->buffer, "\xef\xbb\xbf", 3) == 0)
        out->begin = 3; /* UTF-8's byte order mark */
    return status;
}

/* Position the text at the first line that begins at `begin` or later: behind the first line end
 * from byte begin - 1 on. That byte is included because a line end there makes `begin` the start of
 * a line. */
static cf_status skip_to(ingest_text *text, int64_t begin)
{
    const char *end = NULL, *nul;

    text->offset = begin - 1;
    text->begin = text->end = 0;
    text->at_end = false;
    while (end == NULL && !text->at_end && text->offset + text->end < text->stop) {
        cf_status status;

        text->begin = text->end;
        status = refill(text);
        if (status != CF_OK) return status;
        end = memchr(text->buffer, '\n', (size_t)text->end);
    }
    text->begin = end != NULL ? end + 1 - text->buffer : text->end;
    nul = memchr(text->buffer + text->begin, 0, (size_t)(text->end - text->begin));
    text->nul = nul != NULL ? nul - text->buffer : INT64_MAX;
    if (end == NULL) text->stop = 0; /* the line ends beyond the range: no line begins in it */
    return CF_OK;
}

/* Lines handed out so far were the header, which every rank reads. */
cf_status ingest_limit_text(ingest_text *text, ingest_range *range)
{
    text->range = range;
    text->stop = range->end;
    if (range->begin == 0) return CF_OK;
    text->line = range->first_line;
    text->has_text = false;
    /* The header may extend into the range: then the next line is already the right one. */
    if (text->offset + text->begin >= range->begin) return CF_OK;
    return skip_to(text, range->begin);
}

double ingest_text_progress(const ingest_text *text)
{
    const int64_t at = text->offset + text->begin;
    const int64_t begin = text->range != NULL ? text->range->begin : 0;
    const int64_t end = cf_min(text->stop, text->size);

    if (at >= end) return 1;
    if (at <= begin) return 0; /* skip_to() begins one byte before the range */
    return (double)(at - begin) / (double)(end - begin);
}

/* The range learns here what was read of it, also after an error: a second reading needs it. */
void ingest_close_text(ingest_text *text)
{
    if (text->range != NULL) {
        text->range->n_lines = text->line - text->range->first_line;
        text->range->first_empty = text->first_empty;
        text->range->has_text = text->has_text;
    }
    text->range = NULL;
    if (text->fd >= 0 && text->path != NULL) {
        close(text->fd);
        cf_progress_end(&text->progress);
    }
    text->path = NULL;
    cf_free(&text->buffer);
}

/* The next line, perhaps empty; NULL at the end of the range or file. The last line may lack a line
 * end. */
static cf_status take_line(ingest_text *text, char **line, int64_t *length)
{
    int64_t searched = 0; /* bytes known to have no line end */
    char *end = NULL;

    *line = NULL;
    if (text->offset + text->begin >= text->stop) return CF_OK;
    for (;;) {
        int64_t left = text->end - text->begin - searched;

        if (left > 0) end = memchr(text->buffer + text->begin + searched, '\n', (size_t)left);
        if (end != NULL || text->at_end) break;
        searched = text->end - text->begin;
        cf_status status = refill(text);
        if (status != CF_OK) return status;
    }
    if (end == NULL && text->begin == text->end) return CF_OK;
    if (end == NULL) end = text->buffer + text->end;
    /* Cut off the line end; the NUL goes where it was, or into the slack. */
    *line = text->buffer + text->begin;
    *length = end - *line;
    text->begin = cf_min(end + 1 - text->buffer, text->end);
    if (*length > 0 && (*line)[*length - 1] == '\r') --*length;
    (*line)[*length] = 0;
    text->line++;
    return CF_OK;
}

/* Empty lines are skipped until it is known whether text follows: then the first of them is an
 * error, else they end the file. */
cf_status ingest_next_line(ingest_text *text, char **line, int64_t *length)
{
    int64_t first_empty = 0;
    cf_status status;

    for (;;) {
        status = take_line(text, line, length);
        if (status == CF_OK && *line == NULL) text->first_empty = first_empty;
        if (status != CF_OK || *line == NULL) return status;
        if (*length > 0) break;
        if (first_empty == 0) first_empty = text->line;
    }
    /* Text after empty lines: report the first of these. */
    text->has_text = true;
    if (first_empty > 0) {
        text->line = first_empty;
        return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": an empty line", text->path, first_empty);
    }
    /* One comparison a line: the first NUL of the buffer is searched once a block. */
    if (*line - text->buffer + *length > text->nul)
        return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": a NUL byte, expected text", text->path,
                       text->line);
    return CF_OK;
}
