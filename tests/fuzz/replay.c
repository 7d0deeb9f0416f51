/* The main() of a harness without libFuzzer: each file of a folder is an input, in the order of
 * their names.
 *
 *     fuzz_replay_NAME FOLDER
 *
 * Every rank reads all files. Fails unless there is one. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BYTES = 1 << 20 };

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The input lies in memory of its exact size, so that a sanitizer sees a read beyond it. */
static void replay(const char *folder, const char *name)
{
    uint8_t *bytes = malloc(MAX_BYTES), *exact = NULL;
    char path[4096];
    size_t size;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    FUZZ_REQUIRE(file != NULL && bytes != NULL);
    size = fread(bytes, 1, MAX_BYTES, file);
    FUZZ_REQUIRE(!ferror(file) && size < MAX_BYTES);
    fclose(file);
    exact = realloc(bytes, size > 0 ? size : 1);
    FUZZ_REQUIRE(exact != NULL);
    if (fuzz_world.rank == 0) printf("%s\n", path);
    fflush(stdout); /* the last line names the input that ends the process */
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int n;

    LLVMFuzzerInitialize(&argc, &argv);
    FUZZ_REQUIRE(argc == 2);
    n = scandir(argv[1], &entries, is_input, alphasort);
    FUZZ_REQUIRE(n > 0);
    for (int k = 0; k < n; k++) {
        replay(argv[1], entries[k]->d_name);
        free(entries[k]);
    }
    free(entries);
    if (fuzz_world.rank == 0) printf("%d inputs\n", n);
    cf_par_finalize();
    return 0;
}
