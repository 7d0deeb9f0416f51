/* Users that the model was not trained on: the formula in plain doubles, and users of the graph,
 * which are folded in to their own final rows where training has not moved them. */
#include "problem.h"

#include <math.h>

enum { USERS = 41, ITEMS = 30, DIM = 56, NEW = 9, MOST = 16 };

static const char *const models[][3] = {
    {"model=BPR", "n_layers=2"},
    {"model=LightGCN", "n_layers=0"},
    {"model=LightGCN", "n_layers=1"},
    {"model=LightGCN", "n_layers=2"},
    {"model=LightGCN", "n_layers=3"},
    {"model=SGCL", "n_layers=2"},
    {"model=LightGCN", "n_layers=3", "field_precision=bfloat16"},
    {"model=iALS", "reg_weight=0.1"}}; /* has no mean, so it is not among the formulas */
static const int layers_of[] = {0, 0, 1, 2, 3, 2, 3};
/* Numbers below 2; layers of 8 bits in the last model. */
static const double tolerance_of[] = {1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 5e-3};
enum {
    N_MODELS = sizeof models / sizeof *models,
    N_FORMULAS = sizeof layers_of / sizeof *layers_of
};

static problem new_problem(int m)
{
    return (problem){
        .graph = cf_test_graph_random(USERS, ITEMS, 0.2, 12),
        .dim = DIM,
        .batch_size = 1,
        .settings = {models[m][0], models[m][1], "init=normal", "init_std=0.5", models[m][2]}};
}

/* The items of each user of the graph. */
static cf_lists lists_of(const cf_test_graph *graph)
{
    cf_lists lists = {.count = graph->n_users};

    assert_ok(CF_ALLOC(lists.start, graph->n_users + 1));
    assert_ok(CF_ALLOC(lists.index, graph->n_pairs));
    for (int64_t e = 0; e < graph->n_pairs; e++) {
        lists.index[e] = graph->pairs[e][1];
        lists.start[graph->pairs[e][0] + 1]++;
    }
    for (int64_t u = 0; u < lists.count; u++)
        lists.start[u + 1] += lists.start[u];
    return lists;
}

/* Some items for each of NEW users: one, and more. */
static cf_lists draw_lists(void)
{
    cf_lists lists = {.count = NEW};

    assert_ok(CF_ALLOC(lists.start, NEW + 1));
    assert_ok(CF_ALLOC(lists.index, NEW * MOST));
    for (int64_t u = 0; u < NEW; u++) {
        int64_t at = lists.start[u];

        for (int64_t i = u; i < ITEMS && at - lists.start[u] < 1 + 2 * u && u * 2 < MOST;
             i += 1 + u % 3)
            lists.index[at++] = i;
        lists.start[u + 1] = at;
    }
    return lists;
}

static void destroy_lists(cf_lists *lists)
{
    cf_free(&lists->start);
    cf_free(&lists->index);
}

/* The rows of the listed users, n x DIM, on every rank. Free with free(). */
static float *fold_in(setup *s, const cf_lists *lists)
{
    cf_shard *shard = NULL;
    cf_table *users = NULL;
    float *rows;

    assert_ok(cf_dataset_create_user_shard(s->grid, &s->shard, lists, &shard));
    assert_ok(cf_model_fold_in(s->model, shard, &users));
    assert_int_equal(users->n_rows, lists->count);
    cf_test_table_check_padding(users);
    rows = cf_test_table_get(users);
    cf_table_destroy(&users);
    cf_dataset_destroy_shard(&shard);
    return rows;
}

/* ---- Users of the graph --------------------------------------------------------------------- */

/* Their raw rows are the means of their items' rows, as those of new users are. */
static void check_own_rows(int m, const cf_grid *grid)
{
    problem p = new_problem(m);
    cf_lists lists = lists_of(&p.graph);
    const cf_table *final[2];
    float *want[2], *got, *items;
    setup s;

    setup_open(&s, &p, grid, NULL);
    cf_model_fill_noise(s.model, 3);
    assert_ok(cf_model_pool_users(s.model));
    cf_model_final(s.model, final);
    for (int side = 0; side < 2; side++)
        want[side] = cf_test_table_get(final[side]);
    got = fold_in(&s, &lists);
    cf_test_same_bits(got, want[CF_USERS], USERS * DIM, "folded in");
    items = cf_test_table_get(final[CF_ITEMS]); /* still there */
    cf_test_same_bits(items, want[CF_ITEMS], ITEMS * DIM, "final items");
    free(got);
    free(items);
    free(want[CF_USERS]);
    free(want[CF_ITEMS]);
    setup_close(&s);
    destroy_lists(&lists);
    cf_test_graph_destroy(&p.graph);
}

static void users_at_the_mean_of_their_items_keep_their_rows(void **state)
{
    (void)state;
    for (int m = 0; m < N_MODELS; m++) {
        cf_grid *grid = NULL;

        for (int k = 0; cf_test_next_nodes(&world, (DIM + 15) / 16, &k, &grid);)
            check_own_rows(m, grid);
    }
}

