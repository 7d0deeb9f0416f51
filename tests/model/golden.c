#include "problem.h"

#include "cf/optim.h"
#include "model/sgl.h"

#include <math.h>
#include <stdio.h>

enum { USERS = 40, ITEMS = 30, DIM = 16, BATCH = 64, STEPS = 10 };

/* Of the largest entry: floats of 24 bits, sums of some hundred terms. */
static const double tolerance = 1e-5;
static const double learning_rate = 1e-3;

/* Losses from scalars.json. */
static const struct golden {
    const char *model, *name; /* the setting; as files have it */
    const char *final;        /* file of the final table of a side */
    double loss, ranking, contrast;
    bool trajectory; /* there is one */
} models[] = {
    {"model=LightGCN", "lightgcn", "lightgcn_final_%s", 0.5509664266001857, 0.5509537799564591, 0,
     true},
    {"model=BPR", "bpr", "var_%s_init", 0.6462205617132484, 0.6462205617132484, 0, true},
    {"model=SGL", "sgl", "lightgcn_final_%s", 41.43297810218667, 35.26104192898217,
     6.1719235265607715, false},
    {"model=SGCL", "sgcl", "lightgcn_final_%s", 323.35679177346606, 0, 323.35679177346606, true},
};
enum { N_MODELS = sizeof models / sizeof *models };

static cf_test_graph train;
static problem tiny[N_MODELS];
static sample samples[STEPS][BATCH];

/* The numbers of a file, `count` of them. */
static double *load(int64_t count, const char *format, ...)
{
    char file[64], path[1024];
    va_list arguments;
    int64_t dims[2];
    double *values;

    va_start(arguments, format);
    vsnprintf(file, sizeof file, format, arguments);
    va_end(arguments);
    snprintf(path, sizeof path, CF_TEST_DATA "/golden/tiny/%s.npy", file);
    values = cf_test_npy(path, dims);
    assert_int_equal(dims[0] * dims[1], count);
    return values;
}

static const char *const side_name[2] = {"user", "item"};
static const int64_t side_count[2] = {USERS * DIM, ITEMS *DIM};

static bool in_view[2][USERS][ITEMS];

static void load_view(int view)
{
    double *edges = load(270 * 2, "sgl_view%d_edges", view + 1);

    for (int k = 0; k < 270; k++)
        in_view[view][(int)edges[2 * k]][(int)edges[2 * k + 1]] = true;
    free(edges);
}

static bool keep_golden(const void *context, int64_t edge, int64_t user, int64_t item)
{
    const int *view = context;

    (void)edge;
    return in_view[*view][user][item];
}

static int load_problem(void **state)
{
    double *values = load(STEPS * BATCH * 3, "traj_batches");

    (void)state;
    for (int64_t k = 0; k < STEPS * BATCH; k++)
        samples[k / BATCH][k % BATCH] = (sample){(int64_t)values[3 * k], (int64_t)values[3 * k + 1],
                                                 (int64_t)values[3 * k + 2]};
    free(values);
    train = cf_test_graph_load(CF_TEST_DATA "/golden/tiny/train.npy", USERS, ITEMS);
    for (int m = 0; m < N_MODELS; m++)
        tiny[m] = (problem){.graph = train,
                            .dim = DIM,
                            .batch_size = BATCH,
                            .settings = {models[m].model, "n_layers=2", "reg_weight=1e-5",
                                         "learning_rate=1e-3", "ssl_tau=0.2", "ssl_weight=0.05",
                                         "temperature=0.2"}};
    for (int view = 0; view < 2; view++)
        load_view(view);
    return 0;
}

static int drop_problem(void **state)
{
    cf_test_graph_destroy(&train);
    return cf_test_end_group(state);
}

static void fill_table(setup *s, int side)
{
    double *initial = load(side_count[side], "var_%s_init", side_name[side]);

    cf_test_table_set(s->table[side], initial);
    free(initial);
}

