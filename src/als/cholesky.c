/* Cholesky's factors of 16 matrices side by side, and solutions with them.
 *
 * A = LL', a matrix a lane, as a lower triangle of blocks (internal.h). By columns of blocks, left
 * to right: from each 4 x 4 part of a block the products of the columns before it are subtracted,
 * held in registers, of as many matrices as a register has lanes; then the part is divided by the
 * diagonal one (Golub and Van Loan, algorithm 4.2.2, by blocks). Of each number the products are
 * subtracted in the order of the columns, by fused operations that do not mix lanes, so a matrix
 * has the same bits in any lane. */
#include "internal.h"

enum { PART = 4 };

/* A 4 x 4 part of the matrices that are in one register. */
typedef cf_vector part[PART][PART];

/* Number k of a row of blocks, or of numbers, from `at` on: that of the matrices in one register.
 */
static inline const cf_vector *number(const float *at, int64_t k)
{
    return (const cf_vector *)(const void *)(at + k * CF_LANES);
}
static inline cf_vector *number_to(float *at, int64_t k)
{
    return (cf_vector *)(void *)(at + k * CF_LANES);
}

/* Of the matrices from lane `lane` on. */
static inline float *block_at(const als_solver *s, int64_t i, int64_t j, int lane)
{
    return s->lanes + als_block_at(i, j) * CF_LANES + lane;
}

/* sum[r][c] -= a[r] . b[c] over the first n numbers of rows of blocks. */
static inline __attribute__((always_inline)) void subtract(const float *a, const float *b, int n,
                                                           part sum)
{
    for (int k = 0; k < n; k++) {
#pragma GCC unroll 4
        for (int r = 0; r < PART; r++) {
            const cf_vector x = -*number(a, r * CF_LANES + k);

#pragma GCC unroll 4
            for (int c = 0; c < PART; c++)
                sum[r][c] = cf_vector_fma(x, *number(b, c * CF_LANES + k), sum[r][c]);
        }
    }
}

/* The part becomes that of L, given the part of L on the diagonal in its columns, `diagonal`, and
 * the inverses of the diagonal's numbers. */
static inline __attribute__((always_inline)) void divide(const float *diagonal,
                                                         const float *inverse, part sum)
{
#pragma GCC unroll 4
    for (int c = 0; c < PART; c++)
#pragma GCC unroll 4
        for (int r = 0; r < PART; r++) {
#pragma GCC unroll 4
            for (int k = 0; k < c; k++)
                sum[r][c] =
                    cf_vector_fma(-sum[r][k], *number(diagonal, c * CF_LANES + k), sum[r][c]);
            sum[r][c] *= *number(inverse, c);
        }
}

/* The factor of a part on the diagonal. What lies above the diagonal is not read. A pivot that is
 * not above zero gives NaN: the root of a negative one, and 0 times infinity. */
static void factor_diagonal(float *inverse, part sum)
{
    for (int c = 0; c < PART; c++)
        for (int r = c; r < PART; r++) {
            for (int k = 0; k < c; k++)
                sum[r][c] = cf_vector_fma(-sum[r][k], sum[c][k], sum[r][c]);
            if (r == c) {
                sum[c][c] = cf_vector_sqrt(sum[c][c]);
                *number_to(inverse, c) = cf_vector_all(1.0f) / sum[c][c];
            } else {
                sum[r][c] *= *number(inverse, c);
            }
        }
}

/* Rows 4 r to 4 r + 3, columns 4 c to 4 c + 3 of block (I, J), of the matrices from `lane` on. */
static void factor_part(const als_solver *s, int64_t i, int64_t j, const int r, const int c,
                        int lane)
{
    const int64_t rows = r * PART * CF_LANES * CF_LANES, columns = c * PART * CF_LANES * CF_LANES;
    float *block = block_at(s, i, j, lane) + rows, *out = block + c * PART * CF_LANES;
    const float *diagonal = block_at(s, j, j, lane) + columns;
    float *inverse = s->inverse + (j * CF_LANES + c * PART) * CF_LANES + lane;
    part sum;

#pragma GCC unroll 4
    for (int a = 0; a < PART; a++)
#pragma GCC unroll 4
        for (int b = 0; b < PART; b++)
            sum[a][b] = *number(out, a * CF_LANES + b);
    for (int64_t k = 0; k < j; k++)
        subtract(block_at(s, i, k, lane) + rows, block_at(s, j, k, lane) + columns, CF_LANES, sum);
    subtract(block, diagonal, c * PART, sum);
    if (i == j && r == c)
        factor_diagonal(inverse, sum);
    else
        divide(diagonal + c * PART * CF_LANES, inverse, sum);
#pragma GCC unroll 4
    for (int a = 0; a < PART; a++)
#pragma GCC unroll 4
        for (int b = 0; b < PART; b++)
            *number_to(out, a * CF_LANES + b) = sum[a][b];
}

