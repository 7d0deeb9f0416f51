#include "cf/store.h"
#include "cf_test.h"

#include <math.h>
#include <string.h>

/* Called with 8 numbers the conversions may use the processor's instruction, with 1 they use plain
 * integers. */

static void every_half_widens_to_its_value(void **state)
{
    (void)state;
    for (int first = 0; first < 65536; first += 8) {
        uint16_t in[8];
        float out[8], single;

        for (int k = 0; k < 8; k++)
            in[k] = (uint16_t)(first + k);
        cf_store_f16_to_f32(in, out, 8);
        for (int k = 0; k < 8; k++) {
            int exponent = in[k] >> 10 & 31, mantissa = in[k] & 1023;
            double size = exponent == 31  ? (mantissa != 0 ? NAN : INFINITY)
                          : exponent == 0 ? ldexp(mantissa, -24)
                                          : ldexp(1024 + mantissa, exponent - 25);

            cf_store_f16_to_f32(in + k, &single, 1);
            assert_memory_equal(&single, out + k, sizeof single);
            if (isnan(size)) {
                assert_true(isnan(single));
            } else {
                assert_true((double)single == (in[k] & 0x8000 ? -size : size));
                assert_int_equal(signbit(single) != 0, in[k] >> 15);
            }
        }
    }
}

/* The nearest half by search: of two at the same distance the even one. */
static uint16_t nearest(double size)
{
    uint16_t best = 0;
    double least = INFINITY;

    if (size >= 65520) return 0x7c00; /* halfway from the greatest to 2^16 */
    for (uint16_t half = 0; half < 0x7c00; half++) {
        int exponent = half >> 10, mantissa = half & 1023;
        double value = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
        double distance = fabs(value - size);

        if (distance < least || (distance == least && half % 2 == 0)) {
            least = distance;
            best = half;
        }
    }
    return best;
}

static void floats_narrow_to_the_nearest_half(void **state)
{
    cf_random key = {1, CF_STREAM_TEST};

    (void)state;
    for (uint64_t trial = 0; trial < 400; trial++) {
        float in[8];
        uint16_t out[8], single;

        for (uint64_t k = 0; k < 8; k++) {
            uint64_t bits = cf_random_bits(key, trial, k, 0);
            int exponent = (int)(bits % 48) - 28;
            double mantissa = (double)(1024 + (bits >> 8) % 1024) + (double)((bits >> 20) % 5) / 4;

            if (trial % 4 == 0)
                mantissa += ((double)((bits >> 30) % 3) - 1) * 0x1p-12; /* beside a tie */
            in[k] = (float)ldexp(bits >> 63 ? -mantissa : mantissa, exponent - 10);
        }
        cf_store_f32_to_f16(in, out, 8);
        for (int k = 0; k < 8; k++) {
            cf_store_f32_to_f16(in + k, &single, 1);
            assert_int_equal(single, out[k]);
            assert_int_equal(single, nearest(fabs((double)in[k])) | (in[k] < 0 ? 0x8000 : 0));
        }
    }
}

static void what_is_no_number_stays_so(void **state)
{
    float in[8] = {INFINITY, -INFINITY, NAN, -NAN, 1e30f, -1e30f, 0.0f, -0.0f};
    uint32_t odd_nan = 0x7f800001u;
    uint16_t want[8] = {0x7c00, 0xfc00, 0x7e00, 0xfe00, 0x7c00, 0xfc00, 0, 0x8000}, out[8];

    (void)state;
    cf_store_f32_to_f16(in, out, 8);
    assert_memory_equal(out, want, sizeof out);
    for (int k = 0; k < 8; k++)
        cf_store_f32_to_f16(in + k, out + k, 1);
    assert_memory_equal(out, want, sizeof out);
    memcpy(in, &odd_nan, sizeof odd_nan);
    cf_store_f32_to_f16(in, out, 1);
    assert_int_equal(out[0], 0x7e00);
}

static void halves_come_back_as_they_were(void **state)
{
    (void)state;
    for (int first = 0; first < 65536; first += 8) {
        uint16_t in[8], out[8];
        float wide[8];

        for (int k = 0; k < 8; k++)
            in[k] = (uint16_t)(first + k);
        cf_store_f16_to_f32(in, wide, 8);
        cf_store_f32_to_f16(wide, out, 8);
        for (int k = 0; k < 8; k++) {
            bool quiet = (in[k] & 0x7fff) > 0x7c00;

            assert_int_equal(out[k], quiet ? in[k] | 0x200 : in[k]);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_half_widens_to_its_value),
    cmocka_unit_test(floats_narrow_to_the_nearest_half),
    cmocka_unit_test(what_is_no_number_stays_so),
    cmocka_unit_test(halves_come_back_as_they_were),
};
CF_TEST_MAIN(tests)
