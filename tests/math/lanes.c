#include "cf_test.h"

#include <math.h>
#include <time.h>

/* Of all x that count, in steps of a few ulp. */
static void exp_is_within_two_ulp(void **state)
{
    double worst = 0;

    (void)state;
    for (float x = -87.0f; x <= 88.0f; x += 0.00037f) {
        const double want = exp((double)x),
                     got = (double)cf_vector_exp(cf_vector_all(x))[CF_VECTOR / 2];

        worst = fmax(worst, fabs(got - want) / want);
    }
    assert_true(worst < 2 * 0x1p-23);
}

static void exp_of_special_numbers(void **state)
{
    static const float x[] = {0.0f, -88.0f, -1e30f, -INFINITY, NAN, 1.0f, -0.0f};
    float y[7];

    (void)state;
    for (int k = 0; k < 7; k++)
        y[k] = cf_vector_exp(cf_vector_all(x[k]))[0];
    assert_true(y[0] == 1.0f && y[6] == 1.0f);
    assert_true(y[1] == 0.0f && y[2] == 0.0f && y[3] == 0.0f);
    assert_true(isnan(y[4]));
    assert_close(y[5], exp(1), 1e-6);
}

/* Every lane by itself. */
static void exp_is_the_same_in_every_lane(void **state)
{
    cf_vector x;

    (void)state;
    for (int k = 0; k < CF_VECTOR; k++)
        x[k] = -3.3f * (float)k + 1.7f;
    for (int k = 0; k < CF_VECTOR; k++)
        assert_true(cf_vector_exp(x)[k] == cf_vector_exp(cf_vector_all(x[k]))[0]);
}

/* Part by part they are what whole segments are, and roots are those of the C library. */
static void parts_are_the_segments(void **state)
{
    static float a[CF_LANES] __attribute__((aligned(64))),
        by_lanes[CF_LANES] __attribute__((aligned(64))),
        by_parts[CF_LANES] __attribute__((aligned(64)));
    const float b = 1.1f, c = -3.7f;

    (void)state;
    for (int k = 0; k < CF_LANES; k++)
        a[k] = 3.3f + 0.1f * (float)k;
    cf_lanes_store(by_lanes, cf_lanes_fma(cf_lanes_load(a), cf_lanes_all(b), cf_lanes_all(c)));
    for (int k = 0; k < CF_LANES; k += CF_VECTOR)
        cf_vector_store(by_parts + k,
                        cf_vector_fma(cf_vector_load(a + k), cf_vector_all(b), cf_vector_all(c)));
    assert_memory_equal(by_parts, by_lanes, sizeof by_parts);
    for (int k = 0; k < CF_LANES; k += CF_VECTOR)
        cf_vector_store(by_parts + k, cf_vector_sqrt(cf_vector_load(a + k)));
    for (int k = 0; k < CF_LANES; k++)
        assert_true(by_parts[k] == sqrtf(a[k]));
}

enum { N_FLOATS = 4096, TURNS = 200 };

static float product_by_float(const float *a, const float *b)
{
    float sum = 0;

    for (int k = 0; k < N_FLOATS; k++)
        sum += a[k] * b[k];
    return sum;
}

static float product_by_lanes(const float *a, const float *b)
{
    cf_lanes sum[4] = {{0}};

    for (int k = 0; k < N_FLOATS; k += 4 * CF_LANES)
        for (int c = 0; c < 4; c++)
            sum[c] = cf_lanes_fma(cf_lanes_load(a + k + c * CF_LANES),
                                  cf_lanes_load(b + k + c * CF_LANES), sum[c]);
    return cf_lanes_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* Seconds of this thread that TURNS products took, the least of five tries. */
static double seconds_of(float (*product)(const float *, const float *), const float *a,
                         const float *b)
{
    float (*volatile call)(const float *, const float *) = product; /* is not inlined */
    double least = INFINITY;

    for (int k = 0; k < 5; k++) {
        const clock_t begin = clock();

        for (int turn = 0; turn < TURNS; turn++)
            assert_true(call(a, b) == (float)N_FLOATS);
        least = fmin(least, (double)(clock() - begin) / CLOCKS_PER_SEC);
    }
    return least;
}

/* A compiler that holds segments in memory, because it prefers shorter vectors, gives the same bits
 * and takes as long as one float after the other: built well, segments are 5 to 17 times faster. */
static void segments_are_registers(void **state)
{
    static float a[N_FLOATS] __attribute__((aligned(64)));

    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
    for (int k = 0; k < N_FLOATS; k++)
        a[k] = 1;
    assert_true(seconds_of(product_by_lanes, a, a) * 2 < seconds_of(product_by_float, a, a));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(exp_is_within_two_ulp),         cmocka_unit_test(exp_of_special_numbers),
    cmocka_unit_test(exp_is_the_same_in_every_lane), cmocka_unit_test(parts_are_the_segments),
    cmocka_unit_test(segments_are_registers),
};
CF_TEST_MAIN(tests)
