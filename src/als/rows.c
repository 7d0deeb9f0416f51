/* Rows by their normal equations, 16 at a time.
 *
 *     (sum over neighbours h of c hh' + C + l I) x = sum c h + l p
 *
 * (Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets", eq. 4,
 * with C = alpha0 H'H of all rows). Where confidences c differ, the rows of some neighbours are
 * multiplied by them first. Matrices are made one by one, a block of 16 x 16 in registers
 * for a few neighbours at a time; then 16 of them are transposed to lie side by side, are factored
 * (cholesky.c), and the solutions are transposed back. Neighbours are added in their order, in
 * float32. tests/als/rows.c solves by elimination in double. */
#include "internal.h"

#include <string.h>

/* Neighbours whose rows are prefetched while the row before is worked on. */
enum { AHEAD = 32 };
/* Rows of a block that are summed in registers at once. */
enum { HALF = CF_LANES / 2 };

enum { MATRIX, WIDTH, DUAL, SMALL };
static const cf_array solver_arrays[] = {CF_ARRAY(als_solver, normal, MATRIX, CF_LANES),
                                         CF_ARRAY(als_solver, lanes, MATRIX, CF_LANES),
                                         CF_ARRAY(als_solver, right, WIDTH, CF_LANES),
                                         CF_ARRAY(als_solver, sides, WIDTH, CF_LANES),
                                         CF_ARRAY(als_solver, inverse, WIDTH, CF_LANES),
                                         CF_ARRAY(als_solver, weighted, WIDTH, ALS_CHUNK),
                                         CF_ARRAY(als_solver, turned, WIDTH, CF_LANES),
                                         CF_ARRAY(als_solver, dual, DUAL, 1),
                                         CF_ARRAY(als_solver, identity, SMALL, BLOCK_FLOATS),
                                         CF_ARRAY(als_solver, scales, WIDTH, 3 * CF_LANES)};
enum { N_SOLVER_ARRAYS = sizeof solver_arrays / sizeof *solver_arrays };

/* A matrix of half as many blocks as there are segments takes a third of the products. */
static int64_t most_short(int64_t n_blocks)
{
    return n_blocks / 2;
}

cf_status als_create_solver(int64_t dim, als_solver *out)
{
    const int64_t n_blocks = cf_table_segments(dim), n_short = most_short(n_blocks);
    cf_status status;

    *out = (als_solver){.dim = dim, .n_blocks = n_blocks, .most_short = n_short};
    CF_TRY(cf_arrays_create(out, solver_arrays, N_SOLVER_ARRAYS,
                            (const int64_t[]){[MATRIX] = als_triangle(n_blocks) * BLOCK_FLOATS,
                                              [WIDTH] = n_blocks * CF_LANES,
                                              [DUAL] = n_blocks * n_short * BLOCK_FLOATS,
                                              [SMALL] = als_triangle(n_short)}));
    for (int64_t d = 0; d < n_short * CF_LANES; d++)
        out->identity[als_diagonal_at(d)] = 1;
done:
    return status;
}

void als_destroy_solver(als_solver *solver)
{
    cf_arrays_destroy(solver, solver_arrays, N_SOLVER_ARRAYS);
}

double als_solver_bytes(int64_t dim)
{
    const int64_t n_blocks = cf_table_segments(dim), n_short = most_short(n_blocks);

    return cf_arrays_bytes(
        solver_arrays, N_SOLVER_ARRAYS,
        (const double[]){[MATRIX] = (double)als_triangle(n_blocks) * BLOCK_FLOATS,
                         [WIDTH] = (double)n_blocks * CF_LANES,
                         [DUAL] = (double)n_blocks * (double)n_short * BLOCK_FLOATS,
                         [SMALL] = (double)als_triangle(n_short)});
}

/* ---- One matrix ---- */

