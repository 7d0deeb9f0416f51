/* The basis of a side: its vectors make the Gram matrix diagonal, and rows that get into it and out
 * of it are what they were; and rows of few neighbours, which are solved there. */
#include "als/internal.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <math.h>
#include <stdlib.h>

enum { PLACES = 130, MOST = 304, MANY = CF_LANES };

/* Numbers that fall, as factors do; the same on all ranks. */
static double number_of(int64_t row, int64_t d)
{
    return cf_test_noise(3, row, d) / (1 + 0.1 * (double)d);
}

/* The sum of products of PLACES rows. */
static double *make_gram(int64_t dim)
{
    double *gram = calloc((size_t)(dim * dim), sizeof *gram);

    assert_non_null(gram);
    for (int64_t p = 0; p < PLACES; p++)
        for (int64_t i = 0; i < dim; i++)
            for (int64_t j = 0; j < dim; j++)
                gram[i * dim + j] += number_of(p, i) * number_of(p, j);
    return gram;
}

static als_basis make_basis(int64_t dim, double factor)
{
    double *gram = make_gram(dim);
    als_basis basis;

    assert_ok(als_create_basis(dim, &basis));
    assert_ok(als_find_basis(&world, gram, factor, &basis));
    free(gram);
    return basis;
}

static void the_matrix_is_that_of_its_basis(void **state)
{
    static const int64_t dims[] = {1, 15, 16, 40, 144};

    (void)state;
    for (size_t n = 0; n < sizeof dims / sizeof *dims; n++) {
        const int64_t dim = dims[n];
        als_basis b = make_basis(dim, 0.3);
        double *gram = make_gram(dim);

        for (int64_t i = 0; i < dim; i++)
            for (int64_t j = 0; j < dim; j++) {
                double sum = 0;

                for (int64_t k = 0; k < dim; k++)
                    sum += (double)b.vectors[i * b.width + k] * (double)b.values[k] *
                           (double)b.transposed[k * b.width + j];
                assert_close(sum, 0.3 * gram[i * dim + j], 2e-6 * 0.3 * gram[0]);
            }
        for (int64_t d = dim; d < b.width; d++)
            assert_true(isinf(b.values[d]));
        free(gram);
        als_destroy_basis(&b);
    }
}

/* Rows in any order of four, beside any others. */
static void rows_get_into_the_basis_and_out_of_it(void **state)
{
    static _Alignas(64) float in[4][MOST], into[4][MOST], out[4][MOST];
    static const int64_t dims[] = {7, 16, 80, 300};

    (void)state;
    for (size_t n = 0; n < sizeof dims / sizeof *dims; n++) {
        als_basis b = make_basis(dims[n], 1);
        als_turn turn = {{in[0], in[1], in[2], in[3]}, {into[0], into[1], into[2], into[3]}};
        const als_turn others = {{in[3], in[0], in[0], in[1]}, {out[0], out[1], out[2], out[3]}};

        for (int r = 0; r < 4; r++)
            for (int64_t d = 0; d < b.width; d++)
                in[r][d] = d < b.dim ? (float)cf_test_noise(5, r, d) : 0;
        als_turn_rows(b.vectors, b.width, &turn);
        als_turn_rows(b.vectors, b.width, &others);
        cf_test_same_bits(out[0], into[3], b.width, "row");
        cf_test_same_bits(out[3], into[1], b.width, "row");
        for (int64_t k = 0; k < b.width; k++) {
            double sum = 0;

            for (int64_t d = 0; d < b.dim; d++)
                sum += (double)in[2][d] * (double)b.vectors[d * b.width + k];
            assert_close((double)into[2][k], sum, 1e-5);
        }
        turn = (als_turn){{into[0], into[1], into[2], into[3]}, {out[0], out[1], out[2], out[3]}};
        als_turn_rows(b.transposed, b.width, &turn);
        for (int r = 0; r < 4; r++)
            for (int64_t d = 0; d < b.width; d++)
                assert_close((double)out[r][d], (double)in[r][d], 1e-5);
        als_destroy_basis(&b);
    }
}

static void what_is_not_finite_is_refused(void **state)
{
    double *gram = make_gram(20);
    als_basis basis;

    (void)state;
    gram[7] = NAN;
    assert_ok(als_create_basis(20, &basis));
    assert_refused(als_find_basis(&world, gram, 1, &basis), CF_ERR_NUMERIC, "not finite");
    als_destroy_basis(&basis);
    free(gram);
}

/* ---- Short rows ------------------------------------------------------------------------------ */

typedef struct problem {
    als_basis basis;
    als_solver solver;
    cf_field field; /* PLACES rows: any, as the basis is that of others */
    int32_t neighbours[PLACES];
    float weights[PLACES], towards[MANY][MOST], values[MANY][MOST];
    als_row row[MANY];
} problem;

static void make_problem(int64_t dim, problem *p)
{
    const int64_t width = CF_LANES * cf_table_segments(dim);
    float *rows = NULL;

    *p = (problem){.basis = make_basis(dim, 0.1)};
    assert_ok(als_create_solver(dim, &p->solver));
    assert_ok(CF_ALLOC(rows, PLACES * width));
    for (int64_t place = 0; place < PLACES; place++) {
        p->neighbours[place] = (int32_t)place;
        p->weights[place] = (float)(4 + 3 * cf_test_noise(10, place, 0));
        for (int64_t d = 0; d < dim; d++)
            rows[place * width + d] = (float)number_of(place + 1000, d);
    }
    p->field = (cf_field){.kind = {width, CF_FLOAT32}, .stride = width, .places.data = rows};
    for (int k = 0; k < MANY; k++)
        for (int64_t d = 0; d < dim; d++)
            p->towards[k][d] = (float)cf_test_noise(9, k, d);
}

