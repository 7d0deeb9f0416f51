/* L3AE's two ways, through a matrix of all items and of all dimensions, give the same matrix. */
#include "closed/internal.h"
#include "problem.h"

#include <math.h>

typedef cf_status l3ae_way(closed_solver *s, cf_cyclic **out);

/* B' by one way, row by row, on every rank; free with free(). */
static double *solve_by(const solution *s, l3ae_way *way)
{
    const int64_t n = s->d->graph.n_items;
    const cf_slab all = {0, n, 0, n, n};
    closed_solver solver = {.closed = s->closed};
    cf_cyclic *matrix = NULL;
    double *out = square(n);

    reopen_file(s->d);
    solver.dataset = s->d->file;
    assert_ok(closed_open_solver(&solver));
    if (way(&solver, &matrix) != CF_OK) fail_msg("%s", cf_error_message());
    assert_ok(cf_linalg_get_cyclic(matrix, &all, CF_F64, out));
    cf_linalg_destroy_cyclic(&matrix);
    closed_close_solver(&solver);
    return out;
}

/* Within `tolerance` of the largest number. */
static void compare_ways(data *d, const char *const *sets, double tolerance)
{
    const int64_t n = d->graph.n_items;
    solution s = {.d = d, .options = read_options(sets)};
    cf_grid *grid = NULL;
    double largest = 0;

    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    s.grid = grid;
    s.shard = cf_test_graph_cut(&d->graph, grid);
    assert_ok(cf_closed_create(&s.options, grid, &s.shard, &s.closed));
    double *by_items = solve_by(&s, l3ae_solve_by_items),
           *by_dims = solve_by(&s, l3ae_solve_by_dims);
    for (int64_t k = 0; k < n * n; k++)
        largest = fmax(largest, fabs(by_items[k]));
    for (int64_t k = 0; k < n * n; k++)
        assert_close(by_dims[k], by_items[k], tolerance * largest);
    free(by_items);
    free(by_dims);
    cf_closed_destroy(&s.closed);
    cf_test_shard_destroy(&s.shard);
    cf_par_destroy_grid(&grid);
}

/* Less than a block, several blocks of items, or of dimensions; an item without a vector. */
static const struct {
    int64_t n_items, dim, missing;
} problems[] = {{70, 12, 33}, {270, 20, -1}, {30, 48, -1}, {40, 270, 7}};
enum { N_PROBLEMS = sizeof problems / sizeof *problems };

static void both_ways_are_the_same(void **state)
{
    static const char *const sets[] = {
        "model=L3AE",       "reg_weight=2",           "text_reg_weight=0.7",
        "distill_weight=5", "missing_embedding=zero", NULL};
    static const char *const weak[] = {
        "model=L3AE",        "reg_weight=10",          "text_reg_weight=0.1",
        "distill_weight=90", "missing_embedding=zero", NULL};
    static const char *const sets32[] = {"model=L3AE",
                                         "reg_weight=2",
                                         "text_reg_weight=0.7",
                                         "distill_weight=5",
                                         "missing_embedding=zero",
                                         "solve_precision=float32",
                                         NULL};

    (void)state;
    for (int k = 0; k < N_PROBLEMS; k++) {
        data d = new_data(problems[k].n_items, problems[k].dim, problems[k].missing);

        compare_ways(&d, sets, 1e-12);
        if (d.dim < problems[k].n_items) compare_ways(&d, weak, 1e-12);
        compare_ways(&d, sets32, 1e-4);
        free_data(&d);
    }
}

/* FF' is singular without a weight, F'F is not. */
static void a_weight_of_zero_serves_fewer_dimensions_than_items(void **state)
{
    static const char *const sets[] = {"model=L3AE", "reg_weight=2", "text_reg_weight=0", NULL};
    static const char *const nearly[] = {"model=L3AE", "reg_weight=2", "text_reg_weight=1e-9",
                                         NULL};
    data d = new_data(70, 12, -1);
    cf_grid *grid = NULL;
    float *zero = NULL, *small = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(solve_on(&d, grid, sets, &zero));
    reopen_file(&d);
    assert_ok(solve_on(&d, grid, nearly, &small));
    for (int64_t k = 0; k < 70 * 70; k++)
        assert_close(zero[k], small[k], 1e-7);
    free(zero);
    free(small);
    cf_par_destroy_grid(&grid);
    free_data(&d);
}

/* The last dimension is a cold item's alone, so that without a weight its leverage is 1. */
static void an_independent_vector_needs_a_weight(void **state)
{
    enum { N = 70, DIM = 12, COLD = 40 };
    static const char *const sets[] = {"model=L3AE", "text_reg_weight=0", "cold_map=none", NULL};
    static const char *const enough[] = {"model=L3AE", "text_reg_weight=0.01", "cold_map=none",
                                         NULL};
    data d = new_data(N, DIM, -1);
    cf_grid *grid = NULL;
    float *table = NULL, *none = NULL;
    int64_t kept = 0;

    (void)state;
    d.cold = calloc(N, 1);
    d.cold[COLD] = 1;
    for (int64_t i = 0; i < N; i++)
        d.vectors[i * DIM + DIM - 1] = i == COLD;
    for (int64_t e = 0; e < d.graph.n_pairs; e++)
        if (d.graph.pairs[e][1] != COLD) {
            d.graph.pairs[kept][0] = d.graph.pairs[e][0];
            d.graph.pairs[kept++][1] = d.graph.pairs[e][1];
        }
    d.graph.n_pairs = kept;
    cf_dataset_close(&d.file);
    open_file(&d);
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(solve_on(&d, grid, enough, &table));
    reopen_file(&d);
    assert_int_equal(solve_on(&d, grid, sets, &none), CF_ERR_NUMERIC);
    assert_non_null(strstr(cf_error_message(), "the vector of item 40 is independent"));
    assert_null(none);
    free(table);
    cf_par_destroy_grid(&grid);
    free_data(&d);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(both_ways_are_the_same),
    cmocka_unit_test(a_weight_of_zero_serves_fewer_dimensions_than_items),
    cmocka_unit_test(an_independent_vector_needs_a_weight),
};
CF_TEST_MAIN(tests)
