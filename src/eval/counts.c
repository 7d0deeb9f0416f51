/* How many train interactions each item has: what the items are ranked by for a user that has no
 * train items, and what groups of items are told apart by.
 *
 * A rank knows the counts of its own block of items, from the users of each. The blocks of a grid
 * column are all items: each is broadcast along the column, so that every rank has all n_items
 * counts. Whole numbers: no order of a sum matters. */
#include "counts.h"

cf_status eval_gather_item_counts(const cf_grid *grid, const cf_shard *shard, int64_t **out)
{
    const cf_blocks *blocks = &shard->items;
    const int64_t *users = shard->train_by_item.start;
    int64_t *counts = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(&grid->world, CF_ALLOC(counts, blocks->start[blocks->count])));
    for (int64_t i = 0; i < shard->n_items; i++)
        counts[shard->first_item + i] = users[i + 1] - users[i];
    for (int b = 0; b < blocks->count; b++) {
        const int64_t count = blocks->start[b + 1] - blocks->start[b];

        cf_par_broadcast(&grid->column, counts + blocks->start[b], count * (int64_t)sizeof *counts,
                         b);
    }
    *out = counts;
    counts = NULL;
done:
    cf_free(&counts);
    return status;
}
