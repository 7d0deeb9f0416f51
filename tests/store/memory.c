#include "sample.h"

#include <unistd.h>

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

static cf_status (*const functions[])(void) = {list_names, get_halves, read_slices, write_small};

/* Fail the 1st, 2nd, ... allocation of one rank, until the function needs no more. */
static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    char words[32], temporary[560];

    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("memory.h5"));
    snprintf(temporary, sizeof temporary, "%s.new.tmp", path);
    if (world.rank == 0) remove(temporary); /* of a run that was killed */
    assert_ok(sample_publish(path, "dataset"));
    for (size_t f = 0; f < sizeof functions / sizeof functions[0]; f++) {
        for (int bad = 0; bad < world.size; bad++) {
            cf_status status = CF_ERR_MEMORY;
            int64_t n = 0, live = cf_alloc_live();

            while (status == CF_ERR_MEMORY) {
                if (world.rank == bad) cf_alloc_fail_at(n + 1);
                status = functions[f]();
                cf_alloc_fail_at(0);
                assert_int_equal(cf_alloc_live(), live);
                assert_int_not_equal(access(temporary, F_OK), 0);
                if (status == CF_ERR_MEMORY) {
                    snprintf(words, sizeof words, world.size > 1 ? "rank %d: " : "", bad);
                    assert_non_null(strstr(cf_error_message(), words));
                    assert_non_null(strstr(cf_error_message(), "out of memory"));
                    n++;
                }
            }
            assert_ok(status);
            assert_true(n >= 5);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
