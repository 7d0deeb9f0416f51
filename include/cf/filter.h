/**
 * filter: the normalised interactions as an operator. Polynomials of the items' graph, applied to
 * the histories of users, a few columns at a time; and leading singular vectors. No matrix of items
 * x items is made.
 *
 * R = D_u^-1/2 X D_i^-1/2 (X: users x items, 1 where a user has a train interaction; D: degrees).
 * L~ = I - 2 R'R, whose eigenvalues are -1 to 1, is the normalised Laplacian of the items' graph,
 * moved to the interval of Chebyshev polynomials.
 */
#pragma once

#include "cf/graph.h"

/* ---- Polynomials ---- */

enum { CF_FILTER_MAX_DEGREE = 64 };

/** A user with history s (0 or 1 for each item) gets the scores
 *
 *     D_i^power p(L~) D_i^-power s,    p = sum_k coefficient[k] T_k,    k = 0 .. degree
 *
 * T_k: Chebyshev polynomials of the first kind. An item without train interactions has score 0 and
 * adds nothing to others. */
typedef struct cf_filter_options {
    int degree; /* 0 to CF_FILTER_MAX_DEGREE */
    double coefficient[CF_FILTER_MAX_DEGREE + 1];
    double power;
} cf_filter_options;

/**
 * Coefficients of ChebyCF's filter of a degree of at least 1, with flatness phi > 0. Source: Kim et
 * al. 2025, Graph spectral filtering with Chebyshev interpolation for recommendation, as their
 * program has it: the plateau h(x) = 1/2 + |x|^phi / 2 for x < 0, 1/2 - x^phi / 2 for x >= 0 at the
 * extrema of T_degree, cos(pi j / degree), is interpolated as if at the zeros of T_(degree + 1).
 * Local.
 */
void cf_filter_set_plateau(int degree, double flatness, cf_filter_options *out);

typedef struct cf_filter cf_filter;

/** The filter of the train interactions of a shard. Collective over the grid. `graph` (of the
 * shard) is borrowed; of the shard only its blocks are read. Errors: MEMORY; USAGE (more scores on
 * a rank than MPI counts). Free with cf_filter_destroy(), which takes NULL too. */
cf_status cf_filter_create(const cf_filter_options *options, const cf_grid *grid,
                           const cf_shard *shard, cf_graph *graph, cf_filter **out);
void cf_filter_destroy(cf_filter **filter);

/** Where scores go: those of the k-th user to rows + k x stride, of all items in their order. */
typedef struct cf_filter_rows {
    float *rows;
    int64_t stride;
} cf_filter_rows;

/**
 * Scores of users of a shard, by local number; a user may be listed more than once. Their history
 * are their train and added items. `histories` has the blocks of items of the filter's shard, and
 * users of its own: new users are scored exactly. Collective over the grid, each rank with its own
 * users, of any number. The same bits on any grid, and whatever other users are listed. Errors:
 * MEMORY.
 */
cf_status cf_filter_apply(cf_filter *filter, const cf_shard *histories, const int64_t *users,
                          int64_t count, const cf_filter_rows *out);

/* ---- Singular vectors ---- */

/**
 * The leading right singular vectors of R, as many as `vectors` (n_items x dim) has columns, the
 * first of the largest singular value; `values`: dim, those values, the same on every rank.
 * Collective over the grid; the same bits on any grid. Each vector has a residual |R'Rv - s^2 v| of
 * at most 1e-5, or, where float32 has no more digits, 1e-4; the largest s is 1. Errors: USAGE (more
 * columns than users or items with interactions), NUMERIC (did not converge), MEMORY. Source: Zhou,
 * Saad, Tiago and Chelikowsky 2006, Self-consistent-field calculations using Chebyshev-filtered
 * subspace iteration.
 */
cf_status cf_filter_singular(cf_graph *graph, const cf_shard *shard, cf_table *vectors,
                             double *values);

/* ---- Memory ---- */

/** A graph, a grid, and how many of its ranks are on a node. */
typedef struct cf_filter_size {
    cf_graph_size graph;
    int n_rows, n_columns, node_ranks;
} cf_filter_size;
/** Bytes of a rank, a mean over ranks: of a graph and a filter on it. Local. */
double cf_filter_predict_memory(const cf_filter_size *size);
/** Bytes more that cf_filter_singular() takes meanwhile, for `dim` vectors. Local. */
double cf_filter_predict_singular(const cf_filter_size *size, int64_t dim);
