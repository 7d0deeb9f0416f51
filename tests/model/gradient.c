#include "problem.h"

#include <math.h>

/* 40 dimensions: three segments, the last one half empty. */
enum { USERS = 15, ITEMS = 12, DIM = 40, BATCH = 24 };

typedef enum loss_kind { MEAN, SUM_AND_VIEWS, BATCH_CONTRAST } loss_kind;
/* The settings of a model, and the same for the plain loss; what is not listed is 0, false, MEAN.
 */
typedef struct variant {
    const char *settings[8];
    int layers;
    double reg_weight;
    bool require_pow;
    loss_kind loss;
    char view_type; /* E, N or R; 0: no views */
    bool rounds;    /* layers are stored as bfloat16 */
} variant;
static const variant variants[] = {
    {.settings = {"model=BPR"}},
    {.settings = {"model=BPR", "n_layers=2", "reg_weight=0.3"}}, /* both are ignored */
    {.settings = {"model=LightGCN", "n_layers=0", "reg_weight=0.3"}, .reg_weight = 0.3},
    {.settings = {"model=LightGCN", "n_layers=1", "reg_weight=0"}, .layers = 1},
    {.settings = {"model=LightGCN", "n_layers=1", "reg_weight=0.3"},
     .layers = 1,
     .reg_weight = 0.3},
    {.settings = {"model=LightGCN", "n_layers=2", "reg_weight=0.3"},
     .layers = 2,
     .reg_weight = 0.3},
    {.settings = {"model=LightGCN", "n_layers=3", "reg_weight=0.3"},
     .layers = 3,
     .reg_weight = 0.3},
    {.settings = {"model=LightGCN", "n_layers=0", "reg_weight=0.2", "require_pow=true"},
     .reg_weight = 0.2,
     .require_pow = true},
    {.settings = {"model=LightGCN", "n_layers=2", "reg_weight=0.2", "require_pow=true"},
     .layers = 2,
     .reg_weight = 0.2,
     .require_pow = true},
    {.settings = {"model=LightGCN", "n_layers=2", "reg_weight=0.3", "propagate=test"},
     .reg_weight = 0.3},
    {.settings = {"model=SGL", "n_layers=0", "ssl_weight=0.4", "ssl_tau=0.3"},
     .reg_weight = 1e-5,
     .loss = SUM_AND_VIEWS,
     .view_type = 'E'},
    {.settings = {"model=SGL", "n_layers=2", "ssl_weight=0.4", "ssl_tau=0.3", "type=ED",
                  "drop_ratio=0.4"},
     .layers = 2,
     .reg_weight = 1e-5,
     .loss = SUM_AND_VIEWS,
     .view_type = 'E'},
    {.settings = {"model=SGL", "n_layers=1", "ssl_weight=0.4", "ssl_tau=0.3", "type=ND",
                  "drop_ratio=0.4"},
     .layers = 1,
     .reg_weight = 1e-5,
     .loss = SUM_AND_VIEWS,
     .view_type = 'N'},
    {.settings = {"model=SGL", "n_layers=3", "ssl_weight=0.4", "ssl_tau=0.3", "type=RW",
                  "drop_ratio=0.4"},
     .layers = 3,
     .reg_weight = 1e-5,
     .loss = SUM_AND_VIEWS,
     .view_type = 'R'},
    {.settings = {"model=SGCL", "n_layers=0", "temperature=0.3"}, .loss = BATCH_CONTRAST},
    {.settings = {"model=SGCL", "n_layers=2", "temperature=0.3", "reg_weight=0.3"},
     .layers = 2,
     .loss = BATCH_CONTRAST},
    {.settings = {"model=LightGCN", "n_layers=3", "reg_weight=0.3", "field_precision=bfloat16"},
     .layers = 3,
     .reg_weight = 0.3,
     .rounds = true},
    {.settings = {"model=SGL", "n_layers=2", "ssl_weight=0.4", "ssl_tau=0.3", "type=ED",
                  "drop_ratio=0.4", "field_precision=bfloat16"},
     .layers = 2,
     .reg_weight = 1e-5,
     .loss = SUM_AND_VIEWS,
     .view_type = 'E',
     .rounds = true},
    {.settings = {"model=SGL", "n_layers=3", "ssl_weight=0.4", "ssl_tau=0.3", "type=RW",
                  "drop_ratio=0.4", "field_precision=bfloat16"},
     .layers = 3,
     .reg_weight = 1e-5,
     .loss = SUM_AND_VIEWS,
     .view_type = 'R',
     .rounds = true},
    {.settings = {"model=SGCL", "n_layers=2", "temperature=0.3", "field_precision=bfloat16"},
     .layers = 2,
     .loss = BATCH_CONTRAST,
     .rounds = true},
};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

/* Rows of users, then of items. */
typedef double table[USERS + ITEMS][DIM];

