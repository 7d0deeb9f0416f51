/**
 * train: a run, from the dataset to checkpoints and log: batches, epochs, evaluation, early stop.
 * Also a trained model, loaded to be used, and results as JSON.
 */
#pragma once

#include "cf/ckpt.h"
#include "cf/closed.h"
#include "cf/cold.h"
#include "cf/config.h"
#include "cf/dataset.h"
#include "cf/eval.h"
#include "cf/linalg.h"
#include "cf/model.h"
#include "cf/select.h"

#include <jansson.h>

/* ---- Settings ---- */

/** Settings: seed, epochs, train_batch_size, eval_step, collapse_every, stopping_step,
 * checkpoint_interval, neg_exclude, grid. */
extern const cf_setting cf_train_settings[];
/** All tables that make the settings of a run, for cf_config_create(): train's own and those of
 * model, closed, select, optim, eval and cold. */
extern const cf_setting *const cf_train_tables[];
extern const int cf_train_n_tables;

/* ---- A run ---- */

/** Catch SIGTERM, SIGINT and SIGUSR1 (they set a flag that the ranks agree on at the next step). A
 * second SIGTERM or SIGINT, three seconds after the first or later, ends the process at once. Call
 * before cf_par_init(). Local. */
void cf_train_install_signals(void);

/** Names of the files that a run writes into its folder, ended by NULL. */
extern const char *const cf_train_files[];

/** The arguments of one `llminit train` beside its settings. The texts are borrowed. */
typedef struct cf_train_job {
    const char *data;    /* path of the dataset file */
    const char *out;     /* path of the run's folder; created if it does not exist */
    bool resume;         /* continue from out/latest.h5 if it exists */
    double time_limit;   /* seconds from now; an unfinished run stops before, with a checkpoint; 0:
                            no limit */
    const char *profile; /* path of the file of each rank's costs, JSON; NULL: none */
    const char *from;    /* a new run starts from this checkpoint, of the same model and
                            embedding_size; NULL: from noise or language-model vectors */
    const char *from_data; /* path of the dataset that it was trained on; NULL if `from` is */
} cf_train_job;

/** The end of a run. */
typedef struct cf_train_result {
    cf_run_progress progress; /* epochs done, the best epoch and its valid_metric, seconds */
    bool has_test;            /* the dataset has a test part */
    cf_cold_metrics test;     /* of the tables of the best epoch; only if has_test */
} cf_train_result;

/**
 * Train to the end, or until a signal or the time limit. Collective. Writes out/settings.yaml,
 * log.jsonl, latest.h5, best.h5. Errors: all of the parts'; USAGE (out has a run and resume is
 * false; settings differ from the run's; `from` is of another model, or this one a closed form);
 * CF_STOPPED after a signal, or for the time limit: at least one step has been done, and latest.h5
 * is complete.
 */
cf_status cf_train_run(const cf_par *world, const cf_config *config, const cf_train_job *job,
                       cf_train_result *result);

/** What a profile describes. All pointers are borrowed. */
typedef struct cf_report_context {
    const char *command;       /* "train", "evaluate" */
    const cf_config *config;   /* names the model and embedding_size */
    const cf_dataset *dataset; /* has the counts of users, items and interactions */
    const cf_grid *grid;       /* its world has the ranks */
    const cf_shard *shard;     /* this rank's rows and edges */
} cf_report_context;
/**
 * Write what the program cost each rank so far into `path`, as one JSON object whose keys are
 * listed in src/train/README.md. Collective. Errors: IO, MEMORY; `path` is then as it was.
 */
cf_status cf_train_write_profile(const cf_report_context *context, const char *path);

/* ---- A trained model ---- */

/** A trained model, loaded to be used: everything evaluate, recommend and export need. It owns all
 * of its parts. */
typedef struct cf_trained {
    cf_config *config;        /* the run's settings; those of the machine as given on loading */
    cf_dataset *dataset;      /* the one that the model was trained on, or is appended to it */
    cf_grid *grid;            /* of the ranks that loaded it, not of the run */
    cf_shard *shard;          /* this rank's users, items and interactions */
    cf_model *model;          /* with the checkpoint's tables; NULL: a closed form */
    cf_closed *closed;        /* with the checkpoint's tables; NULL: a model trained by steps */
    cf_ckpt_file *file;       /* the open checkpoint */
    const cf_table *raw[2];   /* the checkpoint's, users and items; of an item-item matrix NULL and
                                 the matrix; borrowed from model or closed */
    const cf_table *final[2]; /* the same of those from which scores are computed */
    cf_table *owned[2];       /* `final` of a model, where rows were written into it, and sparse
                                 rows; else NULL */
    bool is_sparse;           /* final[CF_ITEMS] has sparse rows (cf_entry) of an item-item matrix;
                                 closed and raw[CF_ITEMS] are then NULL */
    cf_cold_map *map;         /* of cold items; NULL: the dataset has none, or their rows are the
                                 model's own */
    uint8_t *hidden;          /* n_items: items that nobody gets, by this map; NULL: none */
    cf_eval_scorer scorer;    /* of these tables */
} cf_trained;

/** What to load. All pointers are borrowed. */
typedef struct cf_train_source {
    const char *checkpoint;  /* path of the checkpoint */
    const char *data;        /* path of the dataset that the model was trained on, or that is
                                appended to it */
    const char *const *sets; /* n_sets texts "name=value": settings of the machine (grid,
                                eval_memory), and of the map of cold items */
    int n_sets;
    int64_t n_kept; /* numbers that each row of an item-item matrix keeps, as cf_closed_cut() has
                       it, after cold items have their rows; 0: all. Without cold items the matrix
                       is never held whole */
} cf_train_source;

/** The settings of the run that wrote a checkpoint. Local. Errors: FORMAT (not the settings of a
 * run), MEMORY. `*out` is new, freed with cf_config_destroy(). */
cf_status cf_train_read_settings(const cf_ckpt_file *file, cf_config **out);
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

/** Set a key of `*object`, or append to `*array`. The value is taken. Without one (NULL), and
 * without memory, all of the object is freed and becomes NULL, and NULL stays NULL: an object is
 * complete or absent. Local. */
void cf_train_json_set(json_t **object, const char *key, json_t *value);
void cf_train_json_append(json_t **array, json_t *value);
/** A text of unknown origin: bytes that are no UTF-8 become the four characters \xNN. NULL without
 * memory. Local. */
json_t *cf_train_json_text(const char *text);

/** {"version": ..., "commit": ..., "blas_kernel": ..., ...}: the program and its libraries as they
 * run on this rank. Local. */
json_t *cf_train_build_json(void);
/** Parse a text; `*out` is NULL if it is no JSON. Local. Errors: MEMORY. */
cf_status cf_train_json_parse(const char *text, size_t length, json_t **out);

/** {"recall@10": 0.1, ...}: each metric at each length of list. Local. */
json_t *cf_train_metrics_json(const cf_metrics *metrics);
/** The same behind {"users": ..., "positives": ...}: how many there are. Local. */
json_t *cf_train_counted_json(const cf_metrics *metrics);
/** {"warm": {"users": ..., ...}, "cold": {...}, "all": {...}, "warm_targets": ..., "warm_hit@10":
 * ..., ..., "left_out": ...} of items that are marked, with the tables that there are. Local. */
json_t *cf_train_cold_json(const cf_cold_metrics *metrics);
/** {"kind": "nearest", "parameter": 5, "gain": 1.5, "points": [{"parameter": ..., "gain": ...,
 * ...}, ...]}. Local. */
json_t *cf_train_map_json(const cf_cold_map *map);
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
