/* Leaves come back as they were written, of an appended dataset those of its base; blocks begin
 * with leaves, for users and items alike, or inside a leaf that is too large; wrong leaves are
 * refused. */
#include "fixture.h"

enum { BASE_USERS = 30, BASE_ITEMS = 18, MOST_LEAVES = 12 };

static const cf_dataset_base base = {0x0123456789abcdef, BASE_USERS, BASE_ITEMS};

/* Cut n rows into leaves of different sizes, some of them empty. */
static void cut_leaves(int64_t n, int64_t count, int64_t *start)
{
    for (int64_t k = 0; k <= count; k++)
        start[k] = k == count ? n : n * k * k / (count * count);
}

static cf_status write_leaves(const char *path, const cf_leaves *leaves, const cf_dataset_base *to)
{
    formula from;
    cf_dataset_content content = make_content(CF_F16, &from);
    cf_lists added = {0};
    int64_t first, count;
    cf_status status;

    my_range(N_USERS, &first, &count);
    if (to != NULL) {
        added = content.train; /* all train interactions are added ones, but for a user's */
        content.train = make_lists(0, false, first, count);
        for (int64_t k = 0; k < count; k++)
            content.train.start[k + 1] = first + k >= 1;
        if (first == 0 && count > 1) content.train.start[1] = 0, content.train.index[0] = 3;
        content.added = added;
        content.base = *to;
    }
    content.leaves = *leaves;
    status = cf_dataset_write(&world, path, &content);
    if (to != NULL) free_lists(&content.added);
    free_content(&content);
    return status;
}

/* The work of the formula before a row. */
static int64_t work_before(bool by_item, int64_t row)
{
    cf_lists lists = make_lists(1, by_item, 0, row);
    const int64_t work = lists.start[row] + CF_ROW_WORK * row;

    free_lists(&lists);
    return work;
}

/* By the rule in plain words: the nearest leaf if it is within 1/16 of a block, else the share. */
static void check_boundary(const cf_shard *shard, const cf_leaves *leaves, int b)
{
    const int64_t total = work_before(false, N_USERS) + work_before(true, N_ITEMS);
    const int64_t share = cf_par_even_start(total, shard->users.count, b);
    const int64_t got[2] = {shard->users.start[b], shard->items.start[b]};
    int64_t best = 0, off = total, inside = 0;

    for (int64_t k = 0; k <= leaves->count; k++) {
        const int64_t before =
            work_before(false, leaves->start[0][k]) + work_before(true, leaves->start[1][k]);

        if (llabs(before - share) < off) {
            off = llabs(before - share);
            best = k;
        }
        if (before <= share) inside = k;
    }
    for (int side = 0; side < 2; side++) {
        const int64_t begin = leaves->start[side][inside], end = leaves->start[side][inside + 1];

        if (off <= total / shard->users.count / 16)
            assert_int_equal(got[side], leaves->start[side][best]);
        else
            assert_true(got[side] >= begin && got[side] <= end);
    }
    /* inside a leaf no block is off its share by more than a row of each side */
    if (off > total / shard->users.count / 16) {
        const int64_t work = work_before(false, got[0]) + work_before(true, got[1]);

        assert_true(llabs(work - share) <= N_USERS + N_ITEMS + 2 * CF_ROW_WORK);
    }
}

static void blocks_begin_with_leaves(void **state)
{
    static const int64_t counts[] = {1, 2, 3, 5, MOST_LEAVES};

    (void)state;
    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
        const char *path = cf_test_scratch("leaves.h5");
        int64_t start[2][MOST_LEAVES + 1];
        const cf_leaves leaves = {.count = counts[n], .start = {start[0], start[1]}};
        cf_dataset *dataset = NULL;
        cf_grid *grid = NULL;

        cut_leaves(N_USERS, counts[n], start[0]);
        cut_leaves(N_ITEMS, counts[n], start[1]);
        assert_ok(write_leaves(path, &leaves, NULL));
        assert_ok(cf_dataset_open(&world, path, &dataset));
        assert_int_equal(dataset->leaves.count, counts[n]);
        for (int side = 0; side < 2; side++)
            assert_memory_equal(dataset->leaves.start[side], start[side],
                                (size_t)(counts[n] + 1) * sizeof **start);
        for (int rows = 0; cf_test_next_grid(&world, world.size, &rows, &grid);) {
            cf_shard *shard = NULL;
            cf_lists want;

            assert_ok(cf_dataset_load_shard(dataset, grid, &shard));
            for (int b = 1; b < rows; b++)
                check_boundary(shard, &leaves, b);
            want = make_lists(1, false, shard->first_user, shard->n_users);
            assert_memory_equal(shard->train.index, want.index,
                                (size_t)want.start[want.count] * sizeof *want.index);
            free_lists(&want);
            cf_dataset_destroy_shard(&shard);
        }
        cf_dataset_close(&dataset);
    }
}

