/**
 * eval: ranks the whole catalogue for each user. Exact, distributed, in bounded memory: tiles of
 * GEMM with a running top-k.
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"
#include "cf/dense.h"

/** Settings: topk, valid_metric, mask_history, eval_memory. */
extern const cf_setting cf_eval_settings[];

typedef enum cf_split { CF_SPLIT_VALID, CF_SPLIT_TEST } cf_split;
typedef enum cf_metric { CF_RECALL, CF_NDCG, CF_MRR, CF_HIT, CF_PRECISION, CF_N_METRICS } cf_metric;
enum { CF_MAX_TOPK = 16 };
extern const char *const cf_eval_metric_names[CF_N_METRICS]; /* "recall", "ndcg", ... */

/** Means over the users that have a positive in the split, as RecBole defines them. */
typedef struct cf_metrics {
    int64_t n_users;
    int n_topk;
    int64_t topk[CF_MAX_TOPK];
    double mean[CF_N_METRICS][CF_MAX_TOPK];
} cf_metrics;

/** Final tables and the shard they belong to; all borrowed. */
typedef struct cf_eval_tables {
    const cf_dense *users, *items;
    const cf_shard *shard;
} cf_eval_tables;

/**
 * Metrics of a split. Collective over the grid; the same bits on every rank, for any number of
 * ranks, threads and any eval_memory. Scores are dot products by sgemm of fixed tiles at fixed
 * global offsets (users counted in the list of those with a positive); ties rank the lower item
 * first. `mask`: train items (for test, also valid items) rank nowhere. Errors: MEMORY, USAGE
 * (eval_memory too small for one tile), NUMERIC.
 */
cf_status cf_eval_run(const cf_eval_tables *tables, cf_split split, bool mask,
                      const cf_config *config, cf_metrics *out);

/** The value of a metric called as RecBole writes it: "NDCG@10", "recall@20". Errors: USAGE
 * (unknown name; @k that is not in topk), listing what there is. */
cf_status cf_eval_metric(const cf_metrics *metrics, const char *name, double *out);

/**
 * The `k` best items of each given user of this rank's block (local numbers; the grid row's ranks
 * bring parts of their own, each user once). Collective over the grid. Train, valid and test items
 * are masked as `mask_train`, `mask_valid` say. `items`, `scores`: count x k, best first; -1 and 0
 * where a user has fewer than k items left.
 */
typedef struct cf_eval_request {
    const int64_t *users;
    int64_t count, k;
    bool mask_train, mask_valid;
    int64_t memory; /* bytes */
} cf_eval_request;
cf_status cf_eval_topk(const cf_eval_tables *tables, const cf_eval_request *request, int64_t *items,
                       float *scores);
