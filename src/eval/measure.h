/**
 * measure: the metrics of the ranked lists of all users with a positive, whoever ranked them.
 * Private to eval.
 */
#pragma once

#include "candidates.h"
#include "groups.h"

/** Sums over users, of one group or of all. */
typedef struct eval_sums {
    int64_t n_users, n_cold, n_positives;
    cf_exact metric[CF_N_METRICS][CF_MAX_TOPK];
} eval_sums;

/** Positives of warm and of cold items, those in the lists of CF_ALL at each length, and users who
 * are left out of CF_COLD. Whole numbers, added up as such. */
typedef struct eval_targets {
    int64_t count[2], hits[2][CF_MAX_TOPK], n_left_out;
} eval_targets;

/** A measurement in progress. */
typedef struct eval_measure {
    const cf_grid *grid;   /* borrowed, as all const pointers */
    const cf_shard *shard; /* has the train items of the block's users */
    cf_split split;
    const cf_lists *positives; /* of the block's users */
    cf_metrics lengths;        /* its topk */
    int64_t longest;           /* the largest of them */
    unsigned tables;           /* bits of cf_candidates: what is measured, a list of a user each */
    int64_t n_users;           /* this rank's part of the block's users with a positive */
    int64_t *users;            /* n_users: local numbers, ascending */
    double *discount, *ideal;  /* as of eval_list */
    double *values;            /* n_users x CF_N_METRICS x n_topk; NULL: not kept */
    int64_t most_positives;    /* of a user of the block */
    int64_t *chosen;           /* n_threads x most_positives: some of a user's positives */
    bool has_groups;           /* they are asked for */
    eval_groups groups;        /* empty without */
    int n_threads, n_sums;     /* n_sums: CF_N_CANDIDATES, and CF_EVAL_GROUPS with groups */
    eval_sums *sums;           /* n_threads x n_sums: each table, then each of cf_eval_groups */
    eval_targets *targets;     /* n_threads */
} eval_measure;

/** What is measured. All pointers are borrowed. */
typedef struct eval_measure_plan {
    const cf_grid *grid;
    const cf_shard *shard;
    cf_split split;
    unsigned tables; /* bits of cf_candidates, CF_ALL among them if there is a `detail`; where
                        nothing is marked CF_ALL alone is measured */
    const cf_eval_options *options;
    const cf_eval_detail *detail; /* what it asks for; NULL: means alone */
} eval_measure_plan;

/** Choose this rank's users: those of the block with a positive are divided evenly among the ranks
 * of the grid row, in order of number. Collective. Errors: MEMORY; destroy then too. */
cf_status eval_measure_begin(const eval_measure_plan *plan, eval_measure *out);
/** An eval_user_fn: `context` is the eval_measure, `k` an index in its users. The lists are of its
 * tables, in their order, each of `longest` items. */
void eval_measure_user(void *context, int64_t k, const int64_t *items, const float *scores);
/** The means, and `detail` unless it is NULL. Collective. Errors: MEMORY. */
cf_status eval_measure_end(eval_measure *m, cf_eval_detail *detail, cf_cold_metrics *out);
/** Local. */
void eval_measure_destroy(eval_measure *m);
