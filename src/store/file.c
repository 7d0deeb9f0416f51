/* Files: create and commit, open and close. A file is complete or absent. It is written as
 * `path`.tmp; commit writes the checksums and the attribute `complete`, reads everything back,
 * syncs, and renames it over `path`. A run that is killed at any moment leaves the old file as it
 * was. Rank 0 keeps a descriptor of the temporary file for what HDF5 cannot do: reserve, sync,
 * truncate. tests/store/refuse.c cuts files short, tests/store/full_disk.c fills a disk.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Handles ---- */

/* A store that has no file yet. On failure `*out` holds what was made so far. Local. */
static cf_status create_handle(const cf_par *par, const char *path, bool writing, cf_store **out)
{
    cf_store *store = NULL;
    cf_status status = CF_OK;

    CF_TRY(CF_ALLOC(store, 1));
    store->par = *par;
    store->fd = -1;
    store->file = -1;
    store_create_types(store->types);
    CF_TRY(store_copy_text(path, &store->path));
    if (writing) {
        int64_t n = (int64_t)strlen(path);

        CF_TRY(CF_ALLOC(store->temporary, n + 5));
        memcpy(store->temporary, path, (size_t)n);
        memcpy(store->temporary + n, ".tmp", 5);
    }
done:
    *out = store;
    return status;
}

/* Free a handle whose file is closed. */
static void destroy_handle(cf_store *store)
{
    store_destroy_types(store->types);
    cf_free(&store->path);
    cf_free(&store->temporary);
    cf_free(&store->arrays);
    cf_free(&store);
}

/* A handle on every rank, or on none. Collective. */
static cf_status begin_handle(const cf_par *par, const char *path, bool writing, cf_store **out)
{
    cf_store *store = NULL;
    cf_status status;

    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* messages are ours */
    status = cf_par_agree(par, create_handle(par, path, writing, &store));
    if (status != CF_OK && store != NULL) destroy_handle(store);
    if (status == CF_OK) *out = store;
    return status;
}

/* How HDF5 opens the file: by all ranks through MPI-IO. */
static hid_t create_access(const cf_store *store)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);

    H5Pset_fapl_mpio(access, store->par.comm, MPI_INFO_NULL);
    /* the format of HDF5 1.8, whose metadata has checksums */
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
    return access;
}

/* Close the arrays and the file. Unlike cf_store_close() it reports a failure: data may be written
 * as late as here. Collective. */
static cf_status close_file(cf_store *store)
{
    char reason[STORE_REASON_SIZE];
    bool closed = store_close_arrays(store);

    if (store->file >= 0) closed = H5Fclose(store->file) >= 0 && closed;
    store->file = -1;
    return cf_par_agree(&store->par, closed ? CF_OK
                                            : CF_FAIL(CF_ERR_IO, "%s: cannot close (%s)",
                                                      store->path, store_reason(reason)));
}

/* Nothing is reported: a file that was read has nothing to lose, and one that was being written is
 * given up. */
void cf_store_close(cf_store **handle)
{
    cf_store *store = *handle;

    if (store == NULL) return;
    *handle = NULL;
    if (store->temporary != NULL) {
        /* truncate first: on a full disk HDF5 could not even close the file */
        if (store->fd >= 0 && ftruncate(store->fd, 0) != 0)
            cf_warn("%s: %s", store->temporary, strerror(errno));
        MPI_Barrier(store->par.comm);
    }
    store_close_arrays(store);
    if (store->file >= 0) H5Fclose(store->file);
    if (store->fd >= 0) {
        close(store->fd);
        unlink(store->temporary);
    }
    if (store->temporary != NULL)
        MPI_Barrier(store->par.comm); /* no rank returns before the file is gone */
    destroy_handle(store);
}

const char *cf_store_path(const cf_store *store)
{
    return store->path;
}

/* ---- Writing ---- */

