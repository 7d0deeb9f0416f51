/* The best items of users: a full sort, ties, masks, memory limits, scores that are not finite. */
#include "problem.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { K = 30, PLENTY = 64 << 20 };
static const shape whole_shape = {300, 1200, 56, whole, some_parts, false};
static const shape real_shape = {300, 1200, 72, real, some_parts, false};
static const shape whole_history = {40, 530, 530, whole_or_history, some_parts, true};
static const shape real_history = {140, 530, 530, real_or_history, some_parts, true};

/* The result of a request of this rank for its part of the block's users, in descending order. */
typedef struct result {
    int64_t *users, *items, count;
    float *scores;
    cf_status status;
} result;

static result request_topk(const problem *p, int64_t k, bool mask, int64_t memory)
{
    result a = {0};

    assert_int_equal(CF_ALLOC(a.users, p->shard.n_users), CF_OK);
    for (int64_t u = p->shard.n_users - 1; u >= 0; u--)
        if (u % p->grid->n_columns == p->grid->my_column) a.users[a.count++] = u;
    assert_int_equal(CF_ALLOC(a.items, a.count * k), CF_OK);
    assert_int_equal(CF_ALLOC(a.scores, a.count * k), CF_OK);
    cf_eval_request request = {a.users, a.count, k, mask, mask, memory, NULL};
    a.status = cf_eval_topk(&p->scorer, &request, a.items, a.scores);
    return a;
}

static void result_destroy(result *a)
{
    cf_free(&a->users);
    cf_free(&a->items);
    cf_free(&a->scores);
}

static void check_plainly(const shape *of, const problem *p, int64_t k, bool mask)
{
    ranked *want = malloc((size_t)of->n_items * sizeof *want);
    result a = request_topk(p, k, mask, PLENTY);

    assert_int_equal(a.status, CF_OK);
    for (int64_t n = 0; n < a.count; n++) {
        int64_t user = p->shard.first_user + a.users[n];
        int64_t count = rank_plainly(of, user, mask ? IN_TRAIN | IN_VALID : 0, want);

        for (int64_t j = 0; j < k; j++) {
            assert_int_equal(a.items[n * k + j], j < count ? want[j].item : -1);
            assert_true(a.scores[n * k + j] == (j < count ? (float)want[j].score : 0));
        }
    }
    result_destroy(&a);
    free(want);
}

static void check_shape_plainly(const shape *of)
{
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        problem p;

        create_problem(of, &world, rows, &p);
        check_plainly(of, &p, K, true);
        check_plainly(of, &p, K, false);
        check_plainly(of, &p, 1, true);
        check_plainly(of, &p, of->n_items + 7, true);
        destroy_problem(&p);
    }
}

static void equals_a_plain_loop_with_ties_and_masks(void **state)
{
    (void)state;
    check_shape_plainly(&whole_shape);
    check_shape_plainly(&whole_history);
}

/* Everybody has trained on one item, so that nobody gets the most popular ones. */
static int item_1020_in_train(int64_t user, int64_t item)
{
    (void)user;
    return item == 1020 ? IN_TRAIN : 0;
}

static float all_equal(bool is_item, int64_t row, int64_t k)
{
    (void)is_item, (void)row, (void)k;
    return 1;
}

static void equal_scores_rank_the_lower_item_first(void **state)
{
    (void)state;
    shape flat = {9, 1030, 16, all_equal, item_1020_in_train, false};
    problem p;

    create_problem(&flat, &world, world.size, &p);
    result a = request_topk(&p, K, true, PLENTY);
    for (int64_t n = 0; n < a.count * K; n++)
        assert_int_equal(a.items[n], n % K);
    result_destroy(&a);
    destroy_problem(&p);
}

/* The least memory a request works with, as the message of a refusal says. */
static int64_t least_memory(const problem *p)
{
    result a = request_topk(p, K, true, 1);
    const char *number = strstr(cf_error_message(), "at least ");

    assert_int_equal(a.status, CF_ERR_USAGE);
    assert_non_null(number);
    result_destroy(&a);
    return strtoll(number + strlen("at least "), NULL, 10);
}

/* Rows of `alone` are all users, from the last to the first. */
static void check_bits(const problem *p, const result *alone, int64_t memory)
{
    result a = request_topk(p, K, true, memory);

    assert_int_equal(a.status, CF_OK);
    for (int64_t n = 0; n < a.count; n++) {
        int64_t other = alone->count - 1 - (p->shard.first_user + a.users[n]);

        assert_memory_equal(a.items + n * K, alone->items + other * K, K * sizeof *a.items);
        assert_memory_equal(a.scores + n * K, alone->scores + other * K, K * sizeof *a.scores);
    }
    result_destroy(&a);
}

static void check_bits_of(const shape *of)
{
    cf_par self = {MPI_COMM_SELF, 0, 1};
    problem p;
    int before = omp_get_max_threads();

    create_problem(of, &self, 1, &p);
    result alone = request_topk(&p, K, true, PLENTY);
    assert_int_equal(alone.status, CF_OK);
    destroy_problem(&p);
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        create_problem(of, &world, rows, &p);
        for (int threads = 1; threads <= 2; threads++) {
            omp_set_num_threads(threads);
            int64_t least = least_memory(&p);
            check_bits(&p, &alone, least);
            check_bits(&p, &alone, least + 200000); /* groups of two */
            check_bits(&p, &alone, PLENTY);
        }
        destroy_problem(&p);
    }
    omp_set_num_threads(before);
    result_destroy(&alone);
}

