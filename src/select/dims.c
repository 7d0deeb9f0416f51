#include "internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const cf_setting cf_select_settings[] = {
    {.name = "emb_selection",
     .kind = CF_SETTING_CHOICE,
     .initial = "var",
     .choices = "uni|rand|var|full|False",
     .help = "which dimensions of the language-model vectors start the item table; False: noise"},
    {.name = "embedding_size",
     .kind = CF_SETTING_INT,
     .initial = "64",
     .min = 1,
     .max = 65536,
     .help = "dimensions of the model"},
    {.name = "popular_ratio",
     .kind = CF_SETTING_REAL,
     .initial = "0.2",
     .min = 0,
     .max = 1,
     .help = "share of the items, the most interacted, over which var takes the variance"},
    {.name = "rand_replacement",
     .kind = CF_SETTING_BOOL,
     .initial = "false",
     .help = "rand draws with replacement, so that a dimension may come twice"},
    {.name = "emb_scale",
     .kind = CF_SETTING_CHOICE,
     .initial = "none",
     .choices = "none|center|minmax|l2",
     .help = "map of the selected columns: minus their means, to [0, 1], or each row to length 1"},
    {.name = "emb_gain",
     .kind = CF_SETTING_REAL,
     .initial = "1",
     .min = 1e-6,
     .max = 1e6,
     .help = "factor on the starting item vectors"},
    {.name = "missing_embedding",
     .kind = CF_SETTING_CHOICE,
     .initial = "error",
     .choices = "error|zero|mean|random",
     .help = "what stands for the vector of an item without one"},
    {.name = "select_memory",
     .kind = CF_SETTING_INT,
     .initial = "64",
     .min = 1,
     .max = 1048576,
     .help = "buffer of a rank for reading the vectors, MiB",
     .machine = true},
    {.name = NULL},
};

void cf_select_destroy(cf_selection **selection)
{
    if (!*selection) return;
    cf_free(&(*selection)->dims);
    cf_free(&(*selection)->variances);
    cf_free(&(*selection)->shift);
    cf_free(&(*selection)->mean);
    cf_free(&(*selection)->deviation);
    cf_free(selection);
}

static cf_status create_selection(int64_t n_dims, bool stand_in, cf_selection **out)
{
    cf_selection *selection = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(selection, 1));
    CF_TRY(CF_ALLOC(selection->dims, n_dims));
    CF_TRY(CF_ALLOC(selection->variances, n_dims));
    CF_TRY(CF_ALLOC(selection->shift, n_dims));
    if (stand_in) {
        CF_TRY(CF_ALLOC(selection->mean, n_dims));
        CF_TRY(CF_ALLOC(selection->deviation, n_dims));
    }
    selection->n_dims = n_dims;
    *out = selection;
    selection = NULL;
done:
    cf_select_destroy(&selection);
    return status;
}

static cf_status check_settings(const cf_dataset *dataset, const cf_config *config,
                                int64_t n_popular)
{
    const char *path = cf_store_path(dataset->store);
    const int64_t size = cf_config_int(config, "embedding_size"), dim = dataset->embedding_dim;

    if (dim == 0)
        return CF_FAIL(CF_ERR_USAGE,
                       "%s: has no language-model vectors, which emb_selection: %s "
                       "needs; emb_selection: False starts from noise",
                       path, cf_config_text(config, "emb_selection"));
    if (size > dim)
        return CF_FAIL(CF_ERR_USAGE,
                       "embedding_size is %" PRId64 ", but the vectors of %s have %" PRId64
                       " dimensions",
                       size, path, dim);
    if (cf_config_is(config, "emb_selection", "full") && size != dim)
        return CF_FAIL(CF_ERR_USAGE,
                       "embedding_size is %" PRId64 ", but emb_selection: full takes all %" PRId64
                       " dimensions of %s",
                       size, dim, path);
    if (cf_config_is(config, "emb_selection", "var") && n_popular < 2)
        return CF_FAIL(CF_ERR_USAGE,
                       "popular_ratio %g of %" PRId64 " items is %" PRId64
                       ", but a variance needs at least 2 items",
                       cf_config_real(config, "popular_ratio"), dataset->n_items, n_popular);
    return CF_OK;
}

