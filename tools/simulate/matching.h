/** Largest matchings of bipartite graphs. */
#pragma once

#include "cf/core.h"

/** Vertex l of n_left has the edges first[l] .. last[l] - 1, edge e goes to vertex right[e] of
 * n_right. All borrowed. */
typedef struct matching_graph {
    int32_t n_left, n_right;
    const int32_t *first, *last; /* n_left */
    const int32_t *right;        /* of edges, 0 .. n_right - 1 */
} matching_graph;

/**
 * A matching of the most edges: mate[l] is the right vertex of vertex l, or -1. As many vertices
 * cover all edges, and no fewer do (Koenig 1931).
 *
 * Local. `mate`: n_left numbers. Time: edges x sqrt(vertices). Errors: MEMORY. Source: Hopcroft and
 * Karp, SIAM Journal on Computing 2 (1973).
 */
cf_status matching_find(const matching_graph *graph, int32_t *mate);
