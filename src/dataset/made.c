/* Shards that are made, not read: of users that the dataset does not have, and of items in the
 * place of users. What ranks or sums by users then does so for them.
 *
 * Lists of all new users are on every rank, as people who write them have few; each rank takes
 * those of its block. tests/dataset/made.c compares with plain loops. */
#include "internal.h"

#include <string.h>

/* ---- Parts ---------------------------------------------------------------------------------- */

/* Lists first .. first + count - 1 of `all`. */
static cf_status copy_lists(const cf_lists *all, int64_t first, int64_t count, cf_lists *out)
{
    const int64_t begin = all->start[first], size = all->start[first + count] - begin;
    cf_status status;

    CF_TRY(dataset_empty_lists(count, out));
    for (int64_t k = 0; k <= count; k++)
        out->start[k] = all->start[first + k] - begin;
    CF_TRY(CF_ALLOC(out->index, size));
    memcpy(out->index, all->index + begin, (size_t)size * sizeof *out->index);
done:
    return status;
}

/* List k has the number first + k alone. */
static cf_status create_own_numbers(int64_t first, int64_t count, cf_lists *out)
{
    cf_status status;

    CF_TRY(dataset_empty_lists(count, out));
    CF_TRY(CF_ALLOC(out->index, count));
    for (int64_t k = 0; k < count; k++) {
        out->start[k + 1] = k + 1;
        out->index[k] = first + k;
    }
done:
    return status;
}

/* ---- Shards --------------------------------------------------------------------------------- */

/* The block of this rank, whose blocks of users are there, on the items of `like`: without valid
 * and test items. */
static cf_status place_shard(const cf_grid *grid, const cf_shard *like, cf_shard *shard)
{
    cf_status status;

    shard->first_user = shard->users.start[grid->my_row];
    shard->n_users = shard->users.start[grid->my_row + 1] - shard->first_user;
    shard->first_item = like->first_item;
    shard->n_items = like->n_items;
    shard->n_base_items = like->n_base_items;
    CF_TRY(dataset_copy_blocks(&like->items, &shard->items));
    CF_TRY(dataset_empty_lists(shard->n_users, &shard->valid));
    CF_TRY(dataset_empty_lists(shard->n_users, &shard->test));
done:
    return status;
}

static cf_status fill_user_shard(const cf_grid *grid, const cf_shard *like, const cf_lists *items,
                                 cf_shard *shard)
{
    cf_status status;

    CF_TRY(cf_par_create_blocks(items->count, grid->n_rows, &shard->users));
    CF_TRY(place_shard(grid, like, shard));
    CF_TRY(dataset_empty_lists(shard->n_users, &shard->train));
    CF_TRY(copy_lists(items, shard->first_user, shard->n_users, &shard->added));
    CF_TRY(copy_lists(&like->train_by_item, 0, like->n_items, &shard->train_by_item));
done:
    return status;
}

cf_status cf_dataset_create_user_shard(const cf_grid *grid, const cf_shard *like,
                                       const cf_lists *items, cf_shard **out)
{
    cf_shard *shard = NULL;
    cf_status status = CF_ALLOC(shard, 1);

    if (status == CF_OK) status = fill_user_shard(grid, like, items, shard);
    CF_TRY(cf_par_agree(&grid->world, status));
    *out = shard;
    shard = NULL;
done:
    cf_dataset_destroy_shard(&shard);
    return status;
}

static cf_status fill_item_shard(const cf_grid *grid, const cf_shard *like, cf_shard *shard)
{
    cf_status status;

    CF_TRY(dataset_copy_blocks(&like->items, &shard->users));
    CF_TRY(place_shard(grid, like, shard));
    shard->first_interaction = shard->first_item;
    CF_TRY(create_own_numbers(shard->first_item, shard->n_items, &shard->train));
    CF_TRY(create_own_numbers(shard->first_item, shard->n_items, &shard->train_by_item));
    CF_TRY(dataset_empty_lists(shard->n_items, &shard->added));
done:
    return status;
}

cf_status cf_dataset_create_item_shard(const cf_grid *grid, const cf_shard *like, cf_shard **out)
{
    cf_shard *shard = NULL;
    cf_status status = CF_ALLOC(shard, 1);

    if (status == CF_OK) status = fill_item_shard(grid, like, shard);
    CF_TRY(cf_par_agree(&grid->world, status));
    *out = shard;
    shard = NULL;
done:
    cf_dataset_destroy_shard(&shard);
    return status;
}
