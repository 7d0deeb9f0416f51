/** Private to graph: the local adjacency, the halo plan, and the kernel. */
#pragma once

#include "cf/graph.h"

#include <math.h>

/** Columns that the kernel looks ahead: every list of columns is followed by this many readable
 * entries. */
enum { LOOK_AHEAD = 6 };
/** Neighbours picked in one go where not all are summed, or not all rows. */
enum { PICKED = 1024 };

/** Rows that a thread takes at once: enough for it to go through the tables in order for a while,
 * few enough for rows of many edges not to keep the others waiting. */
enum { RUN_ROWS = 16 * CF_ROWS_PER_CALL };

/** Edges into the owned rows of one side. */
typedef struct adjacency {
    int64_t n_rows;
    int64_t *start;  /* n_rows + 1 */
    int32_t *column; /* edges + LOOK_AHEAD: places in the other side's field, in ascending order of
                        their global numbers */
    float *scale;    /* n_rows: degree^-1/2 */
    int32_t *rows;   /* n_rows: those without a neighbour in the halo, then those with one */
    int64_t n_interior;
} adjacency;

/** Rows of one side that cross between ranks. Peers are the ranks of the grid column. */
typedef struct halo {
    int64_t n_owned, n_halo, n_sent;
    int *receive_count,
        *receive_start;           /* a peer's rows in my halo; its rows are contiguous there */
    int *send_count, *send_start; /* my rows in a peer's halo: entries of `sent` */
    int32_t *sent;                /* n_sent: local numbers */
} halo;

struct cf_graph {
    cf_par column;   /* borrowed communicator */
    int64_t n_edges; /* of all ranks, from both sides */
    adjacency adjacency[2];
    halo halo[2];
    MPI_Request *requests; /* 4 x peers */
    int n_requests;
    float *scratch; /* for each thread CF_ROWS_PER_CALL x scratch_width */
    int64_t scratch_width;
    int n_threads;
    int *peer_count, *peer_start; /* 2 x peers each: sparse exchange */
    int64_t *edge_number; /* edges of the item side: their numbers on the user side; NULL until
                             asked for */
};

/** Rows to be added up: places in a field, followed by LOOK_AHEAD more that can be read. */
typedef struct columns {
    const int32_t *list;
    int64_t count;
    bool goes_on; /* the sum starts from what is in `out`, not from zero */
} columns;

/** out = sum of rows list[0], list[1], ... of `in`, in this order. out: width, 64-byte aligned. */
void graph_accumulate(const float *in, int64_t width, const columns *rows, float *out);

/** Which rows of the other side are summed for rows of this one, and where they are. */
typedef struct sum_work {
    const adjacency *edges;
    bool in_order;          /* all neighbours of rows in ascending order: lists are read where they
                               are */
    const uint8_t *kept;    /* of the edges; NULL: all */
    const uint64_t *marked; /* of the other side's places: those with their bit set; NULL: all */
    const int32_t *slot;    /* of those: where they are in `in`; NULL: as in a field */
    const float *in;
    int64_t width;
    cf_row_fn *visitor;
    void *context;
} sum_work;

/** Sets of places, a bit each: small enough for a cache near by. */
enum { MARK_BITS = 64 };

static inline int64_t graph_mark_words(int64_t n_places)
{
    return (n_places + MARK_BITS - 1) / MARK_BITS;
}

/** Visit the sums of the listed rows of a side. */
void graph_sum_list(const cf_graph *graph, const sum_work *work, cf_side side, const int32_t *rows,
                    int64_t count);

/** Scratch for sums of rows of `width`. Errors: MEMORY. */
cf_status graph_reserve_scratch(cf_graph *graph, int64_t width);

cf_status graph_create_halo(const cf_par *column, const cf_blocks *blocks, int64_t *needed,
                            int64_t n_needed, halo *out);
void graph_destroy_halo(halo *plan);
void graph_begin_exchange(cf_graph *graph, cf_field field);
void graph_end_exchange(cf_graph *graph);
/** Mark the places of a side within `steps` in the reach's marks: these. */
const uint64_t *graph_mark_within(const cf_graph *graph, const cf_hops *reach, int steps,
                                  cf_side side);
/** Begin and end, for the rows within `steps` alone; what the halo has of others is not defined. */
void graph_exchange_within(cf_graph *graph, const cf_hops *reach, int steps, cf_field field);

static inline cf_side graph_other(cf_side side)
{
    return side == CF_USERS ? CF_ITEMS : CF_USERS;
}

/** degree^-1/2, 0 without edges. */
static inline float graph_scale_of(int64_t degree)
{
    return degree > 0 ? (float)(1.0 / sqrt((double)degree)) : 0.0f;
}
