/* Labels of the vertices of a graph that is spread over the ranks: clusters, and parts of a cut.
 *
 * Label propagation with bounded weights, the same for finding clusters and for refining a cut. A
 * round lets a random half of the vertices each propose to take the label c of the highest
 *
 *   score(c) = sum over neighbours u: weight of the edge * levels that c and label(u) have in
 * common
 *
 * if that is higher than the score of its own label, and if the vertex fits: ties go to the lowest
 * number. For a flat set of labels the score is the weight of the edges to label c. The rank that
 * adds up the weight of a label accepts proposals by score, then by vertex, as long as there is
 * room. All are functions of the labels before the round, so the ranks do not matter.
 *
 * Source: Meyerhenke, Sanders and Schulz 2017, "Parallel Graph Partitioning for Complex Networks",
 * where the rounds of all ranks are not in step. */
#include "multilevel.h"

#include <stdlib.h>

/* The labels that my vertices and their neighbours have. */
typedef struct label_set {
    ingest_item_index index; /* which; an index of items serves */
    uint32_t *of_near;       /* graph->near.count: its local number, for each neighbour */
    int64_t *total;          /* of the labels of my block: the weight of their vertices */
} label_set;

static void free_set(label_set *set)
{
    ingest_destroy_item_index(&set->index);
    cf_free(&set->of_near);
    cf_free(&set->total);
}

/* ---- The set --------------------------------------------------------------------------------- */

/* List the labels of my vertices and of their neighbours. Collective. */
static cf_status list_labels(const ingest_graph *graph, const cf_blocks *blocks,
                             const uint32_t *label, label_set *set)
{
    const int64_t n_near = graph->near.count;
    uint64_t *all = NULL;
    cf_status status;

    CF_TRY(ingest_fetch_item_numbers(&graph->near, label, &set->of_near));
    CF_TRY(cf_par_agree(graph->world, CF_ALLOC(all, graph->n + n_near)));
    for (int64_t v = 0; v < graph->n; v++)
        all[v] = label[v];
    for (int64_t k = 0; k < n_near; k++)
        all[graph->n + k] = set->of_near[k];
    CF_TRY(ingest_create_item_index(graph->world, blocks, all, graph->n + n_near, &set->index));
    for (int64_t k = 0; k < n_near; k++)
        set->of_near[k] = ingest_local_item(&set->index, set->of_near[k]);
done:
    cf_free(&all);
    return status;
}

/* Add up the weights of labels where they belong. Collective. */
static cf_status create_set(const ingest_graph *graph, const cf_blocks *blocks,
                            const uint32_t *label, label_set *set)
{
    const int rank = graph->world->rank;
    int64_t *mine = NULL;
    cf_status status;

    CF_TRY(list_labels(graph, blocks, label, set));
    status = CF_ALLOC(mine, set->index.count);
    if (status == CF_OK)
        status = CF_ALLOC(set->total, blocks->start[rank + 1] - blocks->start[rank]);
    CF_TRY(cf_par_agree(graph->world, status));
    for (int64_t v = 0; v < graph->n; v++)
        mine[ingest_local_item(&set->index, label[v])] += graph->weight[v];
    CF_TRY(ingest_sum_over_items(&set->index, mine, set->total));
done:
    cf_free(&mine);
    return status;
}

/* ---- Proposals ------------------------------------------------------------------------------- */

typedef struct proposal {
    int64_t score;
    uint32_t label, vertex, weight;
    uint32_t place; /* where it is answered: the number of the proposal that was received */
} proposal;

/* A round in progress. */
typedef struct label_round {
    const ingest_graph *graph;
    const ingest_labelling *how;
    int number;
    label_set set;
    uint64_t *total;     /* weight of each listed label */
    int64_t *sum;        /* of each listed label: weight of edges to it, 0 between vertices */
    uint32_t *found;     /* listed labels that a vertex's neighbours have */
    proposal *proposals; /* by label */
    int64_t count;
    int64_t *send_count, *recv_count; /* ranks: proposals */
} label_round;

static void free_round(label_round *r)
{
    free_set(&r->set);
    cf_free(&r->total);
    cf_free(&r->sum);
    cf_free(&r->found);
    cf_free(&r->proposals);
    cf_free(&r->send_count);
    cf_free(&r->recv_count);
}

/* Add up the weights of a vertex's edges by label. Returns how many labels there are. */
static int64_t sum_by_label(label_round *r, int64_t vertex)
{
    const ingest_graph *graph = r->graph;
    int64_t n = 0;

    for (int64_t e = graph->start[vertex]; e < graph->start[vertex + 1]; e++) {
        const uint32_t c = r->set.of_near[graph->neighbour[e]];

        if (r->sum[c] == 0) r->found[n++] = c;
        r->sum[c] += graph->edge_weight[e];
    }
    return n;
}

