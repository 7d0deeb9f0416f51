/**
 * candidates: which items the lists of a ranking are chosen from. Private to eval. Local, as all
 * here.
 */
#pragma once

#include "cf/eval.h"

/** The candidates of each list that a user gets. */
typedef struct eval_candidates {
    int n_lists;     /* 1 to CF_N_CANDIDATES */
    uint8_t *barred; /* n_items, in whole tiles: bit l is set where list l does not take the item;
                        NULL: each list takes all items */
} eval_candidates;

/** Does a part's list of these candidates take an item with this mark (0: a warm one)? */
static inline bool eval_is_candidate(cf_candidates which, cf_split split, uint8_t mark)
{
    const uint8_t part = split == CF_SPLIT_TEST ? CF_COLD_TEST : CF_COLD_VALID;

    return mark == 0 ? which != CF_COLD : which != CF_WARM && (mark & part) != 0;
}

/** One list, of all items but the scorer's hidden ones and the `excluded` (NULL: none). Errors:
 * MEMORY. */
cf_status eval_bar_excluded(const cf_eval_scorer *scorer, const uint8_t *excluded,
                            eval_candidates *out);
/** The lists of `tables`, bits of cf_candidates, in their order; no hidden item is in one. Errors:
 * MEMORY. */
cf_status eval_bar_marked(const cf_eval_scorer *scorer, cf_split split, unsigned tables,
                          eval_candidates *out);
/** Takes all zero bytes too. */
void eval_destroy_candidates(eval_candidates *candidates);
