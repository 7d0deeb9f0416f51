/**
 * Inside ingest: bisection by all ranks, where one has not the memory for it. A graph whose
 * vertices are spread over the ranks, labels of its vertices, and contraction. What takes `world`
 * or a graph is Collective unless it says otherwise. Everything is a function of the graph,
 * whatever the number of ranks.
 */
#pragma once

#include "reorder.h"

/* ---- Graph (spread_graph.c) ------------------------------------------------------------------ */

/** An edge as its first vertex has it; the second one has another. */
typedef struct ingest_edge {
    uint32_t from, to, weight;
} ingest_edge;

/** A weighted graph without edges from a vertex to itself. Starts zeroed. */
typedef struct ingest_graph {
    const cf_par *world;    /* borrowed */
    cf_blocks blocks;       /* which rank has which vertices: even blocks */
    int64_t n;              /* vertices of my block */
    int64_t *start;         /* n + 1: where the edges of each begin */
    uint32_t *neighbour;    /* edges: a local number of `near` each, ascending for a vertex */
    uint32_t *edge_weight;  /* edges */
    int64_t *weight;        /* n: the work of each vertex; 0: it has no edges */
    int64_t all_edges;      /* of all ranks, each pair of vertices once */
    int64_t all_weight;     /* sum of the work over all ranks */
    ingest_item_index near; /* vertices that mine have as neighbours: an index of items serves */
} ingest_graph;

/** The graph of `count` edges of any rank, in any order; those of the same vertices are added up.
 * Takes `*edges`, which becomes NULL. All weights are 0. Destroy `*out` also on errors. Errors:
 * MEMORY. */
cf_status ingest_create_graph(const cf_par *world, int64_t n_vertices, ingest_edge **edges,
                              int64_t count, ingest_graph *out);
/** Local. */
void ingest_destroy_graph(ingest_graph *graph);
/** Set all_weight from the weights. */
void ingest_sum_work(ingest_graph *graph);
/** List the distinct ones of `count` vertices of `graph`, so that their values can be added up and
 * fetched. Destroy `*out` also on errors. Errors: MEMORY. */
cf_status ingest_list_vertices(const ingest_graph *graph, const uint32_t *vertices, int64_t count,
                               ingest_item_index *out);

/* ---- Labels (labels.c) ----------------------------------------------------------------------- */

/** How vertices change their labels. */
typedef struct ingest_labelling {
    cf_blocks blocks; /* which rank adds up the weights of which labels */
    int n_levels;     /* labels are leaves of a tree of so many levels below the root; 1: flat */
    int64_t most;     /* weight of all vertices of a label */
    int n_rounds;
} ingest_labelling;

/** Give vertices the label that weighs most among their neighbours, in rounds. `label` (graph->n):
 * of each vertex. Errors: MEMORY. */
cf_status ingest_move_labels(const ingest_graph *graph, const ingest_labelling *how,
                             uint32_t *label);
/** The graph of the labels, which are vertices of `graph`: all vertices of a label are one vertex
 * of `*coarse`. `*number` (graph->n, new): which; those without work have any. Destroy `*coarse`
 * also on errors. Errors: MEMORY. */
cf_status ingest_contract(const ingest_graph *graph, const uint32_t *label, ingest_graph *coarse,
                          uint32_t **number);

/* ---- All (multilevel.c, parts.c) ------------------------------------------------------------- */

/** Find the leaves for the train items of my users, by number; n_rows: users, items. No rank takes
 * more than `memory` GiB for METIS. Destroy `*out` also on errors. Errors: MEMORY, USAGE (where
 * that cannot be done). */
cf_status ingest_bisect_spread(const cf_par *world, const cf_lists *train, const int64_t n_rows[2],
                               double memory, ingest_spread_leaves *out);
/** The leaves of the parts: `part` (graph->n) below out->n_parts, of the n_leaves. Sets out->leaf.
 * `graph`: of users, then items; no rank takes more than `memory` bytes. Errors: as above. */
cf_status ingest_bisect_parts(const ingest_graph *graph, int64_t n_users, double memory,
                              const uint32_t *part, ingest_spread_leaves *out);
