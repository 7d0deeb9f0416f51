/* Start of MPI, files in memory, and what is required of every input: the process goes on, and no
 * allocation of the program's is left. libFuzzer's entry points call the harness. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

cf_par fuzz_world;
const cf_par fuzz_self = {MPI_COMM_SELF, 0, 1};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

_Noreturn void fuzz_fail(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not true: %s\nthe last error: %s\n", file, line, condition,
            cf_error_message());
    abort();
}

/* Descriptors far above those that a parser opens, so that the paths are the same on every rank. */
const char *fuzz_file(int number, const void *bytes, size_t size)
{
    static const char *const path[FUZZ_FILES] = {"/proc/self/fd/200", "/proc/self/fd/201"};
    static bool is_open[FUZZ_FILES];
    const int file = 200 + number;

    if (!is_open[number]) {
        const int made = memfd_create("input", MFD_CLOEXEC);

        FUZZ_REQUIRE(made >= 0 && dup3(made, file, O_CLOEXEC) == file);
        close(made);
        is_open[number] = true;
    }
    FUZZ_REQUIRE(ftruncate(file, 0) == 0);
    FUZZ_REQUIRE(pwrite(file, bytes, size, 0) == (ssize_t)size);
    return path[number];
}

void fuzz_check_error(cf_status status)
{
    const char *message = cf_error_message();

    FUZZ_REQUIRE(status == CF_ERR_USAGE || status == CF_ERR_FORMAT || status == CF_ERR_IO ||
                 status == CF_ERR_MEMORY || status == CF_ERR_NUMERIC);
    FUZZ_REQUIRE(message[0] != 0);
    for (const char *c = message; *c; c++)
        FUZZ_REQUIRE(((unsigned char)*c >= 32 && *c != 127) || *c == '\t');
}

/* Failed assertions of the program end with abort(), which libFuzzer notes with its input. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    cf_par_init(argc, argv, &fuzz_world);
    cf_error_set_abort(abort);
    cf_log_enable(false, true);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int64_t live = cf_alloc_live();

    fuzz_input(data, size);
    FUZZ_REQUIRE(cf_alloc_live() == live);
    return 0;
}
