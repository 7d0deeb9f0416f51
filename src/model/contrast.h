/**
 * Private to model: contrastive terms by tiles. Rows are scored against columns by one sgemm of
 * CONTRAST_ROWS x CONTRAST_COLUMNS x width a tile, at fixed offsets, so that no sum depends on
 * ranks, threads or memory; rows x columns is never held whole.
 *
 * All vectors have length 1, so a score x.y / tau is at most 1 / tau: exp(x.y / tau - 1 / tau) is
 * in (0, 1] and needs no running maximum; tau >= CONTRAST_MIN_TAU keeps it a normal float.
 */
#pragma once

#include "cf/table.h"

enum { CONTRAST_ROWS = 128, CONTRAST_COLUMNS = 512 };
#define CONTRAST_MIN_TAU 0.025 /* exp(-2 / tau) must be a float: above 0.0229 */

/** What the terms work in. A tile is CONTRAST_ROWS x CONTRAST_COLUMNS weights. */
typedef struct contrast {
    const cf_par *world; /* borrowed */
    int64_t width;       /* floats in a whole row */
    double tau;          /* temperature */
    int n_threads;
    int64_t n_kept;    /* tiles that are kept for the gradient; others are computed twice */
    float *kept;       /* n_kept tiles */
    float *tile;       /* threads x a tile: those that are not kept */
    float *tile_sum;   /* threads x CONTRAST_ROWS x width: one tile's part of `sum` */
    int64_t *sum;      /* threads x CONTRAST_ROWS x width: sums over tiles, in fixed point */
    cf_exact *total;   /* threads x CONTRAST_ROWS: sums of weights */
    float *scaled;     /* CONTRAST_ROWS x width: rows over their totals */
    double *log_total; /* CONTRAST_ROWS */
} contrast;

/** Take at most `memory` bytes, and keep at most `n_tiles` tiles. Local. Errors: MEMORY; USAGE
 * (memory too small for one tile a thread: names the least that is enough). Free with
 * contrast_destroy(). */
cf_status contrast_create(const cf_par *world, int64_t width, double tau, int64_t memory,
                          int64_t n_tiles, contrast *out);
void contrast_destroy(contrast *c);
/** Bytes that contrast_create() will take, or 0 if it will refuse; `n_tiles` may be a mean over
 * ranks. Local. */
double contrast_memory(int64_t width, int64_t memory, double n_tiles);

/** Divide rows by their lengths, in place; a zero row stays zero. `length`: count. Local. */
void contrast_normalize(float *rows, int64_t count, int64_t width, float *length);
/** Turn a gradient with respect to x = f / |f| into the one with respect to f, in place: (g - (g.x)
 * x) / |f|, zero for a zero row. Local. */
void contrast_through_norm(float *gradient, const float *unit, float length, int64_t width);

/** Rows against all columns. All ranks have the same rows; columns lie in tiles over the ranks. */
typedef struct infonce {
    int64_t n_rows;
    const int64_t *id;    /* n_rows, ascending: per row, the global number of its own column */
    const int32_t *times; /* n_rows: how often a row counts */
    float *rows; /* n_rows rounded up to CONTRAST_ROWS, x width, zeros behind the last: in: x
                    before normalisation; out: the gradient with respect to it */
    const cf_tiles *tiles; /* of CONTRAST_COLUMNS */
    float *columns;  /* tiles->capacity x width, zeros behind the last: in: y before normalisation;
                        out:  normalised */
    float *gradient; /* tiles->capacity x width: out: with respect to y before normalisation */
    float *row_length;    /* n_rows */
    float *column_length; /* tiles->count */
    const uint8_t *cold;  /* of all columns, by global number: cold ones are no columns of any
                             sum; NULL: none is cold */
    double weight;        /* of the term in the loss */
} infonce;

/**
 * weight x sum_b times_b [ log sum_k exp(x_b.y_k / tau) - x_b.y_id(b) / tau ] with its gradient
 * (Wu et al. 2021, eq. 10), k over the columns that are not cold. `loss`: this rank's part is
 * added. Collective over the world: for each CONTRAST_ROWS rows one Allreduce of an exact sum a row
 * and one of `width` 64-bit numbers a row.
 */
void contrast_infonce(contrast *c, infonce *term, cf_exact *loss);

/** The rows of a batch against one another. All ranks have the same. */
typedef struct batch_contrast {
    int64_t size;            /* samples */
    const int32_t *index[2]; /* size: per sample, its row of each side */
    int64_t count[2];        /* distinct rows */
    const int32_t *times[2]; /* count: samples that have the row */
    float *rows[2];     /* count rounded up to CONTRAST_COLUMNS, x width, zeros behind the last:
                           in: final rows; out: normalised */
    float *gradient[2]; /* the same size; out: with respect to the final rows */
    float *length[2];   /* count */
    double *total[2];   /* count: sum_c exp(x.x_c / tau - 1 / tau), repeats counted */
    float *inverse[2];  /* count rounded up: sum over the row's samples of 1 / Z_b */
    float *repeats[2];  /* count rounded up: times, 0 behind the last */
} batch_contrast;

/**
 * sum_b [ log( sum_c exp(a_b.a_c / tau) + sum_c exp(p_b.p_c / tau) ) - a_b.p_b / tau ] and its
 * gradient; a, p: normalised rows of the two sides, c over the whole batch with repeats. The tiles
 * of rows are divided among the ranks. Returns the loss, the same on all ranks. Collective over the
 * world: an Allreduce of a double a row, and an Allgather of the gradient's rows.
 */
double contrast_batch(contrast *c, batch_contrast *term);
