/* The lines of a text, in blocks that rank 0 reads and every rank gets: a pipe can be read once,
 * and by one rank alone. A block has whole lines; each
 * is handed out in the buffer, with a NUL in place of its line end. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 1 << 20 };

/* Append whole lines up to BLOCK_BYTES. Local, on rank 0. */
static cf_status read_block(cli_lines *lines)
{
    const char *path = lines->path;
    size_t room = 0;
    char *line = NULL;
    ssize_t length = 0;
    cf_status status = CF_OK;

    lines->size = 0;
    while (lines->size < BLOCK_BYTES && (length = getline(&line, &room, lines->file)) >= 0) {
        CF_REQUIRE(memchr(line, 0, (size_t)length) == NULL, CF_ERR_FORMAT,
                   "%s: has a zero byte, expected a text (a compressed file: <(zcat FILE))", path);
        CF_TRY(CF_GROW(lines->bytes, lines->capacity, lines->size + length + 1));
        memcpy(lines->bytes + lines->size, line, (size_t)length);
        lines->size += length;
        if (line[length - 1] != '\n') lines->bytes[lines->size++] = '\n'; /* the last line */
    }
    CF_REQUIRE(length >= 0 || feof(lines->file) || ferror(lines->file), CF_ERR_MEMORY,
               "%s: out of memory", path);
    CF_REQUIRE(!ferror(lines->file), CF_ERR_IO, "%s: cannot read (%s)", path, strerror(errno));
done:
    free(line);
    return status;
}

cf_status cli_open_lines(const cf_par *world, const char *path, cli_lines *out)
{
    cf_status status = CF_OK;

    *out = (cli_lines){.world = world, .path = path};
    if (world->rank == 0) {
        out->file = fopen(path, "r");
        if (out->file == NULL)
            status = CF_FAIL(CF_ERR_IO, "%s: cannot open (%s)", path, strerror(errno));
    }
    return cf_par_agree_on_input(world, status);
}

/* The bytes of rank 0 for all. */
cf_status cli_next_block(cli_lines *lines, bool *more)
{
    const cf_par *world = lines->world;
    cf_status status = world->rank == 0 ? read_block(lines) : CF_OK;

    CF_TRY(cf_par_agree_on_input(world, status));
    cf_par_broadcast(world, &lines->size, sizeof lines->size, 0);
    if (world->rank != 0) status = CF_GROW(lines->bytes, lines->capacity, lines->size + 1);
    CF_TRY(cf_par_agree(world, status));
    cf_par_broadcast(world, lines->bytes, lines->size, 0);
    lines->next = 0;
    *more = lines->size > 0;
done:
    return status;
}

char *cli_next_line(cli_lines *lines)
{
    char *line = lines->bytes + lines->next, *end;

    if (lines->next >= lines->size) return NULL;
    end = memchr(line, '\n', (size_t)(lines->size - lines->next));
    lines->next = end + 1 - lines->bytes;
    *end = '\0';
    if (end > line && end[-1] == '\r') end[-1] = '\0';
    lines->line++;
    return lines->line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line;
}

void cli_close_lines(cli_lines *lines)
{
    if (lines->file != NULL) fclose(lines->file);
    lines->file = NULL;
    cf_free(&lines->bytes);
}
