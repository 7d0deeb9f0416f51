/**
 * graph: the user-item graph of the train interactions, cut into the grid's blocks, with the halo
 * of rows that other blocks own, and the sums over neighbours that every propagation is made of.
 *
 * Every sum over a row's neighbours is taken in ascending global order, so no result depends on
 * blocks or threads. A^ = D^-1/2 A D^-1/2 needs no edge weights: A^ x = s * sum(s * x) with s =
 * degree^-1/2, and callers keep fields scaled by s.
 */
#pragma once

#include "cf/dataset.h"
#include "cf/table.h"

typedef struct cf_graph cf_graph;

/** Build from the shard. Collective over the grid. Errors: MEMORY. Free with cf_graph_destroy().
 * The shard is not kept. */
cf_status cf_graph_create(const cf_grid *grid, const cf_shard *shard, cf_graph **out);
void cf_graph_destroy(cf_graph **graph);

/** Rows of a side that this rank owns, rows of it that others own and this rank's neighbours need,
 * and edges of my rows. Local. */
int64_t cf_graph_rows(const cf_graph *graph, cf_side side);
int64_t cf_graph_halo(const cf_graph *graph, cf_side side);
int64_t cf_graph_edges(const cf_graph *graph, cf_side side);
/** Owned rows of a side that a halo exchange sends, each as often as there are ranks that need it;
 * `count` of them. Owned by the graph. Local. */
const int32_t *cf_graph_sent(const cf_graph *graph, cf_side side, int64_t *count);
/** Neighbours of an owned row. Local. */
int64_t cf_graph_degree(const cf_graph *graph, cf_side side, int64_t row);
/** degree^-1/2 of each owned row, 0 for a row without edges. Owned by the graph. */
const float *cf_graph_scale(const cf_graph *graph, cf_side side);

/** A number per row and dimension of both sides, with room for the halo: rows[side] is (rows +
 * halo) x width, owned rows first. */
typedef struct cf_field {
    float *rows[2];
    int64_t width;         /* floats in a row, a multiple of 16 */
    float *outbox[2];      /* rows on their way to other ranks */
    MPI_Datatype row_type; /* `width` floats */
} cf_field;
/** Zeros. Local. Errors: MEMORY. Free with cf_graph_destroy_field(), which takes a field of all
 * zero bytes too. */
cf_status cf_graph_create_field(cf_graph *graph, int64_t width, cf_field *out);
void cf_graph_destroy_field(cf_field *field);

/**
 * Take the sums of `count` rows of `side`: rows[k] (local number; rows[0] is entry `first` of the
 * list being worked through) has the sum over its neighbours in sums + k x width. The visitor may
 * use `sums` as scratch. Called by several threads at once, for different rows.
 */
typedef struct cf_rows {
    cf_side side;
    const int32_t *rows;
    int64_t first;
    int count;
    float *sums;
} cf_rows;
typedef void cf_row_fn(void *context, const cf_rows *visit);
enum { CF_ROWS_PER_CALL = 16 }; /* most rows in a visit */

/** The calling thread's scratch, CF_ROWS_PER_CALL x the widest field or sparse made so far: what
 * `sums` points to. Local. */
float *cf_graph_scratch(const cf_graph *graph);

/** For every owned row of both sides, the sum of in.rows over its neighbours. Collective over the
 * grid column: exchanges the halo of `in`, overlapped with the rows that need none. */
void cf_graph_sum(cf_graph *graph, cf_field in, cf_row_fn *visitor, void *context);

/* ---- Reach: the part of the graph near a few rows ---- */

enum { CF_MAX_HOPS = 8 };      /* most steps that a reach can have */
enum { CF_ALL_HOPS = 0x7fff }; /* more steps than any has: all rows */
/** All rows within a few steps (edges) of a few rows, those of all ranks. */
typedef struct cf_hops {
    int most;                          /* steps that there is room for */
    int depth;                         /* steps that it has; beyond, nothing is known of a row */
    int32_t *rows[2];                  /* owned rows by steps, ascending among those of the same */
    int64_t count[2][CF_MAX_HOPS + 1]; /* of `rows`: within k steps */
    uint8_t *steps[2];   /* rows + halo: of each, up to `depth`, from the nearest of the few rows */
    uint64_t *marked[2]; /* rows + halo: a bit each, for the sum at work */
    uint8_t *asked, *told; /* of halo rows, on their way between ranks */
} cf_hops;
/** Room for `most` steps, fewer where they are more than CF_MAX_HOPS. Local. Errors: MEMORY.
 * Free with cf_graph_destroy_hops(), which takes all zero bytes too. */
