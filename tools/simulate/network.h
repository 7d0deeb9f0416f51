/** What goes from rank to rank in a simulation. profile.c puts these calls where src/par/profile.c
 * has MPI's. */
#pragma once

#include "cf/par.h"

/**
 * Collective, before the first message. `text`: "simgrid" leaves every message to SimGrid;
 * otherwise it is counted on links, "RANKS_A_NODE,NODES_A_LEAF,LINKS_UP,BANDWIDTH,LATENCY,MEMORY,
 * OVERHEAD": bytes a second of a link, seconds of a link, bytes a second that a core copies within
 * its node, seconds of a core for each message that it sends and each that it gets. Errors: USAGE.
 */
cf_status network_start(const cf_par *world, const char *text);

int network_isend(const void *from, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                  MPI_Request *request);
int network_irecv(void *into, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm,
                  MPI_Request *request);
int network_waitall(int n, MPI_Request *requests, MPI_Status *states);
int network_alltoallv(const void *from, const int counts[], const int starts[], MPI_Datatype type,
                      void *into, const int counts_into[], const int starts_into[],
                      MPI_Datatype type_into, MPI_Comm comm);
