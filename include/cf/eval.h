/**
 * eval: ranks all items for each user and measures the rankings. Exact, distributed and in bounded
 * memory: scores are computed in tiles, and each user keeps the best k items seen so far.
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"
#include "cf/filter.h"
#include "cf/table.h"

/** The one shape of all tiles of scores: larger ones gain little speed, and a tile with its items
 * would leave the L2 cache. */
enum { CF_EVAL_USERS = 128, CF_EVAL_ITEMS = 512 };

/* ---- Settings ---- */

/** Settings: topk, valid_metric, valid_candidates, mask_history, eval_memory (MiB a rank). */
extern const cf_setting cf_eval_settings[];

/** What is ranked where the dataset marks cold items: those without a mark, those that are marked
 * as candidates of the part, or both. */
typedef enum cf_candidates { CF_WARM, CF_COLD, CF_ALL, CF_N_CANDIDATES } cf_candidates;
extern const char *const cf_eval_candidate_names[CF_N_CANDIDATES]; /* "warm", "cold", "all" */

enum { CF_MAX_TOPK = 16 };
/** The settings as values. */
typedef struct cf_eval_options {
    int n_topk;                     /* 1 to CF_MAX_TOPK */
    int64_t topk[CF_MAX_TOPK];      /* n_topk lengths of ranked lists, each at least 1 */
    const char *valid_metric;       /* such as "MRR@10"; borrowed from the config */
    cf_candidates valid_candidates; /* that a run measures it on: CF_WARM or CF_ALL */
    bool mask_history;              /* do not rank the items of the user's history */
    int64_t memory;                 /* bytes that this rank may use to rank */
} cf_eval_options;
/** From a config that has cf_eval_settings. Local. Errors: USAGE (topk has no number or more than
 * CF_MAX_TOPK). */
cf_status cf_eval_read_options(const cf_config *config, cf_eval_options *out);
/** Check that valid_metric names a metric at a length in topk. Only a run with a valid part needs
 * this. Local. Errors: USAGE. */
cf_status cf_eval_check_metric(const cf_eval_options *options);

/* ---- Scores ---- */

/** A tile of scores to be computed. The user of row r has a global number that is r modulo
 * CF_EVAL_USERS, the item of column c one that is c modulo CF_EVAL_ITEMS. An unused row repeats
 * some user; its scores are ignored. */
typedef struct cf_eval_tile {
    const int64_t *users;   /* CF_EVAL_USERS: local numbers */
    const float *user_rows; /* CF_EVAL_USERS x user_width, as prepare() left them */
    const float *item_rows; /* CF_EVAL_ITEMS x items->full_width; zeros past the last item */
    float *scratch;         /* scratch_width of the scorer, of this thread: zeros, and left so */
    int64_t first_item;     /* of column 0 */
} cf_eval_tile;

/** How scores are computed from whole rows of a table of items. All pointers are borrowed. */
typedef struct cf_eval_scorer {
    const cf_table *items; /* its rows are gathered for the tiles */
    const cf_shard *shard; /* of the users; also has the history that is masked */
    /** n_items flags, the same on all ranks: items that nobody gets, whatever is ranked; a positive
     * among them is a miss. NULL: none. */
    const uint8_t *hidden;
    /** A user of whom no model knows anything (cf_dataset_knows_user()) gets the most popular
     * items: its score of an item is the number of train interactions of the item (as a float),
     * which are those of shard->train_by_item. False: such a user is scored like the others. */
    bool popular;
    int64_t user_width;    /* floats that prepare() writes for a user; 0 without prepare() */
    int64_t scratch_width; /* floats that scores() needs for a thread */
    const void *context;   /* for the two functions */
    cf_filter *filter;     /* likewise; NULL: none */
    /** Before a pass over the items: write `rows` (count x user_width) for users of the block, by
     * local number. Collective over the grid, each rank with its own users. Errors: MEMORY. NULL:
     * nothing to prepare. */
    cf_status (*prepare)(const struct cf_eval_scorer *scorer, const int64_t *users, int64_t count,
                         float *rows);
    /** Fill `scores`: CF_EVAL_USERS x CF_EVAL_ITEMS. Called by any thread. Local. */
    void (*scores)(const struct cf_eval_scorer *scorer, const cf_eval_tile *tile, float *scores);
} cf_eval_scorer;

