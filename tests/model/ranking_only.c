/* propagate: test. Training is that of BPR, bit for bit, where nothing regularizes; the final
 * tables are LightGCN's of the same raw tables. */
#include "problem.h"

#include "cf/optim.h"

enum { USERS = 41, ITEMS = 30, DIM = 40, BATCH = 32, STEPS = 6 };
enum { BPR, LIGHTGCN, RANKING_ONLY, N_MODELS };

static const char *const settings[N_MODELS][3] = {
    {"model=BPR", "n_layers=2", NULL},
    {"model=LightGCN", "n_layers=2", NULL},
    {"model=LightGCN", "n_layers=2", "propagate=test"},
};

static problem new_problem(int m, const char *more)
{
    return (problem){.graph = cf_test_graph_random(USERS, ITEMS, 0.2, 5),
                     .dim = DIM,
                     .batch_size = BATCH,
                     .settings = {settings[m][0], settings[m][1], "init=normal", "init_std=0.4",
                                  "learning_rate=0.01", settings[m][2], more}};
}

/* Six steps of Adam from noise. */
static void take_steps(setup *s, double loss[STEPS])
{
    cf_optim_options options;
    cf_optim *optim = NULL;

    cf_model_fill_noise(s->model, 3);
    cf_optim_read_options(s->config, &options);
    assert_int_equal(cf_optim_create(&options, s->table, &optim), CF_OK);
    for (int step = 0; step < STEPS; step++) {
        const cf_gradient_consumer consumer = {cf_optim_update, optim};
        sample samples[BATCH];
        cf_loss found;

        for (int64_t t = 0; t < BATCH; t++)
            samples[t] = (sample){(7 * t + step) % USERS, (3 * t + step) % ITEMS,
                                  (5 * t + 2 * step + 1) % ITEMS};
        cf_optim_begin(optim);
        assert_int_equal(cf_model_step(s->model, setup_batch(s, samples, BATCH), &consumer, &found),
                         CF_OK);
        loss[step] = found.total;
    }
    cf_optim_destroy(&optim);
}

static size_t table_bytes(const cf_table *table)
{
    return (size_t)(table->local_rows * table->width) * sizeof(float);
}

static bool equal(const cf_table *a, const cf_table *b)
{
    return table_bytes(a) == 0 || memcmp(a->data, b->data, table_bytes(a)) == 0;
}

static void copy(cf_table *to, const cf_table *from)
{
    if (table_bytes(to) > 0) memcpy(to->data, from->data, table_bytes(to));
}

static void training_is_that_of_bpr_and_ranking_that_of_lightgcn(void **state)
{
    cf_grid *grid = NULL;

    (void)state;
    for (int k = 0; cf_test_next_grid(&world, 3, &k, &grid);) {
        problem problems[N_MODELS];
        setup s[N_MODELS];
        const cf_table *final[N_MODELS][2];
        double loss[N_MODELS][STEPS];

        for (int m = 0; m < N_MODELS; m++) {
            problems[m] = new_problem(m, "reg_weight=0");
            setup_open(&s[m], &problems[m], grid, cf_optim_settings);
        }
        take_steps(&s[BPR], loss[BPR]);
        take_steps(&s[RANKING_ONLY], loss[RANKING_ONLY]);
        assert_memory_equal(loss[BPR], loss[RANKING_ONLY], sizeof loss[BPR]);
        for (int side = 0; side < 2; side++) {
            assert_true(equal(s[BPR].table[side], s[RANKING_ONLY].table[side]));
            copy(s[LIGHTGCN].table[side], s[BPR].table[side]);
        }
        for (int m = 0; m < N_MODELS; m++)
            cf_model_final(s[m].model, final[m]);
        for (int side = 0; side < 2; side++) {
            assert_true(equal(final[LIGHTGCN][side], final[RANKING_ONLY][side]));
            if (table_bytes(s[BPR].table[side]) > 0)
                assert_false(equal(final[BPR][side], final[RANKING_ONLY][side]));
        }
        for (int m = 0; m < N_MODELS; m++) {
            setup_close(&s[m]);
            cf_test_graph_destroy(&problems[m].graph);
        }
    }
}

static void contrastive_models_are_refused(void **state)
{
    static const char *const models[] = {"SGL", "SGCL"};
    cf_grid *grid = NULL;

    (void)state;
    for (int k = 0; cf_test_next_grid(&world, 1, &k, &grid);)
        for (int m = 0; m < 2; m++) {
            problem p = new_problem(RANKING_ONLY, NULL);
            cf_shard shard = cf_test_graph_cut(&p.graph, grid);
            cf_config *config = setup_config(&p, cf_optim_settings);
            cf_model_options options;
            cf_model *model = NULL;

            cf_model_read_options(config, &options);
            options.name = models[m];
            assert_int_equal(
                cf_model_create(&options, &(cf_model_place){grid, &shard, BATCH}, &model),
                CF_ERR_USAGE);
            assert_non_null(strstr(cf_error_message(), "propagate: test"));
            assert_non_null(strstr(cf_error_message(), models[m]));
            assert_null(model);
            cf_config_destroy(&config);
            cf_test_shard_destroy(&shard);
            cf_test_graph_destroy(&p.graph);
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(training_is_that_of_bpr_and_ranking_that_of_lightgcn),
    cmocka_unit_test(contrastive_models_are_refused),
};
CF_TEST_MAIN(tests)
