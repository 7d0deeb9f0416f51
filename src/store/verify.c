#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

/* The whole array's checksums: the sums of all ranks' parts. `*moved` is how many elements are in
 * them. Collective. */
static cf_status join_sums(const cf_store *store, const store_array *array, uint64_t **out,
                           int64_t *moved)
{
    uint64_t *sums = NULL;
    cf_status status = CF_ALLOC(sums, array->n_blocks);

    CF_TRY(cf_par_agree(&store->par, status));
    MPI_Allreduce(array->sums, sums, cf_par_count(array->n_blocks), MPI_UINT64_T, MPI_SUM,
                  store->par.comm);
    *moved = array->n_moved;
    MPI_Allreduce(MPI_IN_PLACE, moved, 1, MPI_INT64_T, MPI_SUM, store->par.comm);
    *out = sums;
    sums = NULL;
done:
    cf_free(&sums);
    return status;
}

static cf_status checksum_name(const cf_store *store, const char *name, char **out)
{
    char *text = NULL;
    cf_status status = CF_ALLOC(text, (int64_t)strlen(name) + 11);

    if (status == CF_OK) {
        strcpy(text, "/checksums");
        strcat(text, name);
        *out = text;
    }
    return cf_par_agree(&store->par, status);
}

/* ---- Writing ---- */

static cf_status write_checksums_of(cf_store *store, const store_array *array)
{
    char *name = NULL;
    uint64_t *sums = NULL;
    store_array target = {.type = CF_I64, .shape = {array->n_blocks, 1}, .dataset = -1};
    cf_slab all = {
        .n_rows = store->par.rank == 0 ? array->n_blocks : 0, .n_columns = 1, .stride = 1};
    int64_t moved = 0;
    cf_status status;

    CF_TRY(join_sums(store, array, &sums, &moved));
    if (moved != array->shape[0] * array->shape[1])
        CF_TRY(CF_FAIL(CF_ERR_BUG, "%s: %s: %lld of %lld elements were written", store->path,
                       array->name, (long long)moved,
                       (long long)(array->shape[0] * array->shape[1])));
    CF_TRY(checksum_name(store, array->name, &name));
    target.name = name;
    CF_TRY(store_make_groups(store, name));
    CF_TRY(store_make_dataset(store, name, CF_I64, target.shape, &target.dataset));
    CF_TRY(store_reserve(store));
    CF_TRY(store_move(store, &target, true, &all, sums));
done:
    if (target.dataset >= 0) H5Dclose(target.dataset);
    cf_free(&name);
    cf_free(&sums);
    return status;
}

cf_status store_write_checksums(cf_store *store)
{
    cf_status status = CF_OK;

    for (int64_t k = 0; k < store->n_arrays; k++)
        CF_TRY(write_checksums_of(store, &store->arrays[k]));
done:
    return status;
}

/* Read this rank's part of the rows into the sums of `array`. Collective. */
static cf_status read_rows(const cf_store *store, store_array *array)
{
    int64_t first = cf_par_even_start(array->shape[0], store->par.size, store->par.rank);
    int64_t next = cf_par_even_start(array->shape[0], store->par.size, store->par.rank + 1);
    cf_slab mine = {first, next - first, 0, array->shape[1], array->shape[1]};
    int64_t rows = store_rows_a_call(array, &mine, (int64_t)1 << 24),
            calls = store_calls(store, mine.n_rows, rows);
    char *data = NULL;
    cf_status status = cf_alloc(&data, rows < mine.n_rows ? rows : mine.n_rows,
                                (size_t)array->shape[1] * cf_store_type_size(array->type));

    CF_TRY(cf_par_agree(&store->par, status));
    for (int64_t k = 0; k < calls; k++) {
        cf_slab part = store_part(&mine, k * rows, rows);

        CF_TRY(store_move(store, array, false, &part, data));
        store_checksum_add(array, &part, data);
    }
done:
    cf_free(&data);
    return status;
}

static cf_status read_back_array(const cf_store *store, store_array *array)
{
    uint64_t *written = NULL, *read = NULL;
    int64_t moved = 0;
    cf_status status;

    CF_TRY(join_sums(store, array, &written, &moved));
    memset(array->sums, 0, (size_t)array->n_blocks * sizeof *array->sums);
    CF_TRY(read_rows(store, array));
    CF_TRY(join_sums(store, array, &read, &moved));
    if (memcmp(written, read, (size_t)array->n_blocks * sizeof *read) != 0)
        CF_TRY(CF_FAIL(CF_ERR_IO, "%s: %s: cannot write (the file does not hold what was written)",
                       store->path, array->name));
done:
    cf_free(&written);
    cf_free(&read);
    return status;
}

cf_status store_read_back(cf_store *store)
{
    cf_status status = CF_OK;

    for (int64_t k = 0; k < store->n_arrays; k++)
        CF_TRY(read_back_array(store, &store->arrays[k]));
done:
    return status;
}

/* ---- Reading ---- */

