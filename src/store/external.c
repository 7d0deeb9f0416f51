/* Matrices in HDF5 files of other programs (2-D, floating point, any layout and byte order), read
 * by one process for itself. A chunk cache of 64 MiB keeps the decompressed chunks, for rows may be
 * read in any order. HDF5 returns zeros for what was never written and for what lies in a file that
 * is not there, and nobody could tell them from numbers: so a matrix must lie in the file itself,
 * all of it. tests/data/store/matrices.h5 has a matrix of each kind, and of each kind that is
 * refused.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK_CACHE = 64 << 20, /* bytes */
    CHUNK_SLOTS = 12421,    /* a prime, about 100 times the chunks that fit, as HDF5 advises */
    LIST_SIZE = 1024        /* bytes of names in a message */
};

struct cf_external {
    store_io io;
    hid_t file, dataset, space, type; /* type: in memory */
    int64_t shape[2];
    char *path, *label;
};

/* ---- Choosing a dataset ---- */

/* The 2-D datasets of floating-point numbers of a file. */
typedef struct candidates {
    store_io *io;
    cf_status status; /* of the callback, which can only return -1 */
    int64_t count;
    char first[STORE_NAME_SIZE];
    char list[LIST_SIZE]; /* "/a, /b"; cut where it is full */
} candidates;

/* A 2-D dataset of floating-point numbers of any width. */
static bool is_matrix(hid_t dataset)
{
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    bool matrix = H5Tget_class(type) == H5T_FLOAT && H5Sget_simple_extent_ndims(space) == 2;

    H5Tclose(type);
    H5Sclose(space);
    return matrix;
}

/* H5Lvisit()'s callback: note the matrix, if the object is one. Links to other places are not
 * followed. */
static herr_t add_candidate(hid_t file, const char *name, const H5L_info_t *info, void *context)
{
    candidates *all = context;
    char reason[STORE_REASON_SIZE];
    hid_t object;
    size_t used = strlen(all->list);

    if (info->type != H5L_TYPE_HARD) return 0;
    object = H5Oopen(file, name, H5P_DEFAULT);
    if (object < 0) {
        all->status = store_fail_read(all->io, "%s: cannot read /%s (%s)", all->io->name, name,
                                      store_reason(reason));
        return -1;
    }
    if (H5Iget_type(object) == H5I_DATASET && is_matrix(object)) {
        if (all->count++ == 0) snprintf(all->first, sizeof all->first, "/%s", name);
        snprintf(all->list + used, LIST_SIZE - used, "%s/%s", used > 0 ? ", " : "", name);
    }
    H5Oclose(object);
    return 0;
}

/* The name of the only matrix. */
static cf_status find_matrix(const char *path, hid_t file, candidates *all)
{
    char reason[STORE_REASON_SIZE];

    if (H5Lvisit(file, H5_INDEX_NAME, H5_ITER_INC, add_candidate, all) < 0)
        return all->status != CF_OK
                   ? all->status
                   : store_fail_read(all->io, "%s: is damaged (%s)", path, store_reason(reason));
    if (all->count == 0)
        return CF_FAIL(CF_ERR_FORMAT, "%s: contains no 2-D dataset of floating-point numbers",
                       path);
    if (all->count > 1)
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s: contains %" PRId64
                       " 2-D datasets of floating-point numbers; choose one "
                       "as FILE:/DATASET: %s",
                       path, all->count, all->list);
    return CF_OK;
}

/* ---- Checking it ---- */

/* The type that numbers are read as, so that none loses precision. Halves stay halves: HDF5 widens
 * them slowly, cf_store_f16_to_f32() fast. */
static cf_type choose_type(cf_external *external, hid_t stored)
{
    hid_t half = store_create_half(), other = H5Tcopy(half);
    bool is_half;

    H5Tset_order(other, H5T_ORDER_BE);
    is_half = H5Tequal(stored, half) > 0 || H5Tequal(stored, other) > 0;
    H5Tclose(other);
    if (is_half) {
        external->type = half;
        return CF_F16;
    }
    H5Tclose(half);
    external->type = H5Tcopy(H5Tget_size(stored) <= 4 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE);
    return H5Tget_size(stored) <= 4 ? CF_F32 : CF_F64;
}

