#include "problem.h"

#include <math.h>

/* 40 dimensions: three segments, the last one half empty. */
enum { USERS = 15, ITEMS = 12, DIM = 40, BATCH = 24 };

typedef struct variant {
    const char *settings[4];
    int layers;
    double reg_weight;
    bool require_pow;
} variant;
static const variant variants[] = {
    {{"model=BPR"}, 0, 0, false},
    {{"model=BPR", "n_layers=2", "reg_weight=0.3"}, 0, 0, false}, /* not heeded */
    {{"model=LightGCN", "n_layers=0", "reg_weight=0.3"}, 0, 0.3, false},
    {{"model=LightGCN", "n_layers=1", "reg_weight=0"}, 1, 0, false},
    {{"model=LightGCN", "n_layers=1", "reg_weight=0.3"}, 1, 0.3, false},
    {{"model=LightGCN", "n_layers=2", "reg_weight=0.3"}, 2, 0.3, false},
    {{"model=LightGCN", "n_layers=3", "reg_weight=0.3"}, 3, 0.3, false},
    {{"model=LightGCN", "n_layers=0", "reg_weight=0.2", "require_pow=true"}, 0, 0.2, true},
    {{"model=LightGCN", "n_layers=2", "reg_weight=0.2", "require_pow=true"}, 2, 0.2, true},
};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

/* Rows of users, then of items. */
typedef double table[USERS + ITEMS][DIM];

static sample samples[BATCH];

static problem new_problem(const variant *v)
{
    problem p = {
        .graph = cf_test_graph_random(USERS, ITEMS, 0.3, 11), .dim = DIM, .batch_size = BATCH + 5};

    memcpy(p.settings, v->settings, sizeof v->settings);
    return p;
}

/* Any users and items, also those without a neighbour; an early sample comes again, items stand on
 * both sides, once in the same sample. */
static void draw_samples(void)
{
    const cf_random key = {21, CF_STREAM_TEST};

    for (uint64_t t = 0; t < BATCH; t++)
        samples[t] =
            (sample){cf_random_below(key, t, 0, 0, USERS), cf_random_below(key, t, 1, 0, ITEMS),
                     cf_random_below(key, t, 2, 0, ITEMS)};
    samples[7] = samples[2];
    samples[8].user = samples[2].user;
    samples[8].positive = samples[2].negative;
    samples[9].positive = samples[9].negative;
}

/* ---- The loss in plain doubles -------------------------------------------------------------- */

/* out += A^ in */
static void multiply(const cf_test_graph *graph, const table in, table out)
{
    double degree[USERS + ITEMS] = {0};

    for (int64_t e = 0; e < graph->n_pairs; e++) {
        degree[graph->pairs[e][0]]++;
        degree[USERS + graph->pairs[e][1]]++;
    }
    for (int64_t e = 0; e < graph->n_pairs; e++) {
        const int64_t u = graph->pairs[e][0], i = USERS + graph->pairs[e][1];
        const double weight = 1 / sqrt(degree[u] * degree[i]);

        for (int d = 0; d < DIM; d++) {
            out[u][d] += weight * in[i][d];
            out[i][d] += weight * in[u][d];
        }
    }
}

/* F = 1/(L+1) sum_k A^^k E0 */
static void propagate(const cf_test_graph *graph, int layers, const table raw, table out)
{
    table power;

    memcpy(power, raw, sizeof power);
    memcpy(out, raw, sizeof power);
    for (int layer = 0; layer < layers; layer++) {
        table next = {{0}};

        multiply(graph, (const double(*)[DIM])power, next);
        memcpy(power, next, sizeof power);
        for (int row = 0; row < USERS + ITEMS; row++)
            for (int d = 0; d < DIM; d++)
                out[row][d] += power[row][d];
    }
    for (int row = 0; row < USERS + ITEMS; row++)
        for (int d = 0; d < DIM; d++)
            out[row][d] /= layers + 1;
}

static double square(const double *row)
{
    double sum = 0;

    for (int d = 0; d < DIM; d++)
        sum += row[d] * row[d];
    return sum;
}

static cf_loss plain_loss(const problem *p, const variant *v, const table raw)
{
    table final;
    double squares[3] = {0}, ranking = 0, norms = 0;

    propagate(&p->graph, v->layers, raw, final);
    for (int t = 0; t < BATCH; t++) {
        const int64_t u = samples[t].user, i = USERS + samples[t].positive,
                      j = USERS + samples[t].negative;
        double x = 0;

        for (int d = 0; d < DIM; d++)
            x += final[u][d] * (final[i][d] - final[j][d]);
        ranking -= log(1e-10 + 1 / (1 + exp(-x))) / BATCH;
        squares[0] += square(raw[u]);
        squares[1] += square(raw[i]);
        squares[2] += square(raw[j]);
    }
    for (int k = 0; k < 3; k++)
        norms += v->require_pow ? squares[k] / 2 : sqrt(squares[k]);
    norms *= v->reg_weight / BATCH;
    return (cf_loss){ranking + norms, ranking, norms};
}

