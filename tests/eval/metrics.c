/* Metrics: golden numbers, a plain loop, the same bits on all grids, errors, names. */
#include "golden.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { N_TOPK = 3 };
static const int64_t topk[N_TOPK] = {10, 20, 50};
static const shape whole_shape = {300, 1200, 56, whole, some_parts, false};
static const shape real_shape = {600, 1200, 72, real, some_parts, false};

static cf_eval_options options_with_mib(int64_t memory)
{
    return (cf_eval_options){
        .n_topk = N_TOPK, .topk = {10, 20, 50}, .mask_history = true, .memory = memory << 20};
}

static cf_metrics evaluate(const problem *p, cf_split split, bool mask)
{
    cf_eval_options options = options_with_mib(64);
    cf_metrics metrics = {0};

    options.mask_history = mask;
    assert_int_equal(cf_eval_run(&p->scorer, split, &options, &metrics), CF_OK);
    return metrics;
}

/* ---- Golden numbers ---- */

static double golden_mean(const char *metric, int t)
{
    char path[512];
    int64_t dims[2];
    double sum = 0;

    snprintf(path, sizeof path, GOLDEN "per_user_%s.npy", metric);
    double *values = cf_test_npy(path, dims);
    assert_int_equal(dims[0], GOLDEN_USERS);
    assert_int_equal(dims[1], N_TOPK);
    for (int64_t u = 0; u < GOLDEN_USERS; u++)
        sum += values[u * N_TOPK + t];
    free(values);
    return sum / GOLDEN_USERS;
}

static void check_golden_items(const problem *p)
{
    int64_t users[GOLDEN_USERS], items[GOLDEN_USERS * 50], dims[2];
    float scores[GOLDEN_USERS * 50];
    cf_eval_request request = {users, 0, 50, true, true, 64 << 20, NULL};
    double *want = cf_test_npy(GOLDEN "top50_items.npy", dims);

    for (int64_t u = p->grid->my_column; u < p->shard.n_users; u += p->grid->n_columns)
        users[request.count++] = u;
    assert_int_equal(cf_eval_topk(&p->scorer, &request, items, scores), CF_OK);
    for (int64_t n = 0; n < request.count * 50; n++)
        assert_int_equal(items[n], want[(p->shard.first_user + users[n / 50]) * 50 + n % 50]);
    free(want);
}

/* Both sides are sums of 50 doubles: 1e-12 is far above their rounding and far below one rank's
 * worth. */
static void agrees_with_golden_numbers(void **state)
{
    (void)state;
    const shape of = load_golden();

    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        problem p;

        create_problem(&of, &world, rows, &p);
        cf_metrics got = evaluate(&p, CF_SPLIT_TEST, true);
        assert_int_equal(got.n_users, GOLDEN_USERS);
        for (int m = 0; m < CF_N_METRICS; m++)
            for (int t = 0; t < N_TOPK; t++)
                assert_close(got.mean[m][t], golden_mean(cf_eval_metric_names[m], t), 1e-12);
        check_golden_items(&p);
        destroy_problem(&p);
    }
    free_golden();
}

/* ---- A plain loop ---- */

static int64_t count_positives(const shape *of, int64_t user, int part)
{
    int64_t count = 0;

    for (int64_t i = 0; i < of->n_items; i++)
        count += (of->parts(user, i) & part) != 0;
    return count;
}

