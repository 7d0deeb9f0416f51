#include "problem.h"

#include <math.h>

enum { USERS = 15, ITEMS = 12, DIM = 40, BATCH = 10 };

static const char *const models[][2] = {{"model=BPR", NULL},
                                        {"model=LightGCN", "n_layers=0"},
                                        {"model=LightGCN", "n_layers=1"},
                                        {"model=SGCL", "n_layers=1"},
                                        {"model=SGL", "n_layers=2"},
                                        {"model=LightGCN", "n_layers=3"}};
enum { N_MODELS = sizeof models / sizeof *models };

static problem new_problem(int m)
{
    return (problem){.graph = cf_test_graph_random(USERS, ITEMS, 0.3, 11),
                     .dim = DIM,
                     .batch_size = BATCH,
                     .settings = {models[m][0], models[m][1]}};
}

static void draw_samples(sample *out)
{
    for (int64_t t = 0; t < BATCH; t++)
        out[t] = (sample){t % USERS, (3 * t + 1) % ITEMS, (5 * t + 2) % ITEMS};
}

static void count_call(void *context, cf_side side, const int32_t *rows, int count,
                       const float *gradient)
{
    int *calls = context;

    (void)side;
    (void)rows;
    (void)count;
    (void)gradient;
#pragma omp atomic
    (*calls)++;
}

/* The address of a number of a table, on the rank that has it; else NULL. */
static float *find(cf_table *table, int64_t row, int64_t d)
{
    row -= table->first_row;
    d -= table->first_dim;
    if (row < 0 || row >= table->local_rows || d < 0 || d >= table->local_dim) return NULL;
    return table->data + row * table->width + d;
}

/* One bad number in one row of the batch; then all is well again. */
static void check_bad_number(setup *s, cf_side side, int64_t row, double want)
{
    sample samples[BATCH];
    int calls = 0;
    const cf_gradient_consumer consumer = {count_call, &calls};
    cf_loss loss = {.total = 77};

    draw_samples(samples);
    for (int64_t d = 0; d < DIM; d += DIM - 1) {
        float *number = find(s->table[side], row, d), before = number ? *number : 0;

        calls = 0;
        if (number) *number = NAN;
        assert_int_equal(cf_model_step(s->model, setup_batch(s, samples, BATCH), &consumer, &loss),
                         CF_ERR_NUMERIC);
        assert_int_equal(calls, 0);
        assert_true(loss.total == 77);
        assert_non_null(strstr(cf_error_message(), "not finite"));
        if (number) *number = before;
    }
    assert_int_equal(cf_model_step(s->model, setup_batch(s, samples, BATCH), &consumer, &loss),
                     CF_OK);
    assert_true(loss.total == want);
}

static void a_bad_number_stops_every_rank_before_the_consumer(void **state)
{
    cf_grid *grid = NULL;
    sample samples[BATCH];
    int calls = 0;
    const cf_gradient_consumer consumer = {count_call, &calls};

    (void)state;
    draw_samples(samples);
    for (int m = 0; m < N_MODELS; m++) {
        problem p = new_problem(m);

        for (int k = 0; cf_test_next_grid(&world, problem_segments(&p), &k, &grid);) {
            setup s;
            cf_loss loss;

            setup_open(&s, &p, grid, NULL);
            cf_model_fill_noise(s.model, 5);
            cf_model_start_epoch(s.model, 5, 0);
            assert_int_equal(
                cf_model_step(s.model, setup_batch(&s, samples, BATCH), &consumer, &loss), CF_OK);
            check_bad_number(&s, CF_USERS, samples[0].user, loss.total);
            check_bad_number(&s, CF_USERS, samples[BATCH - 1].user, loss.total);
            check_bad_number(&s, CF_ITEMS, samples[1].positive, loss.total);
            if (cf_model_needs_negatives(&s.options))
                check_bad_number(&s, CF_ITEMS, samples[2].negative, loss.total);
            setup_close(&s);
        }
        cf_test_graph_destroy(&p.graph);
    }
}