/* The checksums that the file holds for an array. Collective. */
static cf_status read_checksums(cf_store *store, const char *array_name, int64_t n_blocks,
                                uint64_t **out)
{
    char *name = NULL;
    uint64_t *sums = NULL;
    store_array *stored = NULL;
    cf_slab all = {.n_rows = n_blocks, .n_columns = 1, .stride = 1};
    cf_status status;

    CF_TRY(checksum_name(store, array_name, &name));
    CF_TRY(store_find(store, name, &stored));
    if (stored->type != CF_I64 || stored->shape[0] != n_blocks || stored->shape[1] != 1)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: %s: are not the checksums of %s", store->path, name,
                       array_name));
    CF_TRY(cf_par_agree(&store->par, CF_ALLOC(sums, n_blocks)));
    CF_TRY(store_move(store, stored, false, &all, sums));
    *out = sums;
    sums = NULL;
done:
    cf_free(&name);
    cf_free(&sums);
    return status;
}

cf_status cf_store_verify(cf_store *store, const char *name)
{
    store_array *array = NULL;
    uint64_t *read = NULL, *stored = NULL;
    int64_t moved = 0, block = 0, last, n_blocks = 0;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    n_blocks = array->n_blocks;
    CF_TRY(read_checksums(store, name, n_blocks, &stored));
    CF_TRY(store_find(store, name, &array)); /* the table may have moved */
    CF_TRY(join_sums(store, array, &read, &moved));
    memset(array->sums, 0, (size_t)n_blocks * sizeof *array->sums);
    array->n_moved = 0;
    if (moved != array->shape[0] * array->shape[1])
        CF_TRY(CF_FAIL(CF_ERR_BUG, "%s: %s: %lld of %lld elements were read", store->path, name,
                       (long long)moved, (long long)(array->shape[0] * array->shape[1])));
    while (block < n_blocks && read[block] == stored[block])
        block++;
    if (block < n_blocks) {
        last = (block + 1) * STORE_BLOCK_ROWS < array->shape[0] ? (block + 1) * STORE_BLOCK_ROWS
                                                                : array->shape[0];
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: %s is damaged (rows %lld to %lld)", store->path, name,
                       (long long)(block * STORE_BLOCK_ROWS), (long long)(last - 1)));
    }
done:
    cf_free(&read);
    cf_free(&stored);
    return status;
}

/* ---- Names and digest ---- */

typedef struct name_list {
    char **names;
    int64_t count, capacity;
    cf_status status;
} name_list;

static herr_t note_name(hid_t group, const char *name, const H5L_info_t *info, void *data)
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

cf_status store_names(cf_store *store, char ***out, int64_t *count)
{
    char reason[STORE_REASON_SIZE];
    name_list list = {.status = CF_OK};
    cf_status status;

    if (H5Lvisit(store->file, H5_INDEX_NAME, H5_ITER_INC, note_name, &list) < 0 &&
        list.status == CF_OK)
        list.status =
            CF_FAIL(CF_ERR_FORMAT, "%s: is damaged (%s)", store->path, store_reason(reason));
    CF_TRY(cf_par_agree(&store->par, list.status));
    if (list.count > 0) qsort(list.names, (size_t)list.count, sizeof *list.names, compare_names);
    *out = list.names;
    *count = list.count;
    return status;
done:
    store_free_names(&list.names, list.count);
    return status;
}

void store_free_names(char ***names, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        cf_free(&(*names)[k]);
    cf_free(names);
}

cf_status cf_store_list(cf_store *store, char **out)
{
    char **names = NULL, *text = NULL;
    int64_t count = 0, size = 1;
    cf_status status;

    CF_TRY(store_names(store, &names, &count));
    for (int64_t k = 0; k < count; k++)
        size += (int64_t)strlen(names[k]) + 1;
    CF_TRY(cf_par_agree(&store->par, CF_ALLOC(text, size)));
    for (int64_t k = 0, place = 0; k < count; k++)
        place += sprintf(text + place, k == 0 ? "%s" : "\n%s", names[k]);
    *out = text;
    text = NULL;
done:
    cf_free(&text);
    store_free_names(&names, count);
    return status;
}

/* Chain one array into the digest: name, type, shape, checksums. */
static uint64_t extend_digest(uint64_t digest, const store_array *array, const uint64_t *sums)
{
    int64_t layout[3] = {array->type, array->shape[0], array->shape[1]};

    digest = XXH3_64bits_withSeed(array->name, strlen(array->name), digest);
    digest = XXH3_64bits_withSeed(layout, sizeof layout, digest);
    return XXH3_64bits_withSeed(sums, (size_t)array->n_blocks * sizeof *sums, digest);
}

cf_status cf_store_digest(cf_store *store, uint64_t *out)
{
    char **names = NULL;
    int64_t count = 0, moved = 0;
    uint64_t *sums = NULL, digest = 0;
    store_array *array = NULL;
    cf_status status;

    CF_TRY(store_names(store, &names, &count));
    for (int64_t k = 0; k < count; k++) {
        CF_TRY(store_find(store, names[k], &array));
        if (store->temporary != NULL)
            CF_TRY(join_sums(store, array, &sums, &moved));
        else
            CF_TRY(read_checksums(store, names[k], array->n_blocks, &sums));
        CF_TRY(store_find(store, names[k], &array));
        digest = extend_digest(digest, array, sums);
        cf_free(&sums);
    }
    *out = digest;
done:
    cf_free(&sums);
    store_free_names(&names, count);
    return status;
}
