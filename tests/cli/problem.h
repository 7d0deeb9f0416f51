/** A small problem on disk, and command lines on it. */
#pragma once

#include "line.h"

#include <stdio.h>

enum { USERS = 60, ITEMS = 40, WIDTH = 48, TOPK = 7 };

/* Paths of this test's files. */
static char inter[1024], item[1024], npy[1024], data[1024], run[1024], tsv[1024], list[1024];
static char folder[1024];

static inline void put_path(char *out, const char *name)
{
    snprintf(out, 1024, "%s", cf_test_scratch(name));
}

/* Like run_line() on a formatted line. */
__attribute__((format(printf, 2, 3))) static inline cf_status run_format(char **out,
                                                                         const char *format, ...)
{
    char line[3 * 8192];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return run_line(line, out);
}

__attribute__((format(printf, 1, 2))) static inline void succeed(const char *format, ...)
{
    char line[3 * 8192];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (run_line(line, NULL) != CF_OK) fail_msg("%s: %s", line, cf_error_message());
}

/* The JSON object that a command prints; NULL on ranks other than 0. */
__attribute__((format(printf, 1, 2))) static inline json_t *succeed_json(const char *format, ...)
{
    char line[3 * 8192], *text = NULL;
    json_t *object = NULL;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (run_line(line, &text) != CF_OK) fail_msg("%s: %s", line, cf_error_message());
    if (world.rank == 0) {
        object = json_loads(text, 0, NULL);
        if (!object) fail_msg("%s: not JSON: %s", line, text);
    }
    free(text);
    return object;
}

static inline int64_t integer(const json_t *object, const char *name)
{
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

/* ---- Files ---------------------------------------------------------------------------------- */

static inline uint64_t draw(uint64_t a, uint64_t b)
{
    return cf_random_bits((cf_random){7, CF_STREAM_TEST}, a, b, 0);
}

static inline void write_inputs(void)
{
    FILE *f = fopen(inter, "w");

    assert_non_null(f);
    fprintf(f, "user_id:token\titem_id:token\n");
    for (int u = 0; u < USERS; u++)
        for (int i = 0; i < ITEMS; i++)
            if ((i + u) % 9 < 2 || draw((uint64_t)u, (uint64_t)i) % 8 == 0)
                fprintf(f, "u%d\ti%d\n", u, i);
    fclose(f);
    f = fopen(item, "w");
    assert_non_null(f);
    fprintf(f, "item_id:token\ttitle:token_seq\n");
    for (int i = 0; i < ITEMS; i++)
        fprintf(f, "i%d\tTitle of %d\n", i, i);
    fclose(f);

    f = fopen(npy, "wb");
    assert_non_null(f);
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, f);
    fprintf(f, "%-117s\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 48), }");
    for (int k = 0; k < ITEMS * WIDTH; k++) {
        float x = (float)((double)(draw(1000, (uint64_t)k) >> 40) / 16777216.0 - 0.5);
        fwrite(&x, sizeof x, 1, f);
    }
    fclose(f);
}

/** Remove the run and the exported tables. Collective. */
static inline void clear_output(void)
{
    char command[4096];

    MPI_Barrier(world.comm);
    snprintf(command, sizeof command, "rm -rf '%s' '%s'", run, folder);
    if (world.rank == 0) assert_int_equal(system(command), 0);
    MPI_Barrier(world.comm);
}

/** Name all paths, without what an earlier run left there, and write the input files. */
static inline void make_inputs(void)
{
    put_path(inter, "a.inter");
    put_path(item, "a.item");
    put_path(npy, "a.npy");
    put_path(data, "a.h5");
    put_path(run, "run");
    put_path(tsv, "a.tsv");
    put_path(list, "users.txt");
    put_path(folder, "export");
    clear_output();
    if (world.rank == 0) write_inputs();
    MPI_Barrier(world.comm);
}
