/* Lists of user ids for `recommend --users`. An input is the file. Required: the ids are the lines
 * that are not blank; what is accepted, written and read again, is the same; an id that is listed
 * twice is found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "fuzz.h"

static const char *id_of(const cli_ids *ids, int64_t k)
{
    return ids->text.bytes + ids->text.start[k];
}

/* Other line ends, blank lines, and the byte order mark that some editors put in front. */
static void check_copy(const cli_ids *ids)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *copy = open_memstream(&bytes, &size);
    cli_ids back = {0};

    FUZZ_REQUIRE(copy != NULL);
    fprintf(copy, "\xef\xbb\xbf");
    for (int64_t k = 0; k < ids->text.count; k++)
        fprintf(copy, "\r\n%s\r\n", id_of(ids, k));
    FUZZ_REQUIRE(fclose(copy) == 0);
    FUZZ_REQUIRE(cli_read_ids(fuzz_file(1, bytes, size), &back) == CF_OK);
    FUZZ_REQUIRE(back.text.count == ids->text.count);
    for (int64_t k = 0; k < ids->text.count; k++)
        FUZZ_REQUIRE(strcmp(id_of(&back, k), id_of(ids, k)) == 0);
    cli_free_ids(&back);
    free(bytes);
}

static void check_distinct(const cli_ids *ids)
{
    int64_t *numbers = malloc((size_t)ids->text.count * sizeof *numbers);

    FUZZ_REQUIRE(numbers != NULL);
    for (int64_t k = 0; k < ids->text.count; k++)
        numbers[k] = ids->text.count - k;
    FUZZ_REQUIRE(cli_check_distinct(ids, numbers) == CF_OK);
    numbers[0] = numbers[ids->text.count - 1];
    if (ids->text.count > 1) {
        FUZZ_REQUIRE(cli_check_distinct(ids, numbers) == CF_ERR_FORMAT);
        fuzz_check_error(CF_ERR_FORMAT);
    }
    free(numbers);
}

void fuzz_input(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(0, data, size);
    cli_ids ids = {0};
    const cf_status status = cli_read_ids(path, &ids);

    if (status != CF_OK) {
        fuzz_check_error(status);
        FUZZ_REQUIRE(ids.text.count == 0 && ids.text.bytes == NULL);
        return;
    }
    FUZZ_REQUIRE(ids.text.count > 0 && ids.text.start[0] == 0 && ids.line[0] > 0);
    for (int64_t k = 0; k < ids.text.count; k++) {
        const char *id = id_of(&ids, k);
        const int64_t length = (int64_t)strlen(id);

        FUZZ_REQUIRE(length > 0 && ids.text.start[k] + length + 1 == ids.text.start[k + 1]);
        FUZZ_REQUIRE(strchr(id, '\n') == NULL && id[length - 1] != '\r');
        FUZZ_REQUIRE(memmem(data, size, id, (size_t)length) != NULL);
    }
    check_copy(&ids);
    check_distinct(&ids);
    cli_free_ids(&ids);
}
