/* HDF5's file driver: how HDF5 reads and writes the bytes of a file that all ranks share.
 *
 * Every rank runs HDF5 by itself on the same file, and all ranks make the same calls that change
 * the file's structure, so that all come to the same layout. Rank 0 alone, who leads, writes that
 * structure (metadata); each rank writes and reads its own rows. So no call of HDF5 communicates,
 * and an error of one rank leaves no other one waiting within HDF5: the ranks agree on it
 * afterwards. HDF5's own parallel driver keeps the ranks in step inside its calls, where one that
 * fails leaves the others waiting.
 *
 * The driver notes errno of the first call that failed. A failed read then fails in HDF5, and is
 * told apart from a damaged file by the note (hdf5.c). A failed write is not passed on, since HDF5
 * cannot end well without it, not even close the file: those who write ask store_io.error before
 * they believe in anything. tests/store/faults.c makes every call fail. */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* HDF5's handle of an open file: its own part comes first. */
typedef struct driver_file {
    H5FD_t hdf5;
    store_io *io;
    haddr_t end;  /* of the space that HDF5 has given out */
    haddr_t size; /* of the file */
} driver_file;

/* What an access list carries. */
typedef struct driver_info {
    store_io *io;
} driver_info;

static const driver_file *file_of(const H5FD_t *hdf5)
{
    return (const driver_file *)hdf5;
}

static void note_error(store_io *io)
{
    if (io->error == 0) io->error = errno;
}

/* ---- Opening ---- */

static herr_t close_file(H5FD_t *hdf5)
{
    driver_file *file = (driver_file *)hdf5;

    cf_free(&file);
    return 0;
}

/* HDF5 opens a new file twice, the first time to see whether it is there. A file that a link or a
 * virtual dataset leads to is not opened. */
static H5FD_t *open_file(const char *name, unsigned flags, hid_t access, haddr_t limit)
{
    const driver_info *info = H5Pget_driver_info(access);
    driver_file *file = NULL;
    struct stat found;

    (void)flags;
    (void)limit;
    if (info == NULL || strcmp(name, info->io->path) != 0) return NULL;
    if (fstat(info->io->fd, &found) != 0) {
        note_error(info->io);
        return NULL;
    }
    if (CF_ALLOC(file, 1) != CF_OK) {
        info->io->error = ENOMEM;
        return NULL;
    }
    file->io = info->io;
    file->size = (haddr_t)found.st_size;
    return &file->hdf5;
}

/* Space is given out as by HDF5's own drivers; small pieces share blocks. */
static herr_t query(const H5FD_t *hdf5, unsigned long *features)
{
    (void)hdf5;
    *features = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA |
                H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

/* ---- Where the file ends ---- */

static haddr_t get_end(const H5FD_t *hdf5, H5FD_mem_t type)
{
    (void)type;
    return file_of(hdf5)->end;
}

static herr_t set_end(H5FD_t *hdf5, H5FD_mem_t type, haddr_t end)
{
    (void)type;
    ((driver_file *)hdf5)->end = end;
    return 0;
}

static haddr_t get_size(const H5FD_t *hdf5, H5FD_mem_t type)
{
    (void)type;
    return file_of(hdf5)->size;
}

/* At the end the file is cut to the space that was given out. */
static herr_t truncate_file(H5FD_t *hdf5, hid_t transfer, hbool_t closing)
{
    driver_file *file = (driver_file *)hdf5;
    store_io *io = file->io;

    (void)transfer;
    if (!closing || !io->leads || io->error != 0) return 0;
    if (ftruncate(file->io->fd, (off_t)file->end) != 0) note_error(io);
    return 0;
}

/* ---- Bytes ---- */

static herr_t read_bytes(H5FD_t *hdf5, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size,
                         void *buffer)
{
    driver_file *file = (driver_file *)hdf5;
    const double began = cf_clock_now();
    int64_t n;

    (void)type;
    (void)transfer;
    cf_par_enter("pread");
    n = cf_file_read(file->io->fd, buffer, (int64_t)size, (int64_t)at);
    cf_par_leave();
    cf_par_count_file(began, cf_max(n, 0), 0);
    if (n < 0) note_error(file->io);
    return n == (int64_t)size ? 0 : -1; /* else the file is shorter than it says */
}

/* Rows are written by each rank, everything else by rank 0; nothing after an error. */
static herr_t write_bytes(H5FD_t *hdf5, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size,
                          const void *buffer)
{
    driver_file *file = (driver_file *)hdf5;
    store_io *io = file->io;
    const double began = cf_clock_now();

    (void)transfer;
    if (at + size > file->size) file->size = at + size;
    if (type != H5FD_MEM_DRAW && !io->leads) return 0;
    cf_par_enter("pwrite");
    if (io->error == 0 && !cf_file_write(file->io->fd, buffer, (int64_t)size, (int64_t)at))
        note_error(io);
    cf_par_leave();
    cf_par_count_file(began, 0, io->error == 0 ? (int64_t)size : 0);
    return 0;
}

/* ---- The driver ---- */

static const H5FD_class_t driver = {
    .name = "llminit",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG, /* nothing of a closed file may come back later */
    .fapl_size = sizeof(driver_info),
    .open = open_file,
    .close = close_file,
    .query = query,
    .get_eoa = get_end,
    .set_eoa = set_end,
    .get_eof = get_size,
    .read = read_bytes,
    .write = write_bytes,
    .truncate = truncate_file,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t store_create_access(store_io *io)
{
    static hid_t registered = -1;
    const driver_info info = {io};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);

    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* messages are ours */
    if (registered < 0) registered = H5FDregister(&driver);
    if (registered < 0 || H5Pset_driver(access, registered, &info) < 0) {
        H5Pclose(access);
        return -1;
    }
    return access;
}
