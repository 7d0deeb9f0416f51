#include "problem.h"

#include "cf/optim.h"
#include "model/internal.h"

#include <omp.h>

enum { USERS = 63, ITEMS = 50, BATCH = 64, STEPS = 5 };

typedef struct variant {
    const char *model, *layers;
    int64_t dim;
    bool pool;        /* users start at the mean of their items, else from noise */
    const char *more; /* a setting, or NULL */
} variant;
static const variant variants[] = {
    {"model=BPR", "n_layers=2", 144, false, NULL},
    {"model=LightGCN", "n_layers=0", 20, true, NULL},
    {"model=LightGCN", "n_layers=1", 144, true, NULL},
    {"model=LightGCN", "n_layers=2", 48, false, NULL},
    {"model=LightGCN", "n_layers=3", 144, true, NULL},
    {"model=LightGCN", "n_layers=3", 272, false, NULL},
    {"model=LightGCN", "n_layers=2", 48, false, "propagate=test"},
    {"model=SGL", "n_layers=2", 48, false, "type=ED"},
    {"model=SGL", "n_layers=1", 144, true, "type=ND"},
    {"model=SGL", "n_layers=3", 80, true, "type=RW"},
    {"model=SGCL", "n_layers=0", 20, true, NULL},
    {"model=SGCL", "n_layers=2", 144, false, NULL},
    {"model=LightGCN", "n_layers=3", 272, true, "field_precision=bfloat16"},
    {"model=LightGCN", "n_layers=2", 48, false, "field_precision=bfloat16"},
    {"model=SGL", "n_layers=3", 80, true, "field_precision=bfloat16"},
    {"model=SGCL", "n_layers=2", 144, false, "field_precision=bfloat16"},
};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

static problem new_problem(const variant *v, cf_test_graph graph, int64_t batch_size)
{
    return (problem){.graph = graph,
                     .dim = v->dim,
                     .batch_size = batch_size,
                     .settings = {v->model, v->layers, "init=normal", "init_std=0.4",
                                  "reg_weight=0.01", "learning_rate=0.01", v->more}};
}

/* The end of an epoch is a smaller batch. */
static int64_t draw_samples(const problem *p, uint64_t step, sample *out)
{
    const cf_test_graph *graph = &p->graph;
    const cf_random key = {21, CF_STREAM_TEST};
    const int64_t size = step == STEPS - 1 ? p->batch_size / 2 + 1 : p->batch_size;

    for (uint64_t t = 0; t < (uint64_t)size; t++) {
        const int64_t *pair = graph->pairs[cf_random_below(key, step, t, 0, graph->n_pairs)];

        out[t] = (sample){pair[0], pair[1], cf_random_below(key, step, t, 1, graph->n_items)};
    }
    return size;
}

/* What a run leaves: tables, final tables, losses. */
typedef struct outcome {
    float *table[2], *final[2];
    double loss[STEPS];
    int n_hops; /* of the neighbourhood of a batch, the fewest */
} outcome;

static outcome run(const problem *p, const variant *v, const cf_grid *grid)
{
    outcome out = {.n_hops = CF_MAX_HOPS};
    setup s;
    cf_optim_options options;
    cf_optim *optim = NULL;
    const cf_table *final[2];

    setup_open(&s, p, grid, cf_optim_settings);
    cf_model_fill_noise(s.model, 5);
    if (v->pool) assert_int_equal(cf_model_pool_users(s.model), CF_OK);
    cf_optim_read_options(s.config, &options);
    assert_int_equal(cf_optim_create(&options, s.table, &optim), CF_OK);
    for (uint64_t step = 0; step < STEPS; step++) {
        const cf_gradient_consumer consumer = {cf_optim_update, optim};
        sample samples[BATCH];
        const int64_t size = draw_samples(p, step, samples);
        cf_loss loss;

        cf_model_start_epoch(s.model, 5, (int64_t)step / 2);
        cf_optim_begin(optim);
        assert_int_equal(cf_model_step(s.model, setup_batch(&s, samples, size), &consumer, &loss),
                         CF_OK);
        out.loss[step] = loss.total;
        if (s.model->propagation.hops.n_hops < out.n_hops)
            out.n_hops = s.model->propagation.hops.n_hops;
    }
    cf_model_final(s.model, final);
    for (int side = 0; side < 2; side++) {
        cf_test_table_check_padding(s.table[side]);
        cf_test_table_check_padding(final[side]);
        out.table[side] = cf_test_table_get(s.table[side]);
        out.final[side] = cf_test_table_get(final[side]);
    }
    cf_optim_destroy(&optim);
    setup_close(&s);
    return out;
}

static void drop(outcome *o)
{
    for (int side = 0; side < 2; side++) {
        free(o->table[side]);
        free(o->final[side]);
    }
}

static void check_same(const problem *p, const outcome *got, const outcome *want)
{
    assert_memory_equal(got->loss, want->loss, sizeof want->loss);
    for (int side = 0; side < 2; side++) {
        const int64_t count = problem_rows(p, side) * p->dim;

        cf_test_same_bits(got->table[side], want->table[side], count, "table");
        cf_test_same_bits(got->final[side], want->final[side], count, "final table");
    }
}

