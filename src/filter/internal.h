/** Private to filter: Chebyshev polynomials of the graph on one field. */
#pragma once

#include "cf/filter.h"

/**
 * The sequence t_0 = x, t_1 = f A^ x, t_j = 2 f A^ t_(j-1) - t_(j-2), A^ = D^-1/2 A D^-1/2 of the
 * graph of users and items: t_j = T_j(f A^) x. With x of items alone, t_j is of items for even j
 * and of users for odd j, so that one field holds the last two. On the items t_2k = T_k(2 f^2 R'R -
 * I) x, which for f = 1 is (-1)^k T_k(L~) x.
 *
 * Rows are stored times degree^-1/2, so that a sum over neighbours needs no weights.
 */
typedef struct recurrence {
    cf_graph *graph; /* borrowed */
    cf_sides sides;
    cf_field field;
    float factor; /* f > 0 */
    int step;     /* j of the last t_j; the caller fills t_0 and sets 0 */
    float weight; /* added to `sum` with each t_j of items: weight t_j; changed between steps */
    float *sum;   /* my items x width; NULL: none */
} recurrence;

/** A field of `width`. Collective over the grid. Errors: MEMORY; destroy then too. */
cf_status recurrence_create(cf_graph *graph, int64_t width, recurrence *out);
/** Local; takes all zero bytes too. */
void recurrence_destroy(recurrence *r);
/** The next t_j. Collective over the grid column. */
void recurrence_step(recurrence *r);
/** Between a table of a side, whose rows are as wide as the field's, and rows of the field. A row
 * without edges is zero. Local. */
void recurrence_load(const recurrence *r, cf_side side, const cf_table *table);
void recurrence_unload(const recurrence *r, cf_side side, cf_table *table);

/** Columns of a field that each rank of a grid column of `n_rows` ranks has. */
int64_t filter_columns_of_rank(int n_rows);
/** Columns of the subspace that `wanted` singular vectors are sought in, if there are no fewer
 * users or items. */
int64_t filter_subspace_dim(int64_t wanted);
