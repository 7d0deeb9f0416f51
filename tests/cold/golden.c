/* Maps and their calibration against those of tests/data/make_golden.py, on every grid. */
#include "problem.h"

#include <stdio.h>

/* Float32 against float64, relative to the largest number. */
static const double rounded = 1e-5;

enum { N_USERS = 40, N_ITEMS = 30, SOURCE_DIM = 48, DIM = 16, N_NEW = 4 };
static const int64_t new_items[N_NEW] = {4, 11, 17, 28};
enum { MARKED_MISSING = 23, WARM_MISSING = 7 };

static double *load(const char *name, int64_t rows, int64_t columns)
{
    char path[1024];
    int64_t dims[2];
    double *values;

    snprintf(path, sizeof path, CF_TEST_DATA "/golden/tiny/%s.npy", name);
    values = cf_test_npy(path, dims);
    assert_int_equal(dims[0] * dims[1], rows * columns);
    return values;
}

/* Every fourth pair is valid, if there is a valid part. */
static problem golden_problem(const double *vectors, bool has_valid)
{
    problem p = new_problem(N_USERS, N_ITEMS, SOURCE_DIM, vectors);
    double *pairs = load("train", 300, 2);
    int64_t n = 0;

    for (int k = 0; k < N_NEW; k++)
        p.cold[new_items[k]] = (uint8_t)(1 + k % 3);
    p.cold[MARKED_MISSING] = CF_COLD_TEST;
    p.present[MARKED_MISSING] = p.present[WARM_MISSING] = 0;
    for (int64_t e = 0; e < 300; e++)
        p.parts[(int64_t)pairs[2 * e] * N_ITEMS + (int64_t)pairs[2 * e + 1]] = 1;
    for (int64_t k = 0; k < N_USERS * N_ITEMS; k++) {
        if (p.cold[k % N_ITEMS]) p.parts[k] = 0;
        if (p.parts[k] && n++ % 4 == 3 && has_valid) p.parts[k] = 2;
    }
    free(pairs);
    open_problem(&p, "data.h5");
    return p;
}

/* `matrix`: rows are columns of the stored one. */
static double *load_rows(bool matrix)
{
    double *rows =
        matrix ? load("ease", N_ITEMS, N_ITEMS) : load("lightgcn_final_item", N_ITEMS, DIM);

    for (int64_t i = 0; i < N_ITEMS && matrix; i++)
        for (int64_t j = 0; j < i; j++) {
            const double swap = rows[i * N_ITEMS + j];

            rows[i * N_ITEMS + j] = rows[j * N_ITEMS + i];
            rows[j * N_ITEMS + i] = swap;
        }
    return rows;
}

static double largest(const double *values, int64_t count)
{
    double most = 0;

    for (int64_t k = 0; k < count; k++)
        most = fmax(most, fabs(values[k]));
    return most;
}

/* New rows are `want` (N_NEW x dim) times the gain, the row without a vector is zero, and warm rows
 * are as they were. */
static void check_rows(const setting *s, const double *before, const double *want, double gain)
{
    const int64_t dim = s->items->dim;
    float *rows = cf_test_table_get(s->items);
    double *scaled = take(dim, sizeof *scaled);
    int next = 0;

    cf_test_table_check_padding(s->items);
    for (int64_t i = 0; i < N_ITEMS; i++) {
        const bool is_new = next < N_NEW && new_items[next] == i;

        for (int64_t k = 0; k < dim; k++)
            scaled[k] = is_new                ? gain * want[next * dim + k]
                        : i == MARKED_MISSING ? 0
                                              : (double)(float)before[i * dim + k];
        cf_test_close_f32(rows + i * dim, scaled, dim, is_new ? rounded : 0,
                          is_new ? gain * largest(want, N_NEW * dim) : 1);
        assert_int_equal(s->hidden[i], i == MARKED_MISSING);
        next += is_new;
    }
    free(scaled);
    free(rows);
}