/* All but the last make a scorer with `popular`. */
/** A score is the product of a user's row and an item's: an element of one sgemm of CF_EVAL_USERS x
 * CF_EVAL_ITEMS x full_width. */
cf_eval_scorer cf_eval_products(const cf_table *users, const cf_table *items,
                                const cf_shard *shard);
/** `matrix` is items x items of the base. The score of an item is the sum, in double, of the
 * elements of its row at the user's train items, in ascending order, and the same sum at the added
 * ones; it has no columns of appended items. */
cf_eval_scorer cf_eval_item_sums(const cf_table *matrix, const cf_shard *shard);
/** The same of a matrix of sparse rows, of which `entries` is a table: the same bits as of the
 * matrix that has zeros for what is left out. A thread takes the room of a row of the matrix. */
cf_eval_scorer cf_eval_entry_sums(const cf_table *entries, const cf_shard *shard);
/** Products, and added to them what the filter gives the users' histories, their train and added
 * items. Each user takes the room of a score of each item. */
cf_eval_scorer cf_eval_filtered(const cf_table *users, const cf_table *items, const cf_shard *shard,
                                cf_filter *filter);
/** What final tables mean: without a table of users (NULL) an item-item matrix, else products, with
 * a filter (NULL: none) filtered. */
cf_eval_scorer cf_eval_tables(const cf_table *users, const cf_table *items, const cf_shard *shard,
                              cf_filter *filter);
/** The score is the cosine of two items' rows, 0 where one is all zeros. The users of `shard` are
 * the items: cf_dataset_create_item_shard(). */
cf_eval_scorer cf_eval_cosines(const cf_table *items, const cf_shard *shard);

/* ---- Metrics ---- */

/** The part of the data whose interactions are the positives. */
typedef enum cf_split { CF_SPLIT_VALID, CF_SPLIT_TEST } cf_split;
typedef enum cf_metric {
    CF_RECALL,
    CF_NDCG,
    CF_MRR,
    CF_HIT,
    CF_PRECISION,
    CF_MAP,
    CF_N_METRICS
} cf_metric;
extern const char *const cf_eval_metric_names[CF_N_METRICS]; /* "recall", "ndcg", ... */

/** Means over the users with a positive in the split, as RecBole defines them; 0 if no user has
 * one. */
typedef struct cf_metrics {
    int64_t n_users;           /* users with a positive */
    int64_t n_cold;            /* of these, users of whom no model knows: cf_eval_warn_cold() */
    int64_t n_positives;       /* positives of all n_users */
    int n_topk;                /* lengths of lists */
    int64_t topk[CF_MAX_TOPK]; /* n_topk, as in the options */
    double mean[CF_N_METRICS][CF_MAX_TOPK]; /* n_topk used of each row; 0 to 1 */
} cf_metrics;

/**
 * Metrics of a split. Collective over the grid; the same bits on every rank, for any number of
 * ranks, threads and any memory. Ties rank the lower item first. options->mask_history:
 * train and added items, for test also valid items, are not ranked. Where shard->cold marks items,
 * those of CF_ALL are ranked. Each rank of a grid row ranks a part of the users of its block. All
 * items pass by each rank, once for as many users as options->memory holds. Errors: MEMORY, USAGE
 * (memory too small for one tile), NUMERIC (a score is NaN or +infinity; names user and item). Not
 * shown where it is of no consequence: the scores of a user that gets the most popular items.
 */
