#include "cf_test.h"

#include <float.h>
#include <math.h>
#include <string.h>

__extension__ typedef __float128 quad; /* 113 bits: exact for all sums of the tests that use it */

static double draw(uint64_t i)
{
    return cf_random_uniform((cf_random){5, CF_STREAM_TEST}, i, 0, 0);
}

static double sum_of(const double *terms, int count)
{
    cf_exact sum = {{0}, 0};

    for (int i = 0; i < count; i++)
        cf_exact_add(&sum, terms[i]);
    return cf_exact_value(&sum);
}

static void assert_same_bits(double got, double want)
{
    if (memcmp(&got, &want, sizeof got) != 0) fail_msg("%a is not %a", got, want);
}

static void known_sums_are_rounded_once(void **state)
{
    static const struct {
        double terms[4], want;
    } cases[] = {
        {{0}, 0},
        {{-0.0}, 0},
        {{1.5, 2.25}, 3.75},
        {{0.1, -0.1}, 0},
        {{1, 0x1p-53}, 1},                         /* a tie, down to even */
        {{1, 0x1p-53, 0x1p-300}, 1 + 0x1p-52},     /* just above the tie */
        {{1, 0x1p-53, -0x1p-300}, 1},              /* just below it */
        {{1, 0x1p-52, 0x1p-53}, 1 + 0x1p-51},      /* a tie, up to even */
        {{0x1p319, 0x1p-320, -0x1p319}, 0x1p-320}, /* both ends of the range */
        {{0x1p300, 1, -0x1p300, 0x1p-60}, 1},
        {{FLT_MAX, FLT_MAX}, 2.0 * FLT_MAX},
        {{FLT_TRUE_MIN, FLT_TRUE_MIN}, 0x1p-148},
        {{0x1p-298, 0x1p-298}, 0x1p-297},   /* squares of the smallest float */
        {{0x1p-321, 1}, 1},                 /* below the range */
        {{0x1.8p-320, 0x1p-320}, 0x1p-319}, /* the half below the range is dropped */
        {{DBL_TRUE_MIN, DBL_MIN}, 0},
        {{0x1.fffffffffffffp319, 0x1.fffffffffffffp319}, 0x1.fffffffffffffp320},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        double negated[4];
        for (int k = 0; k < 4; k++)
            negated[k] = -cases[c].terms[k];
        assert_same_bits(sum_of(cases[c].terms, 4), cases[c].want);
        assert_close(sum_of(negated, 4), -cases[c].want, 0);
    }
}

static void random_sums_equal_the_wide_sum_in_any_order(void **state)
{
    enum { COUNT = 300 };

    (void)state;
    for (uint64_t trial = 0; trial < 300; trial++) {
        double terms[COUNT];
        quad want = 0;
        cf_exact forward = {{0}, 0}, part[2] = {{{0}, 0}, {{0}, 0}};

        for (uint64_t i = 0; i < COUNT; i++) { /* 40 bits of exponent + 53 + 9 of the count */
            double size = ldexp(draw(trial * 1000 + i), (int)(40 * draw(7 * i + trial)) - 30);
            terms[i] = draw(i * i + trial) < 0.5 ? -size : size;
            want += (quad)terms[i];
        }
        for (int i = 0; i < COUNT; i++)
            cf_exact_add(&forward, terms[i]);
        for (int i = COUNT - 1; i >= 0; i--)
            cf_exact_add(&part[i % 2], terms[i]);
        assert_same_bits(cf_exact_value(&forward), (double)want);
        cf_exact_merge(&part[0], &part[1]);
        assert_same_bits(cf_exact_value(&part[0]), (double)want);
    }
}

static void cancellation_leaves_the_small_terms(void **state)
{
    cf_exact sum = {{0}, 0};

    (void)state;
    for (int i = -150; i < 300; i++)
        cf_exact_add(&sum, ldexp(1.1, i));
    cf_exact_add(&sum, -0x1p-100);
    for (int i = 299; i >= -150; i--)
        cf_exact_add(&sum, -ldexp(1.1, i));
    assert_same_bits(cf_exact_value(&sum), -0x1p-100);
}

static void terms_that_are_not_finite_are_seen(void **state)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY, 0x1p320, -DBL_MAX};

    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        cf_exact sum = {{0}, 0}, other = {{0}, 0}, good = {{0}, 0};
        cf_exact_add(&sum, 1);
        cf_exact_add(&other, bad[k]);
        cf_exact_merge(&sum, &other);
        assert_int_equal(sum.not_finite, 1);
        assert_true(isnan(cf_exact_value(&sum)));
        assert_true(isnan(cf_exact_variance(&sum, &good, 5)));
        assert_true(isnan(cf_exact_variance(&good, &sum, 5)));
    }
}

