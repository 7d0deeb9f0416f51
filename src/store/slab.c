/* Slabs: the rows and columns of an array that one call moves. In the file a slab is a hyperslab of
 * the dataset. In memory it is one contiguous run where rows touch (stride = n_columns), else the
 * first n_columns of each row of `stride` elements.
 */
#include "internal.h"

#include <string.h>

static const int64_t buffer_bytes = (int64_t)1 << 24; /* of rows that do not touch in memory */

cf_slab store_part(const cf_slab *slab, int64_t first, int64_t n)
{
    cf_slab part = *slab;

    part.first_row += first;
    part.n_rows = cf_max(cf_min(slab->n_rows - first, n), 0);
    return part;
}

/* No pointer is moved past the end of `data`, which may be NULL where there are no rows. */
size_t store_offset(const store_array *array, const cf_slab *slab, int64_t first)
{
    return first < slab->n_rows ? (size_t)(first * slab->stride) * cf_store_type_size(array->type)
                                : 0;
}

int64_t store_rows_per_call(const store_array *array, const cf_slab *slab, int64_t bytes)
{
    int64_t row = cf_max(slab->n_columns, 1) * (int64_t)cf_store_type_size(array->type);

    return cf_max(bytes / row, 1);
}

/* The slab in the file, as an HDF5 selection. */
static hid_t select_in_file(const store_array *array, const cf_slab *slab)
{
    hsize_t start[2] = {(hsize_t)slab->first_row, (hsize_t)slab->first_column};
    hsize_t count[2] = {(hsize_t)slab->n_rows, (hsize_t)slab->n_columns};
    hid_t space = H5Dget_space(array->dataset);

    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    return space;
}

/* Move a slab whose rows touch in memory. */
static cf_status move_run(const cf_store *store, const store_array *array, bool write,
                          const cf_slab *slab, void *data)
{
    const hsize_t n = (hsize_t)(slab->n_rows * slab->n_columns);
    const hid_t file = select_in_file(array, slab), memory = H5Screate_simple(1, &n, NULL),
                type = store->types[array->type];
    const herr_t moved = write ? H5Dwrite(array->dataset, type, memory, file, H5P_DEFAULT, data)
                               : H5Dread(array->dataset, type, memory, file, H5P_DEFAULT, data);
    char reason[STORE_REASON_SIZE];
    cf_status status = CF_OK;

    if (write && store->io->error != 0)
        status = store_fail_io(store->io, "write");
    else if (write && moved < 0)
        status = CF_FAIL(CF_ERR_IO, "%s: %s: cannot write (%s)", store->path, array->name,
                         store_reason(reason));
    else if (moved < 0)
        status = store_fail_read(store->io, "%s: %s: is truncated", store->path, array->name);
    H5Sclose(memory);
    H5Sclose(file);
    return status;
}

void store_copy_rows(char *to, int64_t to_stride, const char *from, int64_t from_stride,
                     const int64_t shape[2])
{
    for (int64_t row = 0; row < shape[0]; row++)
        memcpy(to + row * to_stride, from + row * from_stride, (size_t)shape[1]);
}

/* HDF5 would move rows that do not touch in memory one by one, so they go through a buffer. */
static cf_status move_packed(const cf_store *store, const store_array *array, bool write,
                             const cf_slab *slab, void *data)
{
    const int64_t size = (int64_t)cf_store_type_size(array->type), bytes = slab->n_columns * size;
    const int64_t rows = store_rows_per_call(array, slab, buffer_bytes);
    char *buffer = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(buffer, cf_min(rows, slab->n_rows) * bytes));
    for (int64_t first = 0; first < slab->n_rows; first += rows) {
        cf_slab part = store_part(slab, first, rows);
        char *here = (char *)data + store_offset(array, slab, first);
        const int64_t shape[2] = {part.n_rows, bytes};

        if (write) store_copy_rows(buffer, bytes, here, slab->stride * size, shape);
        CF_TRY(move_run(store, array, write, &part, buffer));
        if (!write) store_copy_rows(here, slab->stride * size, buffer, bytes, shape);
    }
done:
    cf_free(&buffer);
    return status;
}

cf_status store_move(const cf_store *store, const store_array *array, bool write,
                     const cf_slab *slab, void *data)
{
    if (slab->n_rows * slab->n_columns == 0) return CF_OK;
    if (slab->n_rows == 1 || slab->stride == slab->n_columns)
        return move_run(store, array, write, slab, data);
    return move_packed(store, array, write, slab, data);
}
