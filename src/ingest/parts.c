/* The leaves of each part of a graph that is cut. In turn, as many parts as there are ranks travel
 * to one rank each, with the interactions within the part; METIS there finds the leaves as it would
 * those of a whole graph (bisect.c), and these travel back. So no rank has more than a part. */
#include "multilevel.h"

#include <inttypes.h>

/* Parts on their way. */
typedef struct part_turn {
    const ingest_graph *graph;
    int64_t n_users; /* vertices below are users */
    double memory;
    const uint32_t *part;             /* of my vertices */
    uint32_t *part_near;              /* of their neighbours */
    int64_t *first;                   /* parts + 1: where the vertices of each begin in `order` */
    uint32_t *order;                  /* my vertices by part */
    int64_t *sizes;                   /* 4 x ranks: vertices and edges for each, and from each */
    int64_t n_vertices;               /* of the part that is here, as are all below */
    uint32_t *vertex, *length, *item; /* ascending; edges of each; other ends */
    uint32_t *leaf;
} part_turn;

static void free_turn(part_turn *t)
{
    cf_free(&t->vertex);
    cf_free(&t->length);
    cf_free(&t->item);
    cf_free(&t->leaf);
}

static void free_turns(part_turn *t)
{
    free_turn(t);
    cf_free(&t->part_near);
    cf_free(&t->first);
    cf_free(&t->order);
    cf_free(&t->sizes);
}

/* Sort my vertices by part. Local. */
static cf_status sort_vertices(part_turn *t, int64_t n_parts)
{
    int64_t *next = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(next, n_parts));
    CF_TRY(CF_ALLOC(t->first, n_parts + 1));
    CF_TRY(CF_ALLOC(t->order, t->graph->n));
    CF_TRY(CF_ALLOC(t->sizes, 4 * (int64_t)t->graph->world->size));
    for (int64_t v = 0; v < t->graph->n; v++)
        t->first[t->part[v] + 1]++;
    for (int64_t p = 0; p < n_parts; p++) {
        next[p] = t->first[p];
        t->first[p + 1] += t->first[p];
    }
    for (int64_t v = 0; v < t->graph->n; v++)
        t->order[next[t->part[v]]++] = (uint32_t)v;
done:
    cf_free(&next);
    return status;
}

/* ---- There ----------------------------------------------------------------------------------- */

/* What is sent. */
typedef struct part_load {
    uint32_t *vertex, *length; /* of each vertex; items have a length of 0 */
    uint32_t *item;
    int64_t n_edges;
} part_load;

/* Append a vertex, and as a user its edges within its part. */
static void load_vertex(const part_turn *t, uint32_t v, int64_t at, part_load *load)
{
    const ingest_graph *graph = t->graph;
    const int64_t number = graph->blocks.start[graph->world->rank] + v;
    const int64_t before = load->n_edges;

    load->vertex[at] = (uint32_t)number;
    for (int64_t e = graph->start[v]; e < graph->start[v + 1] && number < t->n_users; e++)
        if (t->part_near[graph->neighbour[e]] == t->part[v])
            load->item[load->n_edges++] = graph->near.item[graph->neighbour[e]];
    load->length[at] = (uint32_t)(load->n_edges - before);
}

/* Parts first_part, first_part + 1, .. for rank 0, 1, ... Local. */
static cf_status load_parts(part_turn *t, int64_t first_part, int64_t n_parts, part_load *load)
{
    const int size = t->graph->world->size;
    const int64_t end = cf_min(first_part + size, n_parts), begin = t->first[first_part];
    int64_t n_edges = 0;
    cf_status status;

    for (int64_t k = begin; k < t->first[end]; k++)
        n_edges += t->graph->start[t->order[k] + 1] - t->graph->start[t->order[k]];
    CF_TRY(CF_ALLOC(load->vertex, t->first[end] - begin));
    CF_TRY(CF_ALLOC(load->length, t->first[end] - begin));
    CF_TRY(CF_ALLOC(load->item, n_edges));
    for (int p = 0; p < size; p++) {
        const int64_t part = cf_min(first_part + p, end), before = load->n_edges;
        const int64_t last = t->first[cf_min(part + 1, end)];

        for (int64_t k = t->first[part]; k < last; k++)
            load_vertex(t, t->order[k], k - begin, load);
        t->sizes[p] = last - t->first[part];
        t->sizes[size + p] = load->n_edges - before;
    }
done:
    return status;
}