/* Model m with its starting tables on the next grid; to be used in a loop from k = 0 on. */
static bool next_golden(int m, setup *s, int *k)
{
    static cf_grid *grid;

    if (*k > 0) setup_close(s);
    if (!cf_test_next_grid(&world, 1, k, &grid)) return false;
    setup_open(s, &tiny[m], grid, cf_optim_settings);
    fill_table(s, CF_USERS);
    fill_table(s, CF_ITEMS);
    for (int view = 0; view < 2 && strcmp(models[m].name, "sgl") == 0; view++)
        sgl_fill_view(s->model, view, keep_golden, &view);
    return true;
}

static void check_golden(const cf_table *table, const char *name, int side)
{
    double *want = load(side_count[side], "%s_%s", name, side_name[side]);

    check_table(table, want, tolerance);
    free(want);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void users_start_at_the_mean_of_their_items(void **state)
{
    setup s;

    (void)state;
    for (int k = 0; next_golden(0, &s, &k);) {
        double *want = load(side_count[CF_USERS], "var_user_init");

        memset(s.table[CF_USERS]->data, 0,
               (size_t)(s.table[CF_USERS]->local_rows * DIM) * sizeof(float));
        assert_int_equal(cf_model_pool_users(s.model), CF_OK);
        check_table(s.table[CF_USERS], want, tolerance);
        free(want);
    }
}

static void final_tables_are_propagated_or_raw(void **state)
{
    setup s;

    (void)state;
    for (int m = 0; m < N_MODELS; m++)
        for (int k = 0; next_golden(m, &s, &k);) {
            const cf_table *final[2];

            cf_model_final(s.model, final);
            for (int side = 0; side < 2; side++) {
                double *want = load(side_count[side], models[m].final, side_name[side]);

                check_table(final[side], want, tolerance);
                free(want);
            }
        }
}

static void loss_and_gradient_are_the_golden_ones(void **state)
{
    setup s;

    (void)state;
    for (int m = 0; m < N_MODELS; m++)
        for (int k = 0; next_golden(m, &s, &k);) {
            recorder c = recorder_open(&s);
            const cf_loss loss = recorder_step(&c, &s, samples[0], BATCH);

            assert_close(loss.total, models[m].loss, 1e-6 * models[m].loss);
            assert_close(loss.ranking, models[m].ranking, 1e-6 * models[m].loss);
            assert_close(loss.contrast, models[m].contrast, 1e-6 * models[m].loss);
            assert_close(loss.regularization,
                         models[m].loss - models[m].ranking - models[m].contrast, 1e-10);
            for (int side = 0; side < 2; side++) {
                char name[32];

                snprintf(name, sizeof name, "%s_grad", models[m].name);
                check_golden(c.gradient[side], name, side);
            }
            recorder_close(&c);
        }
}

/* Cold items behind the others change neither loss nor gradient, and get none. */
static void cold_items_are_not_moved(void **state)
{
    enum { COLD = 7 };
    uint8_t marks[ITEMS + COLD] = {0};
    cf_grid *grid = NULL;

    (void)state;
    memset(marks + ITEMS, CF_COLD_TEST, COLD);
    for (int m = 0; m < N_MODELS; m++) {
        problem larger = tiny[m];

        larger.graph.n_items = ITEMS + COLD;
        for (int k = 0; cf_test_next_grid(&world, 1, &k, &grid);) {
            double *want = load(side_count[CF_ITEMS], "%s_grad_item", models[m].name), *rows;
            setup s;
            recorder c;
            cf_loss loss;

            setup_open(&s, &larger, grid, cf_optim_settings);
            s.shard.cold = marks;
            fill_table(&s, CF_USERS);
            rows = load(side_count[CF_ITEMS], "var_item_init");
            rows = realloc(rows, (ITEMS + COLD) * DIM * sizeof *rows);
            want = realloc(want, (ITEMS + COLD) * DIM * sizeof *want);
            for (int64_t n = side_count[CF_ITEMS]; n < (ITEMS + COLD) * DIM; n++) {
                rows[n] = cf_test_noise(6, n, 0);
                want[n] = 0;
            }
            cf_test_table_set(s.table[CF_ITEMS], rows);
            for (int view = 0; view < 2 && strcmp(models[m].name, "sgl") == 0; view++)
                sgl_fill_view(s.model, view, keep_golden, &view);
            c = recorder_open(&s);
            loss = recorder_step(&c, &s, samples[0], BATCH);
            assert_close(loss.total, models[m].loss, 1e-6 * models[m].loss);
            check_table(c.gradient[CF_ITEMS], want, tolerance);
            for (int64_t row = 0; row < s.table[CF_ITEMS]->local_rows; row++)
                for (int d = 0; d < DIM && s.table[CF_ITEMS]->first_row + row >= ITEMS; d++)
                    assert_true(c.gradient[CF_ITEMS]->data[row * DIM + d] == 0);
            recorder_close(&c);
            s.shard.cold = NULL;
            setup_close(&s);
            free(rows);
            free(want);
        }
    }
}

/*
 * The first step of Adam is learning_rate * g / (|g| + 1e-8): where g is near 1e-8, float32 does
 * not hold it. So the step over learning_rate, absolutely; entries of the table near 1 have an
 * ulp of 6e-8 each, before and after, which is 1.2e-4 of the learning rate.
 */
static void check_step(const setup *s, int m, int side)
{
    double *before = load(side_count[side], "var_%s_init", side_name[side]);
    double *after = load(side_count[side], "%s_adam1_%s", models[m].name, side_name[side]);
    float *got = cf_test_table_get(s->table[side]);

    for (int64_t k = 0; k < side_count[side]; k++)
        assert_close(((double)got[k] - before[k]) / learning_rate,
                     (after[k] - before[k]) / learning_rate, 2e-4);
    free(before);
    free(after);
    free(got);
}

/* Ten steps of Adam from the starting tables. */
static void check_trajectory(setup *s, int m)
{
    const int steps = models[m].trajectory ? STEPS : 1;
    double *losses = steps > 1 ? load(STEPS, "traj_%s_losses", models[m].name) : NULL;
    cf_optim_options options;
    cf_optim *optim = NULL;
    char name[32];

    cf_optim_read_options(s->config, &options);
    assert_int_equal(cf_optim_create(&options, s->table, &optim), CF_OK);
    for (int step = 0; step < steps; step++) {
        const cf_gradient_consumer consumer = {cf_optim_update, optim};
        const cf_batch *batch = setup_batch(s, samples[step], BATCH);
        cf_loss loss;

        cf_optim_begin(optim);
        assert_int_equal(cf_model_step(s->model, batch, &consumer, &loss), CF_OK);
        if (losses) assert_close(loss.total, losses[step], tolerance * losses[step]);
        if (step > 0) continue;
        check_step(s, m, CF_USERS);
        check_step(s, m, CF_ITEMS);
    }
    snprintf(name, sizeof name, "traj_%s", models[m].name);
    for (int side = 0; side < 2 && losses; side++)
        check_golden(s->table[side], name, side);
    cf_optim_destroy(&optim);
    free(losses);
}

static void ten_steps_of_adam_follow_the_golden_trajectory(void **state)
{
    setup s;

    (void)state;
    for (int m = 0; m < N_MODELS; m++)
        for (int k = 0; next_golden(m, &s, &k);)
            check_trajectory(&s, m);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(users_start_at_the_mean_of_their_items),
    cmocka_unit_test(final_tables_are_propagated_or_raw),
    cmocka_unit_test(loss_and_gradient_are_the_golden_ones),
    cmocka_unit_test(cold_items_are_not_moved),
    cmocka_unit_test(ten_steps_of_adam_follow_the_golden_trajectory),
};

static int run_all(void)
{
    return cmocka_run_group_tests_name(__FILE__, tests, load_problem, drop_problem);
}

int main(int argc, char **argv)
{
    return cf_test_main(argc, argv, run_all);
}
