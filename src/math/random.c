/* Random numbers as a function of (seed, stream) and a counter (a, b, c): Philox4x64-10 of Salmon
 * et al. 2011, from Random123. No state is kept, so any rank can draw any number. A permutation is
 * a Feistel network of six rounds on an even number of bits, walked until it falls below n (Black
 * and Rogaway 2002); on average that takes less than four steps. tests/math/random.c compares with
 * Random123's known answers and checks that permutations are one-to-one.
 */
#include "cf/core.h"
#include "cf/math.h"

#include <math.h>
#include <Random123/philox.h>

__extension__ typedef unsigned __int128 wide;

static philox4x64_ctr_t draw(cf_random key, uint64_t a, uint64_t b, uint64_t c)
{
    philox4x64_ctr_t counter = {{a, b, c, 0}};
    philox4x64_key_t words = {{key.seed, key.stream}};

    return philox4x64(counter, words);
}

/* The upper 53 bits as a number in [0, 1). */
static double unit_interval(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

uint64_t cf_random_bits(cf_random key, uint64_t a, uint64_t b, uint64_t c)
{
    return draw(key, a, b, c).v[0];
}

int64_t cf_random_below(cf_random key, uint64_t a, uint64_t b, uint64_t c, int64_t n)
{
    CF_ASSERT(n >= 1);
    return (int64_t)(((wide)draw(key, a, b, c).v[0] * (uint64_t)n) >> 64);
}

double cf_random_uniform(cf_random key, uint64_t a, uint64_t b, uint64_t c)
{
    return unit_interval(draw(key, a, b, c).v[0]);
}

double cf_random_normal(cf_random key, uint64_t a, uint64_t b, uint64_t c)
{
    philox4x64_ctr_t words = draw(key, a, b, c);
    double radius = sqrt(-2 * log(1 - unit_interval(words.v[0]))); /* 1 - u is in (0, 1] */

    return radius * cos(2 * M_PI * unit_interval(words.v[1]));
}

enum { ROUNDS = sizeof((cf_permutation *)0)->round_key / sizeof(uint64_t) };

/* The smallest even number of bits that holds n, and at least 2. */
void cf_permutation_create(cf_permutation *permutation, cf_random key, uint64_t epoch, int64_t n)
{
    CF_ASSERT(n >= 0);
    permutation->n = (uint64_t)n;
    permutation->half_bits = 1;
    while (permutation->half_bits < 32 && permutation->n > (uint64_t)1
                                                               << 2 * permutation->half_bits)
        permutation->half_bits++;
    for (uint64_t k = 0; k < ROUNDS; k++)
        permutation->round_key[k] = cf_random_bits(key, epoch, k, 0);
}

/* The round function: no strong hash, but six rounds of it must hide the order of the samples at
 * the price of a few multiplications. */
static uint64_t round_function(uint64_t x, uint64_t key)
{
    x = (x + key) * 0x9e3779b97f4a7c15;     /* 2^64 / golden ratio */
    x = (x ^ x >> 32) * 0xd1342543de82ef95; /* multiplier of a good LCG, Steele and Vigna 2021 */
    return x >> 32;
}

/* One pass of the network: a bijection of 0 .. 4^half_bits - 1. Each round adds a function of one
 * half to the other, which can be undone. */
static uint64_t encrypt(const cf_permutation *permutation, uint64_t x)
{
    uint32_t bits = permutation->half_bits;
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    uint64_t left = x >> bits, right = x & mask;

    for (int k = 0; k < ROUNDS; k++) {
        uint64_t mixed = round_function(right, permutation->round_key[k]) >> (32 - bits);
        uint64_t next = left ^ mixed;
        left = right;
        right = next;
    }
    return left << bits | right;
}

int64_t cf_permutation_at(const cf_permutation *permutation, int64_t position)
{
    uint64_t x = (uint64_t)position;

    CF_ASSERT(x < permutation->n);
    do {
        x = encrypt(permutation, x);
    } while (x >= permutation->n);
    return (int64_t)x;
}
