#include "cf/table.h"
#include "cf_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 23, DIM = 70, OFFSET = 100 };

static cf_grid *grid;
static cf_blocks blocks;

/** A grid of `n_rows` rows of ranks and a table on it; blocks are uneven and the second is empty.
 */
static cf_table *new_table(int n_rows, int64_t dim)
{
    cf_table *table = NULL;

    assert_int_equal(cf_par_create_grid(&world, n_rows, world.size / n_rows, &grid), CF_OK);
    assert_int_equal(cf_par_create_blocks(ROWS, n_rows, &blocks), CF_OK);
    for (int b = 1; b < n_rows; b++)
        blocks.start[b] = b <= 2 ? 5 : blocks.start[b];
    assert_int_equal(cf_table_create(grid, &blocks, dim, &table), CF_OK);
    return table;
}

static void drop(cf_table **table)
{
    cf_table_destroy(table);
    assert_null(*table);
    cf_par_destroy_blocks(&blocks);
    cf_par_destroy_grid(&grid);
}

static void slices_are_whole_segments_that_cover_the_row(void **state)
{
    (void)state;
    for (int64_t dim = 1; dim < 200; dim += 13)
        for (int n = 1; n <= cf_table_segments(dim); n++) {
            int64_t end = 0;

            for (int c = 0; c < n; c++) {
                const int64_t width = cf_table_slice_width(dim, n, c);

                assert_int_equal(cf_table_slice_offset(dim, n, c), end);
                assert_true(width > 0 && width % CF_LANES == 0);
                assert_true(llabs(width - cf_table_slice_width(dim, n, 0)) <= CF_LANES);
                end += width;
            }
            assert_int_equal(end, cf_table_segments(dim) * CF_LANES);
        }
}

static void the_parts_of_a_table_cover_it(void **state)
{
    (void)state;
    for (int r = 1; r <= world.size; r++) {
        if (world.size % r) continue;
        cf_table *table = new_table(r, DIM);
        int64_t cells = table->local_rows * table->local_dim;

        assert_int_equal(table->width % CF_LANES, 0);
        assert_int_equal(table->full_width, 80);
        assert_int_equal(table->local_rows,
                         blocks.start[grid->my_row + 1] - blocks.start[grid->my_row]);
        MPI_Allreduce(MPI_IN_PLACE, &cells, 1, MPI_INT64_T, MPI_SUM, world.comm);
        assert_int_equal(cells, ROWS * DIM);
        drop(&table);
    }
}

static double uniform_at(int64_t row, int64_t k)
{
    return 2 * cf_random_uniform((cf_random){7, CF_STREAM_INIT}, (uint64_t)row, (uint64_t)k, 0) - 1;
}

static double normal_at(int64_t row, int64_t k)
{
    return cf_random_normal((cf_random){7, CF_STREAM_INIT}, (uint64_t)row, (uint64_t)k, 0);
}

static void check_noise(const cf_table *table, double (*at)(int64_t, int64_t), double scale)
{
    for (int64_t r = 0; r < table->local_rows; r++)
        for (int64_t k = 0; k < table->width; k++) {
            float want = 0;
            if (k < table->local_dim)
                want = (float)(at(table->first_row + r + OFFSET, table->first_dim + k) * scale);
            assert_true(table->data[r * table->width + k] == want);
        }
}

static void noise_depends_on_the_global_place_alone(void **state)
{
    (void)state;
    for (int r = 1; r <= world.size; r++) {
        if (world.size % r) continue;
        cf_table *table = new_table(r, DIM);

        cf_table_fill_uniform(table, 7, OFFSET, 0.25);
        check_noise(table, uniform_at, 0.25);
        cf_table_fill_normal(table, 7, OFFSET, 0.1);
        check_noise(table, normal_at, 0.1);
        drop(&table);
    }
}

