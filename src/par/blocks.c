/* Blocks: 0 .. n-1 cut into contiguous ranges, and the search for the range of an index. The starts
 * are count + 1 ascending numbers; a block may be empty. */
#include "cf/par.h"

int64_t cf_par_even_start(int64_t n, int count, int b)
{
    int64_t larger = n % count; /* the first blocks have one more */

    return n / count * b + cf_min(b, larger);
}

/* Blocks differ in size by at most one; callers that weigh rows move the starts afterwards. */
cf_status cf_par_create_blocks(int64_t n, int count, cf_blocks *out)
{
    int64_t *start = NULL;
    cf_status status = CF_ALLOC(start, (int64_t)count + 1);

    if (status != CF_OK) return status;
    for (int b = 0; b <= count; b++)
        start[b] = cf_par_even_start(n, count, b);
    *out = (cf_blocks){.count = count, .start = start};
    return CF_OK;
}

void cf_par_destroy_blocks(cf_blocks *blocks)
{
    cf_free(&blocks->start);
    blocks->count = 0;
}

int cf_par_block_of(const cf_blocks *blocks, int64_t index)
{
    CF_ASSERT(index >= 0 && index < blocks->start[blocks->count]);
    /* the first start beyond index ends its block; empty blocks before it begin where it does */
    return (int)cf_search_i64(blocks->start, (int64_t)blocks->count + 1, index + 1) - 1;
}
