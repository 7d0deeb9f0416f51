/** Private to model: arithmetic of whole rows, whose widths are multiples of CF_LANES. */
#pragma once

#include "cf/math.h"

/** a . b, in the lanes' order: the same bits wherever it is computed. */
static inline float row_dot(const float *a, const float *b, int64_t width)
{
    cf_lanes sum = {0};

    for (int64_t k = 0; k < width; k += CF_LANES)
        sum = cf_lanes_fma(cf_lanes_load(a + k), cf_lanes_load(b + k), sum);
    return cf_lanes_sum(sum);
}

/** out = a + factor b */
static inline void row_add_scaled(float *out, const float *a, float factor, const float *b,
                                  int64_t width)
{
    for (int64_t k = 0; k < width; k += CF_VECTOR)
        cf_vector_store(out + k, cf_vector_fma(cf_vector_all(factor), cf_vector_load(b + k),
                                               cf_vector_load(a + k)));
}

/** out = factor a */
static inline void row_scale(float *out, const float *a, float factor, int64_t width)
{
    for (int64_t k = 0; k < width; k += CF_VECTOR)
        cf_vector_store(out + k, cf_vector_load(a + k) * cf_vector_all(factor));
}
