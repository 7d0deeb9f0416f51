/* Linear maps of the vectors: principal directions, whitened or not, and random ones. */
#include "internal.h"

#include <math.h>

/* The component of largest magnitude, the first of equal ones, is positive in each direction. */
static void fix_signs(cf_selection *s)
{
    for (int64_t k = 0; k < s->n_dims; k++) {
        double most = 0;

        for (int64_t j = 0; j < s->source_dim; j++) {
            const double x = s->directions[j * s->n_dims + k];
            if (fabs(x) > fabs(most)) most = x;
        }
        for (int64_t j = 0; j < s->source_dim && most < 0; j++)
            s->directions[j * s->n_dims + k] *= -1;
    }
}

static cf_status find_principal(const cf_dataset *dataset, const cf_config *config, int64_t count,
                                cf_selection *s)
{
    const double power = cf_config_is(config, "emb_selection", "whiten")
                             ? cf_config_real(config, "whiten_power")
                             : 0;
    cf_panels *covariance = NULL;
    double least;
    cf_status status;

    CF_TRY(select_covariance_take(dataset, s->center, count, &covariance));
    CF_TRY(select_covariance_eigen(covariance, cf_config_int(config, "pca_one_rank"), s->n_dims,
                                   s->variances, s->directions));
    fix_signs(s);
    least = s->variances[0] * (double)s->source_dim * 0x1p-52;
    for (int64_t k = 0; k < s->n_dims; k++) {
        if (power == 0)
            s->scales[k] = 1;
        else
            s->scales[k] = s->variances[k] > least ? pow(s->variances[k], -power / 2) : 0;
    }
done:
    cf_linalg_destroy_panels(&covariance);
    return status;
}

static void draw_projection(const cf_config *config, cf_selection *s)
{
    const cf_random key = {(uint64_t)cf_config_int(config, "seed"), CF_STREAM_PROJECTION};

    for (int64_t j = 0; j < s->source_dim; j++)
        for (int64_t k = 0; k < s->n_dims; k++)
            s->directions[j * s->n_dims + k] =
                cf_random_normal(key, (uint64_t)j, (uint64_t)k, 0) / sqrt((double)s->n_dims);
    for (int64_t k = 0; k < s->n_dims; k++)
        s->scales[k] = 1;
}

cf_status select_find_map(const cf_dataset *dataset, const cf_config *config,
                          const select_survey *survey, cf_selection *s)
{
    for (int64_t j = 0; j < s->source_dim; j++) {
        s->center[j] = select_mean(&survey->all, j);
        s->total_variance += select_variance(&survey->all, j);
        if (s->deviation) s->deviation[j] = sqrt(select_variance(&survey->all, j));
    }
    if (!cf_config_is(config, "emb_selection", "projection"))
        return find_principal(dataset, config, survey->all.count, s);
    draw_projection(config, s);
    return CF_OK;
}
