/* Rows of few neighbours, by a matrix of the neighbours in place of the dimensions.
 *
 * In the basis where C is diagonal (basis.c) the equations of a row are
 *     (D + H'WH) x = H'W 1 + l p,   D = diag(e) + l I
 * with its n neighbours in the rows of H, and W = diag(c). With q = l D^-1 p and G = W^1/2 H
 * D^-1/2, x = q + D^-1 H'W^1/2 y,   (I + GG') y = W^1/2 (1 - H q) (Woodbury's identity in its
 * push-through form; no large numbers cancel). The matrix is n x n. It is made as those of long
 * rows are, from the columns of G in place of neighbours, in whole blocks of 16, of which those
 * behind n are the identity's; 16 of them are factored side by side. What the row makes smallest is
 * l sum p^2 e / (e + l) + |L^-1 r|^2, r: the right-hand side. tests/als/rows.c solves by
 * elimination in double. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* Which rows are short: the products of a matrix of so many blocks are fewer than those of a long
 * row by half. */
int64_t als_short_blocks(const als_solver *s, int64_t count)
{
    const int64_t n_blocks = cf_max(1, cf_ceil_div(count, CF_LANES));

    return n_blocks <= s->most_short ? n_blocks : 0;
}

static float root_of_confidence(const als_row *row, int64_t n)
{
    return row->weights == NULL ? 1.0f : sqrtf(als_confidence(row, n));
}

/* 1 / D, its root and q, of one row: 3 x width. */
typedef struct scales {
    float *shrink, *root, *q;
} scales;

static scales find_scales(const als_solver *s, const float *values, const als_row *row, int lane)
{
    const int64_t width = s->n_blocks * CF_LANES;
    float *at = s->scales + lane * 3 * width;
    const scales out = {at, at + width, at + 2 * width};

    for (int64_t d = 0; d < width; d++) {
        out.shrink[d] = 1.0f / (values[d] + row->weight);
        out.root[d] = __builtin_sqrtf(out.shrink[d]);
        out.q[d] = row->weight * row->values[d] * out.shrink[d];
    }
    return out;
}

/* Columns of G as rows of s->dual: width x (16 x n_blocks), zeros behind the last neighbour. */
static void fill_dual(const als_solver *s, const cf_field *in, const als_row *row,
                      const scales *scaled, int64_t n_blocks)
{
    const int64_t size = n_blocks * CF_LANES;
    float tile[CF_LANES * CF_LANES] __attribute__((aligned(64)));

    for (int64_t first = 0; first < size; first += CF_LANES)
        for (int64_t d = 0; d < s->n_blocks * CF_LANES; d += CF_LANES) {
            const cf_lanes root = cf_lanes_load(scaled->root + d);

            for (int n = 0; n < CF_LANES; n++) {
                cf_lanes g = cf_lanes_all(0);

                if (first + n < row->count)
                    g = cf_lanes_all(root_of_confidence(row, first + n)) * root *
                        cf_lanes_load(cf_graph_row(in, row->neighbours[first + n]) + d);
                cf_lanes_store(tile + n * CF_LANES, g);
            }
            als_transpose(tile, CF_LANES, s->dual + d * size + first, size);
        }
}

/* I + GG' of a lane, and its right-hand side. */
static void make_dual(const als_solver *s, const cf_field *in, const als_row *row,
                      const scales *scaled, int lane, int64_t n_blocks)
{
    const int64_t width = s->n_blocks * CF_LANES, size = n_blocks * CF_LANES;
    float *normal = s->normal + lane * als_triangle(n_blocks) * BLOCK_FLOATS;
    const float *from = s->identity;

    fill_dual(s, in, row, scaled, n_blocks);
    for (int64_t first = 0; first < width; first += ALS_CHUNK) {
        als_chunk near = {.count = (int)cf_min(ALS_CHUNK, width - first)};

        for (int n = 0; n < near.count; n++)
            near.h[n] = near.weighted[n] = s->dual + (first + n) * size;
        als_add_products(&near, n_blocks, from, normal);
        from = normal;
    }
    for (int64_t n = 0; n < row->count; n++) {
        const float *h = cf_graph_row(in, row->neighbours[n]);
        cf_lanes sum = cf_lanes_all(0);

        for (int64_t d = 0; d < width; d += CF_LANES)
            sum = cf_lanes_fma(cf_lanes_load(h + d), cf_lanes_load(scaled->q + d), sum);
        s->right[lane * size + n] = root_of_confidence(row, n) * (1.0f - cf_lanes_sum(sum));
    }
}

/* x from y, and what it makes smallest. */
static void take_dual(const als_solver *s, const cf_field *in, const float *values,
                      const scales *scaled, const float *y, double squares, als_row *row)
{
    const int64_t width = s->n_blocks * CF_LANES;
    float *sum = scaled->root; /* no more needed */
    double towards = 0;

    memset(sum, 0, (size_t)width * sizeof *sum);
    for (int64_t n = 0; n < row->count; n++) {
        const float *h = cf_graph_row(in, row->neighbours[n]);
        const cf_vector factor = cf_vector_all(root_of_confidence(row, n) * y[n]);

        for (int64_t d = 0; d < width; d += CF_VECTOR)
            cf_vector_store(sum + d,
                            cf_vector_fma(factor, cf_vector_load(h + d), cf_vector_load(sum + d)));
    }
    row->shrunk = 0;
    for (int64_t d = 0; d < s->dim; d++) {
        const double p = row->values[d], e = values[d],
                     x = (double)scaled->q[d] + (double)scaled->shrink[d] * (double)sum[d];

        towards += p * p * e * (double)scaled->shrink[d];
        row->shrunk += (x - p) * (x - p);
        row->values[d] = (float)x;
    }
    row->shrunk *= row->weight;
    row->least = row->weight * towards + squares;
    row->solved = als_is_solved(row);
}

/* Lanes without a row have the identity. */
void als_solve_short(als_solver *s, const cf_field *in, const float *values, als_row *rows,
                     int count, int64_t n_blocks)
{
    const int64_t size = n_blocks * CF_LANES, matrix = als_triangle(n_blocks) * BLOCK_FLOATS;
    scales scaled[CF_LANES];
    double squares[CF_LANES];

    CF_ASSERT(n_blocks <= s->most_short);
    memset(s->right, 0, (size_t)(size * CF_LANES) * sizeof *s->right);
    for (int lane = 0; lane < CF_LANES; lane++) {
        if (lane >= count) {
            memcpy(s->normal + lane * matrix, s->identity, (size_t)matrix * sizeof *s->normal);
            continue;
        }
        scaled[lane] = find_scales(s, values, &rows[lane], lane);
        make_dual(s, in, &rows[lane], &scaled[lane], lane, n_blocks);
    }
    als_solve_lanes(s, n_blocks, squares);
    for (int lane = 0; lane < count; lane++)
        take_dual(s, in, values, &scaled[lane], s->right + lane * size, squares[lane], &rows[lane]);
}
