#include "internal.h"

#include <string.h>

static const int64_t most_bytes = (int64_t)1 << 30; /* a call; MPI-IO below HDF5 counts in int */
static const int64_t most_half_bytes = (int64_t)1 << 24; /* of float16 held besides its float32 */

/* ---- Slabs ---- */

cf_slab store_part(const cf_slab *slab, int64_t first, int64_t n)
{
    cf_slab part = *slab;
    int64_t left = slab->n_rows - first;

    part.first_row += first;
    part.n_rows = left < 0 ? 0 : left < n ? left : n;
    return part;
}

int64_t store_rows_a_call(const store_array *array, const cf_slab *slab, int64_t bytes)
{
    int64_t row =
        (slab->n_columns > 0 ? slab->n_columns : 1) * (int64_t)cf_store_type_size(array->type);

    return bytes > row ? bytes / row : 1;
}

int64_t store_calls(const cf_store *store, int64_t n_rows, int64_t rows_a_call)
{
    int64_t calls = (n_rows + rows_a_call - 1) / rows_a_call;

    MPI_Allreduce(MPI_IN_PLACE, &calls, 1, MPI_INT64_T, MPI_MAX, store->par.comm);
    return calls;
}

static void check_slab(const store_array *array, const cf_slab *slab)
{
    CF_ASSERT(slab->n_rows >= 0 && slab->first_row >= 0 &&
              slab->first_row + slab->n_rows <= array->shape[0]);
    CF_ASSERT(slab->n_columns >= 0 && slab->first_column >= 0 &&
              slab->first_column + slab->n_columns <= array->shape[1]);
    CF_ASSERT(slab->stride >= slab->n_columns);
    CF_ASSERT(array->shape[1] > 1 || slab->stride <= 1 || slab->n_rows == 0);
}

/* The places of a slab in the file, as an HDF5 selection. */
static hid_t select_in_file(const store_array *array, const cf_slab *slab)
{
    hsize_t start[2] = {(hsize_t)slab->first_row, (hsize_t)slab->first_column};
    hsize_t count[2] = {(hsize_t)slab->n_rows, (hsize_t)slab->n_columns};
    hid_t space = H5Dget_space(array->dataset);

    if (slab->n_rows * slab->n_columns == 0)
        H5Sselect_none(space);
    else
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    return space;
}

/* The places of a slab in memory: one run if the rows touch, else the first columns of rows of
 * `stride`. */
