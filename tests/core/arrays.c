#include "cf_test.h"

/* An object with arrays of all kinds: of rows, of peers, with some elements more. */
typedef struct object {
    int64_t *ids; /* rows */
    int unused;
    float *pairs;    /* 2 x rows */
    char *flags;     /* peers */
    double *offsets; /* rows + 1 */
} object;

enum { ROWS, PEERS, N_ARRAYS = 4 };
static const cf_array arrays[N_ARRAYS] = {
    CF_ARRAY(object, ids, ROWS, 1),
    CF_ARRAY(object, pairs, ROWS, 2),
    CF_ARRAY(object, flags, PEERS, 1),
    CF_ARRAY_MORE(object, offsets, ROWS, 1, 1),
};
static const int64_t counts[] = {[ROWS] = 10, [PEERS] = 3};

static void all_arrays_are_created_zeroed_and_destroyed(void **state)
{
    const int64_t live = cf_alloc_live();
    object o = {.unused = 7};

    (void)state;
    assert_int_equal(cf_arrays_create(&o, arrays, N_ARRAYS, counts), CF_OK);
    assert_int_equal(cf_alloc_live(), live + N_ARRAYS);
    assert_int_equal(o.unused, 7);
    for (int64_t k = 0; k < 10; k++) {
        assert_int_equal(o.ids[k], 0);
        assert_true(o.pairs[2 * k] == 0 && o.pairs[2 * k + 1] == 0 && o.offsets[k + 1] == 0);
    }
    cf_arrays_destroy(&o, arrays, N_ARRAYS);
    assert_int_equal(cf_alloc_live(), live);
    assert_null(o.ids);
    assert_null(o.offsets);
    cf_arrays_destroy(&o, arrays, N_ARRAYS); /* all NULL */
}

static void a_half_made_object_is_destroyed(void **state)
{
    const int64_t live = cf_alloc_live();

    (void)state;
    for (int n = 1; n <= N_ARRAYS; n++) {
        object o = {0};

        cf_alloc_fail_at(n);
        assert_int_equal(cf_arrays_create(&o, arrays, N_ARRAYS, counts), CF_ERR_MEMORY);
        assert_int_equal(cf_alloc_live(), live + n - 1);
        assert_null(o.offsets);
        cf_arrays_destroy(&o, arrays, N_ARRAYS);
        assert_int_equal(cf_alloc_live(), live);
    }
}

static void predicted_bytes_equal_counted_bytes(void **state)
{
    const int64_t held = cf_alloc_held();
    const double exact[] = {[ROWS] = 10, [PEERS] = 3}, mean[] = {[ROWS] = 0.5, [PEERS] = 0};
    object o = {0};

    (void)state;
    assert_int_equal(cf_arrays_create(&o, arrays, N_ARRAYS, counts), CF_OK);
    assert_true(cf_arrays_bytes(arrays, N_ARRAYS, exact) == (double)(cf_alloc_held() - held));
    assert_true(cf_arrays_bytes(arrays, N_ARRAYS, mean) == 0.5 * 8 + 0.5 * 8 + 0 + 1.5 * 8);
    cf_arrays_destroy(&o, arrays, N_ARRAYS);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_arrays_are_created_zeroed_and_destroyed),
    cmocka_unit_test(a_half_made_object_is_destroyed),
    cmocka_unit_test(predicted_bytes_equal_counted_bytes),
};
CF_TEST_MAIN(tests)
