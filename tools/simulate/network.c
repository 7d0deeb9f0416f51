/*
 * Messages. SimGrid follows every message among all that are under way: a halo of 256 blocks is
 * half a million at once, more than it can share bandwidth among. Counted, a message costs a
 * microsecond: each link has the time at which it will have carried all that it was given, and a
 * message is there when the last link on its way has carried it. That is a network that keeps its
 * busiest link busy, which is what fair sharing comes to when all ranks exchange at once.
 *
 * All ranks of a simulation are one process, and one runs at a time: the links are rank 0's, whose
 * address the others get, and need no lock. A rank that waits for messages sleeps in a receive of
 * SimGrid's until whoever sends the last of them wakes it. They are matched by sender, receiver and
 * channel, in order, whatever the communicator: in this program two ranks send and receive in the
 * same order.
 */
#include "network.h"

#include "clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USERS, ITEMS, ALLTOALLV, N_CHANNELS }; /* the halo's tags, and what has none */
enum { MAX_COMMS = 16, WAKE = 1000 };

typedef struct message {
    struct message *next;
    size_t bytes;
    double arrival;
    char data[];
} message;

/* From one rank to another: what was sent and not yet received. */
typedef struct channel {
    message *first, *last;
    bool is_awaited;
} channel;

typedef struct receive {
    channel *channel;
    void *into;
    size_t bytes;
} receive;

typedef struct network {
    int size, ranks_a_node, nodes_a_leaf, links_up;
    double bandwidth, latency, memory, overhead;
    channel *channels; /* [receiver][sender][channel] */
    int *missing;      /* of each rank: messages that it sleeps for */
    double *copies;    /* of each rank: when it has copied all for its own node */
    double *out, *in;  /* of each node: when its link has carried all that it was given */
    double *up, *down; /* of each leaf switch, to the spine and from it */
} network;

/* SimGrid gives every rank its own of these. */
static network *net;
static int me;
static struct {
    MPI_Comm comm;
    int *world; /* rank in it -> rank of all */
} known[MAX_COMMS];

/* ---- Ranks and types ---- */

static size_t bytes_of(int n, MPI_Datatype type)
{
    int size;

    PMPI_Type_size(type, &size);
    return (size_t)n * (size_t)size;
}

static int size_of(MPI_Comm comm)
{
    int size;

    PMPI_Comm_size(comm, &size);
    return size;
}

static int rank_in(MPI_Comm comm)
{
    int rank;

    PMPI_Comm_rank(comm, &rank);
    return rank;
}

static int *translate(MPI_Comm comm)
{
    const int size = size_of(comm);
    int *ranks = malloc(2 * (size_t)size * sizeof *ranks), *world = ranks + size;
    MPI_Group group, all;

    CF_ASSERT(ranks != NULL);
    for (int p = 0; p < size; p++)
        ranks[p] = p;
    PMPI_Comm_group(comm, &group);
    PMPI_Comm_group(MPI_COMM_WORLD, &all);
    PMPI_Group_translate_ranks(group, size, ranks, all, world);
    PMPI_Group_free(&group);
    PMPI_Group_free(&all);
    return world;
}

/* Kept: the loop frees no communicator. */
static const int *world_ranks(MPI_Comm comm)
{
    int k = 0;

    while (k < MAX_COMMS && known[k].world != NULL && known[k].comm != comm)
        k++;
    CF_ASSERT(k < MAX_COMMS);
    if (known[k].world == NULL) {
        known[k].comm = comm;
        known[k].world = translate(comm);
    }
    return known[k].world;
}

/* ---- Links ---- */

static double serve(double *link, double now, double seconds)
{
    *link = fmax(*link, now) + seconds;
    return *link;
}

/* When a message that is sent now is there. */
static double carry(int from, int to, size_t size)
{
    const double now = clock_now(), bytes = (double)size;
    const int node = from / net->ranks_a_node, to_node = to / net->ranks_a_node;
    const int leaf = node / net->nodes_a_leaf, to_leaf = to_node / net->nodes_a_leaf;
    double time, spine;

    if (node == to_node) return serve(&net->copies[from], now, bytes / net->memory);
    time = fmax(serve(&net->out[node], now, bytes / net->bandwidth),
                serve(&net->in[to_node], now, bytes / net->bandwidth));
    if (leaf == to_leaf) return time + 2 * net->latency;
    spine = net->bandwidth * net->links_up;
    time = fmax(time, serve(&net->up[leaf], now, bytes / spine));
    time = fmax(time, serve(&net->down[to_leaf], now, bytes / spine));
    return time + 4 * net->latency;
}

