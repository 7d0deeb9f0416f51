/* Singular vectors on every grid: the values of NumPy, and what a plain Jacobi iteration finds. */
#include "problem.h"

/* A problem on a grid, and what is found. */
typedef struct place {
    cf_test_graph pairs;
    cf_grid *grid;
    int64_t dim;
    cf_shard shard;
    cf_graph *graph;
    cf_table *vectors;
    double values[64];
} place;

static void set_up(void *context)
{
    place *p = context;

    p->shard = cf_test_graph_cut(&p->pairs, p->grid);
}

static cf_status attempt(void *context)
{
    place *p = context;
    cf_status status;

    CF_TRY(cf_graph_create(p->grid, &p->shard, &p->graph));
    CF_TRY(cf_table_create(p->grid, &p->shard.items, p->dim, &p->vectors));
    CF_TRY(cf_filter_singular(p->graph, &p->shard, p->vectors, p->values));
done:
    return status;
}

static void clean_up(void *context)
{
    place *p = context;

    cf_table_destroy(&p->vectors);
    cf_graph_destroy(&p->graph);
    cf_test_shard_destroy(&p->shard);
}

/* ---- The plain way -------------------------------------------------------------------------- */

/* Rotate rows and columns p and q of `a`, and rows of `v`, so that a(p, q) = 0. */
static void rotate(double *a, double *v, int64_t n, int64_t p, int64_t q)
{
    const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]),
                 t = copysign(1, theta) / (fabs(theta) + sqrt(theta * theta + 1)),
                 c = 1 / sqrt(t * t + 1), s = t * c;

    for (int64_t k = 0; k < n; k++) {
        const double x = a[k * n + p], y = a[k * n + q], z = v[p * n + k], w = v[q * n + k];

        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
        v[p * n + k] = c * z - s * w;
        v[q * n + k] = s * z + c * w;
    }
    for (int64_t k = 0; k < n; k++) {
        const double x = a[p * n + k], y = a[q * n + k];

        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
    }
}

/* Eigenvalues on the diagonal of `a`, eigenvectors as rows of `v`. */
static void iterate_plainly(double *a, double *v, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        v[k * n + k] = 1;
    for (int sweep = 0; sweep < 12; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++)
                if (fabs(a[p * n + q]) > 1e-15) rotate(a, v, n, p, q);
}

/* The row of the k-th largest number on the diagonal. */
static int64_t find_largest(const double *a, int64_t n, int64_t k)
{
    for (int64_t row = 0; row < n; row++) {
        int64_t above = 0;

        for (int64_t other = 0; other < n; other++)
            above += a[other * (n + 1)] > a[row * (n + 1)];
        if (above == k) return row;
    }
    fail_msg("two eigenvalues are equal");
    return -1;
}

/* VV', which does not depend on signs; vectors are rows. */
static double *project(const double *rows, const int64_t *order, int64_t dim, int64_t n)
{
    double *out = new_doubles(n * n);

    for (int64_t k = 0; k < dim; k++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                out[i * n + j] += rows[order[k] * n + i] * rows[order[k] * n + j];
    return out;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void check_vectors(const place *p, const float *table, const double *values,
                          const double *projector)
{
    const int64_t n = p->pairs.n_items, dim = p->dim;

    for (int64_t k = 0; k < dim; k++)
        assert_close(p->values[k], sqrt(values[k]), 1e-6);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;

            for (int64_t k = 0; k < dim; k++)
                sum += (double)table[i * dim + k] * (double)table[j * dim + k];
            /* a residual of 1e-5 over a gap to the next eigenvalue of 0.01 */
            assert_close(sum, projector[i * n + j], 1e-3);
        }
}

/* Free a table after the first, whose bits it has. */
static void keep_or_compare(float *table, int64_t count, float **first)
{
    if (*first == NULL) {
        *first = table;
        return;
    }
    cf_test_same_bits(table, *first, count, "singular vectors");
    free(table);
}

/* On every grid: near the plain way, and the same bits. */
static void leading_vectors_are_found(void **state)
{
    place p = {.pairs = cf_test_graph_random(150, 120, 0.08, 5), .dim = 4};
    const int64_t n = p.pairs.n_items;
    double *square = square_plainly(&p.pairs), *rows = new_doubles(n * n), *projector, values[4];
    int64_t order[5];
    float *first = NULL;

    (void)state;
    iterate_plainly(square, rows, n);
    for (int64_t k = 0; k < 5; k++)
        order[k] = find_largest(square, n, k);
    for (int64_t k = 0; k < 4; k++)
        values[k] = square[order[k] * (n + 1)];
    assert_true(values[3] - square[order[4] * (n + 1)] > 0.01);
    projector = project(rows, order, p.dim, n);
    for (int k = 0; cf_test_next_nodes(&world, 1, &k, &p.grid);) {
        float *table;

        set_up(&p);
        assert_ok(attempt(&p));
        cf_test_table_check_padding(p.vectors);
        table = cf_test_table_get(p.vectors);
        check_vectors(&p, table, values, projector);
        keep_or_compare(table, n * p.dim, &first);
        clean_up(&p);
    }
    free(first);
    free(square);
    free(rows);
    free(projector);
    cf_test_graph_destroy(&p.pairs);
}

/* More columns than one slice has; all 30 values of R are wanted. */
static void all_values_are_those_of_numpy(void **state)
{
    place p = {.pairs = cf_test_graph_load(CF_TEST_DATA "/golden/tiny/train.npy", 40, 30),
               .dim = 30};
    int64_t dims[2];
    double *want = cf_test_npy(CF_TEST_DATA "/golden/tiny/normal_singular.npy", dims);
    float *first = NULL;

    (void)state;
    for (int k = 0; cf_test_next_grid(&world, 2, &k, &p.grid);) {
        set_up(&p);
        assert_ok(attempt(&p));
        for (int64_t v = 0; v < p.dim; v++)
            assert_close(p.values[v], want[v], 1e-6);
        keep_or_compare(cf_test_table_get(p.vectors), 30 * p.dim, &first);
        clean_up(&p);
    }
    free(first);
    free(want);
    cf_test_graph_destroy(&p.pairs);
}

/* Every third user of the graph has no interactions. */
static void more_vectors_than_there_are_are_refused(void **state)
{
    place p = {.pairs = cf_test_graph_random(30, 60, 0.3, 5), .dim = 21};

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &p.grid));
    set_up(&p);
    assert_int_equal(attempt(&p), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "expected at most 20"));
    clean_up(&p);
    cf_par_destroy_grid(&p.grid);
    cf_test_graph_destroy(&p.pairs);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    place p = {.pairs = cf_test_graph_random(60, 50, 0.1, 5), .dim = 3};
    const cf_test_trial trial = {
        .attempt = attempt, .prepare = set_up, .clean_up = clean_up, .thinning = 6, .rotate = true};

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &p.grid));
    assert_true(cf_test_every_allocation(&trial, &p) > 10);
    cf_par_destroy_grid(&p.grid);
    cf_test_graph_destroy(&p.pairs);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(leading_vectors_are_found),
    cmocka_unit_test(all_values_are_those_of_numpy),
    cmocka_unit_test(more_vectors_than_there_are_are_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
