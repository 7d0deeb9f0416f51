#include "cf_test.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_message_is_kept_and_may_contain_the_last_one(void **state)
{
    (void)state;
    assert_int_equal(CF_FAIL(CF_ERR_IO, "%s: no", "a"), CF_ERR_IO);
    assert_string_equal(cf_error_message(), "a: no");
    assert_int_equal(CF_FAIL(CF_ERR_FORMAT, "rank %d: %s", 3, cf_error_message()), CF_ERR_FORMAT);
    assert_string_equal(cf_error_message(), "rank 3: a: no");
}

static void a_message_is_one_line_that_fits(void **state)
{
    char text[CF_LINE_SIZE + 100];

    (void)state;
    memset(text, 'x', sizeof text);
    text[5] = '\n';
    text[sizeof text - 1] = '\0';
    CF_FAIL(CF_ERR_IO, "%s", text);
    assert_int_equal(strlen(cf_error_message()), CF_LINE_SIZE - 1);
    assert_null(strchr(cf_error_message(), '\n'));
}

static cf_status leave_at(int at, int *reached)
{
    cf_status status = CF_OK;

    for (*reached = 0; *reached < 3; ++*reached)
        CF_TRY(*reached == at ? CF_ERR_IO : CF_OK);
    *reached = 100;
done:
    return status;
}

static void try_leaves_at_the_first_failure(void **state)
{
    int reached = 0;

    (void)state;
    assert_int_equal(leave_at(1, &reached), CF_ERR_IO);
    assert_int_equal(reached, 1);
    assert_int_equal(leave_at(-1, &reached), CF_OK);
    assert_int_equal(reached, 100);
}

static cf_status require_small(int number, int *evaluated)
{
    cf_status status = CF_OK;

    CF_REQUIRE(++*evaluated > 0 && number < 10, CF_ERR_USAGE, "%d is not below %d", number, 10);
    (*evaluated)++;
done:
    return status;
}

static void a_requirement_is_checked_once_and_named(void **state)
{
    int evaluated = 0;

    (void)state;
    assert_int_equal(require_small(9, &evaluated), CF_OK);
    assert_int_equal(evaluated, 2);
    evaluated = 0;
    assert_int_equal(require_small(12, &evaluated), CF_ERR_USAGE);
    assert_int_equal(evaluated, 1);
    assert_string_equal(cf_error_message(), "12 is not below 10");
}

static void exit_17(void)
{
    _exit(17);
}

/** How a child ends that finds a bug; what it printed in `text`. */
static int find_a_bug(void (*hook)(void), char *text, size_t size)
{
    int ends[2], outcome = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        cf_error_set_abort(hook);
        CF_ASSERT(1 + 1 == 2);
        CF_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(ends[1]);
    ssize_t length = read(ends[0], text, size - 1);
    close(ends[0]);
    text[length > 0 ? length : 0] = '\0';
    assert_int_equal(waitpid(child, &outcome, 0), child);
    return outcome;
}

static void a_bug_names_its_place_and_ends_the_program(void **state)
{
    char text[1000];

    (void)state;
    int outcome = find_a_bug(NULL, text, sizeof text);
    assert_true(WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGABRT);
    assert_non_null(strstr(text, "1 + 1 == 3"));
    assert_non_null(strstr(text, "core/error.c:"));
    assert_null(strstr(text, "== 2"));
    outcome = find_a_bug(exit_17, text, sizeof text);
    assert_true(WIFEXITED(outcome) && WEXITSTATUS(outcome) == 17);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_message_is_kept_and_may_contain_the_last_one),
    cmocka_unit_test(a_message_is_one_line_that_fits),
    cmocka_unit_test(try_leaves_at_the_first_failure),
    cmocka_unit_test(a_requirement_is_checked_once_and_named),
    cmocka_unit_test(a_bug_names_its_place_and_ends_the_program),
};
CF_TEST_MAIN(tests)
