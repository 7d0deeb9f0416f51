#include "cf/table.h"
#include "cf_test.h"

#include <string.h>

static float value_at(int64_t row, int64_t k)
{
    return (float)(row * 131 % 7919) + (float)k / 4096;
}

/* The first block is the smallest. */
static cf_table *new_table(cf_grid *grid, int64_t n_rows, int64_t dim)
{
    cf_blocks blocks;
    cf_table *table = NULL;

    assert_int_equal(cf_par_create_blocks(n_rows, grid->n_rows, &blocks), CF_OK);
    for (int b = 1; b < grid->n_rows; b++)
        blocks.start[b] = n_rows * b * b / (grid->n_rows * grid->n_rows);
    assert_int_equal(cf_table_create(grid, &blocks, dim, &table), CF_OK);
    cf_par_destroy_blocks(&blocks);
    for (int64_t r = 0; r < table->local_rows; r++)
        for (int64_t k = 0; k < table->local_dim; k++)
            table->data[r * table->width + k] =
                value_at(table->first_row + r, table->first_dim + k);
    return table;
}

/* My tiles have whole rows, and all tiles together each row once. */
static void check_tiles(const cf_tiles *tiles, const float *whole, const cf_table *table)
{
    int64_t total = tiles->count;

    assert_true(tiles->first_row % tiles->tile_rows == 0 || tiles->first_row == table->n_rows);
    assert_true(tiles->count % tiles->tile_rows == 0 ||
                tiles->first_row + tiles->count == table->n_rows);
    assert_true(tiles->capacity >= tiles->count && tiles->capacity % tiles->tile_rows == 0);
    for (int64_t r = 0; r < tiles->count; r++)
        for (int64_t k = 0; k < tiles->full_width; k++)
            assert_true(whole[r * tiles->full_width + k] ==
                        (k < table->dim ? value_at(tiles->first_row + r, k) : 0));
    MPI_Allreduce(MPI_IN_PLACE, &total, 1, MPI_INT64_T, MPI_SUM, world.comm);
    assert_int_equal(total, table->n_rows);
}

static void check_way_and_back(cf_grid *grid, int64_t n_rows, int64_t dim, int64_t tile_rows)
{
    cf_table *table = new_table(grid, n_rows, dim);
    const int64_t size = table->local_rows * table->width;
    cf_tiles *tiles = NULL;
    float *whole = NULL, *back = NULL;

    assert_int_equal(cf_table_create_tiles(table, tile_rows, &tiles), CF_OK);
    assert_int_equal(CF_ALLOC(whole, tiles->capacity * tiles->full_width), CF_OK);
    assert_int_equal(CF_ALLOC(back, size), CF_OK);
    cf_table_to_tiles(tiles, table->data, whole);
    check_tiles(tiles, whole, table);
    cf_table_from_tiles(tiles, whole, back);
    assert_memory_equal(back, table->data, (size_t)size * sizeof(float));
    cf_free(&whole);
    cf_free(&back);
    cf_table_destroy_tiles(&tiles);
    cf_table_destroy(&table);
}

static void whole_rows_come_in_tiles_and_go_back(void **state)
{
    static const int64_t n_rows[] = {1, 7, 64, 200}, dims[] = {5, 40, 70},
                         tile_rows[] = {1, 16, 64};

    (void)state;
    for (int columns = 1; columns <= world.size; columns++) {
        cf_grid *grid = NULL;

        if (world.size % columns != 0) continue;
        assert_int_equal(cf_par_create_grid(&world, world.size / columns, columns, &grid), CF_OK);
        for (int n = 0; n < 4; n++)
            for (int d = 0; d < 3; d++)
                for (int t = 0; t < 3; t++)
                    if (cf_table_segments(dims[d]) >= columns)
                        check_way_and_back(grid, n_rows[n], dims[d], tile_rows[t]);
        cf_par_destroy_grid(&grid);
    }
}

/* Tiles of a table, created again and again. */
typedef struct creation {
    cf_table *table;
    cf_tiles *tiles;
} creation;

static cf_status create_tiles(void *context)
{
    creation *c = context;
    cf_status status = cf_table_create_tiles(c->table, 8, &c->tiles);

    if (status != CF_OK) assert_null(c->tiles);
    return status;
}

static void destroy_tiles(void *context)
{
    cf_table_destroy_tiles(&((creation *)context)->tiles);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = create_tiles, .clean_up = destroy_tiles};
    cf_grid *grid = NULL;
    creation c = {0};

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    c.table = new_table(grid, 50, 16);
    assert_true(cf_test_every_allocation(&trial, &c) >= (world.size > 1 ? 10 : 9));
    cf_table_destroy(&c.table);
    cf_par_destroy_grid(&grid);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(whole_rows_come_in_tiles_and_go_back),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
