/**
 * core: what every other module uses. Status and errors, memory, text, log, progress, clock, small
 * files. Nothing here communicates: every function is Local, and none but cf_alloc() and the
 * counters may be called by several threads at once unless it says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Room for a line of a message or of the log, with its NUL: the longest path twice. */
enum { CF_LINE_SIZE = 8192 };

/* ---- Status and errors ---- */

/** What a function that can fail returns; the number is also the program's exit status. */
typedef enum cf_status {
    CF_OK = 0,
    CF_ERR_USAGE = 2,   /* command line or settings */
    CF_ERR_FORMAT = 3,  /* malformed input */
    CF_ERR_IO = 4,      /* the file system refused */
    CF_ERR_MEMORY = 5,  /* out of memory */
    CF_ERR_NUMERIC = 6, /* NaN or infinity */
    CF_ERR_HANG = 7,    /* a rank made no progress (hang_timeout) */
    CF_ERR_RESULT = 8,  /* selftest: a result is not what it must be */
    CF_ERR_BUG = 70,    /* a bug of this program (EX_SOFTWARE of sysexits.h) */
    CF_STOPPED = 75     /* stopped early with a complete checkpoint; run again (EX_TEMPFAIL) */
} cf_status;

/**
 * Note an error: keep its message (printf format, shown by cf_text_show() in CF_LINE_SIZE bytes)
 * for cf_error_message() and return `code`, as in `return CF_FAIL(CF_ERR_IO, "%s: %s", path,
 * strerror(errno));`. The message names the thing, the place and what was expected. The last
 * message may be among the arguments. Any thread.
 */
#define CF_FAIL(code, ...) cf_error_note((code), __VA_ARGS__)

/** Run `call` and keep its result in the local variable `status`; unless it is CF_OK, leave for the
 * label `done`, which frees everything and returns `status`. */
#define CF_TRY(call)                                                                               \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != CF_OK) goto done;                                                            \
    } while (0)

/** Unless `condition` holds, note an error as CF_FAIL() does, and leave for the label `done` as
 * CF_TRY() does. The condition is evaluated once. */
#define CF_REQUIRE(condition, code, ...)                                                           \
    do {                                                                                           \
        if (!(condition)) CF_TRY(CF_FAIL((code), __VA_ARGS__));                                    \
    } while (0)

/** What is false only by a bug of this program. Stays on in release builds; prints the place and
 * ends the program (with MPI_Abort() between cf_par_init() and cf_par_finalize()). */
#define CF_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : cf_error_assert(#condition, __FILE__, __LINE__))