/* ---- The formula ---------------------------------------------------------------------------- */

/* What is computed in doubles: sums of the items' layers 0 .. L - 1, and train degrees. */
static double layer[2][USERS][DIM], next[2][USERS][DIM], sum[ITEMS][DIM], degree[2][USERS];

static void multiply(const cf_test_graph *graph)
{
    memset(next, 0, sizeof next);
    for (int64_t e = 0; e < graph->n_pairs; e++) {
        const int64_t u = graph->pairs[e][0], i = graph->pairs[e][1];
        const double weight = 1 / sqrt(degree[0][u] * degree[1][i]);

        for (int d = 0; d < DIM; d++) {
            next[0][u][d] += weight * layer[1][i][d];
            next[1][i][d] += weight * layer[0][u][d];
        }
    }
    memcpy(layer, next, sizeof layer);
}

static void sum_layers(const cf_test_graph *graph, float *const raw[2], int n_layers)
{
    memset(degree, 0, sizeof degree);
    memset(sum, 0, sizeof sum);
    memset(layer, 0, sizeof layer);
    for (int64_t e = 0; e < graph->n_pairs; e++) {
        degree[0][graph->pairs[e][0]]++;
        degree[1][graph->pairs[e][1]]++;
    }
    for (int64_t k = 0; k < USERS * DIM; k++)
        layer[0][k / DIM][k % DIM] = (double)raw[0][k];
    for (int64_t k = 0; k < ITEMS * DIM; k++)
        layer[1][k / DIM][k % DIM] = (double)raw[1][k];
    for (int l = 0; l < n_layers; l++) {
        for (int64_t k = 0; k < ITEMS * DIM; k++)
            sum[k / DIM][k % DIM] += layer[1][k / DIM][k % DIM];
        multiply(graph);
    }
}

static void check_formula(const float *got, const cf_lists *lists, const float *items, int m)
{
    for (int64_t u = 0; u < lists->count; u++) {
        const int64_t *item = lists->index + lists->start[u],
                      n = lists->start[u + 1] - lists->start[u];

        for (int d = 0; d < DIM; d++) {
            double want = 0;

            for (int64_t k = 0; k < n; k++) {
                want += (double)items[item[k] * DIM + d] / (double)n;
                if (degree[1][item[k]] > 0)
                    want += sum[item[k]][d] / sqrt((double)n * degree[1][item[k]]);
            }
            assert_close(got[u * DIM + d], want / (layers_of[m] + 1), tolerance_of[m]);
        }
    }
}

/* An item without train users has no share in the layers, only in the mean. */
static void new_users_are_what_the_layers_give(void **state)
{
    cf_lists lists = draw_lists();

    (void)state;
    for (int m = 0; m < N_FORMULAS; m++) {
        problem p = new_problem(m);
        cf_grid *grid = NULL;

        for (int k = 0; cf_test_next_nodes(&world, (DIM + 15) / 16, &k, &grid);) {
            float *raw[2], *got;
            setup s;

            setup_open(&s, &p, grid, NULL);
            cf_model_fill_noise(s.model, 3);
            for (int side = 0; side < 2; side++)
                raw[side] = cf_test_table_get(s.table[side]);
            sum_layers(&p.graph, raw, layers_of[m]);
            got = fold_in(&s, &lists);
            check_formula(got, &lists, raw[CF_ITEMS], m);
            free(got);
            free(raw[CF_USERS]);
            free(raw[CF_ITEMS]);
            setup_close(&s);
        }
        cf_test_graph_destroy(&p.graph);
    }
    destroy_lists(&lists);
}

/* ---- Failures ------------------------------------------------------------------------------- */

typedef struct attempt {
    setup s;
    cf_shard *shard;
} attempt;

static cf_status try_fold_in(void *context)
{
    attempt *a = context;
    cf_table *users = NULL;
    const cf_status status = cf_model_fold_in(a->s.model, a->shard, &users);

    assert_int_equal(users != NULL, status == CF_OK);
    cf_table_destroy(&users);
    return status;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    problem p = new_problem(3);
    cf_lists lists = draw_lists();
    cf_grid *grid = NULL;
    attempt a;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    setup_open(&a.s, &p, grid, NULL);
    assert_ok(cf_dataset_create_user_shard(grid, &a.s.shard, &lists, &a.shard));
    cf_test_every_allocation(&(cf_test_trial){.attempt = try_fold_in, .least = {20, 20}}, &a);
    cf_dataset_destroy_shard(&a.shard);
    setup_close(&a.s);
    cf_par_destroy_grid(&grid);
    destroy_lists(&lists);
    cf_test_graph_destroy(&p.graph);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(users_at_the_mean_of_their_items_keep_their_rows),
    cmocka_unit_test(new_users_are_what_the_layers_give),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