/* Of the `n` labels that were found for a vertex, `c` may be another one. */
static int64_t score_of(const label_round *r, int64_t n, uint32_t c)
{
    const int n_levels = r->how->n_levels;
    int64_t score = 0;

    if (n_levels == 1) return r->sum[c];
    for (int64_t k = 0; k < n; k++) {
        const uint32_t unlike = r->set.index.item[c] ^ r->set.index.item[r->found[k]];

        score += r->sum[r->found[k]] * (n_levels - (unlike == 0 ? 0 : 32 - __builtin_clz(unlike)));
    }
    return score;
}

/* What a vertex proposes, if it would change its label. */
static bool propose(label_round *r, int64_t vertex, uint32_t label, proposal *out)
{
    const int64_t weight = r->graph->weight[vertex], n = sum_by_label(r, vertex);
    const uint32_t own = ingest_local_item(&r->set.index, label);
    uint32_t best = own;
    int64_t highest = score_of(r, n, own);

    for (int64_t k = 0; k < n; k++) {
        const uint32_t c = r->found[k];
        int64_t score;

        if (c == own || (int64_t)r->total[c] + weight > r->how->most) continue;
        score = score_of(r, n, c);
        if (score < highest || (score == highest && (best == own || c > best))) continue;
        best = c;
        highest = score;
    }
    for (int64_t k = 0; k < n; k++)
        r->sum[r->found[k]] = 0;
    *out = (proposal){.score = highest,
                      .weight = (uint32_t)weight,
                      .label = r->set.index.item[best],
                      .vertex = (uint32_t)(vertex + r->graph->blocks.start[r->graph->world->rank])};
    return best != own;
}

/* Of two rounds each vertex is in one. */
static bool may_move(const label_round *r, int64_t vertex)
{
    const cf_random key = {0, CF_STREAM_CLUSTER};
    const uint64_t round = (uint64_t)r->number;
    const int64_t number = r->graph->blocks.start[r->graph->world->rank] + vertex;

    return r->graph->weight[vertex] > 0 &&
           (cf_random_bits(key, round / 2, (uint64_t)number, 0) + round) % 2 == 0;
}

static int by_label(const void *left, const void *right)
{
    const proposal *a = left, *b = right;

    if (a->label != b->label) return a->label < b->label ? -1 : 1;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->vertex < b->vertex ? -1 : a->vertex > b->vertex;
}