/* ---- Messages ---- */

static channel *channel_of(int to, int from, int kind)
{
    return &net->channels[((size_t)to * (size_t)net->size + (size_t)from) * N_CHANNELS +
                          (size_t)kind];
}

/* Whether its receiver is to be woken. */
static bool post(const void *data, size_t bytes, int to, int kind)
{
    channel *way = channel_of(to, me, kind);
    message *sent = malloc(sizeof *sent + bytes);

    CF_ASSERT(sent != NULL);
    clock_owe(net->overhead);
    *sent = (message){.bytes = bytes, .arrival = carry(me, to, bytes)};
    memcpy(sent->data, data, bytes);
    if (way->first == NULL)
        way->first = sent;
    else
        way->last->next = sent;
    way->last = sent;
    if (!way->is_awaited) return false;
    way->is_awaited = false;
    return --net->missing[to] == 0;
}

static void send(const void *data, size_t bytes, int to, int kind)
{
    if (post(data, bytes, to, kind)) PMPI_Send(NULL, 0, MPI_BYTE, to, WAKE, MPI_COMM_WORLD);
}

/* Into its place; when it came. */
static double take(const receive *r)
{
    message *got = r->channel->first;
    const double arrival = got->arrival;

    CF_ASSERT(got->bytes == r->bytes);
    memcpy(r->into, got->data, got->bytes);
    r->channel->first = got->next;
    free(got);
    return arrival;
}

