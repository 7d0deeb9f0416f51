/* Rows that even parts of the leaves need of each other: a user that has items of another part is a
 * row which that part needs, and an item likewise.
 *
 * Each user and item has a bit for each of up to 64 parts in which it has neighbours. From 64 parts
 * to 32, and so on, two bits become one. */
#include "reorder.h"

enum { MAX_LEVELS = 6 }; /* 2^6 parts: the bits of a word */

/* `parts`: of its neighbours, a bit each of 2^n_levels; `own`: its own part. */
static void count_row(uint64_t parts, int own, int n_levels, int64_t *crossing)
{
    for (int level = n_levels; level >= 1; level--, own /= 2) {
        uint64_t wider = 0;

        crossing[level - 1] += __builtin_popcountll(parts & ~(UINT64_C(1) << own));
        for (int k = 0; 2 * k < 1 << level; k++)
            wider |= (uint64_t)((parts >> 2 * k & 3) != 0) << k;
        parts = wider;
    }
}

cf_status ingest_count_crossing(const ingest_bipartite *graph, uint32_t *const leaf[2],
                                cf_leaves *leaves)
{
    const int64_t n_users = graph->n_rows[INGEST_USERS], n_items = graph->n_rows[INGEST_ITEMS];
    const uint32_t *item = graph->item;
    uint64_t *of_items = NULL;
    int n_levels = 0, shift;
    cf_status status;

    while (n_levels < MAX_LEVELS && 2 << n_levels <= leaves->count)
        n_levels++;
    shift = __builtin_ctzll((unsigned long long)leaves->count) - n_levels;
    CF_TRY(CF_ALLOC(leaves->crossing, n_levels));
    leaves->n_crossing = n_levels;
    CF_TRY(CF_ALLOC(of_items, n_items));
    for (int64_t u = 0; u < n_users; u++) {
        const int own = (int)(leaf[INGEST_USERS][u] >> shift);
        uint64_t parts = 0;

        for (const uint32_t *end = item + graph->length[u]; item < end; item++) {
            parts |= UINT64_C(1) << (leaf[INGEST_ITEMS][*item] >> shift);
            of_items[*item] |= UINT64_C(1) << own;
        }
        count_row(parts, own, n_levels, leaves->crossing);
    }
    for (int64_t i = 0; i < n_items; i++)
        count_row(of_items[i], (int)(leaf[INGEST_ITEMS][i] >> shift), n_levels, leaves->crossing);
done:
    cf_free(&of_items);
    return status;
}
