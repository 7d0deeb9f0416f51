/**
 * Inside ingest: new numbers for users and items, so that those that interact are near each other,
 * and moving all that belongs to a row to the rank that has it in the new order. What takes `world`
 * or a move is Collective, all else Local.
 */
#pragma once

#include "interactions.h"
#include "vectors.h"

enum { INGEST_USERS, INGEST_ITEMS };

/* ---- Bisection (bisect.c) -------------------------------------------------------------------- */

/** Train interactions of all users, on one rank. */
typedef struct ingest_bipartite {
    int64_t n_rows[2]; /* users, items */
    int64_t n_edges;
    uint32_t *length; /* n_rows[INGEST_USERS]: how many items each user has */
    uint32_t *item;   /* n_edges: these, user by user */
} ingest_bipartite;

/** Bytes that ingest_bisect() takes at most, with its input. */
double ingest_bisect_bytes(int64_t n_rows, int64_t n_edges);
/** May it be called for so much? METIS counts in 32 bits. */
bool ingest_can_bisect(int64_t n_rows, int64_t n_edges);
/** The leaves for so many rows: a power of two. */
int64_t ingest_count_leaves(int64_t n_rows);
/** Find the leaf of each user and each item: leaf[side] (n_rows[side]), below *n_leaves, a power of
 * two, which is chosen if it is 0. Those without train interactions are spread evenly. Errors:
 * MEMORY. */
cf_status ingest_bisect(const ingest_bipartite *graph, int64_t *n_leaves, uint32_t *const leaf[2]);

/** A weighted graph on one rank, each edge with both of its vertices. */
typedef struct ingest_gathered {
    int64_t n, n_edges;                /* vertices; pairs of vertices */
    uint32_t *length, *weight;         /* n: edges of each vertex; its work */
    uint32_t *neighbour, *edge_weight; /* 2 n_edges, vertex by vertex */
} ingest_gathered;

/** Bytes that ingest_cut_gathered() takes at most, with its input. */
double ingest_cut_bytes(int64_t n, int64_t n_edges);
/** Cut it in `n_parts` parts of equal work: `part` (n). Errors: MEMORY. */
cf_status ingest_cut_gathered(const ingest_gathered *graph, int64_t n_parts, uint32_t *part);

/* ---- Crossing (crossing.c) ------------------------------------------------------------------- */

/** Count the rows that 2, 4, .. even parts of the leaves need of each other, for as many as 64
 * parts and no more than leaves; `leaves`: its count is set. `train`: items of my users; `leaf`: of
 * my users, of the n_items items of my block. Collective. Errors: MEMORY. */
cf_status ingest_count_crossing(const ingest_item_index *index, const cf_lists *train,
                                uint32_t *const leaf[2], int64_t n_items, cf_leaves *leaves);

/* ---- Moving rows (move_rows.c) --------------------------------------------------------------- */

/** Rows on their way to the ranks that have them in a new order. Starts zeroed. */
typedef struct ingest_move {
    const cf_par *world;              /* borrowed */
    int64_t count, n_received;        /* rows here, before and after */
    uint32_t *from;                   /* count: my rows, ascending by their new numbers */
    uint32_t *place;                  /* n_received: where each belongs in my new block */
    int64_t *send_count, *recv_count; /* ranks: rows for each, and from each */
    int64_t *send_sizes, *recv_sizes; /* ranks: room for what an exchange counts */
} ingest_move;

/** `number`: the new numbers of my `count` rows, distinct over all ranks; `blocks`: which rank has
 * which. Destroy `*out` also on errors. Errors: MEMORY. */
cf_status ingest_create_move(const cf_par *world, const uint32_t *number, int64_t count,
                             const cf_blocks *blocks, ingest_move *out);
void ingest_destroy_move(ingest_move *move);
/** Replace an array, an element of `size` bytes a row; `array` is the address of a pointer to it.
 * Errors: MEMORY. */
cf_status ingest_move_array(ingest_move *move, size_t size, void *array);
/** Replace lists, one a row: `*start` has one number more than there are rows, `elements` is the
 * address of a pointer to elements of `size` bytes. Errors: MEMORY. */
cf_status ingest_move_lists(ingest_move *move, size_t size, int64_t **start, void *elements);

/* ---- All (reorder.c) ------------------------------------------------------------------------- */

/** What belongs to the rows of my blocks. */
typedef struct ingest_rows {
    ingest_interactions *inter; /* ids, marks; its item index lists the items of the parts */
    cf_lists *parts;            /* 3: items of my users, by number */
    cf_strings *titles;         /* of my items; NULL: no rank has titles */
    ingest_vectors *vectors;    /* of my items; NULL: there are none */
} ingest_rows;

/** The leaves of all users, then all items. */
typedef struct ingest_spread_leaves {
    cf_blocks blocks; /* of users and items: which rank has the leaves of which */
    uint32_t *leaf;   /* of my block */
    int64_t n_leaves; /* a power of two */
    int64_t n_parts;  /* whose leaves were found by one rank each */
} ingest_spread_leaves;
void ingest_destroy_spread_leaves(ingest_spread_leaves *leaves);

/** Send `count` numbers to rank 0; `*out` is new. Collective. Errors: MEMORY. */
cf_status ingest_send_to_root(const cf_par *world, const uint32_t *numbers, int64_t count,
                              uint32_t **out);
/** Number all users and items anew, and move what belongs to them. `*leaves` is new, the same on
 * all ranks, as is `*n_parts`: how many parts METIS took. Errors: MEMORY, USAGE (what METIS cannot
 * take). */
cf_status ingest_reorder(const cf_par *world, const cf_ingest_options *options,
                         const ingest_rows *rows, cf_leaves *leaves, int64_t *n_parts);
