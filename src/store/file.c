#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reserved beyond the file's end for what HDF5 writes about the arrays; given back when the file is
 * closed. */
static const int64_t margin = 256 * 1024;

/* All ranks get rank 0's errno of something that rank 0 alone has done, so that one message comes
 * from all of them. */
static int errno_of_root(const cf_store *store, int error)
{
    MPI_Bcast(&error, 1, MPI_INT, 0, store->par.comm);
    return error;
}

cf_status store_reserve(cf_store *store)
{
    hsize_t end = 0;
    int error = 0;

    H5Fget_filesize(store->file, &end); /* with all that has a place, written or not */
    if (store->par.rank == 0 && (int64_t)end > store->reserved - margin / 2) {
        int64_t wanted = (int64_t)end + margin;

        do {
            error = posix_fallocate(store->fd, store->reserved, wanted - store->reserved);
        } while (error == EINTR);
        if (error == EOPNOTSUPP || error == EINVAL || error == ENOSYS)
            error = 0; /* no such service: go on without */
        if (error == 0) store->reserved = wanted;
    }
    error = errno_of_root(store, error);
    return error == 0 ? CF_OK
                      : CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", store->path, strerror(error));
}

/* ---- Handles ---- */

hid_t store_make_half(void)
{
    hid_t half = H5Tcopy(H5T_IEEE_F32LE);

    H5Tset_fields(half, 15, 10, 5, 0, 10); /* then size and bias, in this order */
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    return half;
}

static cf_status make_handle(const cf_par *par, const char *path, bool writing, cf_store **out)
{
    cf_store *store = NULL;
    cf_status status = CF_OK;

    CF_TRY(CF_ALLOC(store, 1));
    store->par = *par;
    store->fd = -1;
    store->file = -1;
    store->types[CF_F16] = store_make_half();
    store->types[CF_F32] = H5Tcopy(H5T_IEEE_F32LE);
    store->types[CF_F64] = H5Tcopy(H5T_IEEE_F64LE);
    store->types[CF_I32] = H5Tcopy(H5T_STD_I32LE);
    store->types[CF_I64] = H5Tcopy(H5T_STD_I64LE);
    store->types[CF_U8] = H5Tcopy(H5T_STD_U8LE);
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

/* Free what make_handle() made; the file is closed. */
static void free_handle(cf_store *store)
{
    for (int k = 0; k < STORE_N_TYPES; k++)
        if (store->types[k] > 0) H5Tclose(store->types[k]);
    cf_free(&store->path);
    cf_free(&store->temporary);
    cf_free(&store->arrays);
    cf_free(&store);
}

static cf_status begin(const cf_par *par, const char *path, bool writing, cf_store **out)
{
    cf_store *store = NULL;
    cf_status status;

    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* messages are ours */
    status = cf_par_agree(par, make_handle(par, path, writing, &store));
    if (status != CF_OK && store != NULL) free_handle(store);
    if (status == CF_OK) *out = store;
    return status;
}

static hid_t make_access(const cf_store *store)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);

    H5Pset_fapl_mpio(access, store->par.comm, MPI_INFO_NULL);
    /* HDF5 1.8's format: what HDF5 itself writes has checksums */
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
    return access;
}

/* Close the arrays and the file. Collective; the same answer on all ranks. */
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

void cf_store_close(cf_store **handle)
{
    cf_store *store = *handle;

    if (store == NULL) return;
    *handle = NULL;
    if (store->temporary != NULL) {
        /* make room first: on a full disk HDF5 could not even close the file */
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
    if (store->temporary != NULL) MPI_Barrier(store->par.comm); /* gone when any rank returns */
    free_handle(store);
}

const char *cf_store_path(const cf_store *store)
{
    return store->path;
}

/* ---- Writing ---- */

/* Rank 0 makes the temporary file, so that the file system's own words are known. */
static cf_status make_temporary(cf_store *store)
{
    int error = 0;

    if (store->par.rank == 0) {
        struct stat there;

        if (stat(store->path, &there) == 0 && S_ISDIR(there.st_mode)) {
            error = EISDIR;
        } else {
            store->fd = open(store->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
            if (store->fd < 0) error = errno;
        }
    }
    error = errno_of_root(store, error);
    if (error != 0)
        return CF_FAIL(CF_ERR_IO, "%s: cannot create (%s)", store->path, strerror(error));
    if (access(store->temporary, R_OK | W_OK) != 0)
        return cf_par_agree(&store->par, CF_FAIL(CF_ERR_IO, "%s: is not there on every rank: %s",
                                                 store->temporary, strerror(errno)));
    return cf_par_agree(&store->par, CF_OK);
}

static cf_status make_file(cf_store *store)
{
    char reason[STORE_REASON_SIZE];
    hid_t access = make_access(store), creation = H5Pcreate(H5P_FILE_CREATE);

    H5Pset_obj_track_times(creation, false); /* equal content, equal bytes */
    store->file = H5Fcreate(store->temporary, H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    H5Pclose(access);
    return cf_par_agree(&store->par, store->file >= 0 ? CF_OK
                                                      : CF_FAIL(CF_ERR_IO, "%s: cannot create (%s)",
                                                                store->path, store_reason(reason)));
}

cf_status cf_store_create(const cf_par *par, const char *path, const char *kind, cf_store **out)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(begin(par, path, true, &store));
    CF_TRY(make_temporary(store));
    CF_TRY(make_file(store));
    CF_TRY(store_reserve(store));
    CF_TRY(cf_store_write_text(store, "kind", kind));
    CF_TRY(cf_store_write_int(store, "format_version", STORE_VERSION));
    *out = store;
    store = NULL;
done:
    cf_store_close(&store);
    return status;
}

static cf_status flush(const cf_store *store)
{
    char reason[STORE_REASON_SIZE];
    bool flushed = H5Fflush(store->file, H5F_SCOPE_GLOBAL) >= 0;

    return cf_par_agree(&store->par, flushed ? CF_OK
                                             : CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)",
                                                       store->path, store_reason(reason)));
}

