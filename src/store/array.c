/* The arrays of a file: a table of those that were added or found so far, each with its open HDF5
 * dataset and with this rank's checksums. Datasets are contiguous, and allocated when they are
 * added, so that the file's length is known before data is written (reserve.c). Times are not
 * recorded, so that equal content gives equal bytes.
 */
#include "internal.h"

#include <string.h>

/* ---- The table ---- */

/* A new last element of the table, with its own copy of the name and its sums; the caller counts it
 * in n_arrays once nothing can fail any more. Local. */
static cf_status prepare_array(cf_store *store, const char *name, const int64_t shape[2],
                               store_array **out)
{
    store_array *array;
    cf_status status;

    CF_TRY(CF_GROW(store->arrays, store->capacity, store->n_arrays + 1));
    array = &store->arrays[store->n_arrays];
    *array = (store_array){
        .dataset = -1, .shape = {shape[0], shape[1]}, .n_blocks = store_n_blocks(shape[0])};
    CF_TRY(store_copy_text(name, &array->name));
    status = CF_ALLOC(array->sums, array->n_blocks);
    if (status != CF_OK) cf_free(&array->name);
    CF_TRY(status);
    *out = array;
done:
    return status;
}

/* Free one array of the table. False if HDF5 refused to close it, which may be a failed write. */
static bool close_array(store_array *array)
{
    bool closed = array->dataset < 0 || H5Dclose(array->dataset) >= 0;

    cf_free(&array->name);
    cf_free(&array->sums);
    return closed;
}

bool store_close_arrays(cf_store *store)
{
    bool closed = true;

    for (int64_t k = 0; k < store->n_arrays; k++)
        closed = close_array(&store->arrays[k]) && closed;
    store->n_arrays = 0;
    return closed;
}

/* The array if it was added or found before. A file has a few dozen arrays: no index is needed. */
static store_array *find_open(const cf_store *store, const char *name)
{
    for (int64_t k = 0; k < store->n_arrays; k++)
        if (strcmp(store->arrays[k].name, name) == 0) return &store->arrays[k];
    return NULL;
}

/* ---- Writing ---- */

/* Collective calls of HDF5 fail on all ranks or on none, but their reasons may differ: the ranks
 * agree on one message after each group. */
cf_status store_create_groups(cf_store *store, const char *name)
{
    char reason[STORE_REASON_SIZE], group[STORE_NAME_SIZE];
    hid_t creation = H5Pcreate(H5P_GROUP_CREATE), created;
    cf_status status = CF_OK;

    CF_ASSERT(name[0] == '/' && strlen(name) < sizeof group);
    strcpy(group, name);
    H5Pset_obj_track_times(creation, false);
    for (char *slash = strchr(group + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (H5Lexists(store->file, group, H5P_DEFAULT) <= 0) {
            created = H5Gcreate2(store->file, group, H5P_DEFAULT, creation, H5P_DEFAULT);
            if (created >= 0)
                H5Gclose(created);
            else
                status = CF_FAIL(CF_ERR_IO, "%s: %s: cannot create (%s)", store->path, group,
                                 store_reason(reason));
            CF_TRY(cf_par_agree(&store->par, status));
        }
        *slash = '/';
    }
done:
    H5Pclose(creation);
    return status;
}

/* One contiguous run in the file, so that a slab of rows is one range of bytes. A table keeps its
 * second dimension even where that is 1: other readers index it by two. */
cf_status store_create_dataset(cf_store *store, const char *name, const char *dims, cf_type type,
                               const int64_t shape[2], hid_t *out)
{
    char reason[STORE_REASON_SIZE];
    hsize_t sizes[2] = {(hsize_t)shape[0], (hsize_t)shape[1]};
    hid_t space = H5Screate_simple(strchr(dims, ',') != NULL ? 2 : 1, sizes, NULL),
          creation = H5Pcreate(H5P_DATASET_CREATE);
    hid_t dataset;
    cf_status status = CF_OK;

    H5Pset_layout(creation, H5D_CONTIGUOUS);
    H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY); /* for store_reserve() */
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);   /* every element will be written */
    H5Pset_obj_track_times(creation, false);
    dataset = H5Dcreate2(store->file, name, store->types[type], space, H5P_DEFAULT, creation,
                         H5P_DEFAULT);
    H5Pclose(creation);
    H5Sclose(space);
    if (dataset < 0)
        status = CF_FAIL(CF_ERR_IO, "%s: %s: cannot create (%s)", store->path, name,
                         store_reason(reason));
    *out = dataset;
    return cf_par_agree(&store->par, status);
}

