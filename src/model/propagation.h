/** Private to model: linear propagation over the graph, forward and backward. */
#pragma once

#include "gradient.h"

/**
 * F = 1/(L+1) sum_{k=0..L} A^^k E0 (He et al. 2020, eq. 7-8), without holding the powers: see
 * propagation.c. A^ = D^-1/2 A D^-1/2.
 */
typedef struct propagation {
    cf_graph *graph;    /* borrowed */
    cf_table *table[2]; /* E0, borrowed */
    int n_layers;       /* L >= 0; with 0, F = E0 and there are no fields */
    cf_field field[2];  /* current and next layer */
    float *final[2];    /* owned rows x width: F, where fields are not float32; else NULL: F is
                           left in the next field */
    double max_edge_fraction; /* if the rows near a batch have more of all edges, all rows are
                                 computed */
    cf_hops hops;             /* neighbourhood of the rows of the last propagation_rows() */
} propagation;

/** With `n_layers` layers; fields and the limit of edges are as the options say. Collective over
 * the grid; may fail on one rank alone, so agree afterwards. Errors: MEMORY. Free with
 * propagation_destroy(), which takes all zero bytes too. */
cf_status propagation_create(cf_graph *graph, cf_table *const table[2], int n_layers,
                             const cf_model_options *options, propagation *out);
void propagation_destroy(propagation *p);
/** Exchange current and next. Local. */
void propagation_swap(propagation *p);

/** The listed rows of F (local numbers, ascending), computing only what they depend on: out[side]
 * is count[side] x width. Collective over the grid column. */
void propagation_rows(propagation *p, int32_t *const rows[2], const int64_t count[2],
                      float *const out[2]);
/** All of F: out[side] is owned rows x width, in p->final, a field or E0 itself, valid until the
 * next call. Collective over the grid column. */
void propagation_all(propagation *p, float *out[2]);
/** Right after propagation_all(), L > 0: rows of F of users that are not in the graph, whose raw
 * rows are `users`, in place of these. `graph`: of these users and the same items; `field`: of that
 * graph, of the same kind as the fields of `p`, overwritten. Collective over the grid column. */
void propagation_fold_in(const propagation *p, cf_graph *graph, cf_field field, cf_table *users);
/** The gradient with respect to E0, row by row to the consumer; `g`: with respect to the rows of
 * the last propagation_rows(). Collective over the grid column. */
void propagation_backward(propagation *p, gradient *g, const cf_gradient_consumer *consumer);

/**
 * The same on views of the graph, layer[k] for layer k + 1, which may differ: out = 1/(L+1) sum_k
 * E_k with E_k = A_k E_{k-1}. out[side]: owned rows x width. Overwrites the fields. Collective over
 * the grid column.
 */
void views_forward(propagation *p, const cf_view *const *layer, float *const out[2]);
/** Add to `out` the gradient with respect to E0, given `g` with respect to views_forward()'s
 * result; both owned rows x width. Overwrites the fields. Collective over the grid column. */
void views_backward(propagation *p, const cf_view *const *layer, float *const g[2],
                    float *const out[2]);
