#include "mesh.h"

/* Sizes about and below the block, where p?syevd's own workspace gives wrong vectors. */
static const int64_t cases[][2] = {/* n, block */
                                   {1, 64},  {5, 2},   {20, 32}, {33, 32},
                                   {65, 64}, {100, 8}, {129, 64}};
enum { N_CASES = sizeof cases / sizeof cases[0] };

/* ---- Eigenvalues ---- */

/* AV = V diag(values), V'V = I, ascending; errors relative to the largest. */
static void check_eigen(const cf_mesh *mesh, const int64_t shape[2])
{
    const double unit = 0x1p-52;
    const int64_t n = shape[0], square[3] = {n, n, n};
    cf_cyclic *a = new_cyclic(mesh, CF_F64, n, n, shape[1]);
    cf_cyclic *v = new_cyclic(mesh, CF_F64, n, n, shape[1]);
    double *values = calloc((size_t)n, sizeof *values), *one = calloc((size_t)(n * n), sizeof *one);
    double *alone = calloc((size_t)n, sizeof *alone); /* without vectors */

    fill_cyclic(a, symmetric_noise, NULL);
    double *before = whole(a);
    assert_ok(cf_linalg_eigen(a, values, v));
    double *vectors = whole(v), *scaled = whole(v);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            scaled[i * n + j] *= values[j];
            one[i * n + j] = i == j;
        }
    for (int64_t j = 1; j < n; j++)
        assert_true(values[j - 1] <= values[j]);
    const double norm = fmax(fabs(values[0]), fabs(values[n - 1]));
    fill_cyclic(a, symmetric_noise, NULL);
    assert_ok(cf_linalg_eigen(a, alone, NULL));
    for (int64_t j = 0; j < n; j++)
        assert_close(alone[j], values[j], 30 * unit * norm);
    assert_true(product_error(before, vectors, false, scaled, square) <= 30 * unit * norm);
    assert_true(product_error(vectors, vectors, true, one, square) <= 30 * unit);
    free(before);
    free(vectors);
    free(scaled);
    free(values);
    free(alone);
    free(one);
    cf_linalg_destroy_cyclic(&a);
    cf_linalg_destroy_cyclic(&v);
}

static void check_eigen_cases(const cf_mesh *mesh)
{
    for (int k = 0; k < N_CASES; k++)
        check_eigen(mesh, cases[k]);
}

static void eigenvectors_are_right_however_few_blocks_there_are(void **state)
{
    (void)state;
    on_every_mesh(check_eigen_cases);
}

/* BLACS adds what processes send as it arrives, unless told not to: seen on three ranks. */
static void the_same_matrix_gives_the_same_bits_again(void **state)
{
    enum { N = 150, TIMES = 6 };
    cf_mesh *mesh = NULL;
    double *first = NULL, first_alone[N];

    (void)state;
    assert_ok(cf_linalg_create_mesh(&world, 0, 0, &mesh));
    for (int t = 0; t < TIMES; t++) {
        cf_cyclic *a = new_cyclic(mesh, CF_F64, N, N, 0), *v = new_cyclic(mesh, CF_F64, N, N, 0);
        double values[N], alone[N];

        fill_cyclic(a, symmetric_noise, NULL);
        assert_ok(cf_linalg_eigen(a, values, v));
        fill_cyclic(a, symmetric_noise, NULL);
        assert_ok(cf_linalg_eigen(a, alone, NULL));
        double *vectors = whole(v);
        if (t == 0) {
            first = vectors;
            memcpy(first_alone, alone, sizeof alone);
        } else {
            assert_memory_equal(vectors, first, N * N * sizeof *first);
            assert_memory_equal(alone, first_alone, sizeof alone);
        }
        if (t > 0) free(vectors);
        cf_linalg_destroy_cyclic(&a);
        cf_linalg_destroy_cyclic(&v);
    }
    free(first);
    cf_linalg_destroy_mesh(&mesh);
}

