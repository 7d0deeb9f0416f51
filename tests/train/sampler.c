#include "run.h"
#include "train/internal.h"

enum { EPOCHS = 3 };

/* Samples of an epoch in order of place, as all blocks together draw them. */
typedef struct epoch {
    int64_t n;
    int64_t (*sample)[3]; /* user, positive, negative */
} epoch;

static cf_config *new_config(const char *neg_exclude)
{
    cf_config *config = NULL;

    assert_ok(cf_config_create(cf_train_tables, cf_train_n_tables, &config));
    assert_ok(cf_config_set(config, "train_batch_size=50"));
    assert_ok(cf_config_set(config, neg_exclude));
    return config;
}

/* With the settings of `config`, negatives included. */
static cf_status create_sampler(const cf_config *config, const cf_dataset *dataset,
                                const cf_shard *shard, sampler *out)
{
    run_options options;

    run_read_options(config, &options);
    return sampler_create(&options.sampler, cf_model_needs_negatives(&options.model), dataset,
                          shard, out);
}

/* All batches of epoch `number`; each place comes from one block alone. */
static epoch draw_epoch(sampler *draws, const cf_grid *grid, int64_t number)
{
    epoch out = {.n = draws->n_train};
    int64_t(*seen)[3] = calloc((size_t)out.n, sizeof *seen);
    int64_t at = 0;

    assert_non_null(seen);
    sampler_start_epoch(draws, number);
    for (int64_t b = 0; b < sampler_n_batches(draws); b++) {
        const cf_batch *batch = sampler_draw(draws, b);

        for (int64_t k = 0; k < batch->count; k++) {
            int64_t *sample = seen[at + batch->position[k]];

            assert_true(k == 0 || batch->position[k] > batch->position[k - 1]);
            assert_in_range(batch->position[k], 0, batch->size - 1);
            /* one more than each number, so that a place nobody draws shows as -1 */
            sample[0] = 1 + draws->shard->first_user + batch->user[k];
            sample[1] = 1 + batch->positive[k];
            sample[2] = 1 + batch->negative[k];
        }
        at += batch->size;
    }
    assert_int_equal(at, out.n);
    MPI_Allreduce(MPI_IN_PLACE, seen, cf_par_count(3 * out.n), MPI_INT64_T, MPI_SUM,
                  grid->column.comm);
    for (int64_t k = 0; k < 3 * out.n; k++)
        (&seen[0][0])[k]--;
    out.sample = seen;
    return out;
}

/* The epoch as the blocks of a grid draw it. */
static epoch draw_on(const cf_test_graph *graph, const cf_grid *grid, const char *neg_exclude,
                     int64_t number)
{
    const cf_dataset dataset = {
        .n_users = graph->n_users, .n_items = graph->n_items, .n_train = graph->n_pairs};
    cf_config *config = new_config(neg_exclude);
    cf_shard shard = cf_test_graph_cut(graph, grid);
    sampler draws;
    epoch out;

    assert_ok(create_sampler(config, &dataset, &shard, &draws));
    out = draw_epoch(&draws, grid, number);
    sampler_destroy(&draws);
    cf_test_shard_destroy(&shard);
    cf_config_destroy(&config);
    return out;
}

static epoch draw_alone(const cf_test_graph *graph, const char *neg_exclude, int64_t number)
{
    cf_grid *grid = NULL;
    epoch out;

    assert_ok(cf_par_create_grid(&cf_test_self, 1, 1, &grid));
    out = draw_on(graph, grid, neg_exclude, number);
    cf_par_destroy_grid(&grid);
    return out;
}

/* Place of a pair in the graph's list, -1 if it is not there. */
static int64_t find_pair(const cf_test_graph *graph, int64_t user, int64_t item)
{
    for (int64_t e = 0; e < graph->n_pairs; e++)
        if (graph->pairs[e][0] == user && graph->pairs[e][1] == item) return e;
    return -1;
}

static void each_interaction_comes_once_an_epoch(void **state)
{
    cf_test_graph graph = all_pairs();
    epoch first = draw_alone(&graph, "neg_exclude=train", 0);

    (void)state;
    for (int64_t number = 0; number < EPOCHS; number++) {
        epoch e = draw_alone(&graph, "neg_exclude=train", number);
        bool *seen = calloc((size_t)e.n, sizeof *seen);
        int64_t same_place = 0;

        assert_non_null(seen);
        for (int64_t k = 0; k < e.n; k++) {
            const int64_t pair = find_pair(&graph, e.sample[k][0], e.sample[k][1]);

            assert_in_range(pair, 0, e.n - 1);
            assert_false(seen[pair]);
            seen[pair] = true;
            same_place += memcmp(e.sample[k], first.sample[k], 2 * sizeof(int64_t)) == 0;
        }
        if (number > 0) assert_true(same_place < 20); /* another order each epoch */
        free(seen);
        free(e.sample);
    }
    free(first.sample);
    cf_test_graph_destroy(&graph);
}