/* A message a channel at most. */
static void wait_for(const receive *receives, int n)
{
    double ready;
    int missing = 0;

    clock_stop();
    ready = clock_now() + n * net->overhead;
    for (int k = 0; k < n; k++) {
        receives[k].channel->is_awaited = receives[k].channel->first == NULL;
        missing += receives[k].channel->is_awaited;
    }
    net->missing[me] = missing;
    if (missing > 0)
        PMPI_Recv(NULL, 0, MPI_BYTE, MPI_ANY_SOURCE, WAKE, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (int k = 0; k < n; k++)
        ready = fmax(ready, take(&receives[k]));
    clock_sleep_until(ready);
}

/* ---- Calls. SimGrid's own messages go as bytes, as the counted ones do ---- */

int network_isend(const void *from, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                  MPI_Request *request)
{
    if (net == NULL) {
        clock_stop();
        PMPI_Isend(from, (int)bytes_of(n, type), MPI_BYTE, to, tag, comm, request);
    } else {
        CF_ASSERT(tag == USERS || tag == ITEMS);
        send(from, bytes_of(n, type), world_ranks(comm)[to], tag);
        *request = MPI_REQUEST_NULL;
    }
    clock_go_on();
    return MPI_SUCCESS;
}

int network_irecv(void *into, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm,
                  MPI_Request *request)
{
    receive *r;

    if (net == NULL) {
        clock_stop();
        PMPI_Irecv(into, (int)bytes_of(n, type), MPI_BYTE, from, tag, comm, request);
    } else {
        r = malloc(sizeof *r);
        CF_ASSERT(r != NULL);
        *r = (receive){channel_of(me, world_ranks(comm)[from], tag), into, bytes_of(n, type)};
        *request = (MPI_Request)r;
    }
    clock_go_on();
    return MPI_SUCCESS;
}

static void wait_for_requests(int n, MPI_Request *requests)
{
    receive *receives = malloc((size_t)(n + 1) * sizeof *receives);
    int n_receives = 0;

    CF_ASSERT(receives != NULL);
    for (int k = 0; k < n; k++) {
        if (requests[k] == MPI_REQUEST_NULL) continue;
        receives[n_receives++] = *(receive *)requests[k];
        free(requests[k]);
        requests[k] = MPI_REQUEST_NULL;
    }
    wait_for(receives, n_receives);
    free(receives);
}

int network_waitall(int n, MPI_Request *requests, MPI_Status *states)
{
    if (net == NULL) {
        clock_stop();
        PMPI_Waitall(n, requests, states);
    } else {
        wait_for_requests(n, requests);
    }
    clock_go_on();
    return MPI_SUCCESS;
}

/* What an Alltoallv moves, in bytes. */
typedef struct parts {
    const char *from;
    char *into;
    const int *counts, *starts, *counts_into, *starts_into;
    size_t each;
} parts;

static size_t part(const parts *p, const int *counts, int rank)
{
    return (size_t)counts[rank] * p->each;
}

static void copy_own(const parts *p, int rank)
{
    if (p->counts[rank] > 0)
        memcpy(p->into + part(p, p->starts_into, rank), p->from + part(p, p->starts, rank),
               part(p, p->counts, rank));
}

/* One pair after the other, as Open MPI does it when there is much. */
static void in_pairs(const parts *p, MPI_Comm comm)
{
    const int size = size_of(comm), rank = rank_in(comm);

    clock_stop();
    copy_own(p, rank);
    for (int k = 1; k < size; k++) {
        const int to = (rank + k) % size, source = (rank + size - k) % size;

        PMPI_Sendrecv(p->from + part(p, p->starts, to), (int)part(p, p->counts, to), MPI_BYTE, to,
                      ALLTOALLV, p->into + part(p, p->starts_into, source),
                      (int)part(p, p->counts_into, source), MPI_BYTE, source, ALLTOALLV, comm,
                      MPI_STATUS_IGNORE);
    }
}

/* All at once, and none that is empty. */
static void at_once(const parts *p, MPI_Comm comm)
{
    const int size = size_of(comm), rank = rank_in(comm), *world = world_ranks(comm);
    receive *receives = malloc((size_t)size * sizeof *receives);
    int n = 0;

    CF_ASSERT(receives != NULL);
    for (int k = 1; k < size; k++) {
        const int to = (rank + k) % size;

        if (p->counts[to] > 0)
            send(p->from + part(p, p->starts, to), part(p, p->counts, to), world[to], ALLTOALLV);
    }
    copy_own(p, rank);
    for (int source = 0; source < size; source++)
        if (source != rank && p->counts_into[source] > 0)
            receives[n++] = (receive){channel_of(me, world[source], ALLTOALLV),
                                      p->into + part(p, p->starts_into, source),
                                      part(p, p->counts_into, source)};
    wait_for(receives, n);
    free(receives);
}

int network_alltoallv(const void *from, const int counts[], const int starts[], MPI_Datatype type,
                      void *into, const int counts_into[], const int starts_into[],
                      MPI_Datatype type_into, MPI_Comm comm)
{
    const parts all = {from, into, counts, starts, counts_into, starts_into, bytes_of(1, type)};

    CF_ASSERT(all.each == bytes_of(1, type_into));
    if (net == NULL)
        in_pairs(&all, comm);
    else
        at_once(&all, comm);
    clock_go_on();
    return MPI_SUCCESS;
}

/* ---- Start ---- */

static void *zeros(size_t n, size_t size)
{
    void *got = calloc(n, size);

    CF_ASSERT(got != NULL);
    return got;
}

static network *create(const network *read)
{
    const size_t size = (size_t)read->size;
    network *made = zeros(1, sizeof *made);

    *made = *read;
    made->channels = zeros(size * size * N_CHANNELS, sizeof *made->channels);
    made->missing = zeros(size, sizeof *made->missing);
    made->copies = zeros(size, sizeof *made->copies);
    made->out = zeros(size, sizeof *made->out); /* nodes and leaves are no more than ranks */
    made->in = zeros(size, sizeof *made->in);
    made->up = zeros(size, sizeof *made->up);
    made->down = zeros(size, sizeof *made->down);
    return made;
}

cf_status network_start(const cf_par *world, const char *text)
{
    network read = {.size = world->size};
    network *made = NULL;

    me = world->rank;
    if (strcmp(text, "simgrid") == 0) return CF_OK;
    if (sscanf(text, "%d,%d,%d,%lf,%lf,%lf,%lf", &read.ranks_a_node, &read.nodes_a_leaf,
               &read.links_up, &read.bandwidth, &read.latency, &read.memory, &read.overhead) != 7)
        return CF_FAIL(CF_ERR_USAGE, "network: \"%s\" is neither \"simgrid\" nor seven numbers",
                       text);
    if (me == 0) made = create(&read);
    PMPI_Bcast(&made, (int)sizeof made, MPI_BYTE, 0, world->comm);
    net = made;
    return CF_OK;
}
