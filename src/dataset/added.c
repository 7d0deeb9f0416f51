/* What is known of users by the items that were appended to a dataset: by those of the base, for
 * which a model has rows. Users with train items are known by these. Of the others a shard is made,
 * in the same blocks, so that a table of its users has their rows where the dataset's table has
 * them. tests/dataset/made.c compares with plain loops. */
#include "internal.h"

/* Added items of the base; numbers ascend. */
static int64_t count_known(const cf_shard *shard, int64_t user)
{
    const int64_t *at = shard->added.index + shard->added.start[user];
    const int64_t n = shard->added.start[user + 1] - shard->added.start[user];
    int64_t count = 0;

    while (count < n && at[count] < shard->n_base_items)
        count++;
    return count;
}

static bool has_train(const cf_shard *shard, int64_t user)
{
    return shard->train.start[user + 1] > shard->train.start[user];
}

bool cf_dataset_knows_user(const cf_shard *shard, int64_t user)
{
    return has_train(shard, user) || count_known(shard, user) > 0;
}

/* The lists of train. Local. */
static cf_status fill_train(const cf_shard *like, cf_lists *out)
{
    int64_t n = 0;
    cf_status status;

    CF_TRY(dataset_empty_lists(like->n_users, out));
    for (int64_t u = 0; u < like->n_users; u++)
        out->start[u + 1] = out->start[u] + (has_train(like, u) ? 0 : count_known(like, u));
    CF_TRY(CF_ALLOC(out->index, out->start[like->n_users]));
    for (int64_t u = 0; u < like->n_users; u++)
        for (int64_t e = 0; e < out->start[u + 1] - out->start[u]; e++)
            out->index[n++] = like->added.index[like->added.start[u] + e];
done:
    return status;
}

/* All but the lists by item, and the number of the first interaction. Local. */
static cf_status fill_shard(const cf_shard *like, cf_shard *out)
{
    cf_status status;

    CF_TRY(dataset_copy_blocks(&like->users, &out->users));
    CF_TRY(dataset_copy_blocks(&like->items, &out->items));
    out->first_user = like->first_user;
    out->n_users = like->n_users;
    out->first_item = like->first_item;
    out->n_items = like->n_items;
    out->n_base_items = like->n_base_items;
    CF_TRY(fill_train(like, &out->train));
    CF_TRY(dataset_empty_lists(like->n_users, &out->valid));
    CF_TRY(dataset_empty_lists(like->n_users, &out->test));
    CF_TRY(dataset_empty_lists(like->n_users, &out->added));
done:
    return status;
}

/* The lists by item. The first rank of each grid row transposes, and the others get its lists.
 * Collective. */
static cf_status fill_by_item(const cf_grid *grid, cf_shard *shard)
{
    const bool first = grid->my_column == 0;
    const cf_dataset_content part = {.train = first ? shard->train : (cf_lists){0},
                                     .user_ids.count = first ? shard->n_users : 0,
                                     .item_ids.count = first ? shard->n_items : 0};
    cf_lists *lists = &shard->train_by_item, none = {0};
    int64_t size;
    cf_status status;

    CF_TRY(dataset_transpose(&grid->world, &part, first ? lists : &none));
    if (!first) status = dataset_empty_lists(shard->n_items, lists);
    CF_TRY(cf_par_agree(&grid->world, status));
    lists->count = shard->n_items;
    cf_par_broadcast(&grid->row, lists->start, (lists->count + 1) * (int64_t)sizeof *lists->start,
                     0);
    size = lists->start[lists->count];
    if (!first) status = CF_ALLOC(lists->index, size);
    CF_TRY(cf_par_agree(&grid->world, status));
    cf_par_broadcast(&grid->row, lists->index, size * (int64_t)sizeof *lists->index, 0);
done:
    dataset_destroy_lists(&none);
    return status;
}

cf_status cf_dataset_create_added_shard(const cf_grid *grid, const cf_shard *like, cf_shard **out)
{
    cf_shard *shard = NULL;
    int64_t total;
    cf_status status = CF_ALLOC(shard, 1);

    if (status == CF_OK) status = fill_shard(like, shard);
    CF_TRY(cf_par_agree(&grid->world, status));
    cf_par_exscan(&grid->column, dataset_list_size(&shard->train), &shard->first_interaction,
                  &total);
    CF_TRY(fill_by_item(grid, shard));
    *out = shard;
    shard = NULL;
done:
    cf_dataset_destroy_shard(&shard);
    return status;
}