/* Central differences of the loss: their error, some 1e-9, is far below that of floats. */
static void plain_gradient(const problem *p, const variant *v, const table raw, table out)
{
    const double h = 1e-4;
    table x;

    memcpy(x, raw, sizeof x);
    for (int row = 0; row < USERS + ITEMS; row++)
        for (int d = 0; d < DIM; d++) {
            double above, below;

            x[row][d] = raw[row][d] + h;
            above = plain_loss(p, v, (const double(*)[DIM])x).total;
            x[row][d] = raw[row][d] - h;
            below = plain_loss(p, v, (const double(*)[DIM])x).total;
            x[row][d] = raw[row][d];
            out[row][d] = (above - below) / (2 * h);
        }
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void start(table raw, double size)
{
    for (int row = 0; row < USERS + ITEMS; row++)
        for (int d = 0; d < DIM; d++)
            raw[row][d] = (float)(size * cf_test_noise(31, row, d));
}

static void set_tables(setup *s, const table raw)
{
    cf_test_table_set(s->table[CF_USERS], raw[0]);
    cf_test_table_set(s->table[CF_ITEMS], raw[USERS]);
}

static void check_variant(const variant *v, double size)
{
    problem p = new_problem(v);
    cf_grid *grid = NULL;
    table raw, gradient;
    cf_loss want;

    start(raw, size);
    want = plain_loss(&p, v, (const double(*)[DIM])raw);
    plain_gradient(&p, v, (const double(*)[DIM])raw, gradient);
    for (int k = 0; cf_test_next_grid(&world, problem_segments(&p), &k, &grid);) {
        setup s;
        catcher c;

        setup_open(&s, &p, grid, NULL);
        set_tables(&s, (const double(*)[DIM])raw);
        c = catcher_open(&s);
        for (int round = 0; round < 2; round++) { /* the first leaves nothing behind */
            const cf_loss loss = catcher_step(&c, &s, samples, BATCH);

            assert_close(loss.ranking, want.ranking, 1e-6 * want.ranking);
            assert_close(loss.regularization, want.regularization, 1e-6 * want.regularization);
            assert_close(loss.total, loss.ranking + loss.regularization, 0);
            check_table(c.gradient[CF_USERS], gradient[0], 1e-5);
            check_table(c.gradient[CF_ITEMS], gradient[USERS], 1e-5);
        }
        catcher_close(&c);
        setup_close(&s);
    }
    cf_test_graph_destroy(&p.graph);
}

static void gradients_equal_central_differences(void **state)
{
    (void)state;
    draw_samples();
    for (int v = 0; v < N_VARIANTS; v++)
        check_variant(&variants[v], 0.7);
}

/* Scores up to some 60 either way: sigmoids of 0 and 1, and the 1e-10 is felt. */
static void gradients_of_large_scores_equal_central_differences(void **state)
{
    (void)state;
    draw_samples();
    check_variant(&variants[0], 3);
}

/* Norms have no derivative at zero: the gradient is zero, not NaN. */
static void zero_tables_have_a_zero_gradient(void **state)
{
    static const double zeros[USERS * DIM];
    cf_grid *grid = NULL;

    (void)state;
    draw_samples();
    for (int v = 0; v < N_VARIANTS; v++) {
        problem p = new_problem(&variants[v]);

        for (int k = 0; cf_test_next_grid(&world, problem_segments(&p), &k, &grid);) {
            setup s;
            catcher c;

            setup_open(&s, &p, grid, NULL);
            c = catcher_open(&s);
            assert_close(catcher_step(&c, &s, samples, BATCH).total, log(2), 1e-9);
            check_table(c.gradient[CF_USERS], zeros, 0);
            check_table(c.gradient[CF_ITEMS], zeros, 0);
            catcher_close(&c);
            setup_close(&s);
        }
        cf_test_graph_destroy(&p.graph);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gradients_equal_central_differences),
    cmocka_unit_test(gradients_of_large_scores_equal_central_differences),
    cmocka_unit_test(zero_tables_have_a_zero_gradient),
};
CF_TEST_MAIN(tests)
