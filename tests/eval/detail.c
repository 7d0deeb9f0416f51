/* Metrics of groups, of the catalogue, of each user, and of lists that are given: golden numbers;
 * problems that have the group's positives alone; the same bits on all grids; lack of memory. */
#include "golden.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { N_TOPK = 3, WIDTH = CF_N_METRICS * N_TOPK };
static const cf_eval_options options = {
    .n_topk = N_TOPK, .topk = {10, 20, 50}, .mask_history = true, .memory = 64 << 20};

typedef struct measured {
    cf_cold_metrics tables;
    cf_metrics metrics; /* of tables the one of all candidates */
    cf_eval_detail detail;
} measured;

static measured measure(const problem *p)
{
    measured got = {.detail = {.groups = true, .per_user = true}};

    assert_ok(cf_eval_run_cold(&p->scorer, CF_SPLIT_TEST, &options, &got.detail, &got.tables));
    got.metrics = got.tables.table[CF_ALL];
    return got;
}

/* ---- Golden numbers ---- */

/* The value that "users/4-7/recall@10" or "catalogue/giniindex@20" names. */
static double value_of(const cf_eval_detail *detail, const char *key)
{
    const char *at = strrchr(key, '/') + 1;
    double value = NAN;

    for (int m = 0; m < CF_N_CATALOGUE && strncmp(key, "catalogue/", 10) == 0; m++)
        for (int t = 0; t < N_TOPK; t++) {
            char name[64];

            snprintf(name, sizeof name, "%s@%d", cf_eval_catalogue_names[m], (int)options.topk[t]);
            if (strcmp(at, name) == 0) return detail->catalogue[m][t];
        }
    for (int g = 0; g < CF_EVAL_GROUPS; g++) {
        char name[64];

        snprintf(name, sizeof name, "%s/%s/", cf_eval_groups[g].kind, cf_eval_groups[g].name);
        if (strncmp(key, name, strlen(name)) != 0) continue;
        if (strcmp(at, "users") == 0) return (double)detail->group[g].n_users;
        if (strcmp(at, "positives") == 0) return (double)detail->group[g].n_positives;
        assert_ok(cf_eval_metric(&detail->group[g], at, &value));
        return value;
    }
    fail_msg("%s: no such value", key);
    return value;
}

/* As metrics.c: both sides are sums of 50 doubles. Groups that are not in the file are empty. */
static void check_golden_groups(const cf_eval_detail *detail)
{
    FILE *file = fopen(GOLDEN "groups.json", "r");
    char line[256], key[128];
    double want;
    int n_values = 0, n_want = CF_N_CATALOGUE * N_TOPK;

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, " \"%127[^\"]\": %lf", key, &want) != 2) continue;
        assert_close(value_of(detail, key), want, 1e-12);
        n_values++;
    }
    fclose(file);
    for (int g = 0; g < CF_EVAL_GROUPS; g++)
        n_want += detail->group[g].n_users > 0 ? 2 + WIDTH : 0;
    assert_int_equal(n_values, n_want);
}

static void check_golden_users(const cf_eval_detail *detail)
{
    for (int m = 0; m < CF_N_METRICS; m++) {
        char path[512];
        int64_t dims[2];

        snprintf(path, sizeof path, GOLDEN "per_user_%s.npy", cf_eval_metric_names[m]);
        double *want = cf_test_npy(path, dims);
        for (int64_t u = 0; u < detail->n_users; u++)
            for (int t = 0; t < N_TOPK; t++)
                assert_close(detail->values[u * WIDTH + m * N_TOPK + t],
                             want[detail->users[u] * N_TOPK + t], 1e-15);
        free(want);
    }
}

static void agrees_with_golden_numbers(void **state)
{
    (void)state;
    const shape of = load_golden();

    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        problem p;

        create_problem(&of, &world, rows, &p);
        measured got = measure(&p);
        check_golden_groups(&got.detail);
        check_golden_users(&got.detail);
        cf_eval_destroy_detail(&got.detail);
        destroy_problem(&p);
    }
    free_golden();
}

/* ---- A group is a problem of its own ---- */

enum { N_USERS = 200, N_ITEMS = 400 };

/* Users have 0 to some 70 train items, and items 0 to some 60 users. */
static int uneven_parts(int64_t user, int64_t item)
{
    int64_t draw = (int64_t)(scrambled(3, user, item) % 100000);

    if (draw < 1500) return IN_TEST;
    return draw < 1500 + user * user * item / 240 ? IN_TRAIN : 0;
}