/* The attribute `dims` names the dimensions for people who look at the file with other programs. */
cf_status cf_store_add(cf_store *store, const char *name, cf_type type, const int64_t shape[2],
                       const char *dims)
{
    store_array *array = NULL;
    cf_status status = CF_OK;

    CF_ASSERT(name[0] == '/' && store->writing && find_open(store, name) == NULL);
    CF_ASSERT(shape[0] >= 0 && shape[1] >= 1);
    status = prepare_array(store, name, shape, &array);
    if (status == CF_OK) store->n_arrays++; /* closing the store frees it from here on */
    CF_TRY(cf_par_agree(&store->par, status));
    array->type = type;
    CF_TRY(store_create_groups(store, name));
    CF_TRY(store_create_dataset(store, name, dims, type, shape, &array->dataset));
    if (store_write_text(array->dataset, "dims", dims) < 0)
        status = CF_FAIL(CF_ERR_IO, "%s: %s: cannot write its attribute dims", store->path, name);
    CF_TRY(cf_par_agree(&store->par, status));
    CF_TRY(store_reserve(store));
done:
    return status;
}

/* ---- Reading ---- */

/* H5Lexists() fails unless all groups on the path exist, so they are tested one by one. */
bool cf_store_has(const cf_store *store, const char *name)
{
    char group[STORE_NAME_SIZE];
    bool exists = name[0] == '/' && strlen(name) < sizeof group;

    if (!exists) return false;
    strcpy(group, name);
    for (char *slash = strchr(group + 1, '/'); slash != NULL && exists;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        exists = H5Lexists(store->file, group, H5P_DEFAULT) > 0;
        *slash = '/';
    }
    return exists && H5Lexists(store->file, group, H5P_DEFAULT) > 0;
}

/* The type and shape of an open dataset; false if this program does not write such arrays. */
static bool read_layout(const cf_store *store, hid_t dataset, cf_type *type, int64_t shape[2])
{
    hid_t space = H5Dget_space(dataset), element = H5Dget_type(dataset);
    hsize_t sizes[2] = {0, 1};
    int n_dims = H5Sget_simple_extent_ndims(space), found = STORE_N_TYPES;

    if (n_dims == 1 || n_dims == 2) H5Sget_simple_extent_dims(space, sizes, NULL);
    for (int k = 0; k < STORE_N_TYPES; k++)
        if (H5Tequal(element, store->types[k]) > 0) found = k;
    H5Tclose(element);
    H5Sclose(space);
    *type = (cf_type)found;
    for (int k = 0; k < 2; k++)
        shape[k] = (int64_t)sizes[k];
    return (n_dims == 1 || n_dims == 2) && found < STORE_N_TYPES && sizes[1] >= 1;
}

/* Open a dataset as a new array of the table. Local. */
static cf_status open_array(cf_store *store, const char *name)
{
    hid_t dataset;
    store_array *array = NULL;
    cf_type type = CF_U8;
    int64_t shape[2] = {0, 1};
    cf_status status;

    if (!cf_store_has(store, name))
        return CF_FAIL(CF_ERR_FORMAT, "%s: has no array %s", store->path, name);
    dataset = H5Dopen2(store->file, name, H5P_DEFAULT);
    if (dataset < 0)
        CF_TRY(
            store_fail_read(store, "%s: %s: is not an array of this program", store->path, name));
    CF_REQUIRE(read_layout(store, dataset, &type, shape), CF_ERR_FORMAT,
               "%s: %s: is not an array of this program", store->path, name);
    CF_TRY(prepare_array(store, name, shape, &array));
    array->type = type;
    array->dataset = dataset;
    dataset = -1;
    store->n_arrays++;
done:
    if (dataset >= 0) H5Dclose(dataset);
    return status;
}

cf_status store_find(cf_store *store, const char *name, store_array **out)
{
    cf_status status = CF_OK;

    if (find_open(store, name) == NULL) /* on all ranks or on none: calls are collective */
        CF_TRY(cf_par_agree(&store->par, open_array(store, name)));
    *out = find_open(store, name);
done:
    return status;
}

cf_status cf_store_shape(cf_store *store, const char *name, cf_type *type, int64_t shape[2])
{
    store_array *array = NULL;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    *type = array->type;
    memcpy(shape, array->shape, sizeof array->shape);
done:
    return status;
}
