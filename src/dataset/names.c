/* Names: ids of users and items, and titles of items. In the file they are all bytes, a NUL after
 * each name, and count + 1 offsets. Both are verified as they are read, offsets are checked before
 * they are used, and every name must end where its offset says, so that no file can lead out of
 * memory. Ids are looked up by one pass over the file: sorted queries in memory, names in passes of
 * 65536 a rank, whose offsets are one block of checksums.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_PER_PASS = 65536 }; /* bounds the memory of cf_dataset_find() */

/* By cf_name_kind. */
const dataset_names dataset_name_arrays[] = {
    [CF_USER_IDS] = {"/users/id", "/users/id_start", "user"},
    [CF_ITEM_IDS] = {"/items/id", "/items/id_start", "item"},
    [CF_ITEM_TITLES] = {"/items/title", "/items/title_start", "title"}};

void cf_dataset_destroy_strings(cf_strings *strings)
{
    cf_free(&strings->start);
    cf_free(&strings->bytes);
    strings->count = 0;
}

/* What a file without titles has: an empty string for each item. Collective. */
static cf_status create_empty_titles(const cf_par *world, int64_t count, cf_strings *out)
{
    cf_strings titles = {.count = count};
    cf_status status = CF_ALLOC(titles.start, count + 1);

    if (status == CF_OK) status = CF_ALLOC(titles.bytes, count);
    CF_TRY(cf_par_agree(world, status));
    for (int64_t k = 0; k <= count; k++)
        titles.start[k] = k;
    *out = titles;
    titles = (cf_strings){0};
done:
    cf_dataset_destroy_strings(&titles);
    return status;
}

/* Every name must end with a NUL right before the next name, and have none inside. Local. */
static cf_status check_names(cf_store *store, const char *name, const cf_strings *names)
{
    for (int64_t k = 0; k < names->count; k++) {
        int64_t length = names->start[k + 1] - names->start[k];
        const char *text = names->bytes + names->start[k];

        if (length < 1 || memchr(text, 0, (size_t)length) != text + length - 1)
            return CF_FAIL(CF_ERR_FORMAT, "%s: %s is damaged (entry %" PRId64 " of this part)",
                           cf_store_path(store), name, k);
    }
    return CF_OK;
}

/* Names range[0] .. range[0] + range[1] - 1. The bytes of the range begin at its first offset, so
 * the offsets are read first and then shifted to begin at 0. Collective. */
static cf_status read_names(cf_store *store, const cf_par *world, cf_name_kind which,
                            const int64_t range[2], cf_strings *out)
{
    const dataset_names *array = &dataset_name_arrays[which];
    const int64_t first = range[0], count = range[1], rows = count > 0 ? count + 1 : 0;
    cf_strings names = {.count = count};
    int64_t shape[2], begin = 0, size = 0;
    cf_type type;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(names.start, count + 1)));
    CF_TRY(cf_store_shape(store, array->bytes, &type, shape));
    CF_TRY(dataset_read_verified(store, array->start, CF_I64, first, rows, names.start));
    status = dataset_check_offsets(store, array->start, names.start, rows,
                                   (const int64_t[2]){0, shape[0]});
    /* a rank whose range is empty has no first offset; it still enters both reads */
    if (status == CF_OK && rows > 0) {
        begin = names.start[0];
        size = names.start[count] - begin;
        for (int64_t k = 0; k <= count; k++)
            names.start[k] -= begin;
    }
    if (status == CF_OK) status = CF_ALLOC(names.bytes, size);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(dataset_read_verified(store, array->bytes, CF_U8, begin, size, names.bytes));
    CF_TRY(cf_par_agree(world, check_names(store, array->bytes, &names)));
    *out = names;
    names = (cf_strings){0};
done:
    cf_dataset_destroy_strings(&names);
    return status;
}