static int shown; /* the group whose positives are there */
static int64_t user_counts[N_USERS], item_counts[N_ITEMS];

static void count_train(void)
{
    for (int64_t u = 0; u < N_USERS; u++)
        for (int64_t i = 0; i < N_ITEMS; i++) {
            user_counts[u] += uneven_parts(u, i) & IN_TRAIN;
            item_counts[i] += uneven_parts(u, i) & IN_TRAIN;
        }
}

/* In the head are those with fewer than a fifth of the items before them. */
static bool is_in_head(int64_t item)
{
    int64_t before = 0;

    for (int64_t i = 0; i < N_ITEMS; i++)
        before +=
            item_counts[i] > item_counts[item] || (item_counts[i] == item_counts[item] && i < item);
    return before < N_ITEMS / 5;
}

static int shown_parts(int64_t user, int64_t item)
{
    static const int64_t least_user[] = {0, 1, 4, 8, 16, 32, INT64_MAX};
    static const int64_t least_item[] = {0, 1, 5, 10, 20, INT64_MAX};
    int parts = uneven_parts(user, item), g = shown - CF_EVAL_USER_GROUPS;
    bool is_shown;

    if (parts != IN_TEST) return parts;
    if (g < 0)
        is_shown =
            user_counts[user] >= least_user[shown] && user_counts[user] < least_user[shown + 1];
    else if (g < 5)
        is_shown = item_counts[item] >= least_item[g] && item_counts[item] < least_item[g + 1];
    else
        is_shown = is_in_head(item) == (g == 5);
    return is_shown ? IN_TEST : 0;
}

static const shape uneven_shape = {N_USERS, N_ITEMS, 56, real, uneven_parts, false};
static const shape shown_shape = {N_USERS, N_ITEMS, 56, real, shown_parts, false};

static void check_group(const cf_metrics *got, int rows)
{
    cf_metrics want;
    problem p;

    create_problem(&shown_shape, &world, rows, &p);
    assert_ok(cf_eval_run(&p.scorer, CF_SPLIT_TEST, &options, &want));
    assert_true(want.n_users > 0 && want.mean[CF_NDCG][N_TOPK - 1] > 0);
    assert_int_equal(got->n_users, want.n_users);
    assert_int_equal(got->n_positives, want.n_positives);
    assert_memory_equal(got->mean, want.mean, sizeof want.mean);
    destroy_problem(&p);
}

static void a_group_has_the_metrics_of_its_positives_alone(void **state)
{
    (void)state;
    count_train();
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        problem p;

        create_problem(&uneven_shape, &world, rows, &p);
        measured got = measure(&p);
        destroy_problem(&p);
        for (shown = 0; shown < CF_EVAL_GROUPS; shown++)
            check_group(&got.detail.group[shown], rows);
        cf_eval_destroy_detail(&got.detail);
    }
}

/* ---- Each user, and bits ---- */

/* The mean of a column, whose rows are those of all ranks, is the metric, to the bit. */
static void check_columns(const measured *got)
{
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int t = 0; t < N_TOPK; t++) {
            cf_exact sum = {0};

            for (int64_t u = 0; u < got->detail.n_users; u++)
                cf_exact_add(&sum, got->detail.values[u * WIDTH + m * N_TOPK + t]);
            cf_par_sum_exact(&world, &sum, 1);
            assert_true(cf_exact_value(&sum) / (double)got->metrics.n_users ==
                        got->metrics.mean[m][t]);
        }
}

/* Ascending on each rank, and above those of the ranks before. */
static void check_order(const cf_eval_detail *detail)
{
    int64_t last = detail->n_users > 0 ? detail->users[detail->n_users - 1] : -1, before = -1;

    for (int64_t u = 1; u < detail->n_users; u++)
        assert_true(detail->users[u - 1] < detail->users[u]);
    MPI_Exscan(&last, &before, 1, MPI_INT64_T, MPI_MAX, world.comm);
    if (world.rank > 0 && detail->n_users > 0) assert_true(detail->users[0] > before);
}

static void bits_do_not_depend_on_grid_or_threads(void **state)
{
    (void)state;
    cf_par self = {MPI_COMM_SELF, 0, 1};
    int threads = omp_get_max_threads();
    problem p;

    create_problem(&uneven_shape, &self, 1, &p);
    measured alone = measure(&p);
    destroy_problem(&p);
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        create_problem(&uneven_shape, &world, rows, &p);
        omp_set_num_threads(1 + rows % 2);
        measured got = measure(&p);
        assert_memory_equal(&got.metrics, &alone.metrics, sizeof got.metrics);
        assert_memory_equal(got.detail.group, alone.detail.group, sizeof got.detail.group);
        assert_memory_equal(got.detail.catalogue, alone.detail.catalogue,
                            sizeof got.detail.catalogue);
        check_columns(&got);
        check_order(&got.detail);
        cf_eval_destroy_detail(&got.detail);
        destroy_problem(&p);
    }
    omp_set_num_threads(threads);
    cf_eval_destroy_detail(&alone.detail);
}

