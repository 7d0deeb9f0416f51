/** Private to train. */
#pragma once

#include "cf/cold.h"
#include "cf/train.h"
#include "report.h"

#include <jansson.h>
#include <stdio.h>

/* ---- Batches ---- */

/** What the settings say about batches. */
typedef struct sampler_options {
    int64_t batch_size; /* train_batch_size, over all ranks */
    uint64_t seed;
    bool exclude_all;    /* negatives avoid all of the user's train items, not the positive alone */
    bool by_popularity;  /* negatives are drawn by their train interactions, not uniformly */
    int64_t n_negatives; /* of a positive, each a sample of its own */
} sampler_options;
/** Local. */
void sampler_read_options(const cf_config *config, sampler_options *out);

/** The largest batch: whole positives with all their negatives, at most all of an epoch. Local. */
int64_t sampler_batch_size(const sampler_options *options, int64_t n_train);

/** Draws negatives by popularity. */
typedef struct popular {
    cf_plan plan;   /* within the grid column */
    int64_t *start; /* ranks + 1: the first train interaction of each; once `knows_starts` */
    bool knows_starts;
    int *next;        /* ranks: places in `asked`, as they are filled */
    int32_t *waiting; /* n_waiting samples that have no negative yet */
    int64_t n_waiting;
    int32_t *place;       /* of each draw of theirs, in `asked` */
    int64_t *asked, *got; /* interactions, then their items: mine, and those of other ranks */
} popular;

/** Draws the batches of an epoch; everything is a function of (seed, epoch, position). */
typedef struct sampler {
    sampler_options options; /* the batch size is that of sampler_batch_size() */
    bool negatives;          /* the model reads them */
    const cf_shard *shard;   /* borrowed */
    int64_t first;           /* of the batch: its first positive's place in the epoch */
    int64_t n_positives;     /* of the batch, on all ranks */
    popular popular;
    int64_t n_train, n_items;
    int64_t epoch;
    cf_permutation order;
    int64_t *interaction; /* batch_size: the train interaction at each position; then, of my
                             samples, its number within my users' */
    cf_batch batch;
} sampler;

/** What is sampled from: a dataset, this rank's part of it, and the ranks of its grid column. */
typedef struct sampler_place {
    const cf_dataset *dataset;
    const cf_shard *shard;
    const cf_par *column;
} sampler_place;

/** The first of my users who has every item that may be a negative, so that no negative is left for
 * them; INT64_MAX if there is none. Local. */
int64_t sampler_find_full_user(const sampler_options *options, const cf_dataset *dataset,
                               const cf_shard *shard);
/** Local. Errors: MEMORY; FORMAT (one item alone: no negative is left); USAGE (neg_sample_num above
 * train_batch_size, or of a model without negatives). What the place names is borrowed. */
cf_status sampler_create(const sampler_options *options, bool negatives, const sampler_place *place,
                         sampler *out);
void sampler_destroy(sampler *s);
/** Bytes that a sampler holds, on a grid of so many rows. */
double sampler_bytes(const sampler_options *options, int64_t n_train, int n_rows);
int64_t sampler_n_batches(const sampler *s);
/** Samples of all batches before batch `index` of an epoch, or of all batches. */
int64_t sampler_n_samples(const sampler *s, int64_t index);
void sampler_start_epoch(sampler *s, int64_t epoch);
/** Batch `index` of the epoch. Valid until the next call. Collective within the grid column if
 * negatives are drawn by popularity, else Local. */
const cf_batch *sampler_draw(sampler *s, int64_t index);

/* For popular.c: of sample n of the batch, its number in the epoch; whether the item is no negative
 * of it; and a uniform negative, from draw number `trial` on. */
int64_t sampler_number(const sampler *s, int64_t n);
bool sampler_excludes(const sampler *s, int64_t n, int64_t item);
int64_t sampler_draw_uniform(const sampler *s, int64_t n, uint64_t trial);

/** Local. `out` is zero. Errors: MEMORY. */
cf_status popular_create(const cf_par *column, int64_t max_samples, popular *out);
/** Takes all zero bytes too. */
void popular_destroy(popular *p);
double popular_bytes(double max_samples, double ranks);
/** Draw the negatives of the batch of `s`. Collective within the grid column. */
void popular_draw(popular *p, sampler *s);