/* All values of a parameter, one after the other, without calibration. */
static void check_kind(cf_cold_kind kind, bool matrix, const char *name, int n_values)
{
    double *vectors = load("llm", N_ITEMS, SOURCE_DIM), *before = load_rows(matrix),
           *users = matrix ? NULL : load("lightgcn_final_user", N_USERS, DIM),
           *center = load("cold_center", SOURCE_DIM, 1);
    const int64_t dim = matrix ? N_ITEMS : DIM;
    double *want = load(name, n_values * N_NEW, dim);
    problem p = golden_problem(vectors, true);
    cf_grid *grid = NULL;

    for (int k = 0; cf_test_next_grid(&world, cf_table_segments(dim), &k, &grid);)
        for (int n = 0; n < n_values; n++) {
            setting s = new_setting(&p, grid, users, before, dim);

            s.options.kind = n == 0 ? CF_COLD_AUTO : kind; /* which is that kind */
            s.options.calibrate_share = 0;
            s.options.neighbors[0] = n == 0 ? 5 : 2;
            s.options.reg[0] = (double[]){0.3, 1, 3, 10}[n];
            assert_ok(fit_and_apply(&s));
            assert_int_equal(s.map->kind, kind);
            assert_int_equal(s.map->n_points, 0);
            for (int64_t j = 0; j < SOURCE_DIM; j++)
                assert_close(s.map->center[j], center[j], 1e-7);
            check_rows(&s, before, want + n * N_NEW * dim, 1);
            s.map->gain = 3;
            assert_ok(cf_cold_apply(s.map, &s.place, s.items, s.hidden));
            check_rows(&s, before, want + n * N_NEW * dim, 3);
            destroy_setting(&s);
        }
    close_problem(&p);
    free(vectors);
    free(before);
    free(users);
    free(center);
    free(want);
}

static void nearest_rows_are_means(void **state)
{
    (void)state;
    check_kind(CF_COLD_NEAREST, false, "cold_nearest_table", 2);
}

static void ridge_rows_are_a_linear_map(void **state)
{
    (void)state;
    check_kind(CF_COLD_RIDGE, true, "cold_ridge_matrix", 4);
}

/* The kinds that auto does not choose. */
static void either_map_serves_either_table(void **state)
{
    double *vectors = load("llm", N_ITEMS, SOURCE_DIM);
    problem p = golden_problem(vectors, true);

    (void)state;
    for (int matrix = 0; matrix < 2; matrix++) {
        const int64_t dim = matrix ? N_ITEMS : DIM;
        const cf_cold_kind kind = matrix ? CF_COLD_NEAREST : CF_COLD_RIDGE;
        double *want = load(matrix ? "cold_nearest_matrix" : "cold_ridge_table",
                            (matrix ? 2 : 4) * N_NEW, dim),
               *before = load_rows(matrix),
               *users = matrix ? NULL : load("lightgcn_final_user", N_USERS, DIM);
        cf_grid *grid = NULL;

        for (int k = 0; cf_test_next_grid(&world, cf_table_segments(dim), &k, &grid);) {
            setting s = new_setting(&p, grid, users, before, dim);

            s.options.kind = kind;
            s.options.calibrate_share = 0;
            assert_ok(fit_and_apply(&s));
            check_rows(&s, before, want, 1);
            destroy_setting(&s);
        }
        free(want);
        free(before);
        free(users);
    }
    close_problem(&p);
    free(vectors);
}

/* ---- Calibration ---------------------------------------------------------------------------- */

enum { N_GAINS = 3, N_TRIED = N_GAINS + 2, NUMBERS = 5 }; /* 1 and the gain by norm are tried too */

/* The point of the golden curve that is to be chosen: the best of those that may be. */
static int64_t choose(const double *want, int64_t n_points, bool by_norm)
{
    int64_t best = -1;

    for (int64_t k = 0; k < n_points; k++) {
        const bool is_norm = k % N_TRIED == N_TRIED - 1;
        const double *first = want + k / N_TRIED * N_TRIED * NUMBERS, *point = want + NUMBERS * k;

        if (is_norm != by_norm) continue;
        if (!by_norm && point[3] < 0.9 * first[3]) continue; /* the first gain is the smallest */
        if (best < 0 || point[2] > want[NUMBERS * best + 2] + 1e-9) best = k;
    }
    return best;
}

