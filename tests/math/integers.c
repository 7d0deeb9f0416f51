#include "cf_test.h"

static void the_smaller_and_the_larger(void **state)
{
    (void)state;
    assert_int_equal(cf_min(3, -4), -4);
    assert_int_equal(cf_min(-4, 3), -4);
    assert_int_equal(cf_max(3, -4), 3);
    assert_int_equal(cf_max(-4, 3), 3);
    assert_int_equal(cf_min(5, 5), 5);
    assert_true(cf_min(INT64_MIN, INT64_MAX) == INT64_MIN);
    assert_true(cf_max(INT64_MIN, INT64_MAX) == INT64_MAX);
}

static void a_quotient_is_rounded_up(void **state)
{
    (void)state;
    for (int64_t size = 1; size <= 7; size++)
        for (int64_t n = 0; n <= 30; n++) {
            int64_t parts = 0;

            while (parts * size < n)
                parts++;
            assert_int_equal(cf_ceil_div(n, size), parts);
        }
    assert_true(cf_ceil_div(INT64_MAX, 2) == INT64_MAX / 2 + 1); /* n + size - 1 would overflow */
    assert_int_equal(cf_ceil_div(INT64_MAX, INT64_MAX), 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_smaller_and_the_larger),
    cmocka_unit_test(a_quotient_is_rounded_up),
};
CF_TEST_MAIN(tests)
