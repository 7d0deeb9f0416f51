/* Choosing n_dims of the D dimensions of the vectors, and the constants that a reduced row is made
 * with. y[k] = gain * (x[dims[k]] - shift[k]) * factor:
 *
 *     var   largest variance over the popular items (LLMInit, arXiv 2503.01814)
 *     uni   0, s, 2s, ... with s = floor(D / n_dims); full is s = 1
 *     rand  drawn with the seed, by a pseudo-random permutation or with replacement
 *     qr    the pivots of the covariance (pivots.c)
 *
 * All of it follows from statistics that every rank has, so that all choose alike. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

static int compare_dims(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Ascending dimensions: the columns of the table keep the order that they have in the vectors. */
static void sort_dims(cf_selection *selection)
{
    qsort(selection->dims, (size_t)selection->n_dims, sizeof *selection->dims, compare_dims);
}

typedef struct ranked {
    double variance;
    int64_t dim;
} ranked;

/* Larger variance first; equal ones by dimension, so that the order is one on every machine. */
static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;

    if (x->variance != y->variance) return x->variance > y->variance ? -1 : 1;
    return compare_dims(&x->dim, &y->dim);
}

/* Local. Errors: MEMORY. */
static cf_status pick_by_variance(const select_statistics *statistics, cf_selection *selection)
{
    ranked *order = NULL;
    cf_status status = CF_ALLOC(order, statistics->dim);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < statistics->dim; k++)
        order[k] = (ranked){select_variance(&statistics->popular, k), k};
    qsort(order, (size_t)statistics->dim, sizeof *order, compare_ranked);
    for (int64_t k = 0; k < selection->n_dims; k++)
        selection->dims[k] = order[k].dim;
    sort_dims(selection);
    cf_free(&order);
    return CF_OK;
}

/* With replacement the dimensions stay in the order drawn, as in the authors' code. */
static void pick_at_random(int64_t dim, const cf_select_options *options, cf_selection *selection)
{
    const cf_random key = {options->seed, CF_STREAM_DIMS};
    cf_permutation shuffle;

    if (options->replacement) {
        for (int64_t k = 0; k < selection->n_dims; k++)
            selection->dims[k] = cf_random_below(key, (uint64_t)k, 0, 0, dim);
        return;
    }
    cf_permutation_create(&shuffle, key, 0, dim);
    for (int64_t k = 0; k < selection->n_dims; k++)
        selection->dims[k] = cf_permutation_at(&shuffle, k);
    sort_dims(selection);
}

/* Collective. Errors: MEMORY, those of reading. */
static cf_status pick_by_pivots(const cf_dataset *dataset, const select_statistics *statistics,
                                cf_selection *selection)
{
    cf_panels *covariance = NULL;
    double *mean = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(dataset->world, CF_ALLOC(mean, statistics->dim)));
    for (int64_t k = 0; k < statistics->dim; k++)
        mean[k] = select_mean(&statistics->all, k);
    CF_TRY(select_create_covariance(dataset, mean, statistics->all.count, &covariance));
    CF_TRY(select_find_pivots(covariance, selection->n_dims, selection->dims));
    sort_dims(selection);
done:
    cf_linalg_destroy_panels(&covariance);
    cf_free(&mean);
    return status;
}

/* One affine map of all selected columns to [0, 1]; where all their values are equal, to 0. */
static void set_minmax(const select_statistics *statistics, cf_selection *selection)
{
    double low = INFINITY, high = -INFINITY;

    for (int64_t k = 0; k < selection->n_dims; k++) {
        low = fmin(low, (double)statistics->low[selection->dims[k]]);
        high = fmax(high, (double)statistics->high[selection->dims[k]]);
    }
    if (low > high) low = high = 0; /* no item has a vector */
    for (int64_t k = 0; k < selection->n_dims; k++)
        selection->shift[k] = low;
    if (high > low) selection->factor = 1 / (high - low);
}

/* Variances, shift and factor; mean and deviation where they are needed for missing vectors. */
static void set_constants(const select_statistics *statistics, cf_select_scale scale,
                          cf_selection *selection)
{
    if (scale == CF_SELECT_MINMAX) set_minmax(statistics, selection);
    for (int64_t k = 0; k < selection->n_dims; k++) {
        const int64_t dim = selection->dims[k];

        selection->variances[k] = select_variance(&statistics->popular, dim);
        if (scale == CF_SELECT_CENTER) selection->shift[k] = select_mean(&statistics->all, dim);
        if (selection->mean == NULL) continue;
        selection->mean[k] = select_mean(&statistics->all, dim);
        selection->deviation[k] = sqrt(select_variance(&statistics->all, dim));
    }
}

/* uni and full are the same rule with another stride. Only var and qr can fail. */
cf_status select_pick_dims(const cf_dataset *dataset, const cf_select_options *options,
                           const select_statistics *statistics, cf_selection *selection)
{
    const int64_t stride = statistics->dim / selection->n_dims; /* full: 1 */
    cf_status status = CF_OK;

    if (options->method == CF_SELECT_VAR)
        CF_TRY(cf_par_agree(dataset->world, pick_by_variance(statistics, selection)));
    else if (options->method == CF_SELECT_QR)
        CF_TRY(pick_by_pivots(dataset, statistics, selection));
    else if (options->method == CF_SELECT_RAND)
        pick_at_random(statistics->dim, options, selection);
    else
        for (int64_t k = 0; k < selection->n_dims; k++)
            selection->dims[k] = k * stride;
    set_constants(statistics, options->scale, selection);
done:
    return status;
}
