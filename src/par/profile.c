/* The profile of a rank: the seconds of each phase, and what its MPI calls send.
 *
 * A rank is in one phase at any time, so the phases' seconds add up to all seconds. MPI calls are
 * counted by MPI's profiling interface: this file defines the MPI_ functions that the program
 * calls, and each calls the library's PMPI_ function of the same name, and tells the watchdog.
 * tests/par/profile.c counts the same calls by hand; tests/check_modules fails on an MPI call that
 * is not counted here. */
#include "energy.h"
#include "watch.h"

const char *const cf_phase_names[CF_N_PHASES] = {
    [CF_PHASE_OTHER] = "other",
    [CF_PHASE_BATCH] = "batch",
    [CF_PHASE_PROPAGATION] = "propagation",
    [CF_PHASE_HALO] = "halo",
    [CF_PHASE_SCORES] = "scores",
    [CF_PHASE_CONTRAST] = "contrast",
    [CF_PHASE_EQUATIONS] = "normal equations",
    [CF_PHASE_GRADIENT] = "gradient exchange",
    [CF_PHASE_OPTIMIZER] = "optimizer",
    [CF_PHASE_EVALUATION] = "evaluation",
    [CF_PHASE_SOLVE] = "solve",
    [CF_PHASE_INPUT] = "input",
    [CF_PHASE_OUTPUT] = "output",
};

/* Of this process. Only the main thread touches it (MPI_THREAD_FUNNELED). */
static struct {
    cf_profile used;
    cf_phase phase;
    double since;  /* the time up to which `used` has the seconds */
    double joules; /* those that it has */
} now;

/* ---- Phases ---- */

/* An evaluation uses the same code as a step; its halo must not count as a step's. */
static bool is_exclusive(cf_phase phase)
{
    return phase >= CF_PHASE_EVALUATION;
}

/* The energy since the last reading belongs to the phase that ends here. */
static void take_energy(cf_phase phase)
{
    const double joules = energy_read();

    now.used.phase[is_exclusive(phase) ? phase : CF_PHASE_OTHER].joules += joules - now.joules;
    now.joules = joules;
}

/* The time since the last change belongs to the phase that ends here. */
static void change_to(cf_phase phase)
{
    const double time = cf_clock_now();

    if (is_exclusive(now.phase) || is_exclusive(phase)) take_energy(now.phase);
    now.used.phase[now.phase].seconds += time - now.since;
    now.since = time;
    now.phase = phase;
    watch_phase(phase);
}

/* Within an exclusive phase nothing changes, and its end restores the phase before it. */
cf_phase cf_par_set_phase(cf_phase phase)
{
    const cf_phase before = now.phase;

    if (!is_exclusive(before)) change_to(phase);
    return before;
}

void cf_par_restore_phase(cf_phase before)
{
    change_to(before);
}

/* The sum over the phases stays the same. */
void cf_par_move_seconds(cf_phase from, cf_phase to, double seconds)
{
    if (is_exclusive(now.phase)) return;
    now.used.phase[from].seconds -= seconds;
    now.used.phase[to].seconds += seconds;
}

void cf_par_count_file(double began, int64_t read_bytes, int64_t written_bytes)
{
    cf_phase_use *use = &now.used.phase[now.phase];

    use->file_seconds += cf_clock_now() - began;
    use->read_bytes += read_bytes;
    use->written_bytes += written_bytes;
}

void cf_par_start_profile(void)
{
    now.used = (cf_profile){0};
    now.phase = CF_PHASE_OTHER;
    now.since = cf_clock_now();
    now.joules = energy_read();
}

/* Up to this moment: the seconds of the current phase are added before the copy. */
cf_profile cf_par_read_profile(void)
{
    change_to(now.phase);
    take_energy(now.phase);
    return now.used;
}

/* ---- Counting ----
 *
 * MPI 3.1, section 14.2. The calls of HDF5 and ScaLAPACK come here as well, but for a few
 * (MPI_Scatterv, MPI_Testall) that only they use. cf_phase_use in cf/par.h says what each kind of
 * call counts. */