/* The same values from one rank and from all. */
static void one_rank_finds_the_same_values(void **state)
{
    enum { N = 50 };
    double *matrix = calloc(N * N, sizeof *matrix), *copy = calloc(N * N, sizeof *copy);
    double one[N], all[N], alone[N];
    cf_mesh *mesh = NULL;

    (void)state;
    assert_ok(cf_linalg_create_mesh(&world, 0, 0, &mesh));
    cf_cyclic *a = new_cyclic(mesh, CF_F64, N, N, 8), *v = new_cyclic(mesh, CF_F64, N, N, 8);
    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < N; j++)
            copy[i * N + j] = matrix[i * N + j] = symmetric_noise(NULL, i, j);
    fill_cyclic(a, symmetric_noise, NULL);
    assert_ok(cf_linalg_eigen_one(&world, N, true, world.rank == 0 ? matrix : NULL, one));
    assert_ok(cf_linalg_eigen_one(&world, N, false, world.rank == 0 ? copy : NULL, alone));
    assert_ok(cf_linalg_eigen(a, all, v));
    for (int k = 0; k < N; k++) {
        assert_close(all[k], one[k], 1e-13);
        assert_close(alone[k], one[k], 1e-13);
    }
    for (int r = 0; r < N && world.rank == 0; r++) { /* eigenvector r is row r */
        double worst = 0;
        for (int i = 0; i < N; i++) {
            double sum = -one[r] * matrix[r * N + i];
            for (int j = 0; j < N; j++)
                sum += symmetric_noise(NULL, i, j) * matrix[r * N + j];
            worst = fmax(worst, fabs(sum));
        }
        assert_close(worst, 0, 1e-13);
    }
    free(matrix);
    free(copy);
    cf_linalg_destroy_cyclic(&a);
    cf_linalg_destroy_cyclic(&v);
    cf_linalg_destroy_mesh(&mesh);
}

/* ---- Products ---- */

static const uint64_t seeds[] = {1, 2, 3};

/* On one rank alone, for the bits that all meshes must find. */
static cf_mesh *mesh_of_one(void)
{
    cf_mesh *mesh = NULL;

    assert_ok(cf_linalg_create_mesh(&cf_test_self, 1, 1, &mesh));
    return mesh;
}

static double transposed_noise(const void *context, int64_t i, int64_t j)
{
    return noise(context, j, i);
}

/* c - 2 a b, row by row, from b or from its transpose; free with free(). */
static double *find_product(const cf_mesh *mesh, cf_type type, const int64_t shape[3],
                            bool transposed)
{
    enum { BLOCK = 16 };
    cf_cyclic *a = new_cyclic(mesh, type, shape[0], shape[1], BLOCK);
    cf_cyclic *b =
        new_cyclic(mesh, type, shape[transposed ? 2 : 1], shape[transposed ? 1 : 2], BLOCK);
    cf_cyclic *c = new_cyclic(mesh, type, shape[0], shape[2], BLOCK);

    fill_cyclic(a, noise, &seeds[0]);
    fill_cyclic(b, transposed ? transposed_noise : noise, &seeds[1]);
    fill_cyclic(c, noise, &seeds[2]);
    assert_ok(transposed ? cf_linalg_add_product_transposed(a, b, -2, c)
                         : cf_linalg_add_product(a, b, -2, c));
    double *found = whole(c);
    cf_linalg_destroy_cyclic(&a);
    cf_linalg_destroy_cyclic(&b);
    cf_linalg_destroy_cyclic(&c);
    return found;
}

/* Against three loops, and one rank. */
static void check_product(const cf_mesh *mesh, cf_type type, const int64_t shape[3],
                          bool transposed, double tolerance)
{
    cf_mesh *one = mesh_of_one();
    double *got = find_product(mesh, type, shape, transposed),
           *alone = find_product(one, type, shape, transposed);

    for (int64_t i = 0; i < shape[0]; i++)
        for (int64_t j = 0; j < shape[2]; j++) {
            double sum = noise(&seeds[2], i, j);
            for (int64_t k = 0; k < shape[1]; k++)
                sum -= 2 * noise(&seeds[0], i, k) * noise(&seeds[1], k, j);
            assert_close(got[i * shape[2] + j], sum, tolerance);
            assert_true(got[i * shape[2] + j] == alone[i * shape[2] + j]);
        }
    free(got);
    free(alone);
    cf_linalg_destroy_mesh(&one);
}

/* The lower triangle of c + aa', from a or from its transpose, mirrored; row by row; free with
 * free(). shape: rows of a, block. */
