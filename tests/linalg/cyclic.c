#include "mesh.h"

static const int64_t sizes[][3] = {/* rows, columns, block */
                                   {1, 1, 64},  {5, 3, 2},    {20, 20, 64},
                                   {33, 70, 8}, {100, 7, 16}, {130, 129, 32}};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static void the_mesh_is_as_square_as_the_ranks_allow(void **state)
{
    static const int want[][2] = {{1, 1}, {1, 2}, {1, 3}, {2, 2}, {2, 2}, {2, 3}};
    cf_mesh *mesh = NULL;

    (void)state;
    assert_in_range(world.size, 1, 6);
    assert_ok(cf_linalg_create_mesh(&world, 0, 0, &mesh));
    assert_int_equal(mesh->n_rows, want[world.size - 1][0]);
    assert_int_equal(mesh->n_columns, want[world.size - 1][1]);
    assert_int_equal(mesh->my_row < 0, world.rank >= mesh->n_rows * mesh->n_columns);
    cf_linalg_destroy_mesh(&mesh);
}

/* Each element once, and where the formula says. */
static void check_layout(const cf_mesh *mesh)
{
    for (int s = 0; s < N_SIZES; s++) {
        const int64_t block = sizes[s][2];
        cf_cyclic *a = new_cyclic(mesh, CF_F64, sizes[s][0], sizes[s][1], block);
        int64_t n = 0, total;

        fill_cyclic(a, noise, NULL);
        for (int64_t j = 0; j < a->n_columns; j++)
            for (int64_t i = 0; i < a->n_rows; i++)
                if (i / block % mesh->n_rows == mesh->my_row &&
                    j / block % mesh->n_columns == mesh->my_column)
                    assert_true(((double *)a->data)[n++] == noise(NULL, i, j));
        assert_int_equal(n, a->local_rows * a->local_columns);
        MPI_Allreduce(&n, &total, 1, MPI_INT64_T, MPI_SUM, world.comm);
        assert_int_equal(total, a->n_rows * a->n_columns);
        cf_linalg_destroy_cyclic(&a);
    }
}

static void elements_lie_where_the_formula_says(void **state)
{
    (void)state;
    on_every_mesh(check_layout);
}

/* Uneven row blocks, the second rank without a row, columns `first`.. */
static cf_slab row_block(int64_t n_rows, int64_t first, int64_t n_columns)
{
    const int64_t start = world.rank == 0 ? 0 : n_rows * (world.rank + 1) / (world.size + 1),
                  end = world.rank == world.size - 1 ? n_rows
                                                     : n_rows * (world.rank + 2) / (world.size + 1);
    cf_slab part = {start, end - start, first, n_columns, n_columns + 3};

    if (world.size > 1 && world.rank == 0) part.n_rows = n_rows * 2 / (world.size + 1);
    return part;
}

static void check_moves_of(const cf_mesh *mesh, int s, cf_type type, cf_type in_memory)
{
    const int64_t rows = sizes[s][0], columns = sizes[s][1], first = columns / 3;
    const cf_slab part = row_block(rows, first, columns - first);
    const int64_t size = (int64_t)cf_store_type_size(in_memory), n = part.n_rows * part.stride;
    cf_cyclic *a = new_cyclic(mesh, type, rows, columns, sizes[s][2]);
    char *mine = calloc((size_t)(n * size + 1), 1), *back = calloc((size_t)(n * size + 1), 1);

    for (int64_t r = 0; r < part.n_rows; r++)
        for (int64_t k = 0; k < part.n_columns; k++) {
            const double x = (double)(float)noise(NULL, part.first_row + r, first + k);
            if (in_memory == CF_F64)
                ((double *)(void *)mine)[r * part.stride + k] = x;
            else
                ((float *)(void *)mine)[r * part.stride + k] = (float)x;
        }
    assert_ok(cf_linalg_put_cyclic(a, &part, in_memory, mine));
    double *all = whole(a);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            assert_true(all[i * columns + j] == (j < first ? 0 : (double)(float)noise(NULL, i, j)));
    assert_ok(cf_linalg_get_cyclic(a, &part, in_memory, back));
    assert_memory_equal(back, mine, (size_t)(n * size)); /* what is beyond the columns, too */
    free(all);
    free(mine);
    free(back);
    cf_linalg_destroy_cyclic(&a);
}

