/* Preloaded by tests under MPICH, whose ranks never leave the core while they wait: where ranks are
 * more than cores, each message then takes a time slice. Here they yield it whenever UCX, below
 * MPICH, has nothing to do. Open MPI has a variable for this (tools/mpi.env). */
#include <dlfcn.h>
#include <sched.h>
#include <string.h>

unsigned ucp_worker_progress(void *worker);

unsigned ucp_worker_progress(void *worker)
{
    static unsigned (*progress)(void *);
    unsigned done;

    if (progress == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "ucp_worker_progress");

        memcpy(&progress, &symbol, sizeof progress);
    }
    done = progress(worker);
    if (done == 0) (void)sched_yield();
    return done;
}
