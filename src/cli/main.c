/* The program: MPI around one command line. All ranks return the same status; rank 0 prints the one
 * line of an error, and the status is the exit status of every rank. */
#include "cli.h"
#include "commit.h"

#include <signal.h>

int main(int argc, char **argv)
{
    const cli_command *command = cli_find_command(argc, argv);
    cf_status status;
    cf_par world;

    cf_par_restart(argv);
    cf_build_set_commit(CF_COMMIT);
    /* Before MPI_Init: a signal during a slow start is a request for a checkpoint too. */
    if (command != NULL && command->catches_signals) cf_train_install_signals();
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that leaves is an error of writing, with its line */
    cf_par_init(&argc, &argv, &world);
    status = cli_run(&world, argc, argv);
    if (status != CF_OK && world.rank == 0)
        fprintf(stderr, "llminit: %s%s\n",
                status == CF_STOPPED ? "" : "error: ", cf_error_message());
    cf_par_finalize();
    return (int)status;
}
