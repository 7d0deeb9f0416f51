/** Private to train. */
#pragma once

#include "cf/train.h"

#include <stdio.h>

/** Draws the batches of an epoch; everything is a function of (seed, epoch, place). */
struct sampler {
    const cf_shard *shard; /* borrowed */
    int64_t n_train, n_items, batch_size;
    uint64_t seed;
    bool negatives;   /* the model reads them */
    bool exclude_all; /* negatives avoid all of the user's train items, not the positive alone */
    int64_t epoch;
    cf_permutation order;
    int64_t *interaction; /* batch_size: train interaction at each place */
    cf_batch batch;
};

/** Local. Errors: MEMORY; FORMAT (a user who has every item: no negative is left). */
cf_status sampler_create(const cf_config *config, const cf_dataset *dataset, const cf_shard *shard,
                         struct sampler *out);
void sampler_destroy(struct sampler *sampler);
int64_t sampler_n_batches(const struct sampler *sampler);
void sampler_start_epoch(struct sampler *sampler, int64_t epoch);
/** Batch `index` of the epoch. Valid until the next call. */
const cf_batch *sampler_draw(struct sampler *sampler, int64_t index);

/** True once a signal has asked this process to stop. */
bool signals_raised(void);

/** The run's log: one JSON object a line, written by rank 0 and flushed at once. */
typedef struct run_log {
    FILE *file; /* NULL on the other ranks */
} run_log;
/** Collective. Errors: IO. `append`: a resumed run goes on in its file. */
cf_status run_log_open(const cf_par *world, const char *folder, bool append, run_log *out);
void run_log_close(run_log *log);
void run_log_start(run_log *log, const cf_grid *grid, const cf_dataset *dataset,
                   int64_t from_epoch);
void run_log_epoch(run_log *log, const cf_run_progress *progress, double loss, double seconds,
                   int64_t samples);
void run_log_metrics(run_log *log, const char *split, int64_t epoch, const cf_metrics *metrics,
                     bool best, double seconds);
void run_log_end(run_log *log, const cf_run_progress *progress, const char *why);

/** Bytes a rank will hold, for the given grid: tables, moments, fields, graph, batch. */
double grid_predict_bytes(const cf_dataset *dataset, const cf_config *config, int n_rows,
                          int n_columns);
