/* The eigenvectors of what all rows of a side have in common, C = V diag(e) V'.
 *
 * In their basis C is diagonal, so that a row of few neighbours can be solved by a matrix of the
 * neighbours (short.c). Rows are brought into the basis and back: h V, x V'. Rank 0 finds V
 * (LAPACK's dsyevd, in double), and all ranks use its bits. A product of a row and V adds in a
 * fixed order, by fused operations that do not mix rows, so a row has the same bits beside any
 * others. */
#include "internal.h"

#include <math.h>

enum { PAIRS, ROWS_OF, ROW, TRIANGLE };
static const cf_array basis_arrays[] = {
    CF_ARRAY(als_basis, found, ROW, 1), CF_ARRAY(als_basis, values, ROW, 1),
    CF_ARRAY(als_basis, vectors, PAIRS, 1), CF_ARRAY(als_basis, transposed, PAIRS, 1),
    CF_ARRAY(als_basis, common, TRIANGLE, BLOCK_FLOATS)};
enum { N_BASIS_ARRAYS = sizeof basis_arrays / sizeof *basis_arrays };

cf_status als_create_basis(int64_t dim, als_basis *out)
{
    const int64_t n_blocks = cf_table_segments(dim), width = n_blocks * CF_LANES;

    *out = (als_basis){.dim = dim, .width = width};
    return cf_arrays_create(
        out, basis_arrays, N_BASIS_ARRAYS,
        (const int64_t[]){
            [PAIRS] = width * width, [ROW] = width, [TRIANGLE] = als_triangle(n_blocks)});
}

void als_destroy_basis(als_basis *basis)
{
    cf_arrays_destroy(basis, basis_arrays, N_BASIS_ARRAYS);
}

/* dsyevd's workspace is rank 0's while it runs. */
double als_basis_bytes(int64_t dim, double ranks)
{
    const double n_blocks = (double)cf_table_segments(dim), width = n_blocks * CF_LANES,
                 n = (double)dim;

    return cf_arrays_bytes(basis_arrays, N_BASIS_ARRAYS,
                           (const double[]){[PAIRS] = width * width,
                                            [ROW] = width,
                                            [TRIANGLE] = n_blocks * (n_blocks + 1) / 2}) +
           8 * (2 * n * n + 11 * n) / ranks;
}

/* Local: from the eigenvectors of the Gram matrix, one a row. */
static void take_vectors(const double *found, als_basis *out)
{
    for (int64_t k = 0; k < out->dim; k++)
        for (int64_t i = 0; i < out->dim; i++)
            out->vectors[i * out->width + k] = (float)found[k * out->dim + i];
}

/* Behind the last dimension 1 / e is 0, so that nothing is there. */
static void take_values(double factor, als_basis *out)
{
    for (int64_t d = 0; d < out->width; d++) {
        const float value = d < out->dim ? (float)(factor * fmax(out->found[d], 0)) : 0;

        out->common[als_diagonal_at(d)] = value;
        out->values[d] = d < out->dim ? value : INFINITY;
    }
}

cf_status als_find_basis(const cf_par *world, double *gram, double factor, als_basis *out)
{
    const int64_t width = out->width;
    bool is_finite = true;
    cf_status status = CF_OK;

    for (int64_t k = 0; k < out->dim * out->dim; k++)
        is_finite &= isfinite(gram[k]) != 0;
    CF_REQUIRE(is_finite, CF_ERR_NUMERIC,
               "rows have numbers that are not finite: a larger reg_weight helps");
    CF_TRY(cf_linalg_eigen_one(world, out->dim, true, gram, out->found));
    if (world->rank == 0) take_vectors(gram, out);
    cf_par_broadcast(world, out->vectors, width * width * (int64_t)sizeof *out->vectors, 0);
    for (int64_t i = 0; i < width; i++)
        for (int64_t k = 0; k < width; k++)
            out->transposed[k * width + i] = out->vectors[i * width + k];
    take_values(factor, out);
done:
    return status;
}

/* ---- Rows ---- */

/* Rows that are worked on at once, and the most registers of a row. */
enum { ROWS = 4, REGISTERS = 4 };

/* Columns j to j + n x CF_VECTOR - 1 of out = in matrix, of four rows. */
static inline __attribute__((always_inline)) void
turn_part(const float *matrix, int64_t width, const als_turn *rows, int64_t j, const int n)
{
    cf_vector sum[ROWS][REGISTERS];

    for (int r = 0; r < ROWS; r++)
        for (int s = 0; s < n; s++)
            sum[r][s] = cf_vector_all(0);
    for (int64_t k = 0; k < width; k++) {
        const float *m = matrix + k * width + j;

#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++) {
            const cf_vector x = als_spread(rows->in[r] + k);

#pragma GCC unroll 4
            for (int s = 0; s < n; s++)
                sum[r][s] = cf_vector_fma(x, cf_vector_load(m + s * CF_VECTOR), sum[r][s]);
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int s = 0; s < n; s++)
            cf_vector_store(rows->out[r] + j + s * CF_VECTOR, sum[r][s]);
}

void als_turn_rows(const float *matrix, int64_t width, const als_turn *rows)
{
    int64_t j = 0;

    for (; j + REGISTERS * CF_VECTOR <= width; j += REGISTERS * CF_VECTOR)
        turn_part(matrix, width, rows, j, REGISTERS);
    for (; j < width; j += CF_VECTOR)
        turn_part(matrix, width, rows, j, 1);
}
