/* The kernel: out = the sum of listed rows of a field, in the order of the list, in float32
 * whatever the rows' precision.
 *
 * A row is up to 8 segments of 16 floats at once, all held in registers; wider rows are summed part
 * by part. The rows lie anywhere in memory, so each step prefetches the row LOOK_AHEAD places ahead
 * in the list: the kernel runs at the machine's gather limit (tools/bench/sum.c measures both). */
#include "bfloat16.h"
#include "internal.h"

/* Segments held in registers at once; wider rows are summed part by part. */
enum { MAX_SEGMENTS = 8, REGISTERS = MAX_SEGMENTS * CF_PARTS };

/* sum += the first `segments` segments of a row */
static inline __attribute__((always_inline)) void
add_row(cf_vector *sum, const float *row, const int segments, const cf_precision precision)
{
    if (precision == CF_FLOAT32) {
#pragma GCC unroll 16
        for (int v = 0; v < segments * CF_PARTS; v++)
            sum[v] += cf_vector_load(row + v * CF_VECTOR);
        return;
    }
#pragma GCC unroll 8
    for (int v = 0; v < segments / 2 * CF_PARTS; v++) {
        cf_vector *of_first = sum + v / CF_PARTS * 2 * CF_PARTS + v % CF_PARTS;
        cf_vector first, second;

        bfloat16_load_pair(row + v * CF_VECTOR, &first, &second);
        of_first[0] += first;
        of_first[CF_PARTS] += second;
    }
    if (segments % 2 == 1) {
        const float *single = row + segments / 2 * BFLOAT16_PAIR_FLOATS;

#pragma GCC unroll 4
        for (int v = 0; v < CF_PARTS; v++)
            sum[(segments - 1) * CF_PARTS + v] += bfloat16_load_single(single + v * CF_VECTOR / 2);
    }
}

/* in: rows of `stride` floats; out: segments x 16. */
static inline __attribute__((always_inline)) void
accumulate_segments(const float *in, int64_t stride, const columns *rows, float *out,
                    const int segments, const cf_precision precision)
{
    const int64_t floats = cf_graph_row_floats((cf_row_kind){segments * CF_LANES, precision});
    cf_vector sum[REGISTERS] = {0};

    if (rows->continues) {
#pragma GCC unroll 16
        for (int v = 0; v < segments * CF_PARTS; v++)
            sum[v] = cf_vector_load(out + v * CF_VECTOR);
    }
    for (const int32_t *column = rows->list; column < rows->list + rows->count; column++) {
        cf_lanes_prefetch(in + column[LOOK_AHEAD] * stride, floats);
        add_row(sum, in + column[0] * stride, segments, precision);
    }
#pragma GCC unroll 16
    for (int v = 0; v < segments * CF_PARTS; v++)
        cf_vector_store(out + v * CF_VECTOR, sum[v]);
}

/* Segments and precision are constants in each call, so that the sums stay in registers. */
static inline __attribute__((always_inline)) void accumulate_part(const float *in, int64_t stride,
                                                                  const columns *rows, float *out,
                                                                  int segments,
                                                                  const cf_precision precision)
{
    switch (segments) {
    case 1:
        accumulate_segments(in, stride, rows, out, 1, precision);
        break;
    case 2:
        accumulate_segments(in, stride, rows, out, 2, precision);
        break;
    case 3:
        accumulate_segments(in, stride, rows, out, 3, precision);
        break;
    case 4:
        accumulate_segments(in, stride, rows, out, 4, precision);
        break;
    case 5:
        accumulate_segments(in, stride, rows, out, 5, precision);
        break;
    case 6:
        accumulate_segments(in, stride, rows, out, 6, precision);
        break;
    case 7:
        accumulate_segments(in, stride, rows, out, 7, precision);
        break;
    default:
        accumulate_segments(in, stride, rows, out, MAX_SEGMENTS, precision);
        break;
    }
}

void graph_accumulate(const sum_work *work, const columns *rows, float *out)
{
    const int64_t part = MAX_SEGMENTS * CF_LANES, width = work->kind.width;
    const int64_t stride = cf_graph_row_floats(work->kind);

    /* each dimension is a sum of its own, so cutting a wide row into parts changes no bit */
    for (int64_t d = 0; d < width; d += part) {
        const int segments = (int)(cf_min(width - d, part) / CF_LANES);

        if (work->kind.precision == CF_BFLOAT16)
            accumulate_part(work->in + d / 2, stride, rows, out + d, segments, CF_BFLOAT16);
        else
            accumulate_part(work->in + d, stride, rows, out + d, segments, CF_FLOAT32);
    }
}
