/* Leaves of users and items by all ranks, none of which has the whole graph. Multilevel, after
 * Meyerhenke, Sanders and Schulz 2017, "Parallel Graph Partitioning for Complex Networks":
 *
 *   cluster   label propagation (labels.c) finds clusters of bounded work, each of which is a
 *             vertex of a smaller graph; again, until METIS can take that one within the memory
 *   cut       METIS cuts it by recursive bisection on rank 0: in as few parts, a power of two, as
 *             leave METIS the memory for one part with all its users and items
 *   refine    the vertices of each graph, the smallest first, move between parts (labels.c)
 *   leaves    each part is sent to a rank, whose METIS finds its leaves (parts.c)
 *
 * Vertices are users by their numbers, then items; edges are train interactions, and the weight of
 * a vertex is its work, degree + CF_ROW_WORK. Users and items without any are spread evenly. */
#include "multilevel.h"

#include <inttypes.h>

enum {
    MAX_GRAPHS = 24,
    GROWTH = 8,         /* the work of a cluster, over that before; at first over the mean row's */
    PART_CLUSTERS = 16, /* a cluster has at most this share of a part's work */
    CLUSTER_ROUNDS = 10,
    REFINE_ROUNDS = 10,
    SLACK = 32 /* a part may have 1/32 more work than the mean */
};

/* Of the memory, what METIS takes for a part of mean size. */
static const double part_share = 0.75;

/* A cut in progress. */
typedef struct multilevel {
    const cf_par *world;
    const int64_t *n_rows; /* users, items */
    double memory;         /* bytes */
    int64_t n_leaves, n_parts;
    int n_graphs;
    ingest_graph graph[MAX_GRAPHS]; /* of rows, of clusters, of clusters of these, .. */
    uint32_t *number[MAX_GRAPHS];   /* of each vertex: that of the next graph */
    uint32_t *part;                 /* of each vertex of the graph at hand */
} multilevel;

static void free_multilevel(multilevel *m)
{
    for (int k = 0; k < MAX_GRAPHS; k++) {
        ingest_destroy_graph(&m->graph[k]);
        cf_free(&m->number[k]);
    }
    cf_free(&m->part);
}

static int64_t count_vertices(const ingest_graph *graph)
{
    return graph->blocks.start[graph->world->size];
}

/* ---- The graph of rows ----------------------------------------------------------------------- */

/* Each interaction is an edge of its user, and one of its item. Local. */
static cf_status list_interactions(const cf_lists *train, int64_t first_user, int64_t n_users,
                                   ingest_edge **out)
{
    ingest_edge *edges = NULL;
    cf_status status = CF_ALLOC(edges, 2 * train->start[train->count]);

    if (status != CF_OK) return status;
    for (int64_t u = 0; u < train->count; u++)
        for (int64_t e = train->start[u]; e < train->start[u + 1]; e++) {
            const uint32_t user = (uint32_t)(first_user + u);
            const uint32_t item = (uint32_t)(n_users + train->index[e]);

            edges[2 * e] = (ingest_edge){user, item, 1};
            edges[2 * e + 1] = (ingest_edge){item, user, 1};
        }
    *out = edges;
    return CF_OK;
}

/* Collective. */
static cf_status create_rows(multilevel *m, const cf_lists *train)
{
    ingest_graph *graph = &m->graph[0];
    ingest_edge *edges = NULL;
    int64_t first_user, n_users, used = 0, before, n_used;
    cf_status status;

    cf_par_exscan(m->world, train->count, &first_user, &n_users);
    CF_TRY(cf_par_agree(m->world, list_interactions(train, first_user, n_users, &edges)));
    CF_TRY(ingest_create_graph(m->world, m->n_rows[INGEST_USERS] + m->n_rows[INGEST_ITEMS], &edges,
                               2 * train->start[train->count], graph));
    m->n_graphs = 1;
    for (int64_t v = 0; v < graph->n; v++) {
        const int64_t degree = graph->start[v + 1] - graph->start[v];

        used += degree > 0;
        graph->weight[v] = degree > 0 ? degree + CF_ROW_WORK : 0;
    }
    ingest_sum_work(graph);
    cf_par_exscan(m->world, used, &before, &n_used);
    m->n_leaves = ingest_count_leaves(n_used);
done:
    cf_free(&edges);
    return status;
}

static cf_status refuse(const multilevel *m)
{
    return CF_FAIL(CF_ERR_USAGE,
                   "reorder: bisect finds no clusters or parts of %" PRId64
                   " users and items with %" PRId64
                   " train interactions that METIS takes within reorder_memory, %g GiB: raise it, "
                   "or set reorder: none",
                   count_vertices(&m->graph[0]), m->graph[0].all_edges, m->memory / 0x1p30);
}

