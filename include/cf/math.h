/**
 * math: random numbers, exact sums, sorting, and vectors of 16 floats. Every result is a pure
 * function of the arguments, on any rank. Nothing here communicates or can fail: every function is
 * Local.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* ---- Whole numbers ---- */

/** The smaller of two numbers. */
static inline int64_t cf_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/** The larger of two numbers. */
static inline int64_t cf_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/** n / size, rounded up: parts of `size` that n elements fill. n >= 0, size >= 1; never overflows.
 */
static inline int64_t cf_ceil_div(int64_t n, int64_t size)
{
    return n / size + (n % size != 0);
}

/* ---- Random numbers ---- */

/** One stream for each purpose, so that draws for different purposes are independent. A number,
 * once in use, is never reused or changed: it would change the results of every seed. */
typedef enum cf_stream {
    CF_STREAM_SPLIT = 1,      /* order of a user's interactions in a random split */
    CF_STREAM_DIMS = 2,       /* emb_selection: rand */
    CF_STREAM_INIT = 3,       /* starting tables from noise */
    CF_STREAM_SHUFFLE = 4,    /* order of the interactions in an epoch */
    CF_STREAM_NEGATIVE = 5,   /* negative items */
    CF_STREAM_MISSING = 6,    /* vectors of items without one */
    CF_STREAM_VIEW = 7,       /* edges and nodes that a view of the graph keeps */
    CF_STREAM_PROJECTION = 8, /* emb_selection: projection */
    CF_STREAM_SYNTH = 9,      /* synthetic datasets: in the upper 32 bits, a purpose in the lower */
    CF_STREAM_COLD = 10,      /* order of the items of which cold_share takes the first */
    CF_STREAM_CALIBRATE = 11, /* items held out to calibrate the map of cold items, and users */
    CF_STREAM_CLUSTER = 12,   /* users and items that may change their cluster in a round */
    CF_STREAM_SELFTEST = 13,  /* the dataset of llminit selftest */
    CF_STREAM_TEST = 1000     /* tests and benchmarks */
} cf_stream;

/** Key of a family of random numbers; `stream` is a cf_stream. */
typedef struct cf_random {
    uint64_t seed;
    uint64_t stream;
} cf_random;

/**
 * 64 random bits, a pure function of the key and the counter (a, b, c): the first word of
 * Philox4x64-10. Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3";
 * Random123.
 */
uint64_t cf_random_bits(cf_random key, uint64_t a, uint64_t b, uint64_t c);
/** Uniform in 0..n-1, n >= 1: the high word of bits * n. A number is too likely by at most
 * n / 2^64. */
int64_t cf_random_below(cf_random key, uint64_t a, uint64_t b, uint64_t c, int64_t n);
/** Uniform in [0, 1), 53 bits. */
double cf_random_uniform(cf_random key, uint64_t a, uint64_t b, uint64_t c);
/** Standard normal (Box-Muller, from two words of the same counter). */
double cf_random_normal(cf_random key, uint64_t a, uint64_t b, uint64_t c);

/**
 * A keyed pseudo-random permutation of 0..n-1 that any rank can evaluate at any position without
 * storing it: a Feistel network on the next even number of bits, applied until the result is below
 * n (cycle walking; Black and Rogaway 2002).
 */
typedef struct cf_permutation {
    uint64_t n;            /* elements */
    uint32_t half_bits;    /* the network permutes 4^half_bits >= n numbers */
    uint64_t round_key[6]; /* drawn from the key and the epoch */
} cf_permutation;
/** The permutation of 0..n-1 of one epoch, n >= 0. Nothing is allocated. */
void cf_permutation_create(cf_permutation *permutation, cf_random key, uint64_t epoch, int64_t n);
/** The element at `position`, 0 <= position < n. */
int64_t cf_permutation_at(const cf_permutation *permutation, int64_t position);

/* ---- Exact sums ---- */

