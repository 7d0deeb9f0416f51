/**
 * What the files of select share. Names: select_* is shared inside this folder only.
 */
#pragma once

#include "cf/linalg.h"
#include "cf/select.h"

/* ---- Moments (moments.c) ---- */

/** Exact sums of the values and of their squares, of each of some columns, over `count` rows. */
typedef struct select_moments {
    int64_t count;
    cf_exact *sum, *squares; /* one a column */
} select_moments;

/** No rows yet, of `n` columns. Local. Errors: MEMORY. Free with select_destroy_moments() in every
 * case. */
cf_status select_create_moments(int64_t n, select_moments *out);
void select_destroy_moments(select_moments *moments);
double select_mean(const select_moments *moments, int64_t column);     /* 0 of no rows */
double select_variance(const select_moments *moments, int64_t column); /* 0 of fewer than 2 */

/* ---- Passes over the vectors (pass.c) ---- */

/** The items whose vectors this rank reads in a pass: `block` of them from each of first, first +
 * stride, first + 2 stride, ... below `end`. */
typedef struct select_range {
    int64_t first, end;
    int64_t block, stride;
} select_range;

/** A block that was read: items first .. first + count - 1. The callback may change the arrays. */
typedef struct select_block {
    int64_t round; /* 0, 1, ...: first = range.first + round * range.stride, if count > 0 */
    int64_t first, count;
    float *rows;      /* count x D; 0 where an item has no vector */
    uint8_t *present; /* count */
    uint8_t *counted; /* count: has the item a vector, and is it warm? What statistics are of */
} select_block;
/** Collective: all ranks call it together, those that have read all of their items with a count of
 * 0. */
typedef void select_block_fn(void *context, const select_block *block);

/** Read the vectors of the range and hand on every block; the ranges of all ranks have each item
 * once. Verified once all are read. Collective. Errors: MEMORY, those of reading. */
cf_status select_each_block(const cf_dataset *dataset, const select_range *range,
                            select_block_fn *fn, void *context);
/** This rank's even part of all items, in blocks of `block` items at most. Local. */
select_range select_even_range(const cf_dataset *dataset, int64_t block);
/** Rows of `floats` float32 numbers that fit into `memory` bytes, at least one. Local. */
int64_t select_block_rows(int64_t memory, int64_t floats);

/* ---- Statistics (statistics.c, popular.c) ---- */

/** What the first pass over all vectors finds; the same on every rank. Cold items and those without
 * a vector are left out. */
typedef struct select_statistics {
    int64_t dim;    /* D */
    bool all_items; /* `all`, `low` and `high` are computed, else NULL */
    select_moments popular;
    select_moments all;
    float *low, *high; /* D each: smallest and largest value */
} select_statistics;

/** Read every vector once, verified. Collective. Errors: MEMORY, those of reading. Free with
 * select_destroy_statistics() in every case. */
cf_status select_create_statistics(const cf_dataset *dataset, const cf_select_options *options,
                                   int64_t n_popular, bool all_items, select_statistics *out);
void select_destroy_statistics(select_statistics *statistics);

/**
 * Mark the `n_popular` warm items with most train interactions, ties to the lower number, of which
 * this rank has items first .. first + count - 1 (ascending with the ranks). `popular`: count
 * flags. Collective. Errors: MEMORY, those of reading.
 */
cf_status select_mark_popular(const cf_dataset *dataset, int64_t first, int64_t count,
                              int64_t n_popular, uint8_t *popular);

/* ---- Options (settings.c) ---- */

/** USAGE unless the options fit the dataset and one another. Local: the same on every rank. */
cf_status select_check_options(const cf_dataset *dataset, const cf_select_options *options,
                               int64_t n_popular);
/** The method's name as in emb_selection. */
const char *select_method_name(cf_select_method method);

/** True of a linear map, false of a choice of dimensions. */
static inline bool select_is_map(cf_select_method method)
{
    return method >= CF_SELECT_PCA;
}

/* ---- Dimensions (dims.c, pivots.c) ---- */

/** Fill `dims` and the constants of a selection whose arrays are there. Collective. Errors: MEMORY,
 * those of reading. */
cf_status select_pick_dims(const cf_dataset *dataset, const cf_select_options *options,
                           const select_statistics *statistics, cf_selection *selection);
/** The first `n` pivots of Cholesky's factor of the covariance. Collective. Errors: MEMORY. */
cf_status select_find_pivots(const cf_panels *covariance, int64_t n, int64_t *pivots);

/* ---- Maps (map.c, covariance.c) ---- */

/** Find the map of a selection whose arrays are there. Collective. Errors: MEMORY, NUMERIC, those
 * of reading. */
cf_status select_find_map(const cf_dataset *dataset, const cf_select_options *options,
                          const select_statistics *statistics, cf_selection *selection);
/** The covariance of the vectors of warm items, D x D. `mean`: D numbers; `count`: warm items that
 * have a vector, at least 2. Reads every vector once, verified. Collective. Errors: MEMORY, those
 * of reading. Free with cf_linalg_destroy_panels(). */
cf_status select_create_covariance(const cf_dataset *dataset, const double *mean, int64_t count,
                                   cf_panels **out);
/**
 * The `n` largest eigenvalues, descending, and their eigenvectors as columns of `components` (D x
 * n), the same on every rank; on one rank up to D = `one_rank_dim`, else on all. Collective.
 * Errors: MEMORY, USAGE, NUMERIC.
 */
cf_status select_principal_components(const cf_panels *covariance, int64_t one_rank_dim, int64_t n,
                                      double *values, double *components);

/* ---- Reduced vectors (reduce.c, measure.c) ---- */

/** Turns blocks of vectors into reduced vectors, before norm and gain. */
typedef struct select_reducer {
    const cf_selection *selection;
    int64_t dim; /* D */
    cf_select_missing missing;
    cf_random key; /* of random missing vectors */
    int64_t block_rows;
    double *values; /* block_rows x n_dims: the result */
    double *tiles;  /* threads x 64 x (D + n_dims); NULL: dimensions */
} select_reducer;

/** `floats`: what the caller needs a row beside, for the size of a block. Local. Errors: MEMORY.
 * Free with select_destroy_reducer() in every case. */
cf_status select_create_reducer(const cf_dataset *dataset, const cf_selection *selection,
                                const cf_select_options *options, int64_t floats,
                                select_reducer *out);
void select_destroy_reducer(select_reducer *reducer);
/** Bytes of a reducer and of the blocks that it is given, with what the caller needs beside. Local.
 */
double select_predict_reducer(const cf_select_options *options, int64_t n_items, int64_t dim,
                              int64_t floats);
/** Reduce the block's rows to `values`. Local. */
void select_reduce(const select_reducer *reducer, const select_block *block);
/** Euclidean norm of reduced row `r`. Local. */
double select_norm(const select_reducer *reducer, int64_t r);

/**
 * One pass over all vectors for what is known only of reduced ones: the gain where emb_norm is set,
 * and the variances of a projection. Collective. Errors: MEMORY, those of reading, USAGE (emb_norm
 * of rows that are all zero).
 */
cf_status select_measure(const cf_dataset *dataset, const cf_select_options *options,
                         cf_selection *selection);