/* Even parts of work 100 each, of both sides; the last is empty. */
static void targets_are_those_of_the_rule(void **state)
{
    int64_t users[] = {0, 60, 120, 180, 240, 240}, items[] = {0, 40, 80, 120, 160, 160};
    int64_t got[2][5];

    (void)state;
    cf_dataset_find_targets((int64_t *[2]){users, items}, 5, 4, (int64_t *[2]){got[0], got[1]});
    for (int b = 0; b < 4; b++) {
        assert_int_equal(got[0][b], users[b]);
        assert_int_equal(got[1][b], items[b]);
    }
    /* 3 blocks of 133: the shares 134 and 267 are more than 1/16 from any leaf */
    cf_dataset_find_targets((int64_t *[2]){users, items}, 5, 3, (int64_t *[2]){got[0], got[1]});
    assert_int_equal(got[0][1], 60 + 60 * 34 / 100);
    assert_int_equal(got[1][1], 40 + 40 * 34 / 100);
    assert_int_equal(got[0][2], 120 + 60 * 67 / 100);
    /* 2 blocks of 200, where leaf 2 begins at 195 or at 205, within 12 */
    users[2] = 115;
    cf_dataset_find_targets((int64_t *[2]){users, items}, 5, 2, (int64_t *[2]){got[0], got[1]});
    assert_int_equal(got[0][1], 115);
    assert_int_equal(got[1][1], 80);
    users[2] = 125;
    cf_dataset_find_targets((int64_t *[2]){users, items}, 5, 2, (int64_t *[2]){got[0], got[1]});
    assert_int_equal(got[0][1], 125);
    assert_int_equal(got[1][1], 80);
}

/* The leaves are those of the base; what is behind them is in the last blocks. */
static void leaves_of_a_base_come_back(void **state)
{
    const char *path = cf_test_scratch("appended.h5");
    int64_t start[2][4] = {{0, 10, 20, BASE_USERS}, {0, 6, 12, BASE_ITEMS}}, crossing[] = {9};
    const cf_leaves leaves = {3, {start[0], start[1]}, 1, crossing};
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;

    (void)state;
    assert_ok(write_leaves(path, &leaves, &base));
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_int_equal(dataset->leaves.count, 3);
    assert_int_equal(dataset->leaves.start[0][3], BASE_USERS);
    assert_int_equal(dataset->leaves.n_crossing, 1);
    assert_int_equal(dataset->leaves.crossing[0], 9);
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(cf_dataset_load_shard(dataset, grid, &shard));
    assert_int_equal(shard->users.start[world.size], N_USERS);
    assert_int_equal(shard->items.start[world.size], N_ITEMS);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
}

static void a_file_without_leaves_has_none(void **state)
{
    const char *path = cf_test_scratch("none.h5");
    cf_dataset *dataset = NULL;

    (void)state;
    assert_ok(write_dataset(path, CF_F16));
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_int_equal(dataset->leaves.count, 0);
    assert_null(dataset->leaves.start[0]);
    cf_dataset_close(&dataset);
}

static void wrong_leaves_are_refused(void **state)
{
    static const struct {
        int64_t start[2][4];
        const char *words;
        int64_t n_crossing, crossing[2];
    } wrong[] = {
        {.start = {{0, 20, 10, N_USERS}, {0, 6, 12, N_ITEMS}},
         .words = "/users/leaf_start is damaged: 10 is not"},
        {.start = {{0, 10, 20, N_USERS}, {1, 6, 12, N_ITEMS}},
         .words = "/items/leaf_start is damaged: expected"},
        {.start = {{0, 10, 20, N_USERS - 1}, {0, 6, 12, N_ITEMS}},
         .words = "/users/leaf_start is damaged: expected"},
        {.start = {{0, 10, 20, N_USERS}, {0, 6, 12, N_ITEMS + 1}},
         .words = "is not between 12 and 23"},
        {.start = {{0, 10, 20, N_USERS}, {0, 6, 12, N_ITEMS}},
         .words = "number 0 is -1",
         .n_crossing = 1,
         .crossing = {-1}},
        {.start = {{0, 10, 20, N_USERS}, {0, 6, 12, N_ITEMS}},
         .words = "number 1 is 7, expected",
         .n_crossing = 2,
         .crossing = {5, 7}},
    };

    (void)state;
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        const char *path = cf_test_scratch("wrong.h5");
        int64_t start[2][4], crossing[2];
        const cf_leaves leaves = {3, {start[0], start[1]}, wrong[k].n_crossing, crossing};
        cf_dataset *dataset = NULL;

        memcpy(start, wrong[k].start, sizeof start);
        memcpy(crossing, wrong[k].crossing, sizeof crossing);
        assert_ok(write_leaves(path, &leaves, NULL));
        assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_ERR_FORMAT);
        assert_non_null(strstr(cf_error_message(), wrong[k].words));
        assert_null(dataset);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(blocks_begin_with_leaves),   cmocka_unit_test(targets_are_those_of_the_rule),
    cmocka_unit_test(leaves_of_a_base_come_back), cmocka_unit_test(a_file_without_leaves_has_none),
    cmocka_unit_test(wrong_leaves_are_refused),
};
CF_TEST_MAIN(tests)
