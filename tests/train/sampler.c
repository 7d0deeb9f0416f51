#include "run.h"
#include "train/internal.h"

enum { EPOCHS = 3, COLD_STEP = 4 };

/* The marks of the items that are drawn from; NULL: none is cold. */
static const uint8_t *marks;

/* Samples of an epoch in order of place, as all blocks together draw them. */
typedef struct epoch {
    int64_t n;
    int64_t (*sample)[3]; /* user, positive, negative */
} epoch;

/* `rule`: settings as lines of YAML. */
static cf_config *new_config(const char *rule)
{
    cf_config *config = NULL;

    assert_ok(cf_config_create(cf_train_tables, cf_train_n_tables, &config));
    assert_ok(cf_config_set(config, "train_batch_size=50"));
    assert_ok(cf_config_load_text(config, rule, "rule"));
    return config;
}

/* With the settings of `config`, negatives included. */
static cf_status create_sampler(const cf_config *config, const cf_dataset *dataset,
                                const cf_shard *shard, const cf_grid *grid, sampler *out)
{
    const sampler_place place = {dataset, shard, &grid->column};
    run_options options;

    run_read_options(config, &options);
    return sampler_create(&options.sampler, cf_model_needs_negatives(&options.model), &place, out);
}

/* All batches of epoch `number`; each place comes from one block alone. */
static epoch draw_epoch(sampler *draws, const cf_grid *grid, int64_t number)
{
    epoch out = {.n = sampler_n_samples(draws, sampler_n_batches(draws))};
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
        assert_int_equal(at, sampler_n_samples(draws, b));
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
static epoch draw_on(const cf_test_graph *graph, const cf_grid *grid, const char *rule,
                     int64_t number)
{
    cf_dataset dataset = {
        .n_users = graph->n_users, .n_items = graph->n_items, .n_train = graph->n_pairs};
    cf_config *config = new_config(rule);
    cf_shard shard = cf_test_graph_cut(graph, grid);
    sampler draws;
    epoch out;

    for (int64_t i = 0; i < graph->n_items && marks != NULL; i++)
        dataset.n_cold += marks[i] != 0;
    shard.cold = (uint8_t *)marks;
    assert_ok(create_sampler(config, &dataset, &shard, grid, &draws));
    out = draw_epoch(&draws, grid, number);
    shard.cold = NULL;
    sampler_destroy(&draws);
    cf_test_shard_destroy(&shard);
    cf_config_destroy(&config);
    return out;
}

static epoch draw_alone(const cf_test_graph *graph, const char *rule, int64_t number)
{
    cf_grid *grid = NULL;
    epoch out;

    assert_ok(cf_par_create_grid(&cf_test_self, 1, 1, &grid));
    out = draw_on(graph, grid, rule, number);
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
    epoch first = draw_alone(&graph, "neg_exclude: train", 0);

    (void)state;
    for (int64_t number = 0; number < EPOCHS; number++) {
        epoch e = draw_alone(&graph, "neg_exclude: train", number);
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
    static const char *const rules[] = {
        "neg_exclude: train",
        "neg_exclude: current",
        "neg_sample_num: 3",
        "neg_distribution: popularity",
        "{neg_distribution: popularity, neg_exclude: current, neg_sample_num: 7}",
    };
    enum { N_RULES = sizeof rules / sizeof *rules };
    cf_test_graph graph = all_pairs();
    cf_grid *grid = NULL;

    (void)state;
    for (int rule = 0; rule < N_RULES; rule++)
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
    assert_int_equal(count_negatives(&graph, "neg_exclude: train", all), 0);
    assert_true(count_negatives(&graph, "neg_exclude: current", current) > n / 10);
    for (int64_t i = 0; i < ITEMS;
         i++) /* uniform: some 190 each, deviation 14; hubs a little less */
        if (i != ITEMS - 1) assert_in_range(current[i], n / ITEMS / 2, n / ITEMS * 3 / 2);
    cf_test_graph_destroy(&graph);
}

/* Every fourth item is cold: it has no pairs. */
static cf_test_graph warm_pairs(uint8_t out[ITEMS])
{
    cf_test_graph graph = all_pairs();
    int64_t n = 0;

    for (int i = 0; i < ITEMS; i++)
        out[i] = (uint8_t)(i % COLD_STEP == 1 ? 1 + i % 3 : 0);
    for (int64_t e = 0; e < graph.n_pairs; e++)
        if (!out[graph.pairs[e][1]])
            memcpy(graph.pairs[n++], graph.pairs[e], sizeof graph.pairs[e]);
    graph.n_pairs = n;
    return graph;
}

/* No cold item is drawn, on any grid. Draws go on behind one that would have been, so that all
 * others are those of the same items without marks. */
static void cold_items_are_never_drawn(void **state)
{
    static const char *const rules[] = {"{}", "neg_exclude: current",
                                        "{neg_distribution: popularity, neg_sample_num: 3}"};
    uint8_t cold[ITEMS];
    cf_test_graph graph = warm_pairs(cold);
    int64_t n_moved = 0, n = 0;

    (void)state;
    for (int rule = 0; rule < 3; rule++)
        for (int64_t number = 0; number < EPOCHS; number++) {
            epoch unmarked = draw_alone(&graph, rules[rule], number), want;
            cf_grid *grid = NULL;

            marks = cold;
            want = draw_alone(&graph, rules[rule], number);
            for (int64_t k = 0; k < want.n; k++, n++) {
                const bool moves = cold[unmarked.sample[k][2]] != 0;

                assert_false(cold[want.sample[k][2]]);
                assert_memory_equal(want.sample[k], unmarked.sample[k],
                                    (moves ? 2 : 3) * sizeof(int64_t));
                n_moved += moves;
            }
            for (int k = 0; cf_test_next_grid(&world, SEGMENTS, &k, &grid);) {
                epoch got = draw_on(&graph, grid, rules[rule], number);

                assert_memory_equal(got.sample, want.sample, (size_t)want.n * sizeof *want.sample);
                free(got.sample);
            }
            marks = NULL;
            free(want.sample);
            free(unmarked.sample);
        }
    assert_true(n_moved > n / 20);
    cf_test_graph_destroy(&graph);
}

/* By popularity: items come as often as they have train interactions, which is counted here for
 * one user after the other, over those that the user does not have. */
static void popular_items_are_drawn_by_their_interactions(void **state)
{
    enum { N_EPOCHS = 300 };
    cf_test_graph graph = all_pairs();
    double degree[ITEMS] = {0}, want[ITEMS] = {0}, got[ITEMS] = {0}, n = 0, chi = 0;

    (void)state;
    if (world.rank != 0) goto done; /* one rank alone draws */
    for (int64_t e = 0; e < graph.n_pairs; e++)
        degree[graph.pairs[e][1]]++;
    for (int64_t number = 0; number < N_EPOCHS; number++) {
        epoch drawn = draw_alone(&graph, "neg_distribution: popularity", number);

        for (int64_t k = 0; k < drawn.n; k++) {
            assert_true(find_pair(&graph, drawn.sample[k][0], drawn.sample[k][2]) < 0);
            got[drawn.sample[k][2]]++;
        }
        free(drawn.sample);
    }
    for (int64_t e = 0; e < graph.n_pairs; e++) {
        const int64_t user = graph.pairs[e][0];
        double all = 0, free_items = 0;

        for (int64_t i = 0; i < ITEMS; i++) {
            const bool is_free = find_pair(&graph, user, i) < 0;

            all += is_free ? degree[i] : 0;
            free_items += is_free;
        }
        for (int64_t i = 0; i < ITEMS; i++) /* one user has all items that have interactions */
            if (find_pair(&graph, user, i) < 0)
                want[i] += N_EPOCHS * (all > 0 ? degree[i] / all : 1 / free_items);
    }
    for (int64_t i = 0; i < ITEMS; i++) {
        n += got[i];
        chi += want[i] > 0 ? (got[i] - want[i]) * (got[i] - want[i]) / want[i] : got[i];
    }
    assert_true(n == (double)(N_EPOCHS * graph.n_pairs));
    /* a statistic of mean 49 and deviation 10; uniform draws reach thousands */
    if (chi > 100) fail_msg("chi square %g", chi);
done:
    cf_test_graph_destroy(&graph);
}

/* Each positive stands there as often as it has negatives, of which each is drawn anew. */
static void each_negative_makes_a_sample(void **state)
{
    enum { TIMES = 4 };
    static const char *const rules[] = {"neg_sample_num: 4",
                                        "{neg_sample_num: 4, neg_distribution: popularity}"};
    cf_test_graph graph = all_pairs();

    (void)state;
    for (int rule = 0; rule < 2; rule++) {
        epoch e = draw_alone(&graph, rules[rule], 0), once = draw_alone(&graph, "{}", 0);
        int *seen = calloc((size_t)graph.n_pairs, sizeof *seen);
        int64_t same = 0;

        assert_non_null(seen);
        assert_int_equal(e.n, TIMES * graph.n_pairs);
        for (int64_t k = 0; k < e.n; k++) {
            const int64_t pair = find_pair(&graph, e.sample[k][0], e.sample[k][1]);

            assert_in_range(pair, 0, graph.n_pairs - 1);
            seen[pair]++;
        }
        for (int64_t p = 0; p < graph.n_pairs; p++)
            assert_int_equal(seen[p], TIMES);
        /* 50 samples a batch are 12 positives, 4 times one after the other */
        for (int64_t k = 0; k < 12; k++)
            for (int64_t c = 0; c < TIMES; c++) {
                assert_memory_equal(e.sample[c * 12 + k], once.sample[k], 2 * sizeof(int64_t));
                same += c > 0 && e.sample[c * 12 + k][2] == e.sample[k][2];
            }
        assert_true(same < 12);
        free(seen);
        free(once.sample);
        free(e.sample);
    }
    cf_test_graph_destroy(&graph);
}

/* The only item with interactions is the positive: the negative is drawn from all others but cold
 * ones, as after many draws in vain. */
static void a_user_of_all_popular_items_gets_another(void **state)
{
    int64_t pairs[][2] = {{0, 0}, {1, 0}};
    cf_test_graph graph = {.n_users = 2, .n_items = 5, .n_pairs = 2, .pairs = pairs};
    epoch e = draw_alone(&graph, "neg_distribution: popularity", 0);

    (void)state;
    for (int64_t k = 0; k < e.n; k++)
        assert_in_range(e.sample[k][2], 1, 4);
    free(e.sample);
    marks = (const uint8_t[]){0, 1, 2, 0, 3};
    e = draw_alone(&graph, "neg_distribution: popularity", 0);
    marks = NULL;
    for (int64_t k = 0; k < e.n; k++)
        assert_int_equal(e.sample[k][2], 3);
    free(e.sample);
}

/* Items that nobody has, beside those of sample_full_user(), and how many of them are cold. */
static int64_t n_more, n_cold;

/* What the sampler says to a user who has `n_items` items; `*full`: who has all that are warm. */
static cf_status sample_full_user(const char *rule, const char *model, int64_t n_items,
                                  int64_t *full)
{
    int64_t pairs[][2] = {{0, 0}, {1, 0}, {1, 1}, {1, 2}};
    cf_test_graph graph = {
        .n_users = 2, .n_items = n_items + n_more, .n_pairs = n_items + 1, .pairs = pairs};
    const cf_dataset dataset = {
        .n_users = 2, .n_items = graph.n_items, .n_train = n_items + 1, .n_cold = n_cold};
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
    status = create_sampler(config, &dataset, &shard, grid, &draws);
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
    for (n_more = n_cold = 0; n_cold < 3; n_more = ++n_cold) {
        assert_ok(sample_full_user("neg_exclude: train", "model=SGL", 3, &full));
        assert_int_equal(full, 1);
        assert_ok(sample_full_user("neg_exclude: current", "model=SGL", 3, &full));
        assert_true(full == INT64_MAX);
        assert_int_equal(sample_full_user("neg_exclude: current", "model=BPR", 1, &full),
                         CF_ERR_FORMAT);
        assert_non_null(
            strstr(cf_error_message(), n_cold ? "one warm item alone" : "one item alone"));
        assert_ok(sample_full_user("neg_exclude: train", "model=SGCL", 3, &full)); /* reads none */
    }
    n_more = 2; /* one of them is warm: a negative is left */
    n_cold = 1;
    assert_ok(sample_full_user("neg_exclude: train", "model=SGL", 3, &full));
    assert_true(full == INT64_MAX);
    n_more = n_cold = 0;
}

static void numbers_of_negatives_that_make_no_batch_are_refused(void **state)
{
    int64_t full;

    (void)state;
    assert_int_equal(sample_full_user("neg_sample_num: 51", "model=SGL", 3, &full), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "neg_sample_num is 51, above train_batch_size 50"));
    assert_int_equal(sample_full_user("neg_sample_num: 2", "model=SGCL", 3, &full), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "draws no negatives"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(popular_items_are_drawn_by_their_interactions),
    cmocka_unit_test(each_negative_makes_a_sample),
    cmocka_unit_test(cold_items_are_never_drawn),
    cmocka_unit_test(a_user_of_all_popular_items_gets_another),
    cmocka_unit_test(numbers_of_negatives_that_make_no_batch_are_refused),
    cmocka_unit_test(each_interaction_comes_once_an_epoch),
    cmocka_unit_test(every_grid_draws_the_batches_of_one_rank),
    cmocka_unit_test(negatives_avoid_what_they_should),
    cmocka_unit_test(a_user_without_a_negative_is_found),
};
CF_TEST_MAIN(tests)
