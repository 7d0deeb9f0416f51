/* Sorting interactions by (user, item), and the items of one user, with weights or without.
 *
 * All interactions: a radix sort, stable, least significant digit first.
 *
 * A pair has six digits of 11 bits, three of the item and three of the user. A pass over one digit
 * writes to at most 2048 places at once, few enough for the cache and the TLB. All digits are
 * counted in one pass beforehand; a digit that is 0 in all pairs needs no pass. Keys move with
 * their pairs. */
#include "split.h"

#include <stdlib.h>

enum { DIGIT_BITS = 11, VALUES = 1 << DIGIT_BITS, DIGITS = 3 };

/* How often each value of each digit occurs: digits of items, then of users, the lowest first. */
typedef int64_t digit_counts[2 * DIGITS][VALUES];

static unsigned digit_of(uint64_t pair, int digit)
{
    const uint32_t number = digit < DIGITS ? ingest_item(pair) : ingest_user(pair);

    return number >> DIGIT_BITS * (digit % DIGITS) & (VALUES - 1);
}

static bool is_sorted(const ingest_interactions *inter)
{
    for (int64_t e = 1; e < inter->count; e++)
        if (inter->pairs[e - 1] > inter->pairs[e]) return false;
    return true;
}

/* One stable pass. `start`: the counts of the digit; they become the index of the next interaction
 * with each value. */
static void sort_by_digit(const ingest_interactions *from, ingest_interactions *to, int digit,
                          int64_t *start)
{
    for (int64_t value = 0, before = 0; value < VALUES; value++) {
        const int64_t here = start[value];

        start[value] = before;
        before += here;
    }
    for (int64_t e = 0; e < from->count; e++) {
        const int64_t at = start[digit_of(from->pairs[e], digit)]++;

        ingest_copy_interaction(from, e, to, at);
    }
}

/* The arrays of `inter` and `other` change roles after each pass. */
cf_status ingest_sort_interactions(ingest_interactions *inter)
{
    ingest_interactions other = *inter;
    int64_t(*counts)[VALUES] = NULL;
    cf_status status = CF_OK;

    if (is_sorted(inter)) return CF_OK;
    other.pairs = other.keys = NULL;
    CF_TRY(cf_alloc(&counts, 1, sizeof(digit_counts)));
    CF_TRY(CF_ALLOC(other.pairs, inter->count));
    if (inter->key_words > 0) CF_TRY(CF_ALLOC(other.keys, inter->count * inter->key_words));
    for (int64_t e = 0; e < inter->count; e++)
        for (int digit = 0; digit < 2 * DIGITS; digit++)
            counts[digit][digit_of(inter->pairs[e], digit)]++;
    for (int digit = 0; digit < 2 * DIGITS; digit++) {
        const ingest_interactions unsorted = *inter;

        if (counts[digit][0] == inter->count) continue;
        sort_by_digit(inter, &other, digit, counts[digit]);
        inter->pairs = other.pairs;
        inter->keys = other.keys;
        other = unsorted;
    }
done:
    cf_free(&other.pairs);
    cf_free(&other.keys);
    cf_free(&counts);
    return status;
}

static int by_number(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return a < b ? -1 : a > b;
}

void ingest_sort_list(int64_t *items, int64_t count)
{
    qsort(items, (size_t)count, sizeof *items, by_number);
}

static int by_item(const void *left, const void *right)
{
    const ingest_weighted *a = left, *b = right;

    return a->item < b->item ? -1 : a->item > b->item;
}

void ingest_sort_weighted(int64_t *items, float *weights, int64_t count, ingest_weighted *scratch)
{
    for (int64_t k = 0; k < count; k++)
        scratch[k] = (ingest_weighted){items[k], weights[k]};
    qsort(scratch, (size_t)count, sizeof *scratch, by_item);
    for (int64_t k = 0; k < count; k++) {
        items[k] = scratch[k].item;
        weights[k] = scratch[k].weight;
    }
}
