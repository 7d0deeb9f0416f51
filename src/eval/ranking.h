/**
 * ranking: the pass over all items that metrics and recommendations share. Private to eval.
 */
#pragma once

#include "cf/eval.h"

/**
 * What is done with the best items of request->users[k]: `items`, `scores` have request->k entries,
 * best first, -1 and 0 past the last. Called once for each k, by any thread; the arrays live as
 * long as the call.
 */
typedef void cf_eval_visit(void *context, int64_t k, const int64_t *items, const float *scores);

/**
 * Rank all items for the users of a request and show each user's best to `visit`. Collective over
 * the grid. No bit depends on ranks, threads or memory: a score comes from one sgemm of USERS x
 * ITEMS x full_width, at a place in it that the user's and the item's global numbers give, or is a
 * sum over the user's items in their order. Errors:
 * MEMORY, USAGE (request->memory too small), NUMERIC (names user and item).
 */
cf_status cf_eval_rank(const cf_eval_tables *tables, const cf_eval_request *request,
                       cf_eval_visit *visit, void *context);
