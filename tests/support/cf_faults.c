/* Faults on demand in a program that knows nothing of them, by LD_PRELOAD: the n-th call of one
 * kind on the files of a folder fails, is cut short, or is the last thing that the process does;
 * calls of MPI are held up at random. Other files (MPI's, the system's) are left alone.
 *
 *     CF_FAULTS_FOLDER  files below it count, an absolute path without links
 *     CF_FAULTS_RANK    the rank that gets the fault
 *     CF_FAULTS_CALL    the kind of call: a name of `kind_names`
 *     CF_FAULTS_AT      which call of that kind, from 1
 *     CF_FAULTS_WHAT    EIO, ENOSPC, EINTR, ENOMEM, short (half of the bytes), or kill
 *     CF_FAULTS_LASTS   if set, all later calls of the kind too
 *     CF_FAULTS_REPORT  a file for each rank, .RANK added: a line "fault KIND PATH" when it
 * strikes, "count KIND N" for each kind and "exit STATUS" at the end
 *
 * The C library writes a stream without calling write() by its name. So a call on a stream fails
 * in the kernel: while it lasts, its descriptor leads to a file that cannot be read or written, and
 * what the stream holds is flushed to it. Allocations count if the program itself, or a library
 * that reads or writes its text, asks for memory. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef enum call_kind {
    OPEN,
    READ,
    WRITE,
    GET, /* from a stream */
    PUT, /* into a stream */
    SYNC,
    RESIZE,
    RESERVE,
    CLOSE,
    RENAME,
    UNLINK,
    MKDIR,
    LOCK,
    STAT,
    ALLOCATE,
    N_KINDS
} call_kind;

static const char *const kind_names[N_KINDS] = {
    "open",  "read",   "write",  "get",   "put",  "sync", "resize",   "reserve",
    "close", "rename", "unlink", "mkdir", "lock", "stat", "allocate",
};

/* The function of the next library, not this one. */
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name)

/* ---- What is asked for --------------------------------------------------------------------------
 */

typedef struct range {
    uintptr_t begin, end;
} range;

static struct {
    bool ready;         /* the rest is set */
    bool lasts;         /* not only the one call */
    const char *folder; /* "": none */
    size_t folder_length;
    call_kind kind; /* N_KINDS: none */
    int at;         /* 0: never */
    int error;      /* errno; 0: cut short, or kill */
    bool kills;
    int report;        /* descriptor; -1: none */
    range callers[64]; /* code whose allocations count */
    int n_callers;
    atomic_int n_calls[N_KINDS];
} faults = {.folder = "", .kind = N_KINDS, .report = -1};

static const char *get(const char *name)
{
    const char *value = getenv(name);

    return value == NULL ? "" : value;
}

static int error_named(const char *name)
{
    static const struct {
        const char *name;
        int error;
    } errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EINTR", EINTR}, {"ENOMEM", ENOMEM}};

    for (size_t k = 0; k < sizeof errors / sizeof *errors; k++)
        if (strcmp(errors[k].name, name) == 0) return errors[k].error;
    return 0;
}

/* Note the code of the program and of the libraries for text. */
static int note_callers(struct dl_phdr_info *object, size_t size, void *unused)
{
    const char *name = object->dlpi_name;
    const bool counts = name[0] == '\0' || strstr(name, "libyaml") || strstr(name, "libjansson");

    (void)size;
    (void)unused;
    for (int k = 0; counts && k < object->dlpi_phnum && faults.n_callers < 64; k++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[k];
        const uintptr_t begin = object->dlpi_addr + part->p_vaddr;

        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0)
            faults.callers[faults.n_callers++] = (range){begin, begin + part->p_memsz};
    }
    return 0;
}

static void report_end(int status, void *unused)
{
    (void)unused;
    for (int k = 0; k < N_KINDS; k++)
        (void)dprintf(faults.report, "count %s %d\n", kind_names[k], faults.n_calls[k]);
    (void)dprintf(faults.report, "exit %d\n", status);
}

static void open_report(const char *rank)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s.%s", get("CF_FAULTS_REPORT"), rank);
    faults.report =
        (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (faults.report >= 0) (void)on_exit(report_end, NULL);
}

