#include "als/internal.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <math.h>
#include <stdlib.h>

/* Places of a field that is no graph's. */
enum { PLACES = 90, MAX_WIDTH = 304 };

static double value[PLACES][MAX_WIDTH]; /* of the field */

static cf_field make_field(int64_t dim)
{
    const int64_t width = CF_LANES * cf_table_segments(dim);
    cf_field field = {.kind = {width, CF_FLOAT32}, .stride = width};
    float *rows = NULL;

    assert_ok(CF_ALLOC(rows, PLACES * width));
    for (int64_t p = 0; p < PLACES; p++)
        for (int64_t d = 0; d < dim; d++)
            rows[p * width + d] = (float)(value[p][d] = (float)cf_test_noise(3, p, d));
    field.places.data = rows;
    return field;
}

/* Of all places. */
static float *make_common(int64_t dim, double alpha0)
{
    float *common = NULL;

    assert_ok(CF_ALLOC(common, als_triangle(cf_table_segments(dim)) * BLOCK_FLOATS));
    for (int64_t i = 0; i < dim; i++)
        for (int64_t j = 0; j < dim && j / CF_LANES <= i / CF_LANES; j++) {
            double sum = 0;

            for (int64_t p = 0; p < PLACES; p++)
                sum += value[p][i] * value[p][j];
            common[als_block_at(i / CF_LANES, j / CF_LANES) + i % CF_LANES * CF_LANES +
                   j % CF_LANES] = (float)(alpha0 * sum);
        }
    return common;
}

/* Solves a (n x n) x = b in place by elimination without pivots, which a positive definite matrix
 * does not need. */
static void eliminate(int64_t n, double *a, double *b)
{
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = k + 1; i < n; i++) {
            const double factor = a[i * n + k] / a[k * n + k];

            for (int64_t j = k; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
            b[i] -= factor * b[k];
        }
    for (int64_t k = n - 1; k >= 0; k--) {
        for (int64_t j = k + 1; j < n; j++)
            b[k] -= a[k * n + j] * b[j];
        b[k] /= a[k * n + k];
    }
}

static double confidence_of(const als_row *row, int64_t n)
{
    return row->weights == NULL ? 1 : (double)(float)(row->unit * (double)row->weights[n]);
}

/* One row by its formula; what it makes smallest, term by term. */
static void check_row(int64_t dim, double alpha0, const als_row *row, const float *towards)
{
    double *a = calloc((size_t)(dim * dim), sizeof *a), *x = calloc((size_t)dim, sizeof *x);
    double least = 0, shrunk = 0, constant = 1; /* of which parts cancel */

    assert_non_null(a);
    assert_non_null(x);
    for (int64_t i = 0; i < dim; i++) {
        for (int64_t j = 0; j < dim; j++) {
            for (int64_t p = 0; p < PLACES; p++)
                a[i * dim + j] += alpha0 * value[p][i] * value[p][j];
            for (int64_t n = 0; n < row->count; n++)
                a[i * dim + j] += confidence_of(row, n) * value[row->neighbours[n]][i] *
                                  value[row->neighbours[n]][j];
        }
        a[i * dim + i] += row->weight;
        x[i] = row->weight * towards[i];
        for (int64_t n = 0; n < row->count; n++)
            x[i] += confidence_of(row, n) * value[row->neighbours[n]][i];
    }
    eliminate(dim, a, x);
    for (int64_t p = 0; p < PLACES; p++) {
        double score = 0;

        for (int64_t d = 0; d < dim; d++)
            score += x[d] * value[p][d];
        least += alpha0 * score * score;
        for (int64_t n = 0; n < row->count; n++)
            if (row->neighbours[n] == p) least += confidence_of(row, n) * (1 - score) * (1 - score);
    }
    for (int64_t d = 0; d < dim; d++) {
        shrunk += row->weight * (x[d] - towards[d]) * (x[d] - towards[d]);
        constant += row->weight * towards[d] * towards[d];
    }
    cf_test_close_f32(row->values, x, dim, 2e-4, 1); /* condition numbers below 1e3, in float32 */
    assert_close(row->shrunk, shrunk, 2e-4 * (1 + shrunk));
    assert_close(row->least, least + shrunk, 2e-6 * (row->total + constant));
    for (int64_t d = dim; d % CF_LANES != 0; d++)
        assert_true(row->values[d] == 0);
    free(a);
    free(x);
}

/* 16 rows of different length: none, few, more than are summed at once. */
enum { N_COUNTS = 6, ROWS = CF_LANES };
static const int64_t counts[N_COUNTS] = {0, 1, 3, 31, 33, 90};