cf_status cf_eval_run(const cf_eval_scorer *scorer, cf_split split, const cf_eval_options *options,
                      cf_metrics *out);

/** The same of CF_WARM, and the positives among them. Where nothing is marked: of all. Collective.
 */
cf_status cf_eval_run_warm(const cf_eval_scorer *scorer, cf_split split,
                           const cf_eval_options *options, cf_metrics *out);

/** Warn, if `n_cold` is not 0, that so many of `n_users` users are known by nothing and get the
 * most popular items. Once a command: it is for the caller to say, who knows when. Local. */
void cf_eval_warn_cold(int64_t n_cold, int64_t n_users);

/** The value of a metric named as RecBole writes it: "NDCG@10", "recall@20". Local. Errors: USAGE
 * (unknown name, or @k with a k that is not in topk; lists the valid ones). */
cf_status cf_eval_metric(const cf_metrics *metrics, const char *name, double *out);

/* ---- More than means ---- */

/** Groups. Users, by their number of train items; positives, by the number of train interactions of
 * their item, and by its place in the order of popularity: the head is the first fifth of the items
 * (rounded down; of equal numbers the lower item), the tail all others. A user is in one group, a
 * positive in two. */
enum { CF_EVAL_USER_GROUPS = 6, CF_EVAL_ITEM_GROUPS = 7 };
enum { CF_EVAL_GROUPS = CF_EVAL_USER_GROUPS + CF_EVAL_ITEM_GROUPS };
typedef struct cf_eval_group {
    const char *kind, *name; /* "users", "items" or "popularity"; "4-7", "head" */
    int64_t least, most;     /* interactions; of head and tail no limits */
} cf_eval_group;
extern const cf_eval_group cf_eval_groups[CF_EVAL_GROUPS]; /* those of users first */

/** How the recommended items are spread over the catalogue; src/eval/groups.c has the formulas. */
typedef enum cf_catalogue_metric {
    CF_ITEM_COVERAGE,
    CF_GINI_INDEX,
    CF_AVERAGE_POPULARITY,
    CF_N_CATALOGUE
} cf_catalogue_metric;
extern const char *const cf_eval_catalogue_names[CF_N_CATALOGUE]; /* RecBole's */

/** What may be measured beside the means. Zeroed but for what is asked for; freed with
 * cf_eval_destroy_detail(). */
typedef struct cf_eval_detail {
    bool groups;   /* fill `group` and `catalogue` */
    bool per_user; /* fill n_users, users and values */
    /** By index in cf_eval_groups. Of users: means over the group's users. Of positives: means over
     * the users with a positive in the group, as if they had no other positives. The same on every
     * rank. */
    cf_metrics group[CF_EVAL_GROUPS];
    double catalogue[CF_N_CATALOGUE][CF_MAX_TOPK]; /* n_topk used of each row; 0 without lists */
    int64_t n_users; /* of this rank: users with a positive. No other rank has them */
    int64_t *users;  /* n_users: global numbers, ascending; above those of all lower ranks */
    double *values;  /* n_users x CF_N_METRICS x n_topk */
    /** Of cf_eval_run_lists() alone, over the users with a positive of all ranks. */
    int64_t n_masked;     /* items of the history that were taken out of lists */
    int64_t n_barred;     /* cold items that were, since they are no candidates of the part */
    int64_t n_missing;    /* users with a positive and without a list */
    int64_t longest_list; /* items, at most the largest of topk */
} cf_eval_detail;

/** cf_eval_run(), and what `detail` asks for (NULL: nothing). Its memory: n_items x (17 + 8 n_topk)
 * bytes for groups, 8 CF_N_METRICS n_topk for each user of this rank. Collective. Errors: those of
 * cf_eval_run(). */
cf_status cf_eval_run_detailed(const cf_eval_scorer *scorer, cf_split split,
                               const cf_eval_options *options, cf_eval_detail *detail,
                               cf_metrics *out);

