/* Leaves of users and items by recursive bisection of the graph of train interactions, or of a part
 * of it; and parts of a weighted graph.
 *
 * Vertices are users and items that have train interactions, edges are these interactions, and the
 * weight of a vertex is its work, degree + CF_ROW_WORK, but at most half of a leaf's: so no part is
 * a vertex alone, which METIS could not bisect, and who cuts blocks counts the true work. METIS
 * cuts the vertices in two halves of equal weight with few edges between them, each half likewise,
 * and so on: halves of halves have neighbouring numbers. Source: Karypis and Kumar 1998, "A Fast
 * and High Quality Multilevel Scheme for Partitioning Irregular Graphs"; METIS 5.
 *
 * The leaves are a function of the graph alone: METIS is seeded, and serial. */
#include "reorder.h"

#include <inttypes.h>
#include <metis.h>
#include <signal.h>

_Static_assert(
    sizeof(idx_t) == 4 && sizeof(real_t) == 4,
    "expected METIS with IDXTYPEWIDTH 32 and REALTYPEWIDTH 32, as most packages have it");

/* Rows of a leaf: 32 to 63. A part of a larger graph may have fewer, if their work is great. */
enum { LEAF_ROWS = 32, MIN_ROWS = 8, SEED = 1 };

/* What METIS takes. Users are vertices in their order, then items. */
typedef struct metis_graph {
    idx_t n, n_users;   /* vertices; of these, users */
    idx_t *item_vertex; /* items: its vertex, -1 if it has none */
    idx_t *start;       /* n + 1 */
    idx_t *neighbour;   /* 2 edges, by vertex */
    idx_t *weight;      /* n */
    idx_t *edge_weight; /* 2 edges; NULL: all weigh the same */
    idx_t *part;        /* n */
} metis_graph;

static void free_graph(metis_graph *g)
{
    cf_free(&g->item_vertex);
    cf_free(&g->start);
    cf_free(&g->neighbour);
    cf_free(&g->weight);
    cf_free(&g->part);
}

double ingest_bisect_bytes(int64_t n_rows, int64_t n_edges)
{
    return 200 * (double)n_rows + 90 * (double)n_edges;
}

double ingest_cut_bytes(int64_t n, int64_t n_edges)
{
    return ingest_bisect_bytes(n, n_edges) + 8 * (double)n_edges;
}

bool ingest_can_bisect(int64_t n_rows, int64_t n_edges)
{
    return 2 * n_edges + CF_ROW_WORK * n_rows < INT32_MAX;
}

/* ---- The graph ------------------------------------------------------------------------------- */

/* Give vertices to the items that occur, behind the users that have any. `start[v + 2]` becomes the
 * degree of vertex v. */
static cf_status number_vertices(const ingest_bipartite *from, metis_graph *g)
{
    const int64_t n_users = from->n_rows[INGEST_USERS], n_items = from->n_rows[INGEST_ITEMS];
    cf_status status;

    CF_TRY(CF_ALLOC(g->item_vertex, n_items));
    CF_TRY(CF_ALLOC(g->start, n_users + n_items + 2));
    for (int64_t u = 0; u < n_users; u++)
        if (from->length[u] > 0) g->start[g->n_users++ + 2] = (idx_t)from->length[u];
    for (int64_t e = 0; e < from->n_edges; e++)
        g->item_vertex[from->item[e]]++;
    g->n = g->n_users;
    for (int64_t i = 0; i < n_items; i++) {
        const idx_t degree = g->item_vertex[i];

        g->item_vertex[i] = degree > 0 ? g->n : -1;
        if (degree > 0) g->start[g->n++ + 2] = degree;
    }
done:
    return status;
}

/* The work of each vertex, whose degree is in `start`, but at most half of a leaf's mean. */
static void fill_weights(int64_t n_edges, int64_t n_leaves, metis_graph *g)
{
    const int64_t most = (2 * n_edges + CF_ROW_WORK * g->n) / n_leaves / 2;

    for (idx_t v = 0; v < g->n; v++)
        g->weight[v] = (idx_t)cf_min(g->start[v + 2] + CF_ROW_WORK, most);
}

/* Offsets and neighbours: `start[v + 1]` is where the next neighbour of vertex v goes, and
 * in the end where vertex v + 1 begins. */
static cf_status fill_neighbours(const ingest_bipartite *from, metis_graph *g)
{
    idx_t vertex = 0;
    cf_status status;

    CF_TRY(CF_ALLOC(g->neighbour, 2 * from->n_edges));
    for (idx_t v = 0; v < g->n; v++)
        g->start[v + 2] += g->start[v + 1];
    for (int64_t u = 0, e = 0; u < from->n_rows[INGEST_USERS]; u++) {
        for (int64_t end = e + from->length[u]; e < end; e++) {
            const idx_t item = g->item_vertex[from->item[e]];

            g->neighbour[g->start[vertex + 1]++] = item;
            g->neighbour[g->start[item + 1]++] = vertex;
        }
        vertex += from->length[u] > 0;
    }
done:
    return status;
}

