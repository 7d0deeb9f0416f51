/* Radix sort of 64-bit keys by bytes, from the lowest, and binary search. One pass over the keys
 * counts all eight bytes; a byte that is equal in all keys is skipped, so small keys cost few
 * passes. Each pass is stable and moves the keys between the array and the scratch array.
 * tests/math/sort.c compares with qsort().
 */
#include "cf/math.h"

#include <string.h>

enum { BYTES = sizeof(uint64_t), VALUES = 256 };

/* Move keys to `out` in the order of one byte; `start[v]` is where keys with byte v go. */
static void scatter(const uint64_t *keys, uint64_t *out, int64_t count, int shift, int64_t *start)
{
    for (int64_t i = 0; i < count; i++)
        out[start[keys[i] >> shift & (VALUES - 1)]++] = keys[i];
}

/* After an odd number of passes the result is in the scratch array, and is copied back. */
void cf_sort_u64(uint64_t *keys, uint64_t *scratch, int64_t count)
{
    int64_t histogram[BYTES][VALUES] = {{0}};
    uint64_t *from = keys, *to = scratch;

    for (int64_t i = 0; i < count; i++)
        for (int b = 0; b < BYTES; b++)
            histogram[b][keys[i] >> 8 * b & (VALUES - 1)]++;
    for (int b = 0; b < BYTES; b++) {
        int64_t *start = histogram[b], before = 0;
        if (count == 0 || start[keys[0] >> 8 * b & (VALUES - 1)] == count) continue; /* all equal */
        for (int v = 0; v < VALUES; v++) {
            int64_t count_of_v = start[v];
            start[v] = before;
            before += count_of_v;
        }
        scatter(from, to, count, 8 * b, start);
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != keys) memcpy(keys, from, (size_t)count * sizeof *keys);
}

int64_t cf_search_i64(const int64_t *values, int64_t count, int64_t value)
{
    int64_t low = 0, high = count; /* values before low are less, from high on they are not */

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (values[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool cf_contains_i64(const int64_t *values, int64_t count, int64_t value)
{
    int64_t i = cf_search_i64(values, count, value);

    return i < count && values[i] == value;
}
