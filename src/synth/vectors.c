/* Vectors of items: those of their clusters, with noise. */
#include "internal.h"

#include <math.h>
#include <string.h>

enum { A_DRAW = 4 }; /* numbers of 16 bits in one draw: plenty for noise, and four times as fast */

cf_status synth_open_vectors(const synth_plan *plan, int64_t first_item, synth_vectors *out)
{
    const int64_t dim = plan->dim;
    double sum = 0, length;
    cf_status status;

    *out = (synth_vectors){.plan = plan, .first_item = first_item};
    CF_TRY(CF_ALLOC(out->centers, plan->n_clusters * dim));
    CF_TRY(CF_ALLOC(out->spread, dim));
    CF_TRY(CF_ALLOC(out->row, dim + A_DRAW));
    for (int64_t j = 0; j < dim; j++) {
        const double spread =
            exp2(-4 * cf_random_uniform(synth_random(plan, SYNTH_SPREAD), (uint64_t)j, 0, 0));

        out->spread[j] = (float)spread;
        sum += spread * spread;
    }
    length = sqrt(sum * (1 + plan->noise * plan->noise));
    for (int64_t c = 0; c < plan->n_clusters; c++)
        for (int64_t j = 0; j < dim; j++)
            out->centers[c * dim + j] = (float)(out->spread[j] / length *
                                                cf_random_normal(synth_random(plan, SYNTH_CENTER),
                                                                 (uint64_t)c, (uint64_t)j, 0));
    /* numbers spread evenly over -h .. h have variance h^2 / 3 */
    for (int64_t j = 0; j < dim; j++)
        out->spread[j] *= (float)(plan->noise * sqrt(3) / length);
done:
    return status;
}

void synth_close_vectors(synth_vectors *vectors)
{
    cf_free(&vectors->centers);
    cf_free(&vectors->spread);
    cf_free(&vectors->row);
}

/* `out`: dim. */
static void make_row(const synth_vectors *from, int64_t item, float *out)
{
    const int64_t dim = from->plan->dim;
    const float *center = from->centers + synth_cluster_of(from->plan, item) * dim;
    const cf_random random = synth_random(from->plan, SYNTH_NOISE);

    for (int64_t j = 0; j < dim; j += A_DRAW) {
        const uint64_t bits = cf_random_bits(random, (uint64_t)item, (uint64_t)j, 0);

        for (int64_t k = 0; k < A_DRAW && j + k < dim; k++) {
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
    const int64_t dim = from->plan->dim;

    memset(present, 1, (size_t)count);
    for (int64_t k = 0; k < count; k++) {
        const int64_t item = from->first_item + first + k;

        if (from->plan->type == CF_F32) {
            make_row(from, item, (float *)rows + k * dim);
        } else {
            make_row(from, item, from->row);
            cf_store_f32_to_f16(from->row, (uint16_t *)rows + k * dim, dim);
        }
    }
    return CF_OK;
}
