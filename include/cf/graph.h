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

/** Rows of a side that this rank owns, and edges of them. Local. */
int64_t cf_graph_rows(const cf_graph *graph, cf_side side);
int64_t cf_graph_edges(const cf_graph *graph, cf_side side);
/** Rows of other nodes, of both sides, that this rank receives for its node. Local. */
int64_t cf_graph_halo(const cf_graph *graph);
/** Owned rows that other nodes need, once for each node: what a halo exchange sends. `count` local
 * numbers of users, or of items plus the number of my users. Owned by the graph. Local. */
const int32_t *cf_graph_requested(const cf_graph *graph, int64_t *count);
/** Neighbours of an owned row. Local. */
int64_t cf_graph_degree(const cf_graph *graph, cf_side side, int64_t row);
/** degree^-1/2 of each owned row, 0 for a row without edges. Owned by the graph. */
const float *cf_graph_scale(const cf_graph *graph, cf_side side);

/** How numbers of a field are stored: as float32, or rounded to bfloat16, which has the range of a
 * float and 8 bits of precision. Sums are in float32 either way. */
typedef enum cf_precision { CF_FLOAT32, CF_BFLOAT16 } cf_precision;
/** What a row is: `width` numbers, a multiple of 16, in a precision. */
typedef struct cf_row_kind {
    int64_t width;
    cf_precision precision;
} cf_row_kind;
/** Floats that a stored row has the room of. Local. */
static inline int64_t cf_graph_row_floats(cf_row_kind kind)
{
    return kind.precision == CF_BFLOAT16 ? kind.width / 2 : kind.width;
}
/** Store a row: out = factor x in, `in` of kind.width floats, aligned to 64 bytes. bfloat16 is
 * rounded to nearest, ties to even; NaN and infinity stay what they are. Local. */
void cf_graph_store_row(cf_row_kind kind, float *out, const float *in, float factor);

/**
 * A number per row and dimension of both sides: rows[side] is owned rows x stride. Rows of float32
 * are plain floats; others are written by cf_graph_write_row(). The ranks of a node hold their rows
 * side by side, and read each other's where they are; rows of other nodes lie behind, once for all
 * of them. So a rank writes its rows in row callbacks and between two sums: a sum begins when all
 * ranks of the node have called it, and ends when all have read what they need.
 */
typedef struct cf_field {
    float *rows[2];
    cf_row_kind kind;
    int64_t stride;        /* cf_graph_row_floats(kind) */
    bool streams;          /* larger than the caches: rows are written past them */
    cf_shared places;      /* private: the rows of all places of the node */
    float *send_buffer;    /* private: rows that a halo exchange sends */
    MPI_Datatype row_type; /* private: `stride` floats */
} cf_field;
/** Zeros. Collective over the grid. Errors: MEMORY. Free with cf_graph_destroy_field(), which is
 * local, and takes a field of all zero bytes too. */
cf_status cf_graph_create_field(cf_graph *graph, cf_row_kind kind, cf_field *out);
void cf_graph_destroy_field(cf_field *field);

/** Write an owned row: factor x in, as cf_graph_store_row() stores it. Other threads see it after
 * the sum whose row callback wrote it. For rows in ascending order, or nearly so. Local. */
void cf_graph_write_row(const cf_field *field, cf_side side, int64_t row, const float *in,
                        float factor);
/** Owned rows of a table and their factors: rows[k], or k where `rows` is NULL. */
typedef struct cf_scaled_rows {
    const int32_t *rows; /* count */
    int64_t count;
    const float *values; /* all owned rows x kind.width */
    const float *factor; /* all owned rows */
} cf_scaled_rows;
/** Write rows by all threads. Local. */
void cf_graph_write_rows(const cf_field *field, cf_side side, const cf_scaled_rows *rows);

/** Sums of a few rows of `side`: rows[k] (local number; entry entries[k] of the list being worked
 * through) has the sum over its neighbours in sums + k x width. */
typedef struct cf_rows {
    cf_side side;
    const int32_t *rows, *entries; /* count; ascending entries */
    int count;                     /* at most CF_ROWS_PER_CALL */
    float *sums;                   /* count x width; the callback may use it as scratch */
} cf_rows;
/** A row callback takes sums as soon as they are there. Called by several threads at once, for
 * different rows. */
typedef void cf_row_fn(void *context, const cf_rows *rows);
enum { CF_ROWS_PER_CALL = 16 };

/** The calling thread's scratch, CF_ROWS_PER_CALL x the widest field or sparse field created so
 * far: what `sums` points to. Local. */
