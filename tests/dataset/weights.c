/* Weights of train interactions come back from both sides, on any grid, and the file does not
 * depend on the ranks that wrote it. A dataset without them has none. */
#include "fixture.h"

#include <math.h>

/* By all ranks, or by rank 0 alone; `spoilt`: the first weight, if not 0. */
static void write_weighted(const char *path, bool alone, float spoilt)
{
    const bool has_all = alone && world.rank == 0;
    int64_t users[2], items[2];
    cf_dataset_content content;
    formula from;

    my_range(N_USERS, &users[0], &users[1]);
    my_range(N_ITEMS, &items[0], &items[1]);
    if (alone) {
        users[0] = items[0] = 0;
        users[1] = has_all ? N_USERS : 0;
        items[1] = has_all ? N_ITEMS : 0;
    }
    content = make_part(users, items, CF_F32, &from);
    add_weights(&content.train, false, users[0]);
    if (spoilt != 0 && world.rank == 0) content.train.weight[0] = spoilt;
    assert_ok(cf_dataset_write(&world, path, &content));
    free_content(&content);
}

static void check_lists(const cf_lists *got, bool by_item, int64_t first)
{
    cf_lists want = make_lists(1, by_item, first, got->count);

    add_weights(&want, by_item, first);
    assert_non_null(got->weight);
    assert_int_equal(got->start[got->count], want.start[want.count]);
    for (int64_t e = 0; e < want.start[want.count]; e++) {
        assert_int_equal(got->index[e], want.index[e]);
        assert_true(got->weight[e] == want.weight[e]);
    }
    free_lists(&want);
}

static void weights_come_back_on_every_grid(void **state)
{
    const char *path = cf_test_scratch("weights.h5");
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;

    (void)state;
    write_weighted(path, false, 0);
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_true(dataset->has_weights);
    for (int rows = 0; cf_test_next_grid(&world, world.size, &rows, &grid);) {
        cf_shard *shard = NULL;

        assert_ok(cf_dataset_load_shard(dataset, grid, &shard));
        check_lists(&shard->train, false, shard->first_user);
        check_lists(&shard->train_by_item, true, shard->first_item);
        assert_null(shard->valid.weight);
        cf_dataset_destroy_shard(&shard);
    }
    cf_dataset_close(&dataset);
}

static void sums_by_item_come_back(void **state)
{
    const char *path = cf_test_scratch("weights.h5");
    int64_t first, count;
    cf_dataset *dataset = NULL;
    double sums[N_ITEMS];

    (void)state;
    write_weighted(path, false, 0);
    my_range(N_ITEMS, &first, &count);
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_ok(cf_dataset_read_item_weights(dataset, first, count, sums));
    for (int64_t k = 0; k < count; k++) {
        double want = 0;

        for (int64_t u = 0; u < N_USERS; u++)
            if (part_of(u, first + k) == 1) want += (double)make_weight(u, first + k);
        assert_true(sums[k] == want);
    }
    cf_dataset_close(&dataset);
}

static void the_ranks_change_no_byte(void **state)
{
    const char *path = cf_test_scratch("weights.h5");
    uint64_t digest[2];

    (void)state;
    for (int alone = 0; alone < 2; alone++) {
        cf_dataset *dataset = NULL;

        write_weighted(path, alone == 1, 0);
        assert_ok(cf_dataset_open(&world, path, &dataset));
        digest[alone] = dataset->digest;
        cf_dataset_close(&dataset);
    }
    assert_true(digest[0] == digest[1]);
}

static void a_dataset_without_weights_has_none(void **state)
{
    const char *path = cf_test_scratch("weights.h5");
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;

    (void)state;
    assert_ok(write_dataset(path, CF_F32));
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_false(dataset->has_weights);
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(cf_dataset_load_shard(dataset, grid, &shard));
    assert_null(shard->train.weight);
    assert_null(shard->train_by_item.weight);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
}

static void wrong_weights_are_refused(void **state)
{
    static const float wrong[] = {-1, NAN, INFINITY};

    (void)state;
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        const char *path = cf_test_scratch("weights.h5");
        cf_dataset *dataset = NULL;
        cf_grid *grid = NULL;
        cf_shard *shard = NULL;
        double sums[N_ITEMS];

        write_weighted(path, false, wrong[k]);
        assert_ok(cf_dataset_open(&world, path, &dataset));
        assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
        assert_refused(cf_dataset_load_shard(dataset, grid, &shard), CF_ERR_FORMAT,
                       "/train/weight is damaged: ");
        assert_refused(
            cf_dataset_read_item_weights(dataset, 0, world.rank == 0 ? N_ITEMS : 0, sums),
            CF_ERR_FORMAT, "/train/weight_by_item is damaged: ");
        cf_par_destroy_grid(&grid);
        cf_dataset_close(&dataset);
    }
}

/* Allocations of writing, and then of reading, fail on each rank in turn. */
typedef struct trial {
    const char *path;
    cf_dataset_content content;
    cf_dataset *dataset;
    cf_grid *grid;
    cf_shard *shard;
} trial;

static cf_status try_write(void *context)
{
    const trial *t = context;

    return cf_dataset_write(&world, t->path, &t->content);
}

static cf_status try_read(void *context)
{
    trial *t = context;
    double sums[N_ITEMS];
    cf_status status = cf_dataset_load_shard(t->dataset, t->grid, &t->shard);

    if (status != CF_OK) return status;
    return cf_dataset_read_item_weights(t->dataset, 0, world.rank == 0 ? N_ITEMS : 0, sums);
}

static void drop_shard(void *context)
{
    cf_dataset_destroy_shard(&((trial *)context)->shard);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial writing = {.attempt = try_write, .thinning = 16},
                        reading = {.attempt = try_read, .clean_up = drop_shard, .thinning = 16};
    int64_t first, count;
    formula from;
    trial t = {.path = cf_test_scratch("weights.h5")};

    (void)state;
    my_range(N_USERS, &first, &count);
    t.content = make_content(CF_F32, &from);
    add_weights(&t.content.train, false, first);
    assert_true(cf_test_every_allocation(&writing, &t) > 10);
    free_content(&t.content);
    write_weighted(t.path, false, 0);
    assert_ok(cf_dataset_open(&world, t.path, &t.dataset));
    assert_ok(cf_par_create_grid(&world, world.size, 1, &t.grid));
    assert_true(cf_test_every_allocation(&reading, &t) > 10);
    cf_par_destroy_grid(&t.grid);
    cf_dataset_close(&t.dataset);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(weights_come_back_on_every_grid),
    cmocka_unit_test(sums_by_item_come_back),
    cmocka_unit_test(the_ranks_change_no_byte),
    cmocka_unit_test(a_dataset_without_weights_has_none),
    cmocka_unit_test(wrong_weights_are_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
