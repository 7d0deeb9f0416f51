/**
 * Private to graph: the local adjacency, the halo, and the kernel that sums rows.
 *
 * A rank owns a block of users and a block of items. *Places* are the rows of a field, of both
 * sides, and the same for all ranks of a node, which share its memory: the rows that they own, rank
 * after rank, the users of a rank before its items; then the halo, which has the rows of other
 * nodes that are neighbours of theirs, in the same order and thus grouped by owner. Each rank
 * receives an even part of the halo, and what a peer sends of both sides is one message.
 */
#pragma once

#include "cf/graph.h"

#include <math.h>

/** Columns that the kernel prefetches ahead: every list of columns is followed by this many
 * readable entries. Steps (tools/bench/step.c) of Gowalla and Beauty on AMD Zen 5 take 2 to 12%
 * less time with 24 than with 6; between 16 and 32 they differ by about the noise. */
enum { LOOK_AHEAD = 24 };
/** Neighbours picked in one go where not all are summed, or not all rows. */
enum { PICKED = 1024 };

/** Rows that a thread takes at once: enough for it to go through the tables in order for a while,
 * few enough that rows with many edges do not keep the other threads waiting. */
enum { CHUNK_ROWS = 16 * CF_ROWS_PER_CALL };

/** Edges into the owned rows of one side. */
typedef struct adjacency {
    int64_t n_rows;
    int64_t *start;  /* n_rows + 1 */
    int32_t *column; /* edges + LOOK_AHEAD: places of rows of the other side, in ascending order
                        of their global numbers */
    float *scale;    /* n_rows: degree^-1/2 */
    uint8_t *waits;  /* n_rows: has it a neighbour in the halo? */
} adjacency;

/**
 * The places, and the rows that cross between nodes. By the plan, each rank sends the numbers of
 * the halo rows that it receives to their owners, once; from then on rows travel as replies. So
 * `requests.send_count[p]` rows of the halo come from peer p to me, and `requests.recv_count[p]` of
 * my rows go to peer p.
 */
typedef struct halo {
    int64_t n_owned;    /* users and items */
    int64_t first[2];   /* place of my first user; of my first item, behind my users */
    int64_t n_node;     /* rows of all ranks of the node: the places before the halo */
    int64_t count;      /* rows of the halo */
    int64_t first_mine; /* place of the first row of the halo that I receive */
    cf_plan requests;   /* n_send: rows of the halo that I receive; n_recv: rows that others request
                           of me */
    int32_t *requested; /* n_recv: rows that peers request, grouped by peer: 0 is my first user */
} halo;

/** A thread's part of the rows of a sum, in chunks: those from `next` on are not yet taken. */
typedef struct list_part {
    _Alignas(64) int64_t next; /* a cache line of its own */
    int64_t end;
} list_part;

/** Rows of the halo that an exchange brings: those within n_hops. Both ends know the distances
 * alike. */
typedef struct halo_rows {
    const uint8_t *received; /* distances of the rows that I receive; NULL: all are exchanged */
    const uint8_t *sent;     /* of those that peers request */
    int n_hops;
} halo_rows;

/** The exchange of a field that was begun. */
typedef struct pending {
    halo_rows rows;
    cf_field field;
} pending;

struct cf_graph {
    cf_par world;    /* borrowed communicator: those who agree on errors */
    cf_par column;   /* borrowed communicator: the peers */
    cf_par node;     /* borrowed communicator: those of the column that share memory */
    int64_t n_edges; /* of all ranks, from both sides */
    adjacency adjacency[2];
    halo halo;
    MPI_Request *mpi_requests; /* 2 x peers */
    int n_mpi_requests;
    pending pending;
    bool crosses;   /* the column has other nodes */
    float *scratch; /* threads x CF_ROWS_PER_CALL x scratch_width */
    int64_t scratch_width;
    int n_threads;
    list_part *parts;     /* n_threads */
    int *peer_count;      /* 2 x peers: rows that come; rows that go */
    int64_t *edge_number; /* edges of the item side: their numbers on the user side; NULL until
                             cf_graph_number_edges() */
};

/** Rows of the node, and the halo. */
static inline int64_t graph_n_places(const cf_graph *graph)
{
    return graph->halo.n_node + graph->halo.count;
}

/** Rows that the sums of a node need of others. The rows of both sides are numbered together: block
 * after block, the users of a block before its items. */
