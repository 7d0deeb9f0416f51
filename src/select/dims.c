#include "internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void cf_select_destroy(cf_selection **selection)
{
    if (!*selection) return;
    cf_free(&(*selection)->dims);
    cf_free(&(*selection)->variances);
    cf_free(&(*selection)->shift);
    cf_free(&(*selection)->mean);
    cf_free(&(*selection)->deviation);
    cf_free(&(*selection)->center);
    cf_free(&(*selection)->directions);
    cf_free(&(*selection)->scales);
    cf_free(selection);
}

/* `map_dim`: D of a map, 0 for dimensions. */
static cf_status create_selection(int64_t n_dims, int64_t map_dim, bool stand_in,
                                  cf_selection **out)
{
    cf_selection *selection = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(selection, 1));
    CF_TRY(CF_ALLOC(selection->variances, n_dims));
    if (map_dim > 0) {
        CF_TRY(CF_ALLOC(selection->center, map_dim));
        CF_TRY(CF_ALLOC(selection->directions, map_dim * n_dims));
        CF_TRY(CF_ALLOC(selection->scales, n_dims));
        if (stand_in) CF_TRY(CF_ALLOC(selection->deviation, map_dim));
    } else {
        CF_TRY(CF_ALLOC(selection->dims, n_dims));
        CF_TRY(CF_ALLOC(selection->shift, n_dims));
    }
    if (stand_in && map_dim == 0) {
        CF_TRY(CF_ALLOC(selection->mean, n_dims));
        CF_TRY(CF_ALLOC(selection->deviation, n_dims));
    }
    selection->n_dims = n_dims;
    selection->source_dim = map_dim;
    *out = selection;
    selection = NULL;
done:
    cf_select_destroy(&selection);
    return status;
}

static int compare_dims(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

typedef struct ranked {
    double variance;
    int64_t dim;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;

    if (x->variance != y->variance) return x->variance > y->variance ? -1 : 1;
    return compare_dims(&x->dim, &y->dim);
}

double select_variance(const select_moments *moments, int64_t dim)
{
    return cf_exact_variance(&moments->sum[dim], &moments->squares[dim], moments->count);
}

double select_mean(const select_moments *moments, int64_t dim)
{
    return moments->count ? cf_exact_value(&moments->sum[dim]) / (double)moments->count : 0;
}

/** Local. Errors: MEMORY. */
static cf_status pick_by_variance(const select_survey *survey, cf_selection *selection)
{
    ranked *order = NULL;
    cf_status status = CF_ALLOC(order, survey->dim);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < survey->dim; k++)
        order[k] = (ranked){select_variance(&survey->popular, k), k};
    qsort(order, (size_t)survey->dim, sizeof *order, compare_ranked);
    for (int64_t k = 0; k < selection->n_dims; k++)
        selection->dims[k] = order[k].dim;
    qsort(selection->dims, (size_t)selection->n_dims, sizeof *selection->dims, compare_dims);
    cf_free(&order);
    return CF_OK;
}

static void pick_at_random(int64_t dim, const cf_config *config, cf_selection *selection)
{
    const cf_random key = {(uint64_t)cf_config_int(config, "seed"), CF_STREAM_DIMS};
    cf_permutation shuffle;

    if (cf_config_bool(config, "rand_replacement")) {
        for (int64_t k = 0; k < selection->n_dims; k++)
            selection->dims[k] = cf_random_below(key, (uint64_t)k, 0, 0, dim);
        return;
    }
    cf_permutation_create(&shuffle, key, 0, dim);
    for (int64_t k = 0; k < selection->n_dims; k++)
        selection->dims[k] = cf_permutation_at(&shuffle, k);
    qsort(selection->dims, (size_t)selection->n_dims, sizeof *selection->dims, compare_dims);
}

/* The pivots of the covariance. Collective. */
static cf_status pick_by_pivots(const cf_dataset *dataset, const select_survey *survey,
                                cf_selection *selection)
{
    const cf_par *par = dataset->world;
    cf_panels *covariance = NULL;
    double *mean = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(par, CF_ALLOC(mean, survey->dim)));
    for (int64_t k = 0; k < survey->dim; k++)
        mean[k] = select_mean(&survey->all, k);
    CF_TRY(select_covariance_take(dataset, mean, survey->all.count, &covariance));
    CF_TRY(select_covariance_pivots(covariance, selection->n_dims, selection->dims));
    qsort(selection->dims, (size_t)selection->n_dims, sizeof *selection->dims, compare_dims);
done:
    cf_linalg_destroy_panels(&covariance);
    cf_free(&mean);
    return status;
}

