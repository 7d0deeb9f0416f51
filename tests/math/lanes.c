#include "cf_test.h"

#include <math.h>

/* Of all x that count, in steps of a few ulp. */
static void exp_is_within_two_ulp(void **state)
{
    double worst = 0;

    (void)state;
    for (float x = -87.0f; x <= 88.0f; x += 0.00037f) {
        const double want = exp((double)x), got = (double)cf_lanes_exp(cf_lanes_all(x))[5];

        worst = fmax(worst, fabs(got - want) / want);
    }
    assert_true(worst < 2 * 0x1p-23);
}

static void exp_of_special_numbers(void **state)
{
    const cf_lanes x = {0.0f, -88.0f, -1e30f, -INFINITY, NAN, 1.0f, -0.0f};
    const cf_lanes y = cf_lanes_exp(x);

    (void)state;
    assert_true(y[0] == 1.0f && y[6] == 1.0f);
    assert_true(y[1] == 0.0f && y[2] == 0.0f && y[3] == 0.0f);
    assert_true(isnan(y[4]));
    assert_close(y[5], exp(1), 1e-6);
}

/* Every lane by itself. */
static void exp_is_the_same_in_every_lane(void **state)
{
    cf_lanes x;

    (void)state;
    for (int k = 0; k < CF_LANES; k++)
        x[k] = -3.3f * (float)k + 1.7f;
    for (int k = 0; k < CF_LANES; k++)
        assert_true(cf_lanes_exp(x)[k] == cf_lanes_exp(cf_lanes_all(x[k]))[0]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(exp_is_within_two_ulp),
    cmocka_unit_test(exp_of_special_numbers),
    cmocka_unit_test(exp_is_the_same_in_every_lane),
};
CF_TEST_MAIN(tests)
