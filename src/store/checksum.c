#include "internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * A block's checksum is the sum modulo 2^64 of the hashes of its units, so that any cut into ranks
 * and calls gives the same: a rank adds the units it has, and the ranks' sums are added.
 * - Tables: a unit is what there is of 16 columns of a row; its hash is XXH3 of its bytes, seeded
 * by row and segment.
 * - 1-D arrays: a unit is one element, whose hash mix(value ^ index * golden) runs in vector
 * registers. Both are one-to-one or seeded by the place, so one changed unit changes the sum for
 * certain or but for 1 in 2^64.
 */
static const uint64_t golden = 0x9e3779b97f4a7c15u;

/* Stafford's variant 13 of the finalizer of MurmurHash3, as in SplitMix64 (Steele, Lea and Flood
 * 2014). */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

#define SUM_ELEMENTS(type)                                                                         \
    for (int64_t k = 0; k < n; k++)                                                                \
        sum += mix(((const type *)data)[k] ^ (uint64_t)(first + k) * golden);

static uint64_t sum_elements(const void *data, size_t size, int64_t first, int64_t n)
{
    uint64_t sum = 0;

    if (size == 1) SUM_ELEMENTS(uint8_t)
    if (size == 2) SUM_ELEMENTS(uint16_t)
    if (size == 4) SUM_ELEMENTS(uint32_t)
    if (size == 8) SUM_ELEMENTS(uint64_t)
    return sum;
}

/* Rows first.. of a table; `segment` is the first one of the columns given. */
static uint64_t sum_segments(const char *data, const cf_slab *rows, size_t size)
{
    uint64_t sum = 0;
    int64_t segment = rows->first_column / STORE_SEGMENT;

    for (int64_t row = 0; row < rows->n_rows; row++) {
        const char *values = data + (size_t)(row * rows->stride) * size;
        uint64_t seed = (uint64_t)(rows->first_row + row) * golden;

        for (int64_t column = 0; column < rows->n_columns; column += STORE_SEGMENT) {
            int64_t left = rows->n_columns - column,
                    n = left < STORE_SEGMENT ? left : STORE_SEGMENT;
            uint64_t place = mix(seed ^ (uint64_t)(segment + column / STORE_SEGMENT));

            sum += XXH3_64bits_withSeed(values + (size_t)column * size, (size_t)n * size, place);
        }
    }
    return sum;
}

int64_t store_n_blocks(int64_t n_rows)
{
    return (n_rows + STORE_BLOCK_ROWS - 1) / STORE_BLOCK_ROWS;
}

void store_checksum_add(store_array *array, const cf_slab *slab, const void *data)
{
    size_t size = cf_store_type_size(array->type);
    int64_t end_column = slab->first_column + slab->n_columns, end = slab->first_row + slab->n_rows;

    if (slab->n_rows == 0 || slab->n_columns == 0) return;
    if (slab->first_column % STORE_SEGMENT != 0 ||
        (end_column % STORE_SEGMENT != 0 && end_column != array->shape[1]))
        return;
#pragma omp parallel for schedule(static)
    for (int64_t block = slab->first_row / STORE_BLOCK_ROWS; block < store_n_blocks(end); block++) {
        int64_t start = block * STORE_BLOCK_ROWS;
        int64_t skip = start > slab->first_row ? start - slab->first_row : 0;
        int64_t stop = start + STORE_BLOCK_ROWS < end ? start + STORE_BLOCK_ROWS : end;
        cf_slab rows = store_part(slab, skip, stop - slab->first_row - skip);
        const char *values = (const char *)data + (size_t)(skip * slab->stride) * size;

        array->sums[block] += array->shape[1] == 1
                                  ? sum_elements(values, size, rows.first_row, rows.n_rows)
                                  : sum_segments(values, &rows, size);
    }
    array->n_moved += slab->n_rows * slab->n_columns;
}