static void more_columns_than_segments_are_refused(void **state)
{
    cf_table *table = NULL;

    (void)state;
    if (world.size == 1) return;
    assert_int_equal(cf_par_create_grid(&world, 1, world.size, &grid), CF_OK);
    assert_int_equal(cf_par_create_blocks(ROWS, 1, &blocks), CF_OK);
    assert_int_equal(cf_table_create(grid, &blocks, 16, &table), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "16 dimensions"));
    drop(&table);
}

static cf_status create_table(void *context)
{
    cf_table **table = context;
    cf_status status = cf_table_create(grid, &blocks, DIM, table);

    if (status != CF_OK) assert_null(*table);
    return status;
}

static void destroy_table(void *context)
{
    cf_table_destroy(context);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = create_table, .clean_up = destroy_table};
    cf_table *table = NULL;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    assert_int_equal(cf_par_create_blocks(ROWS, world.size, &blocks), CF_OK);
    assert_true(cf_test_every_allocation(&trial, &table) >= 3);
    drop(&table);
}

static void the_first_bad_row_is_named_on_every_rank(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};

    (void)state;
    for (int k = 0; k < 3; k++) {
        cf_table *table = new_table(world.size, DIM);

        cf_table_fill_normal(table, 1, 0, 1);
        assert_int_equal(cf_table_check_finite(table, "table"), CF_OK);
        for (int64_t row = 9; row < ROWS; row += 4) /* on several ranks */
            if (row >= table->first_row && row < table->first_row + table->local_rows)
                table->data[(row - table->first_row) * table->width + 60] = bad[k];
        assert_int_equal(cf_table_check_finite(table, "table"), CF_ERR_NUMERIC);
        assert_string_equal(cf_error_message(), "table: row 9 has a NaN or an infinity");
        drop(&table);
    }
}

static void write_file(int n_rows, float bad)
{
    cf_table *table = new_table(n_rows, DIM);
    cf_store *store = NULL;

    cf_table_fill_normal(table, 7, OFFSET, 0.1);
    if (!isfinite(bad) && table->local_rows && table->first_row == 0) table->data[0] = bad;
    assert_int_equal(cf_store_create(&world, cf_test_scratch("table.h5"), "test", &store), CF_OK);
    assert_int_equal(cf_table_write(table, store, "/table", "items, embedding_size"), CF_OK);
    assert_int_equal(cf_store_commit(&store), CF_OK);
    drop(&table);
}

static void a_table_written_on_one_grid_is_read_on_another(void **state)
{
    (void)state;
    for (int from = 1; from <= world.size; from++)
        for (int to = 1; to <= world.size; to++) {
            cf_store *store = NULL;

            if (world.size % from || world.size % to) continue;
            write_file(from, 0);
            cf_table *table = new_table(to, DIM);
            assert_int_equal(cf_store_open(&world, cf_test_scratch("table.h5"), "test", &store),
                             CF_OK);
            assert_int_equal(cf_table_read(table, table->n_rows, store, "/table"), CF_OK);
            check_noise(table, normal_at, 0.1);
            cf_store_close(&store);
            drop(&table);
        }
}

/* An array of the table's first rows. */
static void write_first_rows(const cf_table *table, int64_t n_rows, cf_store *store)
{
    const int64_t first = cf_min(table->first_row, n_rows), shape[2] = {n_rows, DIM};
    const cf_slab slab = {.first_row = first,
                          .n_rows = cf_min(table->local_rows, n_rows - first),
                          .first_column = table->first_dim,
                          .n_columns = table->local_dim,
                          .stride = table->width};

    assert_ok(cf_store_add(store, "/table", CF_F32, shape, "items, embedding_size"));
    assert_ok(cf_store_write(store, "/table", &slab, table->data));
}

/* Rows below `fewer` are noise, the two behind are all 5, and the others too unless they are row
 * `repeated`. */
