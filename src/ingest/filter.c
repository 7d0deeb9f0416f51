/* Filters of interactions, once repeats are gone and each user's interactions are on one rank.
 *
 *   values    interactions that val_interval rejects; they were marked while they were read
 *   counts    users and items outside their intervals (count_filter.c)
 *   numbers   users and items without interactions lose theirs
 *
 * The order is RecBole's. */
#include "split.h"

#include <math.h>

/* ---- Values ---------------------------------------------------------------------------------- */

static void drop_rejected(ingest_interactions *inter)
{
    int64_t kept = 0;

    for (int64_t e = 0; e < inter->count; e++)
        if (inter->key_words == 0 || !ingest_is_rejected(*ingest_place_of(inter, e)))
            ingest_copy_interaction(inter, e, inter, kept++);
    inter->n_filtered += inter->count - kept;
    inter->count = kept;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

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
 * all may be decimal numbers, which have another order. `c`: the counts of what remains. */
static cf_status renumber_remaining(const cf_par *world, const ingest_counts *c,
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

/* ---- All ------------------------------------------------------------------------------------- */

/* True if the intervals hold all counts there are; counts begin at 1. */
static bool holds_all_counts(const cf_ingest_intervals *intervals)
{
    return intervals->part[0].low <= 0 && intervals->part[0].high == INFINITY;
}

static bool filters_nothing(const cf_ingest_options *options)
{
    return options->n_filters == 0 && holds_all_counts(&options->user_count) &&
           holds_all_counts(&options->item_count);
}

static cf_status create_counts(const ingest_interactions *inter, ingest_counts *out)
{
    cf_status status;

    CF_TRY(CF_ALLOC(out->users, inter->users.ids.count));
    CF_TRY(CF_ALLOC(out->local_items, inter->index.count));
    CF_TRY(CF_ALLOC(out->my_items, inter->items.ids.count));
done:
    return status;
}

static void destroy_counts(ingest_counts *counts)
{
    cf_free(&counts->users);
    cf_free(&counts->local_items);
    cf_free(&counts->my_items);
    cf_free(&counts->items);
}

/* With the default intervals, which hold every count, nothing is to be done. */
cf_status ingest_filter(const cf_par *world, const cf_ingest_options *options,
                        ingest_interactions *inter)
{
    const int64_t filtered_before = inter->n_filtered;
    ingest_counts counts = {0};
    int64_t before, dropped;
    cf_status status = CF_OK;

    if (filters_nothing(options)) goto done;
    CF_TRY(cf_par_agree(world, create_counts(inter, &counts)));
    drop_rejected(inter);
    CF_TRY(ingest_filter_counts(world, options, &counts, inter));
    cf_par_exscan(world, inter->n_filtered - filtered_before, &before, &dropped);
    if (dropped > 0) CF_TRY(renumber_remaining(world, &counts, inter));
done:
    destroy_counts(&counts);
    return status;
}
