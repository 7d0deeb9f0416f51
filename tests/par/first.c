/* The elements of smallest keys, wherever they are, ties to the first of them. */
#include "cf_test.h"

enum { MOST = 40 };

/* Key k of all ranks' elements: many ties, and both ends of what a key may be. */
static uint64_t key_of(int kind, int64_t k)
{
    const uint64_t bits = cf_random_bits((cf_random){3, CF_STREAM_TEST}, (uint64_t)k, 0, 0);

    return kind == 0 ? bits : kind == 1 ? bits % 3 : kind == 2 ? 7 : bits % 2 ? 0 : UINT64_MAX;
}

/* An element is marked if fewer than n of `total` come before it. */
static void mark_plainly(int kind, int64_t total, int64_t n, uint8_t *marks)
{
    for (int64_t k = 0; k < total; k++) {
        int64_t before = 0;

        for (int64_t j = 0; j < total; j++)
            before +=
                key_of(kind, j) < key_of(kind, k) || (key_of(kind, j) == key_of(kind, k) && j < k);
        marks[k] = before < n;
    }
}

/* Elements lie on the ranks in parts that are not equal; the last rank has none if there are more.
 */
static void check_case(int kind, int64_t total, int64_t n)
{
    const int parts = world.size > 1 ? world.size - 1 : 1;
    const int mine = world.rank < parts ? world.rank : parts;
    const int64_t first = mine * total / parts,
                  end = mine < parts ? (mine + 1) * total / parts : total;
    uint64_t keys[MOST];
    uint8_t want[MOST], got[MOST];

    for (int64_t k = first; k < end; k++)
        keys[k - first] = key_of(kind, k);
    mark_plainly(kind, total, n, want);
    cf_par_mark_first(&world, keys, end - first, n, got);
    assert_memory_equal(got, want + first, (size_t)(end - first));
}

static void the_first_are_marked(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++)
        for (int64_t total = 0; total <= MOST; total += 5)
            for (int64_t n = 0; n <= total; n += total > 20 ? 3 : 1)
                check_case(kind, total, n);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_first_are_marked),
};
CF_TEST_MAIN(tests)
