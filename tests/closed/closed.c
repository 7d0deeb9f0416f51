/* EASE and L3AE on every grid against their equations, computed plainly. */
#include "problem.h"

#include <math.h>
#include <stdio.h>

/* ---- The plain way -------------------------------------------------------------------------- */

/* The inverse by Gauss and Jordan; positive definite, so that no pivot has to be looked for. */
static void invert_plainly(double *a, int64_t n)
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

/* P (target) - P diag(mu), P the inverse of gram + weight I; target = gram + times * text. */
static double *constrain_plainly(const double *gram, int64_t n, double weight, const double *text,
                                 double times)
{
    double *p = square(n), *b = square(n);

    for (int64_t k = 0; k < n * n; k++)
        p[k] = gram[k] + (k % (n + 1) == 0 ? weight : 0);
    invert_plainly(p, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < n; j++)
                b[i * n + j] +=
                    p[i * n + k] * (gram[k * n + j] + (text ? times * text[k * n + j] : 0));
    for (int64_t j = 0; j < n; j++) {
        const double mu = b[j * n + j] / p[j * n + j];

        for (int64_t i = 0; i < n; i++)
            b[i * n + j] -= p[i * n + j] * mu;
    }
    free(p);
    return b;
}

static bool is_cold(const data *d, int64_t i)
{
    return d->cold != NULL && d->cold[i];
}

/* FF', F: rows of length 1, centred by the mean of warm items; of cold items with `cold_text`. */
static double *text_gram_plainly(const data *d, bool cold_text)
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

static double *ease_plainly(const data *d, double weight)
{
    double *gram = gram_plainly(d), *b = constrain_plainly(gram, d->graph.n_items, weight, NULL, 0);

    free(gram);
    return b;
}

/* With the weights of l3ae_sets. */
static double *l3ae_plainly(const data *d, bool cold_text)
{
    const int64_t n = d->graph.n_items;
    double *gram = gram_plainly(d), *of_text = text_gram_plainly(d, cold_text);
    double *text = constrain_plainly(of_text, n, 0.7, NULL, 0);
    double *b = constrain_plainly(gram, n, 2 + 5, text, 5);

    free(gram);
    free(of_text);
    free(text);
    return b;
}

/* The table is B's transpose: within tolerance x B's largest entry, and with a diagonal of zeros.
 */
static void check_transposed(const float *table, const double *b, int64_t n, double tolerance)
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
static void check_everywhere(data *d, const char *const *sets, const double *b, double tolerance)
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

/* ---- Tests ---------------------------------------------------------------------------------- */

/* The table has 24 bits; what is solved in float32 loses as many as the condition number has. */
static const double rounded = 1e-6, rounded_often = 1e-4;

static const char *const ease_sets[] = {"model=EASE", "reg_weight=3", NULL};
static const char *const ease32_sets[] = {"model=EASE", "reg_weight=3", "solve_precision=float32",
                                          NULL};
static const char *const l3ae_sets[] = {"model=L3AE", "reg_weight=2", "text_reg_weight=0.7",
                                        "distill_weight=5", NULL};
static const char *const l3ae32_sets[] = {"model=L3AE",
                                          "reg_weight=2",
                                          "text_reg_weight=0.7",
                                          "distill_weight=5",
                                          "solve_precision=float32",
                                          NULL};

static void the_golden_problem_is_solved(void **state)
{
    static const struct {
        const char *file;
        const char *const *sets, *const *sets32;
    } models[] = {{"ease", ease_sets, ease32_sets}, {"l3ae", l3ae_sets, l3ae32_sets}};
    data d = {.graph = cf_test_graph_load(CF_TEST_DATA "/golden/tiny/train.npy", 40, 30),
              .dim = 48,
              .missing = -1};
    int64_t dims[2];

    (void)state;
    d.vectors = cf_test_npy(CF_TEST_DATA "/golden/tiny/llm.npy", dims);
    assert_int_equal(dims[1], d.dim);
    open_file(&d);
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        char path[1024];

        snprintf(path, sizeof path, CF_TEST_DATA "/golden/tiny/%s.npy", models[m].file);
        double *want = cf_test_npy(path, dims);
        assert_int_equal(dims[0] * dims[1], 900);
        check_everywhere(&d, models[m].sets, want, rounded);
        check_everywhere(&d, models[m].sets32, want, rounded_often);
        free(want);
    }
    free_data(&d);
}

