/* What `grid: auto` chooses: a slice for each node, blocks inside the nodes, and other grids where
 * these will not do. */
#include "run.h"
#include "train/internal.h"

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

static const cf_dataset small = {.n_users = 500, .n_items = 60, .n_train = 4000};

static void ranks_of_a_node_are_blocks(void **state)
{
    (void)state;
    assert_int_equal(choose(&lightgcn, 4, small), 1);
}

/* 40 dimensions are three segments, so four nodes take two slices. */
static void nodes_are_slices(void **state)
{
    static const int want[] = {1, 2, 3, 2};

    (void)state;
    assert_int_equal(choose(&lightgcn, 1, small), want[world.size - 1]);
    assert_int_equal(choose(&narrow, 1, small), 1);
    if (world.size == 4) assert_int_equal(choose(&lightgcn, 2, small), 2);
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(ranks_of_a_node_are_blocks),
    cmocka_unit_test(nodes_are_slices),
    cmocka_unit_test(a_closed_form_takes_slices),
    cmocka_unit_test(blocks_are_taken_where_memory_is_short),
    cmocka_unit_test(slices_are_taken_where_items_are_too_few),
};
CF_TEST_MAIN(tests)
