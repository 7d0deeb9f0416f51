#include "cf_test.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static void check_grid(int n_rows, int n_columns)
{
    cf_grid *grid = NULL;
    int first, last;

    assert_int_equal(cf_par_create_grid(&world, n_rows, n_columns, &grid), CF_OK);
    assert_int_equal(grid->n_rows, n_rows);
    assert_int_equal(grid->n_columns, n_columns);
    assert_int_equal(grid->my_column * n_rows + grid->my_row, world.rank); /* on one node */
    assert_int_equal(grid->my_row * n_columns + grid->my_column, grid->world.rank);
    assert_int_equal(grid->world.size, world.size);
    first = last = grid->world.rank;
    assert_int_equal(grid->row.rank, grid->my_column);
    assert_int_equal(grid->row.size, n_columns);
    assert_int_equal(grid->column.rank, grid->my_row);
    assert_int_equal(grid->column.size, n_rows);
    /* members of my row are neighbours in the grid, members of my column are n_columns apart */
    cf_par_broadcast(&grid->row, &first, sizeof first, 0);
    assert_int_equal(first, grid->my_row * n_columns);
    cf_par_broadcast(&grid->column, &last, sizeof last, n_rows - 1);
    assert_int_equal(last, (n_rows - 1) * n_columns + grid->my_column);
    cf_par_destroy_grid(&grid);
    assert_null(grid);
    cf_par_destroy_grid(&grid);
}

static void every_shape_of_a_grid(void **state)
{
    (void)state;
    for (int n_rows = 1; n_rows <= world.size; n_rows++)
        if (world.size % n_rows == 0) check_grid(n_rows, world.size / n_rows);
}

/* On nodes of 2: the blocks of a slice together, slices on different nodes. Without the order, 2x2
 * would have the slices of a block on one node. */
static void a_grid_puts_blocks_of_a_slice_on_one_node(void **state)
{
    cf_grid *grid = NULL;
    cf_par node;

    (void)state;
    cf_par_pretend_nodes(2);
    assert_ok(cf_par_create_grid(&world, world.size % 2 == 0 ? 2 : 1,
                                 world.size % 2 == 0 ? world.size / 2 : world.size, &grid));
    cf_par_split_node(&grid->row, &node);
    MPI_Comm_free(&node.comm);
    assert_int_equal(node.size,
                     world.size % 2 == 0 ? 1 : cf_min(2, world.size - world.rank / 2 * 2));
    cf_par_split_node(&grid->column, &node);
    MPI_Comm_free(&node.comm);
    assert_int_equal(node.size, grid->column.size);
    cf_par_destroy_grid(&grid);
    cf_par_pretend_nodes(0);
}

/* Ranks in reverse: those of a node still lie together, in the order of the communicator. */
static void ranks_are_ordered_node_after_node(void **state)
{
    cf_par reversed;
    int place = -1, node_of[64] = {0};
    const int size = world.size, node = world.rank / 2;

    (void)state;
    cf_par_pretend_nodes(2);
    MPI_Comm_split(world.comm, 0, world.rank % 2 * size + world.rank / 2, &reversed.comm);
    MPI_Comm_rank(reversed.comm, &reversed.rank);
    reversed.size = size;
    assert_ok(cf_par_order_by_node(&reversed, &place));
    node_of[place] = node;
    MPI_Allreduce(MPI_IN_PLACE, node_of, size, MPI_INT, MPI_SUM, world.comm);
    for (int p = 0; p < size; p++)
        assert_int_equal(node_of[p], p / 2); /* nodes 0, 1, ... have the lowest ranks 0, 1, ... */
    MPI_Comm_free(&reversed.comm);
    cf_par_pretend_nodes(0);
}

static void pretended_nodes_are_counted(void **state)
{
    (void)state;
    assert_int_equal(cf_par_count_nodes(&world), 1); /* all tests run on one machine */
    for (int k = 1; k <= 4; k++) {
        cf_par_pretend_nodes(k);
        assert_int_equal(cf_par_count_nodes(&world), (world.size + k - 1) / k);
    }
    cf_par_pretend_nodes(0);
    assert_int_equal(cf_par_count_nodes(&world), 1);
}

