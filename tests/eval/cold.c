/* Tables of warm, cold and all candidates where items are marked, and hidden items: golden numbers,
 * the same bits on all grids, problems without cold targets or without candidates, lack of memory.
 */
#include "problem.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#define GOLDEN CF_TEST_DATA "/golden/cold/tables.json"

enum { N_USERS = 60, N_ITEMS = 1300, N_TOPK = 3 };
static const cf_eval_options masked = {
    .n_topk = N_TOPK, .topk = {10, 20, 50}, .mask_history = true, .memory = 64 << 20};

/* ---- The golden problem: tests/data/golden_metrics.py has the same formulas ---- */

static uint32_t drawn(uint32_t what, uint32_t user, uint32_t item)
{
    uint32_t x = user * 2654435761U + item * 40503U + what * 974711U;

    x = (x ^ x >> 15) * 2246822519U;
    return x ^ x >> 13;
}

static uint8_t mark(int64_t item)
{
    const uint32_t kind = item >= 512 && item < 1024 ? 19 : drawn(2, 0, (uint32_t)item) % 20;

    return kind < 2 ? 1 : kind < 4 ? 2 : kind < 5 ? 3 : 0;
}

static bool is_hidden(int64_t item)
{
    return drawn(3, 0, (uint32_t)item) % 11 == 0;
}

static int parts(int64_t user, int64_t item)
{
    const uint32_t draw = drawn(1, (uint32_t)user, (uint32_t)item) % 1000;
    const bool has_positive = user % 7 != 3;
    const uint8_t cold = mark(item);

    if (cold == 0 && draw < 15) return user % 10 != 9 ? IN_TRAIN : 0;
    if (!has_positive || draw >= 24) return 0;
    if (cold == 0) return draw < 19 ? IN_VALID : IN_TEST;
    return draw < 12 ? (cold & 1 ? IN_VALID : 0) : (cold & 2 ? IN_TEST : 0);
}

/* Users are rows of scores, items unit vectors: the dot products are the scores, exactly. */
static float value(bool is_item, int64_t row, int64_t k)
{
    const uint32_t user = (uint32_t)row, item = (uint32_t)k;

    if (is_item) return (float)(row == k);
    return (float)(drawn(0, user, item) % 41) / 8 +
           (parts(row, k) & (IN_VALID | IN_TEST) ? (float)(drawn(4, user, item) % 4) * 0.75F : 0);
}

static const shape golden = {N_USERS, N_ITEMS, N_ITEMS, value, parts, false};
static uint8_t marks[N_ITEMS], hidden[N_ITEMS];

/* On any grid, with its marks. */
static void create_marked(const cf_par *par, int rows, problem *p)
{
    create_problem(&golden, par, rows, p);
    for (int64_t i = 0; i < N_ITEMS; i++) {
        marks[i] = mark(i);
        hidden[i] = is_hidden(i) ? 4 : 0;
    }
    p->shard.cold = marks;
}

static cf_cold_metrics measure(const problem *p, cf_split split, bool mask)
{
    cf_eval_options options = masked;
    cf_cold_metrics got;

    options.mask_history = mask;
    assert_ok(cf_eval_run_cold(&p->scorer, split, &options, NULL, &got));
    return got;
}

/* ---- Golden numbers ---- */

static double value_of_table(const cf_metrics *table, const char *key)
{
    double found = -1;

    if (strcmp(key, "users") == 0) return (double)table->n_users;
    if (strcmp(key, "positives") == 0) return (double)table->n_positives;
    assert_ok(cf_eval_metric(table, key, &found));
    return found;
}

/* What "warm/recall@10", "cold_hit@20", "warm_targets" or "left_out" names. */
static double value_of(const cf_cold_metrics *got, const char *key)
{
    for (int c = 0; c < CF_N_CANDIDATES; c++) {
        const size_t length = strlen(cf_eval_candidate_names[c]);

        if (strncmp(key, cf_eval_candidate_names[c], length) != 0) continue;
        if (key[length] == '/') return value_of_table(&got->table[c], key + length + 1);
        if (strcmp(key + length, "_targets") == 0) return (double)got->n_targets[c];
        for (int t = 0; t < N_TOPK; t++)
            if (strtoll(strchr(key, '@') + 1, NULL, 10) == masked.topk[t]) return got->hit[c][t];
    }
    assert_string_equal(key, "left_out");
    return (double)got->n_left_out;
}

