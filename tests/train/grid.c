/* What `grid: auto` chooses: slices on different nodes where they are faster, blocks inside the
 * nodes, and other grids where these will not do. */
#include "run.h"
#include "train/internal.h"

#include <math.h>
#include <omp.h>

static const run_spec lightgcn = {.sets = {"model=LightGCN", "embedding_size=40"}},
                      narrow = {.sets = {"model=LightGCN", "embedding_size=16"}},
                      ease = {.sets = {"model=EASE"}};

/* Nodes of so many ranks; the grid's columns, or 0 where no grid will do. */
static int choose(const run_spec *spec, int ranks_a_node, cf_dataset dataset)
{
    cf_config *config = run_config(spec);
    cf_grid *grid = NULL;
    run_options options;
    cf_status status;
    int columns = 0;

    dataset.world = &world;
    run_read_options(config, &options);
    cf_par_pretend_nodes(ranks_a_node);
    status = grid_create(&dataset, &options, &grid);
    cf_par_pretend_nodes(0);
    if (status == CF_OK) {
        columns = grid->n_columns;
        assert_int_equal(grid->n_rows * columns, world.size);
        cf_par_destroy_grid(&grid);
    } else {
        assert_refused(status, CF_ERR_USAGE, "use fewer ranks");
    }
    cf_config_destroy(&config);
    return columns;
}

/* Rows that cross, counted in files that prepare wrote with reorder: bisect: Gowalla, and 2 million
 * users and items with 11 million interactions in clusters. */
static int64_t gowalla_crossing[] = {23315, 46565, 94397, 158609, 236383, 340723},
               million_crossing[] = {1108000, 1988000, 2672000, 3200000, 3624000, 3968000};
static const cf_dataset gowalla = {.n_users = 29858,
                                   .n_items = 40981,
                                   .n_train = 810128,
                                   .leaves = {.n_crossing = 6, .crossing = gowalla_crossing}},
                        two_million = {.n_users = 2000000,
                                       .n_items = 2000000,
                                       .n_train = 11000000,
                                       .leaves = {.n_crossing = 6, .crossing = million_crossing}};

static const cf_dataset small = {.n_users = 500, .n_items = 60, .n_train = 4000};

static void ranks_of_a_node_are_blocks(void **state)
{
    (void)state;
    assert_int_equal(choose(&lightgcn, 4, small), 1);
}

/* 40 dimensions are three segments, so four nodes take two slices. */
static void nodes_of_many_cores_are_slices(void **state)
{
    static const int want[] = {1, 2, 3, 2};

    (void)state;
    omp_set_num_threads(32);
    assert_int_equal(choose(&lightgcn, 1, gowalla), want[world.size - 1]);
    assert_int_equal(choose(&narrow, 1, gowalla), 1);
    if (world.size == 4) assert_int_equal(choose(&lightgcn, 2, gowalla), 2);
    omp_set_num_threads(1);
    assert_int_equal(choose(&lightgcn, 1, gowalla), 1); /* sums take longer than the halo */
}

static void a_closed_form_takes_slices(void **state)
{
    (void)state;
    assert_int_equal(choose(&ease, 4, small), world.size);
}

/* 10^13 interactions fit nowhere. */
static void blocks_are_taken_where_memory_is_short(void **state)
{
    cf_dataset large = small;

    (void)state;
    large.n_train = 10000000000000;
    assert_int_equal(choose(&lightgcn, 1, large), 1);
}

static void slices_are_taken_where_items_are_too_few(void **state)
{
    static const int want[] = {1, 1, 3, 2};
    cf_dataset few = small;

    (void)state;
    few.n_items = 2;
    assert_int_equal(choose(&lightgcn, 4, few), want[world.size - 1]);
    assert_int_equal(choose(&narrow, 4, few), world.size <= 2);
}

/* A rank of 32 threads on each node. The faster of two grids, as tools/study scaling --simulate has
 * them (tools/simulate/README.md): a node needs few rows of Gowalla, and many edges fit into its
 * caches; narrow rows of the large table waste what they read. Without layers nothing crosses. */
static void the_faster_grid_of_simulated_runs_is_taken(void **state)
{
    static const struct {
        const cf_dataset *dataset;
        run_spec spec;
        int n_nodes, columns;
    } cases[] = {
        {&gowalla, {.sets = {"n_layers=3"}}, 4, 4},
        {&gowalla, {.sets = {"n_layers=3"}}, 8, 4},
        {&gowalla, {.sets = {"n_layers=3"}}, 32, 4},
        {&gowalla, {.sets = {"n_layers=3", "field_precision=bfloat16"}}, 4, 4},
        {&gowalla, {.sets = {"n_layers=3", "field_precision=bfloat16"}}, 32, 4},
        {&two_million, {.sets = {"n_layers=2", "field_precision=bfloat16"}}, 2, 2},
        {&two_million, {.sets = {"n_layers=2", "field_precision=bfloat16"}}, 8, 1},
        {&two_million, {.sets = {"n_layers=2", "field_precision=bfloat16"}}, 16, 1},
        {&two_million, {.sets = {"n_layers=2", "propagate=test"}}, 8, 4},
        {&two_million, {.sets = {"model=BPR"}}, 8, 4},
        {&two_million, {.sets = {"model=iALS"}}, 8, 1},
    };

    (void)state;
    omp_set_num_threads(32);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const grid_machine machine = {cases[k].n_nodes, cases[k].n_nodes, INFINITY};
        cf_config *config = run_config(&cases[k].spec);
        run_options options;
        int rows, columns;

        assert_int_equal(cf_config_set(config, "embedding_size=64"), CF_OK);
        run_read_options(config, &options);
        grid_choose(cases[k].dataset, &options, &machine, &rows, &columns);
        assert_int_equal(columns, cases[k].columns);
        assert_int_equal(rows * columns, cases[k].n_nodes);
        cf_config_destroy(&config);
    }
    omp_set_num_threads(1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(ranks_of_a_node_are_blocks),
    cmocka_unit_test(nodes_of_many_cores_are_slices),
    cmocka_unit_test(the_faster_grid_of_simulated_runs_is_taken),
    cmocka_unit_test(a_closed_form_takes_slices),
    cmocka_unit_test(blocks_are_taken_where_memory_is_short),
    cmocka_unit_test(slices_are_taken_where_items_are_too_few),
};
CF_TEST_MAIN(tests)