/* Any HDF5 floating-point type will do; integers will not. */
static cf_status check_type(cf_external *external, cf_type *type)
{
    hid_t stored = H5Dget_type(external->dataset);
    bool numbers = H5Tget_class(stored) == H5T_FLOAT;

    if (numbers) *type = choose_type(external, stored);
    H5Tclose(stored);
    if (numbers) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT,
                   "%s: is not of floating-point numbers, expected float16, float32 or float64",
                   external->label);
}

/* Numbers of rows and columns are 32-bit in the program. */
static cf_status check_shape(cf_external *external)
{
    hsize_t shape[H5S_MAX_RANK] = {0};
    const int rank = H5Sget_simple_extent_ndims(external->space);

    if (rank == 2) H5Sget_simple_extent_dims(external->space, shape, NULL);
    if (rank != 2 || shape[0] < 1 || shape[1] < 1 || shape[0] > INT32_MAX || shape[1] > INT32_MAX)
        return CF_FAIL(CF_ERR_FORMAT, "%s: is not a 2-D array, expected rows x columns",
                       external->label);
    external->shape[0] = (int64_t)shape[0];
    external->shape[1] = (int64_t)shape[1];
    return CF_OK;
}

/* Chunks that a matrix of this shape has. */
static hsize_t count_chunks(const cf_external *external, hid_t creation)
{
    hsize_t chunk[2] = {1, 1}, all = 1;

    H5Pget_chunk(creation, 2, chunk);
    for (int k = 0; k < 2; k++)
        all *= ((hsize_t)external->shape[k] + chunk[k] - 1) / chunk[k];
    return all;
}

/* Every number must have been written: the program that wrote the file may have been killed, or
 * have left parts out. */
static cf_status check_written(cf_external *external)
{
    char reason[STORE_REASON_SIZE];
    hid_t creation = H5Dget_create_plist(external->dataset);
    const bool chunked = H5Pget_layout(creation) == H5D_CHUNKED;
    const hsize_t all = chunked ? count_chunks(external, creation) : 0;
    hsize_t written = 0;

    H5Pclose(creation);
    if (H5Dget_storage_size(external->dataset) == 0)
        return CF_FAIL(CF_ERR_FORMAT, "%s: has no data: it was never written", external->label);
    if (!chunked) return CF_OK;
    if (H5Dget_num_chunks(external->dataset, external->space, &written) < 0)
        return store_fail_read(&external->io, "%s: cannot read (%s)", external->label,
                               store_reason(reason));
    if (written == all) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT, "%s: %" PRIuMAX " of its %" PRIuMAX " chunks were never written",
                   external->label, (uintmax_t)(all - written), (uintmax_t)all);
}

/* The data must lie in this file. Nothing but the dataset's header is looked at, for the other
 * files may be anything. */
static cf_status check_place(const cf_external *external)
{
    hid_t creation = H5Dget_create_plist(external->dataset);
    const bool is_virtual = H5Pget_layout(creation) == H5D_VIRTUAL;
    const bool outside = H5Pget_external_count(creation) > 0;

    H5Pclose(creation);
    if (!is_virtual && !outside) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT,
                   "%s: %s, expected numbers in the file itself: h5repack -l CONTI copies them "
                   "there",
                   external->label,
                   is_virtual ? "is a virtual dataset, made of others"
                              : "its numbers lie in files beside it");
}

/* Open the dataset with its name for messages and its chunk cache. */
static cf_status open_dataset(cf_external *external, const char *path, const char *name)
{
    char reason[STORE_REASON_SIZE];
    store_link link;
    hid_t access;
    cf_status status;

    CF_TRY(cf_text_format(&external->label, "%s:%s", path, name));
    link = store_look_up(external->file, name);
    if (link == STORE_UNKNOWN)
        CF_TRY(store_fail_read(&external->io, "%s: no such dataset (%s)", external->label,
                               store_reason(reason)));
    CF_REQUIRE(link != STORE_ELSEWHERE, CF_ERR_FORMAT,
               "%s: is reached by a link, expected the dataset's own name", external->label);
    access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, CHUNK_SLOTS, CHUNK_CACHE, 0.75);
    external->dataset = H5Dopen2(external->file, name, access);
    if (external->dataset < 0) /* before HDF5's next call clears the reason */
        status = store_fail_read(&external->io, "%s: no such dataset (%s)", external->label,
                                 store_reason(reason));
    H5Pclose(access);
    CF_TRY(status);
    CF_TRY(check_place(external));
    external->space = H5Dget_space(external->dataset);
