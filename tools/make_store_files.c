/*
 * Makes the HDF5 files in tests/data/store that the store module itself never writes, with HDF5
 * alone: mpicc tools/make_store_files.c -o /tmp/make $(pkg-config --cflags --libs hdf5-openmpi) &&
 * /tmp/make tests/data/store foreign.h5: an ordinary file of another program. incomplete.h5: one of
 * ours that was flushed but never finished.
 */
#include <hdf5.h>
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

int main(int count, char **arguments)
{
    if (count != 2) return 2;
    write_file(arguments[1], "foreign.h5", NULL);
    write_file(arguments[1], "incomplete.h5", "dataset");
    return 0;
}