static void check_moves(const cf_mesh *mesh)
{
    for (int s = 0; s < N_SIZES; s++)
        for (int kinds = 0; kinds < 4; kinds++)
            check_moves_of(mesh, s, kinds & 1 ? CF_F64 : CF_F32, kinds & 2 ? CF_F64 : CF_F32);
}

static void row_blocks_go_in_and_come_out_unchanged(void **state)
{
    (void)state;
    on_every_mesh(check_moves);
}

/* More than a round moves: 9.6 million numbers. */
static void large_parts_go_in_rounds(void **state)
{
    enum { ROWS = 60, COLUMNS = 160000 };
    const cf_slab part = row_block(ROWS, 0, COLUMNS);
    float *rows = calloc((size_t)(part.n_rows * part.stride + 1), sizeof *rows);
    cf_mesh *mesh = NULL;

    (void)state;
    assert_ok(cf_linalg_create_mesh(&world, 0, 0, &mesh));
    cf_cyclic *a = new_cyclic(mesh, CF_F32, ROWS, COLUMNS, 0);
    for (int64_t r = 0; r < part.n_rows; r++)
        for (int64_t k = 0; k < COLUMNS; k++)
            rows[r * part.stride + k] = (float)((part.first_row + r) * COLUMNS + k);
    assert_ok(cf_linalg_put_cyclic(a, &part, CF_F32, rows));
    memset(rows, 0, (size_t)(part.n_rows * part.stride) * sizeof *rows);
    assert_ok(cf_linalg_get_cyclic(a, &part, CF_F32, rows));
    for (int64_t r = 0; r < part.n_rows; r++)
        for (int64_t k = 0; k < COLUMNS; k++)
            assert_true(rows[r * part.stride + k] == (float)((part.first_row + r) * COLUMNS + k));
    free(rows);
    cf_linalg_destroy_cyclic(&a);
    cf_linalg_destroy_mesh(&mesh);
}

static void check_tables(const cf_mesh *mesh)
{
    enum { ROWS = 45, DIM = 70 };
    for (int n_rows = 1; n_rows <= world.size; n_rows++) {
        cf_grid *grid = NULL;
        cf_blocks blocks;
        cf_table *table = NULL, *back = NULL;

        if (world.size % n_rows || world.size / n_rows > 5) continue;
        assert_ok(cf_par_create_grid(&world, n_rows, world.size / n_rows, &grid));
        assert_ok(cf_par_create_blocks(ROWS, n_rows, &blocks));
        if (n_rows > 1) blocks.start[1] = 0;
        assert_ok(cf_table_create(grid, &blocks, DIM, &table));
        assert_ok(cf_table_create(grid, &blocks, DIM, &back));
        cf_table_fill_normal(table, 3, 0, 1);
        cf_cyclic *a = new_cyclic(mesh, CF_F64, ROWS, DIM, 8);
        const cf_slab part = {table->first_row, table->local_rows, table->first_dim,
                              table->local_dim, table->width};
        assert_ok(cf_linalg_put_cyclic(a, &part, CF_F32, table->data));
        assert_ok(cf_linalg_get_table(a, back));
        assert_memory_equal(back->data, table->data,
                            (size_t)(table->local_rows * table->width) * sizeof(float));
        cf_linalg_destroy_cyclic(&a);
        cf_table_destroy(&table);
        cf_table_destroy(&back);
        cf_par_destroy_blocks(&blocks);
        cf_par_destroy_grid(&grid);
    }
}

static void tables_of_every_grid_go_in_and_come_out(void **state)
{
    (void)state;
    on_every_mesh(check_tables);
}

static void check_diagonal(const cf_mesh *mesh)
{
    for (int s = 0; s < N_SIZES; s++) {
        const int64_t rows = sizes[s][0], columns = sizes[s][1], n = cf_min(rows, columns);
        cf_cyclic *a = new_cyclic(mesh, CF_F64, rows, columns, sizes[s][2]);
        double *diagonal = calloc((size_t)n, sizeof *diagonal);

        fill_cyclic(a, noise, NULL);
        cf_linalg_add_diagonal(a, 3);
        cf_linalg_scale_diagonal(a, 0.7);
        cf_linalg_get_diagonal(a, diagonal);
        double *all = whole(a);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++)
                assert_true(all[i * columns + j] ==
                            (i == j ? (noise(NULL, i, j) + 3) * 0.7 : noise(NULL, i, j)));
        for (int64_t i = 0; i < n; i++)
            assert_true(diagonal[i] == all[i * columns + i]);
        free(all);
        free(diagonal);
        cf_linalg_destroy_cyclic(&a);
    }
}

