/* Checksums of blocks of 65536 rows that do not depend on how ranks and calls cut an array.
 *
 * A block's checksum is the sum modulo 2^64 of the hashes of its units: a rank adds the units that
 * it has moved, and the ranks' sums are added.
 * - In a table a unit is 16 columns of a row (fewer at its end). Its hash is XXH3 of its bytes,
 *   seeded by row and segment.
 * - In an array of one column, 1-D or 2-D, a unit is one element. Its hash hash_word(value ^ index
 * * golden) is computed in vector registers. The second is one-to-one at a given index: one changed
 * element always changes the sum. Of a table a change goes unnoticed with probability 2^-64.
 * tests/store/refuse.c flips bits in files.
 */
#include "internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* 2^64 / golden ratio: neighbouring indices differ in all upper bits. */
static const uint64_t golden = 0x9e3779b97f4a7c15u;

/* Stafford's variant 13 of the finalizer of MurmurHash3, as in SplitMix64 (Steele, Lea and Flood
 * 2014). */
static inline uint64_t hash_word(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

#define SUM_EVERY(type, stride)                                                                    \
    for (int64_t k = 0; k < rows->n_rows; k++)                                                     \
        sum += hash_word(((const type *)data)[k * (stride)] ^                                      \
                         (uint64_t)(rows->first_row + k) * golden);
/* The common stride is a constant of a loop of its own, which the compiler makes vectors of. */
#define SUM_ELEMENTS(type)                                                                         \
    {                                                                                              \
        if (rows->stride == 1)                                                                     \
            SUM_EVERY(type, 1)                                                                     \
        else                                                                                       \
            SUM_EVERY(type, rows->stride)                                                          \
    }

/* Hashes of the only column of some rows, whose first value is at `data`. */
static uint64_t sum_elements(const void *data, const cf_slab *rows, size_t size)
{
    uint64_t sum = 0;

    if (size == 1) SUM_ELEMENTS(uint8_t)
    if (size == 2) SUM_ELEMENTS(uint16_t)
    if (size == 4) SUM_ELEMENTS(uint32_t)
    if (size == 8) SUM_ELEMENTS(uint64_t)
    return sum;
}

/* Hashes of the units of some rows of a table, whose values begin at `data`. */
static uint64_t sum_segments(const char *data, const cf_slab *rows, size_t size)
{
    uint64_t sum = 0;
    int64_t segment = rows->first_column / STORE_SEGMENT;

    for (int64_t row = 0; row < rows->n_rows; row++) {
        const char *values = data + (size_t)(row * rows->stride) * size;
        uint64_t seed = (uint64_t)(rows->first_row + row) * golden;

        for (int64_t column = 0; column < rows->n_columns; column += STORE_SEGMENT) {
            int64_t n = cf_min(rows->n_columns - column, STORE_SEGMENT);
            uint64_t unit_seed = hash_word(seed ^ (uint64_t)(segment + column / STORE_SEGMENT));

            sum +=
                XXH3_64bits_withSeed(values + (size_t)column * size, (size_t)n * size, unit_seed);
        }
    }
    return sum;
}

int64_t store_n_blocks(int64_t n_rows)
{
    return cf_ceil_div(n_rows, STORE_BLOCK_ROWS);
}

uint64_t store_sum_rows(const store_array *array, const cf_slab *rows, const void *data)
{
    const size_t size = cf_store_type_size(array->type);

    return array->shape[1] == 1 ? sum_elements(data, rows, size) : sum_segments(data, rows, size);
}

void store_checksum_add(store_array *array, const cf_slab *slab, const void *data)
{
    size_t size = cf_store_type_size(array->type);
    int64_t end_column = slab->first_column + slab->n_columns, end = slab->first_row + slab->n_rows;

    if (slab->n_rows == 0 || slab->n_columns == 0) return;
    if (slab->first_column % STORE_SEGMENT != 0 ||
        (end_column % STORE_SEGMENT != 0 && end_column != array->shape[1]))
        return;
/* each thread has blocks of its own, so no two add to one sum */
#pragma omp parallel for schedule(static)
    for (int64_t block = slab->first_row / STORE_BLOCK_ROWS; block < store_n_blocks(end); block++) {
        int64_t start = block * STORE_BLOCK_ROWS;
        int64_t skip = cf_max(start - slab->first_row, 0); /* rows of the slab before the block */
        int64_t stop = cf_min(start + STORE_BLOCK_ROWS, end);
        cf_slab rows = store_part(slab, skip, stop - slab->first_row - skip);
        const char *values = (const char *)data + (size_t)(skip * slab->stride) * size;

        array->sums[block] += store_sum_rows(array, &rows, values);
    }
    array->n_moved += slab->n_rows * slab->n_columns;
}