static void check_rows(const cf_table *table, int64_t fewer, int64_t repeated)
{
    for (int64_t r = 0; r < table->local_rows; r++)
        for (int64_t k = 0; k < table->local_dim; k++) {
            const int64_t row = table->first_row + r;
            const bool copied = row >= fewer + 2 && repeated >= 0;
            const double noise =
                normal_at(OFFSET + (copied ? repeated : row), table->first_dim + k);

            assert_true(table->data[r * table->width + k] ==
                        (row < fewer || copied ? (float)(noise * 0.1) : 5));
        }
}

/* The rows behind those of the file stay, and a row can be repeated in them, on any grid. */
static void a_file_of_fewer_rows_fills_the_first_ones(void **state)
{
    (void)state;
    for (int to = 1; to <= world.size; to++) {
        enum { FEWER = 17 };
        cf_store *store = NULL;
        cf_table *table;

        if (world.size % to) continue;
        table = new_table(to, DIM);
        cf_table_fill_normal(table, 7, OFFSET, 0.1);
        assert_ok(cf_store_create(&world, cf_test_scratch("fewer.h5"), "test", &store));
        write_first_rows(table, FEWER, store);
        assert_ok(cf_store_commit(&store));
        for (int64_t k = 0; k < table->local_rows * table->width; k++)
            table->data[k] = k % table->width < table->local_dim ? 5 : 0;
        assert_ok(cf_store_open(&world, cf_test_scratch("fewer.h5"), "test", &store));
        assert_ok(cf_table_read(table, FEWER, store, "/table"));
        check_rows(table, FEWER, -1);
        assert_ok(cf_table_repeat_row(table, FEWER + 2, table, 3));
        check_rows(table, FEWER, 3);
        assert_refused(cf_table_read(table, FEWER + 1, store, "/table"), CF_ERR_FORMAT,
                       "/table is 17 x 70, expected 18 x 70");
        cf_store_close(&store);
        drop(&table);
    }
}

static void expect_refused(int64_t dim, cf_status want, const char *message)
{
    cf_table *table = new_table(world.size, dim);
    cf_store *store = NULL;

    assert_int_equal(cf_store_open(&world, cf_test_scratch("table.h5"), "test", &store), CF_OK);
    assert_int_equal(cf_table_read(table, table->n_rows, store, "/table"), want);
    assert_non_null(strstr(cf_error_message(), message));
    cf_store_close(&store);
    drop(&table);
}

static void another_shape_is_refused(void **state)
{
    (void)state;
    write_file(1, 0);
    expect_refused(DIM + 1, CF_ERR_FORMAT, "table.h5: /table is 23 x 70, expected 23 x 71");
}

static void a_file_with_nan_is_refused(void **state)
{
    (void)state;
    write_file(1, NAN);
    expect_refused(DIM, CF_ERR_NUMERIC, "table.h5: /table: row 0 has a NaN");
}

static void a_damaged_table_is_refused(void **state)
{
    (void)state;
    write_file(1, 0);
    if (world.rank == 0)
        cf_test_damage(cf_test_scratch("table.h5"), (float)(normal_at(OFFSET + 3, 5) * .1));
    MPI_Barrier(world.comm);
    expect_refused(DIM, CF_ERR_FORMAT, "/table is damaged");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(slices_are_whole_segments_that_cover_the_row),
    cmocka_unit_test(the_parts_of_a_table_cover_it),
    cmocka_unit_test(noise_depends_on_the_global_place_alone),
    cmocka_unit_test(more_columns_than_segments_are_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(the_first_bad_row_is_named_on_every_rank),
    cmocka_unit_test(a_table_written_on_one_grid_is_read_on_another),
    cmocka_unit_test(a_file_of_fewer_rows_fills_the_first_ones),
    cmocka_unit_test(another_shape_is_refused),
    cmocka_unit_test(a_file_with_nan_is_refused),
    cmocka_unit_test(a_damaged_table_is_refused),
};

CF_TEST_MAIN(tests)