/* ---- METIS ----------------------------------------------------------------------------------- */

/* METIS catches SIGTERM, and then returns METIS_ERROR: the signal is raised again. The time limit
 * is far above what it takes. */
static cf_status run_metis(metis_graph *g, idx_t n_parts)
{
    idx_t options[METIS_NOPTIONS], n_constraints = 1, cut;
    int result;

    METIS_SetDefaultOptions(options);
    options[METIS_OPTION_SEED] = SEED;
    cf_par_expect(1e-4 * ((double)g->start[g->n] / 2 + g->n));
    result =
        METIS_PartGraphRecursive(&g->n, &n_constraints, g->start, g->neighbour, g->weight, NULL,
                                 g->edge_weight, &n_parts, NULL, NULL, options, &cut, g->part);
    cf_par_expect(0);
    if (result == METIS_ERROR) raise(SIGTERM);
    CF_ASSERT(result == METIS_OK || result == METIS_ERROR_MEMORY);
    if (result == METIS_OK) return CF_OK;
    return CF_FAIL(CF_ERR_MEMORY,
                   "reorder: out of memory in METIS, for %" PRId32 " vertices and %" PRId32
                   " edges: about %.2g GiB in all",
                   g->n, g->start[g->n] / 2,
                   ingest_bisect_bytes(g->n, g->start[g->n] / 2) / 0x1p30);
}

/* The largest power of two that leaves LEAF_ROWS rows to a leaf; at least one. */
int64_t ingest_count_leaves(int64_t n_rows)
{
    int64_t n = 1;

    while (2 * n * LEAF_ROWS <= n_rows)
        n *= 2;
    return n;
}

/* In their order, where METIS has too few to bisect. */
static void spread_vertices(int64_t n_leaves, metis_graph *g)
{
    for (idx_t v = 0; v < g->n; v++)
        g->part[v] = (idx_t)(v * n_leaves / g->n);
}

/* The leaves of one side: those of its vertices, and for the k-th of n rows without a vertex, k
 * n_leaves / n. */
static void spread_leaves(const ingest_bipartite *from, const metis_graph *g, int side,
                          int64_t n_leaves, uint32_t *leaf)
{
    const int64_t n = from->n_rows[side];
    const int64_t n_vertices = side == INGEST_USERS ? g->n_users : g->n - g->n_users;
    const idx_t *part = side == INGEST_USERS ? g->part : g->part + g->n_users;
    int64_t k = 0;

    for (int64_t row = 0; row < n; row++) {
        const bool has = side == INGEST_USERS ? from->length[row] > 0 : g->item_vertex[row] >= 0;

        leaf[row] = has ? (uint32_t)*part++ : (uint32_t)(k++ * n_leaves / (n - n_vertices));
    }
}

cf_status ingest_bisect(const ingest_bipartite *graph, int64_t *n_leaves, uint32_t *const leaf[2])
{
    metis_graph g = {0};
    cf_status status;

    CF_TRY(number_vertices(graph, &g));
    CF_TRY(CF_ALLOC(g.weight, g.n));
    CF_TRY(CF_ALLOC(g.part, g.n));
    if (*n_leaves == 0) *n_leaves = ingest_count_leaves(g.n);
    fill_weights(graph->n_edges, *n_leaves, &g);
    CF_TRY(fill_neighbours(graph, &g));
    if (*n_leaves > 1 && g.n >= MIN_ROWS * *n_leaves)
        CF_TRY(run_metis(&g, (idx_t)*n_leaves));
    else
        spread_vertices(*n_leaves, &g);
    for (int side = 0; side < 2; side++)
        spread_leaves(graph, &g, side, *n_leaves, leaf[side]);
done:
    free_graph(&g);
    return status;
}

/* METIS's numbers are signed, ours are not; both are below 2^31. */
cf_status ingest_cut_gathered(const ingest_gathered *graph, int64_t n_parts, uint32_t *part)
{
    metis_graph g = {.n = (idx_t)graph->n,
                     .neighbour = (idx_t *)graph->neighbour,
                     .weight = (idx_t *)graph->weight,
                     .edge_weight = (idx_t *)graph->edge_weight,
                     .part = (idx_t *)part};
    cf_status status;

    CF_TRY(CF_ALLOC(g.start, graph->n + 1));
    for (int64_t v = 0; v < graph->n; v++)
        g.start[v + 1] = g.start[v] + (idx_t)graph->length[v];
    CF_TRY(run_metis(&g, (idx_t)n_parts));
done:
    cf_free(&g.start);
    return status;
}
