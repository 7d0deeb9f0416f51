/* The memory that a solution is foretold to take is what it takes. */
#include "problem.h"

#include <math.h>
#include <stdio.h>

/* On several ranks a rank has one or two blocks of so few items, and the ranks' peaks are not at
 * one time. Settings, descriptors, lists of users and counts by rank are not foretold. */
static const double tolerance_alone = 0.01, tolerance = 0.1, unforetold = 30000;

/* Bytes that ranks held at most while they solved, the mean. */
static double count_bytes(data *d, const cf_closed_options *options, const cf_grid *grid)
{
    solution s = {.d = d, .grid = grid, .options = *options};
    cf_shard *shard = NULL;
    int64_t before, peak;
    double mean;

    reopen_file(d);
    assert_ok(cf_dataset_load_shard(d->file, grid, &shard));
    s.shard = *shard;
    cf_alloc_reset_peak();
    before = cf_alloc_held();
    if (solution_solve(&s) != CF_OK) fail_msg("%s", cf_error_message());
    peak = cf_alloc_peak() - before;
    mean = (double)peak / world.size;
    MPI_Allreduce(MPI_IN_PLACE, &mean, 1, MPI_DOUBLE, MPI_SUM, world.comm);
    cf_closed_destroy(&s.closed);
    cf_dataset_destroy_shard(&shard);
    return mean;
}

static void check_close(double counted, double foretold, double within, const char *what)
{
    if (fabs(counted - unforetold / 2 - foretold) > within * foretold + unforetold / 2)
        fail_msg("%s: %.0f bytes, foretold %.0f", what, counted, foretold);
}

/* Slices, as `grid: auto` has them. */
static void check_memory(data *d, const char *model)
{
    static const char *const precisions[] = {"solve_precision=float32", "solve_precision=float64"};
    cf_grid *grid = NULL;

    assert_ok(cf_par_create_grid(&world, 1, world.size, &grid));
    for (int k = 0; k < 2; k++) {
        const cf_closed_options options =
            read_options((const char *const[]){model, "reg_weight=5", precisions[k], NULL});
        const cf_closed_grid size = {1, world.size, 1};
        char what[128];

        snprintf(what, sizeof what, "%s, %s, %lld items, %lld dimensions", model, precisions[k],
                 (long long)d->graph.n_items, (long long)d->dim);
        check_close(count_bytes(d, &options, grid),
                    cf_closed_predict_memory(&options, d->file, &size),
                    world.size == 1 ? tolerance_alone : tolerance, what);
    }
    cf_par_destroy_grid(&grid);
}

static void what_was_foretold_came_true(void **state)
{
    /* items, dimensions: few dimensions, many, nearly as many as items, more */
    static const int64_t problems[][2] = {
        {900, 40}, {600, 500}, {300, 299}, {300, 300}, {200, 1500}};

    (void)state;
    for (size_t k = 0; k < sizeof problems / sizeof *problems; k++) {
        data d = new_data(problems[k][0], problems[k][1], -1);

        check_memory(&d, "model=EASE");
        check_memory(&d, "model=L3AE");
        /* of few items, gathering a pass takes as much as the matrix, and it depends on the grid */
        if (problems[k][0] > 300) check_memory(&d, "model=ItemKNN");
        free_data(&d);
    }
}

/* ---- Filters -------------------------------------------------------------------------------- */

/* Each pair of a user and an item with the same chance, so that edges go anywhere. */
static cf_test_graph even_graph(int64_t n_users, int64_t n_items, double density)
{
    cf_test_graph graph = {.n_users = n_users, .n_items = n_items};

    graph.pairs = malloc((size_t)(n_users * n_items) * sizeof *graph.pairs);
    assert_non_null(graph.pairs);
    for (int64_t u = 0; u < n_users; u++)
        for (int64_t i = 0; i < n_items; i++) {
            if (cf_test_noise(5, u, i) >= 2 * density - 1) continue;
            graph.pairs[graph.n_pairs][0] = u;
            graph.pairs[graph.n_pairs++][1] = i;
        }
    return graph;
}

/* On all grids, with all ranks on one node and each on its own. */
static void check_filter(data *d, const char *const *sets)
{
    const cf_closed_options options = read_options(sets);
    cf_grid *grid = NULL;

    for (int ranks_a_node = 0; ranks_a_node < 2; ranks_a_node++) {
        cf_par_pretend_nodes(ranks_a_node);
        for (int g = 0; cf_test_next_grid(&world, 2, &g, &grid);) {
            const cf_closed_grid size = {grid->n_rows, grid->n_columns,
                                         ranks_a_node == 0 ? world.size : 1};
            char what[128];

            snprintf(what, sizeof what, "%s, %s, %dx%d, %d ranks a node", sets[0], sets[1],
                     grid->n_rows, grid->n_columns, size.node_ranks);
            check_close(count_bytes(d, &options, grid),
                        cf_closed_predict_memory(&options, d->file, &size),
                        world.size == 1 ? tolerance_alone : tolerance, what);
        }
    }
    cf_par_pretend_nodes(0);
}

static void a_filter_takes_what_was_foretold(void **state)
{
    static const char *const wide[] = {"model=ChebyCF", "ideal_dim=150", NULL}, *const narrow[] = {
                                                                                    "model=GF-CF",
                                                                                    "ideal_dim=20",
                                                                                    NULL};
    static const char *const text[] = {"model=GF-CF",        "ideal_dim=20",
                                       "text_weight=1",      "emb_selection=whiten",
                                       "embedding_size=150", NULL};
    data d = {.graph = even_graph(1500, 1100, 0.02), .dim = 160, .missing = -1};

    (void)state;
    give_noise(&d);
    open_file(&d);
    check_filter(&d, wide);
    check_filter(&d, narrow);
    check_filter(&d, text);
    free_data(&d);
}

/* Fewer rows cross between parts of leaves, and so fewer are held. */
static void counted_leaves_are_in_what_is_foretold(void **state)
{
    const cf_closed_options options =
        read_options((const char *const[]){"model=ChebyCF", "ideal_dim=16", NULL});
    const cf_closed_grid size = {4, 1, 1};
    int64_t crossing[] = {40, 120};
    cf_dataset dataset = {.world = &world, .n_users = 20000, .n_items = 10000, .n_train = 200000};
    const double anywhere = cf_closed_predict_memory(&options, &dataset, &size);

    (void)state;
    dataset.leaves = (cf_leaves){.n_crossing = 2, .crossing = crossing};
    assert_true(cf_closed_predict_memory(&options, &dataset, &size) < 0.8 * anywhere);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_was_foretold_came_true),
    cmocka_unit_test(a_filter_takes_what_was_foretold),
    cmocka_unit_test(counted_leaves_are_in_what_is_foretold),
};
CF_TEST_MAIN(tests)
