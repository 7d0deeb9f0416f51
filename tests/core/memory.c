#include "cf_test.h"

#include <string.h>

static void blocks_are_zero_and_aligned(void **state)
{
    static const struct {
        int64_t count;
        uintptr_t alignment;
    } cases[] = {{0, 64}, {1, 64}, {1000, 64}, {(int64_t)3 << 20, 64}, {(int64_t)5 << 20, 2 << 20}};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (int again = 0; again < 2; again++) { /* the second may get the first one's memory */
            char *block = NULL;
            assert_int_equal(CF_ALLOC(block, cases[c].count), CF_OK);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % cases[c].alignment, 0);
            for (int64_t i = 0; i < cases[c].count; i++)
                if (block[i]) fail_msg("not zero");
            memset(block, 1, (size_t)cases[c].count);
            cf_free(&block);
            assert_null(block);
            cf_free(&block);
        }
    }
}

static void live_blocks_and_the_peak_are_counted(void **state)
{
    int64_t live = cf_alloc_live();
    double *a = NULL, *b = NULL;

    (void)state;
    assert_int_equal(CF_ALLOC(a, 1 << 20), CF_OK);
    assert_int_equal(CF_ALLOC(b, 1 << 20), CF_OK);
    assert_int_equal(cf_alloc_live(), live + 2);
    assert_int_equal(cf_alloc_peak(), 2 * (8 << 20));
    cf_free(&a);
    cf_free(&b);
    assert_int_equal(cf_alloc_live(), live);
    assert_int_equal(CF_ALLOC(a, 1 << 20), CF_OK);
    cf_free(&a);
    assert_int_equal(cf_alloc_peak(), 2 * (8 << 20));
    cf_alloc_reset_peak();
    assert_int_equal(cf_alloc_peak(), cf_alloc_held());
}

static void what_does_not_fit_is_an_error(void **state)
{
    double kept = 0, *pointer = &kept;

    (void)state;
    assert_int_equal(CF_ALLOC(pointer, INT64_MAX), CF_ERR_MEMORY); /* bytes overflow */
    assert_int_equal(CF_ALLOC(pointer, (int64_t)1 << 58), CF_ERR_MEMORY);
    assert_string_equal(cf_error_message(), "out of memory: 2305843009213693952 bytes");
    assert_ptr_equal(pointer, &kept);
}

static void the_chosen_allocation_fails(void **state)
{
    int *a = NULL, *b = NULL;

    (void)state;
    cf_alloc_fail_at(2);
    assert_int_equal(CF_ALLOC(a, 10), CF_OK);
    assert_int_equal(CF_ALLOC(b, 10), CF_ERR_MEMORY);
    assert_string_equal(cf_error_message(), "out of memory: 40 bytes");
    assert_null(b);
    assert_int_equal(CF_ALLOC(b, 10), CF_OK);
    cf_free(&a);
    cf_free(&b);
    cf_alloc_fail_at(1);
    cf_alloc_fail_at(0);
    assert_int_equal(CF_ALLOC(a, 10), CF_OK);
    cf_free(&a);
}

static void growing_keeps_the_old_and_zeroes_the_new(void **state)
{
    int64_t capacity = 0, grown = 0;
    int32_t *list = NULL;

    (void)state;
    for (int64_t i = 0; i < 10000; i++) {
        int64_t before = capacity;
        assert_int_equal(CF_GROW(list, capacity, i + 1), CF_OK);
        assert_true(capacity >= i + 1);
        if (capacity != before) {
            grown++;
            assert_true(capacity >= 2 * before);
            for (int64_t k = i; k < capacity; k++)
                assert_int_equal(list[k], 0);
        }
        list[i] = (int32_t)i;
    }
    assert_true(grown < 20);
    for (int64_t i = 0; i < 10000; i++)
        assert_int_equal(list[i], i);

    int64_t before = capacity;
    cf_alloc_fail_at(1);
    assert_int_equal(CF_GROW(list, capacity, capacity + 1), CF_ERR_MEMORY);
    assert_int_equal(capacity, before);
    assert_int_equal(list[9999], 9999);
    cf_free(&list);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(blocks_are_zero_and_aligned),
    cmocka_unit_test(live_blocks_and_the_peak_are_counted),
    cmocka_unit_test(what_does_not_fit_is_an_error),
    cmocka_unit_test(the_chosen_allocation_fails),
    cmocka_unit_test(growing_keeps_the_old_and_zeroes_the_new),
};
CF_TEST_MAIN(tests)