/* In how many parts METIS can take the rows. The same on all ranks. Local. */
static cf_status count_parts(multilevel *m)
{
    const ingest_graph *rows = &m->graph[0];
    const double bytes = ingest_bisect_bytes(count_vertices(rows), rows->all_edges);

    m->n_parts = 2;
    while (bytes > part_share * m->memory * (double)m->n_parts && m->n_parts <= m->n_leaves)
        m->n_parts *= 2;
    return m->n_parts <= m->n_leaves ? CF_OK : refuse(m);
}

/* ---- Clusters -------------------------------------------------------------------------------- */

/* Add the graph of the clusters of the last one, with at most so much work each. Collective. */
static cf_status add_graph(multilevel *m, int64_t most)
{
    const ingest_graph *graph = &m->graph[m->n_graphs - 1];
    const ingest_labelling how = {
        .blocks = graph->blocks, .n_levels = 1, .most = most, .n_rounds = CLUSTER_ROUNDS};
    uint32_t *label = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(m->world, CF_ALLOC(label, graph->n)));
    for (int64_t v = 0; v < graph->n; v++)
        label[v] = (uint32_t)(graph->blocks.start[m->world->rank] + v);
    CF_TRY(ingest_move_labels(graph, &how, label));
    CF_TRY(ingest_contract(graph, label, &m->graph[m->n_graphs], &m->number[m->n_graphs - 1]));
    m->n_graphs++;
done:
    cf_free(&label);
    return status;
}

/* Until METIS can take the last graph on one rank. Collective. */
static cf_status add_graphs(multilevel *m)
{
    const int64_t total = m->graph[0].all_weight;
    const int64_t limit = total / m->n_parts / PART_CLUSTERS;
    int64_t most = total / count_vertices(&m->graph[0]), n = 0;
    cf_status status = CF_OK;

    while (true) {
        const ingest_graph *last = &m->graph[m->n_graphs - 1];
        const int64_t n_before = n;

        n = count_vertices(last);
        if (ingest_cut_bytes(n, last->all_edges) <= m->memory) break;
        if (m->n_graphs == MAX_GRAPHS || (most == limit && n == n_before)) CF_TRY(refuse(m));
        most = cf_min(limit, GROWTH * most);
        CF_TRY(add_graph(m, most));
    }
done:
    return status;
}

/* ---- Cut ------------------------------------------------------------------------------------- */

/* The last graph on rank 0. Collective. */
static cf_status gather_last(const multilevel *m, ingest_gathered *out)
{
    const ingest_graph *graph = &m->graph[m->n_graphs - 1];
    const int64_t n_edges = graph->start[graph->n];
    uint32_t *length = NULL, *weight = NULL, *neighbour = NULL;
    cf_status status = CF_ALLOC(length, graph->n);

    if (status == CF_OK) status = CF_ALLOC(weight, graph->n);
    if (status == CF_OK) status = CF_ALLOC(neighbour, n_edges);
    CF_TRY(cf_par_agree(m->world, status));
    for (int64_t v = 0; v < graph->n; v++) {
        length[v] = (uint32_t)(graph->start[v + 1] - graph->start[v]);
        weight[v] = (uint32_t)graph->weight[v];
    }
    for (int64_t e = 0; e < n_edges; e++)
        neighbour[e] = graph->near.item[graph->neighbour[e]];
    out->n = count_vertices(graph);
    out->n_edges = graph->all_edges;
    CF_TRY(ingest_send_to_root(m->world, length, graph->n, &out->length));
    CF_TRY(ingest_send_to_root(m->world, weight, graph->n, &out->weight));
    CF_TRY(ingest_send_to_root(m->world, neighbour, n_edges, &out->neighbour));
    CF_TRY(ingest_send_to_root(m->world, graph->edge_weight, n_edges, &out->edge_weight));
done:
    cf_free(&length);
    cf_free(&weight);
    cf_free(&neighbour);
    return status;
}

static void free_gathered(ingest_gathered *g)
{
    cf_free(&g->length);
    cf_free(&g->weight);
    cf_free(&g->neighbour);
    cf_free(&g->edge_weight);
}