/**
 * A sum of doubles without rounding, which thus does not depend on the order of the terms or on the
 * number of ranks: fixed point in 32-bit digits held in 64-bit words (Kulisch's accumulator), so
 * that 2^31 terms can be added before a word may overflow. It holds every float and every product
 * of two floats exactly. Bits below 2^-320 are dropped; a term of 2^320 or more counts as not
 * finite. Plain int64 words: start from zeros, add the sums of ranks with MPI_INT64_T and MPI_SUM.
 */
enum { CF_EXACT_DIGITS = 22 };
typedef struct cf_exact {
    int64_t digit[CF_EXACT_DIGITS]; /* sum = sum_k digit[k] * 2^(32 k - 320) */
    int64_t not_finite;             /* number of NaN or infinite terms */
} cf_exact;
enum { CF_EXACT_WORDS = sizeof(cf_exact) / sizeof(int64_t) };

/** Add a term. */
void cf_exact_add(cf_exact *sum, double term);
/** Add another sum. */
void cf_exact_merge(cf_exact *sum, const cf_exact *other);
/**
 * Carry: afterwards 0 <= digit[k] < 2^32 but for the last digit, which has the sign. Equal sums
 * then have equal words, and 2^31 more additions are safe. cf_par_sum_exact() does it before and
 * after.
 */
void cf_exact_carry(cf_exact *sum);
/** The sum, rounded once to nearest even; NaN if a term was not finite. */
double cf_exact_value(const cf_exact *sum);
/**
 * Unbiased variance (sum of squares - n mean^2) / (n - 1) of n >= 2 values whose exact sum and
 * exact sum of squares are given: the numerator n * squares - sum^2 is formed exactly in integers
 * and rounded once, so equal data give equal variances. 0 for n < 2; NaN if a term was not finite.
 */
double cf_exact_variance(const cf_exact *sum, const cf_exact *squares, int64_t n);

/* ---- Sorting ---- */

/** Sort `count` keys ascending. `scratch` has room for as many. Radix sort by bytes; a byte that is
 * equal in all keys costs no pass. */
void cf_sort_u64(uint64_t *keys, uint64_t *scratch, int64_t count);
/** First index in ascending `values[0..count)` whose value is >= `value`; `count` if none. */
int64_t cf_search_i64(const int64_t *values, int64_t count, int64_t value);
/** True if `value` is among the ascending `values[0..count)`. */
bool cf_contains_i64(const int64_t *values, int64_t count, int64_t value);

/* ---- Lanes ---- */

/**
 * A segment of 16 floats: one AVX-512 register, two of AVX2, four of NEON. Rows of tables are whole
 * segments. All arithmetic is elementwise or has the fixed shape of cf_lanes_sum(), so results do
 * not depend on how segments are cut among ranks. The build has -ffp-contract=off: a * b + c rounds
 * twice everywhere, cf_lanes_fma() rounds once where the machine can.
 */
enum { CF_LANES = 16 };
typedef float cf_lanes __attribute__((vector_size(CF_LANES * sizeof(float))));

/** Load 16 floats, aligned to 64 bytes. */
static inline cf_lanes cf_lanes_load(const float *values)
{
    return *(const cf_lanes *)(const void *)values;
}

/** Store 16 floats, aligned to 64 bytes. */
static inline void cf_lanes_store(float *values, cf_lanes lanes)
{
    *(cf_lanes *)(void *)values = lanes;
}

/** `value` in every lane. */
static inline cf_lanes cf_lanes_all(float value)
{
    return value - (cf_lanes){0};
}

/** a * b + c in every lane, rounded once if the build's target has fused multiply-add, else twice.
 */
static inline cf_lanes cf_lanes_fma(cf_lanes a, cf_lanes b, cf_lanes c)
{
#ifdef __FMA__
    cf_lanes out;
    for (int k = 0; k < CF_LANES; k++)
        out[k] = __builtin_fmaf(a[k], b[k], c[k]);
    return out;
#else
    return a * b + c;
#endif
}

/**
 * The part of a segment that is one register, of CF_PARTS: gcc holds wider vectors in memory. Loops
 * whose lanes do not mix go by these, and have the same bits; sums over lanes go by segments.
 */
