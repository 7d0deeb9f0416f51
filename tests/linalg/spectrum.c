#include "cf/linalg.h"
#include "cf_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN CF_TEST_DATA "/golden/tiny/"

/* ---- Measures ---- */

static void equal_values_count_all(void **state)
{
    double s[40];

    (void)state;
    for (int k = 0; k < 40; k++)
        s[k] = 1e200; /* its fourth power is not a number of double */
    const cf_spectrum m = cf_linalg_measure_spectrum(s, 40);
    assert_close(m.effective_rank, 40, 1e-12);
    assert_close(m.participation_ratio, 40, 1e-12);
    assert_close(m.information_abundance, 40, 1e-12);
    for (int t = 0; t < CF_SPECTRUM_TOPS; t++)
        assert_close(m.fraction[t], fmin(cf_spectrum_top[t] / 40.0, 1), 1e-15);
}

static void one_value_counts_one(void **state)
{
    const double one[9] = {3}, none[9] = {0};

    (void)state;
    const cf_spectrum m = cf_linalg_measure_spectrum(one, 9);
    assert_true(m.effective_rank == 1 && m.participation_ratio == 1 &&
                m.information_abundance == 1 && m.fraction[0] == 1 && m.fraction[4] == 1);
    const cf_spectrum zero = cf_linalg_measure_spectrum(none, 9);
    assert_true(zero.effective_rank == 0 && zero.participation_ratio == 0 &&
                zero.information_abundance == 0 && zero.fraction[0] == 0 && zero.fraction[4] == 0);
}

/* s = 1, 1/2, 1/4 ...: p = 1/2, 1/4 ..., of entropy 2 ln 2. */
static void a_geometric_series_has_its_closed_forms(void **state)
{
    double s[50];

    (void)state;
    for (int k = 0; k < 50; k++)
        s[k] = ldexp(1, -k);
    const cf_spectrum m = cf_linalg_measure_spectrum(s, 50);
    assert_close(m.effective_rank, 4, 1e-12); /* the rest beyond 50 is about 1e-13 */
    assert_close(m.participation_ratio, (16.0 / 9) / (16.0 / 15), 1e-12);
    assert_close(m.information_abundance, 2, 1e-12);
    assert_close(m.fraction[0], 0.75, 1e-12);
    assert_close(m.fraction[1], 1 - ldexp(1, -16), 1e-12);
}

/* ---- Tables ---- */

static cf_table *new_table(const cf_grid *grid, const double *values, int64_t n_rows, int64_t dim)
{
    cf_blocks blocks;
    cf_table *table = NULL;

    assert_int_equal(cf_par_create_blocks(n_rows, grid->n_rows, &blocks), CF_OK);
    if (grid->n_rows > 1) blocks.start[1] = 0; /* an empty block */
    assert_int_equal(cf_table_create(grid, &blocks, dim, &table), CF_OK);
    cf_par_destroy_blocks(&blocks);
    for (int64_t r = 0; r < table->local_rows; r++)
        for (int64_t k = 0; k < table->local_dim; k++)
            table->data[r * table->width + k] =
                (float)values[(table->first_row + r) * dim + table->first_dim + k];
    return table;
}

static void tables_have_the_golden_spectra(void **state)
{
    static const char *const names[] = {"llm", "pca_item_init", "lightgcn_final_user",
                                        "lightgcn_final_item"};
    cf_grid *grid = NULL;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    for (int n = 0; n < 4; n++) {
        char path[512];
        int64_t dims[2], count[2];
        double *values, *want, *measures, singular[48];

        snprintf(path, sizeof path, GOLDEN "%s.npy", names[n]);
        values = cf_test_npy(path, dims);
        snprintf(path, sizeof path, GOLDEN "%s_singular.npy", names[n]);
        want = cf_test_npy(path, count);
        snprintf(path, sizeof path, GOLDEN "%s_collapse.npy", names[n]);
        measures = cf_test_npy(path, count);
        cf_table *table = new_table(grid, values, dims[0], dims[1]);
        for (int all = 0; all < 2; all++) {
            assert_int_equal(cf_linalg_singular(table, all ? 0 : 2048, singular), CF_OK);
            for (int64_t k = 0; k < dims[1]; k++) /* float32 input: 6e-8 of a row's entries */
                assert_close(singular[k], want[k], 2e-7 * want[0]);
            const cf_spectrum m = cf_linalg_measure_spectrum(singular, dims[1]);
            assert_close(m.effective_rank, measures[0], 1e-5); /* zeros come as 1e-8 of the first */
            assert_close(m.participation_ratio, measures[1], 1e-5);
            assert_close(m.information_abundance, measures[2], 1e-5);
            for (int t = 0; t < CF_SPECTRUM_TOPS; t++)
                assert_close(m.fraction[t], measures[3 + t], 1e-6);
        }
        cf_table_destroy(&table);
        free(values);
        free(want);
        free(measures);
    }
    cf_par_destroy_grid(&grid);
}

