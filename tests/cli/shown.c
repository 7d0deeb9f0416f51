/* Texts of unknown origin on standard output and in messages, and results without memory. */
#include "problem.h"

static char odd[1024]; /* a path that is no UTF-8, and that would clear a terminal */

static void make_odd(void)
{
    make_inputs();
    put_path(odd, "a\xff\x1b[2J.h5");
    succeed("llminit prepare --inter %s --out %s --quiet", inter, odd);
}

static void info_shows_any_path(void **state)
{
    char *text = NULL;
    json_t *info;

    (void)state;
    make_odd();
    assert_int_equal(run_format(&text, "llminit info %s", odd), CF_OK);
    if (world.rank == 0) {
        assert_non_null(strstr(text, "a\\xff\\x1b[2J.h5: dataset\n"));
        assert_null(strchr(text, '\x1b'));
    }
    free(text);
    info = succeed_json("llminit info %s --json", odd);
    if (world.rank == 0) /* JSON has an escape of its own for control characters */
        assert_non_null(
            strstr(json_string_value(json_object_get(info, "file")), "a\\xff\x1b[2J.h5"));
    json_decref(info);
}

static void messages_show_any_word(void **state)
{
    (void)state;
    assert_int_equal(run_line("llminit in\x1b\x66o", NULL), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "in\\x1bfo"));
    assert_int_equal(run_line("llminit info --\x07\xfe x", NULL), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "--\\x07\\xfe"));
    assert_int_equal(run_line("llminit info /nonexistent/\x1b]0;x", NULL), CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "/nonexistent/\\x1b]0;x: "));
}

static cf_status run_a_line(void *context)
{
    return run_line(context, NULL);
}

static void no_part_of_a_result_is_left_out_without_memory(void **state)
{
    const cf_test_trial trial = {.attempt = run_a_line, .thinning = 20, .rotate = true};
    char line[1100];

    (void)state;
    make_odd();
    snprintf(line, sizeof line, "llminit info %s --json", odd);
    assert_true(cf_test_every_allocation(&trial, line) > 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(info_shows_any_path),
    cmocka_unit_test(messages_show_any_word),
    cmocka_unit_test(no_part_of_a_result_is_left_out_without_memory),
};
CF_TEST_MAIN(tests)
