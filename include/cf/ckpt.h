/**
 * ckpt: a run's state in one HDF5 file. Training continues from it on any number of ranks and any
 * grid; evaluate, recommend and export read it. src/ckpt/ckpt.c lists what the file has.
 *
 * A run writes with cf_ckpt_save(). A reader opens the file, which reads all but the tables,
 * creates the tables from what it learned, fills them with cf_ckpt_read(), and closes the file.
 */
#pragma once

#include "cf/cold.h"
#include "cf/optim.h"
#include "cf/par.h"
#include "cf/select.h"

/** Names of the raw tables, in checkpoints and in all output; and of an item-item matrix. */
#define CF_CKPT_USER_TABLE "user_embedding"
#define CF_CKPT_ITEM_TABLE "item_embedding"
#define CF_CKPT_MATRIX "item_similarity"

/** What a file of an older program does not say. */
#define CF_CKPT_UNKNOWN INT64_MAX

/** How far a run has come. Plain data, the same on every rank, except that `seconds` may differ:
 * a checkpoint has those of rank 0. */
typedef struct cf_run_progress {
    int64_t epoch;          /* epochs completed */
    int64_t batch;          /* batches completed of the current epoch */
    double loss_sum;        /* sum of the losses of these batches, in their order */
    int64_t best_epoch;     /* epoch of the best evaluation, from 1; 0: none yet */
    double best_value;      /* valid_metric at best_epoch */
    int64_t n_bad_evals;    /* evaluations since best_epoch, none of them better: for early stop */
    int64_t most_bad_evals; /* the largest n_bad_evals after which the run went on, or
                               CF_CKPT_UNKNOWN */
    double seconds;         /* spent in training so far, over all parts of an interrupted run */
} cf_run_progress;

/** What a checkpoint is written from. All pointers are borrowed. */
typedef struct cf_ckpt {
    cf_table *table[2];            /* raw user and item tables; of a closed form NULL and its
                                      item-item matrix */
    cf_optim *optim;               /* its steps, moments and start are saved; NULL: none */
    const cf_selection *selection; /* how the item table was started; NULL: at random */
    const cf_cold_map *map;        /* of cold items, fitted on these tables; NULL: none */
    cf_run_progress progress;
    const char *settings;    /* YAML text of all settings */
    const char *build;       /* JSON text: the program and its libraries; NULL: not told */
    uint64_t dataset_digest; /* of the dataset file, to refuse another one later */
    int64_t n_users, n_items;
} cf_ckpt;

/** Write `path`. The old file stays whole until the new one is complete, and after any error.
 * Collective. Errors: IO, MEMORY. */
cf_status cf_ckpt_save(const cf_par *world, const char *path, const cf_ckpt *state);

/** An open checkpoint: all of it but the tables, which are read by cf_ckpt_read(), and the map of
 * cold items, which cf_cold_read() reads from the store onto a grid. */
typedef struct cf_ckpt_file {
    cf_store *store;          /* the open HDF5 file, owned */
    const char *path;         /* the store's */
    char *settings;           /* YAML text, owned */
    cf_selection *selection;  /* owned; NULL: the item table was started at random */
    cf_run_progress progress; /* when the file was written */
    uint64_t dataset_digest;  /* of the dataset file that the run was trained on */
    int64_t n_users, n_items; /* rows of the tables */
    int64_t dim;              /* columns of the tables; of a closed form n_items */
    bool closed;              /* an item-item matrix and no table of users */
    char *version;            /* of the program that wrote the file, owned */
    char *build;              /* as of cf_ckpt, owned; NULL: an older program wrote the file */
} cf_ckpt_file;

/** Open `path` and read all but the tables. Collective. Errors: IO, FORMAT (not a checkpoint,
 * truncated, damaged), MEMORY. Close with cf_ckpt_close(). */
cf_status cf_ckpt_open(const cf_par *world, const char *path, cf_ckpt_file **out);
/** Collective. NULL is fine. */
void cf_ckpt_close(cf_ckpt_file **file);

/** Check that the checkpoint was trained on a dataset with this digest and these counts of users
 * and items. Local. Errors: FORMAT, with the numbers of both files ("here" is the dataset given,
 * "there" the checkpoint's). */
cf_status cf_ckpt_check_dataset(const cf_ckpt_file *file, const char *dataset_path, uint64_t digest,
                                const int64_t counts[2]);

/** Read the tables, and what `optim` keeps unless it is NULL, into tables of any grid and verify
 * their checksums. Tables may have rows behind those of the file, which are left as they are.
 * table[CF_USERS] is NULL if and only if the file is `closed`. Collective.
 * Errors: FORMAT (damaged; another shape; no optimizer state, or other moments or starts, found
 * before any table is touched), IO, MEMORY, NUMERIC. After another error the contents of the tables
 * are undefined. */
cf_status cf_ckpt_read(cf_ckpt_file *file, cf_table *const table[2], cf_optim *optim);
