/**
 * par: the ranks. MPI context, agreement on errors, the 2-D process grid, partitions into blocks,
 * and what the ranks spend their time and messages on.
 */
#pragma once

#include "cf/core.h"
#include "cf/math.h"

#include <mpi.h>

/* ---- Context ---- */

/** A communicator with its rank and size. Plain data; `comm` is owned by whoever made it. */
typedef struct cf_par {
    MPI_Comm comm;
    int rank;
    int size;
} cf_par;

/**
 * Start MPI (MPI_THREAD_FUNNELED), let only rank 0 log, make CF_ASSERT end the whole job, and hold
 * BLAS to one thread a call; watch for a hang. Collective. `world` is MPI_COMM_WORLD.
 */
void cf_par_init(int *argc, char ***argv, cf_par *world);
/** Collective; the last call. */
void cf_par_finalize(void);

/** Before MPI starts: run the program again with the variables set that its libraries read when
 * they are loaded: OpenBLAS's threads and kernels, how OpenMP and MPI wait. What is set stays, but
 * for OPENBLAS_NUM_THREADS, which must be 1. Local. Returns if there is nothing to do, or no way to
 * do it. */
void cf_par_restart(char **argv);
/** One line of what it has set, if anything; a warning where OpenBLAS has no kernels for this
 * processor. Local. */
void cf_par_log_environment(void);
/** Take the memory that OpenBLAS needs for calls from all threads at one time: later it would wait
 * for it for ever. Collective. Errors: MEMORY. */
cf_status cf_par_reserve_blas(const cf_par *par);

/**
 * Make all ranks go on, or all leave. Collective: each rank passes the status of its local work. If
 * any failed, every rank gets the status and the message of the lowest rank that failed. "rank N: "
 * comes before the message, with the world rank, unless all ranks failed, as they do once they have
 * agreed. So agree over all ranks that make the call: a part of them first, and then all, would
 * name a rank twice. Costs one small Allreduce when no rank failed.
 */
cf_status cf_par_agree(const cf_par *par, cf_status status);

/** The same without "rank N: ", but for MEMORY: what is wrong with the input is so, whichever rank
 * came upon it. */
cf_status cf_par_agree_on_input(const cf_par *par, cf_status status);

/** True on every rank if `mine` is true on any. Collective. */
bool cf_par_any(const cf_par *par, bool mine);

/** Each of `n` values becomes the largest of the ranks'. MPI_MAX of MPI_UINT64_T is not it: MPICH
 * 4.0.2 takes the numbers as signed. Collective. */
void cf_par_max_unsigned(const cf_par *par, uint64_t *values, int n);

/** An MPI count from a 64-bit number; a number that does not fit an int is a bug of the caller.
 * Local. */
int cf_par_count(int64_t count);

/** Where each rank's part begins when `n` parts follow one another: start[p] = count[0] + ... +
 * count[p - 1], which must be MPI counts. Returns their total. Local. */
int64_t cf_par_displacements(const int *count, int *start, int n);

/** Broadcast any number of bytes from `root`. Collective. */
void cf_par_broadcast(const cf_par *par, void *bytes, int64_t size, int root);

/**
 * Send records of `size` bytes to the ranks they belong to. `records` (NULL if there are none) has
 * counts[0] of them for rank 0, then counts[1] for rank 1, ...; `*out` is new, to be freed with
 * cf_free(): those of rank 0 for this rank, got[0] of them, then those of rank 1, ... Any number of
 * bytes. Collective. Errors: MEMORY.
 */
cf_status cf_par_exchange(const cf_par *par, size_t size, const int64_t *counts,
                          const void *records, int64_t *got, void *out);

/** Each rank has `count` of something: `*before` is the sum over the ranks below this one, `*total`
 * that over all ranks. Collective. */
void cf_par_exscan(const cf_par *par, int64_t count, int64_t *before, int64_t *total);

/**
 * Mark the `n` elements of smallest keys, ties to the first of them; those of rank 0 come first.
 * `keys`: the `count` elements of this rank; all ranks together have at least n. `marks`: count
 * flags. Needs no room. Collective.
 */
void cf_par_mark_first(const cf_par *par, const uint64_t *keys, int64_t count, int64_t n,
                       uint8_t *marks);

/** Sum `count` exact sums over the ranks, in place: the same bits for any number of ranks.
 * Collective. */
void cf_par_sum_exact(const cf_par *par, cf_exact *sums, int64_t count);