/* Each rank runs the reference itself, on one thread. */
static outcome run_alone(const problem *p, const variant *v)
{
    cf_grid *grid = NULL;
    outcome out;

    omp_set_num_threads(1);
    assert_int_equal(cf_par_create_grid(&cf_test_self, 1, 1, &grid), CF_OK);
    out = run(p, v, grid);
    cf_par_destroy_grid(&grid);
    return out;
}

static void every_grid_and_thread_count_has_the_bits_of_one_rank(void **state)
{
    cf_grid *grid = NULL;

    (void)state;
    for (int v = 0; v < N_VARIANTS; v++) {
        problem p = new_problem(&variants[v], cf_test_graph_random(USERS, ITEMS, 0.1, 13), BATCH);
        outcome want = run_alone(&p, &variants[v]);

        for (int threads = 1; threads <= 2; threads++)
            for (int k = 0; cf_test_next_nodes(&world, problem_segments(&p), &k, &grid);) {
                omp_set_num_threads(threads);
                outcome got = run(&p, &variants[v], grid);
                check_same(&p, &got, &want);
                drop(&got);
            }
        drop(&want);
        cf_test_graph_destroy(&p.graph);
    }
    omp_set_num_threads(1);
}

/* User u has items u and u + 1 of a long path, users that are multiples of 7 none: few rows are
 * near a batch of 4. */
static cf_test_graph make_path(void)
{
    cf_test_graph graph = {.n_users = 240, .n_items = 241};

    graph.pairs = malloc(480 * sizeof *graph.pairs);
    assert_non_null(graph.pairs);
    for (int64_t u = 0; u < 240; u++)
        for (int64_t i = u; i < u + 2 && u % 7 > 0; i++) {
            graph.pairs[graph.n_pairs][0] = u;
            graph.pairs[graph.n_pairs++][1] = i;
        }
    return graph;
}

static void rows_near_the_batch_have_the_bits_of_all(void **state)
{
    static const variant near[] = {
        {"model=LightGCN", "n_layers=1", 48, false, "reach_share=1"},
        {"model=LightGCN", "n_layers=2", 48, false, "reach_share=1"},
        {"model=LightGCN", "n_layers=3", 20, true, "reach_share=1"},
        {"model=LightGCN", "n_layers=5", 20, false, "reach_share=0.3"}, /* fewer hops than 5 */
        {"model=SGL", "n_layers=2", 48, false, "reach_share=1"},
        {"model=SGCL", "n_layers=3", 20, false, "reach_share=1"},
    };
    cf_grid *grid = NULL;

    (void)state;
    for (size_t v = 0; v < sizeof near / sizeof *near; v++) {
        variant all = near[v];
        problem p, q;
        outcome want;

        all.more = "reach_share=0";
        p = new_problem(&near[v], make_path(), 4);
        q = new_problem(&all, p.graph, 4);
        want = run_alone(&q, &all);
        assert_int_equal(want.n_hops, 0);
        for (int threads = 1; threads <= 2; threads++)
            for (int k = 0; cf_test_next_nodes(&world, problem_segments(&p), &k, &grid);) {
                omp_set_num_threads(threads);
                outcome got = run(&p, &near[v], grid);
                assert_true(got.n_hops >= (v == 3 ? 1 : near[v].layers[9] - '0'));
                check_same(&p, &got, &want);
                drop(&got);
            }
        drop(&want);
        cf_test_graph_destroy(&p.graph);
    }
    omp_set_num_threads(1);
}

/* The mean of a user's items, added in order of their numbers; zero without any. */
static void check_means(const problem *p, const float *users, const float *items)
{
    for (int64_t u = 0; u < USERS; u++)
        for (int64_t d = 0; d < p->dim; d++) {
            float sum = 0, count = 0, mean;

            for (int64_t e = 0; e < p->graph.n_pairs; e++)
                if (p->graph.pairs[e][0] == u) {
                    sum += items[p->graph.pairs[e][1] * p->dim + d];
                    count++;
                }
            mean = count > 0 ? sum / count : 0;
            cf_test_same_bits(users + u * p->dim + d, &mean, 1, "user");
        }
}

static void users_are_pooled_from_their_items(void **state)
{
    problem p = new_problem(&variants[3], cf_test_graph_random(USERS, ITEMS, 0.1, 13), BATCH);
    cf_grid *grid = NULL;

    (void)state;
    for (int k = 0; cf_test_next_nodes(&world, problem_segments(&p), &k, &grid);) {
        setup s;
        float *users, *items;

        setup_open(&s, &p, grid, cf_optim_settings);
        cf_model_fill_noise(s.model, 5); /* users too: pooling leaves none of it */
        assert_int_equal(cf_model_pool_users(s.model), CF_OK);
        users = cf_test_table_get(s.table[CF_USERS]);
        items = cf_test_table_get(s.table[CF_ITEMS]);
        check_means(&p, users, items);
        free(users);
        free(items);
        setup_close(&s);
    }
    cf_test_graph_destroy(&p.graph);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_grid_and_thread_count_has_the_bits_of_one_rank),
    cmocka_unit_test(rows_near_the_batch_have_the_bits_of_all),
    cmocka_unit_test(users_are_pooled_from_their_items),
};
CF_TEST_MAIN(tests)