/* What a call hands to other ranks. */
typedef struct payload {
    int64_t bytes, messages;
} payload;

/* An MPI call begins: the watchdog knows its name, and the time is that of count(). */
static double begin(const char *call)
{
    cf_par_enter(call);
    return cf_clock_now();
}

/* Add a finished MPI call, begun at `began`, to the phase. */
static void count(double began, payload sent)
{
    cf_phase_use *use = &now.used.phase[now.phase];

    use->mpi_seconds += cf_clock_now() - began;
    use->bytes += sent.bytes;
    use->messages += sent.messages;
    cf_par_leave();
}

/* PMPI_ here and below: what the profile itself calls is not counted. */
static int64_t bytes_of(int64_t n, MPI_Datatype type)
{
    int size = 0;

    /* the size of the data, not its extent: gaps of a type are not sent */
    PMPI_Type_size(type, &size);
    return n * size;
}

static int rank_in(MPI_Comm comm)
{
    int rank;

    PMPI_Comm_rank(comm, &rank);
    return rank;
}

static int size_of(MPI_Comm comm)
{
    int size;

    PMPI_Comm_size(comm, &size);
    return size;
}

/* ceil(log2 P): the rounds of a tree over the ranks. */
static int64_t rounds(MPI_Comm comm)
{
    const int size = size_of(comm);
    int64_t n = 0;

    while (((int64_t)1 << n) < size)
        n++;
    return n;
}

/* A message to one rank; none to itself. */
static payload to_one(int n, MPI_Datatype type, int to, MPI_Comm comm)
{
    return to == rank_in(comm) ? (payload){0, 0} : (payload){bytes_of(n, type), 1};
}

/* The same to each of the others. */
static payload to_all(int n, MPI_Datatype type, MPI_Comm comm)
{
    const int64_t others = size_of(comm) - 1;

    return (payload){others * bytes_of(n, type), n > 0 ? others : 0};
}

int MPI_Send(const void *from, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Send(from, n, type, to, tag, comm);

    count(began, to_one(n, type, to, comm));
    return error;
}

/* Receives count time alone: their bytes are counted where they are sent. */
int MPI_Recv(void *into, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm,
             MPI_Status *state)
{
    const double began = begin(__func__);
    const int error = PMPI_Recv(into, n, type, from, tag, comm, state);

    count(began, (payload){0, 0});
    return error;
}

int MPI_Sendrecv(const void *from, int n, MPI_Datatype type, int to, int tag, void *into,
                 int n_into, MPI_Datatype type_into, int source, int tag_into, MPI_Comm comm,
                 MPI_Status *state)
{
    const double began = begin(__func__);
    const int error = PMPI_Sendrecv(from, n, type, to, tag, into, n_into, type_into, source,
                                    tag_into, comm, state);

    count(began, n > 0 ? to_one(n, type, to, comm) : (payload){0, 0});
    return error;
}

/* A nonblocking call only starts: the wait for it counts in MPI_Waitall(). */
int MPI_Isend(const void *from, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    const double began = begin(__func__);
    const int error = PMPI_Isend(from, n, type, to, tag, comm, request);

    count(began, to_one(n, type, to, comm));
    return error;
}

int MPI_Irecv(void *into, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    const double began = begin(__func__);
    const int error = PMPI_Irecv(into, n, type, from, tag, comm, request);

    count(began, (payload){0, 0});
    return error;
}

int MPI_Waitall(int n, MPI_Request *requests, MPI_Status *states)
{
    const double began = begin(__func__);
    const int error = PMPI_Waitall(n, requests, states);

    count(began, (payload){0, 0});
    return error;
}

int MPI_Barrier(MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Barrier(comm);

    count(began, (payload){0, rounds(comm)});
    return error;
}

/* Counted at the root, as if it sent to each of the others: no model of the library's tree. */
int MPI_Bcast(void *data, int n, MPI_Datatype type, int root, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Bcast(data, n, type, root, comm);

    count(began, root == rank_in(comm) ? to_all(n, type, comm) : (payload){0, 0});
    return error;
}

