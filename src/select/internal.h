/**
 * What the files of select share. Names: select_* is shared inside this folder only.
 */
#pragma once

#include "cf/linalg.h"
#include "cf/select.h"

/** Exact sums of the values and of their squares, for each of D dimensions, over `count` rows. */
typedef struct select_moments {
    int64_t count;
    cf_exact *sum, *squares;
} select_moments;

/** What one pass over all vectors tells; the same on every rank. Items without a vector are not in
 * it. */
typedef struct select_survey {
    int64_t dim; /* D */
    bool whole;  /* `all`, `low` and `high` are wanted */
    select_moments popular;
    select_moments all; /* of every item */
    float *low, *high;  /* D each: smallest and largest value */
} select_survey;

/**
 * Read every vector once, verified, in blocks of at most select_memory. `survey->dim` and `whole`
 * are given. Collective. Errors: MEMORY, those of reading. Free with select_survey_destroy() in
 * every case.
 */
cf_status select_survey_take(const cf_dataset *dataset, const cf_config *config, int64_t n_popular,
                             select_survey *survey);
void select_survey_destroy(select_survey *survey);

/**
 * Mark the `n_popular` items with most train interactions, ties to the lower number, of which this
 * rank has items first .. first + count - 1 (ascending with the ranks). `popular`: count flags.
 * Collective. Errors: MEMORY, those of reading.
 */
cf_status select_mark_popular(const cf_dataset *dataset, int64_t first, int64_t count,
                              int64_t n_popular, uint8_t *popular);

double select_mean(const select_moments *moments, int64_t dim);
double select_variance(const select_moments *moments, int64_t dim);

/** USAGE unless the settings fit the dataset and one another. Local: the same on every rank. */
cf_status select_check_settings(const cf_dataset *dataset, const cf_config *config,
                                int64_t n_popular);
/** True if emb_selection is a linear map rather than some of the dimensions. */
bool select_is_map(const cf_config *config);

/** The covariance of all vectors, D x D. `mean`: D numbers; `count`: items that have a vector, at
 * least 2. Reads every vector once, verified. Collective. Errors: MEMORY, those of reading. Free
 * with cf_linalg_destroy_panels(). */
cf_status select_covariance_take(const cf_dataset *dataset, const double *mean, int64_t count,
                                 cf_panels **out);
/**
 * The `n` largest eigenvalues, descending, and their eigenvectors as columns of `directions` (D x
 * n), the same on every rank; on one rank up to D = `one_rank`, else on all. Collective. Errors:
 * MEMORY, USAGE, NUMERIC.
 */
cf_status select_covariance_eigen(const cf_panels *covariance, int64_t one_rank, int64_t n,
                                  double *values, double *directions);
/** The first `n` pivots of Cholesky's factor. Collective. Errors: MEMORY. */
cf_status select_covariance_pivots(const cf_panels *covariance, int64_t n, int64_t *pivots);

/** Find the map of `selection`, whose arrays are there. Collective. */
cf_status select_find_map(const cf_dataset *dataset, const cf_config *config,
                          const select_survey *survey, cf_selection *selection);

/** Turns blocks of vectors into reduced vectors, before norm and gain. */
typedef struct select_reducer {
    const cf_selection *selection;
    int64_t dim;           /* D */
    bool stand_in, random; /* a missing vector is the mean, or drawn about it; else it is zero */
    cf_random key;
    int64_t block_rows;
    float *rows;      /* block_rows x D: for the caller to read vectors into */
    uint8_t *present; /* block_rows */
    double *values;   /* block_rows x n_dims: the result */
    double *tiles;    /* threads x 64 x (D + n_dims) */
} select_reducer;

/** Local. `floats`: what the caller needs a row beside. Errors: MEMORY. Free with
 * select_reducer_destroy() in every case. */
cf_status select_reducer_create(const cf_dataset *dataset, const cf_selection *selection,
                                const cf_config *config, int64_t floats, select_reducer *out);
void select_reducer_destroy(select_reducer *reducer);
/** Reduce rows first .. first + count - 1, of which `rows` and `present` are there. Local. */
void select_reduce(const select_reducer *reducer, int64_t first, int64_t count);
/** Euclidean norm of reduced row `r`. */
double select_norm(const select_reducer *reducer, int64_t r);

/**
 * One pass over all vectors for what is known only of reduced ones: the gain where emb_norm is set,
 * and the variances of a projection. Collective. Errors: MEMORY, those of reading, USAGE (emb_norm
 * of rows that are all zero).
 */
cf_status select_measure(const cf_dataset *dataset, const cf_config *config,
                         cf_selection *selection);

/** Rows of `floats` float32 numbers that fit into select_memory, at least one. Local. */
int64_t select_block_rows(const cf_config *config, int64_t floats);