/* Rank 0 creates the temporary file itself, for the file system's own error; HDF5 then truncates
 * it. Every rank checks that it sees the file: the folder may be local to rank 0's node. */
static cf_status create_temporary(cf_store *store)
{
    int error = 0;

    if (store->par.rank == 0) {
        struct stat old;

        if (stat(store->path, &old) == 0 && S_ISDIR(old.st_mode)) {
            error = EISDIR;
        } else {
            store->fd = open(store->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
            if (store->fd < 0) error = errno;
        }
    }
    error = store_errno_of_root(store, error);
    if (error != 0)
        return CF_FAIL(CF_ERR_IO, "%s: cannot create (%s)", store->path, strerror(error));
    if (access(store->temporary, R_OK | W_OK) != 0)
        return cf_par_agree(&store->par,
                            CF_FAIL(CF_ERR_IO, "%s: is not accessible on every rank (%s)",
                                    store->temporary, strerror(errno)));
    return cf_par_agree(&store->par, CF_OK);
}

/* Let HDF5 begin the temporary file. Collective. */
static cf_status create_file(cf_store *store)
{
    char reason[STORE_REASON_SIZE];
    hid_t access = create_access(store), creation = H5Pcreate(H5P_FILE_CREATE);

    H5Pset_obj_track_times(creation, false); /* equal content, equal bytes */
    store->file = H5Fcreate(store->temporary, H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    H5Pclose(access);
    return cf_par_agree(&store->par, store->file >= 0 ? CF_OK
                                                      : CF_FAIL(CF_ERR_IO, "%s: cannot create (%s)",
                                                                store->path, store_reason(reason)));
}

/* `kind` and the version are written at once, so that an unfinished file says what it is. */
cf_status cf_store_create(const cf_par *par, const char *path, const char *kind, cf_store **out)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(begin_handle(par, path, true, &store));
    CF_TRY(create_temporary(store));
    CF_TRY(create_file(store));
    CF_TRY(store_reserve(store));
    CF_TRY(cf_store_write_text(store, "kind", kind));
    CF_TRY(cf_store_write_int(store, "format_version", STORE_VERSION));
    *out = store;
    store = NULL;
done:
    cf_store_close(&store);
    return status;
}

/* Have HDF5 hand over everything to the file system. Collective. */
static cf_status flush_file(const cf_store *store)
{
    char reason[STORE_REASON_SIZE];
    bool flushed = H5Fflush(store->file, H5F_SCOPE_GLOBAL) >= 0;

    return cf_par_agree(&store->par, flushed ? CF_OK
                                             : CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)",
                                                       store->path, store_reason(reason)));
}

/* Write the new name in the folder to disk. Errors are ignored: some file systems cannot, and the
 * file itself is synced. */
static void sync_folder(char *path)
{
    int folder = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0) return;
    fsync(folder);
    close(folder);
}

/* Give the closed file its name: trim the reserved space, sync, rename, sync the folder. */
static cf_status rename_into_place(cf_store *store)
{
    int error = 0;

    if (store->par.rank == 0) {
        struct stat file;

        /* truncating to the length that HDF5 left frees what was reserved beyond it */
        if (fstat(store->fd, &file) != 0 || ftruncate(store->fd, file.st_size) != 0 ||
            fsync(store->fd) != 0 || rename(store->temporary, store->path) != 0)
            error = errno;
    }
    error = store_errno_of_root(store, error);
    if (error != 0)
        return CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", store->path, strerror(error));
    if (store->par.rank == 0) {
        close(store->fd);
        store->fd = -1;
        sync_folder(store->temporary);
    }
    cf_free(&store->temporary);
    MPI_Barrier(store->par.comm);
    return CF_OK;
}

/* The order matters: `complete` is the last thing written, everything is read back through the open
 * file, and only a closed and synced file gets the name. On any error the store is closed as one
 * that was given up, which removes the temporary file. */
