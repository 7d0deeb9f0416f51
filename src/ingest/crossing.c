/* Rows that even parts of the leaves need of each other: a user that has items of another part is a
 * row which that part needs, and an item likewise.
 *
 * Each user and item has a bit for each of up to 64 parts in which it has neighbours. From 64 parts
 * to 32, and so on, two bits become one. A rank marks those of the items that its users have, and
 * the owners of the items join the marks. */
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

/* A bit for each part that has neighbours of a row: of my users, and of the listed items, by the
 * leaves of both. */
static void mark_parts(const ingest_item_index *index, const cf_lists *train, int shift,
                       uint32_t *const leaf[2], uint64_t *const parts[2])
{
    for (int64_t u = 0; u < train->count; u++)
        for (int64_t e = train->start[u]; e < train->start[u + 1]; e++) {
            const uint32_t item = ingest_local_item(index, (uint32_t)train->index[e]);

            parts[INGEST_USERS][u] |= UINT64_C(1) << (leaf[INGEST_ITEMS][item] >> shift);
            parts[INGEST_ITEMS][item] |= UINT64_C(1) << (leaf[INGEST_USERS][u] >> shift);
        }
}

/* The bits of my users, and of the items of my block. Collective. */
static cf_status find_parts(const ingest_item_index *index, const cf_lists *train, int shift,
                            uint32_t *const leaf[2], uint64_t *const parts[2])
{
    uint32_t *item_leaf = NULL;
    uint64_t *of_items = NULL;
    cf_status status;

    CF_TRY(ingest_fetch_item_numbers(index, leaf[INGEST_ITEMS], &item_leaf));
    CF_TRY(cf_par_agree(index->world, CF_ALLOC(of_items, index->count)));
    mark_parts(index, train, shift, (uint32_t *[2]){leaf[INGEST_USERS], item_leaf},
               (uint64_t *[2]){parts[INGEST_USERS], of_items});
    CF_TRY(ingest_join_over_items(index, of_items, parts[INGEST_ITEMS]));
done:
    cf_free(&item_leaf);
    cf_free(&of_items);
    return status;
}

cf_status ingest_count_crossing(const ingest_item_index *index, const cf_lists *train,
                                uint32_t *const leaf[2], int64_t n_items, cf_leaves *leaves)
{
    const int64_t n_rows[2] = {train->count, n_items};
    uint64_t *parts[2] = {NULL, NULL};
    int n_levels = 0, shift;
    cf_status status;

    while (n_levels < MAX_LEVELS && 2 << n_levels <= leaves->count)
        n_levels++;
    shift = __builtin_ctzll((unsigned long long)leaves->count) - n_levels;
    status = CF_ALLOC(leaves->crossing, n_levels);
    for (int side = 0; side < 2 && status == CF_OK; side++)
        status = CF_ALLOC(parts[side], n_rows[side]);
    CF_TRY(cf_par_agree(index->world, status));
    CF_TRY(find_parts(index, train, shift, leaf, parts));
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < n_rows[side]; row++)
            count_row(parts[side][row], (int)(leaf[side][row] >> shift), n_levels,
                      leaves->crossing);
    leaves->n_crossing = n_levels;
    MPI_Allreduce(MPI_IN_PLACE, leaves->crossing, n_levels, MPI_INT64_T, MPI_SUM,
                  index->world->comm);
done:
    cf_free(&parts[0]);
    cf_free(&parts[1]);
    return status;
}
