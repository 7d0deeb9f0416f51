/**
 * core: what every other module stands on. Status and errors, memory, log, progress, clock. Nothing
 * here communicates: every function is Local.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- Status and errors ---- */

/** What a function that can fail returns; the number is also the program's exit status. */
typedef enum cf_status {
    CF_OK = 0,
    CF_ERR_USAGE = 2,   /* command line or settings */
    CF_ERR_FORMAT = 3,  /* input that is not what it should be */
    CF_ERR_IO = 4,      /* the file system said no */
    CF_ERR_MEMORY = 5,  /* out of memory */
    CF_ERR_NUMERIC = 6, /* NaN or infinity */
    CF_ERR_BUG = 70,    /* this program is wrong */
    CF_STOPPED = 75     /* before the end, with a complete checkpoint: run it again */
} cf_status;

/**
 * Note an error: keep its message (printf format, at most 1023 bytes, one line) for
 * cf_error_message() and give back `code`, so that `return CF_FAIL(CF_ERR_IO, "%s: %s", path,
 * strerror(errno));` reads as what it does. The message names the thing, the place and what was
 * expected.
 */
#define CF_FAIL(code, ...) cf_error_note((code), __VA_ARGS__)

/** Run `call`; unless it is CF_OK, keep its status in the local variable `status` and leave for the
 * label `done`. */
#define CF_TRY(call)                                                                               \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != CF_OK) goto done;                                                            \
    } while (0)

/** Unless `condition` holds, note an error (as CF_FAIL) and leave for the label `done` with its
 * status. */
#define CF_REQUIRE(condition, code, ...)                                                           \
    do {                                                                                           \
        if (!(condition)) CF_TRY(CF_FAIL((code), __VA_ARGS__));                                    \
    } while (0)

/** A bug, not an error: stays on in release builds, prints the place and ends the program
 * (MPI_Abort once par is up). */
#define CF_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : cf_error_assert(#condition, __FILE__, __LINE__))

cf_status cf_error_note(cf_status code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** The message of the last error noted in this process; "" if none. Owned by the library, valid
 * until the next. */
const char *cf_error_message(void);
_Noreturn void cf_error_assert(const char *condition, const char *file, int line);
/** What cf_error_assert() calls last instead of abort(); par sets it to MPI_Abort. */
void cf_error_set_abort(void (*function)(void));

/* ---- Memory ---- */

/**
 * Allocate `count` zeroed elements for the pointer variable `pointer`, aligned to 64 bytes (2 MiB
 * and huge pages from 4 MiB on). A count of 0 gives a valid pointer. Errors: MEMORY (`pointer`
 * untouched). Free with cf_free(&pointer).
 */
#define CF_ALLOC(pointer, count) cf_alloc(&(pointer), (count), sizeof *(pointer))

/** Make room for `count` elements behind `pointer` (capacity at least doubles; old elements kept,
 * new ones zero). */
#define CF_GROW(pointer, capacity, count)                                                          \
    cf_grow(&(pointer), &(capacity), (count), sizeof *(pointer))

cf_status cf_alloc(void *pointer, int64_t count, size_t size);
cf_status cf_grow(void *pointer, int64_t *capacity, int64_t count, size_t size);
/** Free `*pointer` (NULL is fine) and set it to NULL. Takes the address of any object pointer. */
void cf_free(void *pointer);

/**
 * One array of an object of type T, a row of a table of them. It has counts[count] * times + more
 * elements of `size` bytes, where `counts` are the object's own sizes (rows, peers, ...), numbered
 * by an enum beside the table.
 */
typedef struct cf_array {
    size_t offset; /* of the pointer in the object */
    size_t size;   /* bytes of an element */
    int count;     /* which of the object's sizes */
    int64_t times, more;
} cf_array;
/** The row of array `member` of `type`: counts[count] * times elements. */
#define CF_ARRAY(type, member, count, times) CF_ARRAY_MORE(type, member, count, times, 0)
#define CF_ARRAY_MORE(type, member, count, times, more)                                            \
    {                                                                                              \
        offsetof(type, member), sizeof *((type *)NULL)->member, (count), (times), (more)           \
    }
/** Allocate all arrays of a table, zeroed. Local. Errors: MEMORY; what was allocated stays, to be
 * freed with cf_arrays_destroy(), which takes pointers that are NULL too. */
cf_status cf_arrays_create(void *object, const cf_array *arrays, int n, const int64_t *counts);
void cf_arrays_destroy(void *object, const cf_array *arrays, int n);
/** Bytes that the arrays take; counts may be means, and thus fractions. Local. */
double cf_arrays_bytes(const cf_array *arrays, int n, const double *counts);

/** For tests: the n-th allocation from now fails (1 = the next; 0 = none) on the process that calls
 * it. */
void cf_alloc_fail_at(int64_t n);
/** Allocations not yet freed, their bytes, and the most bytes ever held at once. */
int64_t cf_alloc_live(void);
int64_t cf_alloc_held(void);
int64_t cf_alloc_peak(void);

/* ---- Log, progress, clock ---- */

/** Print one line to stderr, if this process is the one that logs; cf_warn() puts "warning: "
 * before it. */
void cf_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cf_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Who logs: true by default; par switches it off on all ranks but 0. `quiet` drops cf_log() and
 * progress, not warnings. */
void cf_log_enable(bool enabled, bool quiet);

/**
 * A progress bar on stderr: redrawn at most 10 times a second on a terminal; in a file one plain
 * line each 10 seconds. mpirun hides the terminal: LLMINIT_PROGRESS=bar in the environment draws it
 * all the same. `note` (may be NULL) is shown after rate and time left, e.g. "loss 0.4312". `unit`
 * names what is counted.
 */
typedef struct cf_progress {
    const char *title, *unit;
    int64_t total, done;
    double started, drawn;
} cf_progress;
void cf_progress_begin(cf_progress *progress, const char *title, const char *unit, int64_t total);
void cf_progress_update(cf_progress *progress, int64_t done, const char *note);
void cf_progress_end(cf_progress *progress);

/** Seconds of a monotonic clock. */
double cf_clock_now(void);

/* ---- Files that are complete or absent ---- */

/** A file that is written piece by piece: under PATH.tmp, until cf_output_commit() gives it its
 * name. Zeroed, it is closed. Everything is Local. */
typedef struct cf_output {
    FILE *file;             /* open for writing; NULL if closed */
    char *path, *temporary; /* PATH and PATH.tmp; owned */
} cf_output;
/** Errors: IO, MEMORY; then `output` is closed. */
cf_status cf_output_open(cf_output *output, const char *path);
/** IO if something could not be written so far. */
cf_status cf_output_check(const cf_output *output);
/** Sync the file, give it its name, and close. Errors: IO (the file that was at PATH stays). */
cf_status cf_output_commit(cf_output *output);
/** Close; a file that was not committed is removed. Does nothing if closed. */
void cf_output_close(cf_output *output);

/** Replace the file `path` by one with these bytes, in the same way. Local. Errors: IO (`path` is
 * as it was before), MEMORY. */
cf_status cf_file_replace(const char *path, const void *bytes, size_t size);
