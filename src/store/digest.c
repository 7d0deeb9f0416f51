/* The names of a file's arrays, and the digest of its content: 64 bits chained over all arrays in
 * order of their names. The digest takes checksums, not data, so it is cheap, and the same however
 * ranks cut the arrays. A checkpoint keeps the digest of its dataset and refuses another one.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

/* What the visit of all objects collects. */
typedef struct name_list {
    const cf_store *store;
    char **names; /* count: "/items/id", each allocated by itself */
    int64_t count, capacity;
    cf_status status; /* of the callback, which can only return -1 */
} name_list;

/* Append "/NAME" to the list. Local. */
static cf_status append_name(name_list *list, const char *name)
{
    cf_status status;

    CF_TRY(CF_GROW(list->names, list->capacity, list->count + 1));
    CF_TRY(cf_text_format(&list->names[list->count], "/%s", name));
    list->count++;
done:
    return status;
}

/* H5Lvisit()'s callback: append the name if it is an array's. What cannot be opened is an error, as
 * is a link, for the digest is of all that the file has. -1 ends the visit. */
static herr_t visit_name(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    name_list *list = data;
    hid_t object;
    H5I_type_t type = H5I_BADID;
    cf_status status = CF_OK;

    CF_REQUIRE(info->type == H5L_TYPE_HARD, CF_ERR_FORMAT, "%s: /%s is a link, expected none",
               list->store->path, name);
    object = H5Oopen(group, name, H5P_DEFAULT);
    if (object >= 0) {
        type = H5Iget_type(object);
        H5Oclose(object);
    }
    if (type == H5I_BADID)
        CF_TRY(store_fail_read(list->store->io, "%s: cannot read /%s", list->store->path, name));
    if (type == H5I_DATASET && strncmp(name, "checksums/", 10) != 0)
        CF_TRY(append_name(list, name));
done:
    list->status = status;
    return status == CF_OK ? 0 : -1;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void store_free_names(char ***names, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        cf_free(&(*names)[k]);
    cf_free(names);
}

/* Names of all arrays but the checksums, sorted: H5Lvisit()'s order is that of groups. Collective.
 */
cf_status store_list_names(cf_store *store, char ***out, int64_t *count)
{
    char reason[STORE_REASON_SIZE];
    name_list list = {.store = store};
    cf_status status;

    if (H5Lvisit(store->file, H5_INDEX_NAME, H5_ITER_INC, visit_name, &list) < 0 &&
        list.status == CF_OK)
        list.status =
            store_fail_read(store->io, "%s: is damaged (%s)", store->path, store_reason(reason));
    CF_TRY(cf_par_agree(&store->par, list.status));
    if (list.count > 0) qsort(list.names, (size_t)list.count, sizeof *list.names, compare_names);
    *out = list.names;
    *count = list.count;
    return status;
done:
    store_free_names(&list.names, list.count);
    return status;
}

cf_status cf_store_list(cf_store *store, char **out)
{
    char **names = NULL, *text = NULL;
    int64_t count = 0, size = 1;
    cf_status status;

    CF_TRY(store_list_names(store, &names, &count));
    for (int64_t k = 0; k < count; k++)
        size += (int64_t)strlen(names[k]) + 1;
    CF_TRY(cf_par_agree(&store->par, CF_ALLOC(text, size)));
    for (int64_t k = 0, end = 0; k < count; k++)
        end += sprintf(text + end, k == 0 ? "%s" : "\n%s", names[k]);
    *out = text;
    text = NULL;
done:
    cf_free(&text);
    store_free_names(&names, count);
    return status;
}

/* The digest with one array more: XXH3 of name, type, shape and checksums, each seeded with the
 * digest so far. */
static uint64_t extend_digest(uint64_t digest, const store_array *array, const uint64_t *sums)
{
    int64_t layout[3] = {array->type, array->shape[0], array->shape[1]};

    digest = XXH3_64bits_withSeed(array->name, strlen(array->name), digest);
    digest = XXH3_64bits_withSeed(layout, sizeof layout, digest);
    return XXH3_64bits_withSeed(sums, (size_t)array->n_blocks * sizeof *sums, digest);
}

/* The file may still be open for writing: its checksums are then in memory alone. */
cf_status cf_store_extend_digest(cf_store *store, const char *name, uint64_t *digest)
{
    store_array *array = NULL;
    uint64_t *sums = NULL;
    int64_t moved = 0;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    if (store->writing)
        CF_TRY(store_join_sums(store, array, &sums, &moved));
    else
        CF_TRY(store_read_checksums(store, array));
    *digest = extend_digest(*digest, array, sums != NULL ? sums : array->stored);
done:
    cf_free(&sums);
    return status;
}

cf_status cf_store_digest(cf_store *store, uint64_t *out)
{
    char **names = NULL;
    int64_t count = 0;
    uint64_t digest = 0;
    cf_status status;

    CF_TRY(store_list_names(store, &names, &count));
    for (int64_t k = 0; k < count; k++)
        CF_TRY(cf_store_extend_digest(store, names[k], &digest));
    *out = digest;
done:
    store_free_names(&names, count);
    return status;
}
