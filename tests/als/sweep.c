#include "parts.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

enum { USERS = 61, ITEMS = 97, DIM = 40, WIDE = 264, MAX_COLUMNS = 3, SWEEPS = 3 };
static const int64_t n_rows[2] = {USERS, ITEMS};
static const cf_als_options options = {.alpha0 = 0.05, .reg_weight = 0.02, .nu = 0.8};
/* Three of the items without a pair are cold. */
static const uint8_t cold[ITEMS] = {[2] = CF_COLD_VALID, [7] = CF_COLD_TEST, [12] = CF_COLD_TEST};
static const int64_t n_counted[2] = {USERS, ITEMS - 3};

static bool is_cold(int side, int64_t row)
{
    return side == CF_ITEMS && cold[row] != 0;
}

static cf_test_graph make_graph(void)
{
    return cf_test_graph_random(USERS, ITEMS, 0.07, 6);
}

/* What rows are shrunk towards: of items only. */
static double prior_of(int side, int64_t row, int64_t d)
{
    return side == CF_ITEMS ? 0.3 * cf_test_noise(12, row, d) : 0;
}

static double start_of(int side, int64_t row, int64_t d)
{
    return 0.2 * cf_test_noise(10 + (uint64_t)side, row, d);
}

/* Halves, so that a mean of many is exact. */
static float weight_of(int64_t user, int64_t item)
{
    return 0.5f + 0.5f * (float)((3 * user + 5 * item) % 7);
}

static float weight_times_4(int64_t user, int64_t item)
{
    return 4 * weight_of(user, item);
}

static float always_3(int64_t user, int64_t item)
{
    (void)user, (void)item;
    return 3;
}

/* ---- In double, one row after the other ---------------------------------------------------------
 */

typedef struct reference {
    int64_t dim;
    cf_test_weight *weight; /* NULL: all weigh the same */
    double unit;            /* 1 over the mean weight */
    double rows[2][ITEMS][WIDE], pairs[2], shrunk[2];
} reference;

static void eliminate(int64_t dim, double a[WIDE][WIDE], double b[WIDE])
{
    for (int64_t k = 0; k < dim; k++)
        for (int64_t i = k + 1; i < dim; i++) {
            const double factor = a[i][k] / a[k][k];

            for (int64_t j = k; j < dim; j++)
                a[i][j] -= factor * a[k][j];
            b[i] -= factor * b[k];
        }
    for (int64_t k = dim - 1; k >= 0; k--) {
        for (int64_t j = k + 1; j < dim; j++)
            b[k] -= a[k][j] * b[j];
        b[k] /= a[k][k];
    }
}

static double confidence_of(const reference *r, const int64_t pair[2])
{
    return r->weight != NULL ? r->unit * (double)r->weight(pair[0], pair[1]) : 1;
}

static void find_unit(const cf_test_graph *graph, reference *out)
{
    double sum = 0;

    for (int64_t e = 0; out->weight != NULL && e < graph->n_pairs; e++)
        sum += (double)out->weight(graph->pairs[e][0], graph->pairs[e][1]);
    out->unit = (double)graph->n_pairs / sum;
}

static void solve_row(const cf_test_graph *graph, int side, int64_t row, reference *out)
{
    static double a[WIDE][WIDE], x[WIDE];
    const int64_t dim = out->dim;
    double(*h)[WIDE] = out->rows[1 - side], degree = 0, weight;

    memset(a, 0, sizeof a);
    memset(x, 0, sizeof x);
    for (int64_t n = 0; n < n_rows[1 - side]; n++)
        for (int64_t i = 0; i < dim && !is_cold(1 - side, n); i++)
            for (int64_t j = 0; j < dim; j++)
                a[i][j] += options.alpha0 * h[n][i] * h[n][j];
    for (int64_t e = 0; e < graph->n_pairs; e++) {
        const double *y = h[graph->pairs[e][1 - side]];

        if (graph->pairs[e][side] != row) continue;
        const double c = confidence_of(out, graph->pairs[e]);

        degree += c;
        for (int64_t i = 0; i < dim; i++) {
            x[i] += c * y[i];
            for (int64_t j = 0; j < dim; j++)
                a[i][j] += c * y[i] * y[j];
        }
    }
    weight =
        options.reg_weight * pow(degree + options.alpha0 * (double)n_counted[1 - side], options.nu);
    for (int64_t i = 0; i < dim; i++) {
        a[i][i] += weight;
        x[i] += weight * prior_of(side, row, i);
    }
    eliminate(dim, a, x);
    for (int64_t i = 0; i < dim; i++)
        out->shrunk[side] += weight * pow(x[i] - prior_of(side, row, i), 2);
    memcpy(out->rows[side][row], x, sizeof x);
}

