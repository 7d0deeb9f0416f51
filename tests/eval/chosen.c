/* Items that nobody is to get, and items that are ranked by their likeness to an item. */
#include "problem.h"

#include <math.h>
#include <string.h>

enum { K = 30, N_ITEMS = 1700, PLENTY = 64 << 20 };
static const shape whole_shape = {300, N_ITEMS, 56, whole, some_parts, false};
static const shape whole_history = {40, 530, 530, whole_or_history, some_parts, true};

/* ---- Excluded items ------------------------------------------------------------------------- */

/* All of the second tile, which has train items of many users, and some items of the others. */
static bool is_excluded(int64_t item)
{
    return item / CF_EVAL_ITEMS == 1 || item % 5 == 2;
}

/* Only a few items of one tile. */
static bool is_no_candidate(int64_t item)
{
    return item < CF_EVAL_ITEMS || item > CF_EVAL_ITEMS + 50;
}

/* The parts of each user are ranked plainly, without the excluded items. */
static void check_user(const shape *of, int64_t user, bool (*excluded)(int64_t),
                       const int64_t *items, const float *scores)
{
    static ranked want[N_ITEMS];
    int64_t count = rank_plainly(of, user, IN_TRAIN | IN_VALID, want), left = 0;

    for (int64_t n = 0; n < count; n++)
        if (!excluded(want[n].item)) want[left++] = want[n];
    for (int64_t j = 0; j < K; j++) {
        assert_int_equal(items[j], j < left ? want[j].item : -1);
        assert_true(scores[j] == (j < left ? (float)want[j].score : 0));
    }
}

static void check_excluded(const shape *of, bool (*excluded)(int64_t), int rows)
{
    static uint8_t flags[N_ITEMS];
    static int64_t users[300], items[300 * K];
    static float scores[300 * K];
    cf_eval_request request = {users, 0, K, true, true, PLENTY, flags};
    problem p;

    create_problem(of, &world, rows, &p);
    for (int64_t i = 0; i < of->n_items; i++)
        flags[i] = excluded(i) ? 7 : 0;
    for (int64_t u = p.grid->my_column; u < p.shard.n_users; u += p.grid->n_columns)
        users[request.count++] = u;
    assert_ok(cf_eval_topk(&p.scorer, &request, items, scores));
    for (int64_t n = 0; n < request.count; n++)
        check_user(of, p.shard.first_user + users[n], excluded, items + n * K, scores + n * K);
    destroy_problem(&p);
}

static void excluded_items_are_not_ranked(void **state)
{
    (void)state;
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        check_excluded(&whole_shape, is_excluded, rows);
        check_excluded(&whole_shape, is_no_candidate, rows);
        check_excluded(&whole_history, is_excluded, rows);
    }
}

/* ---- Cosines -------------------------------------------------------------------------------- */

/* Each 50th item's row is all zeros. */
static float real_or_zero(bool is_item, int64_t row, int64_t k)
{
    return is_item && row % 50 == 49 ? 0 : real(is_item, row, k);
}

static const shape real_shape = {30, 1100, 56, real_or_zero, some_parts, false};

static double plain_cosine(int64_t a, int64_t b)
{
    double product = 0, square[2] = {0, 0};

    for (int64_t k = 0; k < real_shape.dim; k++) {
        const double x = real_or_zero(true, a, k), y = real_or_zero(true, b, k);

        product += x * y;
        square[0] += x * x;
        square[1] += y * y;
    }
    return product == 0 ? 0 : product / sqrt(square[0] * square[1]);
}

/* The K items that are most like `item`, by a full sort; the item itself is not one of them. */
static void rank_cosines(int64_t item, ranked *out)
{
    int64_t count = 0;

    for (int64_t i = 0; i < real_shape.n_items; i++)
        if (i != item) out[count++] = (ranked){plain_cosine(item, i), i};
    qsort(out, (size_t)count, sizeof *out, by_score_then_item);
}

/* The best items of some items of the block: `*users` are their local numbers. */
static int64_t rank_similar(const cf_par *par, int rows, int64_t *first, int64_t *users,
                            int64_t *items, float *scores)
{
    cf_eval_request request = {users, 0, K, true, true, PLENTY, NULL};
    cf_eval_scorer scorer;
    cf_shard *shard = NULL;
    problem p;

    create_problem(&real_shape, par, rows, &p);
    assert_ok(cf_dataset_create_item_shard(p.grid, &p.shard, &shard));
    scorer = cf_eval_cosines(p.items, shard);
    for (int64_t u = 0; u < shard->n_users; u++)
        if ((shard->first_user + u) % 49 == 0 && u % p.grid->n_columns == p.grid->my_column)
            users[request.count++] = u;
    assert_ok(cf_eval_topk(&scorer, &request, items, scores));
    *first = shard->first_user;
    cf_dataset_destroy_shard(&shard);
    destroy_problem(&p);
    return request.count;
}

/* Item 49 has a row of zeros: all are as like it as any. */
static void items_are_ranked_by_their_cosine(void **state)
{
    static int64_t users[1100], items[1100 * K], first;
    static float scores[1100 * K];
    static ranked want[1100];
    const int64_t count = rank_similar(&cf_test_self, 1, &first, users, items, scores);

    (void)state;
    assert_int_equal(count, 23);
    for (int64_t n = 0; n < count; n++) {
        rank_cosines(users[n], want);
        for (int64_t j = 0; j < K; j++) {
            assert_close(scores[n * K + j], want[j].score, 1e-6);
            assert_close(scores[n * K + j], plain_cosine(users[n], items[n * K + j]), 1e-6);
            assert_int_not_equal(items[n * K + j], users[n]);
            if (users[n] == 49) assert_int_equal(items[n * K + j], j);
        }
    }
}

static void cosines_have_the_same_bits_on_any_grid(void **state)
{
    static int64_t all[1100], want_items[1100 * K], users[1100], items[1100 * K], first;
    static float want[1100 * K], scores[1100 * K];
    const int64_t n_all = rank_similar(&cf_test_self, 1, &first, all, want_items, want);

    (void)state;
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        const int64_t count = rank_similar(&world, rows, &first, users, items, scores);

        for (int64_t n = 0, at = 0; n < count; n++) {
            while (at < n_all && all[at] != first + users[n])
                at++;
            assert_true(at < n_all);
            assert_memory_equal(items + n * K, want_items + at * K, K * sizeof *items);
            assert_memory_equal(scores + n * K, want + at * K, K * sizeof *scores);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(excluded_items_are_not_ranked),
    cmocka_unit_test(items_are_ranked_by_their_cosine),
    cmocka_unit_test(cosines_have_the_same_bits_on_any_grid),
};
CF_TEST_MAIN(tests)
