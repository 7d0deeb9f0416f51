/* Room on the disk, taken before data is written: rank 0 allocates the file's length with
 * posix_fallocate(). Arrays get their place in the file when they are added, thus a disk that is
 * too small is known before their data is written.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>

/* Rank 0's part of it. */
static void reserve(store_io *io, int64_t from, int64_t to)
{
    int error;

    do {
        error = posix_fallocate(io->fd, from, to - from);
    } while (error == EINTR);
    if (error == EOPNOTSUPP || error == EINVAL || error == ENOSYS)
        return; /* this file system cannot reserve: a full disk is found by the writes */
    io->error = error;
}

cf_status store_reserve(cf_store *store)
{
    hsize_t end = 0;
    cf_status status = CF_OK;

    H5Fget_filesize(store->file, &end); /* counts what is allocated, also before it is written */
    if (store->par.rank == 0 && (int64_t)end > store->reserved) {
        reserve(store->io, store->reserved, (int64_t)end);
        store->reserved = (int64_t)end;
    }
    if (store->io->error != 0) status = store_fail_io(store->io, "write");
    return cf_par_agree_on_input(&store->par, status);
}