enum { ROWS = 700, DIM = 150 }; /* three tiles, two panels */

static double *new_values(void)
{
    double *values = malloc(sizeof *values * ROWS * DIM);

    assert_non_null(values);
    for (int64_t k = 0; k < ROWS * DIM; k++)
        values[k] = cf_random_normal((cf_random){5, CF_STREAM_TEST}, (uint64_t)k, 0, 0) /
                    (double)(1 + k % DIM);
    return values;
}

static void ranks_and_grid_change_no_bit(void **state)
{
    const cf_par self = {MPI_COMM_SELF, 0, 1};
    double *values = new_values(), want[DIM], got[DIM];
    cf_grid *grid = NULL;
    cf_table *table;

    (void)state;
    assert_int_equal(cf_par_create_grid(&self, 1, 1, &grid), CF_OK);
    table = new_table(grid, values, ROWS, DIM);
    assert_int_equal(cf_linalg_singular(table, DIM, want), CF_OK);
    cf_table_destroy(&table);
    cf_par_destroy_grid(&grid);
    for (int columns = 1; columns <= world.size; columns++) {
        if (world.size % columns != 0) continue;
        assert_int_equal(cf_par_create_grid(&world, world.size / columns, columns, &grid), CF_OK);
        table = new_table(grid, values, ROWS, DIM);
        assert_int_equal(cf_linalg_singular(table, DIM, got), CF_OK);
        assert_memory_equal(got, want, sizeof want);
        assert_int_equal(cf_linalg_singular(table, DIM - 1, got), CF_OK); /* by all ranks */
        for (int k = 0; k < DIM; k++)
            assert_close(got[k], want[k], 1e-7 * want[0]);
        cf_table_destroy(&table);
        cf_par_destroy_grid(&grid);
    }
    free(values);
}

/* Of one row there is one value, its length; the other ranks have no rows. */
static void fewer_rows_than_ranks_are_enough(void **state)
{
    double row[20], singular[20], sum = 0;
    cf_grid *grid = NULL;
    cf_table *table;

    (void)state;
    for (int k = 0; k < 20; k++) {
        row[k] = k - 7;
        sum += row[k] * row[k];
    }
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    table = new_table(grid, row, 1, 20);
    for (int one_rank = 0; one_rank <= 20; one_rank += 20) {
        assert_int_equal(cf_linalg_singular(table, one_rank, singular), CF_OK);
        assert_close(singular[0], sqrt(sum), 1e-13 * sqrt(sum));
        for (int k = 1; k < 20; k++)
            assert_true(singular[k] == 0);
    }
    cf_table_destroy(&table);
    cf_par_destroy_grid(&grid);
}

/* A table and the one that has its columns as rows have the same values; the wide one as many zeros
 * as it has columns beyond its rows. The wide one takes the products of its rows: three tiles. */
static void a_wide_table_is_summed_by_its_columns(void **state)
{
    double *values = new_values(), *turned = malloc(sizeof *turned * ROWS * DIM);
    double want[DIM], got[ROWS], alone[ROWS];
    const cf_par self = {MPI_COMM_SELF, 0, 1};
    cf_grid *grid = NULL;
    cf_table *table;

    (void)state;
    assert_non_null(turned);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t k = 0; k < DIM; k++)
            turned[k * ROWS + r] = values[r * DIM + k];
    assert_int_equal(cf_par_create_grid(&self, 1, 1, &grid), CF_OK);
    table = new_table(grid, values, ROWS, DIM);
    assert_int_equal(cf_linalg_singular(table, DIM, want), CF_OK);
    cf_table_destroy(&table);
    table = new_table(grid, turned, DIM, ROWS);
    assert_int_equal(cf_linalg_singular(table, DIM, alone), CF_OK);
    cf_table_destroy(&table);
    cf_par_destroy_grid(&grid);
    assert_memory_equal(alone, want, sizeof want); /* the same tiles */
    for (int columns = 1; columns <= world.size; columns++) {
        if (world.size % columns != 0) continue;
        assert_int_equal(cf_par_create_grid(&world, world.size / columns, columns, &grid), CF_OK);
        table = new_table(grid, turned, DIM, ROWS);
        assert_int_equal(cf_linalg_singular(table, DIM, got), CF_OK);
        assert_memory_equal(got, alone, sizeof got);
        assert_int_equal(cf_linalg_singular(table, DIM - 1, got), CF_OK); /* by all ranks */
        for (int k = 0; k < DIM; k++)
            assert_close(got[k], want[k], 1e-7 * want[0]);
        for (int k = DIM; k < ROWS; k++)
            assert_true(got[k] == 0);
        cf_table_destroy(&table);
        cf_par_destroy_grid(&grid);
    }
    free(values);
    free(turned);
}

