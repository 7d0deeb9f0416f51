/* src/par/profile.c on the simulated network. */
#include "network.h"
#define PMPI_Isend network_isend
#define PMPI_Irecv network_irecv
#define PMPI_Waitall network_waitall
#define PMPI_Alltoallv network_alltoallv
#define PMPI_Send network_send
#define PMPI_Recv network_recv
#define PMPI_Sendrecv network_sendrecv
#define PMPI_Barrier network_barrier
#define PMPI_Bcast network_bcast
#define PMPI_Allreduce network_allreduce
#define PMPI_Scan network_scan
#define PMPI_Exscan network_exscan
#define PMPI_Gather network_gather
#define PMPI_Gatherv network_gatherv
#define PMPI_Allgather network_allgather
#define PMPI_Allgatherv network_allgatherv
#define PMPI_Alltoall network_alltoall
#include "../../src/par/profile.c"
