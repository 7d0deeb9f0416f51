/* Datasets that are appended to others: the base and the added items come back on every grid, and
 * what a model knows of a user is told. */
#include "fixture.h"

enum { BASE_USERS = 30, BASE_ITEMS = 18 };

static const cf_dataset_base base = {0x0123456789abcdef, BASE_USERS, BASE_ITEMS};

/* Of the formula's train interactions, those of the base's users and items stay, but for a few; the
 * others are added. */
static bool is_added(int64_t user, int64_t item)
{
    return user >= BASE_USERS || item >= BASE_ITEMS || user % 7 == 1;
}

/* Keep the entries that are added, or that are not. */
static void choose(cf_lists *lists, int64_t first_user, bool added)
{
    int64_t n = 0, begin = 0;

    for (int64_t k = 0; k < lists->count; k++) {
        const int64_t end = lists->start[k + 1];

        for (int64_t e = begin; e < end; e++)
            if (is_added(first_user + k, lists->index[e]) == added)
                lists->index[n++] = lists->index[e];
        begin = end;
        lists->start[k + 1] = n;
    }
}

static cf_lists make_added(int64_t first, int64_t count, bool added)
{
    cf_lists lists = make_lists(1, false, first, count);

    choose(&lists, first, added);
    return lists;
}

static cf_status write_appended(const char *path, const cf_dataset_base *to)
{
    formula from;
    cf_dataset_content content = make_content(CF_F16, &from);
    int64_t first, count;
    cf_status status;

    my_range(N_USERS, &first, &count);
    free_lists(&content.train);
    content.train = make_added(first, count, false);
    content.added = make_added(first, count, true);
    content.base = *to;
    status = cf_dataset_write(&world, path, &content);
    free_lists(&content.added);
    free_content(&content);
    return status;
}

static void check_equal(const cf_lists *got, const cf_lists *want)
{
    assert_int_equal(got->count, want->count);
    assert_memory_equal(got->start, want->start, (size_t)(want->count + 1) * sizeof *want->start);
    assert_memory_equal(got->index, want->index,
                        (size_t)want->start[want->count] * sizeof *want->index);
}

/* Which train items the shard of added items has, by plain loops. */
static bool is_pooled(int64_t user, int64_t item)
{
    bool has_train = false;

    for (int64_t i = 0; i < N_ITEMS; i++)
        has_train |= part_of(user, i) == 1 && !is_added(user, i);
    return !has_train && part_of(user, item) == 1 && is_added(user, item) && item < BASE_ITEMS;
}

static void check_pooled(const cf_shard *shard)
{
    int64_t e = 0;

    for (int64_t u = 0; u < shard->n_users; u++)
        for (int64_t i = 0; i < N_ITEMS; i++)
            if (is_pooled(shard->first_user + u, i)) assert_int_equal(shard->train.index[e++], i);
    assert_int_equal(shard->train.start[shard->n_users], e);
    e = 0;
    for (int64_t i = 0; i < shard->n_items; i++) {
        assert_int_equal(shard->train_by_item.start[i], e);
        for (int64_t u = 0; u < N_USERS; u++)
            if (is_pooled(u, shard->first_item + i))
                assert_int_equal(shard->train_by_item.index[e++], u);
    }
    assert_int_equal(shard->train_by_item.start[shard->n_items], e);
}

static void check_shard(const cf_grid *grid, const cf_shard *shard)
{
    cf_lists train = make_added(shard->first_user, shard->n_users, false);
    cf_lists added = make_added(shard->first_user, shard->n_users, true);
    cf_shard *pooled = NULL;
    int64_t n_unknown = 0;

    check_equal(&shard->train, &train);
    check_equal(&shard->added, &added);
    assert_int_equal(shard->n_base_items, BASE_ITEMS);
    assert_ok(cf_dataset_create_added_shard(grid, shard, &pooled));
    assert_int_equal(pooled->first_user, shard->first_user);
    assert_memory_equal(pooled->users.start, shard->users.start,
                        (size_t)(grid->n_rows + 1) * sizeof(int64_t));
    assert_memory_equal(pooled->items.start, shard->items.start,
                        (size_t)(grid->n_rows + 1) * sizeof(int64_t));
    check_pooled(pooled);
    for (int64_t u = 0; u < shard->n_users; u++) {
        bool knows = false;

        for (int64_t i = 0; i < N_ITEMS; i++)
            if (part_of(shard->first_user + u, i) == 1)
                knows |= i < BASE_ITEMS || !is_added(shard->first_user + u, i);
        assert_int_equal(cf_dataset_knows_user(shard, u), knows);
        n_unknown += !knows && added.start[u + 1] > added.start[u];
    }
    MPI_Allreduce(MPI_IN_PLACE, &n_unknown, 1, MPI_INT64_T, MPI_SUM, grid->column.comm);
    assert_int_equal(n_unknown, 2); /* users who have appended items alone */
    cf_dataset_destroy_shard(&pooled);
    free_lists(&train);
    free_lists(&added);
}

