/* Filters of interactions, once repeats are gone and each user's interactions are on one rank.
 *
 *   values    interactions that val_interval rejects; they were marked while they were read
 *   items     those of items that the item file or the vectors reject (item_filter.c)
 *   counts    users and items outside their intervals (count_filter.c)
 *   numbers   users and items without interactions lose theirs, and items of the catalogue that are
 *             kept without interactions get one
 *
 * The order is RecBole's. */
#include "filter.h"

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

/* What the users and items are numbered by. */
typedef struct renumbering {
    ingest_id_partition users, items; /* the old ones */
    cf_strings item_ids;              /* of my block, and new ones */
    int64_t *n_uses;                  /* of each of these */
    uint32_t *item_numbers;           /* of each of these */
    ingest_new_numbers new;
} renumbering;

static void free_renumbering(renumbering *r)
{
    ingest_destroy_id_partition(&r->users);
    ingest_destroy_id_partition(&r->items);
    cf_dataset_destroy_strings(&r->item_ids);
    cf_free(&r->n_uses);
    cf_free(&r->item_numbers);
    cf_free(&r->new.users);
    cf_free(&r->new.items);
}

/* Local. */
static cf_status fill_renumbering(const cf_ingest_options *options,
                                  const ingest_catalogue *catalogue, const ingest_counts *counts,
                                  renumbering *r)
{
    cf_status status;

    CF_TRY(ingest_list_items(options, catalogue, counts, &r->items.ids, &r->item_ids, &r->n_uses));
    CF_TRY(CF_ALLOC(r->item_numbers, r->item_ids.count));
    CF_TRY(CF_ALLOC(r->new.users, r->users.ids.count));
done:
    return status;
}

/* Partition the remaining ids again. Blocks are to be of equal work; and without the dropped ids,
 * all may be decimal numbers, which have another order. `counts`: of what remains. */
static cf_status renumber_remaining(const cf_par *world, const cf_ingest_options *options,
                                    const ingest_catalogue *catalogue, const ingest_counts *counts,
                                    ingest_interactions *inter)
{
    renumbering r = {.users = inter->users, .items = inter->items};
    cf_status status;

    inter->users = inter->items = (ingest_id_partition){0};
    CF_TRY(cf_par_agree(world, fill_renumbering(options, catalogue, counts, &r)));
    CF_TRY(
        ingest_create_id_partition(world, &r.users.ids, counts->users, r.new.users, &inter->users));
    CF_TRY(ingest_create_id_partition(world, &r.item_ids, r.n_uses, r.item_numbers, &inter->items));
    CF_TRY(ingest_fetch_item_numbers(&inter->index, r.item_numbers, &r.new.items));
    ingest_destroy_item_index(&inter->index);
    CF_TRY(ingest_apply_numbers(world, &r.new, inter));
done:
    free_renumbering(&r);
    return status;
}

/* ---- All ------------------------------------------------------------------------------------- */

/* True if the intervals hold all counts there are; counts begin at 1. */
static bool holds_all_counts(const cf_ingest_intervals *intervals)
{
    return intervals->part[0].low <= 0 && intervals->part[0].high == INFINITY;
}

/* True if there is nothing to do. */
static bool keeps_everything(const cf_ingest_options *options, const ingest_catalogue *catalogue)
{
    return options->n_filters == 0 && holds_all_counts(&options->user_count) &&
           holds_all_counts(&options->item_count) && !options->keeps_all &&
           !ingest_filters_items(options, catalogue);
}

static cf_status create_counts(const ingest_interactions *inter, ingest_counts *out)
{
    cf_status status;

    CF_TRY(CF_ALLOC(out->users, inter->users.ids.count));
    CF_TRY(CF_ALLOC(out->local_items, inter->index.count));
    CF_TRY(CF_ALLOC(out->my_items, inter->items.ids.count));
    CF_TRY(CF_ALLOC(out->fate, inter->items.ids.count));
done:
    return status;
}

static void destroy_counts(ingest_counts *counts)
{
    cf_free(&counts->users);
    cf_free(&counts->local_items);
    cf_free(&counts->my_items);
    cf_free(&counts->items);
    cf_free(&counts->fate);
}

/* How many items all ranks have in `counts` with interactions. */
static int64_t count_interacted(const cf_par *world, const ingest_counts *counts, int64_t n_items)
{
    int64_t mine = 0, before, all;

    for (int64_t k = 0; k < n_items; k++)
        mine += counts->my_items[k] > 0;
    cf_par_exscan(world, mine, &before, &all);
    return all;
}

cf_status ingest_filter(const cf_par *world, const cf_ingest_options *options,
                        const ingest_catalogue *catalogue, ingest_interactions *inter,
                        bool *renumbered)
{
    const int64_t mine = inter->count;
    ingest_counts counts = {0};
    int64_t before, dropped, n_interacted;
    cf_status status = CF_OK;

    *renumbered = false;
    if (keeps_everything(options, catalogue)) goto done;
    CF_TRY(cf_par_agree(world, create_counts(inter, &counts)));
    drop_rejected(inter);
    if (ingest_filters_items(options, catalogue))
        CF_TRY(ingest_filter_items(options, catalogue, &counts, inter));
    CF_TRY(ingest_filter_counts(world, options, &counts, inter));
    cf_par_exscan(world, mine - inter->count, &before, &dropped);
    if (dropped == 0 && !options->keeps_all) goto done;
    n_interacted = count_interacted(world, &counts, inter->items.ids.count);
    CF_TRY(renumber_remaining(world, options, catalogue, &counts, inter));
    inter->n_no_interactions = inter->items.blocks.start[world->size] - n_interacted;
    *renumbered = true;
done:
    destroy_counts(&counts);
    return status;
}