cf_status cf_store_commit(cf_store **handle)
{
    cf_store *store = *handle;
    cf_status status;

    *handle = NULL;
    CF_TRY(store_write_checksums(store));
    CF_TRY(cf_store_write_int(store, "complete", 1));
    CF_TRY(flush_file(store)); /* the first flush: a file cut off before is not an HDF5 file */
    CF_TRY(store_read_back(store));
    CF_TRY(close_file(store));
    CF_TRY(rename_into_place(store));
done:
    cf_store_close(&store);
    return status;
}

/* ---- Reading ---- */

/* Errors that need no HDF5, in the file system's own words: absent, a folder, empty, another kind
 * of file. Local. */
static cf_status check_signature(const char *path)
{
    static const char signature[8] = "\211HDF\r\n\032\n";
    char head[sizeof signature] = {0};
    struct stat file;
    cf_status status = CF_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) return CF_FAIL(CF_ERR_IO, "%s: cannot open (%s)", path, strerror(errno));
    if (fstat(fd, &file) == 0 && S_ISDIR(file.st_mode))
        status = CF_FAIL(CF_ERR_IO, "%s: cannot open (%s)", path, strerror(EISDIR));
    else if (pread(fd, head, sizeof head, 0) < 0)
        status = CF_FAIL(CF_ERR_IO, "%s: cannot read (%s)", path, strerror(errno));
    else if (file.st_size == 0)
        status = CF_FAIL(CF_ERR_FORMAT, "%s: is empty, not an HDF5 file", path);
    else if (memcmp(head, signature, sizeof signature) != 0)
        status = CF_FAIL(CF_ERR_FORMAT, "%s: is not an HDF5 file", path);
    close(fd);
    return status;
}

/* The signature is right, so that a failure here means a damaged file. Collective. */
static cf_status open_file(cf_store *store)
{
    char reason[STORE_REASON_SIZE];
    hid_t access = create_access(store);

    store->file = H5Fopen(store->path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (store->file >= 0) return cf_par_agree(&store->par, CF_OK);
    store_reason(reason);
    return cf_par_agree(&store->par, CF_FAIL(CF_ERR_FORMAT, "%s: is truncated or damaged (%s)",
                                             store->path, reason));
}

/* The attributes that every file of this program has: its kind, the version of the format, and
 * `complete`, which the commit writes last. */
static cf_status check_kind(cf_store *store, const char *expected)
{
    char *kind = NULL;
    int64_t version = 0, complete = 0;
    cf_status status;

    status = cf_store_read_text(store, "kind", &kind);
    if (status == CF_OK) status = cf_store_read_int(store, "format_version", &version);
    if (status == CF_ERR_FORMAT)
        status = CF_FAIL(CF_ERR_FORMAT, "%s: is not a file of this program", store->path);
    CF_TRY(status);
    CF_REQUIRE(expected == NULL || strcmp(kind, expected) == 0, CF_ERR_FORMAT,
               "%s: is a %s, not a %s", store->path, kind, expected);
    CF_REQUIRE(version == STORE_VERSION, CF_ERR_FORMAT,
               "%s: has format version %lld; this program reads %d", store->path,
               (long long)version, STORE_VERSION);
    status = cf_store_read_int(store, "complete", &complete);
    if (status == CF_ERR_FORMAT)
        status =
            CF_FAIL(CF_ERR_FORMAT, "%s: is not complete: writing it was interrupted", store->path);
done:
    cf_free(&kind);
    return status;
}

/* Each check has its own message, from the cheapest on: no file, not HDF5, damaged, not of this
 * program, another kind, another version, not complete. */
cf_status cf_store_open(const cf_par *par, const char *path, const char *kind, cf_store **out)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(begin_handle(par, path, false, &store));
    CF_TRY(cf_par_agree(par, check_signature(path)));
    CF_TRY(open_file(store));
    CF_TRY(check_kind(store, kind));
    *out = store;
    store = NULL;
done:
    cf_store_close(&store);
    return status;
}