static hid_t select_in_memory(const cf_slab *slab)
{
    hsize_t n = (hsize_t)(slab->n_rows * slab->n_columns), sizes[2], start[2] = {0, 0};
    hsize_t count[2] = {(hsize_t)slab->n_rows, (hsize_t)slab->n_columns};
    hid_t space;

    if (n == 0 || slab->stride == slab->n_columns) {
        space = H5Screate_simple(1, &n, NULL);
        if (n == 0) H5Sselect_none(space);
        return space;
    }
    sizes[0] = count[0];
    sizes[1] = (hsize_t)slab->stride;
    space = H5Screate_simple(2, sizes, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    return space;
}

cf_status store_move(const cf_store *store, const store_array *array, bool write,
                     const cf_slab *slab, void *data)
{
    char reason[STORE_REASON_SIZE];
    hid_t file, memory, mode, type = store->types[array->type];
    herr_t moved;
    cf_status status = CF_OK;

    if (array->shape[0] == 0) return CF_OK; /* has no place in the file */
    file = select_in_file(array, slab);
    memory = select_in_memory(slab);
    mode = H5Pcreate(H5P_DATASET_XFER);
    /* Ranges that lie inside one another come back wrong from ompio's collective reads. */
    H5Pset_dxpl_mpio(mode, write ? H5FD_MPIO_COLLECTIVE : H5FD_MPIO_INDEPENDENT);
    moved = write ? H5Dwrite(array->dataset, type, memory, file, mode, data)
                  : H5Dread(array->dataset, type, memory, file, mode, data);
    if (moved < 0)
        status = CF_FAIL(CF_ERR_IO, "%s: %s: cannot %s (%s)", store->path, array->name,
                         write ? "write" : "read", store_reason(reason));
    H5Pclose(mode);
    H5Sclose(memory);
    H5Sclose(file);
    return cf_par_agree(&store->par, status);
}

/* ---- Whole slabs ---- */

/* Move a slab of any size. Collective. */
static cf_status move_all(const cf_store *store, const store_array *array, bool write,
                          const cf_slab *slab, void *data)
{
    int64_t rows, calls;
    bool moved = false;
    cf_status status;

    CF_TRY(store_move_columns(store, array, write, slab, data, &moved));
    if (moved) goto done;
    rows = store_rows_a_call(array, slab, most_bytes);
    calls = store_calls(store, slab->n_rows, rows);
    for (int64_t k = 0; k < calls; k++) {
        cf_slab part = store_part(slab, k * rows, rows);
        size_t skip = part.n_rows == 0
                          ? 0
                          : (size_t)(k * rows * slab->stride) * cf_store_type_size(array->type);

        CF_TRY(store_move(store, array, write, &part, (char *)data + skip));
    }
done:
    return status;
}

cf_status cf_store_write(cf_store *store, const char *name, const cf_slab *slab, const void *data)
{
    store_array *array = NULL;
    int64_t before;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    check_slab(array, slab);
    before = array->n_moved;
    store_checksum_add(array, slab, data);
    CF_ASSERT(array->n_moved ==
              before + slab->n_rows * slab->n_columns); /* columns cut at multiples of 16 */
    CF_TRY(move_all(store, array, true, slab, (void *)(uintptr_t)data));
done:
    return status;
}

/* Read rows in the file's own type. */
static cf_status read_plain(const cf_store *store, store_array *array, const cf_slab *slab,
                            void *data)
{
    cf_status status;

    CF_TRY(move_all(store, array, false, slab, data));
    store_checksum_add(array, slab, data);
done:
    return status;
}

/* Read rows of float16 as float32, through a small buffer. */
static cf_status read_halves(const cf_store *store, store_array *array, const cf_slab *slab,
                             float *data)
{
    int64_t rows = store_rows_a_call(array, slab, most_half_bytes),
            calls = store_calls(store, slab->n_rows, rows);
    uint16_t *halves = NULL;
    int64_t most = rows < slab->n_rows ? rows : slab->n_rows;
    cf_status status = CF_ALLOC(halves, most * slab->n_columns);

    CF_TRY(cf_par_agree(&store->par, status));
    for (int64_t k = 0; k < calls; k++) {
        cf_slab part = store_part(slab, k * rows, rows);

        part.stride = part.n_columns;
        CF_TRY(store_move(store, array, false, &part, halves));
        store_checksum_add(array, &part, halves);
        for (int64_t row = 0; row < part.n_rows; row++)
            cf_store_f16_to_f32(halves + row * part.n_columns,
                                data + (k * rows + row) * slab->stride, part.n_columns);
    }
done:
    cf_free(&halves);
    return status;
}

cf_status cf_store_read(cf_store *store, const char *name, cf_type type, const cf_slab *slab,
                        void *data)
{
    static const char *const names[STORE_N_TYPES] = {"float16", "float32", "float64",
                                                     "int32",   "int64",   "uint8"};
    store_array *array = NULL;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    check_slab(array, slab);
    if (array->type == type)
        CF_TRY(read_plain(store, array, slab, data));
    else if (array->type == CF_F16 && type == CF_F32)
        CF_TRY(read_halves(store, array, slab, data));
    else
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: %s: is %s, not %s", store->path, name,
                       names[array->type], names[type]));
done:
    return status;
}

/* ---- Small arrays ---- */

cf_status cf_store_write_whole(cf_store *store, const char *name, cf_type type, int64_t count,
                       const void *data)
{
    int64_t shape[2] = {count, 1};
    cf_slab all = {.n_rows = store->par.rank == 0 ? count : 0, .n_columns = 1, .stride = 1};
    cf_status status;

    CF_TRY(cf_store_add(store, name, type, shape, "values"));
    CF_TRY(cf_store_write(store, name, &all, data));
done:
    return status;
}

cf_status cf_store_read_whole(cf_store *store, const char *name, cf_type type, int64_t *count, void *out)
{
    size_t size = cf_store_type_size(type);
    store_array *array = NULL;
    cf_slab all = {0};
    void *data = NULL;
    int64_t n;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    n = array->shape[0] * array->shape[1];
    all = (cf_slab){.n_rows = store->par.rank == 0 ? array->shape[0] : 0,
                    .n_columns = array->shape[1],
                    .stride = array->shape[1]};
    CF_TRY(cf_par_agree(&store->par, cf_alloc(&data, n, size)));
    CF_TRY(cf_store_read(store, name, type, &all, data));
    CF_TRY(cf_store_verify(store, name));
    cf_par_broadcast(&store->par, data, n * (int64_t)size, 0);
    *count = n;
    memcpy(out, &data, sizeof data);
    data = NULL;
done:
    cf_free(&data);
    return status;
}
