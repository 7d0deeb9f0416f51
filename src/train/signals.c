/* Signals that ask a run to stop: SIGTERM, SIGINT, and SIGUSR1, Slurm's warning before the time
 * limit. The handler sets a flag; the supervisor reads it between steps. tests/train/signal.c
 * raises them. */
#include "internal.h"

#include <signal.h>
#include <time.h>

/* Launchers send SIGTERM twice, to the ranks and through themselves, within about a second. Only a
 * signal that comes at least this many seconds after the first counts as a second one. */
enum { REPEATED = 3 };

static volatile sig_atomic_t raised;

/* Ranks receive signals at different times, or only some receive one, so the handler sets a flag
 * and the ranks agree on it at the next step. A second SIGTERM or SIGINT takes its default effect
 * at once, and the launcher ends the other ranks. SIGUSR1 is a warning and is not counted. */
static void on_signal(int number)
{
    static time_t first = -1;
    struct timespec now;

    raised = 1;
    if (number == SIGUSR1) return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (first < 0) {
        first = now.tv_sec;
    } else if (now.tv_sec - first >= REPEATED) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

void cf_train_install_signals(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    for (int k = 0; k < 3; k++)
        sigaddset(&action.sa_mask, numbers[k]); /* one at a time */
    for (int k = 0; k < 3; k++)
        sigaction(numbers[k], &action, NULL);
}

bool signals_raised(void)
{
    return raised != 0;
}
