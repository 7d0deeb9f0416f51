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

/* A text, as it is shown, and as UTF-8. */
static const struct {
    const char *text, *shown, *utf8;
} texts[] = {
    {"", "", ""},
    {"d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x98\x80 \\x1b",
     "d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x98\x80 \\x1b",
     "d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x98\x80 \\x1b"},
    {"a\nb\r\tc", "a b \tc", "a\nb\r\tc"},
    {"\x1b[31m\x07\x7f", "\\x1b[31m\\x07\\x7f", "\x1b[31m\x07\x7f"},
    {"\xc2\x9b\x31m", "\\xc2\\x9b1m", "\xc2\x9b\x31m"},   /* a control character of 8 bits */
    {"\xff", "\\xff", "\\xff"},                           /* begins no character */
    {"\xe2\x82", "\\xe2\\x82", "\\xe2\\x82"},             /* ends amid one */
    {"\xc0\xaf\xe0\x80\xaf", "\\xc0\\xaf\\xe0\\x80\\xaf", /* too long */
     "\\xc0\\xaf\\xe0\\x80\\xaf"},
    {"\xed\xa0\x80\xf4\x90\x80\x80", "\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80", /* no characters */
     "\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80"},
};

static void a_text_of_unknown_origin_can_be_shown(void **state)
{
    char shown[64], *utf8 = NULL;

    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        assert_ptr_equal(cf_text_show(texts[k].text, shown, sizeof shown), shown);
        assert_string_equal(shown, texts[k].shown);
        assert_int_equal(cf_text_to_utf8(texts[k].text, &utf8), CF_OK);
        assert_string_equal(utf8, texts[k].utf8);
        cf_free(&utf8);
    }
    assert_string_equal(cf_text_show("ab\x1b", shown, 6), "ab"); /* no part of an escape */
    assert_string_equal(cf_text_show("ab\x1b", shown, 7), "ab\\x1b");
    assert_string_equal(cf_text_show("ab\xc3\xa9", shown, 4), "ab");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_text_of_unknown_origin_can_be_shown),
    cmocka_unit_test(a_text_is_made_of_its_parts),
    cmocka_unit_test(the_text_that_was_there_may_be_a_part),
    cmocka_unit_test(a_text_without_memory_is_an_error),
};
CF_TEST_MAIN(tests)