static __attribute__((constructor)) void read_environment(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK") ? get("OMPI_COMM_WORLD_RANK") : "0";
    const char *what = get("CF_FAULTS_WHAT");

    faults.folder = get("CF_FAULTS_FOLDER");
    faults.folder_length = strlen(faults.folder);
    for (int k = 0; k < N_KINDS; k++)
        if (strcmp(kind_names[k], get("CF_FAULTS_CALL")) == 0) faults.kind = (call_kind)k;
    if (strcmp(get("CF_FAULTS_RANK"), rank) == 0) faults.at = atoi(get("CF_FAULTS_AT"));
    faults.error = error_named(what);
    faults.kills = strcmp(what, "kill") == 0;
    faults.lasts = get("CF_FAULTS_LASTS")[0] != '\0';
    if (get("CF_FAULTS_REPORT")[0] != '\0') open_report(rank);
    (void)dl_iterate_phdr(note_callers, NULL);
    faults.ready = true;
}

/* ---- Verdicts -----------------------------------------------------------------------------------
 */

typedef enum verdict { PASS, FAIL, SHORTEN } verdict;

/* Count a call, and say what becomes of it. FAIL comes with errno. */
static verdict judge(call_kind kind, const char *path)
{
    const int n = atomic_fetch_add(&faults.n_calls[kind], 1) + 1;

    if (kind != faults.kind || faults.at == 0 || n < faults.at || (n > faults.at && !faults.lasts))
        return PASS;
    if (faults.report >= 0 && n == faults.at)
        (void)dprintf(faults.report, "fault %s %s\n", kind_names[kind], path);
    if (faults.kills) (void)kill(getpid(), SIGKILL);
    errno = faults.error;
    return faults.error != 0 ? FAIL : SHORTEN;
}

static bool is_below(const char *path)
{
    return faults.folder_length > 0 && strncmp(path, faults.folder, faults.folder_length) == 0 &&
           path[faults.folder_length] == '/';
}

