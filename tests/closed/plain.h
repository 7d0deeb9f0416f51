/** The equations of EASE and L3AE, computed plainly, and the comparison with them on every grid. */
#pragma once

#include "problem.h"

#include <math.h>

/* The inverse by Gauss and Jordan; positive definite, so that no pivot has to be looked for. */
static inline void invert_plainly(double *a, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        const double pivot = a[k * n + k];

        a[k * n + k] = 1;
        for (int64_t j = 0; j < n; j++)
            a[k * n + j] /= pivot;
        for (int64_t i = 0; i < n; i++) {
            const double times = a[i * n + k];

            if (i == k) continue;
            a[i * n + k] = 0;
            for (int64_t j = 0; j < n; j++)
                a[i * n + j] -= times * a[k * n + j];
        }
    }
}

/** What is added to the Gram matrix's diagonal: `weight`, and dropout / (1 - dropout) of itself;
 * and what to the target: `distill` times the matrix of the vectors. */
typedef struct plain_weights {
    double weight, dropout, distill;
} plain_weights;

/** P (target) - P diag(mu), P the inverse of the Gram matrix with its additions. `text`: NULL if
 * there is none. */
static inline double *constrain_plainly(const double *gram, int64_t n, plain_weights w,
                                        const double *text)
{
    double *p = square(n), *b = square(n);

    for (int64_t k = 0; k < n * n; k++)
        p[k] = gram[k] + (k % (n + 1) == 0 ? w.weight + w.dropout / (1 - w.dropout) * gram[k] : 0);
    invert_plainly(p, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < n; j++)
                b[i * n + j] +=
                    p[i * n + k] * (gram[k * n + j] + (text ? w.distill * text[k * n + j] : 0));
    for (int64_t j = 0; j < n; j++) {
        const double mu = b[j * n + j] / p[j * n + j];

        for (int64_t i = 0; i < n; i++)
            b[i * n + j] -= p[i * n + j] * mu;
    }
    free(p);
    return b;
}

static inline bool is_cold(const data *d, int64_t i)
{
    return d->cold != NULL && d->cold[i];
}

/* FF', F: rows of length 1, centred by the mean of warm items; of cold items with `cold_text`. */
static inline double *text_gram_plainly(const data *d, bool cold_text)
{
    const int64_t n = d->graph.n_items, dim = d->dim;
    double *gram = square(n), *f = calloc((size_t)(n * dim), sizeof *f);

    for (int64_t k = 0; k < dim; k++) {
        double sum = 0;
        int64_t counted = 0;

        for (int64_t i = 0; i < n; i++)
            if (i != d->missing && !is_cold(d, i)) {
                sum += d->vectors[i * dim + k];
                counted++;
            }
        for (int64_t i = 0; i < n; i++)
            if (i != d->missing && (!is_cold(d, i) || cold_text))
                f[i * dim + k] = d->vectors[i * dim + k] - sum / (double)counted;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double ij = 0, ii = 0, jj = 0;

            for (int64_t k = 0; k < dim; k++) {
                ij += f[i * dim + k] * f[j * dim + k];
                ii += f[i * dim + k] * f[i * dim + k];
                jj += f[j * dim + k] * f[j * dim + k];
            }
            gram[i * n + j] = ij == 0 ? 0 : ij / sqrt(ii * jj);
        }
    free(f);
    return gram;
}

/* The table is B's transpose: within tolerance x B's largest entry, and with a diagonal of zeros.
 */
static inline void check_transposed(const float *table, const double *b, int64_t n,
                                    double tolerance)
{
    double largest = 0;

    for (int64_t k = 0; k < n * n; k++)
        largest = fmax(largest, fabs(b[k]));
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < n; i++)
            assert_close(table[j * n + i], b[i * n + j], tolerance * largest);
    for (int64_t j = 0; j < n; j++)
        assert_true(table[j * (n + 1)] == 0);
}

/* On every grid: near `b`, and the same bits. */
static inline void check_everywhere(data *d, const char *const *sets, const double *b,
                                    double tolerance)
{
    const int64_t n = d->graph.n_items;
    cf_grid *grid = NULL;
    float *first = NULL;

    for (int k = 0; cf_test_next_grid(&world, (n + CF_LANES - 1) / CF_LANES, &k, &grid);) {
        float *table = NULL;

        if (solve_on(d, grid, sets, &table) != CF_OK) fail_msg("%s", cf_error_message());
        check_transposed(table, b, n, tolerance);
        if (first == NULL)
            first = table;
        else
            cf_test_same_bits(table, first, n * n, "item-item matrix");
        if (first != table) free(table);
    }
    free(first);
}