static setting curve_setting(const problem *p, cf_grid *grid, const double *users,
                             const double *before, bool by_norm)
{
    const bool matrix = users == NULL;
    setting s = new_setting(p, grid, users, before, matrix ? N_ITEMS : DIM);

    s.options.calibrate_share = 0.2;
    s.options.calibrate_users = 12;
    s.options.by = by_norm ? CF_COLD_BY_NORM : CF_COLD_BY_NDCG;
    s.options.n_neighbors = 2;
    s.options.neighbors[1] = 2;
    s.options.n_gains = N_GAINS;
    memcpy(s.options.gains, matrix ? (double[]){0.5, 4, 40} : (double[]){0.5, 2, 4},
           N_GAINS * sizeof(double));
    return s;
}

/* The points of a curve; without the gain by norm, unless that is asked for. */
static void check_points(const cf_cold_map *map, const double *want, int64_t n_points, bool by_norm)
{
    int64_t n = 0;

    for (int64_t k = 0; k < n_points; k++) {
        const cf_cold_point *point = &map->points[n];

        if (k % N_TRIED == N_TRIED - 1 && !by_norm) continue;
        assert_true(point->parameter == want[NUMBERS * k]);
        assert_close(point->gain, want[NUMBERS * k + 1], 1e-6 * want[NUMBERS * k + 1]);
        assert_close(point->ndcg, want[NUMBERS * k + 2], 1e-12);
        assert_close(point->warm_hit, want[NUMBERS * k + 3], 1e-12);
        assert_close(point->cold_hit, want[NUMBERS * k + 4], 1e-12);
        n++;
    }
    assert_int_equal(map->n_points, n);
}

/* The curve, and the choice of its best point. */
static void check_curve(bool matrix, bool has_valid, const char *name, int64_t n_points)
{
    double *vectors = load("llm", N_ITEMS, SOURCE_DIM), *before = load_rows(matrix),
           *users = matrix ? NULL : load("lightgcn_final_user", N_USERS, DIM),
           *want = load(name, n_points, NUMBERS);
    const int64_t dim = matrix ? N_ITEMS : DIM;
    problem p = golden_problem(vectors, has_valid);
    cf_grid *grid = NULL;

    for (int k = 0; cf_test_next_grid(&world, cf_table_segments(dim), &k, &grid);)
        for (int by_norm = 0; by_norm < 2; by_norm++) {
            setting s = curve_setting(&p, grid, users, before, by_norm);
            const int64_t best = choose(want, n_points, by_norm);

            assert_ok(fit_and_apply(&s));
            check_points(s.map, want, n_points, by_norm);
            assert_true(s.map->parameter == want[NUMBERS * best]);
            assert_close(s.map->gain, want[NUMBERS * best + 1], 1e-6);
            destroy_setting(&s);
        }
    close_problem(&p);
    free(vectors);
    free(before);
    free(users);
    free(want);
}

static void calibration_finds_the_gain_of_the_best_ranking_or_of_equal_lengths(void **state)
{
    (void)state;
    check_curve(false, true, "cold_curve_table", 2 * N_TRIED);
    check_curve(true, true, "cold_curve_matrix", 4 * N_TRIED);
}

static void without_a_valid_part_one_train_item_is_withheld(void **state)
{
    (void)state;
    check_curve(false, false, "cold_curve_withheld", 2 * N_TRIED);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nearest_rows_are_means),
    cmocka_unit_test(ridge_rows_are_a_linear_map),
    cmocka_unit_test(either_map_serves_either_table),
    cmocka_unit_test(calibration_finds_the_gain_of_the_best_ranking_or_of_equal_lengths),
    cmocka_unit_test(without_a_valid_part_one_train_item_is_withheld),
};
CF_TEST_MAIN(tests)