/** Collective. Errors: MEMORY, those of reading. */
static cf_status pick(const cf_dataset *dataset, const select_survey *survey,
                      const cf_config *config, cf_selection *selection)
{
    const int64_t stride = survey->dim / selection->n_dims; /* full: 1 */

    if (cf_config_is(config, "emb_selection", "var"))
        return cf_par_agree(dataset->world, pick_by_variance(survey, selection));
    if (cf_config_is(config, "emb_selection", "qr"))
        return pick_by_pivots(dataset, survey, selection);
    if (cf_config_is(config, "emb_selection", "rand"))
        pick_at_random(survey->dim, config, selection);
    else
        for (int64_t k = 0; k < selection->n_dims; k++)
            selection->dims[k] = k * stride;
    return CF_OK;
}

/** One affine map of all selected columns to [0, 1]; columns of one value alone go to 0. */
static void set_minmax(const select_survey *survey, cf_selection *selection)
{
    double low = INFINITY, high = -INFINITY;

    for (int64_t k = 0; k < selection->n_dims; k++) {
        low = fmin(low, (double)survey->low[selection->dims[k]]);
        high = fmax(high, (double)survey->high[selection->dims[k]]);
    }
    if (low > high) low = high = 0; /* not one item has a vector */
    for (int64_t k = 0; k < selection->n_dims; k++)
        selection->shift[k] = low;
    if (high > low) selection->factor = 1 / (high - low);
}

/** What dimensions have beside their numbers. */
static void set_constants(const select_survey *survey, const cf_config *config,
                          cf_selection *selection)
{
    if (cf_config_is(config, "emb_scale", "minmax")) set_minmax(survey, selection);
    for (int64_t k = 0; k < selection->n_dims; k++) {
        int64_t dim = selection->dims[k];

        selection->variances[k] = select_variance(&survey->popular, dim);
        if (cf_config_is(config, "emb_scale", "center"))
            selection->shift[k] = select_mean(&survey->all, dim);
        if (!selection->mean) continue;
        selection->mean[k] = select_mean(&survey->all, dim);
        selection->deviation[k] = sqrt(select_variance(&survey->all, dim));
    }
}

/* Who is too few for what is asked. The same on every rank. */
static cf_status check_counts(const cf_dataset *dataset, const cf_config *config,
                              const select_survey *survey, int64_t n_popular)
{
    const char *path = cf_dataset_path(dataset);

    if (cf_config_is(config, "emb_selection", "var") && survey->popular.count < 2)
        return CF_FAIL(CF_ERR_USAGE,
                       "only %" PRId64 " of the %" PRId64 " most interacted items of %s have a "
                       "vector: a variance needs 2",
                       survey->popular.count, n_popular, path);
    if ((select_is_map(config) || cf_config_is(config, "emb_selection", "qr")) &&
        survey->all.count < 2)
        return CF_FAIL(CF_ERR_USAGE,
                       "only %" PRId64 " of the items of %s have a vector: emb_selection: %s needs "
                       "2",
                       survey->all.count, path, cf_config_text(config, "emb_selection"));
    return CF_OK;
}

/* What the pass over the vectors must tell beside the variances over popular items. */
static bool needs_all(const cf_config *config, bool stand_in)
{
    return stand_in || select_is_map(config) || cf_config_is(config, "emb_selection", "qr") ||
           cf_config_is(config, "emb_scale", "center") ||
           cf_config_is(config, "emb_scale", "minmax");
}

cf_status cf_select_dims(const cf_dataset *dataset, const cf_config *config, cf_selection **out)
{
    const int64_t n_popular =
        (int64_t)floor(cf_config_real(config, "popular_ratio") * (double)dataset->n_items);
    const bool map = select_is_map(config);
    const bool stand_in =
        dataset->n_missing > 0 && (cf_config_is(config, "missing_embedding", "random") ||
                                   (!map && cf_config_is(config, "missing_embedding", "mean")));
    select_survey survey = {.dim = dataset->embedding_dim, .whole = needs_all(config, stand_in)};
    cf_selection *selection = NULL;
    cf_status status;

    CF_ASSERT(!cf_config_is(config, "emb_selection", "False"));
    CF_TRY(select_check_settings(dataset, config, n_popular));
    if (dataset->n_missing > 0 && cf_config_is(config, "missing_embedding", "error"))
        CF_TRY(cf_dataset_refuse_missing(dataset, "zero, mean or random"));
    status = create_selection(cf_config_int(config, "embedding_size"), map ? survey.dim : 0,
                              stand_in, &selection);
    CF_TRY(cf_par_agree(dataset->world, status));
    CF_TRY(select_survey_take(dataset, config, n_popular, &survey));
    CF_TRY(check_counts(dataset, config, &survey, n_popular));
    selection->n_popular = n_popular;
    selection->factor = 1;
    selection->gain = cf_config_real(config, "emb_gain");
    selection->unit = cf_config_is(config, "emb_scale", "l2");
    if (map) {
        CF_TRY(select_find_map(dataset, config, &survey, selection));
    } else {
        CF_TRY(pick(dataset, &survey, config, selection));
        set_constants(&survey, config, selection);
    }
    CF_TRY(select_measure(dataset, config, selection));
    *out = selection;
    selection = NULL;
done:
    select_survey_destroy(&survey);
    cf_select_destroy(&selection);
    return status;
}