static void the_diagonal_is_added_to_scaled_and_read(void **state)
{
    (void)state;
    on_every_mesh(check_diagonal);
}

/* Rows and columns scaled, a matrix added, the diagonal replaced. */
static void check_rows(const cf_mesh *mesh)
{
    for (int s = 0; s < N_SIZES; s++) {
        const int64_t rows = sizes[s][0], columns = sizes[s][1];
        cf_cyclic *a = new_cyclic(mesh, CF_F64, rows, columns, sizes[s][2]);
        cf_cyclic *c = new_cyclic(mesh, CF_F64, rows, columns, sizes[s][2]);
        double *factors = calloc((size_t)(rows + columns), sizeof *factors);

        for (int64_t i = 0; i < rows + columns; i++)
            factors[i] = noise(NULL, i, 1000);
        fill_cyclic(a, noise, NULL);
        cf_linalg_scale_rows(a, factors);
        cf_linalg_scale_columns(a, factors + rows);
        fill_cyclic(c, noise, NULL);
        cf_linalg_add_cyclic(a, c);
        cf_linalg_fill_diagonal(c, 5);
        double *all = whole(c);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) {
                const double x = noise(NULL, i, j);
                assert_true(all[i * columns + j] ==
                            (i == j ? 5 : x + x * factors[i] * factors[rows + j]));
            }
        free(all);
        free(factors);
        cf_linalg_destroy_cyclic(&a);
        cf_linalg_destroy_cyclic(&c);
    }
}

static void rows_and_columns_are_scaled_and_matrices_added(void **state)
{
    (void)state;
    on_every_mesh(check_rows);
}

/* The diagonal of ab', added by blocks in their order. */
static double row_product(int64_t i, int64_t columns, int64_t block, cf_type type)
{
    const uint64_t seed = 9;
    double sum = 0;

    for (int64_t first = 0; first < columns; first += block) {
        double of_block = 0;

        for (int64_t j = first; j < cf_min(first + block, columns); j++) {
            const double x = noise(NULL, i, j), y = noise(&seed, i, j);
            of_block += type == CF_F64 ? x * y : (double)(float)x * (double)(float)y;
        }
        sum += of_block;
    }
    return sum;
}

static void check_row_products(const cf_mesh *mesh)
{
    static const cf_type types[] = {CF_F32, CF_F64};
    const uint64_t seed = 9;

    for (int k = 0; k < 2 * N_SIZES; k++) {
        const int64_t *size = sizes[k / 2];
        const cf_type type = types[k % 2];
        cf_cyclic *a = new_cyclic(mesh, type, size[0], size[1], size[2]);
        cf_cyclic *b = new_cyclic(mesh, type, size[0], size[1], size[2]);
        double *got = calloc((size_t)size[0], sizeof *got);

        fill_cyclic(a, noise, NULL);
        fill_cyclic(b, noise, &seed);
        assert_ok(cf_linalg_get_row_products(a, b, got));
        for (int64_t i = 0; i < size[0]; i++)
            assert_true(got[i] == row_product(i, size[1], size[2], type));
        free(got);
        cf_linalg_destroy_cyclic(&a);
        cf_linalg_destroy_cyclic(&b);
    }
}

static void products_of_rows_have_one_order(void **state)
{
    (void)state;
    on_every_mesh(check_row_products);
}

/* To float32 numbers are rounded, from there nothing is lost. */
static void check_rounding(const cf_mesh *mesh)
{
    for (int s = 0; s < N_SIZES; s++) {
        const int64_t rows = sizes[s][0], columns = sizes[s][1];
        cf_cyclic *a = new_cyclic(mesh, CF_F64, rows, columns, sizes[s][2]);
        const cf_cyclic *same = a;

        fill_cyclic(a, noise, NULL);
        assert_ok(cf_linalg_round_cyclic(&a, CF_F64));
        assert_ptr_equal(a, same);
        assert_ok(cf_linalg_round_cyclic(&a, CF_F32));
        assert_int_equal(a->type, CF_F32);
        double *rounded = whole(a);
        assert_ok(cf_linalg_round_cyclic(&a, CF_F64));
        double *back = whole(a);
        for (int64_t k = 0; k < rows * columns; k++) {
            assert_true(rounded[k] == (double)(float)noise(NULL, k / columns, k % columns));
            assert_true(back[k] == rounded[k]);
        }
        free(rounded);
        free(back);
        cf_linalg_destroy_cyclic(&a);
    }
}

