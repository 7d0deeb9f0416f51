/**
 * Private to graph: rows of bfloat16, the upper half of a float, in place of floats.
 *
 * Two segments lie in one: lane j of the 32-bit words has dimension j of the first in its lower
 * half and dimension j of the second in its upper half, so that a shift and a mask unpack them. A
 * last segment without a partner is 16 numbers of 16 bits in order. So a row takes half the bytes
 * of a float32 row. All of it is in integer vectors, whose bits no instruction set changes.
 */
#pragma once

#include "cf/math.h"

enum { BFLOAT16_PAIR_FLOATS = CF_LANES, BFLOAT16_SINGLE_FLOATS = CF_LANES / 2 }; /* room taken */

/* CF_VECTOR words or halves; and as rows hold them: any whole segment of bfloat16 is aligned to 32
 * bytes. */
enum { BFLOAT16_ALIGNED = CF_VECTOR < 8 ? 16 : 32 };
typedef uint32_t bfloat16_words __attribute__((vector_size(4 * CF_VECTOR)));
typedef uint32_t bfloat16_row_words
    __attribute__((vector_size(4 * CF_VECTOR), aligned(BFLOAT16_ALIGNED), may_alias));
typedef uint16_t bfloat16_halves __attribute__((vector_size(2 * CF_VECTOR)));
typedef uint16_t bfloat16_row_halves
    __attribute__((vector_size(2 * CF_VECTOR), aligned(2 * CF_VECTOR), may_alias));

/** Rounded to nearest, ties to even, in the upper halves; lower halves are rubbish. Infinity and
 * NaN stay what they are: a NaN is made quiet, since its low bits, which are dropped, may be all it
 * has.
 */
static inline bfloat16_words bfloat16_round(cf_vector x)
{
    const bfloat16_words bits = (bfloat16_words)x, nan = (bfloat16_words)(x != x);
    const bfloat16_words rounded = bits + 0x7fff + (bits >> 16 & 1);

    return (rounded & ~nan) | ((bits | 0x400000) & nan);
}

/** CF_VECTOR numbers of both segments of a pair. */
static inline bfloat16_words bfloat16_pack_pair(cf_vector first, cf_vector second)
{
    return bfloat16_round(first) >> 16 | (bfloat16_round(second) & 0xffff0000);
}

static inline void bfloat16_load_pair(const float *words, cf_vector *first, cf_vector *second)
{
    const bfloat16_words both = (bfloat16_words) * (const bfloat16_row_words *)(const void *)words;

    *first = (cf_vector)(both << 16);
    *second = (cf_vector)(both & 0xffff0000);
}

/** CF_VECTOR numbers of a segment without a partner, two in a float of the row. */
static inline bfloat16_halves bfloat16_pack_single(cf_vector x)
{
    return __builtin_convertvector(bfloat16_round(x) >> 16, bfloat16_halves);
}

static inline cf_vector bfloat16_load_single(const float *halves)
{
    const bfloat16_halves part =
        (bfloat16_halves) * (const bfloat16_row_halves *)(const void *)halves;

    return (cf_vector)(__builtin_convertvector(part, bfloat16_words) << 16);
}
