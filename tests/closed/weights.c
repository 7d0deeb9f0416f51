/* item_dropout, user_weight and item_power of EASE and L3AE, and a negative reg_weight, on every
 * grid against their equations and against NumPy. */
#include "plain.h"

#include <stdio.h>

/* The settings below. */
static const double dropout = 0.3, user_weight = 0.4, item_power = 0.25;

static const char *const ease_sets[] = {"model=EASE",      "reg_weight=3",    "item_dropout=0.3",
                                        "user_weight=0.4", "item_power=0.25", NULL};
static const char *const ease32_sets[] = {"model=EASE",
                                          "reg_weight=3",
                                          "item_dropout=0.3",
                                          "user_weight=0.4",
                                          "item_power=0.25",
                                          "solve_precision=float32",
                                          NULL};
static const char *const l3ae_sets[] = {
    "model=L3AE",       "reg_weight=-1",   "distill_weight=5", "text_reg_weight=0.7",
    "item_dropout=0.3", "user_weight=0.4", "item_power=0.25",  NULL};
static const char *const l3ae32_sets[] = {
    "model=L3AE",          "reg_weight=-1",           "distill_weight=5",
    "text_reg_weight=0.7", "item_dropout=0.3",        "user_weight=0.4",
    "item_power=0.25",     "solve_precision=float32", NULL};
static const double rounded = 1e-6, rounded_often = 1e-4;

/* The number of pairs with a user, or with an item. */
static int64_t degree(const data *d, int side, int64_t k)
{
    int64_t count = 0;

    for (int64_t e = 0; e < d->graph.n_pairs; e++)
        count += d->graph.pairs[e][side] == k;
    return count;
}

/* X' D^-b X */
static double *weighted_gram_plainly(const data *d)
{
    const int64_t n = d->graph.n_items;
    double *gram = square(n), *weights = calloc((size_t)d->graph.n_users, sizeof *weights);

    for (int64_t u = 0; u < d->graph.n_users; u++)
        weights[u] = pow((double)degree(d, 0, u), -user_weight);
    for (int64_t a = 0; a < d->graph.n_pairs; a++)
        for (int64_t b = 0; b < d->graph.n_pairs; b++)
            if (d->graph.pairs[a][0] == d->graph.pairs[b][0])
                gram[d->graph.pairs[a][1] * n + d->graph.pairs[b][1]] +=
                    weights[d->graph.pairs[a][0]];
    free(weights);
    return gram;
}

/* B(i, j) times (n_i / n_j)^a */
static void apply_power_plainly(const data *d, double *b)
{
    const int64_t n = d->graph.n_items;
    double *count = calloc((size_t)n, sizeof *count);

    for (int64_t i = 0; i < n; i++)
        count[i] = fmax((double)degree(d, 1, i), 1);
    for (int64_t k = 0; k < n * n; k++)
        b[k] *= pow(count[k / n] / count[k % n], item_power);
    free(count);
}

static double *ease_plainly(const data *d)
{
    double *gram = weighted_gram_plainly(d),
           *b = constrain_plainly(gram, d->graph.n_items, (plain_weights){3, dropout, 0}, NULL);

    apply_power_plainly(d, b);
    free(gram);
    return b;
}

static double *l3ae_plainly(const data *d)
{
    const int64_t n = d->graph.n_items;
    double *gram = weighted_gram_plainly(d), *of_text = text_gram_plainly(d, false),
           *text = constrain_plainly(of_text, n, (plain_weights){0.7, 0, 0}, NULL),
           *b = constrain_plainly(gram, n, (plain_weights){-1 + 5, dropout, 5}, text);

    apply_power_plainly(d, b);
    free(gram);
    free(of_text);
    free(text);
    return b;
}

/* More items than a block of the matrices, and some without a train user. */
static void users_items_and_dropout_weigh_as_the_equations_say(void **state)
{
    data d = new_data(270, 20, -1);
    double *ease = ease_plainly(&d), *l3ae = l3ae_plainly(&d);

    (void)state;
    check_everywhere(&d, ease_sets, ease, rounded);
    check_everywhere(&d, ease32_sets, ease, rounded_often);
    check_everywhere(&d, l3ae_sets, l3ae, rounded);
    check_everywhere(&d, l3ae32_sets, l3ae, rounded_often);
    free(ease);
    free(l3ae);
    free_data(&d);
}

/* Vectors of twelve dimensions, fewer than items, and of all. */
static void the_golden_problem_is_solved(void **state)
{
    static const struct {
        const char *file;
        const char *const *sets;
        int64_t dim;
    } cases[] = {{"ease_weighted", ease_sets, 12},
                 {"l3ae_weighted", l3ae_sets, 48},
                 {"l3ae_thin_weighted", l3ae_sets, 12}};
    int64_t dims[2];

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        data d = {.graph = cf_test_graph_load(CF_TEST_DATA "/golden/tiny/train.npy", 40, 30),
                  .dim = cases[k].dim,
                  .missing = -1};
        double *vectors = cf_test_npy(CF_TEST_DATA "/golden/tiny/llm.npy", dims), *want;
        char path[1024];

        d.vectors = calloc((size_t)(30 * d.dim), sizeof *d.vectors);
        for (int64_t i = 0; i < 30; i++)
            memcpy(d.vectors + i * d.dim, vectors + i * 48, (size_t)d.dim * sizeof *vectors);
        open_file(&d);
        snprintf(path, sizeof path, CF_TEST_DATA "/golden/tiny/%s.npy", cases[k].file);
        want = cf_test_npy(path, dims);
        assert_int_equal(dims[0] * dims[1], 900);
        check_everywhere(&d, cases[k].sets, want, rounded);
        free(want);
        free(vectors);
        free_data(&d);
    }
}

static void a_weight_below_its_range_is_refused(void **state)
{
    static const char *const ease[] = {"model=EASE", "reg_weight=-1", NULL};
    static const char *const l3ae[] = {"model=L3AE", "reg_weight=-5", "distill_weight=5", NULL};
    static const char *const unused[] = {"model=ItemKNN", "reg_weight=-1", NULL};
    data d = new_data(70, 12, -1);
    cf_grid *grid = NULL;
    float *none = NULL, *table = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_int_equal(solve_on(&d, grid, ease, &none), CF_ERR_USAGE);
    assert_string_equal(cf_error_message(), "reg_weight: -1 is negative, which only L3AE may have");
    assert_int_equal(solve_on(&d, grid, l3ae, &none), CF_ERR_USAGE);
    assert_string_equal(cf_error_message(),
                        "reg_weight: -5 is not above minus distill_weight, which is 5");
    assert_null(none);
    assert_ok(solve_on(&d, grid, unused, &table));
    free(table);
    cf_par_destroy_grid(&grid);
    free_data(&d);
}

/* Weights need memory of their own. */
static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    (void)state;
    if (world.size > 4) skip(); /* six ranks are for the mesh of 2 x 3 */
    check_no_memory(new_data(70, 12, -1), ease_sets, 10);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(users_items_and_dropout_weigh_as_the_equations_say),
    cmocka_unit_test(the_golden_problem_is_solved),
    cmocka_unit_test(a_weight_below_its_range_is_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