/* Titles are the only names that a file may lack. */
cf_status cf_dataset_read_names(const cf_dataset *dataset, cf_name_kind which, int64_t first,
                                int64_t count, cf_strings *out)
{
    const int64_t range[2] = {first, count};
    bool has = true;
    cf_status status = CF_OK;

    if (which == CF_ITEM_TITLES)
        CF_TRY(cf_store_has(dataset->store, dataset_name_arrays[which].start, &has));
    CF_TRY(has ? read_names(dataset->store, dataset->world, which, range, out)
               : create_empty_titles(dataset->world, count, out));
done:
    return status;
}

/* Used in messages: if the name cannot be read, the number alone has to do. */
void cf_dataset_describe(const cf_dataset *dataset, cf_name_kind which, int64_t number, char *out,
                         size_t size)
{
    const char *what = dataset_name_arrays[which].what;
    cf_strings name = {0};

    if (cf_dataset_read_names(dataset, which, number, 1, &name) == CF_OK)
        snprintf(out, size, "%s \"%.120s\" (number %" PRId64 ")", what, name.bytes, number);
    else
        snprintf(out, size, "%s number %" PRId64, what, number);
    cf_dataset_destroy_strings(&name);
}

/* ---- Looking up ids ---- */

/* An id that is looked up. */
typedef struct query {
    const char *id;
    int64_t index; /* in the caller's list */
} query;

static int compare_queries(const void *a, const void *b)
{
    return strcmp(((const query *)a)->id, ((const query *)b)->id);
}

/* Answer every query of the sorted list that has this id, if any, by a binary search. */
static void answer_queries(const query *list, int64_t count, const char *id, int64_t number,
                           int64_t *out)
{
    int64_t low = 0, high = count;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if (strcmp(list[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count && strcmp(list[low].id, id) == 0; low++)
        out[list[low].index] = number;
}

/* Read all names, rank r the passes r, r + size, ..., and answer the queries. All ranks take part
 * in each turn, in the last one maybe with no names. Collective. */
static cf_status scan_names(const cf_dataset *dataset, cf_name_kind which, const query *list,
                            int64_t count, int64_t *out)
{
    const cf_par *world = dataset->world;
    const int64_t n = which == CF_USER_IDS ? dataset->n_users : dataset->n_items;
    const int64_t turns = cf_ceil_div(cf_ceil_div(n, NAMES_PER_PASS), world->size);
    cf_strings names = {0};
    cf_status status = CF_OK;

    for (int64_t turn = 0; turn < turns; turn++) {
        const int64_t first = cf_min((turn * world->size + world->rank) * NAMES_PER_PASS, n);
        const int64_t some = cf_min(n - first, NAMES_PER_PASS);

        CF_TRY(cf_dataset_read_names(dataset, which, first, some, &names));
        for (int64_t k = 0; k < some; k++)
            answer_queries(list, count, names.bytes + names.start[k], first + k, out);
        cf_dataset_destroy_strings(&names);
    }
done:
    return status;
}

/* Each rank finds the ids of its own part of the file; the maximum over the ranks is the answer. An
 * id may be in the list several times. */
cf_status cf_dataset_find(const cf_dataset *dataset, cf_name_kind which, const cf_strings *ids,
                          int64_t *out)
{
    query *list = NULL;
    int64_t *found = NULL;
    cf_status status = CF_ALLOC(list, ids->count);

    if (status == CF_OK) status = CF_ALLOC(found, ids->count);
    CF_TRY(cf_par_agree(dataset->world, status));
    for (int64_t k = 0; k < ids->count; k++) {
        list[k] = (query){ids->bytes + ids->start[k], k};
        found[k] = -1;
    }
    /* ids are sorted, not the file's names: the list is short, the file may be large */
    qsort(list, (size_t)ids->count, sizeof *list, compare_queries);
    CF_TRY(scan_names(dataset, which, list, ids->count, found));
    /* -1 where this rank has not found it: the maximum is the number, or -1 */
    MPI_Allreduce(MPI_IN_PLACE, found, cf_par_count(ids->count), MPI_INT64_T, MPI_MAX,
                  dataset->world->comm);
    for (int64_t k = 0; k < ids->count; k++)
        out[k] = found[k];
done:
    cf_free(&list);
    cf_free(&found);
    return status;
}
