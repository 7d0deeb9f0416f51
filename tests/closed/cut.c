/* The largest numbers of each row of a matrix, from memory and from a file, on every grid, against
 * sorting the row. */
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

/* The entries of a table as a matrix, N x N, on every rank. */
static float *spread(const cf_table *entries)
{
    float *rows = cf_test_table_get(entries), *out = calloc(N * N, sizeof *out);

    assert_non_null(out);
    for (int64_t i = 0; i < N; i++)
        for (int64_t k = 0, last = -1; k < entries->dim / CF_ENTRY_FLOATS; k++) {
            const cf_entry entry = cf_table_entry(rows + i * entries->dim, k);

            if (entry.value == 0) {
                assert_int_equal(entry.column, 0);
                last = N;
                continue;
            }
            assert_true(entry.column > last && entry.column < N);
            last = entry.column;
            out[i * N + entry.column] = entry.value;
        }
    free(rows);
    return out;
}

static void check_cut(const cf_table *entries, int64_t kept)
{
    float *got = spread(entries);

    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < N; j++)
            assert_true(got[i * N + j] == (place(i, j) < kept ? number(i, j) : 0));
    free(got);
}

static const char name[] = "/matrix";

/* Collective. */
static void write_matrix(const cf_table *table)
{
    cf_store *store = NULL;

    assert_ok(cf_store_create(&world, cf_test_scratch("matrix.h5"), "test", &store));
    assert_ok(cf_table_write(table, store, name, "items, items"));
    assert_ok(cf_store_commit(&store));
}

/* The cut matrix of that file. Collective. */
static cf_status read_cut(const cf_table *like, int64_t kept, cf_table **out)
{
    cf_closed_file file = {.name = name};
    cf_status status;

    assert_ok(cf_store_open(&world, cf_test_scratch("matrix.h5"), "test", &file.store));
    status = cf_closed_read_cut(&file, like->grid, &like->blocks, kept, out);
    cf_store_close(&file.store);
    return status;
}

static void the_largest_numbers_of_a_row_are_kept(void **state)
{
    static const int64_t kept[] = {1, 10, 149, 150, 1000};
    cf_grid *grid = NULL;

    (void)state;
    for (int g = 0; cf_test_next_grid(&world, cf_table_segments(N), &g, &grid);) {
        cf_table *matrix = NULL;

        assert_ok(fill(grid, &matrix));
        write_matrix(matrix);
        for (size_t k = 0; k < sizeof kept / sizeof *kept; k++) {
            cf_table *cut = NULL, *read = NULL;

            assert_ok(cf_closed_cut(matrix, kept[k], &cut));
            assert_ok(read_cut(matrix, kept[k], &read));
            cf_test_table_check_padding(cut);
            check_cut(cut, kept[k]);
            assert_int_equal(read->width, cut->width);
            assert_memory_equal(read->data, cut->data,
                                (size_t)(cut->local_rows * cut->width) * sizeof *cut->data);
            cf_table_destroy(&cut);
            cf_table_destroy(&read);
        }
        cf_table_destroy(&matrix);
    }
}

/* An infinity is found though only one number of a row is kept. */
static void a_matrix_that_is_not_finite_is_refused(void **state)
{
    cf_grid *grid = NULL;
    cf_table *matrix = NULL, *out = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(fill(grid, &matrix));
    for (int64_t r = 0; r < matrix->local_rows; r++)
        if (matrix->first_row + r == 93 || matrix->first_row + r == 120)
            matrix->data[r * matrix->width + 5] = -INFINITY;
    write_matrix(matrix);
    assert_int_equal(read_cut(matrix, 1, &out), CF_ERR_NUMERIC);
    assert_non_null(strstr(cf_error_message(), "/matrix: row 93 has a NaN or an infinity"));
    assert_null(out);
    cf_table_destroy(&matrix);
    cf_par_destroy_grid(&grid);
}