static void a_grid_of_another_size_is_refused(void **state)
{
    static const int shapes[][2] = {{5, 5}, {0, 1}, {-1, -4}, {-1, -1}, {1 << 16, 1 << 16}};
    char want[100];
    cf_grid *grid = NULL;

    (void)state;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        assert_int_equal(cf_par_create_grid(&world, shapes[k][0], shapes[k][1], &grid),
                         CF_ERR_USAGE);
        assert_null(grid);
    }
    assert_int_equal(cf_par_create_grid(&world, 2, 5, &grid), CF_ERR_USAGE);
    snprintf(want, sizeof want, "grid 2x5: rows x columns must be the number of ranks, %d",
             world.size);
    assert_string_equal(cf_error_message(), want);
}

static cf_status create_grid(void *context)
{
    cf_grid **grid = context;
    cf_status status = cf_par_create_grid(&world, world.size, 1, grid);

    if (status != CF_OK) assert_null(*grid);
    return status;
}

static void destroy_grid(void *context)
{
    cf_par_destroy_grid(context);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = create_grid, .clean_up = destroy_grid};
    cf_grid *grid = NULL;

    (void)state;
    assert_true(cf_test_every_allocation(&trial, &grid) >= 1);
}

static void blocks_cover_everything_evenly(void **state)
{
    (void)state;
    for (int64_t n = 0; n <= 20; n++)
        for (int count = 1; count <= 9; count++) {
            cf_blocks blocks;
            assert_int_equal(cf_par_create_blocks(n, count, &blocks), CF_OK);
            assert_int_equal(blocks.count, count);
            assert_int_equal(blocks.start[0], 0);
            assert_int_equal(blocks.start[count], n);
            for (int b = 0; b < count; b++) {
                assert_int_equal(blocks.start[b], cf_par_even_start(n, count, b));
                assert_in_range(blocks.start[b + 1] - blocks.start[b], n / count,
                                (n + count - 1) / count);
                for (int64_t i = blocks.start[b]; i < blocks.start[b + 1]; i++)
                    assert_int_equal(cf_par_block_of(&blocks, i), b);
            }
            cf_par_destroy_blocks(&blocks);
            assert_null(blocks.start);
        }
}

static void blocks_of_many_indices_do_not_overflow(void **state)
{
    (void)state;
    assert_true(cf_par_even_start(INT64_MAX, 1000, 1000) == INT64_MAX);
    assert_true(cf_par_even_start(INT64_MAX, 1000, 500) > INT64_MAX / 2 - 1000);
    assert_true(cf_par_even_start(INT64_MAX, INT_MAX, INT_MAX) == INT64_MAX);
}

static void empty_blocks_hold_nothing(void **state)
{
    int64_t start[] = {0, 0, 3, 3, 3, 4, 4};
    const cf_blocks blocks = {.count = 6, .start = start};

    (void)state;
    for (int64_t i = 0; i < 3; i++)
        assert_int_equal(cf_par_block_of(&blocks, i), 1);
    assert_int_equal(cf_par_block_of(&blocks, 3), 4);
}

static void blocks_without_memory_are_an_error(void **state)
{
    cf_blocks blocks = {.count = -1};

    (void)state;
    cf_alloc_fail_at(1);
    assert_int_equal(cf_par_create_blocks(10, 2, &blocks), CF_ERR_MEMORY);
    assert_int_equal(blocks.count, -1);
    assert_int_equal(cf_par_count(0), 0);
    assert_int_equal(cf_par_count(INT_MAX), INT_MAX);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_shape_of_a_grid),
    cmocka_unit_test(a_grid_puts_blocks_of_a_slice_on_one_node),
    cmocka_unit_test(ranks_are_ordered_node_after_node),
    cmocka_unit_test(pretended_nodes_are_counted),
    cmocka_unit_test(a_grid_of_another_size_is_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(blocks_cover_everything_evenly),
    cmocka_unit_test(blocks_of_many_indices_do_not_overflow),
    cmocka_unit_test(empty_blocks_hold_nothing),
    cmocka_unit_test(blocks_without_memory_are_an_error),
};
CF_TEST_MAIN(tests)