float *cf_graph_scratch(const cf_graph *graph);

/** For every owned row of both sides, the sum of in.rows over its neighbours. Collective over the
 * grid column: exchanges rows of `in` between nodes, overlapped with the rows that need none. */
void cf_graph_sum(cf_graph *graph, cf_field in, cf_row_fn *callback, void *context);

/* ---- One side ---- */

/** Which side the rows of the halo are of, so that those of one side can be exchanged alone. */
typedef struct cf_sides {
    uint8_t *sent[2], *received[2]; /* private: of the rows that others request of me, and that I
                                       receive: 0 for those of the side */
} cf_sides;
/** Collective over the grid. Errors: MEMORY. Free with cf_graph_destroy_sides(), which is local,
 * and takes all zero bytes too. */
cf_status cf_graph_create_sides(const cf_graph *graph, cf_sides *out);
void cf_graph_destroy_sides(cf_sides *sides);
/** Between these two calls the rows of `side` that are neighbours of the node's rows are in the
 * field, where cf_graph_row() finds them; halo rows of the other side are undefined. Rows of the
 * other side may be written meanwhile. Collective over the grid column. */
void cf_graph_begin_rows(cf_graph *graph, const cf_sides *sides, cf_side side, cf_field field);
void cf_graph_end_rows(const cf_graph *graph);
/** The places of an owned row's neighbours, cf_graph_degree() of them, in ascending order of their
 * global numbers. Owned by the graph. Local. */
const int32_t *cf_graph_neighbours(const cf_graph *graph, cf_side side, int64_t row);
/** The row at a place. Local. */
static inline const float *cf_graph_row(const cf_field *field, int32_t place)
{
    return (const float *)field->places.data + place * field->stride;
}

/** The sums of cf_graph_sum() for the owned rows of `side` alone, of which `in` may be anything:
 * the callback may write these rows of it. Collective over the grid column: exchanges rows of the
 * other side. */
void cf_graph_sum_side(cf_graph *graph, const cf_sides *sides, cf_side side, cf_field in,
                       cf_row_fn *callback, void *context);

/* ---- K-hop neighbourhoods ---- */

enum { CF_MAX_HOPS = 8 };      /* the largest k */
enum { CF_ALL_HOPS = 0x7fff }; /* as a limit of hops: all rows */
/** All rows within k hops (edges) of a few rows of all ranks, for each k up to n_hops. */
typedef struct cf_hops {
    int max_hops;     /* the largest k that there is room for */
    int n_hops;       /* the largest k that was searched: beyond it nothing is known of a row */
    int32_t *rows[2]; /* owned rows by distance, ascending among those of the same */
    int64_t count[2][CF_MAX_HOPS + 1]; /* of `rows`: within k hops */
    cf_shared distance; /* private: of each place of the node, hops from the nearest of the few
                           rows, up to n_hops */
    cf_shared marked;   /* private: a bit for each place of the node */
    uint8_t *requested_distance; /* private: of the rows that peers request */
    /* private: 1 for a row that the node which has it in its halo reached itself with the first
       hop; of the rows that I receive, and that peers request */
    uint8_t *touched_here, *touched_there;
    bool is_touched_known;
} cf_hops;
/** Room for `max_hops` hops, but at most CF_MAX_HOPS. Collective over the grid. Errors: MEMORY.
 * Free with cf_graph_destroy_hops(), which is local, and takes all zero bytes too. */
cf_status cf_graph_create_hops(const cf_graph *graph, int max_hops, cf_hops *out);
void cf_graph_destroy_hops(cf_hops *hops);
/**
 * Search from the listed owned rows (`rows[side]`, `count[side]`; ascending) of all ranks. It finds
 * as many hops as there is room for, as long as the rows within them have at most the fraction
 * `max_edge_fraction` of all edges; it does not try a further hop where they already have more than
 * half of that. 0: no hop. Collective over the grid column. Each try sends a byte for each row of
 * the halo, there and back, and 8 bytes.
 */
void cf_graph_find_hops(cf_graph *graph, int32_t *const rows[2], const int64_t count[2],
                        double max_edge_fraction, cf_hops *hops);

/** Limits in hops, of rows and of their neighbours; more than n_hops: all of them. */
typedef struct cf_hop_limit {
    int rows, neighbours;
} cf_hop_limit;
/**
 * For the owned rows within limit.rows hops, in the order of hops->rows, the sum of in.rows over
 * the neighbours within limit.neighbours. Other rows of `in` need not be set, nor are they sent; a
 * sum of the few rows alone (limit.rows 0) is sent their own neighbours. Where others are zero,
 * these are the bits of cf_graph_sum(). Collective over the grid column.
 */
