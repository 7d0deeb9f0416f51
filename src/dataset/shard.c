/* The part of a dataset that one grid row holds: a block of users and a block of items with their
 * interactions, as lists (offsets and numbers, and weights of train). Blocks have about equal work
 * (cut.c), not equal size. The first rank of each grid row reads, the others get its lists by
 * broadcast, so that every element is read once and the checksums can be verified.
 * tests/dataset/shard.c compares with lists cut by a plain loop.
 */
#include "internal.h"

#include <inttypes.h>
#include <string.h>

/* ---- Lists ---- */

/* Arrays of the file: list k of `index` (numbers below n_index) starts at `ptr`[k]. */
typedef struct list_arrays {
    const char *ptr, *index;
    int64_t nnz, n_index;
    const char *weight; /* of each entry; NULL: there are none */
} list_arrays;

/* A shard being read. */
typedef struct reader {
    const cf_dataset *dataset;
    cf_store *store;
    const cf_grid *grid;
    bool reads; /* the first rank of its grid row; the others read nothing */
} reader;

/*
 * The pointer after my last row is the first one that a later block reads, so that every pointer is
 * read once and the checksums can be verified. The last block reads the closing pointer itself.
 * `all`: each block's first pointer, -1 if it has no rows.
 */
static int64_t next_pointer(const cf_par *column, const int64_t *all, int64_t nnz)
{
    for (int b = column->rank + 1; b < column->size; b++)
        if (all[b] >= 0) return all[b];
    return nnz;
}

/* The pointers of my block as they are in the file, count + 1 of them, into `start`. They must
 * ascend from 0 to nnz over all blocks. Collective. */
static cf_status read_pointers(const reader *in, const list_arrays *arrays, const cf_blocks *blocks,
                               int64_t *start)
{
    const cf_grid *grid = in->grid;
    const int64_t first = blocks->start[grid->my_row];
    const int64_t count = blocks->start[grid->my_row + 1] - first;
    const bool last = grid->my_row == grid->n_rows - 1;
    const int64_t rows = in->reads ? count + last : 0, bounds[2] = {0, arrays->nnz};
    int64_t *all = NULL, mine;
    cf_status status;

    CF_TRY(cf_par_agree(in->dataset->world, CF_ALLOC(all, grid->column.size)));
    CF_TRY(dataset_read_part(in->store, arrays->ptr, CF_I64, first, rows, start));
    mine = rows > 0 ? start[0] : -1;
    MPI_Allgather(&mine, 1, MPI_INT64_T, all, 1, MPI_INT64_T, grid->column.comm);
    if (!last) start[count] = next_pointer(&grid->column, all, arrays->nnz);
    if (in->reads) {
        bool ends =
            (first > 0 || count == 0 || start[0] == 0) && (!last || start[count] == arrays->nnz);

        status = dataset_check_offsets(in->store, arrays->ptr, start, count + 1, bounds);
        if (status == CF_OK && !ends)
            status =
                CF_FAIL(CF_ERR_FORMAT, "%s: %s is damaged: expected offsets from 0 to %" PRId64,
                        cf_store_path(in->store), arrays->ptr, arrays->nnz);
    }
    CF_TRY(cf_par_agree(in->dataset->world, status));
    CF_TRY(cf_store_verify(in->store, arrays->ptr));
done:
    cf_free(&all);
    return status;
}

/* The numbers of every list must ascend within 0 .. n_index - 1. Local. */
static cf_status check_lists(const reader *in, const list_arrays *arrays, const cf_lists *lists)
{
    for (int64_t k = 0; k < lists->count; k++) {
        int64_t before = -1;

        for (int64_t e = lists->start[k]; e < lists->start[k + 1]; e++) {
            if (lists->index[e] <= before || lists->index[e] >= arrays->n_index)
                return CF_FAIL(CF_ERR_FORMAT,
                               "%s: %s is damaged: %" PRId64 " after %" PRId64
                               ", expected ascending numbers below %" PRId64,
                               cf_store_path(in->store), arrays->index, lists->index[e], before,
                               arrays->n_index);
            before = lists->index[e];
        }
    }
    return CF_OK;
}

/* The weights of lists from entry `begin` on. Collective. */
static cf_status read_weights(const reader *in, const char *name, int64_t begin, cf_lists *lists)
{
    const cf_par *world = in->dataset->world;
    const int64_t size = lists->start[lists->count];
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(lists->weight, size)));
    CF_TRY(dataset_read_part(in->store, name, CF_F32, begin, in->reads ? size : 0, lists->weight));
    if (in->reads) status = dataset_check_weights(in->store, name, lists->weight, size);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cf_store_verify(in->store, name));
    cf_par_broadcast(&in->grid->row, lists->weight, size * (int64_t)sizeof *lists->weight, 0);
done:
    return status;
}

/* The lists of my block; `*first`, if not NULL, is the global number of their first entry.
 * Collective. */
