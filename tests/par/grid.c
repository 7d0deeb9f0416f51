#include "cf_test.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static void check_grid(int n_rows, int n_columns)
{
    cf_grid *grid = NULL;
    int first = world.rank, last = world.rank;

    assert_int_equal(cf_par_create_grid(&world, n_rows, n_columns, &grid), CF_OK);
    assert_int_equal(grid->n_rows, n_rows);
    assert_int_equal(grid->n_columns, n_columns);
    assert_int_equal(grid->my_row * n_columns + grid->my_column, world.rank);
    assert_int_equal(grid->world.rank, world.rank);
    assert_int_equal(grid->row.rank, grid->my_column);
    assert_int_equal(grid->row.size, n_columns);
    assert_int_equal(grid->column.rank, grid->my_row);
    assert_int_equal(grid->column.size, n_rows);
    /* members of my row are neighbours in the world, members of my column are n_columns apart */
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
    cmocka_unit_test(a_grid_of_another_size_is_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(blocks_cover_everything_evenly),
    cmocka_unit_test(blocks_of_many_indices_do_not_overflow),
    cmocka_unit_test(empty_blocks_hold_nothing),
    cmocka_unit_test(blocks_without_memory_are_an_error),
};
CF_TEST_MAIN(tests)