/* Sums of 60 doubles, in two orders: 1e-12 is far above their rounding and far below one rank's
 * worth. */
static void check_golden(const cf_cold_metrics *got, const char *name)
{
    FILE *file = fopen(GOLDEN, "r");
    char line[256], kind[64], key[64];
    int n_values = 0;
    double want;

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, " \"%63[^/]/%63[^\"]\": %lf", kind, key, &want) != 3) continue;
        if (strcmp(kind, name) != 0) continue;
        assert_close(value_of(got, key), want, 1e-12);
        n_values++;
    }
    fclose(file);
    assert_int_equal(n_values, 3 * (2 + CF_N_METRICS * N_TOPK) + 2 * (1 + N_TOPK) + 1);
    assert_true(got->is_marked);
    for (int c = 0; c < CF_N_CANDIDATES; c++)
        assert_true(got->has[c] && got->table[c].n_users > 0);
}

static void agrees_with_golden_numbers(void **state)
{
    (void)state;
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        cf_cold_metrics got;
        problem p;

        create_marked(&world, rows, &p);
        got = measure(&p, CF_SPLIT_TEST, true);
        check_golden(&got, "test");
        assert_int_equal(got.table[CF_COLD].n_cold, 0);
        assert_true(got.table[CF_ALL].n_cold > 0);
        got = measure(&p, CF_SPLIT_VALID, true);
        check_golden(&got, "valid");
        got = measure(&p, CF_SPLIT_TEST, false);
        check_golden(&got, "unmasked");
        p.scorer.hidden = hidden;
        got = measure(&p, CF_SPLIT_TEST, true);
        check_golden(&got, "hidden");
        destroy_problem(&p);
    }
}

/* ---- One table alone ---- */

/* All but the flags, which have padding. */
static void check_same(const cf_cold_metrics *got, const cf_cold_metrics *want)
{
    assert_memory_equal(got->table, want->table, sizeof got->table);
    assert_memory_equal(got->n_targets, want->n_targets, sizeof got->n_targets);
    assert_memory_equal(got->hit, want->hit, sizeof got->hit);
    assert_int_equal(got->n_left_out, want->n_left_out);
}

/* cf_eval_run() has the table of all, with or without its details, and cf_eval_run_warm() that of
 * warm items, to the bit; on any grid, with any number of threads, in any memory. */
static void bits_do_not_depend_on_grid_threads_memory_or_other_tables(void **state)
{
    const int before = omp_get_max_threads();
    cf_cold_metrics alone;
    problem p;

    (void)state;
    create_marked(&cf_test_self, 1, &p);
    alone = measure(&p, CF_SPLIT_VALID, true);
    destroy_problem(&p);
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        create_marked(&world, rows, &p);
        for (int threads = 1; threads <= 2; threads++) {
            cf_eval_options options = masked;
            cf_eval_detail detail = {.groups = true, .per_user = true};
            cf_cold_metrics got;
            cf_metrics one;

            options.memory = threads == 1 ? 7 << 20 : 64 << 20; /* one tile of items, and all */
            omp_set_num_threads(threads);
            assert_ok(cf_eval_run_cold(&p.scorer, CF_SPLIT_VALID, &options, &detail, &got));
            check_same(&got, &alone);
            assert_int_equal(detail.group[0].n_topk, N_TOPK);
            cf_eval_destroy_detail(&detail);
            assert_ok(cf_eval_run(&p.scorer, CF_SPLIT_VALID, &options, &one));
            assert_memory_equal(&one, &alone.table[CF_ALL], sizeof one);
            assert_ok(cf_eval_run_warm(&p.scorer, CF_SPLIT_VALID, &options, &one));
            assert_memory_equal(&one, &alone.table[CF_WARM], sizeof one);
        }
        destroy_problem(&p);
    }
    omp_set_num_threads(before);
}