static double *find_gram(const cf_mesh *mesh, cf_type type, const int64_t shape[2], int64_t k,
                         bool transposed)
{
    const int64_t n = shape[0], block = shape[1];
    cf_cyclic *a = new_cyclic(mesh, type, transposed ? k : n, transposed ? n : k, block);
    cf_cyclic *c = new_cyclic(mesh, type, n, n, block);

    fill_cyclic(a, transposed ? transposed_noise : noise, NULL);
    fill_cyclic(c, noise, &seeds[2]);
    assert_ok(transposed ? cf_linalg_add_gram_transposed(a, c) : cf_linalg_add_gram(a, c));
    cf_linalg_mirror(c);
    double *found = whole(c);
    cf_linalg_destroy_cyclic(&a);
    cf_linalg_destroy_cyclic(&c);
    return found;
}

static void check_gram(const cf_mesh *mesh, cf_type type, const int64_t shape[2], bool transposed,
                       double tolerance)
{
    const int64_t n = shape[0], k = 45;
    cf_mesh *one = mesh_of_one();
    double *got = find_gram(mesh, type, shape, k, transposed),
           *alone = find_gram(one, type, shape, k, transposed);

    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = noise(&seeds[2], i, j);
            for (int64_t l = 0; l < k; l++)
                sum += noise(NULL, i, l) * noise(NULL, j, l);
            assert_close(got[i * n + j], sum, tolerance);
            assert_true(got[i * n + j] == alone[i * n + j] && got[j * n + i] == got[i * n + j]);
        }
    free(got);
    free(alone);
    cf_linalg_destroy_mesh(&one);
}

static void check_products(const cf_mesh *mesh)
{
    static const int64_t shapes[][3] = {{37, 45, 52}, {52, 7, 37}, {1, 33, 16}};

    for (int transposed = 0; transposed < 2; transposed++) {
        for (int k = 0; k < 3; k++) {
            check_product(mesh, CF_F64, shapes[k], transposed, 1e-13);
            check_product(mesh, CF_F32, shapes[k], transposed, 1e-4);
        }
        for (int k = 0; k < N_CASES; k++) {
            check_gram(mesh, CF_F64, cases[k], transposed, 1e-13);
            check_gram(mesh, CF_F32, cases[k], transposed, 1e-4);
        }
    }
}

static void products_equal_three_loops_and_have_the_same_bits_on_any_mesh(void **state)
{
    (void)state;
    on_every_mesh(check_products);
}

/* ---- Inverses ---- */

static double definite(const void *context, int64_t i, int64_t j)
{
    return symmetric_noise(context, i, j) + (i == j ? 40 : 0);
}

/* Row by row; free with free(). */
static double *find_inverse(const cf_mesh *mesh, const int64_t shape[2], cf_type type)
{
    cf_cyclic *a = new_cyclic(mesh, type, shape[0], shape[0], shape[1]);

    fill_cyclic(a, definite, NULL);
    assert_ok(cf_linalg_invert(a));
    double *inverse = whole(a);
    cf_linalg_destroy_cyclic(&a);
    return inverse;
}

static void check_inverse(const cf_mesh *mesh, const int64_t shape[2], cf_type type,
                          double tolerance)
{
    const int64_t n = shape[0], square[3] = {n, n, n};
    cf_mesh *one_rank = mesh_of_one();
    double *one = calloc((size_t)(n * n), sizeof *one),
           *before = calloc((size_t)(n * n), sizeof *one);
    double *inverse = find_inverse(mesh, shape, type), *alone = find_inverse(one_rank, shape, type);

    for (int64_t i = 0; i < n; i++) {
        one[i * n + i] = 1;
        for (int64_t j = 0; j < n; j++) {
            before[i * n + j] = definite(NULL, i, j);
            assert_true(inverse[i * n + j] == inverse[j * n + i]);
            assert_true(inverse[i * n + j] == alone[i * n + j]);
        }
    }
    assert_true(product_error(before, inverse, false, one, square) <= tolerance);
    free(before);
    free(inverse);
    free(alone);
    free(one);
    cf_linalg_destroy_mesh(&one_rank);
}

