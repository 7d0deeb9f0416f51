/* EASE and L3AE on every grid against their equations, computed plainly. */
#include "plain.h"

#include <stdio.h>

static double *ease_plainly(const data *d, double weight)
{
    double *gram = gram_plainly(d),
           *b = constrain_plainly(gram, d->graph.n_items, (plain_weights){weight, 0, 0}, NULL);

    free(gram);
    return b;
}

/* With the weights of l3ae_sets. */
static double *l3ae_plainly(const data *d, bool cold_text)
{
    const int64_t n = d->graph.n_items;
    double *gram = gram_plainly(d), *of_text = text_gram_plainly(d, cold_text);
    double *text = constrain_plainly(of_text, n, (plain_weights){0.7, 0, 0}, NULL);
    double *b = constrain_plainly(gram, n, (plain_weights){2 + 5, 0, 5}, text);

    free(gram);
    free(of_text);
    free(text);
    return b;
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
    (void)state;
    if (world.size > 4) skip(); /* six ranks are for the mesh of 2 x 3 */
    check_no_memory(new_data(70, 12, -1), l3ae_sets, 10);
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