/** What CF_FAIL() calls. */
cf_status cf_error_note(cf_status code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** The message of the last error noted in this process; "" if none. Static, valid until the next
 * error. */
const char *cf_error_message(void);
/** What CF_ASSERT() calls. */
_Noreturn void cf_error_assert(const char *condition, const char *file, int line);
/** Replace abort() at the end of cf_error_assert(); par sets a function that calls MPI_Abort(). */
void cf_error_set_abort(void (*function)(void));

/* ---- Build ---- */

/** What this program was built from, and how; what a build does not know is "unknown". The texts
 * are static. */
typedef struct cf_build {
    const char *version; /* "0.1.0" */
    const char *commit;  /* as git describes it: 40 digits, "-dirty" if sources were changed */
    const char *compiler, *flags;
    const char *instruction_set; /* that the compiler uses: "x86-64-v3" */
    const char *march;           /* what -march=native came to, or what was given */
} cf_build;
cf_build cf_build_facts(void);
/** main tells the commit of the build: a static text. */
void cf_build_set_commit(const char *text);
/** The C library that runs, "glibc 2.36": static. */
const char *cf_build_libc(void);

/* ---- Memory ---- */

/**
 * Allocate `count` zeroed elements for the pointer variable `pointer`, aligned to 64 bytes (2 MiB
 * and huge pages from 4 MiB on). A count of 0 gives a valid pointer. Errors: MEMORY (`pointer`
 * untouched; also if the number of bytes overflows). Free with cf_free(&pointer).
 */
#define CF_ALLOC(pointer, count) cf_alloc(&(pointer), (count), sizeof *(pointer))

/** Make room for `count` elements at `pointer`, of which `capacity` are there (0 with NULL): the
 * capacity at least doubles if it grows, old elements are kept, new ones are zero. Errors: MEMORY
 * (nothing changes). */
#define CF_GROW(pointer, capacity, count)                                                          \
    cf_grow(&(pointer), &(capacity), (count), sizeof *(pointer))

/** Bytes of a huge page, and of the smallest blocks that are made of such. In smaller ones up to
 * half of the last page would be unused. */
#define CF_HUGE_PAGE ((int64_t)2 << 20)
#define CF_HUGE_FROM (2 * CF_HUGE_PAGE)

/** What CF_ALLOC() and CF_GROW() call; `pointer` is the address of any object pointer. */
cf_status cf_alloc(void *pointer, int64_t count, size_t size);
cf_status cf_grow(void *pointer, int64_t *capacity, int64_t count, size_t size);
/** Free `*pointer`, which may be NULL, and set it to NULL. `pointer` is the address of any object
 * pointer. */
void cf_free(void *pointer);

/**
 * One array of an object: a row of the table of its arrays. The array has counts[count] * times +
 * more elements of `size` bytes, where `counts` are the sizes of the object (rows, peers, ...),
 * numbered by an enum beside the table.
 */
typedef struct cf_array {
    size_t offset; /* of the pointer in the object */
    size_t size;   /* bytes of an element */
    int count;     /* index into counts */
    int64_t times, more;
} cf_array;
/** The row of array `member` of struct `type`: counts[count] * times elements, and `more` of them.
 */
#define CF_ARRAY(type, member, count, times) CF_ARRAY_MORE(type, member, count, times, 0)
#define CF_ARRAY_MORE(type, member, count, times, more)                                            \
    {                                                                                              \
        offsetof(type, member), sizeof *((type *)NULL)->member, (count), (times), (more)           \
    }
/** Allocate the `n` arrays of a table, zeroed, for an object whose pointers are NULL. Errors:
 * MEMORY; the arrays allocated so far stay, to be freed with cf_arrays_destroy(). */
cf_status cf_arrays_create(void *object, const cf_array *arrays, int n, const int64_t *counts);
/** Free all arrays of a table; NULL pointers are skipped. */
void cf_arrays_destroy(void *object, const cf_array *arrays, int n);
/** Bytes of the arrays. Counts may be predicted means, thus fractions. */
double cf_arrays_bytes(const cf_array *arrays, int n, const double *counts);

/** Count memory that cf_alloc() does not make as if it did: in what follows, and where an
 * allocation is to fail. Errors: MEMORY. Local. */
cf_status cf_alloc_count(int64_t bytes);
void cf_alloc_uncount(int64_t bytes);

/** Has a block been made for which huge pages were asked? */
bool cf_alloc_asks_huge(void);

/** For tests: let the n-th allocation of this process from now on fail; 1 is the next one, 0 none.
 */
void cf_alloc_fail_at(int64_t n);
/** Allocations of this process that are not freed. */
int64_t cf_alloc_live(void);
/** Their bytes, without alignment and headers. */
int64_t cf_alloc_held(void);
/** The largest number of bytes held so far, or since the last reset. */
int64_t cf_alloc_peak(void);
void cf_alloc_reset_peak(void);

/* ---- Text ---- */

/** A new text in printf's format, to be freed with cf_free(). A text that `*out` held may be among
 * the arguments, and is not freed. Errors: MEMORY (`*out` untouched; also for 2 GiB or more). */
cf_status cf_text_format(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * Show a text of unknown origin as one line that does nothing to a terminal: newlines become
 * spaces, other control characters but tabs, and bytes that are no UTF-8, become \xNN. What does
 * not fit into `size` bytes is cut, between characters. Returns `out`, which must not overlap
 * `text`.
 */
const char *cf_text_show(const char *text, char *out, size_t size);
/** A new text, to be freed with cf_free(), that is UTF-8: bytes of `text` that are not become \xNN.
 * Errors: MEMORY. */
cf_status cf_text_to_utf8(const char *text, char **out);

/* ---- Log, progress, clock ---- */

/** Print "llminit: " and one line (printf format) to stderr, if this process logs. */
void cf_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** The same with "warning: " before the line; not silenced by `quiet`. */
void cf_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Whether this process logs (by default it does; par switches it off on all ranks but 0), and
 * whether cf_log() and progress are silenced. */
void cf_log_enable(bool enabled, bool quiet);

/**
 * Progress of long work, on stderr: a bar on a terminal, redrawn at most 10 times a second; a plain
 * line each 10 seconds elsewhere. mpirun hides the terminal: LLMINIT_PROGRESS=bar in the
 * environment draws the bar all the same. Work shorter than one interval leaves no line.
 */
typedef struct cf_progress {
    const char *title, *unit; /* borrowed: "epoch 3", and what is counted, "steps" */
    int64_t total, done;      /* units; total 0 or less: unknown */
    double started, drawn;    /* seconds of cf_clock_now() */
} cf_progress;
void cf_progress_begin(cf_progress *progress, const char *title, const char *unit, int64_t total);
/** `note` is shown after rate and time left, e.g. "loss 0.4312"; may be NULL. */
void cf_progress_update(cf_progress *progress, int64_t done, const char *note);
void cf_progress_end(cf_progress *progress);

/** Seconds of a monotonic clock, from an arbitrary start. */
double cf_clock_now(void);

/* ---- Bytes of files ---- */

/** Read `size` bytes at `offset`, in as many calls of pread() as it takes. How many there were,
 * fewer only where the file ends; -1 and errno if it cannot be read. Local. */
int64_t cf_file_read(int fd, void *out, int64_t size, int64_t offset);
/** Write in the same way. False, and errno, if not all can be written. Local. */
bool cf_file_write(int fd, const void *bytes, int64_t size, int64_t offset);

/* ---- Files that are complete or absent ---- */

/**
 * The path at which a file called `path` is to lie: if it is a link to a file, or to nothing yet,
 * then where it leads. `*out` is NULL if a file must not take its place: a device, FIFO, socket or
 * open file of /proc is there, or `path` is "-", standard output. Local. `*out` is new, freed with
 * cf_free(). Errors: IO (a folder is there, links that lead to themselves), MEMORY.
 */
cf_status cf_file_target(const char *path, char **out);

/** Folders that were made for an output. Zeroed, there are none. */
typedef struct cf_folders {
    char *path; /* of the innermost one; owned */
    bool *made; /* by the length of its path: was this folder made? owned */
} cf_folders;
/** Make the folder `path` and those above it that are not there, as mkdir -p does. `*out` is new,
 * left with cf_folders_leave(). Errors: IO (then nothing is left behind; also if no folder is
 * there), MEMORY. */
cf_status cf_folder_make(const char *path, cf_folders *out);
/** Remove those of the folders that were made and that nothing is in, and free `*folders`. Does
 * nothing if zeroed. */
void cf_folders_leave(cf_folders *folders);

/** A file that is being made, under a temporary name until cf_file_publish(). Zeroed, there is
 * none. Everything is Local. */
typedef struct cf_new_file {
    int fd;          /* open for reading and writing; locked by flock() where that works */
    char *path;      /* cf_file_target() */
    char *temporary; /* beside it: path.HOST.PID.N.tmp, or a shorter name; NULL once published */
    char *kept;      /* while several are published: a name of what was there before; else NULL */
    cf_folders folders; /* that were made for it */
} cf_new_file;
/** Make a new file, empty, that no other process has, and the folders above it: left-over temporary
 * files and links in its way do not matter. Errors: IO (as cf_file_target(); no regular file is
 * there), MEMORY. */
cf_status cf_file_create(const char *path, cf_new_file *out);
/** Sync the file, give it its name, sync the folder, and close. Errors: IO: what was at the path
 * stays, unless the folder alone could not be synced. */
cf_status cf_file_publish(cf_new_file *file);
/** The same with several files, all or none: if one of them cannot get its name, what was at all
 * the paths comes back. Killed in between, some are new. */
cf_status cf_file_publish_all(cf_new_file *const *files, int n);
/** A file without a name, gone when it is closed or the process ends: beside `path`, or in TMPDIR
 * (else /tmp) if no file is to lie there. `*fd` is open for reading and writing. Errors: IO,
 * MEMORY. */
cf_status cf_file_spool(const char *path, int *fd);
/** Close and remove a file that was not published. Does nothing if zeroed. */
void cf_file_discard(cf_new_file *file);

/** A text that is written piece by piece: as a cf_new_file, or straight into what is at PATH if
 * that is no regular file; "-" is standard output. Zeroed, it is closed. Everything is Local. */
typedef struct cf_output {
    FILE *file;       /* open for writing; NULL if closed */
    char *name;       /* for messages; owned */
    cf_new_file made; /* zeroed if the text goes straight into what is there */
} cf_output;
/** A FIFO that nobody opens for reading within 5 seconds is an error. Errors: IO, MEMORY; then
 * `output` is closed. */
cf_status cf_output_open(cf_output *output, const char *path);
/** IO if something could not be written so far. */
cf_status cf_output_check(const cf_output *output);
/** Write what is left; publish the file as cf_file_publish() does; close. Errors: IO. */
cf_status cf_output_commit(cf_output *output);
/** The same with several outputs, all or none as cf_file_publish_all(). At most 8. */
cf_status cf_output_commit_all(cf_output *const *outputs, int n);
/** Close; a file that was not committed is removed. Does nothing if closed. */
void cf_output_close(cf_output *output);

/** Replace the file `path` by one with these bytes, in the same way. Local. Errors: IO (`path` is
 * as it was before), MEMORY. */
cf_status cf_file_replace(const char *path, const void *bytes, size_t size);

/* ---- Locks ---- */

/** A file that one process holds at a time; it has the host and number of that process. */
typedef struct cf_lock {
    int fd;
    char *path; /* NULL: not held; owned */
} cf_lock;
/** Take the lock `path`, at once or not at all. A killed process gives its lock up; without flock()
 * on the file system only one of this host is known to be no more. Local. Errors: USAGE ("REFUSAL:
 * process 17 on host": another process holds it), IO, MEMORY. */
cf_status cf_lock_take(const char *path, const char *refusal, cf_lock *out);
/** Remove the file. Does nothing if zeroed, or not held. */
void cf_lock_release(cf_lock *lock);