static void matrices_are_rounded_to_another_type(void **state)
{
    (void)state;
    on_every_mesh(check_rounding);
}

/* Vector k has place i where noise says so; the second and the last have none. */
enum { VECTORS = 23 };

static bool has(int64_t k, int64_t i)
{
    return k != 1 && k != VECTORS - 1 && noise(NULL, k, i) > 0.3;
}

/* a(i, j) grows by one vector after the other, rounded each time. */
static double grown(int64_t i, int64_t j, const double *weights, cf_type type)
{
    double sum = 0;

    for (int64_t k = 0; k < VECTORS; k++)
        if (has(k, i) && has(k, j)) {
            sum += weights == NULL ? 1 : weights[k];
            if (type == CF_F32) sum = (float)sum;
        }
    return sum;
}

static void check_pairs_of(const cf_mesh *mesh, cf_type type, const int64_t shape[2],
                           const double *weights)
{
    const int64_t n = shape[0];
    cf_cyclic *a = new_cyclic(mesh, type, n, n, shape[1]);
    int64_t start[VECTORS + 1] = {0}, *index = calloc((size_t)(VECTORS * n), sizeof *index);

    for (int64_t k = 0; k < VECTORS; k++) {
        start[k + 1] = start[k];
        for (int64_t i = 0; i < n; i++)
            if (has(k, i)) index[start[k + 1]++] = i;
    }
    assert_ok(cf_linalg_add_pairs(a, start, index, weights, 10));
    assert_ok(
        cf_linalg_add_pairs(a, start + 10, index, weights ? weights + 10 : NULL, VECTORS - 10));
    double *all = whole(a);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            assert_true(all[i * n + j] == grown(i, j, weights, type));
    free(all);
    free(index);
    cf_linalg_destroy_cyclic(&a);
}

static void check_pairs(const cf_mesh *mesh)
{
    static const int64_t shapes[][2] = {{1, 64}, {70, 8}, {33, 3}};
    double weights[VECTORS];

    for (int64_t k = 0; k < VECTORS; k++)
        weights[k] = noise(NULL, k, 2000);
    for (int s = 0; s < 3; s++)
        for (int k = 0; k < 4; k++)
            check_pairs_of(mesh, k % 2 ? CF_F32 : CF_F64, shapes[s], k < 2 ? NULL : weights);
}

static void pairs_are_counted_where_they_belong(void **state)
{
    (void)state;
    on_every_mesh(check_pairs);
}

static void sizes_beyond_32_bits_are_refused(void **state)
{
    static const int64_t shapes[][2] = {
        {(int64_t)1 << 31, 1}, {1, (int64_t)1 << 31}, {1 << 20, 1 << 16}, {200000, 200000}};
    cf_mesh *mesh = NULL;
    cf_cyclic *a = NULL;

    (void)state;
    assert_ok(cf_linalg_create_mesh(&world, 0, 0, &mesh));
    for (int s = 0; s < 4; s++) {
        assert_int_equal(cf_linalg_create_cyclic(mesh, CF_F32, shapes[s], 0, &a), CF_ERR_USAGE);
        assert_non_null(strstr(cf_error_message(), "use more ranks"));
        assert_null(a);
    }
    cf_linalg_destroy_mesh(&mesh);
}

/* What is tried again and again: a mesh and a matrix of 5 x 5 on it. */
typedef struct trial_data {
    cf_mesh *mesh;
    cf_cyclic *a;
    double values[25];
} trial_data;

static cf_status create_mesh(void *context)
{
    trial_data *t = context;
    cf_status status = cf_linalg_create_mesh(&world, 0, 0, &t->mesh);

    if (status != CF_OK) assert_null(t->mesh);
    return status;
}

static void destroy_mesh(void *context)
{
    cf_linalg_destroy_mesh(&((trial_data *)context)->mesh);
}

static cf_status create_cyclic(void *context)
{
    trial_data *t = context;
    cf_status status = cf_linalg_create_cyclic(t->mesh, CF_F64, (const int64_t[]){5, 5}, 2, &t->a);

    if (status != CF_OK) assert_null(t->a);
    return status;
}