static double score_of(const reference *r, int64_t user, int64_t item)
{
    double sum = 0;

    for (int64_t d = 0; d < r->dim; d++)
        sum += r->rows[CF_USERS][user][d] * r->rows[CF_ITEMS][item][d];
    return sum;
}

static void solve_side(const cf_test_graph *graph, int side, reference *out)
{
    out->shrunk[side] = 0;
    for (int64_t row = 0; row < n_rows[side]; row++) {
        for (int64_t d = 0; d < out->dim; d++)
            out->rows[side][row][d] = (float)prior_of(side, row, d);
        if (!is_cold(side, row)) solve_row(graph, side, row, out);
    }
    out->pairs[side] = out->shrunk[side];
    for (int64_t u = 0; u < USERS; u++)
        for (int64_t i = 0; i < ITEMS; i++)
            out->pairs[side] +=
                is_cold(CF_ITEMS, i) ? 0 : options.alpha0 * pow(score_of(out, u, i), 2);
    for (int64_t e = 0; e < graph->n_pairs; e++)
        out->pairs[side] += confidence_of(out, graph->pairs[e]) *
                            pow(1 - score_of(out, graph->pairs[e][0], graph->pairs[e][1]), 2);
}

/* ---- On a grid ----------------------------------------------------------------------------------
 */

static parts new_parts(int64_t dim, cf_grid *grid)
{
    return (parts){.options = options,
                   .grid = grid,
                   .dim = dim,
                   .cold = cold,
                   .n_counted = {n_counted[0], n_counted[1]}};
}

static void make_run(const cf_test_graph *graph, cf_test_weight *weight, parts *r)
{
    r->shard = cf_test_graph_cut(graph, r->grid);
    if (weight != NULL) cf_test_shard_weigh(&r->shard, weight);
    assert_ok(parts_make(r));
}

static void drop_run(parts *r)
{
    parts_drop(r);
    cf_test_shard_destroy(&r->shard);
}

static void fill(cf_table *table, int side, double (*value)(int, int64_t, int64_t))
{
    double *values = calloc((size_t)(table->n_rows * table->dim), sizeof *values);

    assert_non_null(values);
    for (int64_t row = 0; row < table->n_rows; row++)
        for (int64_t d = 0; d < table->dim; d++)
            values[row * table->dim + d] = value(side, row, d);
    cf_test_table_set(table, values);
    free(values);
}

static void sweep(parts *r, cf_als_loss loss[2])
{
    for (int side = CF_ITEMS; side >= CF_USERS; side--) {
        fill(r->table[side], side, prior_of);
        assert_ok(cf_als_solve(r->als, (cf_side)side, &loss[side]));
    }
}

static void check(const parts *r, const reference *want, const cf_als_loss loss[2])
{
    for (int side = 0; side < 2; side++) {
        float *got = cf_test_table_get(r->table[side]);

        cf_test_table_check_padding(r->table[side]);
        /* float32, condition numbers of about 1e3, and the errors of the other side's rows */
        for (int64_t row = 0; row < n_rows[side]; row++)
            cf_test_close_f32(got + row * r->dim, want->rows[side][row], r->dim, 2e-4, 1);
        assert_close(loss[side].pairs, want->pairs[side], 2e-4 * want->pairs[side]);
        assert_close(loss[side].shrunk, want->shrunk[side], 2e-4 * want->shrunk[side]);
        free(got);
    }
}

/* Sweeps by plain loops, and on all grids, with the same bits; where they take long, on one kind of
 * node. */
static void try_sweeps(int64_t dim, int n_sweeps, cf_test_weight *weight)
{
    static reference want;
    bool (*next)(const cf_par *, int64_t, int *, cf_grid **) =
        dim == WIDE || weight != NULL ? cf_test_next_grid : cf_test_next_nodes;
    cf_test_graph graph = make_graph();
    float *first[2] = {NULL, NULL};
    cf_grid *grid = NULL;

    want.dim = dim;
    want.weight = weight;
    find_unit(&graph, &want);
    for (int64_t u = 0; u < USERS; u++)
        for (int64_t d = 0; d < dim; d++)
            want.rows[CF_USERS][u][d] = (float)start_of(CF_USERS, u, d);
    for (int n = 0; n < n_sweeps; n++)
        for (int side = CF_ITEMS; side >= CF_USERS; side--)
            solve_side(&graph, side, &want);
    for (int k = 0; next(&world, MAX_COLUMNS, &k, &grid);)
        for (int threads = 1; threads <= 2; threads++) {
            parts r = new_parts(dim, grid);
            cf_als_loss loss[2];

            omp_set_num_threads(threads);
            make_run(&graph, weight, &r);
            fill(r.table[CF_USERS], CF_USERS, start_of);
            for (int n = 0; n < n_sweeps; n++)
                sweep(&r, loss);
            check(&r, &want, loss);
            parts_compare_bits(&r, first);
            drop_run(&r);
        }
    for (int side = 0; side < 2; side++)
        free(first[side]);
    cf_test_graph_destroy(&graph);
}

