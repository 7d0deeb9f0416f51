/* Errors: the message of the last failure in this process, and assertions. The message is kept
 * rather than printed, because only main prints, on rank 0, after all ranks have agreed whose
 * message it is. One lock keeps notes of several threads apart; whoever reads the message does so
 * outside of parallel regions.
 */
#include "cf/core.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char last_message[CF_LINE_SIZE];
static pthread_mutex_t message_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*abort_function)(void);

/* A message is one line, whatever is in a name or in a file's text. */
cf_status cf_error_note(cf_status code, const char *format, ...)
{
    char text[CF_LINE_SIZE]; /* last_message may be among the arguments */
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&message_lock);
    (void)cf_text_show(text, last_message, sizeof last_message);
    pthread_mutex_unlock(&message_lock);
    return code;
}

const char *cf_error_message(void)
{
    return last_message;
}

void cf_error_set_abort(void (*function)(void))
{
    abort_function = function;
}

/* Printed at once, by whichever rank finds it: the other ranks may be waiting for this one. */
_Noreturn void cf_error_assert(const char *condition, const char *file, int line)
{
    fprintf(stderr, "llminit: bug: %s:%d: not true: %s\n", file, line, condition);
    fflush(stderr);
    if (abort_function) abort_function();
    abort();
}