/* Two items of the golden problem, then a cold one with a vector of its own, and so on. */
static int64_t place_of(int64_t item)
{
    return item / 2 * 3 + item % 2;
}

/* The golden problem with cold items between its own, and its matrix with zeros for them. */
static data add_cold(const char *golden, double **want)
{
    data d = {.graph = cf_test_graph_load(CF_TEST_DATA "/golden/tiny/train.npy", 40, 30),
              .dim = 48,
              .missing = -1,
              .cold = calloc(45, 1)};
    int64_t dims[2];
    double *vectors = cf_test_npy(CF_TEST_DATA "/golden/tiny/llm.npy", dims),
           *matrix = cf_test_npy(golden, dims);

    d.graph.n_items = 45;
    d.vectors = calloc((size_t)(45 * d.dim), sizeof *d.vectors);
    *want = square(45);
    assert_true(d.vectors != NULL && d.cold != NULL);
    for (int64_t i = 0; i < 45; i++) {
        d.cold[i] = (uint8_t)(1 + i % 3);
        for (int64_t k = 0; k < d.dim; k++)
            d.vectors[i * d.dim + k] = (float)(10 * cf_test_noise(8, i, k));
    }
    for (int64_t i = 0; i < 30; i++) {
        d.cold[place_of(i)] = 0;
        memcpy(d.vectors + place_of(i) * d.dim, vectors + i * d.dim,
               (size_t)d.dim * sizeof *vectors);
        for (int64_t j = 0; j < 30; j++)
            (*want)[place_of(i) * 45 + place_of(j)] = matrix[i * 30 + j];
    }
    for (int64_t e = 0; e < d.graph.n_pairs; e++)
        d.graph.pairs[e][1] = place_of(d.graph.pairs[e][1]);
    free(vectors);
    free(matrix);
    open_file(&d);
    return d;
}

/* Rows and columns of cold items are zeros; the others are those of the warm items alone. Without a
 * map the matrix is that of the formula with the text of all. */
static void cold_items_change_nothing(void **state)
{
    static const char *const no_map[] = {"model=L3AE",       "reg_weight=2",  "text_reg_weight=0.7",
                                         "distill_weight=5", "cold_map=none", NULL};
    cf_grid *grid = NULL;
    float *table = NULL;
    double *want;
    data d = add_cold(CF_TEST_DATA "/golden/tiny/ease.npy", &want);

    (void)state;
    check_everywhere(&d, ease_sets, want, rounded);
    free(want);
    free_data(&d);
    d = add_cold(CF_TEST_DATA "/golden/tiny/l3ae.npy", &want);
    check_everywhere(&d, l3ae_sets, want, rounded);
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(solve_on(&d, grid, l3ae_sets, &table));
    for (int64_t k = 0; k < 45 * 45; k++)
        if (d.cold[k / 45] || d.cold[k % 45]) assert_true(table[k] == 0);
    free(table);
    free(want);
    cf_par_destroy_grid(&grid);
    want = l3ae_plainly(&d, true);
    check_everywhere(&d, no_map, want, rounded);
    free(want);
    free_data(&d);
}

static void many_blocks_are_as_one(void **state)
{
    data d = new_data(270, 20, -1);
    double *ease = ease_plainly(&d, 3), *l3ae = l3ae_plainly(&d, false);

    (void)state;
    check_everywhere(&d, ease_sets, ease, rounded);
    check_everywhere(&d, ease32_sets, ease, rounded_often);
    check_everywhere(&d, l3ae_sets, l3ae, rounded);
    check_everywhere(&d, l3ae32_sets, l3ae, rounded_often);
    free(ease);
    free(l3ae);
    free_data(&d);
}

static void l3ae_without_distillation_is_ease(void **state)
{
    static const char *const sets[] = {"model=L3AE", "reg_weight=3", "distill_weight=0", NULL};
    data d = new_data(70, 12, -1);
    double *want = ease_plainly(&d, 3);

    (void)state;
    check_everywhere(&d, sets, want, rounded);
    free(want);
    free_data(&d);
}

