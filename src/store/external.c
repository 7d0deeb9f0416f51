/* Matrices in HDF5 files of other programs (2-D, floating point, any layout and byte order), read
 * by one process for itself. A chunk cache of 64 MiB keeps the decompressed chunks, for rows may be
 * read in any order. tests/data/store/matrices.h5 has a matrix of each kind, and of each kind that
 * is refused.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CHUNK_CACHE = 64 << 20, /* bytes */
    CHUNK_SLOTS = 12421,    /* a prime, about 100 times the chunks that fit, as HDF5 advises */
    LIST_SIZE = 1024        /* bytes of names in a message */
};

struct cf_external {
    hid_t file, dataset, space, type; /* type: in memory */
    int64_t shape[2];
    char *label;
};

/* ---- Choosing a dataset ---- */

/* The 2-D datasets of floating-point numbers of a file. */
typedef struct candidates {
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

/* H5Lvisit()'s callback: note the matrix, if the object is one. */
static herr_t add_candidate(hid_t file, const char *name, const H5L_info_t *info, void *context)
{
    candidates *all = context;
    hid_t object;
    size_t used = strlen(all->list);

    if (info->type != H5L_TYPE_HARD) return 0;
    object = H5Oopen(file, name, H5P_DEFAULT);
    if (object >= 0 && H5Iget_type(object) == H5I_DATASET && is_matrix(object)) {
        if (all->count++ == 0) snprintf(all->first, sizeof all->first, "/%s", name);
        snprintf(all->list + used, LIST_SIZE - used, "%s/%s", used > 0 ? ", " : "", name);
    }
    if (object >= 0) H5Oclose(object);
    return 0;
}

/* The name of the only matrix. */
static cf_status find_matrix(const char *path, hid_t file, candidates *all)
{
    char reason[STORE_REASON_SIZE];

    if (H5Lvisit(file, H5_INDEX_NAME, H5_ITER_INC, add_candidate, all) < 0)
        return CF_FAIL(CF_ERR_FORMAT, "%s: is damaged (%s)", path, store_reason(reason));
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

/* HDF5 returns zeros for data that was never written: the program that wrote the file was
 * killed. */
static cf_status check_written(const cf_external *external)
{
    hid_t creation = H5Dget_create_plist(external->dataset);
    const bool is_virtual = H5Pget_layout(creation) == H5D_VIRTUAL;
    const hsize_t size = H5Dget_storage_size(external->dataset);

    H5Pclose(creation);
    if (is_virtual || size > 0) return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT, "%s: has no data: it was never written", external->label);
}

/* Open the dataset with its name for messages and its chunk cache. */
static cf_status open_dataset(cf_external *external, const char *path, const char *name)
{
    char reason[STORE_REASON_SIZE];
    const size_t size = strlen(path) + strlen(name) + 2;
    hid_t access;
    cf_status status;

    CF_TRY(CF_ALLOC(external->label, (int64_t)size));
    snprintf(external->label, size, "%s:%s", path, name);
    access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, CHUNK_SLOTS, CHUNK_CACHE, 0.75);
    external->dataset = H5Dopen2(external->file, name, access);
    if (external->dataset < 0) /* before HDF5's next call clears the reason */
        status = CF_FAIL(CF_ERR_FORMAT, "%s: no such dataset (%s)", external->label,
                         store_reason(reason));
    H5Pclose(access);
    CF_TRY(status);
    external->space = H5Dget_space(external->dataset);
done:
    return status;
}

/* ---- Opening and reading ---- */

bool cf_store_is_hdf5(const char *path)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* messages are ours */
    return H5Fis_hdf5(path) > 0;
}

/* The file is opened without MPI: each reader is alone. */
cf_status cf_store_open_external(const char *path, const char *dataset, cf_external **out,
                                 cf_type *type, int64_t shape[2])
{
    char reason[STORE_REASON_SIZE];
    candidates all = {0};
    cf_external *external = NULL;
    cf_type found = CF_F32;
    cf_status status;

    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    CF_TRY(CF_ALLOC(external, 1));
    external->dataset = external->space = external->type = -1;
    external->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    CF_REQUIRE(external->file >= 0, CF_ERR_FORMAT, "%s: is not an HDF5 file, or is damaged (%s)",
               path, store_reason(reason));
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
    char reason[STORE_REASON_SIZE];
    const hsize_t start[2] = {(hsize_t)first, 0},
                  shape[2] = {(hsize_t)count, (hsize_t)external->shape[1]};
    hid_t memory = H5Screate_simple(2, shape, NULL);
    cf_status status = CF_OK;

    if (H5Sselect_hyperslab(external->space, H5S_SELECT_SET, start, NULL, shape, NULL) < 0 ||
        H5Dread(external->dataset, external->type, memory, external->space, H5P_DEFAULT, rows) < 0)
        status = CF_FAIL(CF_ERR_FORMAT, "%s: cannot read the rows from %" PRId64 " on (%s)",
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
    cf_free(&f->label);
    cf_free(external);
}