/* Parts of the last graph: METIS on rank 0. Collective. */
static cf_status cut_last(multilevel *m)
{
    const cf_blocks *blocks = &m->graph[m->n_graphs - 1].blocks;
    ingest_gathered whole = {0};
    uint32_t *parts = NULL;
    int64_t *sizes = NULL;
    cf_status status;

    CF_TRY(gather_last(m, &whole));
    status = CF_ALLOC(sizes, 2 * (int64_t)m->world->size);
    if (m->world->rank == 0) {
        if (status == CF_OK) status = CF_ALLOC(parts, whole.n);
        if (status == CF_OK) status = ingest_cut_gathered(&whole, m->n_parts, parts);
    }
    CF_TRY(cf_par_agree(m->world, status));
    for (int p = 0; p < m->world->size && m->world->rank == 0; p++)
        sizes[p] = blocks->start[p + 1] - blocks->start[p];
    CF_TRY(
        cf_par_exchange(m->world, sizeof *parts, sizes, parts, sizes + m->world->size, &m->part));
done:
    free_gathered(&whole);
    cf_free(&parts);
    cf_free(&sizes);
    return status;
}

/* ---- Refinement ------------------------------------------------------------------------------ */

/* From the parts of the last graph to those of the one before, which is the last one then.
 * Collective. */
static cf_status project(multilevel *m)
{
    ingest_graph *last = &m->graph[m->n_graphs - 1];
    const int64_t n = m->graph[m->n_graphs - 2].n;
    const uint32_t *number = m->number[m->n_graphs - 2];
    ingest_item_index index = {0};
    uint32_t *fetched = NULL, *part = NULL;
    cf_status status;

    CF_TRY(ingest_list_vertices(last, number, n, &index));
    CF_TRY(ingest_fetch_item_numbers(&index, m->part, &fetched));
    CF_TRY(cf_par_agree(m->world, CF_ALLOC(part, n)));
    for (int64_t v = 0; v < n; v++)
        part[v] = fetched[ingest_local_item(&index, number[v])];
    cf_free(&m->part);
    m->part = part;
    ingest_destroy_graph(last);
    m->n_graphs--;
done:
    ingest_destroy_item_index(&index);
    cf_free(&fetched);
    return status;
}

/* Down to the parts of rows. Collective. */
static cf_status refine(multilevel *m)
{
    const int64_t mean = cf_ceil_div(m->graph[0].all_weight, m->n_parts);
    ingest_labelling how = {.n_levels = __builtin_ctzll((unsigned long long)m->n_parts),
                            .most = mean + mean / SLACK,
                            .n_rounds = REFINE_ROUNDS};
    cf_status status;

    CF_TRY(cf_par_agree(m->world, cf_par_create_blocks(m->n_parts, m->world->size, &how.blocks)));
    CF_TRY(ingest_move_labels(&m->graph[m->n_graphs - 1], &how, m->part));
    while (m->n_graphs > 1) {
        CF_TRY(project(m));
        CF_TRY(ingest_move_labels(&m->graph[m->n_graphs - 1], &how, m->part));
    }
done:
    cf_par_destroy_blocks(&how.blocks);
    return status;
}

/* The k-th of n users, or of n items, without interactions is of part k n_parts / n. Collective. */
static void spread_unused(multilevel *m)
{
    const ingest_graph *rows = &m->graph[0];
    const int64_t first = rows->blocks.start[m->world->rank];
    const int64_t middle = cf_max(0, cf_min(m->n_rows[INGEST_USERS] - first, rows->n));
    const int64_t ends[3] = {0, middle, rows->n};

    for (int side = 0; side < 2; side++) {
        int64_t unused = 0, k, n;

        for (int64_t v = ends[side]; v < ends[side + 1]; v++)
            unused += rows->weight[v] == 0;
        cf_par_exscan(m->world, unused, &k, &n);
        for (int64_t v = ends[side]; v < ends[side + 1]; v++)
            if (rows->weight[v] == 0) m->part[v] = (uint32_t)(k++ * m->n_parts / n);
    }
}

/* ---- All ------------------------------------------------------------------------------------- */

cf_status ingest_bisect_spread(const cf_par *world, const cf_lists *train, const int64_t n_rows[2],
                               double memory, ingest_spread_leaves *out)
{
    multilevel m = {.world = world, .n_rows = n_rows, .memory = memory * 0x1p30};
    cf_status status;

    CF_TRY(create_rows(&m, train));
    CF_TRY(count_parts(&m));
    CF_TRY(add_graphs(&m));
    CF_TRY(cut_last(&m));
    CF_TRY(refine(&m));
    spread_unused(&m);
    out->n_leaves = m.n_leaves;
    out->n_parts = m.n_parts;
    CF_TRY(ingest_bisect_parts(&m.graph[0], n_rows[INGEST_USERS], m.memory, m.part, out));
    out->blocks = m.graph[0].blocks;
    m.graph[0].blocks = (cf_blocks){0};
done:
    free_multilevel(&m);
    return status;
}
