#include "cf_test.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 5000 };

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void sorting_equals_qsort(void **state)
{
    static const uint64_t masks[] = {0,          0xff,    0xff00, 0x3ff, 0xffff00000000ffff,
                                     UINT64_MAX, 0xff00ff};
    static const int64_t counts[] = {0, 1, 2, 255, MOST};
    static uint64_t keys[MOST], scratch[MOST], want[MOST];

    (void)state;
    for (size_t m = 0; m < sizeof masks / sizeof *masks; m++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            for (uint64_t i = 0; i < MOST; i++)
                want[i] = keys[i] =
                    0x0100000000000000 ^
                    (masks[m] & cf_random_bits((cf_random){1, CF_STREAM_TEST}, i, m, c));
            qsort(want, (size_t)counts[c], sizeof *want, compare);
            cf_sort_u64(keys, scratch, counts[c]);
            assert_memory_equal(keys, want, sizeof keys); /* also: nothing behind was touched */
        }
}

static void searching_finds_the_first_not_less(void **state)
{
    static const int64_t values[] = {-5, 2, 2, 2, 7, INT64_MAX};

    (void)state;
    for (int64_t count = 0; count <= 6; count++)
        for (int64_t value = -7; value < 10; value++) {
            int64_t want = 0;
            while (want < count && values[want] < value)
                want++;
            assert_int_equal(cf_search_i64(values, count, value), want);
            assert_int_equal(cf_contains_i64(values, count, value),
                             want < count && values[want] == value);
        }
    assert_true(cf_contains_i64(values, 6, INT64_MAX));
    assert_false(cf_contains_i64(values, 5, INT64_MAX));
}

static void lanes_are_sixteen_floats(void **state)
{
    static _Alignas(64) float a[CF_LANES], out[CF_LANES];
    float half = 0, tree = 0;

    (void)state;
    for (int k = 0; k < CF_LANES; k++)
        a[k] = (float)(1 << k) + 0.5f;
    cf_lanes_store(out, cf_lanes_fma(cf_lanes_load(a), cf_lanes_all(2), cf_lanes_all(-1)));
    for (int k = 0; k < CF_LANES; k++)
        assert_close(out[k], (float)(2 << k), 0);
    cf_lanes_store(out, cf_lanes_all(-0.0f));
    assert_true(memcmp(&out[15], &(float){-0.0f}, sizeof(float)) == 0);

    for (int k = 0; k < CF_LANES; k++)
        a[k] = k < 8 ? 1e8f : -1e8f + 8.0f * (float)(k % 2);
    for (int k = 0; k < CF_LANES / 2; k++)
        half += a[k] + a[k + 8]; /* the tree's first level */
    tree = cf_lanes_sum(cf_lanes_load(a));
    assert_close(tree, half, 0); /* only that pairing cancels the large terms */
    assert_close(tree, 32, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sorting_equals_qsort),
    cmocka_unit_test(searching_finds_the_first_not_less),
    cmocka_unit_test(lanes_are_sixteen_floats),
};
CF_TEST_MAIN(tests)