/* ---- Lists that are given ---- */

/* The lists of a ranking of the block's users, on all ranks of a grid row: `k` items a user, of all
 * items if the history is not masked. */
static cf_lists rank_block(const problem *p, int64_t k, bool mask)
{
    const cf_shard *shard = &p->shard;
    cf_lists lists = {.count = shard->n_users};
    int64_t *users = NULL, *items = NULL;
    float *scores = NULL;

    assert_ok(CF_ALLOC(users, shard->n_users));
    assert_ok(CF_ALLOC(items, shard->n_users * k));
    assert_ok(CF_ALLOC(scores, shard->n_users * k));
    assert_ok(CF_ALLOC(lists.start, shard->n_users + 1));
    assert_ok(CF_ALLOC(lists.index, shard->n_users * k));
    for (int64_t u = 0; u < shard->n_users; u++)
        users[u] = u;
    assert_ok(cf_eval_topk(&p->scorer,
                           &(cf_eval_request){.users = users,
                                              .count = shard->n_users,
                                              .k = k,
                                              .mask_train = mask,
                                              .mask_valid = mask,
                                              .memory = 64 << 20},
                           items, scores));
    for (int64_t u = 0; u < shard->n_users; u++) {
        lists.start[u + 1] = lists.start[u];
        for (int64_t j = 0; j < k && items[u * k + j] >= 0; j++)
            lists.index[lists.start[u + 1]++] = items[u * k + j];
    }
    cf_free(&users);
    cf_free(&items);
    cf_free(&scores);
    return lists;
}

static measured measure_lists(const problem *p, const cf_lists *items)
{
    const cf_eval_lists lists = {p->grid, &p->shard, items};
    measured got = {.detail = {.groups = true, .per_user = true}};

    assert_ok(cf_eval_run_lists(&lists, CF_SPLIT_TEST, &options, &got.detail, &got.tables));
    got.metrics = got.tables.table[CF_ALL];
    assert_false(got.tables.has[CF_WARM] || got.tables.has[CF_COLD]);
    return got;
}

static void destroy_lists(cf_lists *lists)
{
    cf_free(&lists->start);
    cf_free(&lists->index);
}

/* All is the same to the bit but what lists have alone. */
static void check_same(const measured *got, const measured *want)
{
    assert_memory_equal(&got->metrics, &want->metrics, sizeof got->metrics);
    assert_memory_equal(got->tables.hit, want->tables.hit, sizeof got->tables.hit);
    assert_memory_equal(got->detail.group, want->detail.group, sizeof got->detail.group);
    assert_memory_equal(got->detail.catalogue, want->detail.catalogue,
                        sizeof got->detail.catalogue);
    assert_int_equal(got->detail.n_users, want->detail.n_users);
    assert_memory_equal(got->detail.values, want->detail.values,
                        (size_t)(got->detail.n_users * WIDTH) * sizeof(double));
}

/* The lists of the ranking, and lists of all items, of which the history is taken out. */
static void the_lists_of_a_ranking_have_its_metrics(void **state)
{
    (void)state;
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows))
        for (int mask = 0; mask < 2; mask++) {
            problem p;

            create_problem(&uneven_shape, &world, rows, &p);
            measured want = measure(&p);
            cf_lists lists = rank_block(&p, mask ? 50 : N_ITEMS, mask);
            measured got = measure_lists(&p, &lists);
            check_same(&got, &want);
            assert_int_equal(got.detail.longest_list, 50);
            assert_int_equal(got.detail.n_missing, 0);
            assert_true((got.detail.n_masked > 0) == !mask);
            cf_eval_destroy_detail(&got.detail);
            cf_eval_destroy_detail(&want.detail);
            destroy_lists(&lists);
            destroy_problem(&p);
        }
}

/* Lists of all items, as recommend makes them, have cold items of the valid part too: without these
 * they are what is measured. */
