/**
 * metrics: what one ranked list is worth. Private to eval. Local, as all here.
 */
#pragma once

#include "cf/eval.h"

/** A user's ranked list and its positives. All pointers are borrowed. */
typedef struct eval_list {
    const int64_t *items;     /* best first, distinct; -1 ends a short list */
    const int64_t *positives; /* count, ascending, at least 1 */
    int64_t count;
    const double *discount; /* of the longest list: 1 / log2(rank + 1), rank from 1 */
    const double *ideal;    /* one more: sums of the first discounts */
} eval_list;

/** Fill `discount` (longest) and `ideal` (longest + 1, zeroed). */
void eval_fill_gains(int64_t longest, double *discount, double *ideal);
/** The metrics of the first `topk` items of a list. False, and `out` untouched, if none of them is
 * a positive: then all are 0. */
bool eval_measure_list(const eval_list *list, int64_t topk, double out[CF_N_METRICS]);
/** Metrics of no user yet at the lengths of the options. */
cf_metrics eval_empty_metrics(const cf_eval_options *options);
