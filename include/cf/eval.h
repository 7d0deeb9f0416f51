/**
 * eval: ranks the whole catalogue for each user. Exact, distributed, in bounded memory: tiles of
 * scores with a running top-k.
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"
#include "cf/table.h"

/** Settings: topk, valid_metric, mask_history, eval_memory (MiB a rank). */
extern const cf_setting cf_eval_settings[];

/** The one shape of all tiles of scores: larger ones gain little speed, and a tile with its items
 * would leave the L2 cache. */
enum { CF_EVAL_USERS = 128, CF_EVAL_ITEMS = 512 };

/** Is topk such that a run can be evaluated, and, if it `validates`, valid_metric? Local. Errors:
 * USAGE. */
cf_status cf_eval_check(const cf_config *config, bool validates);

/* ---- Metrics ---- */

typedef enum cf_split { CF_SPLIT_VALID, CF_SPLIT_TEST } cf_split;
typedef enum cf_metric { CF_RECALL, CF_NDCG, CF_MRR, CF_HIT, CF_PRECISION, CF_N_METRICS } cf_metric;
enum { CF_MAX_TOPK = 16 };
extern const char *const cf_eval_metric_names[CF_N_METRICS]; /* "recall", "ndcg", ... */

/** Means over the users that have a positive in the split, as RecBole defines them; 0 where nobody
 * has one. */
typedef struct cf_metrics {
    int64_t n_users; /* that have a positive */
    int n_topk;
    int64_t topk[CF_MAX_TOPK];
    double mean[CF_N_METRICS][CF_MAX_TOPK];
} cf_metrics;

/* ---- Scores ---- */

/** A tile of scores to be computed. The user in row r has a global number that is r modulo
 * CF_EVAL_USERS, the item in column c one that is c modulo CF_EVAL_ITEMS. */
typedef struct cf_eval_tile {
    const int64_t *users;   /* CF_EVAL_USERS: local numbers; rows of nobody repeat some user's */
    const float *user_rows; /* CF_EVAL_USERS x user_width, as prepare() left them */
    const float *item_rows; /* CF_EVAL_ITEMS x items->full_width; zeros past the last item */
} cf_eval_tile;

/** How scores are computed from whole rows of a table of items. All pointers are borrowed. */
typedef struct cf_eval_scorer {
    const cf_table *items;
    const cf_shard *shard; /* of the users; also has the history that is masked */
    int64_t user_width;    /* floats that prepare() writes for a user */
    const void *context;   /* of the two functions */
    /** Before a pass over the items: write `rows` (count x user_width) for users of the block, by
     * local number. Collective over the grid row, whose ranks each bring their own users. Errors:
     * MEMORY. NULL: nothing to prepare. */
    cf_status (*prepare)(const struct cf_eval_scorer *scorer, const int64_t *users, int64_t count,
                         float *rows);
    /** `scores`: CF_EVAL_USERS x CF_EVAL_ITEMS. Called by any thread. Local. */
    void (*scores)(const struct cf_eval_scorer *scorer, const cf_eval_tile *tile, float *scores);
} cf_eval_scorer;

/** A score is the product of a user's row and an item's: an element of one sgemm of CF_EVAL_USERS x
 * CF_EVAL_ITEMS x full_width. */
cf_eval_scorer cf_eval_products(const cf_table *users, const cf_table *items,
                                const cf_shard *shard);
/** `matrix` is items x items; a score is the sum, in double, of what the user's train items have in
 * the item's row, in ascending order of the train items. */
cf_eval_scorer cf_eval_item_sums(const cf_table *matrix, const cf_shard *shard);

/**
 * Metrics of a split. Collective over the grid; the same bits on every rank, for any number of
 * ranks, threads and any eval_memory. Ties rank the lower item first. `mask`: train items (for
 * test, also valid items) rank nowhere. The users of a block are shared among the ranks of its grid
 * row; all items pass by each rank, once for as many users as eval_memory holds. Errors: MEMORY,
 * USAGE (eval_memory too small for one tile; more than CF_MAX_TOPK numbers in topk), NUMERIC (a
 * score is NaN or +infinity; names user and item).
 */
cf_status cf_eval_run(const cf_eval_scorer *scorer, cf_split split, bool mask,
                      const cf_config *config, cf_metrics *out);

/** The value of a metric called as RecBole writes it: "NDCG@10", "recall@20". Errors: USAGE
 * (unknown name; @k that is not in topk), listing what there is. */
cf_status cf_eval_metric(const cf_metrics *metrics, const char *name, double *out);

/**
 * A request for the `k` best items of each given user of this rank's block (local numbers, in any
 * order; the ranks of a grid row bring parts of their own, each user once). Runs of consecutive
 * users cost least: users whose global numbers are equal modulo CF_EVAL_USERS never share a tile.
 */
typedef struct cf_eval_request {
    const int64_t *users;
    int64_t count, k;            /* count may differ by rank, all else not; k >= 1 */
    bool mask_train, mask_valid; /* rank no item that the user has there */
    int64_t memory;              /* bytes for this rank's work */
} cf_eval_request;

/**
 * Answer a request. Collective over the grid. `items`, `scores`: count x k, best first; -1 and 0
 * where a user has fewer than k items left; not to be looked at after an error. The same bits for
 * any ranks, threads and memory. Errors: MEMORY, USAGE (memory too small for one tile: says how
 * much is needed), NUMERIC, as cf_eval_run().
 */
cf_status cf_eval_topk(const cf_eval_scorer *scorer, const cf_eval_request *request, int64_t *items,
                       float *scores);