static void sweeps_are_those_of_plain_loops_on_any_grid(void **state)
{
    (void)state;
    try_sweeps(DIM, SWEEPS, NULL);
}

static void sweeps_with_weights_are_too(void **state)
{
    (void)state;
    try_sweeps(DIM, SWEEPS, weight_of);
}

/* Confidence is relative to the mean, so equal weights are none, and a unit of them is free. */
static void only_ratios_of_weights_count(void **state)
{
    cf_test_weight *const pairs[2][2] = {{NULL, always_3}, {weight_of, weight_times_4}};
    cf_test_graph graph = make_graph();

    (void)state;
    for (int k = 0; k < 2; k++) {
        float *first[2] = {NULL, NULL};

        for (int j = 0; j < 2; j++) {
            parts r = new_parts(DIM, NULL);
            cf_als_loss loss[2];

            assert_ok(cf_par_create_grid(&world, world.size, 1, &r.grid));
            make_run(&graph, pairs[k][j], &r);
            fill(r.table[CF_USERS], CF_USERS, start_of);
            sweep(&r, loss);
            parts_compare_bits(&r, first);
            drop_run(&r);
            cf_par_destroy_grid(&r.grid);
        }
        free(first[CF_USERS]);
        free(first[CF_ITEMS]);
    }
    cf_test_graph_destroy(&graph);
}

/* More dimensions than rows of either side, and than a near cache has room for. */
static void a_sweep_of_many_dimensions_is_too(void **state)
{
    (void)state;
    try_sweeps(WIDE, 1, NULL);
}

/* Rows without anything to fix them: no pair counts, and nothing is shrunk. The other side's rows
 * may also be no numbers. */
static void a_singular_system_stops_every_rank(void **state)
{
    cf_test_graph graph = make_graph();
    parts r = new_parts(DIM, NULL);
    cf_als_loss loss;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &r.grid));
    r.options = (cf_als_options){.nu = 1};
    make_run(&graph, NULL, &r);
    fill(r.table[CF_USERS], CF_USERS, start_of);
    assert_refused(cf_als_solve(r.als, CF_ITEMS, &loss), CF_ERR_NUMERIC,
                   "the normal equations of item number 0 are not positive definite");
    for (int64_t u = 0; u < r.table[CF_USERS]->local_rows * r.table[CF_USERS]->width; u++)
        r.table[CF_USERS]->data[u] = NAN;
    assert_refused(cf_als_solve(r.als, CF_ITEMS, &loss), CF_ERR_NUMERIC, "not finite");
    drop_run(&r);
    cf_par_destroy_grid(&r.grid);
    cf_test_graph_destroy(&graph);
}

static cf_status try_run(void *context)
{
    parts *r = context;
    cf_status status = parts_make(r);
    cf_als_loss loss;

    return status == CF_OK ? cf_als_solve(r->als, CF_ITEMS, &loss) : status;
}

static void clean_up(void *context)
{
    parts_drop(context);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = try_run, .clean_up = clean_up, .least = {30, 30}};
    cf_test_graph graph = make_graph();
    cf_grid *grid = NULL;

    (void)state;
    omp_set_num_threads(1);
    for (int k = 0; cf_test_next_grid(&world, 2, &k, &grid);) {
        parts r = new_parts(DIM, grid);

        r.shard = cf_test_graph_cut(&graph, grid);
        cf_test_every_allocation(&trial, &r);
        cf_test_shard_destroy(&r.shard);
    }
    cf_test_graph_destroy(&graph);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sweeps_are_those_of_plain_loops_on_any_grid),
    cmocka_unit_test(a_sweep_of_many_dimensions_is_too),
    cmocka_unit_test(sweeps_with_weights_are_too),
    cmocka_unit_test(only_ratios_of_weights_count),
    cmocka_unit_test(a_singular_system_stops_every_rank),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};

CF_TEST_MAIN(tests)
