/**
 * ranking: the pass over all items that metrics and recommendations share. Private to eval.
 */
#pragma once

#include "candidates.h"

/**
 * What is done with the best items of request->users[k]: `items`, `scores` are n_lists x
 * request->k, each list best first, -1 and 0 past the last. Called once for each k, by any thread;
 * the arrays are valid during the call only.
 */
typedef void eval_user_fn(void *context, int64_t k, const int64_t *items, const float *scores);

/**
 * Rank all items for the users of a request and call `consume` with each user's best candidates of
 * each list (request->excluded is not read). Collective over the grid. No bit depends on ranks,
 * threads or memory: the global numbers of user and item determine the position of a score in its
 * tile. Errors: MEMORY, USAGE (request->memory too small), NUMERIC (names user and item).
 */
cf_status eval_rank(const cf_eval_scorer *scorer, const cf_eval_request *request,
                    const eval_candidates *candidates, eval_user_fn *consume, void *context);
