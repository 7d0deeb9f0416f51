/* A file that one process holds at a time, by flock(): the kernel gives it up when the process
 * ends, however it ends. Where the file system has no flock(), the one that creates the file holds
 * it, and one that was left by a process of this host that is no more is taken over.
 *
 * The file has the host and the process of its holder, for the message and for the latter. It is
 * removed on release. So a process that waits at an old file may get its lock: it then looks
 * whether the name still leads there. */
#include "cf/core.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOST_SIZE = 65, MAX_TRIES = 100 };

typedef struct holder {
    char host[HOST_SIZE];
    int process;
} holder;

static holder this_process(void)
{
    holder own = {.process = (int)getpid()};

    (void)gethostname(own.host, sizeof own.host - 1);
    return own;
}

/* False if the file does not say. */
static bool read_holder(int fd, holder *out)
{
    char text[HOST_SIZE + 16] = "";

    return cf_file_read(fd, text, sizeof text - 1, 0) > 0 &&
           sscanf(text, "%64s %d", out->host, &out->process) == 2 && out->process > 0;
}

static bool write_holder(int fd)
{
    const holder own = this_process();
    char text[HOST_SIZE + 16];
    const int length = snprintf(text, sizeof text, "%s %d\n", own.host, own.process);

    return ftruncate(fd, 0) == 0 && cf_file_write(fd, text, length, 0);
}

/* Whether the holder is a process of this host that has ended. */
static bool is_gone(int fd)
{
    const holder own = this_process();
    holder other;

    return read_holder(fd, &other) && strcmp(other.host, own.host) == 0 &&
           kill(other.process, 0) != 0 && errno == ESRCH;
}

typedef enum attempt {
    TAKEN,
    HELD,
    AGAIN,
    FAILED /* errno says why */
} attempt;

/* The outcome of an attempt that has the lock of the open file: does the path still lead there? */
static attempt check_path(const char *path, int fd)
{
    struct stat named, opened;

    if (stat(path, &named) != 0) return errno == ENOENT ? AGAIN : FAILED;
    if (fstat(fd, &opened) != 0) return FAILED;
    return named.st_dev == opened.st_dev && named.st_ino == opened.st_ino ? TAKEN : AGAIN;
}

/* Open the file, new or not; -1 and errno on failure. */
static int open_lock(const char *path, bool *created)
{
    const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
    const int fd = open(path, flags | O_CREAT | O_EXCL, 0666);

    *created = fd >= 0;
    return fd >= 0 || errno != EEXIST ? fd : open(path, flags);
}

static attempt try_lock(const char *path, int fd, bool created)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return check_path(path, fd);
    if (errno == EINTR) return AGAIN;
    if (errno == EWOULDBLOCK) return HELD;
    if (created) return TAKEN; /* no flock() here */
    if (!is_gone(fd)) return HELD;
    (void)unlink(path);
    return AGAIN;
}

static cf_status fail_held(const char *path, const char *refusal, int fd)
{
    holder other;

    if (!read_holder(fd, &other))
        return CF_FAIL(CF_ERR_USAGE, "%s (if not, remove %s)", refusal, path);
    return CF_FAIL(CF_ERR_USAGE, "%s: process %d on %s (if not, remove %s)", refusal, other.process,
                   other.host, path);
}

cf_status cf_lock_take(const char *path, const char *refusal, cf_lock *out)
{
    cf_lock lock = {.fd = -1};
    attempt outcome = AGAIN;
    bool created = false;
    cf_status status;

    CF_TRY(cf_text_format(&lock.path, "%s", path));
    for (int n = 0; outcome == AGAIN && n < MAX_TRIES; n++) {
        if (lock.fd >= 0) (void)close(lock.fd);
        lock.fd = open_lock(path, &created);
        if (lock.fd >= 0)
            outcome = try_lock(path, lock.fd, created);
        else if (errno != ENOENT) /* removed in the meantime */
            break;
    }
    if (outcome == HELD) CF_TRY(fail_held(path, refusal, lock.fd));
    if (outcome == TAKEN && !write_holder(lock.fd)) outcome = FAILED;
    CF_REQUIRE(outcome == TAKEN, CF_ERR_IO, "%s: cannot write (%s)", path, strerror(errno));
    *out = lock;
    lock = (cf_lock){.fd = -1};
done:
    if (outcome == FAILED && created) (void)unlink(path);
    if (lock.fd >= 0) (void)close(lock.fd);
    cf_free(&lock.path);
    return status;
}

/* Unlinked before it is closed, which gives up the lock. */
void cf_lock_release(cf_lock *lock)
{
    if (lock->path == NULL) return;
    (void)unlink(lock->path);
    (void)close(lock->fd);
    cf_free(&lock->path);
}
