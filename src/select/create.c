/* Creating a selection: check the options, take the first-pass statistics of all vectors, choose
 * the dimensions (dims.c) or find the map (map.c), and measure what is known of reduced vectors
 * alone (measure.c). */
#include "internal.h"

#include <math.h>

/* The arrays of dimensions and of a map; the last two, and the last one, only where missing vectors
 * are imputed. */
enum { N_DIMS, SOURCE_DIM, PRODUCT };
static const cf_array dims_arrays[] = {
    CF_ARRAY(cf_selection, variances, N_DIMS, 1), CF_ARRAY(cf_selection, dims, N_DIMS, 1),
    CF_ARRAY(cf_selection, shift, N_DIMS, 1),     CF_ARRAY(cf_selection, mean, N_DIMS, 1),
    CF_ARRAY(cf_selection, deviation, N_DIMS, 1),
};
static const cf_array map_arrays[] = {
    CF_ARRAY(cf_selection, variances, N_DIMS, 1),     CF_ARRAY(cf_selection, center, SOURCE_DIM, 1),
    CF_ARRAY(cf_selection, components, PRODUCT, 1),   CF_ARRAY(cf_selection, scales, N_DIMS, 1),
    CF_ARRAY(cf_selection, deviation, SOURCE_DIM, 1),
};
enum {
    N_DIMS_ARRAYS = sizeof dims_arrays / sizeof *dims_arrays,
    N_MAP_ARRAYS = sizeof map_arrays / sizeof *map_arrays
};

void cf_select_destroy(cf_selection **selection)
{
    if (*selection == NULL) return;
    cf_arrays_destroy(*selection, dims_arrays, N_DIMS_ARRAYS);
    cf_arrays_destroy(*selection, map_arrays, N_MAP_ARRAYS);
    cf_free(selection);
}

/* `source_dim`: D of a map, 0 of dimensions. Local. Errors: MEMORY. */
static cf_status allocate_selection(int64_t n_dims, int64_t source_dim, bool imputes,
                                    cf_selection **out)
{
    const int64_t counts[] = {n_dims, source_dim, n_dims * source_dim};
    cf_selection *selection = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(selection, 1));
    selection->n_dims = n_dims;
    selection->source_dim = source_dim;
    if (source_dim > 0)
        CF_TRY(cf_arrays_create(selection, map_arrays, N_MAP_ARRAYS - (imputes ? 0 : 1), counts));
    else
        CF_TRY(cf_arrays_create(selection, dims_arrays, N_DIMS_ARRAYS - (imputes ? 0 : 2), counts));
    *out = selection;
    selection = NULL;
done:
    cf_select_destroy(&selection);
    return status;
}

/* A variance needs two vectors, of the popular items or of all. The same on every rank. */
static cf_status check_counts(const cf_dataset *dataset, const cf_select_options *options,
                              const select_statistics *statistics, int64_t n_popular)
{
    const char *path = cf_dataset_path(dataset);

    if (options->method == CF_SELECT_VAR && statistics->popular.count < 2)
        return CF_FAIL(CF_ERR_USAGE,
                       "only %lld of the %lld most interacted items of %s have a vector: "
                       "emb_selection: var needs 2",
                       (long long)statistics->popular.count, (long long)n_popular, path);
    if ((select_is_map(options->method) || options->method == CF_SELECT_QR) &&
        statistics->all.count < 2)
        return CF_FAIL(CF_ERR_USAGE,
                       "only %lld items of %s have a vector: emb_selection: %s needs 2",
                       (long long)statistics->all.count, path, select_method_name(options->method));
    return CF_OK;
}

/* True if missing vectors are replaced by numbers that the statistics of all items give. A map of
 * the mean is zero, so that alone needs nothing. */
static bool imputes_missing(const cf_dataset *dataset, const cf_select_options *options)
{
    return dataset->n_missing > 0 &&
           (options->missing == CF_SELECT_MISSING_RANDOM ||
            (options->missing == CF_SELECT_MISSING_MEAN && !select_is_map(options->method)));
}

/* True if the first pass has to cover all items, not only the popular ones. */
static bool needs_all_items(const cf_dataset *dataset, const cf_select_options *options)
{
    return imputes_missing(dataset, options) || select_is_map(options->method) ||
           options->method == CF_SELECT_QR || options->scale == CF_SELECT_CENTER ||
           options->scale == CF_SELECT_MINMAX;
}

static int64_t count_popular(const cf_dataset *dataset, const cf_select_options *options)
{
    return (int64_t)floor(options->popular_ratio * (double)cf_dataset_warm_items(dataset));
}

/* The order matters for the messages: options first, which need no reading, then missing vectors.
 */
cf_status cf_select_check(const cf_dataset *dataset, const cf_select_options *options)
{
    cf_status status;

    CF_TRY(select_check_options(dataset, options, count_popular(dataset, options)));
    if (options->missing == CF_SELECT_MISSING_ERROR)
        CF_TRY(cf_dataset_refuse_missing(dataset, "zero, mean or random"));
done:
    return status;
}

/* Then what only the statistics show. The arrays are there before the first pass, so that lack of
 * memory is found early. */
cf_status cf_select_create(const cf_dataset *dataset, const cf_select_options *options,
                           cf_selection **out)
{
    const int64_t n_popular = count_popular(dataset, options);
    const bool map = select_is_map(options->method);
    select_statistics statistics = {0};
    cf_selection *selection = NULL;
    cf_status status;

    CF_ASSERT(options->method != CF_SELECT_NOISE);
    CF_TRY(cf_select_check(dataset, options));
    status = allocate_selection(options->size, map ? dataset->embedding_dim : 0,
                                imputes_missing(dataset, options), &selection);
    CF_TRY(cf_par_agree(dataset->world, status));
    CF_TRY(select_create_statistics(dataset, options, n_popular, needs_all_items(dataset, options),
                                    &statistics));
    CF_TRY(check_counts(dataset, options, &statistics, n_popular));
    selection->n_popular = n_popular;
    selection->factor = 1;
    selection->gain = options->gain;
    selection->unit = options->scale == CF_SELECT_L2;
    if (map)
        CF_TRY(select_find_map(dataset, options, &statistics, selection));
    else
        CF_TRY(select_pick_dims(dataset, options, &statistics, selection));
    CF_TRY(select_measure(dataset, options, selection));
    *out = selection;
    selection = NULL;
done:
    select_destroy_statistics(&statistics);
    cf_select_destroy(&selection);
    return status;
}
