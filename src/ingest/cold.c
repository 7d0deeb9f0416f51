/* Which items are cold: those that nothing is trained on, kept for the question how new items fare.
 *
 * cold_share draws them before the split, as a catalogue gets new items, whoever their users are:
 * the n items in the order of a random number that is a function of (seed, item id), ties by
 * number; of these the first floor(cold_share n / 2) are candidates in valid, as many behind them
 * in test. Afterwards every other item without train interactions is one too: in the parts that
 * have it, and in both if none has. The owner of an item has its mark. */
#include "split.h"

#include <math.h>

/* Mark those of the `n` items of smallest keys that have no mark yet. `first`: room for flags. */
static void mark_share(const cf_par *world, const uint64_t *keys, int64_t n, uint8_t mark,
                       ingest_interactions *inter, uint8_t *first)
{
    cf_par_mark_first(world, keys, inter->items.ids.count, n, first);
    for (int64_t k = 0; k < inter->items.ids.count; k++)
        if (first[k] && !inter->cold[k]) inter->cold[k] = mark;
}

cf_status ingest_draw_cold(const cf_par *world, const cf_ingest_options *options,
                           ingest_interactions *inter)
{
    const cf_random random = {(uint64_t)options->seed, CF_STREAM_COLD};
    const cf_strings *ids = &inter->items.ids;
    const int64_t n_items = inter->items.blocks.start[world->size];
    const int64_t half = (int64_t)floor(options->cold_share * (double)n_items / 2);
    uint64_t *keys = NULL;
    uint8_t *first = NULL;
    cf_status status;

    CF_REQUIRE(half > 0, CF_ERR_USAGE,
               "cold_share %g of %lld items is less than one for valid and one for test",
               options->cold_share, (long long)n_items);
    status = CF_ALLOC(keys, ids->count);
    if (status == CF_OK) status = CF_ALLOC(first, ids->count);
    if (status == CF_OK) status = CF_ALLOC(inter->cold, ids->count);
    CF_TRY(cf_par_agree(world, status));
    for (int64_t k = 0; k < ids->count; k++)
        keys[k] = cf_random_bits(
            random, ingest_hash(ids->bytes + ids->start[k], ids->start[k + 1] - ids->start[k] - 1),
            0, 0);
    mark_share(world, keys, half, CF_COLD_VALID, inter, first);
    mark_share(world, keys, 2 * half, CF_COLD_TEST, inter, first);
done:
    cf_free(&keys);
    cf_free(&first);
    return status;
}

/* The interactions that each item of my block has in a part, into `totals`. Collective. */
static cf_status count_part(const cf_par *world, const ingest_item_index *index,
                            const cf_lists *part, int64_t *totals)
{
    int64_t *mine = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(mine, index->count)));
    for (int64_t e = 0; e < part->start[part->count]; e++)
        mine[ingest_local_item(index, (uint32_t)part->index[e])]++;
    CF_TRY(ingest_sum_over_items(index, mine, totals));
done:
    cf_free(&mine);
    return status;
}

/* Mark the items of my block and count them: `uses` has their interactions in each part. */
static void mark_untrained(int64_t *const uses[3], ingest_interactions *inter,
                           cf_ingest_cold *counts)
{
    for (int64_t k = 0; k < inter->items.ids.count; k++) {
        const int64_t valid = uses[INGEST_VALID][k], test = uses[INGEST_TEST][k];
        uint8_t *mark = &inter->cold[k];

        if (uses[INGEST_TRAIN][k] > 0) continue;
        if (*mark == 0)
            *mark =
                valid + test == 0
                    ? CF_COLD_VALID | CF_COLD_TEST
                    : (uint8_t)((valid > 0 ? CF_COLD_VALID : 0) | (test > 0 ? CF_COLD_TEST : 0));
        counts->n_items++;
        counts->n_candidates[0] += (*mark & CF_COLD_VALID) != 0;
        counts->n_candidates[1] += (*mark & CF_COLD_TEST) != 0;
        counts->n_interactions[0] += valid;
        counts->n_interactions[1] += test;
    }
}

cf_status ingest_mark_cold(const cf_par *world, const cf_lists parts[3], ingest_interactions *inter,
                           cf_ingest_cold *counts)
{
    const int64_t n_items = inter->items.ids.count;
    int64_t *uses[3] = {NULL, NULL, NULL};
    cf_ingest_cold found = {0};
    cf_status status = inter->cold == NULL ? CF_ALLOC(inter->cold, n_items) : CF_OK;

    for (int k = 0; k < 3 && status == CF_OK; k++)
        status = CF_ALLOC(uses[k], n_items);
    CF_TRY(cf_par_agree(world, status));
    for (int k = 0; k < 3; k++)
        CF_TRY(count_part(world, &inter->index, &parts[k], uses[k]));
    mark_untrained(uses, inter, &found);
    MPI_Allreduce(&found, counts, sizeof found / sizeof(int64_t), MPI_INT64_T, MPI_SUM,
                  world->comm);
done:
    for (int k = 0; k < 3; k++)
        cf_free(&uses[k]);
    return status;
}
