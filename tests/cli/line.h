/** Running a command line inside a test. */
#pragma once

#include "cf_test.h"
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_WORDS = 24 };

/**
 * Run a command line given as one text, words separated by single blanks. Collective. What rank 0
 * prints on stdout is returned in `out` on rank 0, "" on the others; `out` may be NULL. Free with
 * free().
 */
static cf_status run_line(const char *line, char **out)
{
    const char *path = cf_test_scratch("stdout");
    char *words = strdup(line), *argv[MAX_WORDS + 1] = {0}, *rest = NULL;
    int argc = 0, saved = dup(STDOUT_FILENO);
    cf_status status;

    for (char *w = strtok_r(words, " ", &rest); w && argc < MAX_WORDS;
         w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    fflush(stdout);
    if (world.rank == 0) assert_non_null(freopen(path, "w", stdout));
    status = cli_run(&world, argc, argv);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    free(words);
    if (out) {
        FILE *file = world.rank == 0 ? fopen(path, "r") : NULL;

        *out = calloc(1, 1 << 16);
        assert_non_null(*out);
        if (file) {
            assert_true(fread(*out, 1, (1 << 16) - 1, file) > 0);
            fclose(file);
        }
    }
    return status;
}