static cf_status read_lists(const reader *in, const list_arrays *arrays, const cf_blocks *blocks,
                            cf_lists *out, int64_t *first)
{
    const cf_par *world = in->dataset->world, *row = &in->grid->row;
    const int my_row = in->grid->my_row;
    cf_lists lists = {.count = blocks->start[my_row + 1] - blocks->start[my_row]};
    int64_t begin, size;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(lists.start, lists.count + 1)));
    CF_TRY(read_pointers(in, arrays, blocks, lists.start));
    cf_par_broadcast(row, lists.start, (lists.count + 1) * (int64_t)sizeof *lists.start, 0);
    begin = lists.start[0];
    size = lists.start[lists.count] - begin;
    for (int64_t k = 0; k <= lists.count; k++)
        lists.start[k] -= begin;
    CF_TRY(cf_par_agree(world, CF_ALLOC(lists.index, size)));
    CF_TRY(dataset_read_part(in->store, arrays->index, CF_I64, begin, in->reads ? size : 0,
                             lists.index));
    if (in->reads) status = check_lists(in, arrays, &lists);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cf_store_verify(in->store, arrays->index));
    cf_par_broadcast(row, lists.index, size * (int64_t)sizeof *lists.index, 0);
    if (arrays->weight != NULL) CF_TRY(read_weights(in, arrays->weight, begin, &lists));
    if (first != NULL) *first = begin;
    *out = lists;
    lists = (cf_lists){0};
done:
    dataset_destroy_lists(&lists);
    return status;
}

/* ---- Shard ---- */

/* Train by user and by item, valid, test and added by user. Only users and items of the base are in
 * train: nothing was trained with the others. */
static cf_status read_all_lists(const reader *in, cf_shard *shard)
{
    const cf_dataset *dataset = in->dataset;
    const bool weighted = dataset->has_weights;
    const list_arrays train = {"/train/user_ptr", "/train/item", dataset->n_train,
                               dataset->base.n_items, weighted ? DATASET_WEIGHTS : NULL};
    const list_arrays by_item = {"/train/item_ptr", "/train/user", dataset->n_train,
                                 dataset->base.n_users, weighted ? DATASET_WEIGHTS_BY_ITEM : NULL};
    const list_arrays valid = {"/valid/user_ptr", "/valid/item", dataset->n_valid, dataset->n_items,
                               NULL};
    const list_arrays test = {"/test/user_ptr", "/test/item", dataset->n_test, dataset->n_items,
                              NULL};
    const list_arrays added = {"/added/user_ptr", "/added/item", dataset->n_added, dataset->n_items,
                               NULL};
    cf_status status;

    CF_TRY(read_lists(in, &train, &shard->users, &shard->train, &shard->first_interaction));
    CF_TRY(read_lists(in, &by_item, &shard->items, &shard->train_by_item, NULL));
    CF_TRY(read_lists(in, &valid, &shard->users, &shard->valid, NULL));
    CF_TRY(read_lists(in, &test, &shard->users, &shard->test, NULL));
    if (dataset->is_appended)
        CF_TRY(read_lists(in, &added, &shard->users, &shard->added, NULL));
    else
        CF_TRY(cf_par_agree(dataset->world, dataset_empty_lists(shard->n_users, &shard->added)));
done:
    return status;
}

/* The dataset's marks. A cold item of my block must have no train interaction. Local. */
static cf_status copy_marks(const cf_dataset *dataset, cf_shard *shard)
{
    const int64_t *start = shard->train_by_item.start;
    cf_status status;

    if (dataset->cold == NULL) return CF_OK;
    CF_TRY(CF_ALLOC(shard->cold, dataset->n_items));
    memcpy(shard->cold, dataset->cold, (size_t)dataset->n_items);
    for (int64_t i = 0; i < shard->n_items; i++)
        CF_REQUIRE(
            start[i + 1] == start[i] || shard->cold[shard->first_item + i] == 0, CF_ERR_FORMAT,
            "%s: /items/cold is damaged: it marks item %" PRId64 ", which has train interactions",
            cf_dataset_path(dataset), shard->first_item + i);
done:
    return status;
}

/* Pointers are read twice, for the boundaries and for the lists, and verified each time. A handle
 * of its own leaves no half-read array behind in the dataset's. */
static cf_status fill_shard(const cf_dataset *dataset, const cf_grid *grid, cf_shard *shard)
{
    reader in = {dataset, NULL, grid, grid->my_column == 0};
    cf_status status;

    CF_TRY(cf_store_open(dataset->world, cf_dataset_path(dataset), "dataset", &in.store));
    CF_TRY(dataset_cut_blocks(dataset, in.store, &shard->users, &shard->items));
    shard->first_user = shard->users.start[grid->my_row];
    shard->n_users = shard->users.start[grid->my_row + 1] - shard->first_user;
    shard->first_item = shard->items.start[grid->my_row];
    shard->n_items = shard->items.start[grid->my_row + 1] - shard->first_item;
    shard->n_base_items = dataset->base.n_items;
    CF_TRY(read_all_lists(&in, shard));
    CF_TRY(cf_par_agree(dataset->world, copy_marks(dataset, shard)));
done:
    cf_store_close(&in.store);
    return status;
}

cf_status cf_dataset_load_shard(const cf_dataset *dataset, const cf_grid *grid, cf_shard **out)
{
    cf_shard *shard = NULL;
    cf_status status;

    if (grid->n_rows > dataset->n_users || grid->n_rows > dataset->n_items)
        return CF_FAIL(CF_ERR_USAGE,
                       "%s: %" PRId64 " users and %" PRId64
                       " items cannot be cut into %d blocks: use fewer ranks or another grid",
                       cf_dataset_path(dataset), dataset->n_users, dataset->n_items, grid->n_rows);
    status = CF_ALLOC(shard, 1);
    if (status == CF_OK)
        status = cf_par_create_blocks(dataset->n_users, grid->n_rows, &shard->users);
    if (status == CF_OK)
        status = cf_par_create_blocks(dataset->n_items, grid->n_rows, &shard->items);
    CF_TRY(cf_par_agree(dataset->world, status));
    CF_TRY(fill_shard(dataset, grid, shard));
    *out = shard;
    shard = NULL;
done:
    cf_dataset_destroy_shard(&shard);
    return status;
}