/* ---- Settings ---- */

/** What the settings of a run say, read once. */
typedef struct run_options {
    int64_t epochs;             /* at most; 0: the starting tables are evaluated */
    int64_t eval_step;          /* epochs between evaluations of the valid part; 0: none */
    int64_t stopping_step;      /* stop after more evaluations in a row without a better
                                   valid_metric */
    int64_t collapse_every;     /* evaluations between two measurements of collapse; 0: none */
    double checkpoint_interval; /* seconds; 0: after every epoch */
    const char *grid;           /* "auto" or "ROWSxCOLUMNS"; borrowed from the config */
    bool is_closed;             /* the model is a closed form: then `closed`, else the others */
    cf_closed_options closed;
    cf_model_options model;
    cf_optim_options optim;
    cf_select_options select;
    cf_cold_options cold;
    sampler_options sampler;
} run_options;
/** From a config of cf_train_tables. Local. Errors: USAGE (lists of cold items' settings). */
cf_status run_read_options(const cf_config *config, run_options *out);
/** Warn of settings that were given and that the model does not use: all but `uses` (names,
 * separated by commas) and those of every run. Local. Errors: MEMORY. */
cf_status run_warn_unused(const cf_config *config, const char *model, const char *uses);

/** How scores are computed from final tables, or from an item-item matrix (final[CF_USERS] NULL).
 * `hidden`: as of the scorer. All is borrowed. Local. */
cf_eval_scorer train_scorer(const cf_table *const final[2], cf_filter *filter,
                            const uint8_t *hidden, const cf_shard *shard);

/* ---- Build ---- */

/** The text of rank 0's cf_train_build_json(), on every rank. Collective. `*out` is new, freed with
 * cf_free(). Errors: MEMORY. */
cf_status build_text(const cf_par *world, char **out);
/** Warn if the build that wrote a checkpoint, where the file tells it, is not that of `text`.
 * Collective. Errors: MEMORY. */
cf_status build_warn(const cf_par *world, const cf_ckpt_file *file, const char *text);

/* ---- Between steps ---- */

/** True once a signal has asked this process to stop. */
bool signals_raised(void);

/** Supervises a run between its steps: signals, the time limit, checkpoints. Times are seconds of
 * rank 0's clock. */
typedef struct supervisor {
    const cf_par *world; /* borrowed */
    double interval;     /* checkpoint_interval */
    double limit;        /* from `started` on; 0: none */
    double started;
    double saved;   /* when the last checkpoint, or the set-up, was done */
    double cost;    /* of the last checkpoint; 0: there was none */
    double ended;   /* when the last decision was made, moved on by checkpoints since */
    double longest; /* between two decisions: a step, perhaps with an evaluation */
    bool has_step;  /* a step was begun */
} supervisor;

/** Why a run stops before its end; of two ranks' reasons the larger counts. */
typedef enum stop_reason { STOP_NOT, STOP_LIMIT, STOP_SIGNAL } stop_reason;

/** What the ranks agree on between two steps: a stop_reason, and whether a checkpoint is due. Two
 * ints, which an Allreduce takes. */
typedef struct decision {
    int stop, save;
} decision;

/** The time limit begins now. Local. */
void supervisor_start(supervisor *s, const cf_par *world, double interval, double limit);
/**
 * Called before each step, and after the last of an epoch. Collective. A run stops after a step at
 * the earliest, so that one that is stopped again and again reaches its end all the same.
 */
decision supervisor_decide(supervisor *s);
/** A checkpoint that was begun at `began` is written. Local. */
void supervisor_saved(supervisor *s, double began);

/* ---- Collapse ---- */

/** What the singular values of a run's tables say: the raw ones, and the final ones if they are
 * others; each time users, then items. */
typedef struct collapse_table {
    const char *name; /* as llminit spectrum calls it */
    int64_t dim;
    cf_spectrum spectrum;
} collapse_table;
typedef struct collapse {
    int count;
    collapse_table table[4];
    double seconds; /* that it took */
} collapse;

/** Is it to be measured after the epoch: at every collapse_every-th evaluation? Local. */
bool collapse_is_due(const run_options *options, int64_t epoch);
/** Collective. Changes no table; ends the validity of the model's final ones. `one_rank_dim`, and
 * errors: those of cf_linalg_singular(). */
