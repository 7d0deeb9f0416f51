/* The arrays of a file: a table of those that were added or found so far, each with its open HDF5
 * dataset and with this rank's checksums. Datasets are contiguous, and allocated when they are
 * added, so that the file's length is known before data is written (reserve.c). Times are not
 * recorded, so that equal content gives equal bytes. A file that is read may come from anywhere: an
 * array must lie in it whole, reached without links, before anything of it is read.
 */
#include "internal.h"

#include <inttypes.h>
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
    CF_TRY(cf_text_format(&array->name, "%s", name));
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
    cf_free(&array->stored);
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
        /* where this cannot be told, creating the group tells why */
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

/* ---- Reading: is it there? ---- */

/* What the last part of `path` is in its group, which is known to be there. */
static store_link look_at(hid_t file, const char *path)
{
    H5L_info_t info;
    const htri_t exists = H5Lexists(file, path, H5P_DEFAULT);

    if (exists <= 0) return exists < 0 ? STORE_UNKNOWN : STORE_ABSENT;
    if (H5Lget_info(file, path, &info, H5P_DEFAULT) < 0) return STORE_UNKNOWN;
    return info.type == H5L_TYPE_HARD ? STORE_PRESENT : STORE_ELSEWHERE;
}

/* H5Lexists() fails unless all groups on the path exist, and follows links on the way: so the parts
 * of the path are looked at one by one, from the first on. */
store_link store_look_up(hid_t file, const char *name)
{
    char path[STORE_NAME_SIZE];
    const size_t length = strlen(name);
    store_link link = STORE_PRESENT;

    if (length == 0 || length >= sizeof path) return STORE_ABSENT;
    for (size_t end = 1; end <= length && link == STORE_PRESENT; end++) {
        if (name[end] != '/' && name[end] != '\0') continue;
        memcpy(path, name, end);
        path[end] = '\0';
        link = look_at(file, path);
    }
    return link;
}

/* Local. Errors: FORMAT (a link), those of store_fail_read(). */
static cf_status find_object(const cf_store *store, const char *name, bool *out)
{
    char reason[STORE_REASON_SIZE];
    const store_link link = store_look_up(store->file, name);

    if (link == STORE_UNKNOWN)
        return store_fail_read(store->io, "%s: cannot tell whether it has %s (%s)", store->path,
                               name, store_reason(reason));
    if (link == STORE_ELSEWHERE)
        return CF_FAIL(CF_ERR_FORMAT, "%s: %s is reached by a link, expected it in the file itself",
                       store->path, name);
    *out = link == STORE_PRESENT;
    return CF_OK;
}

/* Rank 0's answer counts: the ranks go the same way, even if another process changes the file. */
cf_status cf_store_has(cf_store *store, const char *name, bool *out)
{
    bool found = false;
    cf_status status;

    CF_TRY(cf_par_agree(&store->par, find_object(store, name, &found)));
    cf_par_broadcast(&store->par, &found, sizeof found, 0);
    *out = found;
done:
    return status;
}

/* ---- Reading: arrays ---- */

/* Whether all data lies in this file as one run: neither in files beside it nor in datasets of
 * other files, neither chunked nor compressed. Nothing but the dataset's header is looked at. */
static bool is_one_run(hid_t dataset)
{
    hid_t creation = H5Dget_create_plist(dataset);
    const bool one = creation >= 0 && H5Pget_layout(creation) == H5D_CONTIGUOUS &&
                     H5Pget_external_count(creation) == 0 && H5Pget_nfilters(creation) == 0;

    if (creation >= 0) H5Pclose(creation);
    return one;
}

/* The type and shape of an open dataset; false if this program does not write such arrays. */
static bool read_layout(const cf_store *store, hid_t dataset, cf_type *type, hsize_t sizes[2])
{
    hid_t space = H5Dget_space(dataset), element = H5Dget_type(dataset);
    int n_dims = H5Sget_simple_extent_ndims(space), found = STORE_N_TYPES;

    sizes[0] = 0;
    sizes[1] = 1;
    if (n_dims == 1 || n_dims == 2) H5Sget_simple_extent_dims(space, sizes, NULL);
    for (int k = 0; k < STORE_N_TYPES; k++)
        if (H5Tequal(element, store->types[k]) > 0) found = k;
    H5Tclose(element);
    H5Sclose(space);
    *type = (cf_type)found;
    return (n_dims == 1 || n_dims == 2) && found < STORE_N_TYPES && sizes[1] >= 1;
}

/* Whether the file has a place for every element: then no shape can ask for more memory than a file
 * of its length could fill. */
static bool fits_file(const cf_store *store, hid_t dataset, cf_type type, const hsize_t sizes[2])
{
    const hsize_t size = cf_store_type_size(type);
    const haddr_t place = H5Dget_offset(dataset);
    hsize_t length = 0;

    if (sizes[0] == 0) return sizes[1] <= INT32_MAX; /* HDF5 gave it no place */
    if (H5Fget_filesize(store->file, &length) < 0 || sizes[1] > length / size / sizes[0])
        return false;
    return place != HADDR_UNDEF && place <= length &&
           sizes[0] * sizes[1] * size <= length - place &&
           H5Dget_storage_size(dataset) == sizes[0] * sizes[1] * size;
}

/* Open a dataset of this program. Local. */
cf_status store_open_dataset(const cf_store *store, const char *name, hid_t *out, cf_type *type,
                             int64_t shape[2])
{
    hid_t dataset = -1;
    hsize_t sizes[2];
    bool found = false;
    cf_status status;

    CF_TRY(find_object(store, name, &found));
    CF_REQUIRE(found, CF_ERR_FORMAT, "%s: has no array %s", store->path, name);
    dataset = H5Dopen2(store->file, name, H5P_DEFAULT);
    if (dataset < 0 || !is_one_run(dataset) || !read_layout(store, dataset, type, sizes))
        CF_TRY(store_fail_read(store->io, "%s: %s: is not an array of this program", store->path,
                               name));
    CF_REQUIRE(fits_file(store, dataset, *type, sizes), CF_ERR_FORMAT,
               "%s: %s is %" PRIuMAX " x %" PRIuMAX " of %s, which the file cannot hold",
               store->path, name, (uintmax_t)sizes[0], (uintmax_t)sizes[1],
               cf_store_type_name(*type));
    for (int k = 0; k < 2; k++)
        shape[k] = (int64_t)sizes[k];
    *out = dataset;
    dataset = -1;
done:
    if (dataset >= 0) H5Dclose(dataset);
    return status;
}

/* Open a dataset as a new array of the table. Local. */
static cf_status open_array(cf_store *store, const char *name)
{
    hid_t dataset = -1;
    store_array *array = NULL;
    cf_type type = CF_U8;
    int64_t shape[2] = {0, 1};
    cf_status status;

    CF_TRY(store_open_dataset(store, name, &dataset, &type, shape));
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