/* Its row of F is zero, so that its text says nothing of any other item. */
static void an_item_without_a_vector_is_refused_or_tells_nothing(void **state)
{
    static const char *const zero[] = {
        "model=L3AE",       "reg_weight=2",           "text_reg_weight=0.7",
        "distill_weight=5", "missing_embedding=zero", NULL};
    static const char *const mean[] = {
        "model=L3AE",       "reg_weight=2",           "text_reg_weight=0.7",
        "distill_weight=5", "missing_embedding=mean", NULL};
    static const char *const random[] = {"model=L3AE", "missing_embedding=random", NULL};
    data d = new_data(70, 12, 33);
    double *want = l3ae_plainly(&d, false);
    cf_grid *grid = NULL;
    float *none = NULL;

    (void)state;
    check_everywhere(&d, zero, want, rounded);
    check_everywhere(&d, mean, want, rounded);
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    assert_int_equal(solve_on(&d, grid, l3ae_sets, &none), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "1 of 70 items have no vector"));
    assert_int_equal(solve_on(&d, grid, random, &none), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "missing_embedding"));
    assert_null(none);
    cf_par_destroy_grid(&grid);
    free(want);
    free_data(&d);
}

static void a_singular_matrix_is_refused_by_every_rank(void **state)
{
    static const char *const sets[] = {"model=EASE", "reg_weight=0", NULL};
    static const char *const text[] = {"model=L3AE", "text_reg_weight=0", NULL};
    data d = new_data(70, 0, -1), with_text = new_data(10, 12, 3);
    cf_grid *grid = NULL;
    float *none = NULL;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, 1, world.size, &grid), CF_OK);
    if (world.size <= 5) { /* slices of whole 16s */
        assert_int_equal(solve_on(&d, grid, sets, &none), CF_ERR_NUMERIC);
        assert_non_null(strstr(cf_error_message(), "a larger reg_weight helps"));
    }
    cf_par_destroy_grid(&grid);
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    assert_int_equal(solve_on(&d, grid, text, &none), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "has no language-model vectors"));
    assert_int_equal(solve_on(&with_text, grid,
                              (const char *const[]){"model=L3AE", "text_reg_weight=0",
                                                    "missing_embedding=zero", NULL},
                              &none),
                     CF_ERR_NUMERIC);
    assert_non_null(strstr(cf_error_message(), "a larger text_reg_weight helps"));
    assert_null(none);
    cf_par_destroy_grid(&grid);
    free_data(&d);
    free_data(&with_text);
}

static void a_closed_form_has_its_own_default_of_reg_weight(void **state)
{
    static const struct {
        const char *model;
        bool closed;
        double initial;
    } cases[] = {{"model=BPR", false, 1e-5},
                 {"model=EASE", true, 250},
                 {"model=L3AE", true, 10},
                 {"model=ItemKNN", true, 1e-5}, /* does not read it */
                 {"model=Pop", true, 1e-5}};

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        cf_config *config = create_config();

        assert_int_equal(cf_config_set(config, cases[k].model), CF_OK);
        assert_int_equal(cf_closed_is(config), cases[k].closed);
        assert_int_equal(cf_closed_uses(config) != NULL, cases[k].closed);
        assert_int_equal(cf_closed_set_defaults(config), CF_OK);
        assert_true(cf_config_real(config, "reg_weight") == cases[k].initial);
        assert_int_equal(cf_config_set(config, "reg_weight=7"), CF_OK);
        assert_int_equal(cf_closed_set_defaults(config), CF_OK);
        assert_true(cf_config_real(config, "reg_weight") == 7);
        cf_config_destroy(&config);
    }
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = solution_solve,
                                 .prepare = solution_prepare,
                                 .clean_up = solution_clean_up,
                                 .thinning = 6,
                                 .rotate = true};
    cf_grid *grid = NULL;
    data d;

    (void)state;
    if (world.size > 4) skip(); /* six ranks are for the mesh of 2 x 3 */
    d = new_data(70, 12, -1);
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    solution s = {.d = &d, .grid = grid, .options = read_options(l3ae_sets)};
    s.shard = cf_test_graph_cut(&d.graph, grid);
    assert_true(cf_test_every_allocation(&trial, &s) > 10);
    cf_test_shard_destroy(&s.shard);
    cf_par_destroy_grid(&grid);
    free_data(&d);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_golden_problem_is_solved),
    cmocka_unit_test(many_blocks_are_as_one),
    cmocka_unit_test(cold_items_change_nothing),
    cmocka_unit_test(l3ae_without_distillation_is_ease),
    cmocka_unit_test(an_item_without_a_vector_is_refused_or_tells_nothing),
    cmocka_unit_test(a_singular_matrix_is_refused_by_every_rank),
    cmocka_unit_test(a_closed_form_has_its_own_default_of_reg_weight),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
