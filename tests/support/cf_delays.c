/* Delays on demand in a program that knows nothing of them, by LD_PRELOAD: before and after one in
 * ten of its calls of MPI, up to 3 ms. CF_FAULTS_SEED, from 1, chooses which and how long, on each
 * rank other ones. What a program computes must not depend on when its messages arrive. */
#include <dlfcn.h>
#include <mpi.h>
#include <stdlib.h>
#include <time.h>

static unsigned random_state; /* 0: no delays */

static __attribute__((constructor)) void read_seed(void)
{
    const char *seed = getenv("CF_FAULTS_SEED"), *rank = getenv("OMPI_COMM_WORLD_RANK");

    if (seed == NULL) return;
    random_state =
        (unsigned)atoi(seed) * 104729u + (unsigned)atoi(rank != NULL ? rank : "0") * 7919u;
}

static void nap(void)
{
    if (random_state != 0 && rand_r(&random_state) % 10 == 0)
        (void)nanosleep(&(struct timespec){.tv_nsec = rand_r(&random_state) % 3000000}, NULL);
}

/* The program calls the PMPI_ names, from functions of its own that count. */
#define MPI_CALL(function, params, args)                                                           \
    int function params                                                                            \
    {                                                                                              \
        static __typeof__(&function) real;                                                         \
        int result;                                                                                \
                                                                                                   \
        if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #function);                           \
        nap();                                                                                     \
        result = real args;                                                                        \
        nap();                                                                                     \
        return result;                                                                             \
    }
MPI_CALL(PMPI_Barrier, (MPI_Comm comm), (comm))
MPI_CALL(PMPI_Bcast, (void *data, int n, MPI_Datatype type, int root, MPI_Comm comm),
         (data, n, type, root, comm))
MPI_CALL(PMPI_Allreduce,
         (const void *from, void *into, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
         (from, into, n, type, op, comm))
MPI_CALL(PMPI_Scan,
         (const void *from, void *into, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
         (from, into, n, type, op, comm))
MPI_CALL(PMPI_Exscan,
         (const void *from, void *into, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
         (from, into, n, type, op, comm))
MPI_CALL(PMPI_Allgather,
         (const void *from, int n, MPI_Datatype type, void *into, int n_into,
          MPI_Datatype type_into, MPI_Comm comm),
         (from, n, type, into, n_into, type_into, comm))
MPI_CALL(PMPI_Alltoall,
         (const void *from, int n, MPI_Datatype type, void *into, int n_into,
          MPI_Datatype type_into, MPI_Comm comm),
         (from, n, type, into, n_into, type_into, comm))
MPI_CALL(PMPI_Alltoallv,
         (const void *from, const int counts[], const int starts[], MPI_Datatype type, void *into,
          const int counts_into[], const int starts_into[], MPI_Datatype type_into, MPI_Comm comm),
         (from, counts, starts, type, into, counts_into, starts_into, type_into, comm))
MPI_CALL(PMPI_Send, (const void *from, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm),
         (from, n, type, to, tag, comm))
MPI_CALL(PMPI_Recv,
         (void *into, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm,
          MPI_Status *state),
         (into, n, type, from, tag, comm, state))
MPI_CALL(PMPI_Isend,
         (const void *from, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
          MPI_Request *request),
         (from, n, type, to, tag, comm, request))
MPI_CALL(PMPI_Irecv,
         (void *into, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm,
          MPI_Request *request),
         (into, n, type, from, tag, comm, request))
MPI_CALL(PMPI_Waitall, (int n, MPI_Request requests[], MPI_Status states[]), (n, requests, states))