static void add_plainly(const shape *of, int64_t user, int part, int masked,
                        double sums[CF_N_METRICS][N_TOPK])
{
    ranked *list = malloc((size_t)of->n_items * sizeof *list);
    int64_t count = rank_plainly(of, user, masked, list);
    double positives = (double)count_positives(of, user, part);

    for (int t = 0; t < N_TOPK; t++) {
        double hits = 0, gain = 0, ideal = 0, reciprocal = 0, precisions = 0;

        for (int k = 0; k < topk[t]; k++) {
            if (k < positives) ideal += 1 / log2(k + 2);
            if (k >= count || !(of->parts(user, list[k].item) & part)) continue;
            if (hits == 0) reciprocal = 1.0 / (k + 1);
            hits++;
            gain += 1 / log2(k + 2);
            precisions += hits / (k + 1);
        }
        sums[CF_RECALL][t] += hits / positives;
        sums[CF_NDCG][t] += gain / ideal;
        sums[CF_MRR][t] += reciprocal;
        sums[CF_HIT][t] += hits > 0;
        sums[CF_PRECISION][t] += hits / (double)topk[t];
        sums[CF_MAP][t] += precisions / fmin(positives, (double)topk[t]);
    }
    free(list);
}

static void check_plainly(const problem *p, cf_split split, bool mask)
{
    int part = split == CF_SPLIT_TEST ? IN_TEST : IN_VALID;
    int masked = !mask ? 0 : split == CF_SPLIT_TEST ? IN_TRAIN | IN_VALID : IN_TRAIN;
    double sums[CF_N_METRICS][N_TOPK] = {{0}};
    int64_t n_users = 0;

    for (int64_t u = 0; u < whole_shape.n_users; u++) {
        if (count_positives(&whole_shape, u, part) == 0) continue;
        add_plainly(&whole_shape, u, part, masked, sums);
        n_users++;
    }
    cf_metrics got = evaluate(p, split, mask);
    assert_int_equal(got.n_users, n_users);
    assert_true(n_users < whole_shape.n_users - whole_shape.n_users / NO_POSITIVE);
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int t = 0; t < N_TOPK; t++) {
            assert_true(sums[m][t] > 0);
            assert_close(got.mean[m][t], sums[m][t] / (double)n_users, 1e-12);
        }
}

static void equals_a_plain_loop(void **state)
{
    (void)state;
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        problem p;

        create_problem(&whole_shape, &world, rows, &p);
        check_plainly(&p, CF_SPLIT_TEST, true);
        check_plainly(&p, CF_SPLIT_VALID, true);
        check_plainly(&p, CF_SPLIT_TEST, false);
        destroy_problem(&p);
    }
}

/* ---- Bits, errors, names ---- */

static void bits_do_not_depend_on_grid_threads_or_memory(void **state)
{
    (void)state;
    cf_par self = {MPI_COMM_SELF, 0, 1};
    int before = omp_get_max_threads();
    problem p;

    create_problem(&real_shape, &self, 1, &p);
    cf_metrics alone = evaluate(&p, CF_SPLIT_TEST, true);
    destroy_problem(&p);
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        create_problem(&real_shape, &world, rows, &p);
        for (int threads = 1; threads <= 2; threads++) {
            const cf_eval_options options = options_with_mib(threads == 1 ? 1 : 64);
            cf_metrics got = {0};

            omp_set_num_threads(threads);
            assert_int_equal(cf_eval_run(&p.scorer, CF_SPLIT_TEST, &options, &got), CF_OK);
            assert_memory_equal(&got, &alone, sizeof got);
        }
        destroy_problem(&p);
    }
    omp_set_num_threads(before);
}

static int nothing(int64_t user, int64_t item)
{
    (void)user, (void)item;
    return 0;
}

static void no_positive_at_all_gives_zeros(void **state)
{
    (void)state;
    shape of = {20, 30, 16 * 4, whole, nothing, false};
    problem p;

    create_problem(&of, &world, 1, &p);
    cf_metrics got = evaluate(&p, CF_SPLIT_TEST, true);
    assert_int_equal(got.n_users, 0);
    assert_int_equal(got.n_topk, N_TOPK);
    assert_true(got.mean[CF_NDCG][0] == 0);
    destroy_problem(&p);
}