/* Collective. */
static cf_status send_parts(part_turn *t, int64_t first_part, int64_t n_parts)
{
    const cf_par *world = t->graph->world;
    int64_t *n_vertices = t->sizes, *n_edges = t->sizes + world->size;
    int64_t *got = t->sizes + 2 * (int64_t)world->size, *got_edges = got + world->size;
    part_load load = {0};
    cf_status status;

    CF_TRY(cf_par_agree(world, load_parts(t, first_part, n_parts, &load)));
    CF_TRY(cf_par_exchange(world, sizeof *load.vertex, n_vertices, load.vertex, got, &t->vertex));
    CF_TRY(cf_par_exchange(world, sizeof *load.length, n_vertices, load.length, got, &t->length));
    CF_TRY(cf_par_exchange(world, sizeof *load.item, n_edges, load.item, got_edges, &t->item));
    t->n_vertices = 0;
    for (int p = 0; p < world->size; p++)
        t->n_vertices += got[p];
done:
    cf_free(&load.vertex);
    cf_free(&load.length);
    cf_free(&load.item);
    return status;
}

/* ---- Here ------------------------------------------------------------------------------------ */

/* The first of `count` ascending numbers that is not below `value`. */
static int64_t search(const uint32_t *numbers, int64_t count, int64_t value)
{
    int64_t low = 0;

    while (count > 0) {
        const int64_t half = count / 2;

        if (numbers[low + half] < value) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}

/* The leaves of the part that is here, from `first_leaf` on. Local. */
static cf_status find_leaves(part_turn *t, int64_t first_leaf, int64_t n_leaves)
{
    const int64_t n_users = search(t->vertex, t->n_vertices, t->n_users);
    const int64_t n_items = t->n_vertices - n_users;
    ingest_bipartite graph = {.n_rows = {n_users, n_items}, .length = t->length, .item = t->item};
    cf_status status;

    for (int64_t u = 0; u < n_users; u++)
        graph.n_edges += t->length[u];
    CF_REQUIRE(ingest_bisect_bytes(t->n_vertices, graph.n_edges) <= t->memory, CF_ERR_USAGE,
               "reorder: bisect finds no even parts for reorder_memory: one has %" PRId64
               " users and items and %" PRId64
               " train interactions, too much for %g GiB: raise it, or set reorder: none",
               t->n_vertices, graph.n_edges, t->memory / 0x1p30);
    for (int64_t e = 0; e < graph.n_edges; e++)
        t->item[e] = (uint32_t)search(t->vertex + n_users, n_items, t->item[e]);
    CF_TRY(CF_ALLOC(t->leaf, t->n_vertices));
    CF_TRY(ingest_bisect(&graph, &n_leaves, (uint32_t *[2]){t->leaf, t->leaf + n_users}));
    for (int64_t k = 0; k < t->n_vertices; k++)
        t->leaf[k] += (uint32_t)first_leaf;
done:
    return status;
}

/* ---- All ------------------------------------------------------------------------------------- */

/* Collective. */
static cf_status take_turn(part_turn *t, int64_t first_part, ingest_spread_leaves *out)
{
    const cf_par *world = t->graph->world;
    const int64_t n_leaves = out->n_leaves / out->n_parts, part = first_part + world->rank;
    uint32_t *leaf = NULL;
    int64_t n = 0;
    cf_status status;

    CF_TRY(send_parts(t, first_part, out->n_parts));
    status = part < out->n_parts ? find_leaves(t, part * n_leaves, n_leaves) : CF_OK;
    CF_TRY(cf_par_agree_on_input(world, status));
    CF_TRY(cf_par_exchange(world, sizeof *leaf, t->sizes + 2 * (int64_t)world->size, t->leaf,
                           t->sizes, &leaf));
    for (int p = 0; p < world->size; p++)
        n += t->sizes[p];
    for (int64_t k = 0; k < n; k++)
        out->leaf[t->order[t->first[first_part] + k]] = leaf[k];
done:
    free_turn(t);
    cf_free(&leaf);
    return status;
}

cf_status ingest_bisect_parts(const ingest_graph *graph, int64_t n_users, double memory,
                              const uint32_t *part, ingest_spread_leaves *out)
{
    part_turn t = {.graph = graph, .n_users = n_users, .memory = memory, .part = part};
    cf_status status;

    CF_TRY(ingest_fetch_item_numbers(&graph->near, part, &t.part_near));
    status = sort_vertices(&t, out->n_parts);
    if (status == CF_OK) status = CF_ALLOC(out->leaf, graph->n);
    CF_TRY(cf_par_agree(graph->world, status));
    for (int64_t first = 0; first < out->n_parts; first += graph->world->size)
        CF_TRY(take_turn(&t, first, out));
done:
    free_turns(&t);
    return status;
}