/* ---- Exchange plans ---- */

/**
 * Who sends how many elements to whom: the plan of an exchange that is made again and again, forth
 * (each element to its receiver) and back (a reply for each element to its sender). Elements for
 * one receiver are contiguous in the send buffer, in order of the receivers; what comes from one
 * sender is contiguous in the receive buffer, in order of the senders.
 */
typedef struct cf_plan {
    const cf_par *par;            /* borrowed */
    int *send_count, *send_start; /* ranks: elements for each, and where they begin */
    int *recv_count, *recv_start; /* ranks: elements from each, and where they begin */
    int64_t n_send, n_recv;       /* their totals */
} cf_plan;

/** A plan of nothing. Local. Errors: MEMORY. Free with cf_par_destroy_plan(), which takes all zero
 * bytes too. */
cf_status cf_par_create_plan(const cf_par *par, cf_plan *out);
void cf_par_destroy_plan(cf_plan *plan);
/** Once send_count is filled: tell each rank what it will receive, and fill all else. Collective;
 * sends 4 bytes to each rank. */
void cf_par_complete_plan(cf_plan *plan);
/** The same without communication, where recv_count is known too. Local. */
void cf_par_order_plan(cf_plan *plan);
/** Bytes that this rank sends to others by the plan, in elements of `element_bytes`. Local. */
double cf_par_plan_bytes(const cf_plan *plan, int64_t element_bytes, bool reply);
/** Send `send` (n_send elements of `type`) to the receivers, into `recv` (n_recv). Collective. */
void cf_par_send(const cf_plan *plan, const void *send, void *recv, MPI_Datatype type);
/** The way back: `reply` (n_recv elements) to those who sent, into `out` (n_send). Collective. */
void cf_par_reply(const cf_plan *plan, const void *reply, void *out, MPI_Datatype type);

/* ---- Watchdog ---- */

/** Seconds without progress after which a job is ended, unless cf_par_set_hang_timeout() is called.
 */
#define CF_HANG_TIMEOUT 600

/**
 * A rank makes progress when an MPI call or a read or write of a file returns, when its phase
 * changes, and when it calls one of these. One without any for the timeout, and for 20 times the
 * longest step so far, prints a line and ends the job with CF_ERR_HANG. Outside of steps (before
 * the first is done, and in exclusive phases) ten times the timeout, and what cf_par_expect() said,
 * must pass. 0: never. Local, as all here.
 */
void cf_par_set_hang_timeout(double seconds);
/** The main thread is in a call that may never return, as all of MPI's are noted: its name, a text
 * that stays, for the line. */
void cf_par_enter(const char *call);
/** It has returned. */
void cf_par_leave(void);
/** A step took so long. Also: the rank moves. */
void cf_par_note_step(double seconds);
/** Work begins that may take `seconds` in which no rank makes progress; 0: it is over. */
void cf_par_expect(double seconds);
/** For tests: call `end` with the line, on the watchdog's thread, rather than end the job. */
void cf_par_on_hang(void (*end)(const char *line));

/** The MPI library, "Open MPI v4.1.4": static. Local. */
const char *cf_par_mpi_library(void);
/** Which BLAS the program calls. */
typedef struct cf_blas {
    const char *name;    /* "OpenBLAS 0.3.21"; of one that is not known here, its file */
    const char *kernels; /* "SkylakeX": those it chose for this processor; "": it does not say */
    bool one_thread;     /* cf_par_init() holds each call to one thread; else it has its own say */
} cf_blas;
/** The BLAS, as it is loaded. The texts stay. Local, also before MPI starts. */
cf_blas cf_par_find_blas(void);
/** Log which MPI and which BLAS this is. Local. */
void cf_par_log_libraries(void);

/* ---- Nodes ---- */

/** The ranks of `par` on the node of this one, in the order of `par`. Collective. Free out->comm.
 */
void cf_par_split_node(const cf_par *par, cf_par *out);
/** On how many nodes the ranks are. Collective. */
int cf_par_count_nodes(const cf_par *par);
/** Where this rank is when the ranks are listed node after node: nodes by their lowest rank, the
 * ranks of each ascending. Collective. Errors: MEMORY. */
cf_status cf_par_order_by_node(const cf_par *par, int *place);
/** For tests and simulations: from here on a node is `ranks` consecutive ranks of MPI_COMM_WORLD;
 * 0: what it is. Local; alike on all ranks. */
