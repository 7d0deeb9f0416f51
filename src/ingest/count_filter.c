/* Filters by numbers of interactions, as RecBole applies them: k-core for intervals [k, inf).
 *
 * A round counts the interactions of each user and each item, then drops those of users and items
 * outside their intervals. Dropping changes the counts, so rounds repeat until one drops nothing. A
 * user's interactions are all on one rank. An item's are on many: their counts are summed by the
 * item's owner and fetched back. At the end users and items without interactions lose their
 * numbers. */
#include "split.h"

#include <math.h>
#include <string.h>

/* The counts of a round. */
typedef struct round_counts {
    int64_t *users;       /* of the users of my block */
    int64_t *local_items; /* of the listed items, in my interactions */
    int64_t *my_items;    /* of the items of my block, in all interactions */
    uint64_t *items;      /* of the listed items, in all interactions */
} round_counts;

static void free_counts(round_counts *c)
{
    cf_free(&c->users);
    cf_free(&c->local_items);
    cf_free(&c->my_items);
    cf_free(&c->items);
}

/* Count users and items anew, over all ranks. */
static cf_status count_interactions(const ingest_interactions *inter, round_counts *c)
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
                              const round_counts *c, ingest_interactions *inter)
{
    int64_t kept = 0, before, dropped;

    for (int64_t e = 0; e < inter->count; e++) {
        const uint64_t pair = inter->pairs[e];
        const double of_user = (double)c->users[ingest_user(pair)],
                     of_item = (double)c->items[ingest_item(pair)];

        if (ingest_is_in_intervals(&options->user_count, of_user) &&
            ingest_is_in_intervals(&options->item_count, of_item))
            ingest_keep_interaction(inter, e, kept++);
    }
    cf_par_exscan(world, inter->count - kept, &before, &dropped);
    inter->n_filtered += inter->count - kept;
    inter->count = kept;
    return dropped;
}

/* The new global numbers of the listed items, from their owners: `my_items` has those of the items
 * of my block. */
static cf_status fetch_new_items(const ingest_interactions *inter, const uint32_t *my_items,
                                 int64_t n_my_items, uint32_t *out)
{
    const cf_par *world = inter->index.world;
    uint64_t *wide = NULL, *fetched = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(wide, n_my_items)));
    for (int64_t k = 0; k < n_my_items; k++)
        wide[k] = my_items[k];
    CF_TRY(ingest_fetch_item_values(&inter->index, wide, &fetched));
    for (int64_t k = 0; k < inter->index.count; k++)
        out[k] = (uint32_t)fetched[k];
done:
    cf_free(&wide);
    cf_free(&fetched);
    return status;
}

/* Partition the remaining ids again. Blocks are to be of equal work; and without the dropped ids,
 * all may be decimal numbers, which have another order. `c`: the counts of the last round. */
static cf_status renumber_remaining(const cf_par *world, const round_counts *c,
                                    ingest_interactions *inter)
{
    ingest_id_partition users = inter->users, items = inter->items;
    uint32_t *my_items = NULL;
    ingest_new_numbers new = {0};
    cf_status status = CF_ALLOC(new.users, users.ids.count);

    inter->users = inter->items = (ingest_id_partition){0};
    if (status == CF_OK) status = CF_ALLOC(new.items, inter->index.count);
    if (status == CF_OK) status = CF_ALLOC(my_items, items.ids.count);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(ingest_create_id_partition(world, &users.ids, c->users, new.users, &inter->users));
    CF_TRY(ingest_create_id_partition(world, &items.ids, c->my_items, my_items, &inter->items));
    CF_TRY(fetch_new_items(inter, my_items, items.ids.count, new.items));
    ingest_destroy_item_index(&inter->index);
    CF_TRY(ingest_apply_numbers(world, &new, inter));
done:
    ingest_destroy_id_partition(&users);
    ingest_destroy_id_partition(&items);
    cf_free(&my_items);
    cf_free(&new.users);
    cf_free(&new.items);
    return status;
}

/* True if the intervals hold all counts there are; counts begin at 1. */
static bool holds_all_counts(const cf_ingest_intervals *intervals)
{
    return intervals->part[0].low <= 0 && intervals->part[0].high == INFINITY;
}

/* With the default intervals, which hold every count, nothing is to be done. */
cf_status ingest_filter_counts(const cf_par *world, const cf_ingest_options *options,
                               ingest_interactions *inter)
{
    round_counts c = {0};
    int64_t dropped = 0, dropped_now;
    cf_status status = CF_OK;

    if (holds_all_counts(&options->user_count) && holds_all_counts(&options->item_count)) goto done;
    status = CF_ALLOC(c.users, inter->users.ids.count);
    if (status == CF_OK) status = CF_ALLOC(c.local_items, inter->index.count);
    if (status == CF_OK) status = CF_ALLOC(c.my_items, inter->items.ids.count);
    CF_TRY(cf_par_agree(world, status));
    do {
        CF_TRY(count_interactions(inter, &c));
        dropped_now = drop_by_counts(world, options, &c, inter);
        dropped += dropped_now;
    } while (dropped_now > 0);
    if (dropped > 0) CF_TRY(renumber_remaining(world, &c, inter));
done:
    free_counts(&c);
    return status;
}
