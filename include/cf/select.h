/**
 * select: which dimensions of the language-model vectors start the item table, and how they are
 * scaled (LLMInit, arXiv 2503.01814).
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"
#include "cf/dense.h"

/** Settings: emb_selection, embedding_size, popular_ratio, rand_replacement, emb_scale, emb_gain,
 * missing_embedding, select_memory. */
extern const cf_setting cf_select_settings[];

/**
 * The reduced vector of an item with vector x is y[k] = gain * (x[dims[k]] - shift[k]) * factor,
 * divided by its Euclidean norm before the gain if `unit` (a zero row stays zero). Kept with the
 * model, so that a new item can be mapped later.
 */
typedef struct cf_selection {
    int64_t n_dims;
    int64_t *dims;     /* ascending (rand_replacement: as drawn, repeats possible) */
    double *variances; /* unbiased variance of each over the popular items that have a vector; 0 if
                          they are fewer than 2 */
    int64_t n_popular; /* floor(popular_ratio * items) */
    double *shift;     /* n_dims */
    double factor, gain;
    bool unit;
    double *mean, *deviation; /* n_dims: of the selected columns over all items with a vector, for
                                 those without; NULL unless needed, not kept with the model */
} cf_selection;

/**
 * Choose the dimensions. Collective over the dataset's ranks: each reads its own share of the rows
 * in blocks of at most select_memory MiB, one Allreduce of exact sums joins them: the same bits on
 * any number of ranks. `config` has cf_select_settings and `seed`; emb_selection is not False. Free
 * with cf_select_destroy(). Errors: USAGE (no vectors in the dataset; embedding_size > D, or other
 * than D with full; popular_ratio that leaves var under 2 items), FORMAT (missing vectors and
 * missing_embedding: error; damaged), and those of reading. Source: LLMInit, arXiv 2503.01814.
 */
cf_status cf_select_dims(const cf_dataset *dataset, const cf_config *config, cf_selection **out);
void cf_select_destroy(cf_selection **selection);

/**
 * Fill the item table with the reduced vectors. Collective over the table's grid; each rank reads
 * an equal part of its block's rows and the slices are exchanged within the grid row. An item
 * without a vector starts at zero (missing_embedding: zero), or as if its vector were the mean of
 * all (mean) or drawn about it with their deviations (random). Errors: those of reading, FORMAT
 * (damaged), NUMERIC.
 */
cf_status cf_select_fill_items(const cf_dataset *dataset, const cf_selection *selection,
                               const cf_config *config, cf_dense *items);