static sample samples[BATCH];

static problem new_problem(const variant *v)
{
    problem p = {
        .graph = cf_test_graph_random(USERS, ITEMS, 0.3, 11), .dim = DIM, .batch_size = BATCH + 5};

    memcpy(p.settings, v->settings, sizeof v->settings); /* the last stays NULL */
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

enum { EPOCH = 3, MAX_LAYERS = 3, NODES = USERS + ITEMS };
static const double ssl_weight = 0.4, tau = 0.3, drop_ratio = 0.4;
static const uint64_t seed = 9;

/* Which edges a layer of a view keeps; [2]: the graph itself. */
static bool kept[3][MAX_LAYERS][USERS * ITEMS];

/* The first of n in the order that belongs to the view; see cf/core.h. */
static bool comes_first(int view, int layer, int side, int64_t n, int64_t n_first, int64_t index)
{
    cf_permutation order;

    cf_permutation_create(&order, (cf_random){seed, CF_STREAM_VIEW},
                          (uint64_t)(((EPOCH * 2 + view) * 64 + layer) * 2 + side), n);
    return cf_permutation_at(&order, index) < n_first;
}

static void draw_views(const cf_test_graph *graph, char type)
{
    const int64_t n = graph->n_pairs;

    for (int layer = 0; layer < MAX_LAYERS; layer++) {
        const int drawn = type == 'R' ? layer : 0;

        for (int64_t e = 0; e < n; e++) {
            kept[2][layer][e] = true;
            for (int view = 0; view < 2; view++)
                kept[view][layer][e] =
                    type == 'N'
                        ? comes_first(view, drawn, 0, USERS, USERS - 6, graph->pairs[e][0]) &&
                              comes_first(view, drawn, 1, ITEMS, ITEMS - 4, graph->pairs[e][1])
                        : comes_first(view, drawn, 0, n,
                                      (int64_t)floor((1 - drop_ratio) * (double)n), e);
        }
    }
}

/* out += A^ in, for the edges that are kept */
static void multiply(const cf_test_graph *graph, const bool *keep, const table in, table out)
{
    double degree[NODES] = {0};

    for (int64_t e = 0; e < graph->n_pairs; e++) {
        degree[graph->pairs[e][0]] += keep[e];
        degree[USERS + graph->pairs[e][1]] += keep[e];
    }
    for (int64_t e = 0; e < graph->n_pairs; e++) {
        const int64_t u = graph->pairs[e][0], i = USERS + graph->pairs[e][1];
        const double weight = 1 / sqrt(degree[u] * degree[i]);

        for (int d = 0; d < DIM && keep[e]; d++) {
            out[u][d] += weight * in[i][d];
            out[i][d] += weight * in[u][d];
        }
    }
}

/* F = 1/(L+1) sum_k A_k .. A_1 E0 */
static void propagate(const cf_test_graph *graph, int layers, int view, const table raw, table out)
{
    table power;

    memcpy(power, raw, sizeof power);
    memcpy(out, raw, sizeof power);
    for (int layer = 0; layer < layers; layer++) {
        table next = {{0}};

        multiply(graph, kept[view][layer], (const double(*)[DIM])power, next);
        memcpy(power, next, sizeof power);
        for (int row = 0; row < NODES; row++)
            for (int d = 0; d < DIM; d++)
                out[row][d] += power[row][d];
    }
    for (int row = 0; row < NODES; row++)
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

static double dot(const double *a, const double *b)
{
    double sum = 0;

    for (int d = 0; d < DIM; d++)
        sum += a[d] * b[d];
    return sum;
}

/* Each row over its length; a zero row stays zero. */
static void normalize(table rows)
{
    for (int row = 0; row < NODES; row++) {
        const double length = sqrt(square(rows[row]));

        for (int d = 0; d < DIM && length > 0; d++)
            rows[row][d] /= length;
    }
}

/* sum over the batch of log sum_k exp(x.y_k / tau) - x.y / tau; x: view 0, y: view 1 */
static double plain_views(const problem *p, int layers, const table raw)
{
    table x, y;
    double loss = 0;

    propagate(&p->graph, layers, 0, raw, x);
    propagate(&p->graph, layers, 1, raw, y);
    normalize(x);
    normalize(y);
    for (int t = 0; t < BATCH; t++)
        for (int side = 0; side < 2; side++) {
            const int64_t b = side ? USERS + samples[t].positive : samples[t].user;
            double sum = 0;

            for (int k = side ? USERS : 0; k < (side ? NODES : USERS); k++)
                sum += exp(dot(x[b], y[k]) / tau);
            loss += log(sum) - dot(x[b], y[b]) / tau;
        }
    return ssl_weight * loss;
}

static double plain_batch(const problem *p, int layers, const table raw)
{
    table x;
    double loss = 0;

    propagate(&p->graph, layers, 2, raw, x);
    normalize(x);
    for (int t = 0; t < BATCH; t++) {
        const int64_t u = samples[t].user, i = USERS + samples[t].positive;
        double sum = 0;

        for (int c = 0; c < BATCH; c++)
            sum += exp(dot(x[u], x[samples[c].user]) / tau) +
                   exp(dot(x[i], x[USERS + samples[c].positive]) / tau);
        loss += log(sum) - dot(x[u], x[i]) / tau;
    }
    return loss;
}

static cf_loss plain_pairwise(const problem *p, const variant *v, const table raw)
{
    const double size = v->loss == MEAN ? BATCH : 1, epsilon = v->loss == MEAN ? 1e-10 : 0;
    table final;
    double squares[3] = {0}, ranking = 0, norms = 0;

    propagate(&p->graph, v->layers, 2, raw, final);
    for (int t = 0; t < BATCH; t++) {
        const int64_t u = samples[t].user, i = USERS + samples[t].positive,
                      j = USERS + samples[t].negative;

        ranking -=
            log(epsilon + 1 / (1 + exp(dot(final[u], final[j]) - dot(final[u], final[i])))) / size;
        squares[0] += square(raw[u]);
        squares[1] += square(raw[i]);
        squares[2] += square(raw[j]);
    }
    for (int k = 0; k < 3; k++)
        norms += v->require_pow ? squares[k] / 2 : sqrt(squares[k]);
    return (cf_loss){.ranking = ranking, .regularization = norms * v->reg_weight / BATCH};
}

static cf_loss plain_loss(const problem *p, const variant *v, const table raw)
{
    cf_loss loss = {0};

    if (v->loss == BATCH_CONTRAST)
        loss.contrast = plain_batch(p, v->layers, raw);
    else
        loss = plain_pairwise(p, v, raw);
    if (v->loss == SUM_AND_VIEWS) loss.contrast = plain_views(p, v->layers, raw);
    loss.total = loss.ranking + loss.regularization + loss.contrast;
    return loss;
}

/* Central differences of the loss: their error, some 1e-9, is far below that of floats. */
static void plain_gradient(const problem *p, const variant *v, const table raw, table out)
{
    const double h = 1e-4;
    table x;

    memcpy(x, raw, sizeof x);
    for (int row = 0; row < NODES; row++)
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
    for (int row = 0; row < NODES; row++)
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
    /* floats of 24 bits; layers of 8 bits, rounded once each, of which errors partly cancel */
    const double of_loss = v->rounds ? 2e-3 : 1e-6, of_gradient = v->rounds ? 1e-2 : 1e-5;
    problem p = new_problem(v);
    cf_grid *grid = NULL;
    table raw, gradient;
    cf_loss want;

    start(raw, size);
    draw_views(&p.graph, v->view_type);
    want = plain_loss(&p, v, (const double(*)[DIM])raw);
    plain_gradient(&p, v, (const double(*)[DIM])raw, gradient);
    for (int k = 0; cf_test_next_grid(&world, problem_segments(&p), &k, &grid);) {
        setup s;
        recorder c;

        setup_open(&s, &p, grid, NULL);
        set_tables(&s, (const double(*)[DIM])raw);
        c = recorder_open(&s);
        cf_model_start_epoch(s.model, seed, EPOCH);
        for (int round = 0; round < 2; round++) { /* the first leaves nothing behind */
            const cf_loss loss = recorder_step(&c, &s, samples, BATCH);

            assert_close(loss.ranking, want.ranking, of_loss * want.ranking);
            assert_close(loss.regularization, want.regularization, of_loss * want.regularization);
            assert_close(loss.contrast, want.contrast, of_loss * want.contrast);
            assert_close(loss.total, loss.ranking + loss.regularization + loss.contrast,
                         1e-14 * loss.total);
            check_table(c.gradient[CF_USERS], gradient[0], of_gradient);
            check_table(c.gradient[CF_ITEMS], gradient[USERS], of_gradient);
        }
        recorder_close(&c);
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
    static const table none;
    cf_grid *grid = NULL;

    (void)state;
    draw_samples();
    for (int v = 0; v < N_VARIANTS; v++) {
        problem p = new_problem(&variants[v]);
        const double want = plain_loss(&p, &variants[v], none).total;

        for (int k = 0; cf_test_next_grid(&world, problem_segments(&p), &k, &grid);) {
            setup s;
            recorder c;

            setup_open(&s, &p, grid, NULL);
            c = recorder_open(&s);
            cf_model_start_epoch(s.model, seed, EPOCH);
            assert_close(recorder_step(&c, &s, samples, BATCH).total, want, 1e-6 * want);
            check_table(c.gradient[CF_USERS], zeros, 0);
            check_table(c.gradient[CF_ITEMS], zeros, 0);
            recorder_close(&c);
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