typedef struct needed {
    const cf_par *node;
    const cf_blocks *side[2]; /* borrowed */
    cf_blocks blocks;         /* of both sides together */
    int64_t first, end;       /* the node's own rows are first .. end - 1 */
    int64_t count;
    int64_t n_words;
    cf_shared words;
} needed;
/** Collective over the node; agree afterwards. Errors: MEMORY. Free with graph_destroy_needed(). */
cf_status graph_create_needed(const cf_graph *graph, const cf_shard *shard, needed *out);
void graph_destroy_needed(needed *n);
/** Those among the neighbours of each rank's rows. Collective over the node, once. */
void graph_find_needed(needed *n, const cf_shard *shard);
/** Numbers of needed rows first .. end - 1, ascending, to `out`. Local. */
void graph_list_needed(const needed *n, int64_t first, int64_t end, int64_t *out);
/** The place of a row (its number within the side) of the node, or a needed one. Local. */
int64_t graph_place_of(const needed *n, cf_side side, int64_t row);

/** Rows to be added up: places in a field, followed by LOOK_AHEAD more that can be read. */
typedef struct columns {
    const int32_t *list;
    int64_t count;
    bool continues; /* the sum starts from what is in `out`, not from zero */
} columns;

/** Rows of a side, which rows of the other side are summed for each, and where they are. */
typedef struct sum_work {
    cf_side side;
    const int32_t *rows; /* count: local numbers; NULL: 0, 1, .. */
    int64_t count;
    const adjacency *edges;
    bool in_order;          /* all neighbours of rows in ascending order: lists are read in place */
    const uint8_t *kept;    /* edges: 1 where summed; NULL: all */
    const uint64_t *marked; /* places: a bit set where summed; NULL: all */
    const int32_t *index;   /* places: row of `in`; NULL: the place itself */
    const float *in;        /* rows of `kind` */
    cf_row_kind kind;
    cf_row_fn *callback;
    void *context;
} sum_work;

/** out = sum of rows list[0], list[1], ... of work->in, in this order. out: width, 64-byte aligned.
 */
void graph_accumulate(const sum_work *work, const columns *rows, float *out);

/** Sets of places, a bit each, so that they stay in a near cache. */
enum { MARK_BITS = 64 };

static inline int64_t graph_mark_words(int64_t n_places)
{
    return cf_ceil_div(n_places, MARK_BITS);
}

/** Rows without a neighbour in the halo; with one; both: the values are those of `waits`. */
typedef enum row_choice { INTERIOR_ROWS, BOUNDARY_ROWS, ALL_ROWS } row_choice;
/** Sum the neighbours of the work's rows, of those chosen, and call back. */
void graph_sum_rows(const cf_graph *graph, const sum_work *work, row_choice choice);

/** Is a field of such rows written past the caches? Local. */
bool graph_streams(const cf_graph *graph, cf_row_kind kind);
/** Scratch for sums of rows of `width`. Local. Errors: MEMORY. */
cf_status graph_reserve_scratch(cf_graph *graph, int64_t width);

/** Plan the exchange of the rows that the node needs. Collective over the grid. Errors: MEMORY. */
cf_status graph_create_halo(cf_graph *graph, const needed *rows);
void graph_destroy_halo(halo *h);
/** Start the exchange of some of a field's halo, and wait for it; the other rows are undefined
 * afterwards. Before it has ended, the node's rows are there. Collective over the column. */
void graph_begin_exchange(cf_graph *graph, halo_rows rows, cf_field field);
void graph_end_exchange(cf_graph *graph);
/** Memory for the node; a failure goes into `status`, and does not keep this rank from the next
 * call. Collective over the node; agree afterwards. Errors: MEMORY. */
void graph_share(const cf_graph *graph, int64_t bytes, cf_shared *out, cf_status *status);
/** Wait until all ranks of the node have come here. */
void graph_meet(const cf_graph *graph);

/** The rows of a side. Local. */
halo_rows graph_halo_of_side(const cf_sides *sides, cf_side side);
/** What a sum within a limit needs of the halo. Local. */
halo_rows graph_halo_within(const cf_graph *graph, const cf_hops *hops, cf_hop_limit limit);
/** Set this rank's part of the bits of the places within `n_hops`. All are set when the ranks of
 * the node have met. */
void graph_mark_within(const cf_graph *graph, const cf_hops *hops, int n_hops);

static inline cf_side graph_other(cf_side side)
{
    return side == CF_USERS ? CF_ITEMS : CF_USERS;
}

/** degree^-1/2, 0 without edges. */
static inline float graph_scale_of(int64_t degree)
{
    return degree > 0 ? (float)(1.0 / sqrt((double)degree)) : 0.0f;
}