void cf_par_pretend_nodes(int ranks);

/** Memory that the ranks of a node share. */
typedef struct cf_shared {
    void *data;      /* zeros at first; aligned as memory of cf_alloc() */
    int64_t mapped;  /* private: bytes; 0: it is memory of cf_alloc() */
    int64_t counted; /* private: bytes, this rank's part of them */
} cf_shared;
/** `bytes` for all ranks of a node together. cf_alloc_held() has an even part of them on each.
 * Collective over the node; may fail on one rank alone, so agree afterwards. Errors: MEMORY. Free
 * with cf_par_destroy_shared(), which is local, and takes all zero bytes too. */
cf_status cf_par_create_shared(const cf_par *node, int64_t bytes, cf_shared *out);
void cf_par_destroy_shared(cf_shared *shared);
/** Can the ranks of a node share memory? They cannot where one cannot open another's files, as in
 * containers of their own. Collective over the node; may be false on one rank alone. */
bool cf_par_can_share(const cf_par *node);
/** Wait for the ranks of a node: what each wrote to shared memory before, all read afterwards.
 * Collective over the node. */
void cf_par_meet(const cf_par *node);

/** Where a rank runs. Plain data. */
typedef struct cf_binding {
    char node[64];     /* name of the host */
    char cpus[160];    /* that its threads may run on, as Linux numbers them: "0-3,8"; "..." at the
                          end: and others */
    char numa[64];     /* the NUMA nodes that they are of; "": the system does not say */
    int n_cpus;        /* how many of them there are; n_node_cpus: it is not bound */
    int n_node_cpus;   /* of its node */
    int n_threads;     /* of OpenMP */
    int n_thread_cpus; /* that one thread may run on, at most; n_cpus: threads are not bound */
} cf_binding;
/** What is wrong with the bindings. */
typedef struct cf_binding_fault {
    int n_ranks;    /* that have a fault */
    char line[256]; /* for people: the fault of the lowest of them; "" */
} cf_binding_fault;
/** The bindings of all ranks, and what is wrong: a rank has more threads than CPUs, or ranks are
 * bound to the same core. Collective. `*out`: on rank 0 one a rank, new, freed with cf_free(); NULL
 * on the others. Errors: MEMORY. */
cf_status cf_par_find_bindings(const cf_par *world, cf_binding **out, cf_binding_fault *fault);
/** Log a line on bindings, and warn of a fault. On rank 0. */
void cf_par_log_bindings(const cf_binding *all, int n, const cf_binding_fault *fault);
/** Warn if huge pages were asked for and are off on this node. Local. */
void cf_par_warn_pages(void);
/** The folder in which Linux describes the node: "/sys". Local. */
const char *cf_par_system(void);
/** For tests: from here on it is this folder, borrowed; NULL: what it is. Local. */
void cf_par_pretend_system(const char *folder);

/* ---- Grid ---- */

/**
 * P = n_rows x n_columns ranks. Users and items are cut into n_rows blocks, the dimensions into
 * n_columns slices; rank my_row * n_columns + my_column of `world` owns block my_row, slice
 * my_column of every table. The ranks, node after node, fill the grid column by column, so that
 * blocks of a slice share a node. Rank 0 is that of the world the grid was made of.
 */
typedef struct cf_grid {
    cf_par world;  /* the same ranks as the world's, in the grid's order */
    cf_par row;    /* the n_columns ranks with my block: rank in it = my_column */
    cf_par column; /* the n_rows ranks with my slice: rank in it = my_row */
    cf_par node;   /* those of the column that share memory with this rank: consecutive rows */
    int n_rows, n_columns;
    int my_row, my_column;
} cf_grid;

/** Arrange the ranks of `world` in a grid. Collective. Errors: USAGE (n_rows * n_columns is not
 * world->size), MEMORY. */
cf_status cf_par_create_grid(const cf_par *world, int n_rows, int n_columns, cf_grid **out);
/** Collective. */
void cf_par_destroy_grid(cf_grid **grid);

/* ---- Blocks ---- */

/** 0..n-1 cut into `count` contiguous blocks: block b is start[b] .. start[b + 1] - 1; a block may
 * be empty. */
typedef struct cf_blocks {
    int count;
    int64_t *start; /* count + 1 ascending numbers, from 0 to n */
} cf_blocks;

/** First index of part `b` when 0..n-1 is cut into `count` parts whose sizes differ by at most one.
 * Local. */
