/*
 * Makes, with HDF5 alone, the files in tests/data/store that the store module never writes:
 * foreign.h5, an ordinary file of another program; incomplete.h5, one of ours that was flushed but
 * not finished; matrices.h5, vectors in all types and layouts.
 *
 *   mpicc tests/data/make_store_files.c -o make $(pkg-config --cflags --libs hdf5-openmpi)
 *   ./make tests/data/store
 */
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void write_attribute(hid_t file, const char *name, hid_t type, const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);

    H5Awrite(attribute, type, value);
    H5Aclose(attribute);
    H5Sclose(space);
}

static void write_file(const char *folder, const char *name, const char *kind)
{
    char path[512];
    const float values[4] = {1, 2, 3, 4};
    const int64_t version = 1;
    hsize_t size = 4;
    hid_t space = H5Screate_simple(1, &size, NULL), text = H5Tcopy(H5T_C_S1), file, array;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    array =
        H5Dcreate2(file, "values", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(array, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    if (kind != NULL) {
        H5Tset_size(text, strlen(kind) + 1);
        write_attribute(file, "kind", text, kind);
        write_attribute(file, "format_version", H5T_STD_I64LE, &version);
    }
    H5Dclose(array);
    H5Tclose(text);
    H5Sclose(space);
    H5Fclose(file);
}

/* ---- matrices.h5 ----------------------------------------------------------------------------- */

static hid_t make_half(void)
{
    hid_t half = H5Tcopy(H5T_IEEE_F32LE);

    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    return half;
}

/* Layouts of HDF5 beside the contiguous one. */
static hid_t make_layout(H5D_layout_t layout, int deflate)
{
    const hsize_t chunk[2] = {3, 1};
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);

    H5Pset_layout(list, layout);
    if (layout == H5D_CHUNKED) H5Pset_chunk(list, 2, chunk);
    if (deflate) H5Pset_shuffle(list);
    if (deflate) H5Pset_deflate(list, 6);
    return list;
}

/* The first numbers of `values` (NULL: none) in the shape; takes `type` and `list`. */
static void put(hid_t file, const char *name, hid_t type, hid_t list, const hsize_t shape[3],
                const double *values)
{
    const int rank = shape[1] == 0 ? 1 : shape[2] == 0 ? 2 : 3;
    hid_t space = H5Screate_simple(rank, shape, NULL), links = H5Pcreate(H5P_LINK_CREATE);
    hid_t array;

    H5Pset_create_intermediate_group(links, 1);
    H5Pset_obj_track_times(list, 0);
    array = H5Dcreate2(file, name, type, space, links, list, H5P_DEFAULT);
    if (values) H5Dwrite(array, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(array);
    H5Pclose(links);
    H5Pclose(list);
    H5Sclose(space);
    H5Tclose(type);
}

static void write_matrices(const char *folder)
{
    const double values[8] = {7, -0.5, 10, 0.25, 99, 99, 2, 1024};
    const double bad[8] = {7, -0.5, 10, 0.25, 99, 99, 2, NAN};
    const hsize_t shape[3] = {4, 2, 0}, line[3] = {8, 0, 0}, cube[3] = {2, 2, 2};
    hid_t big_half = make_half(), file;
    char path[512];

    snprintf(path, sizeof path, "%s/matrices.h5", folder);
    file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Tset_order(big_half, H5T_ORDER_BE);
#define PLAIN make_layout(H5D_CONTIGUOUS, 0)
    put(file, "f2", make_half(), PLAIN, shape, values);
    put(file, "f2_big", big_half, PLAIN, shape, values);
    put(file, "f4", H5Tcopy(H5T_IEEE_F32LE), PLAIN, shape, values);
    put(file, "f4_big", H5Tcopy(H5T_IEEE_F32BE), PLAIN, shape, values);
    put(file, "f8", H5Tcopy(H5T_IEEE_F64LE), PLAIN, shape, values);
    put(file, "f8_big", H5Tcopy(H5T_IEEE_F64BE), PLAIN, shape, values);
    put(file, "chunked", H5Tcopy(H5T_IEEE_F32LE), make_layout(H5D_CHUNKED, 0), shape, values);
    put(file, "deep/er/deflated", make_half(), make_layout(H5D_CHUNKED, 1), shape, values);
    put(file, "compact", H5Tcopy(H5T_IEEE_F64LE), make_layout(H5D_COMPACT, 0), shape, values);
    put(file, "bad/nan", H5Tcopy(H5T_IEEE_F32LE), PLAIN, shape, bad);
    put(file, "bad/whole", H5Tcopy(H5T_STD_I32LE), PLAIN, shape, values);
    put(file, "bad/line", H5Tcopy(H5T_IEEE_F32LE), PLAIN, line, values);
    put(file, "bad/cube", H5Tcopy(H5T_IEEE_F32LE), PLAIN, cube, values);
    put(file, "bad/unwritten", H5Tcopy(H5T_IEEE_F32LE), PLAIN, shape, NULL);
    H5Fclose(file);
}

int main(int count, char **arguments)
{
    if (count != 2) return 2;
    write_file(arguments[1], "foreign.h5", NULL);
    write_file(arguments[1], "incomplete.h5", "dataset");
    write_matrices(arguments[1]);
    return 0;
}