/** Refuse a dataset with missing vectors, naming the first of them. Collective. */
static cf_status refuse_missing(const cf_dataset *dataset)
{
    const cf_par *par = dataset->world;
    const int64_t start = cf_par_even_start(dataset->n_items, par->size, par->rank);
    const int64_t next = cf_par_even_start(dataset->n_items, par->size, par->rank + 1);
    const cf_slab slab = {start, next - start, 0, 1, 1};
    int64_t first = 0;
    uint8_t *present = NULL;
    char item[256];
    cf_status status;

    CF_TRY(cf_par_agree(par, CF_ALLOC(present, next - start)));
    CF_TRY(cf_store_read(dataset->store, "/items/embedding_present", CF_U8, &slab, present));
    while (first < next - start && present[first])
        first++;
    first = first < next - start ? start + first : dataset->n_items - 1;
    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT64_T, MPI_MIN, par->comm);
    cf_dataset_describe(dataset, CF_ITEM_IDS, first, item, sizeof item);
    status = CF_FAIL(CF_ERR_FORMAT,
                     "%s: %" PRId64 " of %" PRId64 " items have no vector, the first is %s; "
                     "missing_embedding: zero, mean or random goes on without",
                     cf_store_path(dataset->store), dataset->n_missing, dataset->n_items, item);
done:
    cf_free(&present);
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

static double variance_of(const select_moments *moments, int64_t dim)
{
    return cf_exact_variance(&moments->sum[dim], &moments->squares[dim], moments->count);
}

/** Local. Errors: MEMORY. */
static cf_status pick_by_variance(const select_survey *survey, cf_selection *selection)
{
    ranked *order = NULL;
    cf_status status = CF_ALLOC(order, survey->dim);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < survey->dim; k++)
        order[k] = (ranked){variance_of(&survey->popular, k), k};
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

/** Local. Errors: MEMORY. */
static cf_status pick(const select_survey *survey, const cf_config *config, cf_selection *selection)
{
    const int64_t stride = survey->dim / selection->n_dims; /* full: 1 */
    cf_status status = CF_OK;

    if (cf_config_is(config, "emb_selection", "var"))
        status = pick_by_variance(survey, selection);
    else if (cf_config_is(config, "emb_selection", "rand"))
        pick_at_random(survey->dim, config, selection);
    else
        for (int64_t k = 0; k < selection->n_dims; k++)
            selection->dims[k] = k * stride;
    return status;
}

static double mean_of(const select_moments *moments, int64_t dim)
{
    return moments->count ? cf_exact_value(&moments->sum[dim]) / (double)moments->count : 0;
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

static void set_numbers(const select_survey *survey, const cf_config *config,
                        cf_selection *selection)
{
    selection->factor = 1;
    selection->gain = cf_config_real(config, "emb_gain");
    selection->unit = cf_config_is(config, "emb_scale", "l2");
    if (cf_config_is(config, "emb_scale", "minmax")) set_minmax(survey, selection);
    for (int64_t k = 0; k < selection->n_dims; k++) {
        int64_t dim = selection->dims[k];

        selection->variances[k] = variance_of(&survey->popular, dim);
        if (cf_config_is(config, "emb_scale", "center"))
            selection->shift[k] = mean_of(&survey->all, dim);
        if (!selection->mean) continue;
        selection->mean[k] = mean_of(&survey->all, dim);
        selection->deviation[k] = sqrt(variance_of(&survey->all, dim));
    }
}

cf_status cf_select_dims(const cf_dataset *dataset, const cf_config *config, cf_selection **out)
{
    const int64_t n_popular =
        (int64_t)floor(cf_config_real(config, "popular_ratio") * (double)dataset->n_items);
    const bool stand_in =
        dataset->n_missing > 0 && (cf_config_is(config, "missing_embedding", "mean") ||
                                   cf_config_is(config, "missing_embedding", "random"));
    select_survey survey = {.dim = dataset->embedding_dim};
    cf_selection *selection = NULL;
    cf_status status;

    CF_ASSERT(!cf_config_is(config, "emb_selection", "False"));
    survey.whole = stand_in || cf_config_is(config, "emb_scale", "center") ||
                   cf_config_is(config, "emb_scale", "minmax");
    CF_TRY(check_settings(dataset, config, n_popular));
    if (dataset->n_missing > 0 && cf_config_is(config, "missing_embedding", "error"))
        CF_TRY(refuse_missing(dataset));
    status = create_selection(cf_config_int(config, "embedding_size"), stand_in, &selection);
    CF_TRY(cf_par_agree(dataset->world, status));
    CF_TRY(select_survey_take(dataset, config, n_popular, &survey));
    if (cf_config_is(config, "emb_selection", "var") && survey.popular.count < 2)
        CF_TRY(CF_FAIL(CF_ERR_USAGE,
                       "only %" PRId64 " of the %" PRId64 " most interacted items of %s have a "
                       "vector: a variance needs 2",
                       survey.popular.count, n_popular, cf_store_path(dataset->store)));
    CF_TRY(cf_par_agree(dataset->world, pick(&survey, config, selection)));
    selection->n_popular = n_popular;
    set_numbers(&survey, config, selection);
    *out = selection;
    selection = NULL;
done:
    select_survey_destroy(&survey);
    cf_select_destroy(&selection);
    return status;
}
