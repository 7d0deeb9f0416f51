/* Files: create and commit, open and close. A file is complete or absent. It is written under a
 * temporary name; commit writes the checksums and the attribute `complete`, syncs, reads everything
 * back as any reader would, and renames it to `path`. A run that is killed at any moment leaves the
 * old file as it was. Every rank has a descriptor of its own, through which HDF5 reads and writes
 * (driver.c). tests/store/refuse.c cuts files short, tests/store/full_disk.c fills a disk.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
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
    store->writing = writing;
    store->file = -1;
    store_create_types(store->types);
    CF_TRY(CF_ALLOC(store->io, 1));
    store->io->fd = -1;
    CF_TRY(cf_text_format(&store->path, "%s", path));
    store->io->path = store->io->name = store->path;
done:
    *out = store;
    return status;
}

/* Free a handle whose file is closed. */
static void destroy_handle(cf_store *store)
{
    store_destroy_types(store->types);
    cf_free(&store->io);
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

/* Close the arrays and the file; the descriptor stays open. Local. False if HDF5 refused. */
static bool close_hdf5(cf_store *store)
{
    bool closed = store_close_arrays(store);

    if (store->file >= 0) closed = H5Fclose(store->file) >= 0 && closed;
    store->file = -1;
    return closed;
}

/* Nothing is reported: a file that was read has nothing to lose, and one that was being written is
 * given up. */
void cf_store_close(cf_store **handle)
{
    cf_store *store = *handle;

    if (store == NULL) return;
    *handle = NULL;
    (void)close_hdf5(store);
    if (!store->io->leads && store->io->fd >= 0) (void)close(store->io->fd);
    cf_file_discard(&store->made);
    if (store->writing) MPI_Barrier(store->par.comm); /* no rank returns before the file is gone */
    destroy_handle(store);
}

const char *cf_store_path(const cf_store *store)
{
    return store->path;
}

/* ---- Writing ---- */

/* Rank 0 makes the file, the others open it. The folder may be local to rank 0's node: so each rank
 * must see it. Collective. */
static cf_status create_temporary(cf_store *store)
{
    const cf_par *par = &store->par;
    store_io *io = store->io;
    int64_t size = 0;
    cf_status status = CF_OK;

    io->leads = par->rank == 0;
    if (io->leads) status = cf_file_create(store->path, &store->made);
    CF_TRY(cf_par_agree_on_input(par, status));
    if (io->leads) size = (int64_t)strlen(store->made.temporary) + 1;
    cf_par_broadcast(par, &size, sizeof size, 0);
    CF_TRY(cf_par_agree(par, CF_ALLOC(store->temporary, size)));
    if (io->leads) memcpy(store->temporary, store->made.temporary, (size_t)size);
    cf_par_broadcast(par, store->temporary, size, 0);
    io->path = store->temporary;
    io->fd = io->leads ? store->made.fd : open(io->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (io->fd < 0)
        status = CF_FAIL(CF_ERR_IO, "%s: is not accessible on every rank (%s)", io->path,
                         strerror(errno));
    CF_TRY(cf_par_agree(par, status));
done:
    return status;
}

/* Let HDF5 begin the temporary file. Collective. */
static cf_status create_file(cf_store *store)
{
    char reason[STORE_REASON_SIZE];
    hid_t access = store_create_access(store->io), creation = H5Pcreate(H5P_FILE_CREATE);
    cf_status status = CF_OK;

    H5Pset_obj_track_times(creation, false); /* equal content, equal bytes */
    /* the format of HDF5 1.8, whose metadata has checksums */
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
    store->file = H5Fcreate(store->temporary, H5F_ACC_TRUNC, creation, access);
    if (store->io->error != 0)
        status = store_fail_io(store->io, "create");
    else if (store->file < 0)
        status = CF_FAIL(CF_ERR_IO, "%s: cannot create (%s)", store->path, store_reason(reason));
    H5Pclose(creation);
    H5Pclose(access);
    return cf_par_agree(&store->par, status);
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

/* Everything to the disk: HDF5 writes the file's structure as it closes it, then each rank syncs
 * what it wrote. Nothing is said of a write before that may have failed, but by the driver.
 * Collective. */
static cf_status finish_file(cf_store *store)
{
    store_io *io = store->io;
    char reason[STORE_REASON_SIZE];
    double began;
    cf_status status = CF_OK;

    if (!close_hdf5(store))
        status = CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", store->path, store_reason(reason));
    began = cf_clock_now();
    cf_par_enter("fsync");
    if (io->error == 0 && fsync(io->fd) != 0) io->error = errno;
    cf_par_leave();
    cf_par_count_file(began, 0, 0);
    if (!io->leads) { /* rank 0 keeps it until the file has its name */
        if (close(io->fd) != 0 && io->error == 0) io->error = errno;
        io->fd = -1;
    }
    if (io->error != 0) status = store_fail_io(io, "write");
    return cf_par_agree(&store->par, status);
}

/* Read the finished file as any reader would, from the start: other ranks read than wrote, which
 * the checksums do not depend on. Collective. */
static cf_status read_back(const cf_store *store)
{
    cf_store *reader = NULL;
    cf_status status;

    CF_TRY(cf_store_open(&store->par, store->temporary, NULL, &reader));
    CF_TRY(store_verify_all(reader));
done:
    cf_store_close(&reader);
    if (status == CF_ERR_FORMAT || status == CF_ERR_IO)
        status =
            CF_FAIL(CF_ERR_IO, "%s: cannot write (the file does not hold what was written: %s)",
                    store->path, cf_error_message());
    return status;
}

/* Give the finished file its name. Collective. */
static cf_status publish(cf_store *store)
{
    cf_status status = store->io->leads ? cf_file_publish(&store->made) : CF_OK;

    CF_TRY(cf_par_agree_on_input(&store->par, status));
    store->writing = false;
done:
    return status;
}

/* The order matters: `complete` is the last thing written, everything is read back from the
 * finished file, and only that gets the name. On any error the store is closed as one that was
 * given up, which removes the temporary file. */
cf_status cf_store_commit(cf_store **handle)
{
    cf_store *store = *handle;
    cf_status status;

    *handle = NULL;
    CF_TRY(store_write_checksums(store));
    CF_TRY(cf_store_write_int(store, "complete", 1));
    CF_TRY(finish_file(store));
    CF_TRY(read_back(store));
    CF_TRY(publish(store));
done:
    cf_store_close(&store);
    return status;
}

/* ---- Reading ---- */

/* Open the file, and find the errors that need no HDF5: absent, a folder, empty, another kind of
 * file. A pipe is not waited for. Local. */
static cf_status open_descriptor(cf_store *store)
{
    const char *path = store->path;
    char head[sizeof store_signature] = {0};
    struct stat file;
    cf_status status = CF_OK;

    store->io->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    CF_REQUIRE(store->io->fd >= 0 && fstat(store->io->fd, &file) == 0, CF_ERR_IO,
               "%s: cannot open (%s)", path, strerror(errno));
    CF_REQUIRE(!S_ISDIR(file.st_mode), CF_ERR_IO, "%s: cannot open (%s)", path, strerror(EISDIR));
    CF_REQUIRE(S_ISREG(file.st_mode), CF_ERR_IO, "%s: cannot open (not a regular file)", path);
    CF_REQUIRE(file.st_size > 0, CF_ERR_FORMAT, "%s: is empty, not an HDF5 file", path);
    CF_REQUIRE(cf_file_read(store->io->fd, head, sizeof head, 0) >= 0, CF_ERR_IO,
               "%s: cannot read (%s)", path, strerror(errno));
    CF_REQUIRE(memcmp(head, store_signature, sizeof head) == 0, CF_ERR_FORMAT,
               "%s: is not an HDF5 file", path);
done:
    return status;
}

/* The signature is right, so that a failure here means a damaged file. Collective. */
static cf_status open_file(cf_store *store)
{
    char reason[STORE_REASON_SIZE];
    hid_t access = store_create_access(store->io);
    cf_status status = CF_OK;

    store->file = H5Fopen(store->path, H5F_ACC_RDONLY, access);
    if (store->file < 0)
        status = store_fail_read(store->io, "%s: is truncated or damaged (%s)", store->path,
                                 store_reason(reason));
    H5Pclose(access);
    return cf_par_agree(&store->par, status);
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
    CF_REQUIRE(
        version == STORE_VERSION, CF_ERR_FORMAT,
        "%s: has format version %lld; this program reads %d: take the program that wrote it, "
        "or prepare and train again",
        store->path, (long long)version, STORE_VERSION);
    status = cf_store_read_int(store, "complete", &complete);
    if (status == CF_ERR_FORMAT || (status == CF_OK && complete != 1))
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
    CF_TRY(cf_par_agree(par, open_descriptor(store)));
    CF_TRY(open_file(store));
    CF_TRY(check_kind(store, kind));
    *out = store;
    store = NULL;
done:
    cf_store_close(&store);
    return status;
}
