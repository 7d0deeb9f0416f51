/** Private to graph: the local adjacency, the halo plan, and the kernel. */
#pragma once

#include "cf/graph.h"

#include <math.h>

/** Columns that the kernel looks ahead: every list of columns is followed by this many readable
 * entries. */
enum { LOOK_AHEAD = 6 };
/** Neighbours looked at in one go where some are left out. */
enum { COMPACT = 256 };

/** Visits that a thread takes at once: enough for it to go through the tables in order for a while,
 * few enough for rows of many edges not to keep the others waiting. */
enum { VISITS_AT_ONCE = 16 };

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
    cf_par column; /* borrowed communicator */
    adjacency adjacency[2];
    halo halo[2];
    MPI_Request *requests; /* 4 x peers */
    int n_requests;
    float *scratch; /* for each thread CF_VISIT_ROWS x scratch_width */
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

/** Scratch for sums of rows of `width`. Errors: MEMORY. */
cf_status graph_reserve_scratch(cf_graph *graph, int64_t width);

cf_status graph_create_halo(const cf_par *column, const cf_blocks *blocks, int64_t *needed,
                            int64_t n_needed, halo *out);
void graph_destroy_halo(halo *plan);
void graph_begin_exchange(cf_graph *graph, cf_field field);
void graph_end_exchange(cf_graph *graph);

static inline cf_side graph_other(cf_side side)
{
    return side == CF_USERS ? CF_ITEMS : CF_USERS;
}

/** degree^-1/2, 0 without edges. */
static inline float graph_scale_of(int64_t degree)
{
    return degree > 0 ? (float)(1.0 / sqrt((double)degree)) : 0.0f;
}
