/* The largest numbers of each row of a matrix, on every grid, against sorting the row. */
#include "problem.h"

#include <math.h>

enum { N = 150 };

/* Of both signs, with many ties, and zeros. */
static float number(int64_t i, int64_t j)
{
    return i == 7 ? 0 : (float)(floor(20 * cf_test_noise(3, i, j)) / 8);
}

/* How many numbers of a row come before column j: larger ones, and of equal ones the lower. */
static int64_t place(int64_t i, int64_t j)
{
    int64_t before = 0;

    for (int64_t c = 0; c < N; c++) {
        const float x = fabsf(number(i, c)), y = fabsf(number(i, j));

        before += x > y || (x == y && c < j);
    }
    return before;
}

static cf_status fill(const cf_grid *grid, cf_table **out)
{
    cf_blocks blocks = {0};

    assert_ok(cf_par_create_blocks(N, grid->n_rows, &blocks));
    assert_ok(cf_table_create(grid, &blocks, N, out));
    cf_par_destroy_blocks(&blocks);
    for (int64_t r = 0; r < (*out)->local_rows; r++)
        for (int64_t j = 0; j < (*out)->local_dim; j++)
            (*out)->data[r * (*out)->width + j] =
                number((*out)->first_row + r, (*out)->first_dim + j);
    return CF_OK;
}

static void the_largest_numbers_of_a_row_are_kept(void **state)
{
    static const int64_t kept[] = {1, 10, 149, 150, 1000};
    cf_grid *grid = NULL;

    (void)state;
    for (int g = 0; cf_test_next_grid(&world, cf_table_segments(N), &g, &grid);)
        for (size_t k = 0; k < sizeof kept / sizeof *kept; k++) {
            cf_table *table = NULL;
            float *got;

            assert_ok(fill(grid, &table));
            assert_ok(cf_closed_cut(table, kept[k]));
            cf_test_table_check_padding(table);
            got = cf_test_table_get(table);
            for (int64_t i = 0; i < N; i++)
                for (int64_t j = 0; j < N; j++)
                    assert_true(got[i * N + j] == (place(i, j) < kept[k] ? number(i, j) : 0));
            free(got);
            cf_table_destroy(&table);
        }
}

/* A matrix to be cut again and again. */
static cf_status attempt(void *context)
{
    return cf_closed_cut(*(cf_table **)context, 10);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = attempt};
    cf_grid *grid = NULL;
    cf_table *table = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(fill(grid, &table));
    assert_true(cf_test_every_allocation(&trial, &table) >= 3);
    cf_table_destroy(&table);
    cf_par_destroy_grid(&grid);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_largest_numbers_of_a_row_are_kept),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