/* A model created again and again. */
typedef struct creation {
    const setup *s;
    cf_model *model;
} creation;

static cf_status create_model(void *context)
{
    creation *c = context;
    const cf_model_place place = {c->s->grid, &c->s->shard, BATCH};
    cf_status status = cf_model_create(&c->s->options, &place, &c->model);

    if (status != CF_OK) assert_null(c->model);
    return status;
}

static void destroy_model(void *context)
{
    cf_model_destroy(&((creation *)context)->model);
}

static void check_no_memory(int m, int ranks_a_node)
{
    problem p = new_problem(m);
    cf_grid *grid = NULL;

    cf_par_pretend_nodes(ranks_a_node);
    for (int k = 0; cf_test_next_grid(&world, problem_segments(&p), &k, &grid);) {
        setup s;

        setup_open(&s, &p, grid, NULL);
        const cf_test_trial create = {.attempt = create_model, .clean_up = destroy_model};
        assert_true(cf_test_every_allocation(&create, &(creation){.s = &s}) > 60);
        for (int bad = 0; bad < world.size; bad++) {
            if (world.rank == bad) cf_alloc_fail_at(1);
            assert_int_equal(cf_model_pool_users(s.model), CF_ERR_MEMORY);
        }
        setup_close(&s);
    }
    cf_test_graph_destroy(&p.graph);
    cf_par_pretend_nodes(0);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    (void)state;
    check_no_memory(N_MODELS - 1, 0);
    check_no_memory(N_MODELS - 2, 1);
    check_no_memory(N_MODELS - 3, 2);
}

static void too_little_memory_for_a_tile_is_refused(void **state)
{
    cf_grid *grid = NULL;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    for (int m = N_MODELS - 3; m < N_MODELS - 1; m++) {
        problem p = new_problem(m);
        cf_model *model = NULL;
        setup s;

        p.dim = 4096;
        setup_open(&s, &p, grid, NULL);
        s.options.contrast_memory = 1 << 20;
        assert_int_equal(
            cf_model_create(&s.options, &(cf_model_place){grid, &s.shard, BATCH}, &model),
            CF_ERR_USAGE);
        assert_non_null(strstr(cf_error_message(), "contrast_memory: 1048576 bytes are too few"));
        assert_null(model);
        setup_close(&s);
        cf_test_graph_destroy(&p.graph);
    }
    cf_par_destroy_grid(&grid);
}

static void a_batch_beyond_the_keys_is_refused(void **state)
{
    problem p = new_problem(0);
    cf_grid *grid = NULL;
    cf_model *model = NULL;
    setup s;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    setup_open(&s, &p, grid, NULL);
    assert_int_equal(
        cf_model_create(&s.options, &(cf_model_place){grid, &s.shard, 33554432}, &model),
        CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "train_batch_size 33554432"));
    assert_null(model);
    setup_close(&s);
    cf_par_destroy_grid(&grid);
    cf_test_graph_destroy(&p.graph);
}

static void a_negative_weight_is_refused(void **state)
{
    problem p = new_problem(0);
    cf_grid *grid = NULL;
    cf_model *model = NULL;
    setup s;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    setup_open(&s, &p, grid, NULL);
    s.options.reg_weight = -0.5;
    assert_int_equal(cf_model_create(&s.options, &(cf_model_place){grid, &s.shard, BATCH}, &model),
                     CF_ERR_USAGE);
    assert_string_equal(cf_error_message(),
                        "reg_weight: -0.5 is negative, which only L3AE may have");
    assert_null(model);
    setup_close(&s);
    cf_par_destroy_grid(&grid);
    cf_test_graph_destroy(&p.graph);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_bad_number_stops_every_rank_before_the_consumer),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(too_little_memory_for_a_tile_is_refused),
    cmocka_unit_test(a_batch_beyond_the_keys_is_refused),
    cmocka_unit_test(a_negative_weight_is_refused),
};
CF_TEST_MAIN(tests)
