#include "cf_test.h"

#include <math.h>
#include <string.h>

static const cf_random test_key = {.seed = 2020, .stream = CF_STREAM_TEST};

static void philox_gives_its_known_answers(void **state)
{
    (void)state;
    assert_true(cf_random_bits((cf_random){0, 0}, 0, 0, 0) == 0x16554d9eca36314c);
}

static void every_word_of_key_and_counter_matters(void **state)
{
    const uint64_t bits[] = {
        cf_random_bits((cf_random){1, 1}, 1, 1, 1), cf_random_bits((cf_random){2, 1}, 1, 1, 1),
        cf_random_bits((cf_random){1, 2}, 1, 1, 1), cf_random_bits((cf_random){1, 1}, 2, 1, 1),
        cf_random_bits((cf_random){1, 1}, 1, 2, 1), cf_random_bits((cf_random){1, 1}, 1, 1, 2),
    };
    (void)state;
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < i; k++)
            assert_true(bits[i] != bits[k]);
    assert_true(bits[0] == cf_random_bits((cf_random){1, 1}, 1, 1, 1));
}

static void numbers_below_n_are_uniform(void **state)
{
    enum { N = 10, DRAWS = 100000 };
    int64_t seen[N] = {0};
    double chi2 = 0;

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        int64_t x = cf_random_below(test_key, i, 7, 0, N);
        assert_in_range(x, 0, N - 1);
        seen[x]++;
    }
    for (int k = 0; k < N; k++)
        chi2 += pow((double)(seen[k] - DRAWS / N), 2) / (DRAWS / N);
    assert_true(chi2 < 27.9); /* 9 degrees of freedom: 1 in 1000; the draws are fixed */
    assert_int_equal(cf_random_below(test_key, 1, 2, 3, 1), 0);
    assert_true(cf_random_below(test_key, 1, 2, 3, INT64_MAX) >= 0);
}

static void uniform_numbers_fill_the_unit_interval(void **state)
{
    enum { DRAWS = 100000 };
    double low = 1, high = 0, mean = 0;

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = cf_random_uniform(test_key, 0, i, 0);
        low = fmin(low, x);
        high = fmax(high, x);
        mean += x / DRAWS;
    }
    assert_true(low >= 0 && low < 1e-4);
    assert_true(high < 1 && high > 1 - 1e-4);
    assert_close(mean, 0.5, 4 * sqrt(1.0 / 12 / DRAWS));
}

static void normal_numbers_have_normal_moments(void **state)
{
    enum { DRAWS = 100000 };
    double moment[5] = {0};

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = cf_random_normal(test_key, i, 0, 1);
        assert_true(isfinite(x));
        for (int k = 1; k < 5; k++)
            moment[k] += pow(x, k) / DRAWS;
    }
    /* four standard errors: the variances of x, x^2, x^3, x^4 are 1, 2, 15, 96 */
    assert_close(moment[1], 0, 4 * sqrt(1.0 / DRAWS));
    assert_close(moment[2], 1, 4 * sqrt(2.0 / DRAWS));
    assert_close(moment[3], 0, 4 * sqrt(15.0 / DRAWS));
    assert_close(moment[4], 3, 4 * sqrt(96.0 / DRAWS));
}

static void check_bijection(int64_t n, uint64_t epoch)
{
    cf_permutation permutation;
    char *seen = NULL;

    cf_permutation_create(&permutation, test_key, epoch, n);
    assert_int_equal(CF_ALLOC(seen, n), CF_OK);
    for (int64_t i = 0; i < n; i++) {
        int64_t x = cf_permutation_at(&permutation, i);
        assert_in_range(x, 0, n - 1);
        assert_int_equal(seen[x], 0);
        seen[x] = 1;
    }
    cf_free(&seen);
}

static void a_permutation_is_a_bijection(void **state)
{
    static const int64_t large[] = {255, 256, 257, 4095, 4096, 4097, 65536, 65537, 100003};

    (void)state;
    for (int64_t n = 1; n <= 70; n++)
        for (uint64_t epoch = 0; epoch < 5; epoch++)
            check_bijection(n, epoch);
    for (size_t k = 0; k < sizeof large / sizeof *large; k++)
        check_bijection(large[k], 1);
}