void cf_graph_sum_hops(cf_graph *graph, const cf_hops *hops, cf_hop_limit limit, cf_field in,
                       cf_row_fn *callback, void *context);

/* ---- Sparse fields ---- */

/** A field that is zero but for a few owned rows of each side. The caller fills count and rows,
 * opens it, and fills values. */
typedef struct cf_sparse {
    cf_row_kind kind;
    int64_t stride, capacity; /* cf_graph_row_floats(kind); rows of both sides */
    int64_t count[2];         /* owned rows that are not zero */
    const int32_t *rows[2];   /* count; local numbers, ascending; borrowed */
    float *values[2];         /* count x stride, as cf_graph_store_row() leaves them; while open */
    /* private: */
    int32_t *index[2];      /* owned rows: the row of `all`, -1 where zero; set while open */
    int64_t first_value;    /* the first row of `all` that this rank holds */
    cf_shared all;          /* capacity x stride of each rank of the node: its users, its items, and
                               the rows that other nodes send */
    cf_shared indices;      /* `index` of all places of the node */
    cf_shared marked;       /* a bit for each place of the node, set where not zero */
    int64_t n_recv;         /* rows that other nodes sent to this rank */
    int32_t *recv_place;    /* capacity: their places */
    cf_plan plan;           /* of the exchange under way */
    float *send_values;     /* rows that are sent, ... */
    int32_t *send_position; /* ... and their positions in the receiver's halo of this rank */
    MPI_Datatype row_type;  /* `stride` floats */
} cf_sparse;
/** Room for `capacity` rows of both sides, those of all ranks together. Collective over the grid.
 * Errors: MEMORY. Free with cf_graph_destroy_sparse(), which is local, and takes all zero bytes
 * too.
 */
cf_status cf_graph_create_sparse(cf_graph *graph, int64_t capacity, cf_row_kind kind,
                                 cf_sparse *out);
void cf_graph_destroy_sparse(cf_sparse *sparse);

/** Begin to use the rows that the caller has listed, whose values it fills from here on. Local. */
void cf_graph_open_sparse(const cf_graph *graph, cf_sparse *sparse);
/** Which row of values[side] an owned row is; -1: it is zero. Local, between open and close. */
static inline int32_t cf_graph_sparse_row(const cf_sparse *sparse, cf_side side, int64_t row)
{
    const int32_t index = sparse->index[side][row];
    const int64_t first = sparse->first_value + (side == CF_USERS ? 0 : sparse->count[CF_USERS]);

    return index < 0 ? -1 : index - (int32_t)first;
}
/** Send the rows to the nodes that need them. Collective over the grid column. */
void cf_graph_exchange_sparse(cf_graph *graph, cf_sparse *sparse);
/** For every owned row of both sides within `n_hops` (`hops` NULL: all), the sum of a sparse field
 * over its neighbours. After the exchange; collective over the node. */
void cf_graph_sum_sparse(const cf_graph *graph, const cf_hops *hops, int n_hops,
                         const cf_sparse *in, cf_row_fn *callback, void *context);
/** End the use: all rows are zero again. Local. */
void cf_graph_close_sparse(const cf_graph *graph, cf_sparse *sparse);

/* ---- Views: the graph without some of its edges ---- */

/** Number the edges of the item side as the user side has them, once, before views are filled.
 * Collective over the grid. Errors: MEMORY. Sends 16 bytes an edge. */
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
void cf_graph_sum_view(cf_graph *graph, const cf_view *view, cf_field in, cf_row_fn *callback,
                       void *context);

/* ---- Memory ---- */

/** Counts of a graph. */
typedef struct cf_graph_size {
    int64_t n[2];            /* users, items */
    int64_t n_edges;         /* from one side */
    const cf_leaves *leaves; /* borrowed; without any, all zero bytes */
} cf_graph_size;
/** Rows of both sides that one of n_parts parts needs of the others: those if edges go anywhere,
 * times the share of them that was counted for parts of leaves. Local. */
double cf_graph_predict_halo(const cf_graph_size *size, double n_parts);
/** Bytes of a graph of `rows` owned rows with `edges`, of both sides, n_halo rows that are
 * received, and scratch for fields of `width`. Local. */
double cf_graph_predict_memory(double rows, double edges, double n_halo, double width);