static void bits_do_not_depend_on_grid_threads_or_memory(void **state)
{
    (void)state;
    check_bits_of(&real_shape);
    check_bits_of(&real_history);
}

static void too_little_memory_is_refused_by_the_byte(void **state)
{
    (void)state;
    problem p;

    create_problem(&real_shape, &world, 1, &p);
    result a = request_topk(&p, K, true, least_memory(&p) - 1);
    assert_int_equal(a.status, CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "eval_memory"));
    result_destroy(&a);
    destroy_problem(&p);
}

static float one_is_nan(bool is_item, int64_t row, int64_t k)
{
    return is_item && row == 1150 && k == 2 ? NAN : real(is_item, row, k);
}

static float one_is_infinite(bool is_item, int64_t row, int64_t k)
{
    return is_item && row == 1150 && k == 2 ? INFINITY : real(is_item, row, k) + 0.5F;
}

static void scores_that_are_not_finite_are_an_error(void **state)
{
    (void)state;
    shape bad[] = {{300, 1200, 16, one_is_nan, item_1020_in_train, false},
                   {300, 1200, 16, one_is_infinite, item_1020_in_train, false}};

    for (int which = 0; which < 2; which++) {
        problem p;

        create_problem(&bad[which], &world, world.size, &p);
        result a = request_topk(&p, K, true, PLENTY);
        assert_int_equal(a.status, CF_ERR_NUMERIC);
        assert_non_null(strstr(cf_error_message(), "item 1150"));
        result_destroy(&a);
        destroy_problem(&p);
    }
}

/* Users 0 to 3 have no train items. Of the others, user u has items 0 .. u - 4 and item 900 + u. So
 * the first items are the most popular ones, and many items have as many users. */
static int stairs(int64_t user, int64_t item)
{
    if (user < 4) return user == 1 && item == 1 ? IN_VALID : 0;
    return item <= user - 4 || item == 900 + user ? IN_TRAIN : 0;
}

/* Item i < 36 has 36 - i users, and items 904 to 939 one each. Item 1 is masked for user 1. */
static void check_popular(const int64_t *items, const float *scores, int64_t user)
{
    for (int64_t j = 0; j < K; j++) {
        int64_t want = user == 1 && j >= 1 ? j + 1 : j;

        assert_int_equal(items[j], want);
        assert_true(scores[j] == (float)(36 - want));
    }
}

static void users_without_train_items_get_the_most_popular_ones(void **state)
{
    (void)state;
    shape of[] = {{40, 1200, 56, one_is_nan, stairs, false},
                  {40, 1030, 1030, real, stairs, true}}; /* as of a closed form */

    for (int which = 0; which < 2; which++)
        for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
            int64_t users[4], items[4 * K];
            float scores[4 * K];
            cf_eval_request request = {users, 0, K, true, true, PLENTY, NULL};
            problem p;

            create_problem(&of[which], &world, rows, &p);
            for (int64_t u = 0; u < p.shard.n_users && p.shard.first_user + u < 4; u++)
                if (u % p.grid->n_columns == p.grid->my_column) users[request.count++] = u;
            assert_int_equal(cf_eval_topk(&p.scorer, &request, items, scores), CF_OK);
            for (int64_t n = 0; n < request.count; n++)
                check_popular(items + n * K, scores + n * K, p.shard.first_user + users[n]);
            destroy_problem(&p);
        }
}

/* One who makes a scorer for other rows than users says so. */
static void a_scorer_may_score_users_without_train_items(void **state)
{
    (void)state;
    shape flat = {9, 1030, 16, all_equal, item_1020_in_train, false};
    problem p;

    create_problem(&flat, &world, world.size, &p);
    memset(p.shard.train.start, 0, (size_t)(p.shard.n_users + 1) * sizeof(int64_t));
    p.scorer.popular = false;
    result a = request_topk(&p, K, true, PLENTY);
    for (int64_t n = 0; n < a.count * K; n++) {
        assert_int_equal(a.items[n], n % K);
        assert_true(a.scores[n] == 16);
    }
    result_destroy(&a);
    destroy_problem(&p);
}

static void a_rank_may_request_no_users(void **state)
{
    (void)state;
    problem p;
    int64_t user = 0, items[K];
    float scores[K];
    cf_eval_request request = {&user, 0, K, true, true, PLENTY, NULL};

    create_problem(&whole_shape, &world, world.size, &p);
    assert_int_equal(cf_eval_topk(&p.scorer, &request, items, scores),
                     CF_OK); /* no user on any rank */
    request.count = world.rank == 0;
    assert_int_equal(cf_eval_topk(&p.scorer, &request, items, scores), CF_OK);
    if (world.rank == 0) {
        ranked *want = malloc((size_t)whole_shape.n_items * sizeof *want);

        rank_plainly(&whole_shape, user, IN_TRAIN | IN_VALID, want);
        for (int k = 0; k < K; k++)
            assert_int_equal(items[k], want[k].item);
        free(want);
    }
    destroy_problem(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(equals_a_plain_loop_with_ties_and_masks),
    cmocka_unit_test(equal_scores_rank_the_lower_item_first),
    cmocka_unit_test(bits_do_not_depend_on_grid_threads_or_memory),
    cmocka_unit_test(too_little_memory_is_refused_by_the_byte),
    cmocka_unit_test(scores_that_are_not_finite_are_an_error),
    cmocka_unit_test(users_without_train_items_get_the_most_popular_ones),
    cmocka_unit_test(a_scorer_may_score_users_without_train_items),
    cmocka_unit_test(a_rank_may_request_no_users),
};
CF_TEST_MAIN(tests)
