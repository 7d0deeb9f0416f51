/* Filters by numbers of interactions, as RecBole applies them: k-core for intervals [k, inf).
 *
 * A round counts the interactions of each user and each item, then drops those of users and items
 * outside their intervals. Dropping changes the counts, so rounds repeat until one drops nothing. A
 * user's interactions are all on one rank. An item's are on many: their counts are summed by the
 * item's owner and fetched back. */
#include "filter.h"

#include <string.h>

/* Count users and items anew, over all ranks. */
static cf_status count_interactions(const ingest_interactions *inter, ingest_counts *c)
{
    const size_t size = sizeof(int64_t);
    cf_status status;

    memset(c->users, 0, (size_t)inter->users.ids.count * size);
    memset(c->local_items, 0, (size_t)inter->index.count * size);
    memset(c->my_items, 0, (size_t)inter->items.ids.count * size);
    for (int64_t e = 0; e < inter->count; e++) {
        c->users[ingest_user(inter->pairs[e])]++;
        c->local_items[ingest_item(inter->pairs[e])]++;
    }
    CF_TRY(ingest_sum_over_items(&inter->index, c->local_items, c->my_items));
    cf_free(&c->items);
    CF_TRY(ingest_fetch_item_values(&inter->index, (const uint64_t *)c->my_items, &c->items));
done:
    return status;
}

/* Drop interactions of users and items outside their intervals. Returns how many all ranks drop. */
static int64_t drop_by_counts(const cf_par *world, const cf_ingest_options *options,
                              const ingest_counts *c, ingest_interactions *inter)
{
    int64_t kept = 0, before, dropped;

    for (int64_t e = 0; e < inter->count; e++) {
        const uint64_t pair = inter->pairs[e];
        const double of_user = (double)c->users[ingest_user(pair)],
                     of_item = (double)c->items[ingest_item(pair)];

        if (ingest_is_in_intervals(&options->user_count, of_user) &&
            ingest_is_in_intervals(&options->item_count, of_item))
            ingest_copy_interaction(inter, e, inter, kept++);
    }
    cf_par_exscan(world, inter->count - kept, &before, &dropped);
    inter->n_filtered += inter->count - kept;
    inter->count = kept;
    return dropped;
}

/* Note which items of my block leave. An item that had interactions before the first round is
 * judged by their number also when none are left; one that never had any is not. */
static void judge_counts(const cf_ingest_options *options, bool is_first, int64_t n_items,
                         ingest_counts *c)
{
    for (int64_t k = 0; k < n_items; k++) {
        if (is_first && c->my_items[k] > 0) c->fate[k] |= INGEST_ITEM_COUNTED;
        if (c->fate[k] & INGEST_ITEM_COUNTED &&
            !ingest_is_in_intervals(&options->item_count, (double)c->my_items[k]))
            c->fate[k] |= INGEST_ITEM_OUTSIDE;
    }
}

cf_status ingest_filter_counts(const cf_par *world, const cf_ingest_options *options,
                               ingest_counts *counts, ingest_interactions *inter)
{
    bool is_first = true;
    int64_t dropped;
    cf_status status;

    do {
        CF_TRY(count_interactions(inter, counts));
        judge_counts(options, is_first, inter->items.ids.count, counts);
        dropped = drop_by_counts(world, options, counts, inter);
        is_first = false;
    } while (dropped > 0);
done:
    return status;
}
