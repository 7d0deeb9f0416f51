/* Shards of users that the dataset does not have, and of items in the place of users. */
#include "cf_test.h"
#include "cf_test_graph.h"

#include "cf/dataset.h"

enum { N_ITEMS = 11 };

/* The items of the new users; the third has all, the fourth one. */
static const cf_lists items = {
    .count = 4,
    .start = (int64_t[]){0, 2, 5, 16, 17},
    .index = (int64_t[]){3, 8, 0, 3, 10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9}};

/* A shard that has no more than its items; item i has users 0 to i % 4. */
static cf_status create_like(const cf_grid *grid, cf_shard *like)
{
    cf_lists *lists = &like->train_by_item;

    assert_ok(cf_par_create_blocks(N_ITEMS, grid->n_rows, &like->items));
    like->first_item = like->items.start[grid->my_row];
    like->n_items = like->items.start[grid->my_row + 1] - like->first_item;
    like->n_base_items = N_ITEMS - 1;
    lists->count = like->n_items;
    assert_ok(CF_ALLOC(lists->start, like->n_items + 1));
    assert_ok(CF_ALLOC(lists->index, 4 * like->n_items));
    for (int64_t i = 0; i < like->n_items; i++) {
        lists->start[i + 1] = lists->start[i];
        for (int64_t u = 0; u <= (like->first_item + i) % 4; u++)
            lists->index[lists->start[i + 1]++] = u;
    }
    return CF_OK;
}

static void destroy_like(cf_shard *like)
{
    cf_par_destroy_blocks(&like->items);
    cf_free(&like->train_by_item.start);
    cf_free(&like->train_by_item.index);
}

static void check_users(const cf_shard *shard)
{
    for (int64_t u = 0; u < shard->n_users; u++) {
        const int64_t user = shard->first_user + u, *start = shard->added.start + u;
        const int64_t size = items.start[user + 1] - items.start[user];

        assert_int_equal(start[1] - start[0], size);
        assert_memory_equal(shard->added.index + start[0], items.index + items.start[user],
                            (size_t)size * sizeof(int64_t));
        assert_int_equal(shard->train.start[u + 1], 0);
        assert_int_equal(shard->valid.start[u + 1], 0);
        assert_int_equal(shard->test.start[u + 1], 0);
        assert_true(cf_dataset_knows_user(shard, u));
    }
}

static void check_items(const cf_shard *shard)
{
    const cf_lists *lists = &shard->train_by_item;
    int64_t e = 0;

    for (int64_t i = 0; i < shard->n_items; i++) {
        assert_int_equal(lists->start[i], e);
        for (int64_t u = 0; u <= (shard->first_item + i) % 4; u++)
            assert_int_equal(lists->index[e++], u);
    }
    assert_int_equal(lists->start[shard->n_items], e);
}

static void new_users_are_cut_into_blocks_on_the_same_items(void **state)
{
    cf_grid *grid = NULL;

    (void)state;
    for (int rows = 0; cf_test_next_grid(&world, world.size, &rows, &grid);) {
        cf_shard like = {0}, *shard = NULL;

        assert_ok(create_like(grid, &like));
        assert_ok(cf_dataset_create_user_shard(grid, &like, &items, &shard));
        assert_int_equal(shard->users.start[rows], items.count);
        assert_int_equal(shard->n_users, shard->added.count);
        assert_int_equal(shard->n_items, shard->train_by_item.count);
        assert_memory_equal(shard->items.start, like.items.start,
                            (size_t)(rows + 1) * sizeof(int64_t));
        check_users(shard);
        check_items(shard);
        cf_dataset_destroy_shard(&shard);
        destroy_like(&like);
    }
}

static void items_have_themselves(void **state)
{
    cf_grid *grid = NULL;
    cf_shard like = {0}, *shard = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(create_like(grid, &like));
    assert_ok(cf_dataset_create_item_shard(grid, &like, &shard));
    assert_int_equal(shard->first_user, like.first_item);
    assert_int_equal(shard->n_users, like.n_items);
    assert_int_equal(shard->users.start[world.size], N_ITEMS);
    for (int64_t k = 0; k < shard->n_users; k++) {
        assert_int_equal(shard->train.start[k + 1], k + 1);
        assert_int_equal(shard->train.index[k], like.first_item + k);
        assert_int_equal(shard->train_by_item.index[k], like.first_item + k);
        assert_int_equal(shard->valid.start[k + 1], 0);
    }
    cf_dataset_destroy_shard(&shard);
    destroy_like(&like);
    cf_par_destroy_grid(&grid);
}

/* ---- Failures ------------------------------------------------------------------------------- */

typedef struct attempt {
    cf_grid *grid;
    cf_shard like, *shard;
} attempt;

static cf_status make_both(void *context)
{
    attempt *a = context;
    cf_status status = cf_dataset_create_user_shard(a->grid, &a->like, &items, &a->shard);

    cf_dataset_destroy_shard(&a->shard);
    if (status == CF_OK) status = cf_dataset_create_item_shard(a->grid, &a->like, &a->shard);
    cf_dataset_destroy_shard(&a->shard);
    return status;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    attempt a = {0};

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &a.grid));
    assert_ok(create_like(a.grid, &a.like));
    cf_test_every_allocation(&(cf_test_trial){.attempt = make_both, .least = {15, 15}}, &a);
    destroy_like(&a.like);
    cf_par_destroy_grid(&a.grid);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(new_users_are_cut_into_blocks_on_the_same_items),
    cmocka_unit_test(items_have_themselves),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
