/* Lists of ids that people write: one a line, blank lines ignored, line ends of any system. Every
 * rank reads the whole list and has the same ids in the same order. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Append one line without its end, unless it is blank. `capacity`: of ids->start and ids->bytes. */
static cf_status append_line(char *line, int64_t length, int64_t capacity[2], cf_strings *ids)
{
    int64_t end = ids->count > 0 ? ids->start[ids->count] : 0;
    cf_status status = CF_OK;

    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    if (length == 0) goto done;
    line[length] = '\0';
    /* start has count + 1 offsets; the bytes keep a NUL after each id */
    CF_TRY(CF_GROW(ids->start, capacity[0], ids->count + 2));
    CF_TRY(CF_GROW(ids->bytes, capacity[1], end + length + 1));
    memcpy(ids->bytes + end, line, (size_t)length + 1);
    ids->start[++ids->count] = end + length + 1;
done:
    return status;
}

/* The first line may begin with UTF-8's byte order mark, which some editors put there. */
static int64_t skip_mark(const char *line, int64_t number)
{
    return number == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* getline() grows its own buffer, so an id may have any length; a zero byte would end it early. It
 * also ends before the end of the file where memory does, which ferror() does not say. */
cf_status cli_read_ids(const char *path, cf_strings *out)
{
    FILE *file = fopen(path, "r");
    cf_strings ids = {0};
    int64_t capacity[2] = {0, 0}, number = 0, skip;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    cf_status status = CF_OK;

    if (file == NULL) return CF_FAIL(CF_ERR_IO, "%s: cannot open (%s)", path, strerror(errno));
    while ((length = getline(&line, &size, file)) >= 0) {
        number++; /* blank lines count, so that it is the editor's line number */
        CF_REQUIRE(strlen(line) == (size_t)length, CF_ERR_FORMAT,
                   "%s:%lld: has a zero byte, expected one id a line", path, (long long)number);
        skip = skip_mark(line, number);
        CF_TRY(append_line(line + skip, length - skip, capacity, &ids));
    }
    CF_REQUIRE(feof(file) || ferror(file), CF_ERR_MEMORY, "%s: out of memory", path);
    CF_REQUIRE(!ferror(file), CF_ERR_IO, "%s: cannot read (%s)", path, strerror(errno));
    CF_REQUIRE(ids.count > 0, CF_ERR_FORMAT, "%s: is empty, expected one id a line", path);
    *out = ids;
    ids = (cf_strings){0};
done:
    cf_dataset_destroy_strings(&ids);
    free(line);
    fclose(file);
    return status;
}

/* Numbers are sorted to find one that comes twice; the first id with that number is named. */
cf_status cli_check_distinct(const char *path, const cf_strings *ids, const int64_t *numbers)
{
    uint64_t *sorted = NULL, *scratch = NULL;
    int64_t twice = -1;
    cf_status status = CF_OK;

    CF_TRY(CF_ALLOC(sorted, ids->count));
    CF_TRY(CF_ALLOC(scratch, ids->count));
    for (int64_t k = 0; k < ids->count; k++)
        sorted[k] = (uint64_t)numbers[k];
    cf_sort_u64(sorted, scratch, ids->count);
    for (int64_t k = 1; k < ids->count && twice < 0; k++)
        if (sorted[k] == sorted[k - 1]) twice = (int64_t)sorted[k];
    for (int64_t k = 0; k < ids->count && twice >= 0; k++)
        if (numbers[k] == twice)
            CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: \"%.200s\" is listed twice", path,
                           ids->bytes + ids->start[k]));
done:
    cf_free(&sorted);
    cf_free(&scratch);
    return status;
}
