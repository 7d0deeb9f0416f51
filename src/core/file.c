/* New files that are complete or absent.
 *
 * The content goes into a temporary file beside the final path, NAME.HOST.PID.N.tmp, which is
 * synced and then renamed over it (rename() is atomic by POSIX); then the folder is synced. A
 * reader, and a run that is killed at any moment, sees the old content or the new one, never a
 * part. Folders above the final path are made (folder.c). Temporary files are new (O_EXCL, never
 * through a link), so that two programs never write one file: of two outputs with one name the last
 * rename wins. Each is locked by flock() while it is in use. One of this host that is not locked
 * was left by a process that was killed, and the next output of its name removes it; without
 * flock() on the file system they stay. */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_LINKS = 40, /* Linux's own limit */
    MAX_TRIES = 1000,
    HOST_SIZE = 65
};

/* The message names the path as it was given: the temporary file means nothing to the user. */
static cf_status fail_create(const char *path, int error)
{
    return CF_FAIL(CF_ERR_IO, "%s: cannot create (%s)", path, strerror(error));
}

/* ---- Where an output goes ---- */

/* A link in /proc, such as /proc/self/fd/1, stands for an open file, not for a path. */
static bool is_in_proc(const struct stat *link)
{
    struct stat proc;

    return stat("/proc/self/fd", &proc) == 0 && proc.st_dev == link->st_dev;
}

/* Replace `*path` by what the link there says. */
static cf_status follow_link(char **path)
{
    char target[PATH_MAX], *next = NULL;
    const ssize_t length = readlink(*path, target, sizeof target - 1);
    cf_status status;

    if (length < 0) return fail_create(*path, errno);
    target[length] = '\0';
    CF_TRY(cf_text_format(&next, "%.*s%s", target[0] == '/' ? 0 : (int)folder_length(*path), *path,
                          target));
    cf_free(path);
    *path = next;
done:
    return status;
}

/* Links are followed one by one, since the last of them may lead to nothing yet. */
cf_status cf_file_target(const char *path, char **out)
{
    struct stat file;
    char *target = NULL;
    bool is_path = strcmp(path, "-") != 0; /* standard output */
    cf_status status = CF_OK;

    if (is_path && stat(path, &file) == 0) {
        if (S_ISDIR(file.st_mode)) CF_TRY(fail_create(path, EISDIR));
        is_path = S_ISREG(file.st_mode);
    } else if (is_path && errno != ENOENT) {
        CF_TRY(fail_create(path, errno));
    }
    if (is_path) CF_TRY(cf_text_format(&target, "%s", path));
    for (int n = 0; is_path && lstat(target, &file) == 0 && S_ISLNK(file.st_mode); n++) {
        if (n == MAX_LINKS) CF_TRY(fail_create(path, ELOOP));
        is_path = !is_in_proc(&file);
        if (is_path) CF_TRY(follow_link(&target));
    }
    *out = is_path ? target : NULL;
    if (is_path) target = NULL;
done:
    cf_free(&target);
    return status;
}

/* ---- Temporary files ---- */

/* "NAME.HOST." of a path's last part, with which its temporary files begin. */
static cf_status temporary_prefix(const char *path, char **out)
{
    char host[HOST_SIZE] = "";

    (void)gethostname(host, sizeof host - 1);
    return cf_text_format(out, "%s.%s.", path + folder_length(path), host);
}

/* Take the lock that says that the file is in use. False if another process took it before, and
 * thus for a left-over. */
static bool hold(int fd)
{
    struct stat file;

    if (flock(fd, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK; /* no locks here */
    return fstat(fd, &file) != 0 || file.st_nlink > 0;
}

/* Remove `name` in a folder if no process has it locked. */
static void remove_left_over(int folder, const char *name)
{
    const int fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat file;

    if (fd < 0) return;
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
        unlinkat(folder, name, 0) == 0)
        cf_log("%s: removed, left by a process that was killed", name);
    (void)close(fd);
}

/* Best effort: what cannot be removed stays. */
static cf_status remove_left_overs(const char *path)
{
    const int fd = folder_open(path);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    char *prefix = NULL;
    cf_status status;

    CF_TRY(temporary_prefix(path, &prefix));
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        const size_t length = strlen(entry->d_name);

        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && length > strlen(prefix) + 4 &&
            strcmp(entry->d_name + length - 4, ".tmp") == 0)
            remove_left_over(fd, entry->d_name);
    }
