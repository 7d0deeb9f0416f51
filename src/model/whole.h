/** Private to model: a batch's samples and whole rows on every rank, for losses that couple them
 * all. */
#pragma once

#include "memory.h"

/** A batch as all ranks know it. Rows are the distinct users and positives, by ascending number:
 * those of a block follow one another. */
typedef struct whole_batch {
    const cf_grid *grid;        /* borrowed */
    const cf_blocks *blocks[2]; /* borrowed: of users, items */
    int64_t width, full_width, dim;
    int64_t padded;                  /* largest batch, rounded up to whole tiles */
    int64_t size;                    /* samples */
    int32_t *slot[2];                /* largest batch: row of each sample, by place */
    int64_t count[2];                /* distinct rows */
    int64_t *id[2];                  /* largest batch: their global numbers */
    int32_t *times[2];               /* largest batch: samples that have them */
    int64_t first[2], n_mine[2];     /* which of them are my block's */
    float *rows[2];                  /* padded x full_width */
    struct whole_sample *mine, *all; /* largest batch */
    uint64_t *keys, *scratch;        /* largest batch */
    float *packed, *joined;          /* largest batch x width, x full_width */
    int *byte_count, *byte_start;    /* grid rows */
    int *row_count, *row_start;      /* ranks */
} whole_batch;

/** Rows are rounded up to a multiple of `tile`. Local. Errors: MEMORY. Free with
 * whole_batch_destroy(). */
cf_status whole_batch_create(cf_table *const table[2], int64_t max_batch, int64_t tile,
                             whole_batch *out);
/** Bytes that it will take. Local. */
double whole_batch_memory(const memory_shape *shape, int64_t tile);
void whole_batch_destroy(whole_batch *whole);
/** All but the rows' numbers. Collective over the grid column: an Allgather of 24 bytes a sample.
 */
void whole_batch_find(whole_batch *whole, const cf_batch *batch);
/**
 * rows[side], zeros behind the last, from what each rank has put into `packed`: the rows of its
 * block (n_mine x width), its slice of them. Collective over the world: count x full_width floats
 * to each.
 */
void whole_batch_gather(whole_batch *whole, cf_side side);
/** My slice of the k-th of my block's rows in `rows`, which are count x full_width. */
const float *whole_batch_slice(const whole_batch *whole, cf_side side, const float *rows,
                               int64_t k);
