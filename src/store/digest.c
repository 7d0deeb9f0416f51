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
    char **names; /* count: "/items/id", each allocated by itself */
    int64_t count, capacity;
    cf_status status; /* of the callback, which can only return -1 */
} name_list;

/* H5Lvisit()'s callback: append the name if it is an array's. -1 ends the visit. */
static herr_t append_name(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    name_list *list = data;
    char *full = NULL;
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    bool array = object >= 0 && H5Iget_type(object) == H5I_DATASET;

    (void)info;
    if (object >= 0) H5Oclose(object);
    if (!array || strncmp(name, "checksums/", 10) == 0) return 0;
    list->status = CF_GROW(list->names, list->capacity, list->count + 1);
    if (list->status == CF_OK) list->status = CF_ALLOC(full, (int64_t)strlen(name) + 2);
    if (list->status != CF_OK) return -1;
    full[0] = '/';
    strcpy(full + 1, name);
    list->names[list->count++] = full;
    return 0;
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
    name_list list = {.status = CF_OK};
    cf_status status;

    if (H5Lvisit(store->file, H5_INDEX_NAME, H5_ITER_INC, append_name, &list) < 0 &&
        list.status == CF_OK)
        list.status =
            store_fail_read(store, "%s: is damaged (%s)", store->path, store_reason(reason));
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
cf_status cf_store_digest(cf_store *store, uint64_t *out)
{
    char **names = NULL;
    int64_t count = 0, moved = 0;
    uint64_t *sums = NULL, digest = 0;
    store_array *array = NULL;
    cf_status status;

    CF_TRY(store_list_names(store, &names, &count));
    for (int64_t k = 0; k < count; k++) {
        CF_TRY(store_find(store, names[k], &array));
        if (store->writing)
            CF_TRY(store_join_sums(store, array, &sums, &moved));
        else
            CF_TRY(store_read_checksums(store, names[k], array->n_blocks, &sums));
        CF_TRY(store_find(store, names[k], &array)); /* its table may have moved */
        digest = extend_digest(digest, array, sums);
        cf_free(&sums);
    }
    *out = digest;
done:
    cf_free(&sums);
    store_free_names(&names, count);
    return status;
}
