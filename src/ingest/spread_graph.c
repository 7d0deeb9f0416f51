/* A weighted graph whose vertices are spread over the ranks: each rank has the edges of an even
 * block of vertices, as offsets and neighbours. Edges travel to the rank of their first vertex,
 * where a counting sort puts them in order of it, and those to the same second vertex become one.
 *
 * Neighbours are local numbers in a list of all distinct ones (item_index.c), by which values of
 * vertices are fetched from the ranks that have them. */
#include "multilevel.h"
#include "split.h"

void ingest_destroy_graph(ingest_graph *graph)
{
    cf_par_destroy_blocks(&graph->blocks);
    cf_free(&graph->start);
    cf_free(&graph->neighbour);
    cf_free(&graph->edge_weight);
    cf_free(&graph->weight);
    ingest_destroy_item_index(&graph->near);
    *graph = (ingest_graph){0};
}

/* Group edges by the rank of their first vertex: send_count of each. Frees `*edges`. Local. */
static cf_status group_edges(const cf_blocks *blocks, ingest_edge **edges, int64_t count,
                             int64_t *send_count, ingest_edge **grouped)
{
    int64_t *next = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(next, blocks->count));
    CF_TRY(CF_ALLOC(*grouped, count));
    for (int64_t e = 0; e < count; e++)
        send_count[cf_par_block_of(blocks, (*edges)[e].from)]++;
    for (int p = 1; p < blocks->count; p++)
        next[p] = next[p - 1] + send_count[p - 1];
    for (int64_t e = 0; e < count; e++)
        (*grouped)[next[cf_par_block_of(blocks, (*edges)[e].from)]++] = (*edges)[e];
done:
    cf_free(&next);
    cf_free(edges);
    return status;
}

/* Collective; frees `*edges`. */
static cf_status send_edges(const ingest_graph *graph, ingest_edge **edges, int64_t count,
                            ingest_edge **received, int64_t *n_received)
{
    const cf_par *world = graph->world;
    ingest_edge *grouped = NULL;
    int64_t *counts = NULL;
    cf_status status = CF_ALLOC(counts, 2 * (int64_t)world->size);

    if (status == CF_OK) status = group_edges(&graph->blocks, edges, count, counts, &grouped);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(
        cf_par_exchange(world, sizeof *grouped, counts, grouped, counts + world->size, received));
    *n_received = 0;
    for (int p = 0; p < world->size; p++)
        *n_received += counts[world->size + p];
done:
    cf_free(edges);
    cf_free(&grouped);
    cf_free(&counts);
    return status;
}

/* Offsets, and words (second vertex, weight) in order of the first vertex. Local. */
static cf_status sort_edges(const ingest_edge *edges, int64_t count, ingest_graph *graph,
                            int64_t **words)
{
    const int64_t first = graph->blocks.start[graph->world->rank];
    int64_t *next = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(graph->start, graph->n + 1));
    CF_TRY(CF_ALLOC(next, graph->n));
    CF_TRY(CF_ALLOC(*words, count));
    for (int64_t e = 0; e < count; e++)
        graph->start[edges[e].from - first + 1]++;
    for (int64_t v = 0; v < graph->n; v++) {
        next[v] = graph->start[v];
        graph->start[v + 1] += graph->start[v];
    }
    for (int64_t e = 0; e < count; e++)
        (*words)[next[edges[e].from - first]++] = (int64_t)edges[e].to << 32 | edges[e].weight;
    for (int64_t v = 0; v < graph->n; v++)
        ingest_sort_list(*words + graph->start[v], graph->start[v + 1] - graph->start[v]);
done:
    cf_free(&next);
    return status;
}

/* Words of the same two vertices become one; then words are (weight, second vertex). Local. */
static void merge_edges(ingest_graph *graph, int64_t *words)
{
    int64_t at = 0, e = 0;

    for (int64_t v = 0; v < graph->n; v++) {
        const int64_t end = graph->start[v + 1];

        while (e < end) {
            const int64_t to = words[e] >> 32;
            int64_t weight = 0;

            for (; e < end && words[e] >> 32 == to; e++)
                weight += words[e] & UINT32_MAX;
            words[at++] = weight << 32 | to;
        }
        graph->start[v + 1] = at;
    }
}

/* Local, once the neighbours have their list. */
static cf_status fill_edges(const int64_t *words, ingest_graph *graph)
{
    const int64_t count = graph->start[graph->n];
    cf_status status;

    CF_TRY(CF_ALLOC(graph->neighbour, count));
    CF_TRY(CF_ALLOC(graph->edge_weight, count));
    CF_TRY(CF_ALLOC(graph->weight, graph->n));
    for (int64_t e = 0; e < count; e++) {
        graph->neighbour[e] = ingest_local_item(&graph->near, (uint32_t)words[e]);
        graph->edge_weight[e] = (uint32_t)(words[e] >> 32);
    }
done:
    return status;
}

cf_status ingest_create_graph(const cf_par *world, int64_t n_vertices, ingest_edge **edges,
                              int64_t count, ingest_graph *out)
{
    ingest_edge *received = NULL;
    int64_t *words = NULL;
    int64_t n_received, before, all;
    cf_status status;

    *out = (ingest_graph){.world = world};
    status = cf_par_create_blocks(n_vertices, world->size, &out->blocks);
    if (status != CF_OK) cf_free(edges);
    CF_TRY(cf_par_agree(world, status));
    out->n = out->blocks.start[world->rank + 1] - out->blocks.start[world->rank];
    CF_TRY(send_edges(out, edges, count, &received, &n_received));
    status = sort_edges(received, n_received, out, &words);
    cf_free(&received);
    CF_TRY(cf_par_agree(world, status));
    merge_edges(out, words);
    CF_TRY(ingest_create_item_index(world, &out->blocks, (const uint64_t *)words,
                                    out->start[out->n], &out->near));
    CF_TRY(cf_par_agree(world, fill_edges(words, out)));
    cf_par_exscan(world, out->start[out->n], &before, &all);
    out->all_edges = all / 2;
done:
    cf_free(edges);
    cf_free(&words);
    return status;
}

void ingest_sum_work(ingest_graph *graph)
{
    int64_t mine = 0, before;

    for (int64_t v = 0; v < graph->n; v++)
        mine += graph->weight[v];
    cf_par_exscan(graph->world, mine, &before, &graph->all_weight);
}

cf_status ingest_list_vertices(const ingest_graph *graph, const uint32_t *vertices, int64_t count,
                               ingest_item_index *out)
{
    uint64_t *wide = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(graph->world, CF_ALLOC(wide, count)));
    for (int64_t k = 0; k < count; k++)
        wide[k] = vertices[k];
    CF_TRY(ingest_create_item_index(graph->world, &graph->blocks, wide, count, out));
done:
    cf_free(&wide);
    return status;
}