/* Not positive definite from `bad` on, as in a matrix of one NaN. */
static void check_refused(const cf_mesh *mesh, int64_t n, int64_t block, int64_t bad)
{
    cf_cyclic *a = new_cyclic(mesh, CF_F64, n, n, block);
    const cf_slab place = {bad, world.rank == world.size - 1, bad, 1, 1};
    double number = -40;
    char words[64];

    fill_cyclic(a, definite, NULL);
    assert_ok(cf_linalg_put_cyclic(a, &place, CF_F64, &number));
    assert_int_equal(cf_linalg_invert(a), CF_ERR_NUMERIC);
    snprintf(words, sizeof words, "leading minor of order %lld", (long long)bad + 1);
    assert_non_null(strstr(cf_error_message(), words));
    fill_cyclic(a, definite, NULL);
    number = NAN;
    assert_ok(cf_linalg_put_cyclic(a, &place, CF_F64, &number));
    assert_int_equal(cf_linalg_invert(a), CF_ERR_NUMERIC);
    cf_linalg_destroy_cyclic(&a);
}

static void check_inverses(const cf_mesh *mesh)
{
    for (int k = 0; k < N_CASES; k++) {
        check_inverse(mesh, cases[k], CF_F64, 1e-13);
        check_inverse(mesh, cases[k], CF_F32, 1e-5);
        check_refused(mesh, cases[k][0], cases[k][1], cases[k][0] / 2);
    }
}

static void inverses_are_inverses_and_what_has_none_is_refused(void **state)
{
    (void)state;
    on_every_mesh(check_inverses);
}

/* ---- Failure ---- */

enum { N_FAIL = 20 };

/* What is tried again and again, with matrices filled anew each time. */
typedef struct trial_data {
    const cf_mesh *mesh;
    cf_cyclic *a, *vectors;
    bool with_vectors;
    double values[N_FAIL], matrix[N_FAIL * N_FAIL]; /* matrix: on one rank */
    int64_t failures;
} trial_data;

static void create_matrices(void *context)
{
    trial_data *t = context;

    t->a = new_cyclic(t->mesh, CF_F64, N_FAIL, N_FAIL, 8);
    t->vectors = new_cyclic(t->mesh, CF_F64, N_FAIL, N_FAIL, 8);
    fill_cyclic(t->a, definite, NULL);
    memset(t->matrix, 0, sizeof t->matrix);
}

static void destroy_matrices(void *context)
{
    trial_data *t = context;

    cf_linalg_destroy_cyclic(&t->a);
    cf_linalg_destroy_cyclic(&t->vectors);
}

static cf_status try_eigen(void *context)
{
    trial_data *t = context;

    return cf_linalg_eigen(t->a, t->values, t->with_vectors ? t->vectors : NULL);
}

static cf_status try_invert(void *context)
{
    return cf_linalg_invert(((trial_data *)context)->a);
}

/* Allocates on rank 0 alone, so failures are counted over the ranks. */
static cf_status try_eigen_one(void *context)
{
    trial_data *t = context;
    cf_status status = cf_linalg_eigen_one(&world, N_FAIL, t->with_vectors, t->matrix, t->values);

    t->failures += status != CF_OK;
    return status;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    cf_test_trial trial = {.prepare = create_matrices, .clean_up = destroy_matrices};
    cf_mesh *mesh = NULL;

    (void)state;
    assert_ok(cf_linalg_create_mesh(&world, 0, 0, &mesh));
    for (int with = 0; with < 2; with++) {
        trial_data t = {.mesh = mesh, .with_vectors = with};

        trial.attempt = try_eigen;
        assert_true(cf_test_every_allocation(&trial, &t) >= 1);
        trial.attempt = try_eigen_one;
        cf_test_every_allocation(&trial, &t);
        assert_true(t.failures >= 1);
    }
    trial.attempt = try_invert;
    assert_true(cf_test_every_allocation(&trial, &(trial_data){.mesh = mesh}) >= 1);
    cf_linalg_destroy_mesh(&mesh);
}

static void workspaces_beyond_32_bits_are_refused(void **state)
{
    double value;

    (void)state;
    assert_int_equal(cf_linalg_eigen_one(&world, 40000, true, &value, &value), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "40000 x 40000"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(eigenvectors_are_right_however_few_blocks_there_are),
    cmocka_unit_test(the_same_matrix_gives_the_same_bits_again),
    cmocka_unit_test(one_rank_finds_the_same_values),
    cmocka_unit_test(products_equal_three_loops_and_have_the_same_bits_on_any_mesh),
    cmocka_unit_test(inverses_are_inverses_and_what_has_none_is_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(workspaces_beyond_32_bits_are_refused),
};

CF_TEST_MAIN(tests)