static void another_shape_is_refused(void **state)
{
    cf_blocks blocks = {0};
    cf_grid *grid = NULL;
    cf_table *matrix = NULL, *out = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(cf_par_create_blocks(N, grid->n_rows, &blocks));
    assert_ok(cf_table_create(grid, &blocks, N + 1, &matrix));
    write_matrix(matrix);
    assert_int_equal(read_cut(matrix, 3, &out), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "/matrix is 150 x 151, expected 150 x 150"));
    cf_table_destroy(&matrix);
    cf_par_destroy_blocks(&blocks);
    cf_par_destroy_grid(&grid);
}

/* ---- Memory --------------------------------------------------------------------------------- */

/* Of so many items that a matrix takes several times what is read at once. */
enum { MANY = 1400, FEW = 20 };

/* Settings, descriptors and what HDF5's checksums take are not foretold. */
static const double tolerance = 0.05, unforetold = 100000;

static void a_rank_holds_what_is_foretold(void **state)
{
    cf_grid *grid = NULL;

    (void)state;
    for (int g = 0; cf_test_next_grid(&world, 4, &g, &grid);) {
        const cf_closed_grid size = {grid->n_rows, grid->n_columns, 1};
        const double foretold = cf_closed_predict_cut(MANY, FEW, &size);
        cf_blocks blocks = {0};
        cf_table *matrix = NULL, *out = NULL;
        int64_t before;
        double counted;

        assert_ok(cf_par_create_blocks(MANY, grid->n_rows, &blocks));
        assert_ok(cf_table_create(grid, &blocks, MANY, &matrix));
        cf_table_fill_uniform(matrix, 1, 0, 1);
        write_matrix(matrix);
        cf_alloc_reset_peak();
        before = cf_alloc_held();
        assert_ok(read_cut(matrix, FEW, &out));
        counted = (double)(cf_alloc_peak() - before) / world.size;
        MPI_Allreduce(MPI_IN_PLACE, &counted, 1, MPI_DOUBLE, MPI_SUM, world.comm);
        if (fabs(counted - unforetold / 2 - foretold) > tolerance * foretold + unforetold / 2)
            fail_msg("%dx%d: %.0f bytes, foretold %.0f", grid->n_rows, grid->n_columns, counted,
                     foretold);
        assert_true(foretold < 4.0 * MANY * MANY / 3);
        cf_table_destroy(&out);
        cf_table_destroy(&matrix);
        cf_par_destroy_blocks(&blocks);
    }
}

/* A matrix to be cut again and again, from memory and from its file. */
typedef struct attempts {
    cf_table *matrix, *out;
} attempts;

static cf_status attempt_memory(void *context)
{
    attempts *a = context;

    return cf_closed_cut(a->matrix, 10, &a->out);
}

static cf_status attempt_file(void *context)
{
    attempts *a = context;
    cf_closed_file file = {.name = name};
    cf_status status = cf_store_open(&world, cf_test_scratch("matrix.h5"), "test", &file.store);

    if (status == CF_OK)
        status = cf_closed_read_cut(&file, a->matrix->grid, &a->matrix->blocks, 10, &a->out);
    cf_store_close(&file.store);
    return status;
}

static void clean_up(void *context)
{
    cf_table_destroy(&((attempts *)context)->out);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial from_memory = {.attempt = attempt_memory, .clean_up = clean_up},
                        from_file = {.attempt = attempt_file, .clean_up = clean_up, .rotate = true};
    cf_grid *grid = NULL;
    attempts a = {0};

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(fill(grid, &a.matrix));
    write_matrix(a.matrix);
    assert_true(cf_test_every_allocation(&from_memory, &a) >= 5);
    assert_true(cf_test_every_allocation(&from_file, &a) >= 10);
    cf_table_destroy(&a.matrix);
    cf_par_destroy_grid(&grid);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_largest_numbers_of_a_row_are_kept),
    cmocka_unit_test(a_matrix_that_is_not_finite_is_refused),
    cmocka_unit_test(another_shape_is_refused),
    cmocka_unit_test(a_rank_holds_what_is_foretold),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
