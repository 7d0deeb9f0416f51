/* src/par/profile.c on the simulated network. */
#include "clock.h"
#include "network.h"

#define PMPI_Isend network_isend
#define PMPI_Irecv network_irecv
#define PMPI_Waitall network_waitall
#define PMPI_Alltoallv network_alltoallv

/* The others are left to SimGrid: what the rank computed before is paid for first. */
static int go_on(int error)
{
    clock_go_on();
    return error;
}
#define LEFT(call) (clock_stop(), go_on(call))
#define PMPI_Send(...) LEFT(PMPI_Send(__VA_ARGS__))
#define PMPI_Recv(...) LEFT(PMPI_Recv(__VA_ARGS__))
#define PMPI_Sendrecv(...) LEFT(PMPI_Sendrecv(__VA_ARGS__))
#define PMPI_Barrier(...) LEFT(PMPI_Barrier(__VA_ARGS__))
#define PMPI_Bcast(...) LEFT(PMPI_Bcast(__VA_ARGS__))
#define PMPI_Allreduce(...) LEFT(PMPI_Allreduce(__VA_ARGS__))
#define PMPI_Scan(...) LEFT(PMPI_Scan(__VA_ARGS__))
#define PMPI_Exscan(...) LEFT(PMPI_Exscan(__VA_ARGS__))
#define PMPI_Gather(...) LEFT(PMPI_Gather(__VA_ARGS__))
#define PMPI_Gatherv(...) LEFT(PMPI_Gatherv(__VA_ARGS__))
#define PMPI_Allgather(...) LEFT(PMPI_Allgather(__VA_ARGS__))
#define PMPI_Allgatherv(...) LEFT(PMPI_Allgatherv(__VA_ARGS__))
#define PMPI_Alltoall(...) LEFT(PMPI_Alltoall(__VA_ARGS__))

/* Where a phase ends, and at an MPI call, the threads have ended a loop. */
static double read_clock(void)
{
    clock_join();
    return cf_clock_now();
}
#define cf_clock_now read_clock

#include "par/profile.c"

/* All ranks of a block draw the batch and sort its rows, and all threads of a rank wait for one. */
bool clock_is_repeated(void)
{
    return now.phase == CF_PHASE_BATCH;
}