done:
    if (folder != NULL)
        (void)closedir(folder);
    else if (fd >= 0)
        (void)close(fd);
    cf_free(&prefix);
    return status;
}

/* A name for a temporary file beside `path`, another one at each call. Where "NAME.HOST.PID.N.tmp"
 * is too long for the file system, "PID-N.tmp" will do. */
static cf_status name_temporary(const char *path, bool shorter, char **out)
{
    static int n;
    const int length = (int)folder_length(path), pid = (int)getpid();
    char *prefix = NULL;
    cf_status status;

    n++;
    if (shorter) return cf_text_format(out, "%.*s%x-%x.tmp", length, path, pid, n);
    CF_TRY(temporary_prefix(path, &prefix));
    CF_TRY(cf_text_format(out, "%.*s%s%d.%d.tmp", length, path, prefix, pid, n));
done:
    cf_free(&prefix);
    return status;
}

/* Make the folder that a file is to lie in. */
static cf_status make_folder(cf_new_file *file)
{
    char *folder = NULL;
    cf_status status;

    cf_folders_leave(&file->folders); /* made before, and gone since */
    CF_TRY(cf_text_format(&folder, "%.*s", (int)folder_length(file->path), file->path));
    CF_TRY(cf_folder_make(folder, &file->folders));
done:
    cf_free(&folder);
    return status;
}

/* A new and locked file. A name that exists is another process's, of another host or of long ago.
 */
static cf_status create_temporary(const char *path, cf_new_file *file)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    bool shorter = false;
    char *name = NULL;
    int error = 0;
    cf_status status = CF_OK;

    for (int n = 0; n < MAX_TRIES; n++) {
        cf_free(&name);
        CF_TRY(name_temporary(file->path, shorter, &name));
        file->fd = open(name, flags, 0666);
        if (file->fd >= 0 && hold(file->fd)) break;
        error = file->fd < 0 ? errno : EEXIST;
        if (file->fd >= 0) (void)close(file->fd);
        file->fd = -1;
        if (error == ENOENT && folder_length(name) > 0) {
            CF_TRY(make_folder(file));
            continue;
        }
        if (error != EEXIST && (error != ENAMETOOLONG || shorter)) break;
        shorter = error == ENAMETOOLONG || shorter;
    }
    if (file->fd < 0) CF_TRY(fail_create(path, error));
    file->temporary = name;
    name = NULL;
done:
    cf_free(&name);
    return status;
}

/* ---- New files ---- */

cf_status cf_file_create(const char *path, cf_new_file *out)
{
    cf_new_file file = {.fd = -1};
    cf_status status;

    CF_TRY(cf_file_target(path, &file.path));
    CF_REQUIRE(file.path != NULL, CF_ERR_IO,
               "%s: is no regular file; only text can be written to it", path);
    CF_TRY(remove_left_overs(file.path));
    CF_TRY(create_temporary(path, &file));
    *out = file;
    file = (cf_new_file){0};
done:
    cf_file_discard(&file);
    return status;
}

static cf_status fail_publish(const cf_new_file *file)
{
    return CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", file->path, strerror(errno));
}

/* Give the file that is at the path a second name, by which it can come back; where the file system
 * has no hard links, another name. */