/* Without marks there is one table, and warm items are all items. */
static void without_marks_there_is_one_table(void **state)
{
    cf_cold_metrics got;
    cf_metrics one, warm;
    problem p;

    (void)state;
    create_marked(&world, world.size, &p);
    p.shard.cold = NULL;
    got = measure(&p, CF_SPLIT_TEST, true);
    assert_true(got.has[CF_ALL] && !got.has[CF_WARM] && !got.has[CF_COLD] && !got.is_marked);
    assert_ok(cf_eval_run(&p.scorer, CF_SPLIT_TEST, &masked, &one));
    assert_memory_equal(&one, &got.table[CF_ALL], sizeof one);
    assert_ok(cf_eval_run_warm(&p.scorer, CF_SPLIT_TEST, &masked, &warm));
    assert_memory_equal(&warm, &one, sizeof one);
    assert_true(one.mean[CF_NDCG][0] > 0);
    destroy_problem(&p);
}

/* ---- Nothing to find ---- */

static void a_part_without_cold_items_has_no_cold_table(void **state)
{
    cf_cold_metrics got;
    cf_metrics without;
    problem p;

    (void)state;
    create_marked(&world, 1, &p);
    for (int64_t i = 0; i < N_ITEMS; i++)
        marks[i] &= CF_COLD_VALID;
    got = measure(&p, CF_SPLIT_VALID, true);
    assert_true(got.table[CF_COLD].n_users > 0);
    /* the test positives of items that lost their mark of the test part */
    for (int64_t i = 0; i < N_ITEMS; i++)
        marks[i] = mark(i) == CF_COLD_VALID ? CF_COLD_VALID : 0;
    got = measure(&p, CF_SPLIT_TEST, true);
    assert_int_equal(got.table[CF_COLD].n_users, 0);
    assert_int_equal(got.table[CF_COLD].n_positives, 0);
    assert_true(got.table[CF_COLD].mean[CF_NDCG][0] == 0);
    assert_int_equal(got.n_targets[CF_COLD], 0);
    assert_true(got.hit[CF_COLD][0] == 0);
    assert_int_equal(got.n_left_out, 0);
    assert_memory_equal(&got.table[CF_WARM], &got.table[CF_ALL], sizeof(cf_metrics));
    assert_true(got.table[CF_ALL].mean[CF_NDCG][0] > 0);
    p.shard.cold = NULL; /* then the items of the valid part are ranked too */
    assert_ok(cf_eval_run(&p.scorer, CF_SPLIT_TEST, &masked, &without));
    assert_int_equal(without.n_users, got.table[CF_ALL].n_users);
    assert_true(memcmp(without.mean, got.table[CF_ALL].mean, sizeof without.mean) != 0);
    destroy_problem(&p);
}

static void hidden_items_are_misses_and_are_not_recommended(void **state)
{
    static int64_t users[N_USERS], items[N_USERS * 50];
    static float scores[N_USERS * 50];
    cf_eval_request request = {users, 0, 50, true, true, 64 << 20, NULL};
    cf_cold_metrics got;
    problem p;

    (void)state;
    create_marked(&world, world.size, &p);
    p.scorer.hidden = hidden;
    for (int64_t u = 0; u < p.shard.n_users; u++)
        users[request.count++] = u;
    for (int all = 0; all < 2; all++) {
        if (all) memset(hidden, 1, sizeof hidden);
        assert_ok(cf_eval_topk(&p.scorer, &request, items, scores));
        for (int64_t k = 0; k < request.count * 50; k++) {
            assert_true(all ? items[k] == -1 : items[k] >= 0);
            if (items[k] >= 0) assert_false(is_hidden(items[k]));
        }
    }
    got = measure(&p, CF_SPLIT_TEST, true);
    for (int c = 0; c < CF_N_CANDIDATES; c++) {
        assert_true(got.table[c].n_users > 0 && got.table[c].n_positives > 0);
        assert_true(got.table[c].mean[CF_HIT][N_TOPK - 1] == 0);
    }
    assert_true(got.n_targets[CF_COLD] > 0 && got.hit[CF_COLD][N_TOPK - 1] == 0);
    destroy_problem(&p);
}

