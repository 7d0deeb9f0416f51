#include "cf_test.h"

#include <limits.h>
#include <string.h>

static void a_text_is_made_of_its_parts(void **state)
{
    char *text = NULL;

    (void)state;
    assert_int_equal(cf_text_format(&text, "%s/%s.%d", "folder", "name", 17), CF_OK);
    assert_string_equal(text, "folder/name.17");
    cf_free(&text);
    assert_int_equal(cf_text_format(&text, "%s", ""), CF_OK);
    assert_string_equal(text, "");
    cf_free(&text);
    assert_int_equal(cf_text_format(&text, "%*s", 100000, "x"), CF_OK);
    assert_int_equal(strlen(text), 100000);
    cf_free(&text);
}

static void the_text_that_was_there_may_be_a_part(void **state)
{
    char *text = NULL, *old;

    (void)state;
    assert_int_equal(cf_text_format(&text, "%s", "a"), CF_OK);
    old = text;
    assert_int_equal(cf_text_format(&text, "%s, %s", text, "b"), CF_OK);
    assert_string_equal(text, "a, b");
    cf_free(&old);
    cf_free(&text);
}

static void a_text_without_memory_is_an_error(void **state)
{
    volatile int width = INT_MAX; /* else the compiler warns */
    char place = 'x', *text = &place;

    (void)state;
    cf_alloc_fail_at(1);
    assert_int_equal(cf_text_format(&text, "%s", "text"), CF_ERR_MEMORY);
    assert_string_equal(cf_error_message(), "out of memory: 5 bytes");
    assert_ptr_equal(text, &place);
    if (world.size > 1) return; /* it takes seconds */
    assert_int_equal(cf_text_format(&text, "%*s.", width, ""), CF_ERR_MEMORY);
    assert_string_equal(cf_error_message(), "out of memory: a text of 2 GiB or more");
    assert_ptr_equal(text, &place);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_text_is_made_of_its_parts),
    cmocka_unit_test(the_text_that_was_there_may_be_a_part),
    cmocka_unit_test(a_text_without_memory_is_an_error),
};
CF_TEST_MAIN(tests)
