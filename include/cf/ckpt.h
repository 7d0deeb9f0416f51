/**
 * ckpt: a run's state in one HDF5 file, to go on from on any number of ranks and any grid, and to
 * evaluate or serve.
 */
#pragma once

#include "cf/optim.h"
#include "cf/par.h"
#include "cf/select.h"

/** Where a run stands. Plain data, the same on every rank (but for `seconds`: on saving, rank 0's
 * are taken). */
typedef struct cf_run_progress {
    int64_t epoch;      /* epochs done */
    int64_t batch;      /* batches done of the epoch that is under way */
    double loss_sum;    /* sum of the losses of these batches, in order */
    int64_t best_epoch; /* 0: none yet */
    double best_value;  /* valid_metric there */
    int64_t stale;      /* evaluations since without a better value */
    double seconds;     /* spent training so far */
} cf_run_progress;

/** What a checkpoint holds; the pointers are borrowed on saving. */
typedef struct cf_ckpt {
    cf_table *table[2];            /* raw user and item tables; of a closed form NULL and its
                                      item-item matrix */
    cf_optim *optim;               /* NULL: not saved, not read */
    const cf_selection *selection; /* NULL: the run started from noise */
    cf_run_progress progress;
    const char *settings; /* YAML */
    uint64_t dataset_digest;
    int64_t n_users, n_items;
} cf_ckpt;

/** Write `path` atomically. Collective. Errors: IO, MEMORY; the file of before is whole in every
 * case. */
cf_status cf_ckpt_save(const cf_par *world, const char *path, const cf_ckpt *state);

/** An opened checkpoint: what is known before its tables are read. */
typedef struct cf_ckpt_file {
    cf_store *store;
    char *settings;          /* YAML, owned */
    cf_selection *selection; /* owned; NULL for noise */
    cf_run_progress progress;
    uint64_t dataset_digest;
    int64_t n_users, n_items, dim;
    bool closed;   /* an item-item matrix (dim = n_items) and no table of users */
    char *version; /* of the program that wrote it, owned */
} cf_ckpt_file;

/** Collective. Errors: IO, FORMAT (not a checkpoint, truncated, damaged), MEMORY. Close with
 * cf_ckpt_close(). */
cf_status cf_ckpt_open(const cf_par *world, const char *path, cf_ckpt_file **out);
/** Collective. NULL is fine. */
void cf_ckpt_close(cf_ckpt_file **file);
/** Errors: FORMAT, naming both ("here" is the dataset given, "there" the checkpoint's), unless the
 * checkpoint was trained on a dataset with this digest and these counts. Local. */
cf_status cf_ckpt_check_dataset(const cf_ckpt_file *file, const char *dataset_path, uint64_t digest,
                                const int64_t counts[2]);
/** Read tables (and moments and step count if `optim` is not NULL) into tables of any grid;
 * table[CF_USERS] is NULL where the file is `closed`. Checksums verified. Collective. Errors:
 * FORMAT (damaged; another shape; no optimizer state, or another number of moments, before any
 * table is touched), IO, MEMORY, NUMERIC. After another error the tables hold no state. */
cf_status cf_ckpt_read(cf_ckpt_file *file, cf_table *const table[2], cf_optim *optim);
