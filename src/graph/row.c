/* How rows of fields are stored: as floats, or rounded to bfloat16 (bfloat16.h), times a factor.
 *
 * Every row of a field passes through here, so numbers are rounded at one place, in the same way by
 * every instruction set: integer arithmetic on the bits, no instruction that converts. Sums read
 * them as floats again (accumulate.c). tests/graph/precision.c rounds in plain C. */
#include "bfloat16.h"
#include "internal.h"
#include "stream.h"

#include <string.h>

/* Fields from here on are larger than the caches of a processor. Steps of 2 million users and items
 * (fields of 1 GB) take 0.7 to 0.9 of the time, fields of 150 MB about the same, smaller ones more
 * (tools/bench/step.c, AMD Zen 4 and 5). */
#define STREAM_FROM ((int64_t)128 << 20)

bool graph_streams(const cf_graph *graph, cf_row_kind kind)
{
    const int64_t row = cf_graph_row_floats(kind) * (int64_t)sizeof(float);

    return graph_n_places(graph) * row >= STREAM_FROM;
}

static inline void store(void *out, const void *values, const size_t bytes, const bool streams)
{
    if (streams)
        stream_store(out, values, bytes);
    else
        memcpy(out, values, bytes);
}

static inline __attribute__((always_inline)) void
store_float32(float *out, const float *in, cf_vector factor, int64_t width, const bool streams)
{
    for (int64_t k = 0; k < width; k += CF_LANES) {
        cf_vector segment[CF_PARTS];

        for (int v = 0; v < CF_PARTS; v++)
            segment[v] = cf_vector_load(in + k + v * CF_VECTOR) * factor;
        store(out + k, segment, sizeof segment, streams);
    }
}

static inline __attribute__((always_inline)) void
store_bfloat16(float *out, const float *in, cf_vector factor, int64_t width, const bool streams)
{
    int64_t k = 0;

    for (; k + 2 * CF_LANES <= width; k += 2 * CF_LANES, out += BFLOAT16_PAIR_FLOATS) {
        bfloat16_words pair[CF_PARTS];

        for (int v = 0; v < CF_PARTS; v++) {
            const float *first = in + k + v * CF_VECTOR;

            pair[v] = bfloat16_pack_pair(cf_vector_load(first) * factor,
                                         cf_vector_load(first + CF_LANES) * factor);
        }
        store(out, pair, sizeof pair, streams);
    }
    if (k < width) {
        bfloat16_halves single[CF_PARTS];

        for (int v = 0; v < CF_PARTS; v++)
            single[v] = bfloat16_pack_single(cf_vector_load(in + k + v * CF_VECTOR) * factor);
        store(out, single, sizeof single, streams);
    }
}

static inline __attribute__((always_inline)) void
store_row(cf_row_kind kind, float *out, const float *in, float factor, const bool streams)
{
    if (kind.precision == CF_BFLOAT16)
        store_bfloat16(out, in, cf_vector_all(factor), kind.width, streams);
    else
        store_float32(out, in, cf_vector_all(factor), kind.width, streams);
}

void cf_graph_store_row(cf_row_kind kind, float *out, const float *in, float factor)
{
    store_row(kind, out, in, factor, false);
}

void cf_graph_write_row(const cf_field *field, cf_side side, int64_t row, const float *in,
                        float factor)
{
    float *out = field->rows[side] + row * field->stride;

    if (field->streams) {
        store_row(field->kind, out, in, factor, true);
        return;
    }
    cf_lanes_prefetch(out + CF_ROWS_AHEAD * field->stride, field->stride);
    store_row(field->kind, out, in, factor, false);
}

void cf_graph_write_rows(const cf_field *field, cf_side side, const cf_scaled_rows *rows)
{
    const int64_t width = field->kind.width;

#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t k = 0; k < rows->count; k++) {
            const int64_t row = rows->rows != NULL ? rows->rows[k] : k;

            cf_graph_write_row(field, side, row, rows->values + row * width, rows->factor[row]);
        }
        stream_end();
    }
}
