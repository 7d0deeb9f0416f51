/* Cholesky's factors of 16 matrices side by side, and solutions with them.
 *
 * A = LL', a matrix a lane, as a lower triangle of blocks (internal.h). By columns of blocks, left
 * to right: from each 4 x 4 part of a block the products of the columns before it are subtracted,
 * held in registers; then the part is divided by the diagonal one (Golub and Van Loan, algorithm
 * 4.2.2, by blocks). Of each number the products are subtracted in the order of the columns, by
 * fused operations that do not mix lanes, so a matrix has the same bits in any lane. */
#include "internal.h"

enum { PART = 4 };

/* A 4 x 4 part of 16 matrices. */
typedef cf_lanes part[PART][PART];

static inline cf_lanes *lanes_at(const als_solver *s, int64_t i, int64_t j)
{
    return (cf_lanes *)(void *)(s->lanes + als_block_at(i, j) * CF_LANES);
}

/* sum[r][c] -= a[r] . b[c] over the first n numbers of rows of blocks. */
static inline __attribute__((always_inline)) void subtract(const cf_lanes *a, const cf_lanes *b,
                                                           int n, part sum)
{
    for (int k = 0; k < n; k++) {
#pragma GCC unroll 4
        for (int r = 0; r < PART; r++) {
            const cf_lanes x = -a[r * CF_LANES + k];

#pragma GCC unroll 4
            for (int c = 0; c < PART; c++)
                sum[r][c] = cf_lanes_fma(x, b[c * CF_LANES + k], sum[r][c]);
        }
    }
}

/* The part becomes that of L, given the part of L on the diagonal in its columns, `diagonal`, and
 * the inverses of the diagonal's numbers. */
static inline __attribute__((always_inline)) void divide(const cf_lanes *diagonal,
                                                         const cf_lanes *inverse, part sum)
{
#pragma GCC unroll 4
    for (int c = 0; c < PART; c++)
#pragma GCC unroll 4
        for (int r = 0; r < PART; r++) {
#pragma GCC unroll 4
            for (int k = 0; k < c; k++)
                sum[r][c] = cf_lanes_fma(-sum[r][k], diagonal[c * CF_LANES + k], sum[r][c]);
            sum[r][c] *= inverse[c];
        }
}

/* The factor of a part on the diagonal. What lies above the diagonal is not read. A pivot that is
 * not above zero gives NaN: the root of a negative one, and 0 times infinity. */
static void factor_diagonal(cf_lanes *inverse, part sum)
{
    for (int c = 0; c < PART; c++)
        for (int r = c; r < PART; r++) {
            for (int k = 0; k < c; k++)
                sum[r][c] = cf_lanes_fma(-sum[r][k], sum[c][k], sum[r][c]);
            if (r == c) {
                sum[c][c] = cf_lanes_sqrt(sum[c][c]);
                inverse[c] = cf_lanes_all(1.0f) / sum[c][c];
            } else {
                sum[r][c] *= inverse[c];
            }
        }
}

/* Rows 4 r to 4 r + 3, columns 4 c to 4 c + 3 of block (I, J). */
static void factor_part(const als_solver *s, int64_t i, int64_t j, const int r, const int c)
{
    cf_lanes *block = lanes_at(s, i, j) + r * PART * CF_LANES, *out = block + c * PART;
    const cf_lanes *diagonal = lanes_at(s, j, j) + c * PART * CF_LANES;
    cf_lanes *inverse = (cf_lanes *)(void *)(s->inverse + (j * CF_LANES + c * PART) * CF_LANES);
    part sum;

#pragma GCC unroll 4
    for (int a = 0; a < PART; a++)
#pragma GCC unroll 4
        for (int b = 0; b < PART; b++)
            sum[a][b] = out[a * CF_LANES + b];
    for (int64_t k = 0; k < j; k++)
        subtract(lanes_at(s, i, k) + r * PART * CF_LANES, lanes_at(s, j, k) + c * PART * CF_LANES,
                 CF_LANES, sum);
    subtract(block, diagonal, c * PART, sum);
    if (i == j && r == c)
        factor_diagonal(inverse, sum);
    else
        divide(diagonal + c * PART, inverse, sum);
#pragma GCC unroll 4
    for (int a = 0; a < PART; a++)
#pragma GCC unroll 4
        for (int b = 0; b < PART; b++)
            out[a * CF_LANES + b] = sum[a][b];
}

static void factor(const als_solver *s)
{
    for (int64_t j = 0; j < s->n_blocks; j++)
        for (int64_t i = j; i < s->n_blocks; i++)
            for (int c = 0; c < PART; c++)
                for (int r = i == j ? c : 0; r < PART; r++)
                    factor_part(s, i, j, r, c);
}

/* y = L^-1 b in place, four rows at a time, whose sums do not wait for one another. */
static void solve_forward(const als_solver *s)
{
    cf_lanes *x = (cf_lanes *)(void *)s->sides;
    const cf_lanes *inverse = (const cf_lanes *)(const void *)s->inverse;

    for (int64_t i = 0; i < s->n_blocks; i++)
        for (int r = 0; r < CF_LANES; r += PART) {
            cf_lanes *sum = x + i * CF_LANES + r;

            for (int64_t j = 0; j <= i; j++) {
                const cf_lanes *block = lanes_at(s, i, j) + r * CF_LANES;

                for (int k = 0; k < (j < i ? CF_LANES : r); k++)
                    for (int a = 0; a < PART; a++)
                        sum[a] =
                            cf_lanes_fma(-block[a * CF_LANES + k], x[j * CF_LANES + k], sum[a]);
            }
            for (int a = 0; a < PART; a++) {
                for (int k = 0; k < a; k++)
                    sum[a] = cf_lanes_fma(-lanes_at(s, i, i)[(r + a) * CF_LANES + r + k], sum[k],
                                          sum[a]);
                sum[a] *= inverse[i * CF_LANES + r + a];
            }
        }
}

/* x = L'^-1 y in place: each number, once known, is subtracted from those before it. */
static void solve_backward(const als_solver *s)
{
    cf_lanes *x = (cf_lanes *)(void *)s->sides;
    const cf_lanes *inverse = (const cf_lanes *)(const void *)s->inverse;

    for (int64_t i = s->n_blocks - 1; i >= 0; i--)
        for (int r = CF_LANES - 1; r >= 0; r--) {
            const int64_t row = i * CF_LANES + r;

            x[row] *= inverse[row];
            for (int64_t j = 0; j <= i; j++) {
                const cf_lanes *block = lanes_at(s, i, j) + r * CF_LANES;

                for (int k = 0; k < (j < i ? CF_LANES : r); k++)
                    x[j * CF_LANES + k] = cf_lanes_fma(-block[k], x[row], x[j * CF_LANES + k]);
            }
        }
}

void als_factor_and_solve(als_solver *solver, double squares[CF_LANES])
{
    const float *y = solver->sides;

    factor(solver);
    solve_forward(solver);
    for (int lane = 0; lane < CF_LANES; lane++)
        squares[lane] = 0;
    for (int64_t d = 0; d < solver->n_blocks * CF_LANES; d++)
        for (int lane = 0; lane < CF_LANES; lane++)
            squares[lane] += (double)y[d * CF_LANES + lane] * y[d * CF_LANES + lane];
    solve_backward(solver);
}
