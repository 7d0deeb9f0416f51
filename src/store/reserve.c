/* Room on the disk, taken before data is written. MPI-IO may lose the error of a full disk (Open
 * MPI's collective writes report success), so rank 0 allocates the file's length with
 * posix_fallocate(), whose error is reliable. Arrays get their place in the file when they are
 * added, thus the length is known before their data is written.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Bytes beyond the file's end, for the metadata that HDF5 writes on closing; the commit gives back
 * what is left of them. */
static const int64_t margin = 256 * 1024;

int store_errno_of_root(const cf_store *store, int error)
{
    MPI_Bcast(&error, 1, MPI_INT, 0, store->par.comm);
    return error;
}

cf_status store_reserve(cf_store *store)
{
    hsize_t end = 0;
    int error = 0;

    H5Fget_filesize(store->file, &end); /* counts what is allocated, also before it is written */
    if (store->par.rank == 0 && (int64_t)end > store->reserved - margin / 2) {
        int64_t length = (int64_t)end + margin;

        do {
            error = posix_fallocate(store->fd, store->reserved, length - store->reserved);
        } while (error == EINTR);
        if (error == EOPNOTSUPP || error == EINVAL || error == ENOSYS)
            error = 0; /* this file system cannot reserve: reading back finds what is missing */
        if (error == 0) store->reserved = length;
    }
    error = store_errno_of_root(store, error);
    return error == 0 ? CF_OK
                      : CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", store->path, strerror(error));
}