#if defined __AVX512F__
enum { CF_PARTS = 1 };
#elif defined __AVX__
enum { CF_PARTS = 2 };
#else
enum { CF_PARTS = 4 };
#endif
enum { CF_VECTOR = CF_LANES / CF_PARTS };
typedef float cf_vector __attribute__((vector_size(CF_VECTOR * sizeof(float))));

/** As of cf_lanes, by CF_VECTOR floats. */
static inline cf_vector cf_vector_load(const float *values)
{
    return *(const cf_vector *)(const void *)values;
}
static inline void cf_vector_store(float *values, cf_vector lanes)
{
    *(cf_vector *)(void *)values = lanes;
}
static inline cf_vector cf_vector_all(float value)
{
    return value - (cf_vector){0};
}
static inline cf_vector cf_vector_fma(cf_vector a, cf_vector b, cf_vector c)
{
#ifdef __FMA__
    for (int k = 0; k < CF_VECTOR; k++)
        c[k] = __builtin_fmaf(a[k], b[k], c[k]);
    return c;
#else
    return a * b + c;
#endif
}
static inline cf_vector cf_vector_sqrt(cf_vector x)
{
    for (int k = 0; k < CF_VECTOR; k++)
        x[k] = __builtin_sqrtf(x[k]);
    return x;
}

/**
 * e^x in every lane, within 2 ulp, for x <= 88; 0 below -87, where results would be denormal; NaN
 * for NaN. Cody and Waite's reduction to |r| <= ln(2)/2, and the minimax polynomial of Cephes' expf
 * (Moshier).
 */
static inline cf_vector cf_vector_exp(cf_vector x)
{
    typedef int32_t bits __attribute__((vector_size(sizeof(cf_vector))));
    const cf_vector shift = cf_vector_all(0x1.8p23f); /* x + shift has round(x) in its low bits */
    const cf_vector shifted = cf_vector_fma(x, cf_vector_all(0x1.715476p0f), shift);
    const cf_vector n = shifted - shift;
    const cf_vector r = cf_vector_fma(n, cf_vector_all(0x1.bd0106p-13f),
                                      cf_vector_fma(n, cf_vector_all(-0x1.63p-1f), x));
    cf_vector p = cf_vector_all(1.9875691500e-4f);

    p = cf_vector_fma(p, r, cf_vector_all(1.3981999507e-3f));
    p = cf_vector_fma(p, r, cf_vector_all(8.3334519073e-3f));
    p = cf_vector_fma(p, r, cf_vector_all(4.1665795894e-2f));
    p = cf_vector_fma(p, r, cf_vector_all(1.6666665459e-1f));
    p = cf_vector_fma(p, r, cf_vector_all(5.0000001201e-1f));
    p = cf_vector_fma(p, r * r, r + cf_vector_all(1.0f));
    /* times 2^n: n is added to the exponent; lanes below -87 are cleared */
    return (cf_vector)(((bits)p + ((bits)shifted << 23)) & ~(bits)(x < cf_vector_all(-87.0f)));
}

/** Prefetch a row of `width` floats that will be read or written soon. The address need not be
 * valid. */
static inline void cf_lanes_prefetch(const float *row, int64_t width)
{
    for (int64_t k = 0; k < width; k += CF_LANES)
        __builtin_prefetch(row + k);
}

/** Prefetch distance, in rows of a table. Row callbacks come for a few rows at a time, too few for
 * the hardware prefetcher to recognise that they go through the table in order. */
enum { CF_ROWS_AHEAD = 16 };

/** Sum of the lanes as a balanced tree of fixed shape: ((0+8)+(4+12)) + .... */
static inline float cf_lanes_sum(cf_lanes x)
{
    float by8[8], by4[4];

    for (int k = 0; k < 8; k++)
        by8[k] = x[k] + x[k + 8];
    for (int k = 0; k < 4; k++)
        by4[k] = by8[k] + by8[k + 4];
    return (by4[0] + by4[2]) + (by4[1] + by4[3]);
}