static void base_and_added_items_come_back_on_every_grid(void **state)
{
    const char *path = cf_test_scratch("appended.h5");
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;

    (void)state;
    assert_ok(write_appended(path, &base));
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_true(dataset->is_appended);
    assert_true(dataset->base.digest == base.digest && dataset->digest != base.digest);
    assert_int_equal(dataset->base.n_users, BASE_USERS);
    assert_int_equal(dataset->base.n_items, BASE_ITEMS);
    for (int rows = 0; cf_test_next_grid(&world, world.size, &rows, &grid);) {
        cf_shard *shard = NULL;

        assert_ok(cf_dataset_load_shard(dataset, grid, &shard));
        check_shard(grid, shard);
        cf_dataset_destroy_shard(&shard);
    }
    cf_dataset_close(&dataset);
}

static void a_prepared_dataset_is_its_own_base(void **state)
{
    const char *path = cf_test_scratch("prepared.h5");
    cf_dataset *dataset = NULL;
    cf_dataset_origin origin = {0};
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;

    (void)state;
    assert_ok(write_dataset(path, CF_F16));
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_false(dataset->is_appended);
    assert_true(dataset->base.digest == dataset->digest);
    assert_int_equal(dataset->base.n_items, N_ITEMS);
    assert_int_equal(dataset->embedding_type, CF_F16);
    assert_true(dataset->has_titles);
    assert_ok(cf_dataset_read_origin(dataset, &origin));
    assert_string_equal(origin.source, "a formula");
    assert_int_equal(origin.seed, 7);
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_ok(cf_dataset_load_shard(dataset, grid, &shard));
    assert_int_equal(shard->added.count, shard->n_users);
    assert_int_equal(shard->added.start[shard->n_users], 0);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_destroy_origin(&origin);
    cf_dataset_close(&dataset);
}

/* The file's own numbers, as they were written: float16 is exact for the formula. */
static void vectors_come_back_in_their_type(void **state)
{
    const int64_t first = cf_par_even_start(N_ITEMS, world.size, world.rank);
    const int64_t count = cf_par_even_start(N_ITEMS, world.size, world.rank + 1) - first;
    const char *path = cf_test_scratch("halves.h5");
    uint16_t rows[N_ITEMS * DIM];
    uint8_t present[N_ITEMS];
    cf_dataset *dataset = NULL;

    (void)state;
    assert_ok(write_dataset(path, CF_F16));
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_ok(cf_dataset_read_vectors(dataset, first, count, rows, present));
    for (int64_t k = 0; k < count * DIM; k++) {
        float value;

        cf_store_f16_to_f32(&rows[k], &value, 1);
        assert_true(value == make_value(first + k / DIM, k % DIM));
        assert_int_equal(present[k / DIM], first + k / DIM != 3);
    }
    cf_dataset_close(&dataset);
}

/* A base of more rows than the file, and train interactions of users or items that were appended.
 */
static void wrong_bases_are_refused(void **state)
{
    static const struct {
        cf_dataset_base base;
        const char *words;
    } cases[] = {
        {{1, N_USERS + 1, BASE_ITEMS}, "base_users and base_items are 38 and 18, expected 1 to 37"},
        {{1, BASE_USERS, N_ITEMS + 1}, "base_users and base_items are 30 and 24"},
        {{1, BASE_USERS, BASE_ITEMS - 1}, "/train/item is damaged"},
        {{1, BASE_USERS - 2, BASE_ITEMS}, "/train/user is damaged"},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const char *path = cf_test_scratch("wrong.h5");
        cf_dataset *dataset = NULL;
        cf_grid *grid = NULL;
        cf_shard *shard = NULL;
        cf_status status;

        assert_ok(write_appended(path, &cases[c].base));
        assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
        status = cf_dataset_open(&world, path, &dataset);
        if (status == CF_OK) status = cf_dataset_load_shard(dataset, grid, &shard);
        assert_refused(status, CF_ERR_FORMAT, cases[c].words);
        cf_par_destroy_grid(&grid);
        cf_dataset_close(&dataset);
    }
}

typedef struct attempt {
    cf_grid *grid;
    cf_shard *like, *shard;
} attempt;

static cf_status make_shard(void *context)
{
    attempt *a = context;

    return cf_dataset_create_added_shard(a->grid, a->like, &a->shard);
}

static void drop_shard(void *context)
{
    cf_dataset_destroy_shard(&((attempt *)context)->shard);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = make_shard, .clean_up = drop_shard};
    const char *path = cf_test_scratch("memory.h5");
    cf_dataset *dataset = NULL;
    attempt a = {0};

    (void)state;
    assert_ok(write_appended(path, &base));
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_ok(cf_par_create_grid(&world, 1, world.size, &a.grid));
    assert_ok(cf_dataset_load_shard(dataset, a.grid, &a.like));
    assert_true(cf_test_every_allocation(&trial, &a) > 10);
    cf_dataset_destroy_shard(&a.like);
    cf_par_destroy_grid(&a.grid);
    cf_dataset_close(&dataset);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(base_and_added_items_come_back_on_every_grid),
    cmocka_unit_test(a_prepared_dataset_is_its_own_base),
    cmocka_unit_test(vectors_come_back_in_their_type),
    cmocka_unit_test(wrong_bases_are_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