static void destroy_cyclic(void *context)
{
    cf_linalg_destroy_cyclic(&((trial_data *)context)->a);
}

static cf_status get_all(void *context)
{
    trial_data *t = context;
    const cf_slab all = {0, 5, 0, 5, 5};

    return cf_linalg_get_cyclic(t->a, &all, CF_F64, t->values);
}

/* Each rank puts its rows; with six ranks one has none. */
static cf_status put_rows(void *context)
{
    const trial_data *t = context;
    const int64_t first = cf_par_even_start(5, world.size, world.rank);
    const cf_slab mine = {first, cf_par_even_start(5, world.size, world.rank + 1) - first, 0, 5, 5};

    return cf_linalg_put_cyclic(t->a, &mine, CF_F64, t->values);
}

static cf_status multiply_rows(void *context)
{
    trial_data *t = context;

    return cf_linalg_get_row_products(t->a, t->a, t->values);
}

static void prepare_cyclic(void *context)
{
    assert_ok(create_cyclic(context));
}

static cf_status round_to_float32(void *context)
{
    trial_data *t = context;

    return cf_linalg_round_cyclic(&t->a, CF_F32);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial mesh = {.attempt = create_mesh, .clean_up = destroy_mesh};
    const cf_test_trial cyclic = {.attempt = create_cyclic, .clean_up = destroy_cyclic};
    const cf_test_trial get = {.attempt = get_all}, put = {.attempt = put_rows};
    const cf_test_trial products = {.attempt = multiply_rows};
    const cf_test_trial rounds = {
        .attempt = round_to_float32, .prepare = prepare_cyclic, .clean_up = destroy_cyclic};
    trial_data t = {0};

    (void)state;
    assert_true(cf_test_every_allocation(&mesh, &t) >= 1);
    assert_ok(create_mesh(&t));
    assert_true(cf_test_every_allocation(&cyclic, &t) >= 2);
    assert_ok(create_cyclic(&t));
    assert_true(cf_test_every_allocation(&get, &t) >= 7);
    assert_true(cf_test_every_allocation(&put, &t) >= 7);
    assert_true(cf_test_every_allocation(&products, &t) >= 1);
    destroy_cyclic(&t);
    assert_true(cf_test_every_allocation(&rounds, &t) >= 2);
    destroy_mesh(&t);
}

/* BLACS prints a warning where a communicator is given up twice. */
static void a_mesh_may_outlive_another_of_the_same_ranks(void **state)
{
    cf_mesh *mesh[2] = {NULL, NULL};
    cf_cyclic *a;
    double values[20];

    (void)state;
    for (int k = 0; k < 2; k++)
        assert_ok(cf_linalg_create_mesh(&world, 0, 0, &mesh[k]));
    cf_test_begin_stderr();
    cf_linalg_destroy_mesh(&mesh[0]);
    a = new_cyclic(mesh[1], CF_F64, 20, 20, 4);
    cf_linalg_fill_diagonal(a, 3);
    assert_ok(cf_linalg_eigen(a, values, NULL));
    cf_linalg_destroy_cyclic(&a);
    cf_linalg_destroy_mesh(&mesh[1]);
    assert_string_equal(cf_test_end_stderr(), "");
    for (int k = 0; k < 20; k++)
        assert_close(values[k], 3, 1e-12);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_mesh_is_as_square_as_the_ranks_allow),
    cmocka_unit_test(elements_lie_where_the_formula_says),
    cmocka_unit_test(row_blocks_go_in_and_come_out_unchanged),
    cmocka_unit_test(large_parts_go_in_rounds),
    cmocka_unit_test(tables_of_every_grid_go_in_and_come_out),
    cmocka_unit_test(the_diagonal_is_added_to_scaled_and_read),
    cmocka_unit_test(rows_and_columns_are_scaled_and_matrices_added),
    cmocka_unit_test(products_of_rows_have_one_order),
    cmocka_unit_test(matrices_are_rounded_to_another_type),
    cmocka_unit_test(pairs_are_counted_where_they_belong),
    cmocka_unit_test(a_mesh_may_outlive_another_of_the_same_ranks),
    cmocka_unit_test(sizes_beyond_32_bits_are_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};

CF_TEST_MAIN(tests)
