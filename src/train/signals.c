#include "internal.h"

#include <signal.h>

static volatile sig_atomic_t raised;

/* Only a flag: ranks get signals at different times, or only some do, so they agree on it at the
 * next step. */
static void raise_flag(int number)
{
    (void)number;
    raised = 1;
}

void cf_train_install_signals(void)
{
    struct sigaction action = {.sa_handler = raise_flag, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

bool signals_raised(void)
{
    return raised != 0;
}