/* Reduce-scatter and allgather, each (P - 1) / P of the bytes in log2 P rounds (Rabenseifner 2004).
 */
int MPI_Allreduce(const void *from, void *into, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Allreduce(from, into, n, type, op, comm);
    const int64_t size = size_of(comm);

    count(began, (payload){2 * bytes_of(n, type) * (size - 1) / size, 2 * rounds(comm)});
    return error;
}

/* Recursive doubling: in each round the whole vector goes to one rank. */
int MPI_Scan(const void *from, void *into, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Scan(from, into, n, type, op, comm);

    count(began, (payload){rounds(comm) * bytes_of(n, type), rounds(comm)});
    return error;
}

int MPI_Exscan(const void *from, void *into, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Exscan(from, into, n, type, op, comm);

    count(began, (payload){rounds(comm) * bytes_of(n, type), rounds(comm)});
    return error;
}

/* With MPI_IN_PLACE the caller is the root, which sends nothing. */
int MPI_Gather(const void *from, int n, MPI_Datatype type, void *into, int n_into,
               MPI_Datatype type_into, int root, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Gather(from, n, type, into, n_into, type_into, root, comm);

    count(began, from == MPI_IN_PLACE ? (payload){0, 0} : to_one(n, type, root, comm));
    return error;
}

int MPI_Gatherv(const void *from, int n, MPI_Datatype type, void *into, const int counts[],
                const int starts[], MPI_Datatype type_into, int root, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Gatherv(from, n, type, into, counts, starts, type_into, root, comm);

    count(began, from == MPI_IN_PLACE ? (payload){0, 0} : to_one(n, type, root, comm));
    return error;
}

int MPI_Allgather(const void *from, int n, MPI_Datatype type, void *into, int n_into,
                  MPI_Datatype type_into, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Allgather(from, n, type, into, n_into, type_into, comm);

    count(began, to_all(n_into, type_into, comm));
    return error;
}

int MPI_Allgatherv(const void *from, int n, MPI_Datatype type, void *into, const int counts[],
                   const int starts[], MPI_Datatype type_into, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Allgatherv(from, n, type, into, counts, starts, type_into, comm);

    count(began, to_all(counts[rank_in(comm)], type_into, comm));
    return error;
}

/* The same number of elements to each rank. */
int MPI_Alltoall(const void *from, int n, MPI_Datatype type, void *into, int n_into,
                 MPI_Datatype type_into, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error = PMPI_Alltoall(from, n, type, into, n_into, type_into, comm);

    count(began, to_all(n_into, type_into, comm));
    return error;
}

/* A rank that receives no element receives no message. */
int MPI_Alltoallv(const void *from, const int counts[], const int starts[], MPI_Datatype type,
                  void *into, const int counts_into[], const int starts_into[],
                  MPI_Datatype type_into, MPI_Comm comm)
{
    const double began = begin(__func__);
    const int error =
        PMPI_Alltoallv(from, counts, starts, type, into, counts_into, starts_into, type_into, comm);
    const int size = size_of(comm), me = rank_in(comm);
    payload sent = {0, 0};

    for (int p = 0; p < size; p++) {
        if (p == me || counts[p] == 0) continue;
        sent.bytes += bytes_of(counts[p], type);
        sent.messages++;
    }
    count(began, sent);
    return error;
}

/* ---- Not counted ----
 *
 * Calls that wait for other ranks and send no data: for the watchdog alone. */

int MPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm *out)
{
    int error;

    cf_par_enter(__func__);
    error = PMPI_Comm_split(comm, color, key, out);
    cf_par_leave();
    return error;
}

int MPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm *out)
{
    int error;

    cf_par_enter(__func__);
    error = PMPI_Comm_split_type(comm, type, key, info, out);
    cf_par_leave();
    return error;
}

int MPI_Comm_free(MPI_Comm *comm)
{
    int error;

    cf_par_enter(__func__);
    error = PMPI_Comm_free(comm);
    cf_par_leave();
    return error;
}

int MPI_Finalize(void)
{
    int error;

    cf_par_enter(__func__);
    error = PMPI_Finalize();
    cf_par_leave();
    return error;
}