static cf_eval_scorer counted;
static int n_scored; /* tiles, by this rank */

static void count_tile(const cf_eval_scorer *scorer, const cf_eval_tile *tile, float *scores)
{
#pragma omp atomic
    n_scored++;
    counted.scores(scorer, tile, scores);
}

/* A NaN is no error where its item is in no list; a tile without candidates is not scored. */
static float bad_value(bool is_item, int64_t row, int64_t k)
{
    return is_item ? (float)(row == k) * (row < 512 ? NAN : 1) : value(false, row, k);
}

static void items_of_no_list_are_not_looked_at(void **state)
{
    shape of = golden;
    cf_metrics got;
    problem p;

    (void)state;
    of.value = bad_value;
    create_problem(&of, &world, world.size, &p);
    p.shard.cold = NULL;
    assert_int_equal(cf_eval_run(&p.scorer, CF_SPLIT_TEST, &masked, &got), CF_ERR_NUMERIC);
    for (int64_t i = 0; i < N_ITEMS; i++)
        marks[i] = i < 512 ? CF_COLD_VALID : 0;
    p.shard.cold = marks;
    counted = p.scorer;
    p.scorer.scores = count_tile;
    n_scored = 0;
    assert_ok(cf_eval_run(&p.scorer, CF_SPLIT_TEST, &masked, &got));
    assert_true(got.mean[CF_NDCG][0] > 0);
    assert_int_equal(n_scored, p.shard.n_users > 0 ? 2 : 0); /* of three: the users are one tile */
    destroy_problem(&p);
}

/* ---- Errors ---- */

static void a_valid_part_without_a_candidate_is_refused(void **state)
{
    cf_eval_options options = masked;
    problem p;

    (void)state;
    create_marked(&world, world.size, &p);
    for (int which = 0; which < 2; which++) {
        options.valid_candidates = which == 0 ? CF_WARM : CF_ALL;
        assert_ok(cf_eval_check_candidates(p.grid, &p.shard, &options));
    }
    memset(marks, CF_COLD_VALID, sizeof marks);
    assert_ok(cf_eval_check_candidates(p.grid, &p.shard, &options));
    options.valid_candidates = CF_WARM;
    assert_int_equal(cf_eval_check_candidates(p.grid, &p.shard, &options), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "valid_candidates: warm"));
    p.shard.cold = NULL;
    assert_ok(cf_eval_check_candidates(p.grid, &p.shard, &options));
    destroy_problem(&p);
}

static cf_status try_tables(void *context)
{
    const problem *p = context;
    cf_eval_detail detail = {.groups = true, .per_user = true};
    cf_cold_metrics got = {.n_left_out = -1};
    cf_status status = cf_eval_run_cold(&p->scorer, CF_SPLIT_TEST, &masked, &detail, &got);

    if (status != CF_OK) {
        assert_null(detail.values);
        assert_int_equal(got.n_left_out, -1);
    }
    cf_eval_destroy_detail(&detail);
    return status;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = try_tables};
    problem p;

    (void)state;
    create_marked(&world, world.size % 2 == 0 ? 2 : 1, &p);
    p.scorer.hidden = hidden;
    assert_true(cf_test_every_allocation(&trial, &p) >= 24);
    destroy_problem(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(agrees_with_golden_numbers),
    cmocka_unit_test(bits_do_not_depend_on_grid_threads_memory_or_other_tables),
    cmocka_unit_test(without_marks_there_is_one_table),
    cmocka_unit_test(a_part_without_cold_items_has_no_cold_table),
    cmocka_unit_test(hidden_items_are_misses_and_are_not_recommended),
    cmocka_unit_test(items_of_no_list_are_not_looked_at),
    cmocka_unit_test(a_valid_part_without_a_candidate_is_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
