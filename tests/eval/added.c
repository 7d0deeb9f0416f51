/* Items that were added since the training: they are masked as train items are, a matrix scores by
 * those that it has columns of, and a user who has one of these is no stranger. */
#include "problem.h"

#include <string.h>

enum { N_USERS = 90, N_ITEMS = 700, BASE_ITEMS = 560, K = 25, PLENTY = 64 << 20 };
enum { KNOWN = 30, UNKNOWN = 60 }; /* the first users without train items, of either kind */

/* From KNOWN on, users have no train items but added ones; from UNKNOWN on, only appended items.
 * Every third of the others has added items too. */
static int parts(int64_t user, int64_t item)
{
    const int64_t draw = (int64_t)(scrambled(3, user, item) % 100);
    const bool is_new = item >= BASE_ITEMS;

    if (draw == 0) return IN_TEST;
    if (draw == 1) return IN_VALID;
    if (draw < 8) return user < KNOWN && !is_new ? IN_TRAIN : 0;
    if (draw > 20 || (user < KNOWN && user % 3 != 0)) return 0;
    return user >= UNKNOWN && !is_new ? 0 : IN_ADDED;
}

/* A user's row in the matrix's space: its items that have columns. */
static float value(bool is_item, int64_t row, int64_t k)
{
    return is_item ? whole(true, row, k) : (float)((parts(row, k) & (IN_TRAIN | IN_ADDED)) != 0);
}

static const shape products = {N_USERS, N_ITEMS, 56, whole, parts, false};
static const shape sums = {N_USERS, N_ITEMS, BASE_ITEMS, value, parts, true};

/* All items that are in no part of `masked`, best first, by a full sort. */
static int64_t rank_all(const shape *of, int64_t user, int masked, ranked *out)
{
    int64_t count = 0;

    for (int64_t i = 0; i < of->n_items; i++) {
        double score = user >= UNKNOWN ? count_train_users(of, i) : 0;

        if (parts(user, i) & masked) continue;
        for (int64_t k = 0; k < of->dim && user < UNKNOWN; k++)
            score += (double)of->value(false, user, k) * (double)of->value(true, i, k);
        out[count++] = (ranked){score, i};
    }
    qsort(out, (size_t)count, sizeof *out, by_score_then_item);
    return count;
}

static void check_lists(const shape *of, int rows, bool mask)
{
    static int64_t users[N_USERS], items[N_USERS * K];
    static float scores[N_USERS * K];
    static ranked want[N_ITEMS];
    cf_eval_request request = {users, 0, K, mask, mask, PLENTY, NULL};
    problem p;

    create_problem(of, &world, rows, &p);
    p.shard.n_base_items = BASE_ITEMS;
    for (int64_t u = p.grid->my_column; u < p.shard.n_users; u += p.grid->n_columns)
        users[request.count++] = u;
    assert_ok(cf_eval_topk(&p.scorer, &request, items, scores));
    for (int64_t n = 0; n < request.count; n++) {
        const int64_t user = p.shard.first_user + users[n];

        assert_true(rank_all(of, user, mask ? IN_TRAIN | IN_ADDED | IN_VALID : 0, want) > K);
        for (int64_t j = 0; j < K; j++) {
            assert_int_equal(items[n * K + j], want[j].item);
            assert_true(scores[n * K + j] == (float)want[j].score);
        }
    }
    destroy_problem(&p);
}

static void lists_are_those_of_plain_loops(void **state)
{
    (void)state;
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows))
        for (int mask = 0; mask < 2; mask++) {
            check_lists(&products, rows, mask);
            check_lists(&sums, rows, mask);
        }
}

/* Hits of the plain lists; of given lists, which are all items in order of number, added items are
 * taken out. */
static void metrics_count_them_as_history(void **state)
{
    static ranked want[N_ITEMS];
    const cf_eval_options options = {
        .n_topk = 1, .topk = {K}, .mask_history = true, .memory = PLENTY};
    double hits = 0;
    int64_t n_users = 0;
    cf_metrics metrics;
    problem p;

    (void)state;
    create_problem(&sums, &world, world.size, &p);
    assert_ok(cf_eval_run(&p.scorer, CF_SPLIT_TEST, &options, &metrics));
    for (int64_t u = 0; u < N_USERS; u++) {
        bool any = false, hit = false;

        rank_all(&sums, u, IN_TRAIN | IN_ADDED | IN_VALID, want);
        for (int64_t i = 0; i < N_ITEMS; i++)
            any |= parts(u, i) == IN_TEST;
        for (int j = 0; j < K; j++)
            hit |= parts(u, want[j].item) == IN_TEST;
        n_users += any;
        hits += hit;
    }
    assert_int_equal(metrics.n_users, n_users);
    assert_true(metrics.n_cold > 0 && metrics.n_cold <= N_USERS - UNKNOWN);
    assert_close(metrics.mean[CF_HIT][0], hits / (double)n_users, 1e-12);
    destroy_problem(&p);
}

static void given_lists_are_masked_alike(void **state)
{
    static int64_t start[N_USERS + 1], items[N_USERS * N_ITEMS];
    const cf_eval_options options = {
        .n_topk = 1, .topk = {K}, .mask_history = true, .memory = PLENTY};
    cf_eval_detail detail = {0};
    cf_cold_metrics metrics;
    int64_t n_masked = 0;
    problem p;

    (void)state;
    create_problem(&products, &world, world.size, &p);
    for (int64_t u = 0; u < p.shard.n_users; u++) {
        start[u + 1] = start[u] + N_ITEMS;
        for (int64_t i = 0; i < N_ITEMS; i++)
            items[start[u] + i] = N_ITEMS - 1 - i;
    }
    assert_ok(cf_eval_run_lists(
        &(cf_eval_lists){p.grid, &p.shard,
                         &(cf_lists){.count = p.shard.n_users, .start = start, .index = items}},
        CF_SPLIT_TEST, &options, &detail, &metrics));
    for (int64_t u = 0; u < N_USERS; u++) {
        bool any = false;
        int64_t masked = 0, kept = 0;

        for (int64_t i = 0; i < N_ITEMS; i++)
            any |= parts(u, i) == IN_TEST;
        for (int64_t i = N_ITEMS - 1; i >= 0 && kept < K; i--) {
            const bool is_masked = (parts(u, i) & (IN_TRAIN | IN_ADDED | IN_VALID)) != 0;

            masked += is_masked;
            kept += !is_masked;
        }
        if (any) n_masked += masked;
    }
    assert_int_equal(detail.n_masked, n_masked);
    destroy_problem(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lists_are_those_of_plain_loops),
    cmocka_unit_test(metrics_count_them_as_history),
    cmocka_unit_test(given_lists_are_masked_alike),
};
CF_TEST_MAIN(tests)