cf_status cf_graph_create_hops(const cf_graph *graph, int most, cf_hops *out);
void cf_graph_destroy_hops(cf_hops *reach);
/**
 * From the listed owned rows (`rows[side]`, `count[side]`; ascending) of all ranks. It has as many
 * steps as there is room for, as long as the rows within them have at most `share` of all edges; a
 * step is not tried where those before have more than half of that. share 0: none. Collective over
 * the grid column. Each try sends a byte for each row of the halo, there and back, and 8 bytes.
 */
void cf_graph_find_hops(cf_graph *graph, int32_t *const rows[2], const int64_t count[2],
                        double share, cf_hops *reach);

/** Steps of rows and of neighbours; more than the reach has: all of them. */
typedef struct cf_hop_limit {
    int rows, neighbours;
} cf_hop_limit;
/**
 * For the owned rows within so many steps, in the order that the reach has them, the sum of in.rows
 * over those neighbours that are within so many steps. The others need not be set, nor are they
 * sent: where they are zero, these are the bits of cf_graph_sum(). Collective over the grid column.
 */
void cf_graph_sum_hops(cf_graph *graph, const cf_hops *reach, cf_hop_limit within, cf_field in,
                       cf_row_fn *visitor, void *context);

/* ---- Sparse fields ---- */

/** A field that is zero but for a few owned rows of each side. */
typedef struct cf_sparse {
    int64_t width, capacity;
    int64_t count[2]; /* owned rows that are not zero; the caller fills count, rows and values */
    const int32_t *rows[2]; /* count; local numbers, ascending; borrowed */
    float *values[2];       /* capacity x width: the owned rows, then those that other ranks send */
    int32_t *slot[2];       /* rows + halo: place in values, -1 where zero; set while open */
    uint64_t *marked[2];    /* rows + halo: a bit each, set where not zero */
    int64_t n_received[2];
    int32_t *received[2]; /* capacity: halo places of the rows received */
    float *outbox; /* rows on their way to other ranks, and which rows of the receiver's halo they
                      are */
    int32_t *outbox_place;
    MPI_Datatype row_type; /* `width` floats */
} cf_sparse;
/** Room for `capacity` rows a side, those of all ranks together. Local. Errors: MEMORY. Free with
 * cf_graph_destroy_sparse(), which takes all zero bytes too. */
cf_status cf_graph_create_sparse(cf_graph *graph, int64_t capacity, int64_t width, cf_sparse *out);
void cf_graph_destroy_sparse(cf_sparse *sparse);

/** Set the slots of the owned rows. Local. */
void cf_graph_open_sparse(cf_sparse *sparse);
/** Send the rows to the ranks whose halo has them. Collective over the grid column. */
void cf_graph_exchange_sparse(cf_graph *graph, cf_sparse *sparse);
/** For every owned row of both sides within `rows` steps (`reach` NULL: all), the sum of a sparse
 * field over its neighbours. Local, after the exchange. */
void cf_graph_sum_sparse(const cf_graph *graph, const cf_hops *reach, int rows, const cf_sparse *in,
                         cf_row_fn *visitor, void *context);
/** Clear the slots again. Local. */
void cf_graph_close_sparse(cf_sparse *sparse);

/* ---- Views: the graph without some of its edges ---- */

/** Number the edges of the item side as the user side has them, once, before views are filled.
 * Collective over the grid column. Errors: MEMORY. Sends 16 bytes an edge. */
cf_status cf_graph_number_edges(cf_graph *graph, const cf_shard *shard);

/** Which edges of my rows are kept, and the degrees that leaves. A byte an edge, seen from each
 * side. */
typedef struct cf_view {
    uint8_t *kept[2]; /* edges of the side's rows: 1 or 0 */
    float *scale[2];  /* rows: (kept degree)^-1/2, 0 for a row without kept edges */
} cf_view;
/** Zeros: nothing is kept. Local. Errors: MEMORY. Free with cf_graph_destroy_view(), which takes a
 * view of all zero bytes too. */
cf_status cf_graph_create_view(const cf_graph *graph, cf_view *out);
void cf_graph_destroy_view(cf_view *view);

/** Is train interaction number `edge` (in order of user, item) of a user and an item (global
 * numbers) kept? A function of its arguments alone, called by several threads. */
typedef bool cf_keep(const void *context, int64_t edge, int64_t user, int64_t item);
/** Fill a view, in time linear in the rank's edges. Local. `shard`: the graph's. */
void cf_graph_fill_view(const cf_graph *graph, const cf_shard *shard, cf_keep *keep,
                        const void *context, cf_view *view);
/** cf_graph_sum() over the neighbours that a view keeps. Collective over the grid column. */
void cf_graph_sum_view(cf_graph *graph, const cf_view *view, cf_field in, cf_row_fn *visitor,
                       void *context);
