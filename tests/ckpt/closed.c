/* Checkpoints of closed forms: an item-item matrix, and no table of users. */
#include "run.h"

static const char settings_of_closed[] = "model: EASE\n";

/* A matrix of zeros, N_ITEMS x N_ITEMS, on n_rows x (size / n_rows) ranks. */
static cf_table *new_matrix(const cf_grid *grid)
{
    cf_table *matrix = NULL;
    cf_blocks blocks;

    assert_ok(cf_par_create_blocks(N_ITEMS, grid->n_rows, &blocks));
    assert_ok(cf_table_create(grid, &blocks, N_ITEMS, &matrix));
    cf_par_destroy_blocks(&blocks);
    return matrix;
}

static float matrix_value(int64_t row, int64_t column)
{
    return row == column ? 0 : test_value(CF_ITEMS, 0, row, column);
}

static void save(const char *path, int n_rows)
{
    cf_grid *grid = NULL;
    cf_table *matrix;
    cf_ckpt state = {.progress = progress,
                     .settings = settings_of_closed,
                     .dataset_digest = digest,
                     .n_users = N_USERS,
                     .n_items = N_ITEMS};

    assert_ok(cf_par_create_grid(&world, n_rows, world.size / n_rows, &grid));
    matrix = new_matrix(grid);
    for (int64_t r = 0; r < matrix->local_rows; r++)
        for (int64_t k = 0; k < matrix->local_dim; k++)
            matrix->data[r * matrix->width + k] =
                matrix_value(matrix->first_row + r, matrix->first_dim + k);
    state.table[CF_ITEMS] = matrix;
    assert_ok(cf_ckpt_save(&world, path, &state));
    cf_table_destroy(&matrix);
    cf_par_destroy_grid(&grid);
}

static void check_loaded(cf_ckpt_file *file, int n_rows)
{
    cf_grid *grid = NULL;
    cf_table *matrix;

    assert_ok(cf_par_create_grid(&world, n_rows, world.size / n_rows, &grid));
    matrix = new_matrix(grid);
    assert_ok(cf_ckpt_read(file, (cf_table *[]){NULL, matrix}, NULL));
    for (int64_t r = 0; r < matrix->local_rows; r++)
        for (int64_t k = 0; k < matrix->width; k++) {
            const int64_t column = matrix->first_dim + k;
            const float want = column < N_ITEMS ? matrix_value(matrix->first_row + r, column) : 0;

            assert_true(matrix->data[r * matrix->width + k] == want);
        }
    cf_table_destroy(&matrix);
    cf_par_destroy_grid(&grid);
}

/* Two segments of columns, so grids of at most two columns. */
static void a_matrix_saved_on_one_grid_is_loaded_on_every_other(void **state)
{
    char path[1024];

    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("closed.h5"));
    for (int from = 1; from <= world.size; from++)
        for (int to = 1; to <= world.size; to++) {
            cf_ckpt_file *file = NULL;

            if (world.size % from || world.size / from > 2) continue;
            if (world.size % to || world.size / to > 2) continue;
            save(path, from);
            assert_ok(cf_ckpt_open(&world, path, &file));
            assert_true(file->closed);
            assert_int_equal(file->dim, N_ITEMS);
            assert_int_equal(file->n_users, N_USERS);
            check_loaded(file, to);
            cf_ckpt_close(&file);
        }
}

static void tables_and_matrices_are_not_taken_for_each_other(void **state)
{
    cf_ckpt_file *file = NULL;
    test_run run;
    char path[1024];

    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("closed.h5"));
    save(path, world.size);
    test_create(world.size, "sgd", &run);
    assert_ok(cf_ckpt_open(&world, path, &file));
    assert_refused(cf_ckpt_read(file, run.table, NULL), CF_ERR_FORMAT,
                   "has /item_similarity, which its model does not have");
    cf_ckpt_close(&file);
    test_destroy(&run);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_matrix_saved_on_one_grid_is_loaded_on_every_other),
    cmocka_unit_test(tables_and_matrices_are_not_taken_for_each_other),
};
CF_TEST_MAIN(tests)