static void a_permutation_of_the_largest_size_stays_inside(void **state)
{
    cf_permutation permutation;

    (void)state;
    cf_permutation_create(&permutation, test_key, 0, INT64_MAX);
    for (int64_t i = 0; i < 100; i++)
        assert_true(cf_permutation_at(&permutation, i) >= 0);
    assert_true(cf_permutation_at(&permutation, 1) != cf_permutation_at(&permutation, 0));
}

/** How many of 0..n-1 two permutations put in the same place; about 1 for unrelated ones. */
static int64_t common_places(const cf_permutation *a, const cf_permutation *b, int64_t n)
{
    int64_t same = 0;

    for (int64_t i = 0; i < n; i++)
        same += cf_permutation_at(a, i) == cf_permutation_at(b, i);
    return same;
}

static void epochs_seeds_and_streams_have_their_own_permutation(void **state)
{
    enum { N = 5000 };
    cf_permutation base, other;

    (void)state;
    cf_permutation_create(&base, test_key, 0, N);
    cf_permutation_create(&other, test_key, 0, N);
    assert_int_equal(common_places(&base, &other, N), N);
    cf_permutation_create(&other, test_key, 1, N);
    assert_true(common_places(&base, &other, N) < 10);
    cf_permutation_create(&other, (cf_random){2021, CF_STREAM_TEST}, 0, N);
    assert_true(common_places(&base, &other, N) < 10);
    cf_permutation_create(&other, (cf_random){2020, CF_STREAM_TEST + 1}, 0, N);
    assert_true(common_places(&base, &other, N) < 10);
}

/** A batch of consecutive positions must look like a random draw from everywhere, neighbours too.
 */
static void a_permutation_leaves_no_order(void **state)
{
    enum { N = 100000, BATCH = 1000, CELLS = 10 };
    cf_permutation permutation;
    double product = 0, chi2 = 0;

    (void)state;
    cf_permutation_create(&permutation, test_key, 3, N);
    for (int64_t i = 0; i + 1 < N; i++)
        product += ((double)cf_permutation_at(&permutation, i) / N - 0.5) *
                   ((double)cf_permutation_at(&permutation, i + 1) / N - 0.5);
    assert_close(product / N, 0, 4 / 12.0 / sqrt(N));
    for (int64_t first = 0; first < N; first += BATCH) {
        int64_t seen[CELLS] = {0};
        for (int64_t i = first; i < first + BATCH; i++)
            seen[cf_permutation_at(&permutation, i) * CELLS / N]++;
        for (int k = 0; k < CELLS; k++)
            chi2 += pow((double)(seen[k] - BATCH / CELLS), 2) / (BATCH / CELLS);
    }
    /* 100 batches of 9 degrees of freedom: mean 900, standard deviation 42 */
    assert_close(chi2, 900, 170);
}

/** All 6 orders of 3 things come up about equally often. */
static void small_permutations_are_uniform(void **state)
{
    enum { EPOCHS = 6000 };
    int64_t seen[27] = {0};
    int orders = 0;

    (void)state;
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        cf_permutation permutation;
        cf_permutation_create(&permutation, test_key, epoch, 3);
        seen[9 * cf_permutation_at(&permutation, 0) + 3 * cf_permutation_at(&permutation, 1) +
             cf_permutation_at(&permutation, 2)]++;
    }
    for (int k = 0; k < 27; k++) {
        orders += seen[k] > 0;
        if (seen[k]) assert_in_range(seen[k], EPOCHS / 6 * 0.8, EPOCHS / 6 * 1.2);
    }
    assert_int_equal(orders, 6);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(philox_gives_its_known_answers),
    cmocka_unit_test(every_word_of_key_and_counter_matters),
    cmocka_unit_test(numbers_below_n_are_uniform),
    cmocka_unit_test(uniform_numbers_fill_the_unit_interval),
    cmocka_unit_test(normal_numbers_have_normal_moments),
    cmocka_unit_test(a_permutation_is_a_bijection),
    cmocka_unit_test(a_permutation_of_the_largest_size_stays_inside),
    cmocka_unit_test(epochs_seeds_and_streams_have_their_own_permutation),
    cmocka_unit_test(a_permutation_leaves_no_order),
    cmocka_unit_test(small_permutations_are_uniform),
};
CF_TEST_MAIN(tests)