static cf_status keep_old(cf_new_file *file)
{
    bool shorter = false, kept = false;
    struct stat old;
    cf_status status = CF_OK;

    if (lstat(file->path, &old) != 0) return errno == ENOENT ? CF_OK : fail_publish(file);
    if (!S_ISREG(old.st_mode)) {
        errno = EEXIST; /* it came while the file was made */
        return fail_publish(file);
    }
    for (int n = 0; n < MAX_TRIES && !kept; n++) {
        cf_free(&file->kept);
        CF_TRY(name_temporary(file->path, shorter, &file->kept));
        kept = link(file->path, file->kept) == 0;
        if (kept || errno == EEXIST) continue;
        shorter = shorter || errno == ENAMETOOLONG;
        if (errno != ENAMETOOLONG) kept = rename(file->path, file->kept) == 0;
        if (!kept && errno != ENAMETOOLONG) CF_TRY(fail_publish(file));
    }
done:
    if (!kept) cf_free(&file->kept);
    return status;
}

/* Bring back what was there before the first `n_renamed` of the files got their names. */
static void undo(cf_new_file *const *files, int n, int n_renamed)
{
    for (int k = 0; k < n; k++) {
        if (files[k]->kept != NULL && rename(files[k]->kept, files[k]->path) != 0)
            cf_warn("%s: the old file is now %s (%s)", files[k]->path, files[k]->kept,
                    strerror(errno));
        else if (files[k]->kept != NULL)
            (void)unlink(files[k]->kept); /* rename() leaves one of two names of a file alone */
        else if (k < n_renamed)
            (void)unlink(files[k]->path);
        cf_free(&files[k]->kept);
    }
}

/* The names of synced files, given to all or to none. */
static cf_status rename_all(cf_new_file *const *files, int n)
{
    int n_renamed = 0;
    cf_status status = CF_OK;

    for (int k = 0; k < n && n > 1; k++)
        CF_TRY(keep_old(files[k]));
    for (; n_renamed < n; n_renamed++) {
        if (rename(files[n_renamed]->temporary, files[n_renamed]->path) != 0)
            CF_TRY(fail_publish(files[n_renamed]));
        cf_free(&files[n_renamed]->temporary);
    }
done:
    if (status != CF_OK) undo(files, n, n_renamed);
    return status;
}

/* Synced before the rename: else a crash of the machine could leave a name with no content. */
cf_status cf_file_publish_all(cf_new_file *const *files, int n)
{
    cf_status synced, status = CF_OK;

    for (int k = 0; k < n; k++)
        if (fsync(files[k]->fd) != 0) CF_TRY(fail_publish(files[k]));
    CF_TRY(rename_all(files, n));
    for (int k = 0; k < n; k++) {
        if (files[k]->kept != NULL) (void)unlink(files[k]->kept);
        synced = folder_sync(files[k]->path);
        if (synced != CF_OK) status = synced;
    }
done:
    for (int k = 0; k < n; k++)
        cf_file_discard(files[k]);
    return status;
}

cf_status cf_file_publish(cf_new_file *file)
{
    return cf_file_publish_all(&file, 1);
}

/* A new file whose name is removed at once. */
cf_status cf_file_spool(const char *path, int *fd)
{
    const char *folder = getenv("TMPDIR");
    char *target = NULL;
    cf_new_file file = {0};
    cf_status status;

    CF_TRY(cf_file_target(path, &target));
    if (target == NULL)
        CF_TRY(cf_text_format(&target, "%s/llminit",
                              folder != NULL && folder[0] != 0 ? folder : "/tmp"));
    CF_TRY(cf_file_create(target, &file));
    *fd = file.fd;
    file.fd = -1;
done:
    cf_file_discard(&file);
    cf_free(&target);
    return status;
}

/* Unlinked before it is closed, which gives up the lock. */
void cf_file_discard(cf_new_file *file)
{
    if (file->path == NULL) return;
    if (file->temporary != NULL) (void)unlink(file->temporary);
    if (file->fd >= 0) (void)close(file->fd);
    cf_folders_leave(&file->folders);
    cf_free(&file->path);
    cf_free(&file->temporary);
    cf_free(&file->kept);
    *file = (cf_new_file){0};
}
