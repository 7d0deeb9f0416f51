/* Folders of outputs, made where they are not there, as mkdir -p does.
 *
 * A path is a/b/c. The longest part of it that exists is looked for from the end (by stat(), since
 * mkdir() of a folder above it may not be allowed); what follows is made from there on. Which of
 * the parts were made is kept, a bool for each end of a part, so that a command that fails later
 * can remove these again, and no others: rmdir() refuses a folder that something is in. */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_TRIES = 100 };

/* ---- The folder of a path ---- */

size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

int folder_open(const char *path)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    const size_t length = folder_length(path);
    char folder[PATH_MAX];

    if (length == 0) return open(".", flags);
    if (length >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, length);
    folder[length] = '\0';
    return open(folder, flags);
}

cf_status folder_sync(const char *path)
{
    const int folder = folder_open(path);
    cf_status status = CF_OK;

    if (folder < 0) return CF_OK;
    if (fsync(folder) != 0 && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP &&
        errno != EBADF)
        status = CF_FAIL(CF_ERR_IO, "%s: cannot write to the folder (%s)", path, strerror(errno));
    (void)close(folder);
    return status;
}

/* ---- Making folders ---- */

/* Bytes of the first `length` without slashes at their end. */
static size_t without_slashes(const char *path, size_t length)
{
    while (length > 0 && path[length - 1] == '/')
        length--;
    return length;
}

/* Bytes of the first `length` without their last part; 0: the folder that is there anyway. */
static size_t cut_part(const char *path, size_t length)
{
    while (length > 0 && path[length - 1] != '/')
        length--;
    return without_slashes(path, length);
}

/* Bytes of the first `length` and the part after them. */
static size_t add_part(const char *path, size_t length)
{
    length += strspn(path + length, "/");
    return length + strcspn(path + length, "/");
}

/* Whether there is anything at the first `length` bytes of a path. */
static bool is_there(char *path, size_t length)
{
    const char after = path[length];
    struct stat file;
    bool there;

    path[length] = '\0';
    there = stat(path, &file) == 0;
    path[length] = after;
    return there;
}

/* Make the folders that are not there. False, and errno, if one cannot be made, at which the path
 * is then cut. What another process made meanwhile is there. */
static bool make_missing(cf_folders *folders, size_t length)
{
    char *path = folders->path;
    size_t n = length;

    while (n > 0 && !is_there(path, n))
        n = cut_part(path, n);
    while (n < length) {
        n = add_part(path, n);
        path[n] = '\0';
        if (mkdir(path, 0777) == 0)
            folders->made[n] = true;
        else if (errno != EEXIST)
            return false;
        if (n < length) path[n] = '/';
    }
    return true;
}

/* Write the names of the folders that were made to disk. */
static cf_status sync_made(cf_folders *folders, size_t length)
{
    char *path = folders->path;
    cf_status status = CF_OK;

    for (size_t n = 0; n < length && status == CF_OK;) {
        n = add_part(path, n);
        path[n] = '\0';
        if (folders->made[n]) status = folder_sync(path);
        if (n < length) path[n] = '/';
    }
    return status;
}

/* A process that removes what it made may do so between two calls here: then all is tried again. */
cf_status cf_folder_make(const char *path, cf_folders *out)
{
    const size_t length = without_slashes(path, strlen(path));
    cf_folders folders = {0};
    struct stat file;
    bool is_made;
    int tries = 0;
    cf_status status;

    CF_TRY(cf_text_format(&folders.path, "%.*s", (int)length, path));
    CF_TRY(CF_ALLOC(folders.made, (int64_t)length + 1));
    while (!(is_made = make_missing(&folders, length)) && errno == ENOENT && ++tries < MAX_TRIES)
        memcpy(folders.path, path, length);
    CF_REQUIRE(is_made, CF_ERR_IO, "%s: cannot make the folder: %s", folders.path, strerror(errno));
    CF_REQUIRE(stat(path, &file) == 0, CF_ERR_IO, "%s: cannot make the folder: %s", path,
               strerror(errno));
    CF_REQUIRE(S_ISDIR(file.st_mode), CF_ERR_IO, "%s: is not a folder", path);
    CF_TRY(sync_made(&folders, length));
    *out = folders;
    folders = (cf_folders){0};
done:
    cf_folders_leave(&folders);
    return status;
}

void cf_folders_leave(cf_folders *folders)
{
    char *path = folders->path;

    if (path != NULL && folders->made != NULL)
        for (size_t n = strlen(path); n > 0; n = cut_part(path, n)) {
            path[n] = '\0';
            if (folders->made[n]) (void)rmdir(path);
        }
    cf_free(&folders->path);
    cf_free(&folders->made);
}
