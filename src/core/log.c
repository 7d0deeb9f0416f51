/* Log lines, progress bars and the clock. Everything goes to stderr. A bar is redrawn in place on a
 * terminal; in a file it is a plain line each 10 seconds. A log line that comes while a bar is
 * shown erases the bar first, and the next update draws it again. tests/core/log.c reads the lines
 * back.
 */
#include "cf/core.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 2048, BAR_WIDTH = 20 };
static const double terminal_interval = 0.1, file_interval = 10; /* seconds between two drawings */
static bool log_enabled = true, log_quiet;
static bool bar_shown; /* the terminal's last line is a bar without a newline */

/* Not the time of day, which may jump. */
double cf_clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void cf_log_enable(bool enabled, bool quiet)
{
    log_enabled = enabled;
    log_quiet = quiet;
}

/* One call of fprintf a line, so that lines of other processes do not end up inside it. */
__attribute__((format(printf, 2, 0))) static void write_line(const char *prefix, const char *format,
                                                             va_list arguments)
{
    char text[CF_LINE_SIZE], shown[CF_LINE_SIZE];

    vsnprintf(text, sizeof text, format, arguments);
    fprintf(stderr, "%sllminit: %s%s\n", bar_shown ? "\r\033[K" : "", prefix,
            cf_text_show(text, shown, sizeof shown));
    bar_shown = false;
}

void cf_log(const char *format, ...)
{
    va_list arguments;

    if (!log_enabled || log_quiet) return;
    va_start(arguments, format);
    write_line("", format, arguments);
    va_end(arguments);
}

void cf_warn(const char *format, ...)
{
    va_list arguments;

    if (!log_enabled) return;
    va_start(arguments, format);
    write_line("warning: ", format, arguments);
    va_end(arguments);
}

/* Columns of the terminal, 0 if stderr is not one. mpirun hides the terminal behind a pipe;
 * LLMINIT_PROGRESS=bar says that there is one. */
static int terminal_columns(void)
{
    const char *progress = getenv("LLMINIT_PROGRESS");
    struct winsize size = {0};

    if (progress != NULL && strcmp(progress, "bar") == 0) return 80;
    if (!isatty(STDERR_FILENO)) return 0;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

/* "45% 12/27 epochs, 3.1 epochs/s, 5 s left, loss 0.4312"; without a total the count alone. */
static void format_progress(const cf_progress *progress, const char *note, char *text, size_t size)
{
    double seconds = cf_clock_now() - progress->started;
    double rate = seconds > 0 ? (double)progress->done / seconds : 0;
    int64_t left = progress->total - progress->done;
    char remaining[64] = "";

    if (rate > 0 && left > 0)
        snprintf(remaining, sizeof remaining, ", %.0f s left", (double)left / rate);
    if (progress->total > 0)
        snprintf(text, size, "%.0f%% %lld/%lld %s, %.3g %s/s%s%s%s",
                 100.0 * (double)progress->done / (double)progress->total,
                 (long long)progress->done, (long long)progress->total, progress->unit, rate,
                 progress->unit, remaining, note != NULL ? ", " : "", note != NULL ? note : "");
    else
        snprintf(text, size, "%lld %s, %.3g %s/s%s%s", (long long)progress->done, progress->unit,
                 rate, progress->unit, note != NULL ? ", " : "", note != NULL ? note : "");
}

/* The bar over the last line of the terminal, cut to its width. */
static void draw_bar(const cf_progress *progress, const char *text, int columns)
{
    char bar[BAR_WIDTH + 1], line[LINE_SIZE];
    double fraction = progress->total > 0 ? (double)progress->done / (double)progress->total : 0;
    int full = (int)(fraction * BAR_WIDTH);

    if (full > BAR_WIDTH) full = BAR_WIDTH;
    memset(bar, '-', BAR_WIDTH);
    memset(bar, '#', (size_t)full);
    bar[BAR_WIDTH] = '\0';
    snprintf(line, sizeof line, "%s [%s] %s", progress->title, bar, text);
    fprintf(stderr, "\r%.*s\033[K", columns - 1, line); /* a full last column would wrap */
    bar_shown = true;
}

/* One drawing: a bar on a terminal, else a line of the log. */
static void draw_progress(cf_progress *progress, const char *note)
{
    char text[LINE_SIZE / 2];
    int columns = terminal_columns();

    progress->drawn = cf_clock_now();
    format_progress(progress, note, text, sizeof text);
    if (columns > 0)
        draw_bar(progress, text, columns);
    else
        cf_log("%s %s", progress->title, text);
}

void cf_progress_begin(cf_progress *progress, const char *title, const char *unit, int64_t total)
{
    double now = cf_clock_now();

    *progress =
        (cf_progress){.title = title, .unit = unit, .total = total, .started = now, .drawn = now};
}

/* Called at each step, so the clock is read first and nothing is drawn most times. */
void cf_progress_update(cf_progress *progress, int64_t done, const char *note)
{
    progress->done = done;
    if (!log_enabled || log_quiet) return;
    double waited = cf_clock_now() - progress->drawn;
    if (waited < terminal_interval) return; /* first, for isatty() is a system call */
    if (waited >= file_interval || terminal_columns() > 0) draw_progress(progress, note);
}

/* The last state is drawn only if an earlier one was: short work leaves no line. */
void cf_progress_end(cf_progress *progress)
{
    if (!log_enabled || log_quiet) return;
    if (progress->drawn > progress->started) draw_progress(progress, NULL);
    if (bar_shown) fputc('\n', stderr);
    bar_shown = false;
}
