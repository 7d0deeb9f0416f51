/**
 * Support for tests: cmocka under MPI. Every rank runs every test; only rank 0 prints passes, every
 * rank prints failures. CMOCKA_TEST_ABORT=1 (set by CTest) turns one rank's failed assertion into
 * the end of the job, not a hang.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cf/par.h"

/** MPI_COMM_WORLD, for all tests. */
extern cf_par world;
/** MPI_COMM_SELF: with it each rank runs the serial reference itself. */
extern const cf_par cf_test_self;

/** A path for a file this test run may write: in a folder of its own, the same on every rank, which
 * exists. `name` without '/'. Static buffer. */
const char *cf_test_scratch(const char *name);

/** From here on what this rank writes to stderr goes to a file; cf_test_end_stderr() returns it
 * (static buffer), and puts stderr back. Local. */
void cf_test_begin_stderr(void);
const char *cf_test_end_stderr(void);

/** Fail with the message of an error unless `call` is CF_OK. */
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != CF_OK) fail_msg("%s", cf_error_message());                                   \
    } while (0)
/** Fail unless `call` gives `status`, and its message says `words`. */
#define assert_refused(call, status, words)                                                        \
    do {                                                                                           \
        assert_int_equal((call), (status));                                                        \
        if (strstr(cf_error_message(), (words)) == NULL)                                           \
            fail_msg("\"%s\" does not say \"%s\"", cf_error_message(), (words));                   \
    } while (0)

/** How many temporary files of `path` lie beside it. Local. */
int cf_test_count_temporary(const char *path);

/** Fail unless |got - want| <= tolerance * scale for all `count` numbers; names the first that
 * differs. */
void cf_test_close_f32(const float *got, const double *want, int64_t count, double tolerance,
                       double scale);
#define assert_close(got, want, tolerance)                                                         \
    cf_test_close((double)(got), (double)(want), (tolerance), #got, __FILE__, __LINE__)
void cf_test_close(double got, double want, double tolerance, const char *what, const char *file,
                   int line);

/** A .npy file of tests/data as doubles (from f4, f8, i4, i8, b1): shape in dims[0..1] (1-D:
 * dims[1] = 1; 3-D: dims[1] is the product of the last two). Free with free(). Every rank reads it
 * all. */
double *cf_test_npy(const char *path, int64_t dims[2]);

/** Flip one bit where the file holds the four bytes of `value`. On one rank. */
void cf_test_damage(const char *path, float value);

/** A call that must fail on every rank, and leak nothing, wherever one rank's memory ends. */
typedef struct cf_test_trial {
    cf_status (*attempt)(void *context); /* the call; an allocation in it fails on one rank */
    void (*prepare)(void *context);      /* before each attempt; may be NULL */
    void (*clean_up)(void *context);     /* after each attempt, failed or not; may be NULL */
    int64_t step;     /* n grows by it; 0 means 1: each allocation fails in turn */
    int64_t thinning; /* if not 0, n grows by n / thinning more */
    bool rotate;      /* the next n is tried on the next rank alone, for costly attempts */
    int64_t least[2]; /* allocations that rank 0, and any other rank, makes at the least */
} cf_test_trial;

/**
 * Let the n-th allocation of an attempt fail, n = 1, 2, ..., until the attempt succeeds; on each
 * rank in turn. Each failure must be CF_ERR_MEMORY on all ranks, with the message "out of memory"
 * of the rank where it happened, and prepare, attempt and clean_up together may keep no memory. No
 * attempt may succeed before n is beyond `least`. Returns the fewest failures that any rank's turn
 * had. Collective over the world.
 */
int64_t cf_test_every_allocation(const cf_test_trial *trial, void *context);

int cf_test_main(int argc, char **argv, int (*run)(void));
/** Group teardown: leaves cmocka's closing lines to rank 0. */
int cf_test_end_group(void **state);

/** main() of a test program: starts MPI, runs the tests, checks that all memory was freed, exits 1
 * if any rank saw a failure. */
#define CF_TEST_MAIN(tests)                                                                        \
    static int cf_test_run_group(void)                                                             \
    {                                                                                              \
        return cmocka_run_group_tests_name(__FILE__, tests, NULL, cf_test_end_group);              \
    }                                                                                              \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return cf_test_main(argc, argv, cf_test_run_group);                                        \
    }
