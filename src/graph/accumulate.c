/* The kernel: out = the sum of listed rows of a field, in the order of the list.
 *
 * A row is up to 8 segments of 16 floats at once, all held in registers; wider rows are summed part
 * by part. The rows lie anywhere in memory, so each step prefetches the row LOOK_AHEAD places ahead
 * in the list: the kernel runs at the machine's gather limit (tools/bench/sum.c measures both). */
#include "internal.h"

/* Segments held in registers at once; wider rows are summed part by part. */
enum { MAX_SEGMENTS = 8 };

/* in: rows x width; out: segments x 16. */
static inline __attribute__((always_inline)) void
accumulate_segments(const float *in, int64_t width, const columns *rows, float *out,
                    const int segments)
{
    cf_lanes sum[MAX_SEGMENTS] = {0};

    if (rows->continues) {
#pragma GCC unroll 8
        for (int s = 0; s < segments; s++)
            sum[s] = cf_lanes_load(out + s * CF_LANES);
    }
    for (const int32_t *column = rows->list; column < rows->list + rows->count; column++) {
        const float *row = in + column[0] * width;
        const float *ahead = in + column[LOOK_AHEAD] * width;

#pragma GCC unroll 8
        for (int s = 0; s < segments; s++) {
            __builtin_prefetch(ahead + s * CF_LANES);
            sum[s] += cf_lanes_load(row + s * CF_LANES);
        }
    }
#pragma GCC unroll 8
    for (int s = 0; s < segments; s++)
        cf_lanes_store(out + s * CF_LANES, sum[s]);
}

/* The number of segments is a constant in each call, so that the sums stay in registers. */
static void accumulate_part(const float *in, int64_t width, const columns *rows, float *out,
                            int segments)
{
    switch (segments) {
    case 1:
        accumulate_segments(in, width, rows, out, 1);
        break;
    case 2:
        accumulate_segments(in, width, rows, out, 2);
        break;
    case 3:
        accumulate_segments(in, width, rows, out, 3);
        break;
    case 4:
        accumulate_segments(in, width, rows, out, 4);
        break;
    case 5:
        accumulate_segments(in, width, rows, out, 5);
        break;
    case 6:
        accumulate_segments(in, width, rows, out, 6);
        break;
    case 7:
        accumulate_segments(in, width, rows, out, 7);
        break;
    default:
        accumulate_segments(in, width, rows, out, 8);
        break;
    }
}

void graph_accumulate(const float *in, int64_t width, const columns *rows, float *out)
{
    const int64_t part = MAX_SEGMENTS * CF_LANES;

    /* each dimension is a sum of its own, so cutting a wide row into parts changes no bit */
    for (int64_t d = 0; d < width; d += part) {
        accumulate_part(in + d, width, rows, out + d, (int)(cf_min(width - d, part) / CF_LANES));
    }
}
