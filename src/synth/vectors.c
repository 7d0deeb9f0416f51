/* Vectors of items: the vector of the item's cluster plus noise.
 *
 *     v[i][j] = spread[j] / length * (center[c(i)][j] + noise * e[i][j])
 *
 * center: standard normal, n_clusters x dim. e: uniform with variance 1. spread[j] = 2^(-4 u): the
 * dimensions have unequal variances, as those of language models have. length^2 = sum spread^2 *
 * (1 + noise^2), so that the mean square length of a vector is 1. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* 16-bit numbers from one draw of 64 bits: precise enough for noise, and four times as fast. */
enum { NUMBERS_PER_DRAW = 4 };

/* The constant parts: vectors of the clusters, and for each dimension the range of the noise. */
cf_status synth_open_vectors(const synth_plan *plan, int64_t first_item, synth_vectors *out)
{
    const int64_t dim = plan->options.embedding_dim, n_clusters = plan->options.n_clusters;
    const double noise = plan->options.embedding_noise;
    double sum = 0, length;
    cf_status status;

    *out = (synth_vectors){.plan = plan, .first_item = first_item};
    CF_TRY(CF_ALLOC(out->centers, n_clusters * dim));
    CF_TRY(CF_ALLOC(out->spread, dim));
    CF_TRY(CF_ALLOC(out->row, dim + NUMBERS_PER_DRAW));
    for (int64_t j = 0; j < dim; j++) {
        const double spread =
            exp2(-4 * cf_random_uniform(synth_random(plan, SYNTH_SPREAD), (uint64_t)j, 0, 0));

        out->spread[j] = (float)spread;
        sum += spread * spread;
    }
    length = sqrt(sum * (1 + noise * noise));
    for (int64_t c = 0; c < n_clusters; c++)
        for (int64_t j = 0; j < dim; j++)
            out->centers[c * dim + j] = (float)(out->spread[j] / length *
                                                cf_random_normal(synth_random(plan, SYNTH_CENTER),
                                                                 (uint64_t)c, (uint64_t)j, 0));
    /* A uniform number in -h .. h has variance h^2 / 3, hence the factor sqrt(3). */
    for (int64_t j = 0; j < dim; j++)
        out->spread[j] *= (float)(noise * sqrt(3) / length);
done:
    return status;
}

void synth_close_vectors(synth_vectors *vectors)
{
    cf_free(&vectors->centers);
    cf_free(&vectors->spread);
    cf_free(&vectors->row);
}

/* The vector of an item into `out` (dim). A 16-bit number n becomes (2 n - 65535) / 65536, which is
 * symmetric about 0 and never 0. */
static void make_row(const synth_vectors *from, int64_t item, float *out)
{
    const int64_t dim = from->plan->options.embedding_dim;
    const float *center = from->centers + synth_cluster_of(from->plan, item) * dim;
    const cf_random random = synth_random(from->plan, SYNTH_NOISE);

    for (int64_t j = 0; j < dim; j += NUMBERS_PER_DRAW) {
        const uint64_t bits = cf_random_bits(random, (uint64_t)item, (uint64_t)j, 0);

        for (int64_t k = 0; k < NUMBERS_PER_DRAW && j + k < dim; k++) {
            const int32_t number = (int32_t)(bits >> 16 * k & 0xffff);

            out[j + k] =
                center[j + k] + from->spread[j + k] * ((float)(2 * number - 65535) * 0x1p-16f);
        }
    }
}

cf_status synth_read_vectors(void *context, int64_t first, int64_t count, void *rows,
                             uint8_t *present)
{
    const synth_vectors *from = context;
    const int64_t dim = from->plan->options.embedding_dim;

    memset(present, 1, (size_t)count);
    for (int64_t k = 0; k < count; k++) {
        const int64_t item = from->first_item + first + k;

        if (from->plan->options.embedding_type == CF_F32) {
            make_row(from, item, (float *)rows + k * dim);
        } else {
            make_row(from, item, from->row);
            cf_store_f32_to_f16(from->row, (uint16_t *)rows + k * dim, dim);
        }
    }
    return CF_OK;
}
