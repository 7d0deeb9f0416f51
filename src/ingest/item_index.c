/* The distinct items of a rank's interactions, and the exchange of values with their owners.
 *
 * A bit for each item of the dataset tells which items occur, and prefix sums of the bits give each
 * its local number. The list is ascending, so it is grouped by owner: blocks are contiguous. Each
 * owner receives once the numbers of its items that a rank has; from then on values travel both
 * ways without them. Counts are 64-bit, because a rank may have more items than an MPI count can
 * hold. */
#include "ids.h"

#include <string.h>

void ingest_destroy_item_index(ingest_item_index *index)
{
    cf_free(&index->item);
    cf_free(&index->bits);
    cf_free(&index->bits_before);
    cf_free(&index->n_requested);
    cf_free(&index->n_served);
    cf_free(&index->served);
    *index = (ingest_item_index){0};
}

static int64_t sum_counts(const int64_t *counts, int n)
{
    int64_t sum = 0;

    for (int r = 0; r < n; r++)
        sum += counts[r];
    return sum;
}

/* Local: find the distinct items, and how many of them each rank owns. */
static cf_status find_items(const cf_blocks *items, const uint64_t *pairs, int64_t count,
                            ingest_item_index *out)
{
    const int64_t n_words = items->start[items->count] / 64 + 1;
    cf_status status;

    CF_TRY(CF_ALLOC(out->bits, n_words));
    CF_TRY(CF_ALLOC(out->bits_before, n_words));
    CF_TRY(CF_ALLOC(out->n_requested, items->count));
    CF_TRY(CF_ALLOC(out->n_served, items->count));
    for (int64_t e = 0; e < count; e++)
        out->bits[ingest_item(pairs[e]) / 64] |= (uint64_t)1 << ingest_item(pairs[e]) % 64;
    /* Prefix sums of the set bits, a word at a time. */
    for (int64_t w = 0; w < n_words; w++) {
        out->bits_before[w] = (uint32_t)out->count;
        out->count += __builtin_popcountll(out->bits[w]);
    }
    CF_TRY(CF_ALLOC(out->item, out->count));
    for (int64_t w = 0, n = 0; w < n_words; w++)
        for (uint64_t left = out->bits[w]; left != 0; left &= left - 1) /* each set bit */
            out->item[n++] = (uint32_t)(w * 64 + __builtin_ctzll(left));
    for (int64_t k = 0; k < out->count; k++)
        out->n_requested[cf_par_block_of(items, out->item[k])]++;
done:
    return status;
}

/* Tell each owner which of its items this rank has. */
cf_status ingest_create_item_index(const cf_par *world, const cf_blocks *items,
                                   const uint64_t *pairs, int64_t count, ingest_item_index *out)
{
    int64_t n;
    cf_status status;

    out->world = world;
    CF_TRY(cf_par_agree(world, find_items(items, pairs, count, out)));
    CF_TRY(cf_par_exchange(world, sizeof *out->item, out->n_requested, out->item, out->n_served,
                           &out->served));
    n = sum_counts(out->n_served, world->size);
    /* Items arrive by global numbers; from here on they are indices in my block. */
    for (int64_t k = 0; k < n; k++)
        out->served[k] -= (uint32_t)items->start[world->rank];
done:
    return status;
}

/* Values travel to the owners, who add them up, or join their bits: the order is irrelevant. */
static cf_status combine(const ingest_item_index *index, const uint64_t *mine, bool joins,
                         uint64_t *totals)
{
    const cf_par *world = index->world;
    const int64_t n = sum_counts(index->n_served, world->size);
    int64_t *recv_count = NULL;
    uint64_t *received = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(recv_count, world->size)));
    CF_TRY(
        cf_par_exchange(world, sizeof *received, index->n_requested, mine, recv_count, &received));
    for (int64_t k = 0; k < n; k++) {
        uint64_t *total = &totals[index->served[k]];

        *total = joins ? *total | received[k] : *total + received[k];
    }
done:
    cf_free(&recv_count);
    cf_free(&received);
    return status;
}

cf_status ingest_sum_over_items(const ingest_item_index *index, const int64_t *mine,
                                int64_t *totals)
{
    return combine(index, (const uint64_t *)mine, false, (uint64_t *)totals);
}

cf_status ingest_join_over_items(const ingest_item_index *index, const uint64_t *mine,
                                 uint64_t *totals)
{
    return combine(index, mine, true, totals);
}

/* Values of `size` bytes travel from the owners, one for each item that a rank has, in the order of
 * its list. */
static cf_status fetch(const ingest_item_index *index, size_t size, const void *values, void *out)
{
    const cf_par *world = index->world;
    const int64_t n = sum_counts(index->n_served, world->size);
    int64_t *recv_count = NULL;
    char *reply = NULL;
    cf_status status;

    status = CF_ALLOC(recv_count, world->size);
    if (status == CF_OK) status = cf_alloc(&reply, n, size);
    CF_TRY(cf_par_agree(world, status));
    for (int64_t k = 0; k < n; k++)
        memcpy(reply + (size_t)k * size, (const char *)values + index->served[k] * size, size);
    CF_TRY(cf_par_exchange(world, size, index->n_served, reply, recv_count, out));
done:
    cf_free(&recv_count);
    cf_free(&reply);
    return status;
}

cf_status ingest_fetch_item_values(const ingest_item_index *index, const uint64_t *values,
                                   uint64_t **out)
{
    return fetch(index, sizeof *values, values, out);
}

cf_status ingest_fetch_item_numbers(const ingest_item_index *index, const uint32_t *values,
                                    uint32_t **out)
{
    return fetch(index, sizeof *values, values, out);
}
