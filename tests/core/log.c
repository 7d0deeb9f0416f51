#include "cf_test.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int real_stderr = -1;
static char file_path[1100];

static void stderr_to(int file)
{
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    cf_log_enable(true, false);
}

static void stderr_back(void)
{
    fflush(stderr);
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    cf_log_enable(world.rank == 0, false);
}

static void stderr_to_file(void)
{
    char name[32];

    snprintf(name, sizeof name, "log.%d", world.rank);
    snprintf(file_path, sizeof file_path, "%s", cf_test_scratch(name));
    int file = open(file_path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    assert_true(file >= 0);
    stderr_to(file);
    close(file);
}

static const char *written(void)
{
    static char text[10000];

    stderr_back();
    FILE *file = fopen(file_path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void lines_go_to_stderr_unless_switched_off(void **state)
{
    (void)state;
    stderr_to_file();
    cf_log("%d users", 3);
    cf_warn("%s", "odd");
    cf_log_enable(true, true);
    cf_log("not when quiet");
    cf_warn("even when quiet");
    cf_log_enable(false, false);
    cf_log("not when disabled");
    cf_warn("nor this");
    assert_string_equal(written(), "llminit: 3 users\nllminit: warning: odd\n"
                                   "llminit: warning: even when quiet\n");
}

static void progress_in_a_file_is_a_line_each_ten_seconds(void **state)
{
    cf_progress progress;

    (void)state;
    stderr_to_file();
    cf_progress_begin(&progress, "training", "epochs", 20);
    cf_progress_update(&progress, 1, NULL);
    progress.started -= 11; /* as if begun 11 s ago */
    progress.drawn -= 11;
    cf_progress_update(&progress, 5, "loss 0.5");
    cf_progress_update(&progress, 6, "loss 0.4");
    cf_progress_end(&progress);
    const char *text = written();
    assert_non_null(strstr(text, "llminit: training 25% 5/20 epochs, 0.45"));
    assert_non_null(strstr(text, " epochs/s, 33 s left, loss 0.5\n"));
    assert_non_null(strstr(text, "llminit: training 30% 6/20 epochs, "));
    assert_null(strstr(text, "loss 0.4"));
}

static void short_or_quiet_work_leaves_no_line(void **state)
{
    cf_progress progress;

    (void)state;
    stderr_to_file();
    cf_progress_begin(&progress, "reading", "rows", 20);
    cf_progress_update(&progress, 20, NULL);
    cf_progress_end(&progress);
    cf_log_enable(true, true);
    progress.drawn -= 100;
    cf_progress_update(&progress, 20, NULL);
    cf_progress_end(&progress);
    assert_string_equal(written(), "");
}

/** What a terminal shows, up to and with the n-th newline: it comes in pieces. */
static void read_lines(int terminal, int n, char *text, size_t size)
{
    struct pollfd ready = {.fd = terminal, .events = POLLIN};
    size_t length = 0;

    while (n > 0 && length + 1 < size) {
        assert_int_equal(poll(&ready, 1, 5000), 1);
        assert_int_equal(read(terminal, text + length, 1), 1);
        n -= text[length++] == '\n';
    }
    text[length] = '\0';
}

static void progress_on_a_terminal_is_a_bar_as_wide_as_it(void **state)
{
    int terminal, program;
    struct winsize size = {.ws_row = 24, .ws_col = 50};
    char text[1000];
    cf_progress progress;

    (void)state;
    if (openpty(&terminal, &program, NULL, NULL, &size) != 0) skip();
    stderr_to(program);
    cf_progress_begin(&progress, "reading", "rows", 0);
    progress.drawn -= 1;
    cf_progress_update(&progress, 9, NULL); /* a total that is not known */
    progress.total = 20;
    progress.drawn -= 1;
    cf_progress_update(&progress, 9, "a note that does not fit");
    cf_log("between");
    cf_progress_end(&progress);
    stderr_back();
    read_lines(terminal, 2, text, sizeof text);
    close(program);
    close(terminal);
    assert_non_null(strstr(text, "\rreading [--------------------] 9 rows, "));
    const char *bar = strstr(text, "\rreading [#########-----------] 45% 9/20 rows, ");
    assert_non_null(bar);
    assert_int_equal(strcspn(bar + 1, "\033"), 49);
    assert_non_null(strstr(text, "\033[K\r\033[Kllminit: between\r\n\rreading ["));
}

static void the_clock_moves_forward(void **state)
{
    double before = cf_clock_now();

    (void)state;
    usleep(2000);
    assert_true(cf_clock_now() - before >= 0.002);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lines_go_to_stderr_unless_switched_off),
    cmocka_unit_test(progress_in_a_file_is_a_line_each_ten_seconds),
    cmocka_unit_test(short_or_quiet_work_leaves_no_line),
    cmocka_unit_test(progress_on_a_terminal_is_a_bar_as_wide_as_it),
    cmocka_unit_test(the_clock_moves_forward),
};
CF_TEST_MAIN(tests)