static void carrying_gives_equal_sums_equal_words(void **state)
{
    cf_exact a = {{0}, 0}, b = {{0}, 0};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        cf_exact_add(&a, -0.1);
        cf_exact_add(&b, 0.1);
        cf_exact_add(&b, -0.2);
        if (i % 10 == 0) cf_exact_carry(&b);
    }
    cf_exact value = {{0}, 0}; /* 0.2 is twice 0.1, so both are exactly -1000 * 0.1 */
    for (int k = 0; k < 500; k++)
        cf_exact_add(&value, -0.2);
    cf_exact_carry(&a);
    cf_exact_carry(&b);
    cf_exact_carry(&value);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_equal(&a, &value, sizeof a);
    for (int k = 0; k < CF_EXACT_DIGITS - 1; k++)
        assert_in_range(a.digit[k], 0, UINT32_MAX);
    assert_true(a.digit[CF_EXACT_DIGITS - 1] < 0);
}

static void digits_close_to_overflow_are_carried(void **state)
{
    cf_exact sum = {{0}, 0};

    (void)state;
    sum.digit[10] = INT64_MAX; /* weight 2^0 */
    sum.digit[9] = INT64_MAX;
    sum.digit[8] = INT64_MAX;
    quad want = (quad)INT64_MAX * (1 + (quad)0x1p-32 + (quad)0x1p-64);
    assert_same_bits(cf_exact_value(&sum), (double)want);
    for (int k = 8; k <= 10; k++)
        sum.digit[k] = INT64_MIN;
    want = (quad)INT64_MIN * (1 + (quad)0x1p-32 + (quad)0x1p-64);
    assert_same_bits(cf_exact_value(&sum), (double)want);
}

static double variance_of(const float *values, int count)
{
    cf_exact sum = {{0}, 0}, squares = {{0}, 0};

    for (int i = 0; i < count; i++) {
        cf_exact_add(&sum, (double)values[i]);
        cf_exact_add(&squares, (double)values[i] * (double)values[i]);
    }
    return cf_exact_variance(&sum, &squares, count);
}

static void variances_equal_the_wide_ones(void **state)
{
    enum { COUNT = 200 };

    (void)state;
    for (uint64_t trial = 0; trial < 200; trial++) {
        float values[COUNT];
        float mean = trial % 2 ? 100 : 0; /* a large mean cancels nearly all digits */
        quad sum = 0, squares = 0;

        for (uint64_t i = 0; i < COUNT; i++) {
            values[i] = mean + (float)draw(1000 * trial + i) - 0.5f;
            sum += (quad)values[i];
            squares += (quad)values[i] * (quad)values[i];
        }
        double want = (double)(COUNT * squares - sum * sum) / ((double)COUNT * (COUNT - 1));
        assert_same_bits(variance_of(values, COUNT), want);
    }
}

static void variances_of_known_data_are_exact(void **state)
{
    static const float equal[] = {0.1f, 0.1f, 0.1f}, steps[] = {1, 2, 3, 4, 5};
    static const float huge[] = {0x1p127f, -0x1p127f}, tiny[] = {0x1p-149f, -0x1p-149f};
    static const float far_apart[] = {0x1p127f, 0x1p-149f, -0x1p127f};

    (void)state;
    assert_same_bits(variance_of(equal, 3), 0);
    assert_same_bits(variance_of(steps, 5), 2.5);
    assert_same_bits(variance_of(steps, 1), 0);
    assert_same_bits(variance_of(steps, 0), 0);
    assert_same_bits(variance_of(huge, 2), 0x1p255);
    assert_same_bits(variance_of(tiny, 2), 0x1p-297);
    assert_same_bits(variance_of(far_apart, 3), 0x1p254);
}

static void a_variance_of_more_than_2_to_32_values_is_exact(void **state)
{
    const int64_t n = ((int64_t)1 << 40) + 2;
    cf_exact sum = {{0}, 0}, squares = {{0}, 0}; /* half are 3, half are 5 */

    (void)state;
    cf_exact_add(&sum, 4 * (double)n);
    cf_exact_add(&squares, 17 * (double)n);
    assert_same_bits(cf_exact_variance(&sum, &squares, n),
                     (double)n * (double)n / ((double)n * (double)(n - 1)));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(known_sums_are_rounded_once),
    cmocka_unit_test(random_sums_equal_the_wide_sum_in_any_order),
    cmocka_unit_test(cancellation_leaves_the_small_terms),
    cmocka_unit_test(terms_that_are_not_finite_are_seen),
    cmocka_unit_test(carrying_gives_equal_sums_equal_words),
    cmocka_unit_test(digits_close_to_overflow_are_carried),
    cmocka_unit_test(variances_equal_the_wide_ones),
    cmocka_unit_test(variances_of_known_data_are_exact),
    cmocka_unit_test(a_variance_of_more_than_2_to_32_values_is_exact),
};
CF_TEST_MAIN(tests)