/* Make sure that the folder remembers the new name. Not every file system can; then there is
 * nothing more to do. */
static void sync_folder(char *path)
{
    int folder = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0) return;
    fsync(folder);
    close(folder);
}

static cf_status rename_into_place(cf_store *store)
{
    int error = 0;

    if (store->par.rank == 0) {
        struct stat now;

        /* the length as HDF5 left it; what was reserved beyond goes back */
        if (fstat(store->fd, &now) != 0 || ftruncate(store->fd, now.st_size) != 0 ||
            fsync(store->fd) != 0 || rename(store->temporary, store->path) != 0)
            error = errno;
    }
    error = errno_of_root(store, error);
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

cf_status cf_store_commit(cf_store **handle)
{
    cf_store *store = *handle;
    cf_status status;

    *handle = NULL;
    CF_TRY(store_write_checksums(store));
    CF_TRY(cf_store_write_int(store, "complete", 1));
    CF_TRY(flush(store)); /* the first: what was left behind before is no HDF5 file */
    CF_TRY(store_read_back(store));
    CF_TRY(close_file(store));
    CF_TRY(rename_into_place(store));
done:
    cf_store_close(&store);
    return status;
}

/* ---- Reading ---- */

/* What can be said about the file without HDF5. Local. */
static cf_status look_at(const char *path)
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

static cf_status open_file(cf_store *store)
{
    char reason[STORE_REASON_SIZE];
    hid_t access = make_access(store);

    store->file = H5Fopen(store->path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (store->file >= 0) return cf_par_agree(&store->par, CF_OK);
    store_reason(reason);
    return cf_par_agree(&store->par, CF_FAIL(CF_ERR_FORMAT, "%s: is truncated or damaged (%s)",
                                             store->path, reason));
}

static cf_status check_kind(cf_store *store, const char *wanted)
{
    char *kind = NULL;
    int64_t version = 0, complete = 0;
    cf_status status;

    status = cf_store_read_text(store, "kind", &kind);
    if (status == CF_OK) status = cf_store_read_int(store, "format_version", &version);
    if (status == CF_ERR_FORMAT)
        status = CF_FAIL(CF_ERR_FORMAT, "%s: is not a file of this program", store->path);
    CF_TRY(status);
    if (wanted != NULL && strcmp(kind, wanted) != 0)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: is a %s, not a %s", store->path, kind, wanted));
    if (version != STORE_VERSION)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: has format version %lld; this program reads %d",
                       store->path, (long long)version, STORE_VERSION));
    status = cf_store_read_int(store, "complete", &complete);
    if (status == CF_ERR_FORMAT)
        status =
            CF_FAIL(CF_ERR_FORMAT, "%s: is not complete: its writing was cut off", store->path);
done:
    cf_free(&kind);
    return status;
}

cf_status cf_store_open(const cf_par *par, const char *path, const char *kind, cf_store **out)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(begin(par, path, false, &store));
    CF_TRY(cf_par_agree(par, look_at(path)));
    CF_TRY(open_file(store));
    CF_TRY(check_kind(store, kind));
    *out = store;
    store = NULL;
done:
    cf_store_close(&store);
    return status;
}

const char *cf_store_library(void)
{
    static char name[48];
    unsigned major = 0, minor = 0, release = 0;

    (void)H5get_libversion(&major, &minor, &release);
    snprintf(name, sizeof name, "HDF5 %u.%u.%u", major, minor, release);
    return name;
}
