/**
 * Private to model: a whole batch, its samples and its rows in full width, on every rank: for
 * losses that couple all samples. Rows are those of users and positive items; B is the largest
 * batch.
 */
#pragma once

#include "batch.h"
#include "memory.h"

/** A batch as all ranks know it. */
typedef struct global_batch {
    const cf_grid *grid;                /* borrowed */
    const cf_blocks *blocks[2];         /* borrowed: of users, items */
    row_sort *sort;                     /* borrowed */
    int64_t width;                      /* floats in a local row: this rank's slice */
    int64_t full_width, dim;            /* floats in a whole row, and dimensions */
    int64_t padded;                     /* B rounded up to whole tiles */
    struct global_sample *send_samples; /* B: mine */
    int64_t size;                       /* samples in the batch */
    struct global_sample *samples;      /* B: grouped by grid row */
    int32_t *index[2]; /* B: per position in the batch, its row's index among the distinct rows */
    int64_t n_rows[2]; /* distinct rows */
    int64_t *id[2];    /* B: their global numbers, ascending, and so grouped by block */
    int32_t *times[2]; /* B: how many samples have each row */
    int64_t first[2];  /* index of the first row of my block */
    int64_t n_own[2];  /* rows of my block */
    int32_t *local[2]; /* B: their local numbers, ascending */
    float *rows[2];    /* padded x full_width: the distinct rows, then zeros */
    float *send_rows;  /* B x width: my slice of the rows of my block, filled by the caller */
    float *recv_rows;  /* B x full_width, if there are other ranks: grouped by rank */
    int *sample_bytes, *sample_start; /* grid rows: of an Allgatherv of samples */
    int *row_floats, *row_start;      /* ranks: of an Allgatherv of rows */
} global_batch;

/** `rows` get whole tiles of `tile` rows. Local. Errors: MEMORY. Free with global_batch_destroy(),
 * which takes all zero bytes too. */
cf_status global_batch_create(cf_table *const table[2], row_sort *sort, int64_t max_batch,
                              int64_t tile, global_batch *out);
void global_batch_destroy(global_batch *batch);
/** Bytes that it will take. Local. */
double global_batch_bytes(const memory_shape *shape, int64_t tile);
/** Fill all but `rows`. Collective over the grid column: an Allgather of 24 bytes a sample. */
void global_batch_find(global_batch *global, const cf_batch *batch);
/** Fill rows[side] from every rank's send_rows (n_own x width). Collective over the world: n_rows x
 * full_width floats to each rank. */
void global_batch_gather(global_batch *batch, cf_side side);
/** My slice of the k-th row of my block in `rows`, an array shaped as batch->rows[side]. */
const float *global_batch_slice(const global_batch *batch, cf_side side, const float *rows,
                                int64_t k);
