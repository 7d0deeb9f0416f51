/* Exact sums. A double is added into 22 digits of 32 bits, each held in an int64 so that carries
 * can wait for 2^31 additions (Kulisch's long accumulator): integers are added without rounding,
 * thus in any order. A term touches three neighbouring digits. Reading the sum carries the digits
 * to one form and rounds once. The variance forms n * squares - sum^2 in integers of 46 digits,
 * where doubles would cancel. tests/math/exact.c compares with sums in __float128.
 */
#include "cf/core.h"
#include "cf/math.h"

#include <math.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

enum {
    DIGIT_BITS = 32,
    LOWEST = -320, /* weight of the lowest bit of digit 0, as a power of two */
    HIGHEST = 320, /* terms from 2^320 on count as not finite */
    BIAS = 1023,   /* of a double's exponent */
    MANTISSA_BITS = 52,
    BIG = 2 * CF_EXACT_DIGITS + 2,      /* digits that hold sum^2 and n * squares */
    SQUARE_SHIFT = -LOWEST / DIGIT_BITS /* a square's digits begin at 2^-640, that many lower */
};

/* A magnitude: sum_k digit[k] * 2^(32 k), unsigned. */
typedef struct big {
    uint32_t digit[BIG];
} big;

/* The mantissa, shifted to its weight, covers up to three digits. Each gets its part with the sign
 * of the term. */
void cf_exact_add(cf_exact *sum, double term)
{
    uint64_t bits;

    memcpy(&bits, &term, sizeof bits);
    int64_t sign = (int64_t)bits >> 63; /* 0 or -1: (x ^ sign) - sign negates or not */
    int exponent = (int)(bits >> MANTISSA_BITS & 0x7ff);
    uint64_t mantissa = (bits & (((uint64_t)1 << MANTISSA_BITS) - 1)) | (uint64_t)1
                                                                            << MANTISSA_BITS;
    int shift = exponent - BIAS - MANTISSA_BITS - LOWEST; /* of the mantissa's lowest bit */

    if (exponent >= BIAS + HIGHEST) {
        sum->not_finite++;
        return;
    }
    if (shift < 0) {
        if (shift < -MANTISSA_BITS) return; /* also 0 and the denormals */
        mantissa >>= -shift;
        shift = 0;
    }
    wide shifted = (wide)mantissa << shift % DIGIT_BITS;
    int64_t *digit = sum->digit + shift / DIGIT_BITS;
    digit[0] += ((int64_t)(uint32_t)shifted ^ sign) - sign;
    digit[1] += ((int64_t)(uint32_t)(shifted >> DIGIT_BITS) ^ sign) - sign;
    digit[2] += ((int64_t)(uint32_t)(shifted >> 2 * DIGIT_BITS) ^ sign) - sign;
}

void cf_exact_merge(cf_exact *sum, const cf_exact *other)
{
    for (int k = 0; k < CF_EXACT_DIGITS; k++)
        sum->digit[k] += other->digit[k];
    sum->not_finite += other->not_finite;
}

/* From the lowest digit up; the shifts are arithmetic, so a negative digit borrows. */
void cf_exact_carry(cf_exact *sum)
{
    int64_t carry = 0;

    for (int k = 0; k < CF_EXACT_DIGITS - 1; k++) {
        int64_t low = sum->digit[k] & UINT32_MAX;
        /* added in two parts: digit + carry could overflow */
        int64_t total = low + (carry & UINT32_MAX);
        carry = (sum->digit[k] >> DIGIT_BITS) + (carry >> DIGIT_BITS) + (total >> DIGIT_BITS);
        sum->digit[k] = total & UINT32_MAX;
    }
    sum->digit[CF_EXACT_DIGITS - 1] += carry;
}

/* Split a sum into sign and magnitude; true if it is negative. A negative sum is negated digit by
 * digit and carried again. */
static bool to_magnitude(const cf_exact *sum, big *out)
{
    cf_exact carried = *sum;
    bool negative;

    cf_exact_carry(&carried);
    negative = carried.digit[CF_EXACT_DIGITS - 1] < 0;
    if (negative) {
        for (int k = 0; k < CF_EXACT_DIGITS; k++)
            carried.digit[k] = -carried.digit[k];
        cf_exact_carry(&carried);
    }
    *out = (big){{0}};
    for (int k = 0; k < CF_EXACT_DIGITS; k++)
        out->digit[k] = (uint32_t)carried.digit[k];
    return negative;
}

/* magnitude * 2^exponent, rounded once to nearest even: the three highest digits decide, and one
 * bit that says whether anything lies below them. */
static double round_once(const big *magnitude, int exponent)
{
    int top = BIG - 1;
    wide head = 0;
    bool rest = false;

    while (top > 2 && magnitude->digit[top] == 0)
        top--;
    for (int k = top; k > top - 3; k--)
        head = head << DIGIT_BITS | magnitude->digit[k];
    for (int k = 0; k <= top - 3; k++)
        rest = rest || magnitude->digit[k] != 0;
    /* if the rest is not empty, head has over 64 bits, and a double ends far above its last bit */
    return ldexp((double)(head | rest), exponent + DIGIT_BITS * (top - 2));
}

double cf_exact_value(const cf_exact *sum)
{
    big magnitude;

    if (sum->not_finite) return NAN;
    bool negative = to_magnitude(sum, &magnitude);
    double value = round_once(&magnitude, LOWEST);
    return negative ? -value : value;
}

/* out = a * b << 32 shift, by the school method; the product must fit. */
static void multiply(const big *a, const big *b, int shift, big *out)
{
    *out = (big){{0}};
    for (int i = 0; i < BIG; i++) {
        uint64_t carry = 0;
        if (a->digit[i] == 0) continue;
        for (int j = 0; i + j + shift < BIG; j++) {
            uint64_t t = (uint64_t)a->digit[i] * b->digit[j] + out->digit[i + j + shift] + carry;
            out->digit[i + j + shift] = (uint32_t)t;
            carry = t >> DIGIT_BITS;
        }
        CF_ASSERT(carry == 0);
    }
}

/* a = |a - b|; true if a < b. */
static bool subtract(big *a, const big *b)
{
    int k = BIG - 1;
    int64_t borrow = 0;

    while (k > 0 && a->digit[k] == b->digit[k])
        k--;
    bool less = a->digit[k] < b->digit[k];
    for (k = 0; k < BIG; k++) {
        int64_t t = (int64_t)a->digit[k] - (int64_t)b->digit[k];
        t = (less ? -t : t) + borrow;
        a->digit[k] = (uint32_t)t;
        borrow = t >> DIGIT_BITS;
    }
    return less;
}

/* The digits of a square begin at 2^-640, twice as low as those of a sum: n * squares is shifted to
 * the same scale as sum^2 before they are subtracted. */
double cf_exact_variance(const cf_exact *sum, const cf_exact *squares, int64_t n)
{
    big total, total_squares, count = {{(uint32_t)n, (uint32_t)(n >> DIGIT_BITS)}};
    big numerator, square;

    if (sum->not_finite || squares->not_finite) return NAN;
    if (n < 2) return 0;
    to_magnitude(sum, &total);
    bool negative = to_magnitude(squares, &total_squares);
    CF_ASSERT(!negative); /* a sum of squares */
    multiply(&count, &total_squares, SQUARE_SHIFT, &numerator);
    multiply(&total, &total, 0, &square);
    bool below = subtract(&numerator, &square);
    double rounded = round_once(&numerator, 2 * LOWEST);
    return (below ? -rounded : rounded) / ((double)n * (double)(n - 1));
}