/* The path of an open descriptor, or the working folder; "" if there is none. */
static void find_path(int fd, char path[PATH_MAX])
{
    char link[64];
    ssize_t length;

    (void)snprintf(link, sizeof link, fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", fd);
    length = syscall(SYS_readlink, link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
}

/* A call on a name, relative to the folder `at`. */
static verdict judge_name(call_kind kind, int at, const char *name)
{
    char path[PATH_MAX];
    size_t length = 0;

    if (!faults.ready) return PASS;
    if (name[0] != '/') {
        find_path(at, path);
        length = strlen(path);
        path[length++] = '/';
    }
    (void)snprintf(path + length, PATH_MAX - length, "%s", name);
    return is_below(path) ? judge(kind, path) : PASS;
}

static verdict judge_descriptor(call_kind kind, int fd)
{
    char path[PATH_MAX];

    if (!faults.ready) return PASS;
    find_path(fd, path);
    return is_below(path) ? judge(kind, path) : PASS;
}

/* ---- Names --------------------------------------------------------------------------------------
 */

/* `call` with the mode that follows if a file may be made. */
#define OPEN_CALL(function, at, params, args)                                                      \
    int function params                                                                            \
    {                                                                                              \
        mode_t mode = 0;                                                                           \
        va_list rest;                                                                              \
        REAL(function);                                                                            \
                                                                                                   \
        va_start(rest, flags);                                                                     \
        if ((flags & (O_CREAT | O_TMPFILE)) != 0) mode = va_arg(rest, mode_t);                     \
        va_end(rest);                                                                              \
        return judge_name(OPEN, at, name) == FAIL ? -1 : real args;                                \
    }
OPEN_CALL(open, AT_FDCWD, (const char *name, int flags, ...), (name, flags, mode))
OPEN_CALL(open64, AT_FDCWD, (const char *name, int flags, ...), (name, flags, mode))
OPEN_CALL(openat, at, (int at, const char *name, int flags, ...), (at, name, flags, mode))
OPEN_CALL(openat64, at, (int at, const char *name, int flags, ...), (at, name, flags, mode))

/* A call that returns 0 or -1. */
#define NAME_CALL(kind, function, at, params, args)                                                \
    int function params                                                                            \
    {                                                                                              \
        REAL(function);                                                                            \
                                                                                                   \
        return judge_name(kind, at, name) == FAIL ? -1 : real args;                                \
    }
NAME_CALL(OPEN, creat, AT_FDCWD, (const char *name, mode_t mode), (name, mode))
NAME_CALL(OPEN, creat64, AT_FDCWD, (const char *name, mode_t mode), (name, mode))
NAME_CALL(RENAME, rename, AT_FDCWD, (const char *name, const char *to), (name, to))
NAME_CALL(UNLINK, unlink, AT_FDCWD, (const char *name), (name))
NAME_CALL(UNLINK, unlinkat, at, (int at, const char *name, int flags), (at, name, flags))
NAME_CALL(MKDIR, mkdir, AT_FDCWD, (const char *name, mode_t mode), (name, mode))
NAME_CALL(STAT, stat, AT_FDCWD, (const char *name, struct stat *out), (name, out))
NAME_CALL(STAT, stat64, AT_FDCWD, (const char *name, struct stat64 *out), (name, out))
NAME_CALL(STAT, lstat, AT_FDCWD, (const char *name, struct stat *out), (name, out))
NAME_CALL(STAT, lstat64, AT_FDCWD, (const char *name, struct stat64 *out), (name, out))

/* ---- Descriptors --------------------------------------------------------------------------------
 */

#define DESCRIPTOR_CALL(kind, function, params, args)                                              \
    int function params                                                                            \
    {                                                                                              \
        REAL(function);                                                                            \
                                                                                                   \
        return judge_descriptor(kind, fd) == FAIL ? -1 : real args;                                \
    }
DESCRIPTOR_CALL(SYNC, fsync, (int fd), (fd))
DESCRIPTOR_CALL(SYNC, fdatasync, (int fd), (fd))
DESCRIPTOR_CALL(RESIZE, ftruncate, (int fd, off_t size), (fd, size))
DESCRIPTOR_CALL(RESIZE, ftruncate64, (int fd, off64_t size), (fd, size))
DESCRIPTOR_CALL(LOCK, flock, (int fd, int operation), (fd, operation))
DESCRIPTOR_CALL(STAT, fstat, (int fd, struct stat *out), (fd, out))
DESCRIPTOR_CALL(STAT, fstat64, (int fd, struct stat64 *out), (fd, out))
DESCRIPTOR_CALL(RESERVE, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))

/* They return the error instead of noting it. */
int posix_fallocate(int fd, off_t at, off_t size)
{
    REAL(posix_fallocate);

    return judge_descriptor(RESERVE, fd) == FAIL ? errno : real(fd, at, size);
}

int posix_fallocate64(int fd, off64_t at, off64_t size)
{
    REAL(posix_fallocate64);

    return judge_descriptor(RESERVE, fd) == FAIL ? errno : real(fd, at, size);
}

/* A descriptor is gone even if closing it fails. */
int close(int fd)
{
    REAL(close);
    const verdict found = judge_descriptor(CLOSE, fd);
    const int closed = real(fd);

    if (found != FAIL) return closed;
    errno = faults.error;
    return -1;
}

/* `size` bytes, or vectors, of which half are done if the call is cut short. */
#define TRANSFER_CALL(kind, function, count, params, args)                                         \
    ssize_t function params                                                                        \
    {                                                                                              \
        REAL(function);                                                                            \
        const verdict found = judge_descriptor(kind, fd);                                          \
                                                                                                   \
        if (found == FAIL) return -1;                                                              \
        if (found == SHORTEN && count > 1) count /= 2;                                             \
        return real args;                                                                          \
    }
TRANSFER_CALL(READ, read, size, (int fd, void *to, size_t size), (fd, to, size))
TRANSFER_CALL(READ, pread, size, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
TRANSFER_CALL(READ, pread64, size, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
TRANSFER_CALL(READ, readv, n, (int fd, const struct iovec *to, int n), (fd, to, n))
TRANSFER_CALL(READ, preadv, n, (int fd, const struct iovec *to, int n, off_t at), (fd, to, n, at))
TRANSFER_CALL(WRITE, write, size, (int fd, const void *from, size_t size), (fd, from, size))
TRANSFER_CALL(WRITE, pwrite, size, (int fd, const void *from, size_t size, off_t at),
              (fd, from, size, at))
TRANSFER_CALL(WRITE, pwrite64, size, (int fd, const void *from, size_t size, off64_t at),
              (fd, from, size, at))
TRANSFER_CALL(WRITE, writev, n, (int fd, const struct iovec *from, int n), (fd, from, n))
TRANSFER_CALL(WRITE, pwritev, n, (int fd, const struct iovec *from, int n, off_t at),
              (fd, from, n, at))

/* ---- Streams ------------------------------------------------------------------------------------
 */

#define STREAM_OPEN_CALL(function)                                                                 \
    FILE *function(const char *name, const char *mode)                                             \
    {                                                                                              \
        REAL(function);                                                                            \
                                                                                                   \
        return judge_name(OPEN, AT_FDCWD, name) == FAIL ? NULL : real(name, mode);                 \
    }
STREAM_OPEN_CALL(fopen)
STREAM_OPEN_CALL(fopen64)

/* Have the stream's descriptor lead to a file that answers with the error. The file it led to, or
 * -1 if the call passes. Address 0 of a process cannot be read or written: EIO. */
static int break_stream(call_kind kind, FILE *stream)
{
    const int fd = fileno(stream);
    int kept, broken;

    if (fd < 0 || judge_descriptor(kind, fd) != FAIL) return -1;
    kept = (int)syscall(SYS_dup, fd);
    broken =
        (int)syscall(SYS_openat, AT_FDCWD, faults.error == ENOSPC ? "/dev/full" : "/proc/self/mem",
                     O_RDWR | O_CLOEXEC);
    (void)syscall(SYS_dup3, broken, fd, O_CLOEXEC);
    (void)syscall(SYS_close, broken);
    return kept;
}

static int flush_stream(FILE *stream)
{
    REAL(fflush);

    return real(stream);
}

/* Nothing if `kept` is -1. */
static void mend_stream(FILE *stream, int kept)
{
    if (kept < 0) return;
    (void)flush_stream(stream);
    (void)syscall(SYS_dup3, kept, fileno(stream), O_CLOEXEC);
    (void)syscall(SYS_close, kept);
    errno = faults.error;
}

#define STREAM_CALL(kind, type, function, params, args)                                            \
    type function params                                                                           \
    {                                                                                              \
        REAL(function);                                                                            \
        const int kept = break_stream(kind, stream);                                               \
        const type result = real args;                                                             \
                                                                                                   \
        mend_stream(stream, kept);                                                                 \
        return result;                                                                             \
    }
STREAM_CALL(GET, size_t, fread, (void *to, size_t size, size_t n, FILE *stream),
            (to, size, n, stream))
STREAM_CALL(PUT, size_t, fwrite, (const void *from, size_t size, size_t n, FILE *stream),
            (from, size, n, stream))
STREAM_CALL(GET, ssize_t, getdelim, (char **line, size_t *size, int end, FILE *stream),
            (line, size, end, stream))
STREAM_CALL(GET, ssize_t, __getdelim, (char **line, size_t *size, int end, FILE *stream),
            (line, size, end, stream))
STREAM_CALL(GET, ssize_t, getline, (char **line, size_t *size, FILE *stream), (line, size, stream))
STREAM_CALL(PUT, int, vfprintf, (FILE * stream, const char *format, va_list rest),
            (stream, format, rest))

int fprintf(FILE *stream, const char *format, ...)
{
    va_list rest;
    int n;

    va_start(rest, format);
    n = vfprintf(stream, format, rest);
    va_end(rest);
    return n;
}

/* All streams (NULL) are nobody's: they pass. */
int fflush(FILE *stream)
{
    const int kept = stream != NULL ? break_stream(PUT, stream) : -1;
    const int result = flush_stream(stream);

    if (stream != NULL) mend_stream(stream, kept);
    return result;
}

/* A stream is gone even if closing it fails. */
int fclose(FILE *stream)
{
    REAL(fclose);
    const int kept = break_stream(CLOSE, stream);
    const int result = real(stream);

    if (kept < 0) return result;
    (void)syscall(SYS_close, kept);
    errno = faults.error;
    return EOF;
}

/* ---- Memory -------------------------------------------------------------------------------------
 */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static bool memory_fails(const void *caller)
{
    const uintptr_t at = (uintptr_t)caller;

    for (int k = 0; faults.ready && k < faults.n_callers; k++)
        if (at >= faults.callers[k].begin && at < faults.callers[k].end)
            return judge(ALLOCATE, "") == FAIL;
    return false;
}

void *malloc(size_t size)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (memory_fails(__builtin_return_address(0))) return ENOMEM;
    *out = __libc_memalign(alignment, size);
    return *out == NULL ? ENOMEM : 0;
}
