/** The spectra that a run leaves in log.jsonl. */
#pragma once

#include "run.h"

enum { MOST_LINES = 32, MOST_TEXT = 4096 };

/** The spectra that a run has logged, without their seconds. */
typedef struct spectra {
    int count;
    int64_t epoch[MOST_LINES];
    char text[MOST_LINES][MOST_TEXT];
} spectra;

/** Collective over the world: every rank reads all. */
static inline spectra *read_spectra(const char *folder)
{
    static const char begins[] = "{\"event\":\"spectrum\",\"epoch\":";
    spectra *out = calloc(1, sizeof *out);
    char path[1100], line[MOST_TEXT];
    FILE *file;

    assert_non_null(out);
    snprintf(path, sizeof path, "%s/log.jsonl", cf_test_scratch(folder));
    MPI_Barrier(world.comm);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char *seconds = strstr(line, ",\"seconds\"");

        if (strncmp(line, begins, strlen(begins)) != 0) continue;
        assert_true(out->count < MOST_LINES && seconds != NULL);
        *seconds = '\0';
        out->epoch[out->count] = strtol(line + strlen(begins), NULL, 10);
        memcpy(out->text[out->count++], line, sizeof line);
    }
    fclose(file);
    MPI_Barrier(world.comm);
    return out;
}