void als_add_products(const als_chunk *near, int64_t n_blocks, const float *from, float *out)
{
    for (int64_t i = 0; i < n_blocks; i++)
        for (int half = 0; half < CF_LANES; half += HALF)
            for (int64_t column = 0; column < (i + 1) * CF_LANES; column += CF_VECTOR) {
                const int64_t at =
                    als_block_at(i, column / CF_LANES) + half * CF_LANES + column % CF_LANES;
                cf_vector sum[HALF];

#pragma GCC unroll 8
                for (int r = 0; r < HALF; r++)
                    sum[r] = cf_vector_load(from + at + r * CF_LANES);
                for (int n = 0; n < near->count; n++) {
                    const cf_vector right = cf_vector_load(near->h[n] + column);
                    const float *left = near->weighted[n] + i * CF_LANES + half;

#pragma GCC unroll 8
                    for (int r = 0; r < HALF; r++)
                        sum[r] = cf_vector_fma(als_spread(left + r), right, sum[r]);
                }
#pragma GCC unroll 8
                for (int r = 0; r < HALF; r++)
                    cf_vector_store(out + at + r * CF_LANES, sum[r]);
            }
}

/* out += sum of c h. */
static void add_rows(const als_chunk *near, int64_t n_blocks, float *out)
{
    for (int64_t d = 0; d < n_blocks * CF_LANES; d += CF_VECTOR) {
        cf_vector sum = cf_vector_load(out + d);

        for (int n = 0; n < near->count; n++)
            sum += cf_vector_load(near->weighted[n] + d);
        cf_vector_store(out + d, sum);
    }
}

/* Padding has 1 on the diagonal, so that its factor is 1 and its solution 0. */
static void add_diagonal(const als_solver *s, float weight, float *normal)
{
    for (int64_t d = 0; d < s->n_blocks * CF_LANES; d++)
        normal[als_diagonal_at(d)] += d < s->dim ? weight : 1.0f;
}

/* The next neighbours of a row, from number `first` on. */
static void take_chunk(const als_solver *s, const cf_field *in, const als_row *row, int64_t first,
                       als_chunk *out)
{
    const int64_t width = s->n_blocks * CF_LANES;

    out->count = (int)cf_min(row->count - first, ALS_CHUNK);
    for (int n = 0; n < out->count; n++) {
        float *weighted = s->weighted + n * width;
        cf_vector confidence;

        out->h[n] = out->weighted[n] = cf_graph_row(in, row->neighbours[first + n]);
        if (row->weights == NULL) continue;
        confidence = cf_vector_all(als_confidence(row, first + n));
        for (int64_t d = 0; d < width; d += CF_VECTOR)
            cf_vector_store(weighted + d, confidence * cf_vector_load(out->h[n] + d));
        out->weighted[n] = weighted;
    }
}

/* Matrix and right-hand side of one row. */
static void make_system(const als_solver *s, const cf_field *in, const float *common,
                        const als_row *row, float *normal, float *right)
{
    const float *from = common;

    for (int64_t d = 0; d < s->n_blocks * CF_LANES; d++)
        right[d] = row->weight * row->values[d];
    for (int64_t first = 0; first < cf_max(row->count, 1); first += ALS_CHUNK) {
        als_chunk near;

        take_chunk(s, in, row, first, &near);
        als_add_products(&near, s->n_blocks, from, normal);
        add_rows(&near, s->n_blocks, right);
        from = normal;
    }
    add_diagonal(s, row->weight, normal);
}

static void prefetch(const als_solver *s, const cf_field *in, const als_row *row)
{
    for (int64_t n = 0; n < cf_min(row->count, AHEAD); n++)
        cf_lanes_prefetch(cf_graph_row(in, row->neighbours[n]), s->n_blocks * CF_LANES);
}

/* ---- 16 side by side ---- */

/* Which of 32 numbers, those of a and of b, go to a and to b when their rows are `step` apart. */
#define FIRST(k, step) ((k) & (step) ? CF_LANES + (k) - (step) : (k))
#define SECOND(k, step) ((k) & (step) ? CF_LANES + (k) : (k) + (step))
#define ALL_LANES(index, step)                                                                     \
    index(0, step), index(1, step), index(2, step), index(3, step), index(4, step),                \
        index(5, step), index(6, step), index(7, step), index(8, step), index(9, step),            \
        index(10, step), index(11, step), index(12, step), index(13, step), index(14, step),       \
        index(15, step)