/* The first test, and each table takes more than the one before: the peak is that of all so far. */
static void bytes_are_as_predicted(void **state)
{
    static const int64_t shapes[][2] = {{ROWS, DIM}, {DIM, ROWS}, {40, 4096}};

    (void)state;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        const int64_t n_rows = shapes[k][0], dim = shapes[k][1];
        const double bytes = cf_linalg_predict_singular(n_rows, dim, world.size, 1 << 20).bytes;
        double *values = calloc((size_t)(n_rows * dim), sizeof *values), counted;
        double *singular = calloc((size_t)dim, sizeof *singular);
        cf_grid *grid = NULL;
        cf_table *table;

        assert_non_null(values);
        assert_non_null(singular);
        for (int64_t j = 0; j < n_rows * dim; j++)
            values[j] = (double)(j % 7);
        assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
        table = new_table(grid, values, n_rows, dim);
        counted = (double)-cf_alloc_held();
        assert_int_equal(cf_linalg_singular(table, 1 << 20, singular), CF_OK);
        counted += (double)cf_alloc_peak();
        if (world.rank == 0 && fabs(bytes - counted) > 0.02 * counted + 20480)
            fail_msg("%lld x %lld: %.0f bytes, predicted %.0f", (long long)n_rows, (long long)dim,
                     counted, bytes);
        cf_table_destroy(&table);
        cf_par_destroy_grid(&grid);
        free(values);
        free(singular);
    }
}

/* ---- Errors ---- */

/* Singular values found again and again. */
typedef struct search {
    const cf_table *table;
    int one_rank; /* the most columns that one rank alone takes */
} search;

static cf_status find_singular(void *context)
{
    const search *s = context;
    double singular[DIM] = {-1};
    cf_status status = cf_linalg_singular(s->table, s->one_rank, singular);

    if (status != CF_OK) assert_true(singular[0] == -1);
    return status;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = find_singular};
    double *values = new_values();
    cf_grid *grid = NULL;
    cf_table *table;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    table = new_table(grid, values, ROWS, DIM);
    for (int one_rank = 0; one_rank <= DIM; one_rank += DIM)
        assert_true(cf_test_every_allocation(&trial, &(search){table, one_rank}) >= 1);
    cf_table_destroy(&table);
    cf_par_destroy_grid(&grid);
    free(values);
}

static void what_is_not_finite_is_refused_by_all(void **state)
{
    double *values = new_values(), singular[DIM];
    cf_grid *grid = NULL;
    cf_table *table;

    (void)state;
    values[(ROWS - 1) * DIM + 3] = (double)NAN;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    table = new_table(grid, values, ROWS, DIM);
    assert_int_equal(cf_linalg_singular(table, DIM, singular), CF_ERR_NUMERIC);
    assert_non_null(strstr(cf_error_message(), "row 699 has a NaN"));
    cf_table_destroy(&table);
    cf_par_destroy_grid(&grid);
    free(values);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bytes_are_as_predicted),
    cmocka_unit_test(equal_values_count_all),
    cmocka_unit_test(one_value_counts_one),
    cmocka_unit_test(a_geometric_series_has_its_closed_forms),
    cmocka_unit_test(tables_have_the_golden_spectra),
    cmocka_unit_test(ranks_and_grid_change_no_bit),
    cmocka_unit_test(fewer_rows_than_ranks_are_enough),
    cmocka_unit_test(a_wide_table_is_summed_by_its_columns),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(what_is_not_finite_is_refused_by_all),
};
CF_TEST_MAIN(tests)
