/**
 * groups: which groups of users and items there are, who belongs to which, and how the recommended
 * items are spread over the catalogue. Private to eval.
 */
#pragma once

#include "metrics.h"

/** What is known of all items, on each rank. Zeroed: there is none. */
typedef struct eval_groups {
    int64_t n_items, n_topk;
    int64_t *item_counts; /* n_items: train interactions */
    uint8_t *item_groups; /* n_items: bit g: the item belongs to item group g */
    int64_t *frequency;   /* n_topk x n_items: in how many lists of length topk[t] the item is */
} eval_groups;

/** Collective over the grid. Errors: MEMORY; destroy then too. */
cf_status eval_create_groups(const cf_grid *grid, const cf_shard *shard, int n_topk,
                             eval_groups *out);
/** Local. */
void eval_destroy_groups(eval_groups *groups);
/** The group of a user with so many train items; index in cf_eval_groups. Local. */
int eval_user_group(int64_t n_train);
/** The positives of a list that are in item group `g` (0 to CF_EVAL_ITEM_GROUPS - 1), into `chosen`
 * (list->count). Returns their number. Local. */
int64_t eval_choose_positives(const eval_groups *groups, const eval_list *list, int g,
                              int64_t *chosen);
/** Count the items of a list. Local; any thread. */
void eval_count_items(const eval_groups *groups, const int64_t *items, const cf_metrics *lengths);
/** The metrics of all counted lists of all ranks. Collective. Errors: MEMORY. */
cf_status eval_measure_catalogue(const eval_groups *groups, const cf_par *world,
                                 double out[CF_N_CATALOGUE][CF_MAX_TOPK]);
