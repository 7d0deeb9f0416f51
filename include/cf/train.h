/**
 * train: batches, epochs, evaluation, early stop, checkpoints and the log of a run.
 */
#pragma once

#include "cf/ckpt.h"
#include "cf/closed.h"
#include "cf/config.h"
#include "cf/dataset.h"
#include "cf/eval.h"
#include "cf/linalg.h"
#include "cf/model.h"
#include "cf/select.h"

#include <jansson.h>

/** Settings: seed, epochs, train_batch_size, eval_step, collapse_every, stopping_step,
 * checkpoint_interval, neg_exclude, grid. */
extern const cf_setting cf_train_settings[];
/** What train's settings say, read once. */
typedef struct cf_train_options {
    int64_t epochs;
    int64_t eval_step;          /* epochs between evaluations of the valid part; 0: none */
    int64_t stopping_step;      /* evaluations without a better valid_metric before it stops */
    int64_t collapse_every;     /* evaluations between two measurements of collapse; 0: none */
    double checkpoint_interval; /* seconds; 0: after every epoch */
} cf_train_options;
/** Local. */
void cf_train_read_options(const cf_config *config, cf_train_options *out);
/** All tables that make the settings of a run, for cf_config_create(): train's own and those of
 * model, closed, select, optim and eval. */
extern const cf_setting *const cf_train_tables[];
extern const int cf_train_n_tables;

/** Catch SIGTERM, SIGINT and SIGUSR1 (they set a flag that the ranks agree on at the next step). A
 * second SIGTERM or SIGINT, three seconds after the first or later, ends the process at once. Call
 * before cf_par_init(). Local. */
void cf_train_install_signals(void);

/** The grid that the setting `grid` means: R x C as given, or chosen: slices first (at least a
 * segment each), blocks where memory asks for them. Collective. Errors: USAGE. */
cf_status cf_train_create_grid(const cf_dataset *dataset, const cf_config *config, cf_grid **out);

/** What one `llminit train` is asked to do. */
typedef struct cf_train_job {
    const char *data;    /* dataset file */
    const char *out;     /* the run's folder, made if it is not there */
    bool resume;         /* go on from out/latest.h5 if it is there */
    double time_limit;   /* seconds from now in which it stops with a checkpoint, if it is not done;
                            0: none */
    const char *profile; /* file for what it cost each rank, as JSON; NULL: none */
} cf_train_job;

/** The end of a run. */
typedef struct cf_train_result {
    cf_run_progress progress;
    bool has_test;
    cf_metrics test; /* of the best epoch */
} cf_train_result;

/**
 * Train to the end, or until a signal or the time limit. Collective. Writes out/settings.yaml,
 * log.jsonl, latest.h5, best.h5. Errors: all of the parts'; USAGE (out has a run and resume is
 * false; settings differ from the run's); CF_STOPPED after a signal, or for the time limit: at
 * least one step has been done, and latest.h5 is complete.
 */
cf_status cf_train_run(const cf_par *world, const cf_config *config, const cf_train_job *job,
                       cf_train_result *result);

/** What a profile is of. `config`, `dataset`, `grid` and `shard` are borrowed. */
typedef struct cf_report_context {
    const char *command;
    const cf_config *config;
    const cf_dataset *dataset;
    const cf_grid *grid;
    const cf_shard *shard;
} cf_report_context;
/**
 * Write what the program cost each rank so far, as one JSON object: README, "What is written".
 * Collective. Errors: IO, MEMORY; the file is then not there.
 */
cf_status cf_train_write_profile(const cf_report_context *context, const char *path);

/** A trained model, loaded to be used: everything evaluate, recommend and export need. All owned by
 * it. */
typedef struct cf_trained {
    cf_config *config; /* the run's settings */
    cf_dataset *dataset;
    cf_grid *grid;
    cf_shard *shard;
    cf_model *model;   /* NULL: a closed form */
    cf_closed *closed; /* NULL: a model that was trained */
    cf_ckpt_file *file;
    const cf_table *final[2]; /* that scores are made of; of a closed form NULL and its matrix */
    cf_eval_scorer scorer;
} cf_trained;

/** What to load: a checkpoint, the dataset it was trained on, and n_sets "name=value" for settings
 * of the machine (grid, eval_memory). */
typedef struct cf_train_source {
    const char *checkpoint, *data;
    const char *const *sets;
    int n_sets;
} cf_train_source;

/** Load a trained model. Collective. Errors: those of ckpt and dataset; USAGE. Free with
 * cf_train_unload(). */
cf_status cf_train_load(const cf_par *world, const cf_train_source *source, cf_trained **out);
void cf_train_unload(cf_trained **trained);

/* ---- JSON ---- */

/** A key of a JSON object and its value. A list of these ends with a NULL key. */
typedef struct cf_json_field {
    const char *key;
    json_t *value; /* a new reference, which the object takes */
} cf_json_field;
/** An object of these fields, in their order. NULL if a value is NULL, which jansson returns for
 * NaN, infinity, text that is not UTF-8, and without memory. Local. */
json_t *cf_train_json_object(const cf_json_field *fields);
/** The same of a list written in place: CF_JSON_OBJECT({"epoch", json_integer(3)}, ...). */
#define CF_JSON_OBJECT(...) cf_train_json_object((const cf_json_field[]){__VA_ARGS__, {0}})

/** {"recall@10": 0.1, ...}: each metric at each length of list. Local. */
json_t *cf_train_metrics_json(const cf_metrics *metrics);
/** {"effective_rank": ..., "participation_ratio": ..., "information_abundance": ..., "shares":
 * {"8": ...}} of a table of `dim` dimensions; "shares" has the fractions of the spectrum at counts
 * below `dim`. Local. */
json_t *cf_train_spectrum_json(const cf_spectrum *spectrum, int64_t dim);

/** The tables of a model in results: user_embedding and item_embedding, the raw ones that are
 * trained; user_final and item_final, which scores are made of. */
typedef enum cf_train_table {
    CF_TRAIN_USER_RAW,
    CF_TRAIN_ITEM_RAW,
    CF_TRAIN_USER_FINAL,
    CF_TRAIN_ITEM_FINAL,
    CF_TRAIN_N_TABLES
} cf_train_table;
extern const char *const cf_train_table_names[CF_TRAIN_N_TABLES];
