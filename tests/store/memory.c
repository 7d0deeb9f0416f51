#include "sample.h"

/* One function to fail: given the file to write or read, it does all its work up to the end. */
static char path[512];

static cf_status list_names(void)
{
    cf_store *store = NULL;
    char *list = NULL;
    uint64_t digest;
    cf_status status;

    CF_TRY(cf_store_open(&world, path, "dataset", &store));
    CF_TRY(cf_store_list(store, &list));
    CF_TRY(cf_store_digest(store, &digest));
done:
    cf_free(&list);
    cf_store_close(&store);
    return status;
}

static cf_status list_attributes(void)
{
    cf_store *store = NULL;
    cf_attribute *attributes = NULL;
    int64_t count = 0;
    cf_status status;

    CF_TRY(cf_store_open(&world, path, "dataset", &store));
    CF_TRY(cf_store_attributes(store, &attributes, &count));
done:
    cf_store_destroy_attributes(&attributes, count);
    cf_store_close(&store);
    return status;
}

static cf_status get_halves(void)
{
    cf_store *store = NULL;
    float *values = NULL;
    int64_t count = 0;
    cf_status status;

    CF_TRY(cf_store_open(&world, path, "dataset", &store));
    CF_TRY(cf_store_read_whole(store, "/half", CF_F32, &count, &values));
done:
    cf_free(&values);
    cf_store_close(&store);
    return status;
}

/* Two ranks have a slice of the columns each: they trade. */
static cf_status read_slices(void)
{
    static uint16_t values[301 * 40];
    cf_slab slice = {.n_rows = world.rank < 2 ? 301 : 0, .stride = 40};
    cf_store *store = NULL;
    cf_status status;

    slice.first_column = world.rank == 1 ? 16 : 0;
    slice.n_columns = world.size == 1 ? 40 : world.rank == 1 ? 24 : 16;
    CF_TRY(cf_store_open(&world, path, "dataset", &store));
    CF_TRY(cf_store_read(store, "/half", CF_F16, &slice, values));
    CF_TRY(cf_store_verify(store, "/half"));
done:
    cf_store_close(&store);
    return status;
}

static cf_status write_small(void)
{
    const double numbers[3] = {1, 2, 3};
    char other[520];
    uint64_t digest;
    cf_store *store = NULL;
    cf_status status;

    snprintf(other, sizeof other, "%s.new", path);
    CF_TRY(cf_store_create(&world, other, "dataset", &store));
    CF_TRY(cf_store_write_whole(store, "/a/b/numbers", CF_F64, 3, numbers));
    CF_TRY(cf_store_write_whole(store, "/a/b/none", CF_F64, 0, NULL));
    CF_TRY(cf_store_digest(store, &digest));
    CF_TRY(cf_store_commit(&store));
done:
    cf_store_close(&store);
    return status;
}

/* What a failed attempt left behind under its temporary name. */
static void expect_no_temporary(void *context)
{
    (void)context;
    assert_int_equal(cf_test_count_temporary(path), 0);
}

static cf_status call_function(void *context)
{
    cf_status (*const *function)(void) = context;

    return (*function)();
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    cf_status (*functions[])(void) = {list_names, list_attributes, get_halves, read_slices,
                                      write_small};

    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("memory.h5"));
    assert_ok(sample_commit(path, "dataset"));
    for (size_t f = 0; f < sizeof functions / sizeof functions[0]; f++) {
        const cf_test_trial trial = {.attempt = call_function, .clean_up = expect_no_temporary};

        assert_true(cf_test_every_allocation(&trial, &functions[f]) >= 5);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