static void lists_are_measured_without_cold_items_of_the_other_part(void **state)
{
    static uint8_t marks[N_ITEMS];

    (void)state;
    for (int64_t i = 0; i < N_ITEMS; i += 5)
        marks[i] = (uint8_t)(1 + i / 5 % 3);
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        problem p;

        create_problem(&uneven_shape, &world, rows, &p);
        p.shard.cold = marks;
        measured want = measure(&p);
        cf_lists lists = rank_block(&p, N_ITEMS, true);
        measured got = measure_lists(&p, &lists);
        check_same(&got, &want);
        assert_true(got.tables.is_marked && got.tables.hit[CF_COLD][N_TOPK - 1] > 0);
        assert_true(got.detail.n_barred > 0);
        assert_int_equal(got.detail.n_masked, 0);
        cf_eval_destroy_detail(&got.detail);
        cf_eval_destroy_detail(&want.detail);
        destroy_lists(&lists);
        destroy_problem(&p);
    }
}

/* Users have item u in test; even ones list it behind an unknown item, odd ones have no list. */
static int one_in_test(int64_t user, int64_t item)
{
    return item == user ? IN_TEST : item == user + 1 ? IN_TRAIN : 0;
}

static void unknown_items_keep_their_places_and_missing_lists_are_zeros(void **state)
{
    const shape of = {20, 30, 64, whole, one_in_test, false};
    problem p;

    (void)state;
    create_problem(&of, &world, world.size, &p);
    cf_lists lists = {.count = p.shard.n_users};
    assert_ok(CF_ALLOC(lists.start, lists.count + 1));
    assert_ok(CF_ALLOC(lists.index, 3 * lists.count));
    for (int64_t u = 0; u < lists.count; u++) {
        int64_t user = p.shard.first_user + u, n = lists.start[u],
                list[] = {user + 1, CF_EVAL_UNKNOWN_ITEM, user};

        lists.start[u + 1] = n + (user % 2 == 0 ? 3 : 0);
        if (user % 2 == 0) memcpy(lists.index + n, list, sizeof list);
    }
    measured got = measure_lists(&p, &lists);
    assert_int_equal(got.metrics.n_users, 20);
    assert_true(got.metrics.mean[CF_MRR][0] == 0.25);
    assert_true(got.metrics.mean[CF_RECALL][0] == 0.5);
    assert_int_equal(got.detail.n_missing, 10);
    assert_int_equal(got.detail.n_masked, 10);
    assert_int_equal(got.detail.longest_list, 2);
    assert_close(got.detail.catalogue[CF_ITEM_COVERAGE][0], 10.0 / 30, 1e-15);
    cf_eval_destroy_detail(&got.detail);
    destroy_lists(&lists);
    destroy_problem(&p);
}

static int train_alone(int64_t user, int64_t item)
{
    return user == item ? IN_TRAIN : 0;
}

static void no_positive_at_all_gives_zeros(void **state)
{
    (void)state;
    const shape of = {20, 30, 64, whole, train_alone, false};
    problem p;

    create_problem(&of, &world, 1, &p);
    measured got = measure(&p);
    for (int g = 0; g < CF_EVAL_GROUPS; g++)
        assert_int_equal(got.detail.group[g].n_users, 0);
    assert_true(got.detail.catalogue[CF_ITEM_COVERAGE][0] == 0);
    assert_true(got.detail.catalogue[CF_GINI_INDEX][0] == 0);
    assert_int_equal(got.detail.n_users, 0);
    cf_eval_destroy_detail(&got.detail);
    destroy_problem(&p);
}

static cf_status try_detail(void *context)
{
    const problem *p = context;
    measured got = {.detail = {.groups = true, .per_user = true}};
    cf_status status =
        cf_eval_run_detailed(&p->scorer, CF_SPLIT_TEST, &options, &got.detail, &got.metrics);

    if (status != CF_OK) assert_null(got.detail.values);
    cf_eval_destroy_detail(&got.detail);
    return status;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const shape of = {20, 30, 64, whole, some_parts, false};
    const cf_test_trial trial = {.attempt = try_detail};
    problem p;

    (void)state;
    create_problem(&of, &world, world.size % 2 == 0 ? 2 : 1, &p);
    assert_true(cf_test_every_allocation(&trial, &p) >= 20);
    destroy_problem(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(agrees_with_golden_numbers),
    cmocka_unit_test(a_group_has_the_metrics_of_its_positives_alone),
    cmocka_unit_test(bits_do_not_depend_on_grid_or_threads),
    cmocka_unit_test(the_lists_of_a_ranking_have_its_metrics),
    cmocka_unit_test(lists_are_measured_without_cold_items_of_the_other_part),
    cmocka_unit_test(unknown_items_keep_their_places_and_missing_lists_are_zeros),
    cmocka_unit_test(no_positive_at_all_gives_zeros),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
