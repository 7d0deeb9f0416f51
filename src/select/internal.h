/**
 * What the files of select share. Names: select_* is shared inside this folder only.
 */
#pragma once

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

/** Rows of `floats` float32 numbers that fit into select_memory, at least one. Local. */
int64_t select_block_rows(const cf_config *config, int64_t floats);