cf_status collapse_measure(cf_model *model, int64_t one_rank_dim, collapse *out);
/** A few words for the progress line, from ", " on: the effective ranks that scores are made of. */
void collapse_describe(const collapse *c, char *text, size_t size);

/* ---- Log ---- */

#define RUN_LOG_NAME "log.jsonl" /* in the run's folder */

/** The run's log: one JSON object a line, written by rank 0 and flushed at once. */
typedef struct run_log {
    bool is_open; /* on rank 0 alone */
    int fd;
    char *waiting; /* lines, or the end of one, that are not in the file yet */
    int64_t n_waiting, capacity;
    bool warned;
} run_log;
/** Collective. Errors: IO, MEMORY. A run that is resumed continues its file from the end of
 * `epochs` epochs; -1: a new run. */
cf_status run_log_open(const cf_par *world, const char *folder, int64_t epochs, run_log *out);
/** Leave out of the log at `path`, if there is one, what a run that has done `epochs` epochs will
 * log again. Local. Errors: IO (the file is as it was), MEMORY. */
cf_status log_cut(const char *path, int64_t epochs);
void run_log_close(run_log *log);
/** Log what runs on what, and the predicted bytes of a rank. Collective. */
void run_log_set_up(const cf_grid *grid, const cf_dataset *dataset, double memory);
/** What begins, or goes on. All pointers are borrowed. */
typedef struct run_start {
    const cf_grid *grid;
    const cf_dataset *dataset;
    const cf_binding *bindings; /* of all ranks */
    const step_costs *predicted;
    int64_t from_epoch; /* epochs done before */
    const char *from;   /* the checkpoint of a warm start; NULL: another start, or a resumed run */
    int64_t matched[2]; /* users and items that have its rows */
} run_start;
void run_log_start(run_log *log, const run_start *start);
/** Write the line `summary` (the event "profile"), and free it in any case. */
void run_log_profile(run_log *log, json_t *summary);
void run_log_epoch(run_log *log, const cf_run_progress *progress, double loss, double seconds,
                   int64_t samples);
void run_log_solve(run_log *log, const cf_closed_seconds *seconds);
/** An evaluation of the tables of `epoch`. */
typedef struct run_evaluation {
    const char *split; /* "valid", "test" */
    int64_t epoch;
    cf_candidates main; /* whose table are the "metrics" */
    bool best;          /* the tables are those of the best epoch so far, as for "test" always */
    double seconds;
} run_evaluation;
void run_log_metrics(run_log *log, const run_evaluation *event, const cf_cold_metrics *metrics);
void run_log_map(run_log *log, int64_t epoch, const cf_cold_map *map, double seconds);
/** `best`: the last measurement of a run, of its best epoch. */
void run_log_collapse(run_log *log, int64_t epoch, const collapse *c, bool best);
void run_log_end(run_log *log, const cf_run_progress *progress, const char *why);

/* ---- Grid ---- */

/** What `grid: auto` chooses a grid for. */
typedef struct grid_machine {
    int n_ranks, n_nodes;
    double rank_bytes; /* memory of a rank */
} grid_machine;
/** Slices on different nodes, of at least a segment, and blocks inside the nodes, by predicted time
 * and memory; 0 x 0 where no grid will do. Of the dataset only counts are read. Local. */
void grid_choose(const cf_dataset *dataset, const run_options *options, const grid_machine *machine,
                 int *n_rows, int *n_columns);
/** The grid that the setting `grid` means: as given, or chosen. Collective. Errors: USAGE. */
cf_status grid_create(const cf_dataset *dataset, const run_options *options, cf_grid **out);
/** Bytes that a rank holds in a step on such a grid, or, of a closed form, while it is solved: the
 * mean over the ranks. What reading, selection and evaluation hold for a while comes on top. */
double grid_predict_bytes(const cf_dataset *dataset, const run_options *options, int n_nodes,
                          int n_rows, int n_columns);
/** Will a closed form fit, of which each rank holds `needed` bytes? Models that are trained by
 * steps are not refused. Collective. Errors: MEMORY. */
cf_status grid_check_memory(const cf_dataset *dataset, const run_options *options,
                            const cf_grid *grid, double needed);
