/* Items that a rank's interactions are of, and their owners. */
#include "internal.h"

#include <string.h>

void ingest_places_free(ingest_places *places)
{
    cf_free(&places->item);
    cf_free(&places->bits);
    cf_free(&places->before);
    cf_free(&places->n_asked);
    cf_free(&places->n_told);
    cf_free(&places->told);
    *places = (ingest_places){0};
}

/* Local: which items are here, and how many of each owner. */
static cf_status find_items(const cf_blocks *items, const uint64_t *pairs, int64_t count,
                            ingest_places *out)
{
    const int64_t n_words = items->start[items->count] / 64 + 1;
    cf_status status;

    CF_TRY(CF_ALLOC(out->bits, n_words));
    CF_TRY(CF_ALLOC(out->before, n_words));
    CF_TRY(CF_ALLOC(out->n_asked, items->count));
    CF_TRY(CF_ALLOC(out->n_told, items->count));
    for (int64_t e = 0; e < count; e++)
        out->bits[ingest_item(pairs[e]) / 64] |= (uint64_t)1 << ingest_item(pairs[e]) % 64;
    for (int64_t w = 0; w < n_words; w++) {
        out->before[w] = (uint32_t)out->count;
        out->count += __builtin_popcountll(out->bits[w]);
    }
    CF_TRY(CF_ALLOC(out->item, out->count));
    for (int64_t w = 0, n = 0; w < n_words; w++)
        for (uint64_t left = out->bits[w]; left; left &= left - 1)
            out->item[n++] = (uint32_t)(w * 64 + __builtin_ctzll(left));
    for (int64_t k = 0; k < out->count; k++)
        out->n_asked[cf_par_block_of(items, out->item[k])]++;
done:
    return status;
}

cf_status ingest_places_make(const cf_par *world, const cf_blocks *items, const uint64_t *pairs,
                             int64_t count, ingest_places *out)
{
    int64_t n = 0;
    cf_status status;

    out->world = world;
    CF_TRY(cf_par_agree(world, find_items(items, pairs, count, out)));
    CF_TRY(cf_par_exchange(world, sizeof *out->item, out->n_asked, out->item, out->n_told,
                           &out->told));
    for (int r = 0; r < world->size; r++)
        n += out->n_told[r];
    for (int64_t k = 0; k < n; k++)
        out->told[k] -= (uint32_t)items->start[world->rank];
done:
    return status;
}

cf_status ingest_places_sum(const ingest_places *places, const int64_t *mine, int64_t *totals)
{
    const cf_par *world = places->world;
    int64_t *got = NULL, *n_got = NULL, n = 0;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(n_got, world->size)));
    CF_TRY(cf_par_exchange(world, sizeof *mine, places->n_asked, mine, n_got, &got));
    for (int r = 0; r < world->size; r++)
        n += n_got[r];
    for (int64_t k = 0; k < n; k++)
        totals[places->told[k]] += got[k];
done:
    cf_free(&got);
    cf_free(&n_got);
    return status;
}

cf_status ingest_places_fetch(const ingest_places *places, const uint64_t *values, uint64_t **out)
{
    const cf_par *world = places->world;
    int64_t *n_got = NULL, n = 0;
    uint64_t *reply = NULL;
    cf_status status;

    for (int r = 0; r < world->size; r++)
        n += places->n_told[r];
    status = CF_ALLOC(n_got, world->size);
    if (status == CF_OK) status = CF_ALLOC(reply, n);
    CF_TRY(cf_par_agree(world, status));
    for (int64_t k = 0; k < n; k++)
        reply[k] = values[places->told[k]];
    CF_TRY(cf_par_exchange(world, sizeof *reply, places->n_told, reply, n_got, out));
done:
    cf_free(&n_got);
    cf_free(&reply);
    return status;
}
