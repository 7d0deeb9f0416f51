/**
 * Private to train: a run, and the parts that steps.c and closed.c share. run.c has the parts;
 * train.c chooses run_steps() or run_closed().
 */
#pragma once

#include "internal.h"

/** A run. Everything in it lives until run_close(). */
typedef struct run {
    const cf_par *world;
    const cf_config *config;
    const cf_train_job *job;
    run_options options;
    cf_eval_options eval;
    char *settings;               /* YAML of config */
    char *build;                  /* build_text() */
    cf_binding *bindings;         /* rank 0: of all ranks */
    char *latest, *best, *better; /* paths of these files */
    bool has_better;              /* better.h5 is of the best epoch so far */
    cf_dataset *dataset;
    cf_grid *grid;
    cf_shard *shard;
    cf_selection *selection; /* NULL: started from noise, or a closed form */
    cf_folders folders;      /* rank 0: that were made for the run */
    cf_lock lock;            /* rank 0: of the folder */
    int64_t matched[2];      /* of a warm start: users and items that have rows of the other run */
    run_log log;
    cf_run_progress progress;
    supervisor supervisor;
    step_costs costs;
    double loss;  /* of the last epoch: the mean over its batches */
    double clock; /* when progress.seconds was last brought up to date */

    cf_table *table[2]; /* what a checkpoint holds; an item-item matrix has no table of users */
    cf_filter *filter;  /* what adds to the scores of tables: of some closed forms, else NULL */
    cf_optim *optim;    /* NULL: a closed form */
    int64_t n_batches;  /* steps of an epoch; 0: a closed form */
    /** The current final tables; of an item-item matrix NULL and the matrix. Collective. */
    void (*final)(void *impl, const cf_table *final[2]);
    void *impl;       /* of steps.c or closed.c */
    cf_cold_map *map; /* of cold items, fitted on the current tables; NULL: none yet */
    uint8_t *hidden;  /* n_items: those that nobody gets, by the map; NULL: none */
    cf_table *mapped; /* of a model: the final item table with their rows; NULL: none yet */
    bool warned_cold; /* it was said that users have no train items */
} run;

/** Open what every run has: settings, dataset, grid, shard, predicted memory. Collective. Errors:
 * those of the parts. */
cf_status run_open(run *r);
void run_close(run *r);
/**
 * Make the folder, and restore the state from latest.h5 or, if there is none, call `start`. Then
 * write settings.yaml and open the log. Collective. Errors: USAGE (a run is in the folder and
 * resume is false; settings differ), those of reading and of `start`.
 */
cf_status run_begin(run *r, cf_status (*start)(run *r));

/* ---- best.c: best.h5 is of the epoch that latest.h5 names as the best ---- */

/** Is there a file? Local. Errors: IO (it cannot be told). */
cf_status run_find_file(const char *path, int *found);
/** latest.h5 was written: better.h5, if there is one, becomes best.h5. Collective. Errors: IO. */
cf_status run_promote_better(run *r);
/** Remove a better.h5 that a run without latest.h5 left. Collective. Errors: IO. */
cf_status run_discard_better(run *r);
/** After a resume: better.h5 becomes best.h5 if it is of the epoch that latest.h5 names, else it is
 * removed. Collective. Errors: IO, FORMAT (best.h5 is of another epoch), those of cf_ckpt_open().
 */
cf_status run_settle_best(run *r);

/* ---- cold.c ---- */

/** Fit r->map on the current tables; NULL if the settings or the dataset allow none, or nothing
 * asks for one (cold_map: auto, and no cold items). Collective.
 * Errors: those of cf_cold_fit(). */
cf_status run_fit_map(run *r);
/** How the current tables score, with r->map. Collective. Errors: those of cf_cold_apply(). Free
 * what it holds with run_destroy_scorer(), also after an error. */
cf_status run_create_scorer(run *r, cf_eval_scorer *out);
void run_destroy_scorer(run *r);

/* ---- warm.c ---- */

/** Fill both tables from another run (job->from, job->from_data). Collective. Errors: USAGE (it has
 * another model or embedding_size), FORMAT (the dataset is not the one that it was trained on, or
 * has no item of this run's), those of reading. */
cf_status run_fill_from(run *r, cf_model *model);

/* ---- build.c ---- */

/** Log on what the run runs: libraries, bindings, what is wrong with them. Collective, once tables
 * are there. Errors: MEMORY. */
cf_status run_find_machine(run *r);

/* ---- run.c ---- */

/** Is there a valid part to evaluate? */
bool run_validates(const run *r);
/** Metrics of the valid part at the current tables; better.h5 if they are the best so far.
 * Collective. */
cf_status run_validate(run *r);
/** Write latest.h5; better.h5 becomes best.h5. Collective. */
cf_status run_save_latest(run *r);

/** At the end: latest.h5, and best.h5 if no epoch was evaluated; then the tables of the best epoch
 * are read back. Collective. */
cf_status run_restore_best(run *r, int64_t *epoch);
/** Test metrics at the current tables, which are those of `epoch`. Collective. */
cf_status run_test(run *r, int64_t epoch, cf_train_result *result);
/** The report of phases, the profile, and the last line of the log. Collective. */
cf_status run_report(run *r, const char *why);

/** Train a model by steps; solve a closed form. Collective. */
cf_status run_steps(run *r, cf_train_result *result);
cf_status run_closed(run *r, cf_train_result *result);
