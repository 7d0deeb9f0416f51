/* float16 to float32 and back: IEEE 754 binary16 has 1 sign, 5 exponent (bias 15) and 10 mantissa
 * bits. The processor converts eight at a time where it has F16C; the loops in integers do the rest
 * and give the same bits, NaN included: it is made quiet and keeps the upper part of its payload.
 * tests/store/f16.c compares both on all 2^16 halves.
 */
#include "cf/store.h"

#include <string.h>

#ifdef __F16C__
#include <immintrin.h>
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "files are little-endian, moved as they are");

/* The bits of a float from those of a half. */
static uint32_t widen(uint32_t half)
{
    uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31, mantissa = half & 0x3ffu;

    if (exponent == 31)
        return sign | 0x7f800000u | mantissa << 13 | (mantissa != 0 ? 0x400000u : 0);
    if (exponent == 0) { /* mantissa * 2^-24 is exact in float */
        float value = (float)mantissa * 0x1p-24f;
        uint32_t bits;

        memcpy(&bits, &value, sizeof bits);
        return sign | bits;
    }
    return sign | (exponent + 112) << 23 | mantissa << 13;
}

/* The bits of the nearest half, ties to even. `rest` are the bits that are dropped, `tie` is half a
 * unit of the last bit kept. */
static uint16_t narrow(uint32_t bits)
{
    uint32_t sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu, half, rest, tie;

    if (size > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (size >> 13 & 0x3ffu));
    if (size >= 0x47800000u) return (uint16_t)(sign | 0x7c00u); /* 65536 and more */
    if (size < 0x33000000u) return (uint16_t)sign;              /* below half of the least: 2^-25 */
    if (size < 0x38800000u) { /* below 2^-14: a half without exponent, in units of 2^-24 */
        uint32_t mantissa = (size & 0x7fffffu) | 0x800000u, shift = 126 - (size >> 23);

        half = mantissa >> shift;
        rest = mantissa & ((1u << shift) - 1);
        tie = 1u << (shift - 1);
    } else {
        half = (size >> 13) - (112u << 10);
        rest = size & 0x1fffu;
        tie = 0x1000u;
    }
    half += rest > tie || (rest == tie && (half & 1)); /* a carry into the exponent is right */
    return (uint16_t)(sign | half);
}

void cf_store_f16_to_f32(const uint16_t *in, float *out, int64_t count)
{
    int64_t k = 0;

#ifdef __F16C__
    for (; k + 8 <= count; k += 8)
        _mm256_storeu_ps(out + k,
                         _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(in + k))));
#endif
    for (; k < count; k++) {
        uint32_t bits = widen(in[k]);

        memcpy(out + k, &bits, sizeof bits);
    }
}

void cf_store_f32_to_f16(const float *in, uint16_t *out, int64_t count)
{
    int64_t k = 0;

#ifdef __F16C__
    for (; k + 8 <= count; k += 8)
        _mm_storeu_si128((__m128i *)(void *)(out + k),
                         _mm256_cvtps_ph(_mm256_loadu_ps(in + k), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; k < count; k++) {
        uint32_t bits;

        memcpy(&bits, in + k, sizeof bits);
        out[k] = narrow(bits);
    }
}
