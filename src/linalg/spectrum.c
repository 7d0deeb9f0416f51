/* Singular values s of a table X (rows x dim), and measures of collapse from them.
 *
 *     s_k = sqrt(lambda_k(G)),  p_k = s_k / sum s:
 *     effective rank          exp(-sum p ln p)           (Roy and Vetterli 2007)
 *     participation ratio     (sum s^2)^2 / sum s^4
 *     information abundance   sum s / s_1                (Guo et al. 2024)
 *
 * G is the Gram matrix of the smaller side, n x n: X'X, or XX' where there are fewer rows than
 * columns; of both the eigenvalues that are not 0 are the same. It costs n^2 / 2 numbers and
 * squares the condition: what is below about 1e-8 of s_1 is rounding. tests/linalg/spectrum.c
 * compares with NumPy's numbers. */
#include "cf/linalg.h"

#include <math.h>

/* ---- From the sum of products ---- */

cf_status cf_linalg_singular_panels(const cf_panels *panels, int64_t one_rank_dim, double *singular)
{
    const int64_t dim = panels->dim;
    double *values = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(panels->par, CF_ALLOC(values, dim)));
    CF_TRY(cf_linalg_eigen_panels(panels, one_rank_dim, 0, values, NULL));
    for (int64_t k = 0; k < dim; k++)
        singular[k] = sqrt(fmax(values[dim - 1 - k], 0));
done:
    cf_free(&values);
    return status;
}

/* The vectors whose products are summed: a table's rows, or its columns where there are fewer rows,
 * in tiles of CF_TILE_ROWS vectors at fixed offsets. */
typedef struct vectors {
    const cf_table *table;
    bool columns;       /* else rows */
    int64_t count, dim; /* vectors, and numbers in each */
    float *rows;        /* CF_TILE_ROWS x full_width: rows of the table, whole */
    double *tile;       /* CF_TILE_ROWS x dim: a tile, zeros beyond the last vector */
} vectors;

/* Collective. Errors: MEMORY. */
static cf_status create_vectors(const cf_table *table, bool columns, vectors *out)
{
    cf_status status;

    *out = (vectors){.table = table,
                     .columns = columns,
                     .count = columns ? table->dim : table->n_rows,
                     .dim = columns ? table->n_rows : table->dim};
    CF_TRY(CF_ALLOC(out->rows, CF_TILE_ROWS * table->full_width));
    CF_TRY(CF_ALLOC(out->tile, CF_TILE_ROWS * out->dim));
done:
    return cf_par_agree(&table->grid->world, status);
}

static void destroy_vectors(vectors *v)
{
    cf_free(&v->rows);
    cf_free(&v->tile);
}

/* Put `n_rows` rows of the table, from `row` on, into the tile of the vectors from `first` on. */
static void put_rows(vectors *v, int64_t first, int64_t row, int64_t n_rows)
{
    const int64_t width = v->table->full_width;

    for (int64_t r = 0; r < CF_TILE_ROWS && !v->columns; r++)
        for (int64_t k = 0; k < v->dim; k++)
            v->tile[r * v->dim + k] = r < n_rows ? (double)v->rows[r * width + k] : 0;
    for (int64_t c = 0; c < CF_TILE_ROWS && v->columns; c++)
        for (int64_t r = 0; r < n_rows; r++)
            v->tile[c * v->dim + row + r] =
                first + c < v->count ? (double)v->rows[r * width + first + c] : 0;
}

/* Add all products, tile by tile. A tile of columns takes a pass over the rows, of which there are
 * few. Collective. */
static cf_status add_vectors(vectors *v, cf_panels *to)
{
    const cf_table *table = v->table;
    cf_status status = CF_OK;

    for (int64_t first = 0; first < v->count; first += CF_TILE_ROWS) {
        const int64_t begin = v->columns ? 0 : first,
                      end = v->columns ? table->n_rows : cf_min(first + CF_TILE_ROWS, v->count);

        for (int64_t row = begin; row < end; row += CF_TILE_ROWS) {
            const int64_t n_rows = cf_min(end - row, CF_TILE_ROWS);

            CF_TRY(cf_table_gather(table, row, n_rows, v->rows));
            put_rows(v, first, row, n_rows);
        }
        cf_linalg_add_to_panels(to, v->tile);
    }
done:
    return status;
}

cf_status cf_linalg_add_table_to_panels(const cf_table *table, cf_panels *panels)
{
    vectors v = {0};
    cf_status status;

    CF_ASSERT(table->dim == panels->dim);
    CF_TRY(create_vectors(table, false, &v));
    CF_TRY(add_vectors(&v, panels));
done:
    destroy_vectors(&v);
    return status;
}

/* A NaN is reported by its row, before eigenvalues that it would make meaningless are computed. */
cf_status cf_linalg_singular(const cf_table *table, int64_t one_rank_dim, double *singular)
{
    const cf_par *par = &table->grid->world;
    cf_panels *gram = NULL;
    vectors v = {0};
    cf_status status;

    CF_TRY(create_vectors(table, table->n_rows < table->dim, &v));
    CF_TRY(cf_table_check_finite(table, "a table whose singular values are computed"));
    CF_TRY(cf_linalg_create_panels(par, v.dim, &gram));
    CF_TRY(add_vectors(&v, gram));
    CF_TRY(cf_linalg_singular_panels(gram, one_rank_dim, singular));
    for (int64_t k = v.dim; k < table->dim; k++)
        singular[k] = 0;
done:
    cf_linalg_destroy_panels(&gram);
    destroy_vectors(&v);
    return status;
}

/* Tiles, panels, and what the eigenvalues take: LAPACK on one rank its whole matrix. */
cf_spectrum_cost cf_linalg_predict_singular(int64_t n_rows, int64_t dim, int n_ranks,
                                            int64_t one_rank_dim)
{
    const double n = (double)cf_min(n_rows, dim), longer = (double)cf_max(n_rows, dim);
    const double width = (double)(cf_ceil_div(dim, CF_LANES) * CF_LANES);
    const double tiles = CF_TILE_ROWS * (4 * width + 8 * n);

    return (cf_spectrum_cost){.bytes = tiles +
                                       cf_linalg_predict_panels((int64_t)n, n_ranks, one_rank_dim),
                              .flops = n * n * longer + 4.0 / 3 * n * n * n};
}

/* ---- Measures ---- */

const int cf_spectrum_top[CF_SPECTRUM_TOPS] = {1, 8, 16, 32, 64};

/* All sums are of s / s_1, so that no scale overflows. */
cf_spectrum cf_linalg_measure_spectrum(const double *singular, int64_t count)
{
    const double largest = count > 0 ? singular[0] : 0;
    double sum = 0, squares = 0, fourth = 0, entropy = 0, top_squares = 0;
    cf_spectrum out = {0};

    if (largest == 0) return out;
    for (int64_t k = 0; k < count; k++) {
        const double s = singular[k] / largest;

        sum += s;
        squares += s * s;
        fourth += s * s * s * s;
    }
    for (int64_t k = 0; k < count; k++) {
        const double p = singular[k] / largest / sum;

        if (p > 0) entropy -= p * log(p);
    }
    out.effective_rank = exp(entropy);
    out.participation_ratio = squares * squares / fourth;
    out.information_abundance = sum;
    for (int64_t k = 0, top = 0; top < CF_SPECTRUM_TOPS; k++) {
        if (k == cf_spectrum_top[top]) out.fraction[top++] = top_squares / squares;
        if (k < count) top_squares += singular[k] / largest * (singular[k] / largest);
    }
    return out;
}
