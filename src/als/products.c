/* Sums of products over all rows, A'B with A (rows x a) and B (rows x b): Gram matrices, and
 * products of vectors and rows.
 *
 * Rows lie in tiles of 256 at fixed global offsets, a tile on one rank (cf_tiles). The product of a
 * tile is a gemm of fixed shape in double, on rows of zeros behind the last one; the products of
 * all tiles are added without rounding (cf_exact) and rounded once, so who has which tiles changes
 * no bit. Memory is bounded by the caller, who takes as many columns at a time as there is room
 * for. tests/als/products.c adds in a plain loop. */
#include "cf/blas.h"
#include "internal.h"

#include <omp.h>

enum { TILE, PRODUCT, SUM };
static const cf_array products_arrays[] = {CF_ARRAY(als_products, tile, TILE, CF_TILE_ROWS),
                                           CF_ARRAY(als_products, product, PRODUCT, 1),
                                           CF_ARRAY(als_products, sum, SUM, 1)};
enum { N_PRODUCTS_ARRAYS = sizeof products_arrays / sizeof *products_arrays };

cf_status als_create_products(int64_t a, int64_t b, als_products *out)
{
    const int n_threads = omp_get_max_threads();

    *out = (als_products){.a = a, .b = b, .n_threads = n_threads};
    return cf_arrays_create(
        out, products_arrays, N_PRODUCTS_ARRAYS,
        (const int64_t[]){
            [TILE] = n_threads * (a + b), [PRODUCT] = n_threads * a * b, [SUM] = a * b});
}

void als_destroy_products(als_products *products)
{
    cf_arrays_destroy(products, products_arrays, N_PRODUCTS_ARRAYS);
}

double als_products_bytes(double a, double b)
{
    const double n_threads = omp_get_max_threads();

    return cf_arrays_bytes(
        products_arrays, N_PRODUCTS_ARRAYS,
        (const double[]){
            [TILE] = n_threads * (a + b), [PRODUCT] = n_threads * a * b, [SUM] = a * b});
}

/* Columns of tile t in double, times the factors; zeros behind the last row. */
static void take_tile(const als_columns *from, int64_t t, int64_t count, double *out)
{
    for (int64_t r = 0; r < CF_TILE_ROWS; r++) {
        const int64_t row = t * CF_TILE_ROWS + r;
        const float *values = from->rows + row * from->stride + from->first;

        for (int64_t k = 0; k < from->n; k++)
            out[r * from->n + k] =
                row < count ? (from->factors != NULL ? from->factors[row] : 1) * (double)values[k]
                            : 0;
    }
}

/* The product of tile t. */
static void multiply_tile(const als_products *p, const als_columns *a, const als_columns *b,
                          int64_t t, int64_t count, double *out)
{
    double *left = p->tile + omp_get_thread_num() * CF_TILE_ROWS * (p->a + p->b),
           *right = left + CF_TILE_ROWS * p->a;

    take_tile(a, t, count, left);
    take_tile(b, t, count, right);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)a->n, (int)b->n, CF_TILE_ROWS, 1,
                left, (int)a->n, right, (int)b->n, 0, out, (int)b->n);
}

/* A round: a tile a thread, and then a part of their sum a thread. */
void als_sum_products(als_products *p, const cf_par *par, const als_columns *a,
                      const als_columns *b, int64_t count, double *out)
{
    const int64_t n = a->n * b->n, n_tiles = cf_ceil_div(count, CF_TILE_ROWS);

    CF_ASSERT(a->n <= p->a && b->n <= p->b);
#pragma omp parallel num_threads(p->n_threads)
    {
#pragma omp for schedule(static)
        for (int64_t k = 0; k < n; k++)
            p->sum[k] = (cf_exact){{0}, 0};
        for (int64_t first = 0; first < n_tiles; first += p->n_threads) {
            const int64_t tiles = cf_min(p->n_threads, n_tiles - first);

#pragma omp for schedule(static, 1)
            for (int64_t t = 0; t < tiles; t++)
                multiply_tile(p, a, b, first + t, count, p->product + t * n);
#pragma omp for schedule(static)
            for (int64_t k = 0; k < n; k++)
                for (int64_t t = 0; t < tiles; t++)
                    cf_exact_add(&p->sum[k], p->product[t * n + k]);
        }
    }
    cf_par_sum_exact(par, p->sum, n);
    for (int64_t k = 0; k < n; k++)
        out[k] = cf_exact_value(&p->sum[k]);
}