static void every_grid_draws_the_batches_of_one_rank(void **state)
{
    static const char *const rules[] = {"neg_exclude=train", "neg_exclude=current"};
    cf_test_graph graph = all_pairs();
    cf_grid *grid = NULL;

    (void)state;
    for (int rule = 0; rule < 2; rule++)
        for (int64_t number = 0; number < EPOCHS; number++) {
            epoch want = draw_alone(&graph, rules[rule], number);

            for (int k = 0; cf_test_next_grid(&world, SEGMENTS, &k, &grid);) {
                epoch got = draw_on(&graph, grid, rules[rule], number);

                assert_int_equal(got.n, want.n);
                assert_memory_equal(got.sample, want.sample, (size_t)want.n * sizeof *want.sample);
                free(got.sample);
            }
            free(want.sample);
        }
    cf_test_graph_destroy(&graph);
}

/* Negatives of many epochs: how many are among the user's train items, and how often each item. */
static int64_t count_negatives(const cf_test_graph *graph, const char *rule, int64_t of_item[ITEMS])
{
    int64_t in_train = 0;

    for (int64_t number = 0; number < 20; number++) {
        epoch e = draw_alone(graph, rule, number);

        for (int64_t k = 0; k < e.n; k++) {
            assert_in_range(e.sample[k][2], 0, ITEMS - 1);
            assert_true(e.sample[k][2] != e.sample[k][1]);
            in_train += find_pair(graph, e.sample[k][0], e.sample[k][2]) >= 0;
            of_item[e.sample[k][2]]++;
        }
        free(e.sample);
    }
    return in_train;
}

static void negatives_avoid_what_they_should(void **state)
{
    cf_test_graph graph = all_pairs();
    int64_t all[ITEMS] = {0}, current[ITEMS] = {0};
    const int64_t n = 20 * graph.n_pairs;

    (void)state;
    assert_int_equal(count_negatives(&graph, "neg_exclude=train", all), 0);
    assert_true(count_negatives(&graph, "neg_exclude=current", current) > n / 10);
    for (int64_t i = 0; i < ITEMS;
         i++) /* uniform: some 190 each, deviation 14; hubs a little less */
        if (i != ITEMS - 1) assert_in_range(current[i], n / ITEMS / 2, n / ITEMS * 3 / 2);
    cf_test_graph_destroy(&graph);
}

/* What the sampler says to a user who has all items; `*full`: who has them. */
static cf_status sample_full_user(const char *rule, const char *model, int64_t n_items,
                                  int64_t *full)
{
    int64_t pairs[][2] = {{0, 0}, {1, 0}, {1, 1}, {1, 2}};
    cf_test_graph graph = {
        .n_users = 2, .n_items = n_items, .n_pairs = n_items + 1, .pairs = pairs};
    const cf_dataset dataset = {.n_users = 2, .n_items = n_items, .n_train = n_items + 1};
    cf_config *config = new_config(rule);
    cf_grid *grid = NULL;
    cf_shard shard;
    sampler draws = {0};
    cf_status status;

    assert_ok(cf_config_set(config, model));
    assert_ok(cf_par_create_grid(&cf_test_self, 1, 1, &grid));
    shard = cf_test_graph_cut(&graph, grid);
    sampler_read_options(config, &draws.options);
    *full = sampler_find_full_user(&draws.options, &dataset, &shard);
    status = create_sampler(config, &dataset, &shard, &draws);
    sampler_destroy(&draws);
    cf_test_shard_destroy(&shard);
    cf_par_destroy_grid(&grid);
    cf_config_destroy(&config);
    return status;
}

static void a_user_without_a_negative_is_found(void **state)
{
    int64_t full;

    (void)state;
    assert_ok(sample_full_user("neg_exclude=train", "model=SGL", 3, &full));
    assert_int_equal(full, 1);
    assert_ok(sample_full_user("neg_exclude=current", "model=SGL", 3, &full));
    assert_true(full == INT64_MAX);
    assert_int_equal(sample_full_user("neg_exclude=current", "model=BPR", 1, &full), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "one item alone"));
    assert_ok(sample_full_user("neg_exclude=train", "model=SGCL", 3, &full)); /* reads none */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_interaction_comes_once_an_epoch),
    cmocka_unit_test(every_grid_draws_the_batches_of_one_rank),
    cmocka_unit_test(negatives_avoid_what_they_should),
    cmocka_unit_test(a_user_without_a_negative_is_found),
};
CF_TEST_MAIN(tests)
