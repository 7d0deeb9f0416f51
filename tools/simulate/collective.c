/* Calls that are left to SimGrid: what the rank computed before is paid for first. */
#include "clock.h"
#include "network.h"

int network_send(const void *from, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm)
{
    clock_stop();
    PMPI_Send(from, n, type, to, tag, comm);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_recv(void *into, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm,
                 MPI_Status *state)
{
    clock_stop();
    PMPI_Recv(into, n, type, from, tag, comm, state);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_sendrecv(const void *from, int n, MPI_Datatype type, int to, int tag, void *into,
                     int n_into, MPI_Datatype type_into, int source, int tag_into, MPI_Comm comm,
                     MPI_Status *state)
{
    clock_stop();
    PMPI_Sendrecv(from, n, type, to, tag, into, n_into, type_into, source, tag_into, comm, state);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_barrier(MPI_Comm comm)
{
    clock_stop();
    PMPI_Barrier(comm);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_bcast(void *data, int n, MPI_Datatype type, int root, MPI_Comm comm)
{
    clock_stop();
    PMPI_Bcast(data, n, type, root, comm);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_allreduce(const void *from, void *into, int n, MPI_Datatype type, MPI_Op op,
                      MPI_Comm comm)
{
    clock_stop();
    PMPI_Allreduce(from, into, n, type, op, comm);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_scan(const void *from, void *into, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    clock_stop();
    PMPI_Scan(from, into, n, type, op, comm);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_exscan(const void *from, void *into, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    clock_stop();
    PMPI_Exscan(from, into, n, type, op, comm);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_gather(const void *from, int n, MPI_Datatype type, void *into, int n_into,
                   MPI_Datatype type_into, int root, MPI_Comm comm)
{
    clock_stop();
    PMPI_Gather(from, n, type, into, n_into, type_into, root, comm);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_gatherv(const void *from, int n, MPI_Datatype type, void *into, const int counts[],
                    const int starts[], MPI_Datatype type_into, int root, MPI_Comm comm)
{
    clock_stop();
    PMPI_Gatherv(from, n, type, into, counts, starts, type_into, root, comm);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_allgather(const void *from, int n, MPI_Datatype type, void *into, int n_into,
                      MPI_Datatype type_into, MPI_Comm comm)
{
    clock_stop();
    PMPI_Allgather(from, n, type, into, n_into, type_into, comm);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_allgatherv(const void *from, int n, MPI_Datatype type, void *into, const int counts[],
                       const int starts[], MPI_Datatype type_into, MPI_Comm comm)
{
    clock_stop();
    PMPI_Allgatherv(from, n, type, into, counts, starts, type_into, comm);
    clock_go_on();
    return MPI_SUCCESS;
}

int network_alltoall(const void *from, int n, MPI_Datatype type, void *into, int n_into,
                     MPI_Datatype type_into, MPI_Comm comm)
{
    clock_stop();
    PMPI_Alltoall(from, n, type, into, n_into, type_into, comm);
    clock_go_on();
    return MPI_SUCCESS;
}