typedef struct problem {
    cf_field field;
    float *common;
    als_solver solver;
    int32_t neighbours[PLACES];
    float weights[PLACES];
    float towards[ROWS][MAX_WIDTH], values[ROWS][MAX_WIDTH];
    als_row row[ROWS];
} problem;

static void make_problem(int64_t dim, double alpha0, double weight, problem *p)
{
    const size_t bytes = (size_t)dim * sizeof(float);

    *p = (problem){.field = make_field(dim), .common = make_common(dim, alpha0)};
    assert_ok(als_create_solver(dim, &p->solver));
    for (int n = 0; n < PLACES; n++) {
        p->neighbours[n] = n;
        p->weights[n] = (float)(4 + 3 * cf_test_noise(10, n, 0));
    }
    for (int k = 0; k < ROWS; k++) {
        const int64_t count = counts[k % N_COUNTS];

        for (int64_t d = 0; d < dim; d++)
            p->towards[k][d] = (float)cf_test_noise(9, k, d);
        memcpy(p->values[k], p->towards[k], bytes);
        p->row[k] = (als_row){.neighbours = p->neighbours + k % (PLACES + 1 - count),
                              .count = count,
                              .total = (double)count,
                              .weight = (float)(weight * (1 + k)),
                              .values = p->values[k]};
    }
}

/* Every second row has weights, of which `unit` is made 1. */
static void give_weights(double unit, problem *p)
{
    for (int k = 1; k < ROWS; k += 2) {
        als_row *row = &p->row[k];

        row->weights = p->weights + (row->neighbours - p->neighbours);
        row->unit = unit;
        row->total = 0;
        for (int64_t n = 0; n < row->count; n++)
            row->total += unit * (double)row->weights[n];
    }
}

static void drop_problem(problem *p)
{
    als_destroy_solver(&p->solver);
    cf_free(&p->common);
    cf_free(&p->field.places.data);
}

static void rows_solve_their_normal_equations(void **state)
{
    static const int64_t dims[] = {1, 7, 16, 40, 64, 128, 300};
    static problem p;

    (void)state;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        make_problem(dims[d], 0.1, 1, &p);
        als_solve_rows(&p.solver, &p.field, p.common, p.row, ROWS);
        for (int k = 0; k < ROWS; k++)
            check_row(dims[d], 0.1, &p.row[k], p.towards[k]);
        drop_problem(&p);
    }
}

static void weights_are_confidences(void **state)
{
    static problem p;

    (void)state;
    make_problem(40, 0.1, 1, &p);
    give_weights(0.3, &p);
    als_solve_rows(&p.solver, &p.field, p.common, p.row, ROWS);
    for (int k = 0; k < ROWS; k++)
        check_row(40, 0.1, &p.row[k], p.towards[k]);
    drop_problem(&p);
}

/* Alone, in another lane, beside others: the same bits. */
static void a_row_has_the_same_bits_beside_any_others(void **state)
{
    static problem p;
    static float first[ROWS][MAX_WIDTH];

    (void)state;
    make_problem(48, 0.1, 1, &p);
    give_weights(0.25, &p);
    als_solve_rows(&p.solver, &p.field, p.common, p.row, ROWS);
    memcpy(first, p.values, sizeof first);
    memcpy(p.values, p.towards, sizeof p.values);
    for (int k = 0, count; k < ROWS; k += count) {
        count = k < 3 ? 1 : (int)cf_min(5, ROWS - k);
        als_solve_rows(&p.solver, &p.field, p.common, p.row + k, count);
    }
    for (int k = 0; k < ROWS; k++)
        cf_test_same_bits(p.values[k], first[k], 48, "row");
    drop_problem(&p);
}

/* No neighbours and no weight: zeros. Beside it another row is solved all the same. */
static void a_singular_matrix_is_noticed(void **state)
{
    static problem p;

    (void)state;
    make_problem(40, 0, 1, &p);
    p.row[0].weight = 0;
    als_solve_rows(&p.solver, &p.field, p.common, p.row, 2);
    assert_false(p.row[0].solved);
    assert_true(p.row[1].solved);
    check_row(40, 0, &p.row[1], p.towards[1]);
    drop_problem(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_solve_their_normal_equations),
    cmocka_unit_test(weights_are_confidences),
    cmocka_unit_test(a_row_has_the_same_bits_beside_any_others),
    cmocka_unit_test(a_singular_matrix_is_noticed),
};

CF_TEST_MAIN(tests)