/* Rows with and without weights and anything to be shrunk towards; the k-th has counts[k]
 * neighbours of the largest number there may be in n_blocks. */
static void set_rows(problem *p, int64_t n_blocks)
{
    const int64_t most = n_blocks * CF_LANES;
    const int64_t counts[] = {0, 1, 2, most - CF_LANES + 1, most - 1, most, 3, 5};

    for (int k = 0; k < MANY; k++) {
        const int64_t count = counts[k % 8];

        memset(p->values[k], 0, sizeof p->values[k]);
        if (k % 3 != 0) memcpy(p->values[k], p->towards[k], sizeof p->values[k]);
        p->row[k] = (als_row){.neighbours = p->neighbours + k,
                              .count = count,
                              .weights = k % 2 == 0 ? p->weights + k : NULL,
                              .unit = 0.3,
                              .total = (double)count,
                              .weight = 0.2f * (float)(1 + k),
                              .values = p->values[k]};
        if (k % 2 == 0) p->row[k].total = 0;
        for (int64_t n = 0; n < count && k % 2 == 0; n++)
            p->row[k].total += 0.3 * (double)p->row[k].weights[n];
    }
}

static void drop_problem(problem *p)
{
    als_destroy_basis(&p->basis);
    als_destroy_solver(&p->solver);
    cf_free(&p->field.places.data);
}

/* tests/als/rows.c holds long rows to plain loops. */
static void short_rows_are_solved_as_long_ones(void **state)
{
    static const int64_t dims[] = {32, 40, 64, 144};
    static problem p;
    static float want[MANY][MOST];

    (void)state;
    for (size_t n = 0; n < sizeof dims / sizeof *dims; n++) {
        make_problem(dims[n], &p);
        for (int64_t blocks = 1; blocks <= p.solver.most_short; blocks++) {
            als_row rows[MANY];

            set_rows(&p, blocks);
            als_solve_rows(&p.solver, &p.field, p.basis.common, p.row, MANY);
            memcpy(rows, p.row, sizeof rows);
            memcpy(want, p.values, sizeof want);
            set_rows(&p, blocks);
            als_solve_short(&p.solver, &p.field, p.basis.values, p.row, MANY, blocks);
            for (int k = 0; k < MANY; k++) {
                assert_true(p.row[k].solved);
                for (int64_t d = 0; d < p.basis.width; d++)
                    assert_close((double)p.values[k][d], (double)want[k][d], 2e-5);
                assert_close(p.row[k].least, rows[k].least, 1e-5 * (1 + rows[k].total));
                assert_close(p.row[k].shrunk, rows[k].shrunk, 1e-5 * (1 + rows[k].shrunk));
            }
        }
        drop_problem(&p);
    }
}

/* Alone, in another lane, with a larger matrix than it needs: the same bits. */
static void a_short_row_has_the_same_bits_beside_any_others(void **state)
{
    static problem p;
    static float first[MANY][MOST];
    als_row rows[MANY];

    (void)state;
    make_problem(72, &p);
    set_rows(&p, 1);
    als_solve_short(&p.solver, &p.field, p.basis.values, p.row, MANY, 1);
    memcpy(first, p.values, sizeof first);
    memcpy(rows, p.row, sizeof rows);
    set_rows(&p, 1);
    for (int k = 0, count; k < MANY; k += count) {
        count = k < 3 ? 1 : (int)cf_min(5, MANY - k);
        als_solve_short(&p.solver, &p.field, p.basis.values, p.row + k, count, 1 + k % 2);
    }
    for (int k = 0; k < MANY; k++) {
        cf_test_same_bits(p.values[k], first[k], 72, "row");
        assert_true(p.row[k].least == rows[k].least && p.row[k].shrunk == rows[k].shrunk);
    }
    drop_problem(&p);
}

/* Neither shrunk nor fixed by what is common: there is no solution. */
static void a_short_row_that_nothing_fixes_is_noticed(void **state)
{
    static problem p;

    (void)state;
    make_problem(40, &p);
    set_rows(&p, 1);
    p.row[2].weight = 0;
    for (int64_t d = 20; d < 40; d++)
        p.basis.values[d] = 0;
    als_solve_short(&p.solver, &p.field, p.basis.values, p.row, 5, 1);
    for (int k = 0; k < 5; k++)
        assert_int_equal(p.row[k].solved, k != 2);
    drop_problem(&p);
}

static void few_neighbours_make_a_row_short(void **state)
{
    als_solver solver;

    (void)state;
    assert_ok(als_create_solver(64, &solver));
    assert_int_equal(als_short_blocks(&solver, 0), 1);
    assert_int_equal(als_short_blocks(&solver, 16), 1);
    assert_int_equal(als_short_blocks(&solver, 17), 2);
    assert_int_equal(als_short_blocks(&solver, 32), 2);
    assert_int_equal(als_short_blocks(&solver, 33), 0);
    als_destroy_solver(&solver);
    assert_ok(als_create_solver(16, &solver));
    assert_int_equal(als_short_blocks(&solver, 0), 0);
    als_destroy_solver(&solver);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_matrix_is_that_of_its_basis),
    cmocka_unit_test(rows_get_into_the_basis_and_out_of_it),
    cmocka_unit_test(what_is_not_finite_is_refused),
    cmocka_unit_test(short_rows_are_solved_as_long_ones),
    cmocka_unit_test(a_short_row_has_the_same_bits_beside_any_others),
    cmocka_unit_test(a_short_row_that_nothing_fixes_is_noticed),
    cmocka_unit_test(few_neighbours_make_a_row_short),
};

CF_TEST_MAIN(tests)
