/* Slabs: the rows and columns of an array that one call moves. A slab is cut into transfers of
 * bounded size; one transfer is one HDF5 call of all ranks. In the file a slab is a hyperslab of
 * the dataset. In memory it is one contiguous run where rows touch (stride = n_columns), else the
 * first n_columns of each row of `stride` elements.
 */
#include "internal.h"

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

/* Collective transfers need every rank to take part in each of them. */
int64_t store_count_calls(const cf_store *store, int64_t n_rows, int64_t rows_per_call)
{
    int64_t calls = cf_ceil_div(n_rows, rows_per_call);

    MPI_Allreduce(MPI_IN_PLACE, &calls, 1, MPI_INT64_T, MPI_MAX, store->par.comm);
    return calls;
}

/* The slab in the file, as an HDF5 selection. */
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

/* The slab in memory, as an HDF5 selection. One run is described as 1-D: HDF5 copies a 2-D
 * selection row by row. */
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

/* The status is agreed on here, because an independent read may fail on one rank alone. */
cf_status store_move(const cf_store *store, const store_array *array, bool write,
                     const cf_slab *slab, void *data)
{
    char reason[STORE_REASON_SIZE];
    hid_t file, memory, mode, type = store->types[array->type];
    herr_t moved;
    cf_status status = CF_OK;

    if (array->shape[0] == 0) return CF_OK; /* HDF5 gave it no place in the file */
    file = select_in_file(array, slab);
    memory = select_in_memory(slab);
    mode = H5Pcreate(H5P_DATASET_XFER);
    /* Reads are independent: Open MPI's ompio returns wrong data from collective reads of ranges
     * that lie inside one another. */
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