static void one_tile_must_fit_into_the_memory(void **state)
{
    (void)state;
    shape of = {20, 30, 4096, whole, some_parts, false};
    const cf_eval_options options = options_with_mib(1);
    cf_metrics got = {.n_users = -1};
    problem p;

    create_problem(&of, &world, 1, &p);
    assert_int_equal(cf_eval_run(&p.scorer, CF_SPLIT_TEST, &options, &got), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "eval_memory"));
    assert_int_equal(got.n_users, -1);
    destroy_problem(&p);
}

static cf_status try_evaluation(void *context)
{
    const problem *p = context;
    const cf_eval_options options = options_with_mib(4);
    cf_metrics got = {.n_users = -1};
    cf_status status = cf_eval_run(&p->scorer, CF_SPLIT_TEST, &options, &got);

    if (status != CF_OK) assert_int_equal(got.n_users, -1);
    return status;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const shape of = {20, 30, 64, whole, some_parts, false};
    const cf_test_trial trial = {.attempt = try_evaluation};
    problem p;

    (void)state;
    create_problem(&of, &world, world.size % 2 == 0 ? 2 : 1, &p);
    assert_true(cf_test_every_allocation(&trial, &p) >= 10);
    destroy_problem(&p);
}

static void metrics_go_by_recboles_names(void **state)
{
    (void)state;
    cf_metrics metrics = {.n_topk = 2, .topk = {10, 20}};
    const char *wrong[] = {"ndcg@7", "ndcg", "ndcg@", "ndcg@10x", "@10", "gauc@10", "ndcg10", ""};
    double value = -1;

    metrics.mean[CF_NDCG][0] = 0.25;
    metrics.mean[CF_RECALL][1] = 0.5;
    assert_int_equal(cf_eval_metric(&metrics, "NDCG@10", &value), CF_OK);
    assert_true(value == 0.25);
    assert_int_equal(cf_eval_metric(&metrics, "recall@20", &value), CF_OK);
    assert_true(value == 0.5);
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        assert_int_equal(cf_eval_metric(&metrics, wrong[k], &value), CF_ERR_USAGE);
        assert_non_null(strstr(cf_error_message(), "precision"));
        assert_non_null(strstr(cf_error_message(), "10, 20"));
    }
    assert_true(value == 0.5);
}

/* A run without a valid part needs no valid_metric: its default may have a length that is not in
 * topk. */
static void settings_are_checked_before_a_run(void **state)
{
    const cf_setting *tables[] = {cf_eval_settings};
    cf_config *config = NULL;
    cf_eval_options options;

    (void)state;
    assert_int_equal(cf_config_create(tables, 1, &config), CF_OK);
    assert_int_equal(cf_config_set(config, "eval_memory=64"), CF_OK);
    assert_int_equal(cf_eval_read_options(config, &options), CF_OK);
    assert_int_equal(options.n_topk, 2);
    assert_int_equal(options.topk[1], 20);
    assert_int_equal(options.memory, 64 << 20);
    assert_true(options.mask_history);
    assert_int_equal(cf_eval_check_metric(&options), CF_OK);
    assert_int_equal(cf_config_set(config, "topk=20"), CF_OK);
    assert_int_equal(cf_eval_read_options(config, &options), CF_OK);
    assert_int_equal(cf_eval_check_metric(&options), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "valid_metric"));
    assert_int_equal(cf_config_set(config, "topk=[]"), CF_OK);
    assert_int_equal(cf_eval_read_options(config, &options), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "topk"));
    cf_config_destroy(&config);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(agrees_with_golden_numbers),
    cmocka_unit_test(equals_a_plain_loop),
    cmocka_unit_test(bits_do_not_depend_on_grid_threads_or_memory),
    cmocka_unit_test(no_positive_at_all_gives_zeros),
    cmocka_unit_test(one_tile_must_fit_into_the_memory),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(metrics_go_by_recboles_names),
    cmocka_unit_test(settings_are_checked_before_a_run),
};
CF_TEST_MAIN(tests)