/* Exchange bit `step` of the number of a row and of that of a column. */
#define EXCHANGE(rows, step)                                                                       \
    _Pragma("GCC unroll 16") for (int r = 0; r < CF_LANES; r++) if ((r & (step)) == 0)             \
    {                                                                                              \
        const cf_lanes a = (rows)[r], b = (rows)[r + (step)];                                      \
                                                                                                   \
        (rows)[r] = __builtin_shufflevector(a, b, ALL_LANES(FIRST, step));                         \
        (rows)[r + (step)] = __builtin_shufflevector(a, b, ALL_LANES(SECOND, step));               \
    }

void als_transpose(const float *in, int64_t in_stride, float *out, int64_t out_stride)
{
    cf_lanes rows[CF_LANES];

#pragma GCC unroll 16
    for (int r = 0; r < CF_LANES; r++)
        rows[r] = cf_lanes_load(in + r * in_stride);
    EXCHANGE(rows, 1)
    EXCHANGE(rows, 2)
    EXCHANGE(rows, 4)
    EXCHANGE(rows, 8)
#pragma GCC unroll 16
    for (int r = 0; r < CF_LANES; r++)
        cf_lanes_store(out + r * out_stride, rows[r]);
}

void als_solve_lanes(als_solver *solver, int64_t n_blocks, double squares[CF_LANES])
{
    const int64_t size = n_blocks * CF_LANES, matrix = als_triangle(n_blocks) * BLOCK_FLOATS;
    als_solver part = *solver;

    part.n_blocks = n_blocks;
    for (int64_t at = 0; at < matrix; at += CF_LANES)
        als_transpose(part.normal + at, matrix, part.lanes + at * CF_LANES, CF_LANES);
    for (int64_t d = 0; d < size; d += CF_LANES)
        als_transpose(part.right + d, size, part.sides + d * CF_LANES, CF_LANES);
    als_factor_and_solve(&part, squares);
    for (int64_t d = 0; d < size; d += CF_LANES)
        als_transpose(part.sides + d * CF_LANES, CF_LANES, part.right + d, size);
}

/* ---- 16 rows ---- */

/* The solution, and what it makes smallest: sum c + l |p|^2 - |y|^2 with y = L^-1 b. */
static void take_solution(const float *solution, int64_t width, double squares, als_row *row)
{
    double towards = 0;

    row->shrunk = 0;
    for (int64_t d = 0; d < width; d++) {
        const double p = row->values[d], moved = solution[d] - p;

        towards += p * p;
        row->shrunk += moved * moved;
        row->values[d] = solution[d];
    }
    row->shrunk *= row->weight;
    row->least = row->total + row->weight * towards - squares;
    row->solved = als_is_solved(row);
}

/* Lanes without a row solve x = 0 with what is common and a weight of 1. */
void als_solve_rows(als_solver *solver, const cf_field *in, const float *common, als_row *rows,
                    int count)
{
    const int64_t width = solver->n_blocks * CF_LANES,
                  matrix = als_triangle(solver->n_blocks) * BLOCK_FLOATS;
    double squares[CF_LANES];

    memset(solver->right, 0, (size_t)(width * CF_LANES) * sizeof *solver->right);
    for (int lane = 0; lane < CF_LANES; lane++) {
        float *right = solver->right + lane * width;
        const als_row none = {.weight = 1, .values = right};

        if (lane + 1 < count) prefetch(solver, in, &rows[lane + 1]);
        make_system(solver, in, common, lane < count ? &rows[lane] : &none,
                    solver->normal + lane * matrix, right);
    }
    als_solve_lanes(solver, solver->n_blocks, squares);
    for (int lane = 0; lane < count; lane++)
        take_solution(solver->right + lane * width, width, squares[lane], &rows[lane]);
}