int64_t cf_par_even_start(int64_t n, int count, int b);
/** Blocks of even size. Local. Errors: MEMORY. Free with cf_par_destroy_blocks(). */
cf_status cf_par_create_blocks(int64_t n, int count, cf_blocks *out);
void cf_par_destroy_blocks(cf_blocks *blocks);
/** The block that holds `index` (0 <= index < n). Local. */
int cf_par_block_of(const cf_blocks *blocks, int64_t index);

/* ---- Profile ---- */

/** What a rank is doing; at any time one of these. */
typedef enum cf_phase {
    CF_PHASE_OTHER, /* none of the others: between two steps, where ranks wait for each other */
    CF_PHASE_BATCH, /* drawing a batch, and finding its rows */
    CF_PHASE_PROPAGATION, /* sums over neighbours, there and back */
    CF_PHASE_HALO,        /* rows of other blocks for those sums */
    CF_PHASE_SCORES,      /* scores and loss of the batch, with the rows and segments they take */
    CF_PHASE_CONTRAST,    /* the contrastive terms of SGL and SGCL */
    CF_PHASE_EQUATIONS,   /* iALS: Gram matrices, and the normal equations of rows */
    CF_PHASE_GRADIENT,    /* gradients of the batch's rows, to those who own them */
    CF_PHASE_OPTIMIZER,
    CF_PHASE_EVALUATION, /* exclusive, as all from here on: its halo counts as evaluation */
    CF_PHASE_SOLVE,      /* a closed form's linear algebra */
    CF_PHASE_INPUT,      /* reading, and everything before the first step */
    CF_PHASE_OUTPUT,     /* checkpoints */
    CF_N_PHASES
} cf_phase;
extern const char *const cf_phase_names[CF_N_PHASES];

/**
 * The rank is in `phase` from now on: the phase before ends here, so that the seconds of all phases
 * add up to all seconds. Returns the phase before, for cf_par_restore_phase(). Exclusive phases
 * (evaluation, solve, input, output): while one is active, this has no effect. Local; outside of
 * parallel regions. Costs a reading of the clock.
 */
cf_phase cf_par_set_phase(cf_phase phase);
/** Back to the phase that a cf_par_set_phase() returned, however many were set since. It also ends
 * an exclusive phase. Local. */
void cf_par_restore_phase(cf_phase before);
/** Of the time counted as `from`, `seconds` were spent in `to`, which is done row by row within it.
 * No effect while an exclusive phase is active. Local. */
void cf_par_move_seconds(cf_phase from, cf_phase to, double seconds);

/**
 * What a phase took on this rank. Bytes and messages are those to other ranks that MPI calls of
 * this program ask for, whatever the MPI library makes of them: of point-to-point calls, Alltoall
 * and Allgather what each other rank gets; of an Allreduce of n bytes on P ranks 2 n (P - 1) / P in
 * 2 ceil(log2 P) messages (Rabenseifner 2004); of a Bcast everything at its root; of a Gather what
 * goes to the root; of a Scan, of an Exscan and of a Barrier ceil(log2 P) messages, of n bytes and
 * of none. Files are counted apart, those of store alone: what cf_par_count_file() is told. All
 * plain sums.
 */
typedef struct cf_phase_use {
    double seconds;
    double mpi_seconds; /* of these, in MPI calls: moving data, and waiting for other ranks */
    int64_t bytes, messages;
    double file_seconds; /* of seconds, in reading, writing and syncing files */
    int64_t read_bytes, written_bytes;
    double joules; /* that the node took; CF_PHASE_OTHER has those of all that are not exclusive */
} cf_phase_use;
typedef struct cf_profile {
    cf_phase_use phase[CF_N_PHASES];
} cf_profile;

/** A call that was begun at `began` (cf_clock_now()) has moved so many bytes from and to a file.
 * Local. */
void cf_par_count_file(double began, int64_t read_bytes, int64_t written_bytes);
/** Measure the energy of the node, on its first rank, from the next cf_par_start_profile() on.
 * Collective. */
void cf_par_start_energy(const cf_par *world);
/** Does this rank measure the energy of its node: is it the first, and can it read the meters?
 * Local. */
bool cf_par_has_energy(void);
/** Everything is zero from here on, and the phase is CF_PHASE_OTHER. Local. */
void cf_par_start_profile(void);
/** What was used since. Local. */
cf_profile cf_par_read_profile(void);