done:
    return status;
}

/* ---- Opening and reading ---- */

/* A file of HDF5 begins at byte 0, 512, 1024, 2048, ...: another program's bytes may come first.
 * What is not a regular file is none; a pipe is not waited for. */
cf_status cf_store_is_hdf5(const char *path, bool *out)
{
    char head[sizeof store_signature];
    struct stat about;
    int64_t n = 0;
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    cf_status status = CF_OK;

    if (fd < 0 || fstat(fd, &about) != 0)
        CF_TRY(CF_FAIL(CF_ERR_IO, "%s: %s", path, strerror(errno)));
    for (off_t at = 0; S_ISREG(about.st_mode) && at < about.st_size && n >= 0 && !found;
         at = at == 0 ? 512 : 2 * at) {
        n = cf_file_read(fd, head, sizeof head, at);
        found = n == sizeof head && memcmp(head, store_signature, sizeof head) == 0;
    }
    CF_REQUIRE(n >= 0, CF_ERR_IO, "%s: %s", path, strerror(errno));
    *out = found;
done:
    if (fd >= 0) close(fd);
    return status;
}

/* Open the file through the driver, which tells a failed read from a damaged file. */
static cf_status open_file(cf_external *external, const char *path)
{
    char reason[STORE_REASON_SIZE];
    hid_t access;
    cf_status status = CF_OK;

    external->io.path = external->io.name = path;
    external->io.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (external->io.fd < 0)
        return CF_FAIL(CF_ERR_IO, "%s: cannot open (%s)", path, strerror(errno));
    access = store_create_access(&external->io);
    external->file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (external->file < 0)
        status = store_fail_read(&external->io, "%s: is not an HDF5 file, or is damaged (%s)", path,
                                 store_reason(reason));
    H5Pclose(access);
    return status;
}

/* Each reader is alone, with a handle of its own. `path` is copied: the driver needs it until the
 * file is closed. */
cf_status cf_store_open_external(const char *path, const char *dataset, cf_external **out,
                                 cf_type *type, int64_t shape[2])
{
    candidates all = {0};
    cf_external *external = NULL;
    cf_type found = CF_F32;
    cf_status status;

    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    CF_TRY(CF_ALLOC(external, 1));
    external->file = external->dataset = external->space = external->type = external->io.fd = -1;
    CF_TRY(cf_text_format(&external->path, "%s", path));
    CF_TRY(open_file(external, external->path));
    all.io = &external->io;
    if (dataset == NULL) CF_TRY(find_matrix(path, external->file, &all));
    CF_TRY(open_dataset(external, path, dataset != NULL ? dataset : all.first));
    CF_TRY(check_type(external, &found));
    CF_TRY(check_shape(external));
    CF_TRY(check_written(external));
    *type = found;
    memcpy(shape, external->shape, sizeof external->shape);
    *out = external;
    external = NULL;
done:
    cf_store_close_external(&external);
    return status;
}

const char *cf_store_external_name(const cf_external *external)
{
    return external->label;
}

/* HDF5 converts byte order and width on the way. */
cf_status cf_store_read_external(cf_external *external, int64_t first, int64_t count, void *rows)
{
    const hsize_t start[2] = {(hsize_t)first, 0},
                  shape[2] = {(hsize_t)count, (hsize_t)external->shape[1]};
    char reason[STORE_REASON_SIZE];
    hid_t memory = H5Screate_simple(2, shape, NULL);
    cf_status status = CF_OK;

    if (H5Sselect_hyperslab(external->space, H5S_SELECT_SET, start, NULL, shape, NULL) < 0 ||
        H5Dread(external->dataset, external->type, memory, external->space, H5P_DEFAULT, rows) < 0)
        status = store_fail_read(&external->io, "%s: cannot read the rows from %" PRId64 " on (%s)",
                                 external->label, first, store_reason(reason));
    H5Sclose(memory);
    return status;
}

void cf_store_close_external(cf_external **external)
{
    cf_external *f = *external;

    if (f == NULL) return;
    if (f->type >= 0) H5Tclose(f->type);
    if (f->space >= 0) H5Sclose(f->space);
    if (f->dataset >= 0) H5Dclose(f->dataset);
    if (f->file >= 0) H5Fclose(f->file);
    if (f->io.fd >= 0) close(f->io.fd);
    cf_free(&f->path);
    cf_free(&f->label);
    cf_free(external);
}
