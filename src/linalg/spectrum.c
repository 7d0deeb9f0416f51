/* Singular values s of a table X (rows x dim), and measures of collapse from them.
 *
 *     s_k = sqrt(lambda_k(X'X)),  p_k = s_k / sum s:
 *     effective rank          exp(-sum p ln p)           (Roy and Vetterli 2007)
 *     participation ratio     (sum s^2)^2 / sum s^4
 *     information abundance   sum s / s_1                (Guo et al. 2024)
 *
 * X'X costs one pass over the rows and dim^2 / 2 numbers, and squares the condition: what is below
 * about 1e-8 of s_1 is rounding. tests/linalg/spectrum.c compares with NumPy's numbers. */
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

/* Add all rows of the table, tile by tile. `rows`: a tile of whole rows; `tile`: it in double. */
static cf_status add_table(const cf_table *table, float *rows, double *tile, cf_panels *to)
{
    cf_status status = CF_OK;

    for (int64_t first = 0; first < table->n_rows; first += CF_TILE_ROWS) {
        const int64_t count = cf_min(table->n_rows - first, CF_TILE_ROWS);

        CF_TRY(cf_table_gather(table, first, count, rows));
        for (int64_t r = 0; r < CF_TILE_ROWS; r++)
            for (int64_t k = 0; k < table->dim; k++)
                tile[r * table->dim + k] = r < count ? (double)rows[r * table->full_width + k] : 0;
        cf_linalg_add_to_panels(to, tile);
    }
done:
    return status;
}

/* A NaN is reported by its row, before eigenvalues that it would make meaningless are computed. */
cf_status cf_linalg_singular(const cf_table *table, int64_t one_rank_dim, double *singular)
{
    const cf_par *par = &table->grid->world;
    cf_panels *gram = NULL;
    float *rows = NULL;
    double *tile = NULL;
    cf_status status = CF_ALLOC(rows, CF_TILE_ROWS * table->full_width);

    if (status == CF_OK) status = CF_ALLOC(tile, CF_TILE_ROWS * table->dim);
    CF_TRY(cf_par_agree(par, status));
    CF_TRY(cf_table_check_finite(table, "a table whose singular values are computed"));
    CF_TRY(cf_linalg_create_panels(par, table->dim, &gram));
    CF_TRY(add_table(table, rows, tile, gram));
    CF_TRY(cf_linalg_singular_panels(gram, one_rank_dim, singular));
done:
    cf_linalg_destroy_panels(&gram);
    cf_free(&rows);
    cf_free(&tile);
    return status;
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