/* A block is worked on by all lanes before the next one. */
static void factor(const als_solver *s)
{
    for (int64_t j = 0; j < s->n_blocks; j++)
        for (int64_t i = j; i < s->n_blocks; i++)
            for (int lane = 0; lane < CF_LANES; lane += CF_VECTOR)
                for (int c = 0; c < PART; c++)
                    for (int r = i == j ? c : 0; r < PART; r++)
                        factor_part(s, i, j, r, c, lane);
}

/* y = L^-1 b in place, of the matrices from `lane` on: four rows at a time, whose sums do not wait
 * for one another. */
static void solve_forward(const als_solver *s, int lane)
{
    float *x = s->sides + lane;
    const float *inverse = s->inverse + lane;

    for (int64_t i = 0; i < s->n_blocks; i++)
        for (int r = 0; r < CF_LANES; r += PART) {
            const int64_t row = i * CF_LANES + r;
            const float *diagonal = block_at(s, i, i, lane) + r * (CF_LANES + 1) * CF_LANES;
            cf_vector sum[PART];

            for (int a = 0; a < PART; a++)
                sum[a] = *number(x, row + a);
            for (int64_t j = 0; j <= i; j++) {
                const float *block = block_at(s, i, j, lane) + r * CF_LANES * CF_LANES;

                for (int k = 0; k < (j < i ? CF_LANES : r); k++)
                    for (int a = 0; a < PART; a++)
                        sum[a] = cf_vector_fma(-*number(block, a * CF_LANES + k),
                                               *number(x, j * CF_LANES + k), sum[a]);
            }
            for (int a = 0; a < PART; a++) {
                for (int k = 0; k < a; k++)
                    sum[a] = cf_vector_fma(-*number(diagonal, a * CF_LANES + k), sum[k], sum[a]);
                sum[a] *= *number(inverse, row + a);
                *number_to(x, row + a) = sum[a];
            }
        }
}

/* x = L'^-1 y in place, likewise: each number, once known, is subtracted from those before it. */
static void solve_backward(const als_solver *s, int lane)
{
    float *x = s->sides + lane;

    for (int64_t i = s->n_blocks - 1; i >= 0; i--)
        for (int r = CF_LANES - 1; r >= 0; r--) {
            const int64_t row = i * CF_LANES + r;
            const cf_vector known = *number(x, row) * *number(s->inverse + lane, row);

            *number_to(x, row) = known;
            for (int64_t j = 0; j <= i; j++) {
                const float *block = block_at(s, i, j, lane) + r * CF_LANES * CF_LANES;

                for (int k = 0; k < (j < i ? CF_LANES : r); k++) {
                    cf_vector *to = number_to(x, j * CF_LANES + k);

                    *to = cf_vector_fma(-*number(block, k), known, *to);
                }
            }
        }
}

void als_factor_and_solve(als_solver *solver, double squares[CF_LANES])
{
    const float *y = solver->sides;

    factor(solver);
    for (int lane = 0; lane < CF_LANES; lane += CF_VECTOR)
        solve_forward(solver, lane);
    for (int lane = 0; lane < CF_LANES; lane++)
        squares[lane] = 0;
    for (int64_t d = 0; d < solver->n_blocks * CF_LANES; d++)
        for (int lane = 0; lane < CF_LANES; lane++)
            squares[lane] += (double)y[d * CF_LANES + lane] * y[d * CF_LANES + lane];
    for (int lane = 0; lane < CF_LANES; lane += CF_VECTOR)
        solve_backward(solver, lane);
}
