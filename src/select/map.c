/* Linear maps of the vectors: y = diag(scales) V' (x - center), V: components (D x n_dims).
 *
 *     pca         V: eigenvectors of the covariance with the largest eigenvalues l_k; scales 1
 *     whiten      the same with scales l_k^(-whiten_power / 2); a power of 1 is PCA whitening,
 * which gives every column variance 1 projection  V: normal numbers over sqrt(n_dims) (Johnson and
 * Lindenstrauss 1984)
 *
 * tests/select/map.c compares pca and whiten with NumPy's numbers. */
#include "internal.h"

#include <math.h>

/* An eigenvector's sign is arbitrary: make its entry of largest magnitude, the first of equal ones,
 * positive. */
static void fix_signs(cf_selection *s)
{
    for (int64_t k = 0; k < s->n_dims; k++) {
        double most = 0;

        for (int64_t j = 0; j < s->source_dim; j++) {
            const double x = s->components[j * s->n_dims + k];
            if (fabs(x) > fabs(most)) most = x;
        }
        for (int64_t j = 0; j < s->source_dim && most < 0; j++)
            s->components[j * s->n_dims + k] *= -1;
    }
}

/* Variances below D 2^-52 of the largest are rounding of the covariance: their columns get scale 0
 * rather than a huge one. */
static void set_scales(double power, cf_selection *s)
{
    const double least = s->variances[0] * (double)s->source_dim * 0x1p-52;

    for (int64_t k = 0; k < s->n_dims; k++) {
        if (power == 0)
            s->scales[k] = 1;
        else
            s->scales[k] = s->variances[k] > least ? pow(s->variances[k], -power / 2) : 0;
    }
}

/* pca and whiten. `count`: items that have a vector. Collective. */
static cf_status find_components(const cf_dataset *dataset, const cf_select_options *options,
                                 int64_t count, cf_selection *s)
{
    cf_panels *covariance = NULL;
    cf_status status;

    CF_TRY(select_create_covariance(dataset, s->center, count, &covariance));
    CF_TRY(select_principal_components(covariance, options->one_rank_dim, s->n_dims, s->variances,
                                       s->components));
    fix_signs(s);
    set_scales(options->method == CF_SELECT_WHITEN ? options->whiten_power : 0, s);
done:
    cf_linalg_destroy_panels(&covariance);
    return status;
}

/* Every number is a function of (seed, j, k), so every rank draws the same matrix. */
static void draw_projection(uint64_t seed, cf_selection *s)
{
    const cf_random key = {seed, CF_STREAM_PROJECTION};

    for (int64_t j = 0; j < s->source_dim; j++)
        for (int64_t k = 0; k < s->n_dims; k++)
            s->components[j * s->n_dims + k] =
                cf_random_normal(key, (uint64_t)j, (uint64_t)k, 0) / sqrt((double)s->n_dims);
    for (int64_t k = 0; k < s->n_dims; k++)
        s->scales[k] = 1;
}

/* center, total_variance and deviation follow from the first-pass statistics of all items. */
cf_status select_find_map(const cf_dataset *dataset, const cf_select_options *options,
                          const select_statistics *statistics, cf_selection *s)
{
    for (int64_t j = 0; j < s->source_dim; j++) {
        s->center[j] = select_mean(&statistics->all, j);
        s->total_variance += select_variance(&statistics->all, j);
        if (s->deviation != NULL) s->deviation[j] = sqrt(select_variance(&statistics->all, j));
    }
    if (options->method != CF_SELECT_PROJECTION)
        return find_components(dataset, options, statistics->all.count, s);
    draw_projection(options->seed, s);
    return CF_OK;
}
