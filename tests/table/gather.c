#include "cf/table.h"
#include "cf_test.h"

#include <string.h>

static cf_grid *grid;
static cf_blocks blocks;

static float value_at(int64_t row, int64_t k)
{
    return (float)(row * 131 % 7919) + (float)k / 4096;
}

/** A table of value_at() on a grid with `n_grid_rows` rows of ranks; the first block is the
 * smallest. */
static cf_table *new_table(int n_grid_rows, int64_t n_rows, int64_t dim)
{
    cf_table *table = NULL;

    assert_int_equal(cf_par_create_grid(&world, n_grid_rows, world.size / n_grid_rows, &grid),
                     CF_OK);
    assert_int_equal(cf_par_create_blocks(n_rows, n_grid_rows, &blocks), CF_OK);
    for (int b = 1; b < n_grid_rows; b++)
        blocks.start[b] = n_rows * b * b / (n_grid_rows * n_grid_rows);
    assert_int_equal(cf_table_create(grid, &blocks, dim, &table), CF_OK);
    for (int64_t r = 0; r < table->local_rows; r++)
        for (int64_t k = 0; k < table->local_dim; k++)
            table->data[r * table->width + k] =
                value_at(table->first_row + r, table->first_dim + k);
    return table;
}

static void drop(cf_table **table)
{
    cf_table_destroy(table);
    cf_par_destroy_blocks(&blocks);
    cf_par_destroy_grid(&grid);
}

/** True if `out` is the whole row `row`, zeros behind its dimensions. */
static bool is_row(const cf_table *table, int64_t row, const float *out)
{
    for (int64_t k = 0; k < table->full_width; k++)
        if (out[k] != (k < table->dim ? value_at(row, k) : 0)) return false;
    return true;
}

static void check_gather(const cf_table *table, int64_t first, int64_t count)
{
    float *out = NULL;

    assert_int_equal(CF_ALLOC(out, count * table->full_width), CF_OK);
    memset(out, 0xff, (size_t)(count * table->full_width) * sizeof *out);
    assert_int_equal(cf_table_gather(table, first, count, out), CF_OK);
    for (int64_t r = 0; r < count; r++)
        assert_true(is_row(table, first + r, out + r * table->full_width));
    cf_free(&out);
}

static void any_range_of_rows_comes_whole(void **state)
{
    static const int64_t ranges[][2] = {{0, 30}, {0, 0}, {30, 0}, {29, 1}, {3, 20}, {7, 1}};

    (void)state;
    for (int r = 1; r <= world.size; r++) {
        if (world.size % r) continue;
        cf_table *table = new_table(r, 30, 70);
        for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++)
            check_gather(table, ranges[k][0], ranges[k][1]);
        drop(&table);
    }
}

static void more_rows_than_a_piece_come_whole(void **state)
{
    (void)state;
    for (int r = 1; r <= world.size; r++) {
        if (world.size % r) continue;
        cf_table *table = new_table(r, 3000, 4000);
        check_gather(table, 1, 2500);
        drop(&table);
    }
}

/** Each rank asks for `count` of its own rows, in an order of its own. */
static void check_gather_own(const cf_table *table, int64_t count)
{
    const cf_random key = {(uint64_t)world.rank, CF_STREAM_TEST};
    int64_t *rows = NULL;
    float *out = NULL;

    if (table->local_rows == 0) count = 0;
    assert_int_equal(CF_ALLOC(rows, count), CF_OK);
    assert_int_equal(CF_ALLOC(out, count * table->full_width), CF_OK);
    for (int64_t k = 0; k < count; k++)
        rows[k] = cf_random_below(key, (uint64_t)k, 0, 0, table->local_rows);
    assert_int_equal(cf_table_gather_own(table, rows, count, out), CF_OK);
    for (int64_t k = 0; k < count; k++)
        assert_true(is_row(table, table->first_row + rows[k], out + k * table->full_width));
    cf_free(&rows);
    cf_free(&out);
}

static void each_rank_gets_the_rows_it_asks_for(void **state)
{
    (void)state;
    for (int r = 1; r <= world.size; r++) {
        if (world.size % r) continue;
        cf_table *table = new_table(r, 30, 70);
        check_gather_own(table, 0);
        check_gather_own(table, 11);
        check_gather_own(table, 5 * world.rank);
        drop(&table);
    }
}

static void each_rank_gets_more_rows_than_a_piece(void **state)
{
    (void)state;
    for (int r = 1; r <= world.size; r++) {
        if (world.size % r) continue;
        cf_table *table = new_table(r, 40, 4000);
        check_gather_own(table, world.rank % 2 ? 1500 : 300);
        drop(&table);
    }
}

static cf_status gather_first_rows(void *table)
{
    float out[4 * 80];

    return cf_table_gather(table, 0, 4, out);
}

static cf_status gather_own_row(void *table)
{
    const int64_t row = 0;
    float out[80];

    return cf_table_gather_own(table, &row, 1, out);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial first_rows = {.attempt = gather_first_rows};
    const cf_test_trial own_row = {.attempt = gather_own_row};

    (void)state;
    for (int r = 1; r < world.size; r++) { /* nothing is exchanged in one grid column */
        if (world.size % r) continue;
        cf_table *table = new_table(r, 30, 70);
        assert_true(cf_test_every_allocation(&first_rows, table) >= 2);
        assert_true(cf_test_every_allocation(&own_row, table) >= 4);
        drop(&table);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(any_range_of_rows_comes_whole),
    cmocka_unit_test(more_rows_than_a_piece_come_whole),
    cmocka_unit_test(each_rank_gets_the_rows_it_asks_for),
    cmocka_unit_test(each_rank_gets_more_rows_than_a_piece),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};

CF_TEST_MAIN(tests)