/** How new items fare beside the others. Of CF_WARM and CF_COLD the positives are those
 * among the candidates, of CF_ALL all. Users of whom no model knows anything are left out of
 * CF_COLD: there is nothing to tell new items apart by. */
typedef struct cf_cold_metrics {
    /* Which tables were measured; where nothing is marked CF_ALL alone. */
    bool has[CF_N_CANDIDATES];
    cf_metrics table[CF_N_CANDIDATES];
    /* The rest if items are marked and has[CF_ALL]; arrays of 2 by CF_WARM and CF_COLD. */
    bool is_marked;
    int64_t n_targets[2];       /* positives of all users */
    double hit[2][CF_MAX_TOPK]; /* share of them in the lists of CF_ALL of each length */
    int64_t n_left_out;         /* users with a positive of CF_COLD that no model knows */
} cf_cold_metrics;

/** All tables by one pass over the items; `detail` is of CF_ALL (NULL: nothing more). Where nothing
 * is marked that table alone, as by cf_eval_run_detailed(). Collective. Errors: those of
 * cf_eval_run(). */
cf_status cf_eval_run_cold(const cf_eval_scorer *scorer, cf_split split,
                           const cf_eval_options *options, cf_eval_detail *detail,
                           cf_cold_metrics *out);
/** Is there a positive of the valid part among the options' valid_candidates? Collective over the
 * grid. Errors: USAGE (there is none, so that valid_metric would always be 0). */
cf_status cf_eval_check_candidates(const cf_grid *grid, const cf_shard *shard,
                                   const cf_eval_options *options);

/** Ranked lists that were made elsewhere. All pointers are borrowed. */
typedef struct cf_eval_lists {
    const cf_grid *grid;
    const cf_shard *shard;
    const cf_lists *items; /* by user of the block: items, best first, distinct but for
                              CF_EVAL_UNKNOWN_ITEM; the same on all ranks of a grid row */
} cf_eval_lists;
/** Stands in a list for an item that the dataset does not have: a miss. */
#define CF_EVAL_UNKNOWN_ITEM INT64_MAX
/** The table of CF_ALL of given lists; `detail` is not NULL. Items that a ranking would not have
 * are taken out of the lists first: those of the history with options->mask_history, and cold items
 * that are no candidates of the part. Collective. Errors: MEMORY. */
cf_status cf_eval_run_lists(const cf_eval_lists *from, cf_split split,
                            const cf_eval_options *options, cf_eval_detail *detail,
                            cf_cold_metrics *out);
/** Takes all zero bytes too. Local. */
void cf_eval_destroy_detail(cf_eval_detail *detail);

/* ---- Recommendations ---- */

/**
 * A request for the `k` best items of users of this rank's block. Ranks of a grid row request
 * different users, each user once, in any order. Runs of consecutive users cost least: users whose
 * global numbers are equal modulo CF_EVAL_USERS never share a tile.
 */
typedef struct cf_eval_request {
    const int64_t *users; /* count local numbers in the block */
    int64_t count;        /* may differ by rank; the other members but users and memory may not */
    int64_t k;            /* at least 1 */
    bool mask_train;      /* do not rank the user's train and added items */
    bool mask_valid;      /* do not rank the user's valid items */
    int64_t memory;       /* bytes that this rank may use */
    const uint8_t *excluded; /* n_items: not 0 where no user is to get the item; NULL: none */
} cf_eval_request;

/**
 * Rank the items for the users of a request. Collective over the grid. `items`, `scores`: count x
 * k, best first; -1 and 0 where a user has fewer than k items left; undefined after an error. The
 * same bits for any ranks, threads and memory. Errors: MEMORY, USAGE (memory too small for one
 * tile: says how much is needed), NUMERIC, as cf_eval_run().
 */
cf_status cf_eval_topk(const cf_eval_scorer *scorer, const cf_eval_request *request, int64_t *items,
                       float *scores);
