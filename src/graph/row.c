/* How rows of fields are stored: as floats, or rounded to bfloat16 (bfloat16.h), times a factor.
 *
 * Every row of a field passes through here, so numbers are rounded at one place, in the same way by
 * every instruction set: integer arithmetic on the bits, no instruction that converts. Sums read
 * them as floats again (accumulate.c). tests/graph/precision.c rounds in plain C. */
#include "bfloat16.h"
#include "internal.h"

static void store_float32(float *out, const float *in, cf_lanes factor, int64_t width)
{
    for (int64_t k = 0; k < width; k += CF_LANES)
        cf_lanes_store(out + k, cf_lanes_load(in + k) * factor);
}

static void store_bfloat16(float *out, const float *in, cf_lanes factor, int64_t width)
{
    int64_t k = 0;

    for (; k + 2 * CF_LANES <= width; k += 2 * CF_LANES, out += BFLOAT16_PAIR_FLOATS)
        bfloat16_store_pair(out, cf_lanes_load(in + k) * factor,
                            cf_lanes_load(in + k + CF_LANES) * factor);
    if (k < width) bfloat16_store_single(out, cf_lanes_load(in + k) * factor);
}

void cf_graph_store_row(cf_row_kind kind, float *out, const float *in, float factor)
{
    if (kind.precision == CF_BFLOAT16)
        store_bfloat16(out, in, cf_lanes_all(factor), kind.width);
    else
        store_float32(out, in, cf_lanes_all(factor), kind.width);
}