/* Local. */
static cf_status make_proposals(label_round *r, const uint32_t *label)
{
    const int64_t n_listed = r->set.index.count;
    cf_status status;

    CF_TRY(CF_ALLOC(r->sum, n_listed));
    CF_TRY(CF_ALLOC(r->found, n_listed));
    CF_TRY(CF_ALLOC(r->proposals, r->graph->n));
    CF_TRY(CF_ALLOC(r->send_count, r->graph->world->size));
    CF_TRY(CF_ALLOC(r->recv_count, r->graph->world->size));
    for (int64_t v = 0; v < r->graph->n; v++)
        if (may_move(r, v)) r->count += propose(r, v, label[v], &r->proposals[r->count]);
    qsort(r->proposals, (size_t)r->count, sizeof *r->proposals, by_label);
    for (int64_t k = 0; k < r->count; k++)
        r->send_count[cf_par_block_of(&r->how->blocks, r->proposals[k].label)]++;
done:
    return status;
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* Accept what fits: `accepts[k]` for the k-th of the proposals, which are sorted. Local. */
static void answer(const label_round *r, proposal *received, int64_t count, uint8_t *accepts)
{
    const int64_t first = r->how->blocks.start[r->graph->world->rank];

    for (int64_t k = 0; k < count; k++)
        received[k].place = (uint32_t)k;
    qsort(received, (size_t)count, sizeof *received, by_label);
    for (int64_t k = 0; k < count; k++) {
        int64_t *total = &r->set.total[received[k].label - first];

        if (*total + received[k].weight > r->how->most) continue;
        *total += received[k].weight;
        accepts[received[k].place] = 1;
    }
}

/* `*accepted` (new): for each of my proposals. Collective. */
static cf_status ask(label_round *r, uint8_t **accepted)
{
    const cf_par *world = r->graph->world;
    proposal *received = NULL;
    uint8_t *accepts = NULL;
    int64_t count = 0;
    cf_status status;

    CF_TRY(cf_par_exchange(world, sizeof *received, r->send_count, r->proposals, r->recv_count,
                           &received));
    for (int p = 0; p < world->size; p++)
        count += r->recv_count[p];
    CF_TRY(cf_par_agree(world, CF_ALLOC(accepts, count)));
    answer(r, received, count, accepts);
    CF_TRY(
        cf_par_exchange(world, sizeof *accepts, r->recv_count, accepts, r->send_count, accepted));
done:
    cf_free(&received);
    cf_free(&accepts);
    return status;
}

/* Collective. */
static cf_status run_round(const ingest_graph *graph, const ingest_labelling *how, int number,
                           uint32_t *label)
{
    const int64_t first = graph->blocks.start[graph->world->rank];
    label_round r = {.graph = graph, .how = how, .number = number};
    uint8_t *accepted = NULL;
    cf_status status;

    CF_TRY(create_set(graph, &how->blocks, label, &r.set));
    CF_TRY(ingest_fetch_item_values(&r.set.index, (const uint64_t *)r.set.total, &r.total));
    CF_TRY(cf_par_agree(graph->world, make_proposals(&r, label)));
    CF_TRY(ask(&r, &accepted));
    for (int64_t k = 0; k < r.count; k++)
        if (accepted[k]) label[r.proposals[k].vertex - first] = r.proposals[k].label;
done:
    free_round(&r);
    cf_free(&accepted);
    return status;
}

cf_status ingest_move_labels(const ingest_graph *graph, const ingest_labelling *how,
                             uint32_t *label)
{
    cf_status status = CF_OK;

    for (int k = 0; k < how->n_rounds; k++)
        CF_TRY(run_round(graph, how, k, label));
done:
    return status;
}

/* ---- Contraction ----------------------------------------------------------------------------- */

/* A contraction in progress. */
typedef struct contraction {
    const ingest_graph *graph;
    label_set set;
    uint32_t *of_label; /* the new vertex of each listed label */
    uint32_t *number;   /* of each of my vertices */
    int64_t n_coarse;   /* new vertices of all ranks */
    ingest_edge *edges; /* between new vertices */
    int64_t n_edges;
} contraction;

static void free_contraction(contraction *c)
{
    free_set(&c->set);
    cf_free(&c->of_label);
    cf_free(&c->number);
    cf_free(&c->edges);
}

/* Number the labels that have a weight, in their order. Collective. */
static cf_status number_labels(contraction *c)
{
    const ingest_graph *graph = c->graph;
    uint32_t *numbers = NULL;
    int64_t count = 0, next;
    cf_status status;

    CF_TRY(cf_par_agree(graph->world, CF_ALLOC(numbers, graph->n)));
    for (int64_t k = 0; k < graph->n; k++)
        count += c->set.total[k] > 0;
    cf_par_exscan(graph->world, count, &next, &c->n_coarse);
    for (int64_t k = 0; k < graph->n; k++)
        if (c->set.total[k] > 0) numbers[k] = (uint32_t)next++;
    CF_TRY(ingest_fetch_item_numbers(&c->set.index, numbers, &c->of_label));
done:
    cf_free(&numbers);
    return status;
}

/* The new vertex at the other end of an edge. */
static uint32_t other_end(const contraction *c, int64_t edge)
{
    return c->of_label[c->set.of_near[c->graph->neighbour[edge]]];
}

/* The new vertices of mine, and the edges between different ones. Local. */
static cf_status list_edges(const uint32_t *label, contraction *c)
{
    const ingest_graph *graph = c->graph;
    cf_status status;

    CF_TRY(CF_ALLOC(c->number, graph->n));
    for (int64_t v = 0; v < graph->n; v++) {
        c->number[v] = c->of_label[ingest_local_item(&c->set.index, label[v])];
        for (int64_t e = graph->start[v]; e < graph->start[v + 1]; e++)
            c->n_edges += other_end(c, e) != c->number[v];
    }
    CF_TRY(CF_ALLOC(c->edges, c->n_edges));
    c->n_edges = 0;
    for (int64_t v = 0; v < graph->n; v++)
        for (int64_t e = graph->start[v]; e < graph->start[v + 1]; e++)
            if (other_end(c, e) != c->number[v])
                c->edges[c->n_edges++] =
                    (ingest_edge){c->number[v], other_end(c, e), graph->edge_weight[e]};
done:
    return status;
}

/* The work of a new vertex is that of all its vertices. Collective. */
static cf_status add_work(const ingest_graph *graph, const uint32_t *number, ingest_graph *coarse)
{
    ingest_item_index index = {0};
    int64_t *mine = NULL;
    cf_status status;

    CF_TRY(ingest_list_vertices(coarse, number, graph->n, &index));
    CF_TRY(cf_par_agree(graph->world, CF_ALLOC(mine, index.count)));
    for (int64_t v = 0; v < graph->n; v++)
        mine[ingest_local_item(&index, number[v])] += graph->weight[v];
    CF_TRY(ingest_sum_over_items(&index, mine, coarse->weight));
    ingest_sum_work(coarse);
done:
    ingest_destroy_item_index(&index);
    cf_free(&mine);
    return status;
}

cf_status ingest_contract(const ingest_graph *graph, const uint32_t *label, ingest_graph *coarse,
                          uint32_t **number)
{
    contraction c = {.graph = graph};
    cf_status status;

    CF_TRY(create_set(graph, &graph->blocks, label, &c.set));
    CF_TRY(number_labels(&c));
    CF_TRY(cf_par_agree(graph->world, list_edges(label, &c)));
    CF_TRY(ingest_create_graph(graph->world, c.n_coarse, &c.edges, c.n_edges, coarse));
    CF_TRY(add_work(graph, c.number, coarse));
    *number = c.number;
    c.number = NULL;
done:
    free_contraction(&c);
    return status;
}
