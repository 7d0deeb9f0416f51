/* The k-hop neighbourhood of a batch's rows: all rows within k edges of them, on all ranks.
 *
 * Breadth-first search, a hop at a time. Each rank marks the neighbours of the rows that the hop
 * before reached, in memory that the ranks of a node share; marks of halo rows travel to the owners
 * as requests, who take the least, and the result comes back as the reply. The search ends where
 * the rows reached have too many of the edges: computing all rows is then cheaper.
 * tests/graph/hops.c searches the whole graph serially.
 */
#include "internal.h"

#include <string.h>

enum { NOT_REACHED = 0xff };

/* Sizes: owned rows of a side, users' first; the rows that I receive, and that peers request. */
enum { ROWS, RECEIVED = ROWS + 2, REQUESTED, N_SIZES };
static const cf_array hops_arrays[] = {
    CF_ARRAY_MORE(cf_hops, rows[CF_USERS], ROWS + CF_USERS, 1, 1), /* list_rows() writes one ... */
    CF_ARRAY_MORE(cf_hops, rows[CF_ITEMS], ROWS + CF_ITEMS, 1, 1), /* ... beyond the last */
    CF_ARRAY(cf_hops, requested_distance, REQUESTED, 1),
    CF_ARRAY(cf_hops, touched_here, RECEIVED, 1), CF_ARRAY(cf_hops, touched_there, REQUESTED, 1)};
enum { N_HOPS_ARRAYS = sizeof hops_arrays / sizeof hops_arrays[0] };

/* Collective over the node; the status is the rank's own. */
static cf_status allocate_hops(const cf_graph *graph, cf_hops *hops)
{
    const int64_t sizes[N_SIZES] = {[ROWS + CF_USERS] = cf_graph_rows(graph, CF_USERS),
                                    [ROWS + CF_ITEMS] = cf_graph_rows(graph, CF_ITEMS),
                                    [RECEIVED] = graph->halo.requests.n_send,
                                    [REQUESTED] = graph->halo.requests.n_recv};
    cf_status status = CF_OK;

    graph_share(graph, graph_n_places(graph), &hops->distance, &status);
    graph_share(graph, graph_mark_words(graph_n_places(graph)) * (int64_t)sizeof(uint64_t),
                &hops->marked, &status);
    return status == CF_OK ? cf_arrays_create(hops, hops_arrays, N_HOPS_ARRAYS, sizes) : status;
}

cf_status cf_graph_create_hops(const cf_graph *graph, int max_hops, cf_hops *out)
{
    cf_hops hops = {.max_hops = (int)cf_min(max_hops, CF_MAX_HOPS)};
    cf_status status;

    CF_TRY(cf_par_agree(&graph->world, allocate_hops(graph, &hops)));
    *out = hops;
    return CF_OK;
done:
    cf_graph_destroy_hops(&hops);
    return status;
}

void cf_graph_destroy_hops(cf_hops *hops)
{
    cf_par_destroy_shared(&hops->distance);
    cf_par_destroy_shared(&hops->marked);
    cf_arrays_destroy(hops, hops_arrays, N_HOPS_ARRAYS);
}

/* ---- Search ---- */

/* Of the owned rows of a side. */
static uint8_t *own_distance(const cf_graph *graph, const cf_hops *hops, int side)
{
    return (uint8_t *)hops->distance.data + graph->halo.first[side];
}

/* Of the rows of the halo that this rank receives. */
static uint8_t *halo_distance(const cf_graph *graph, const cf_hops *hops)
{
    return (uint8_t *)hops->distance.data + graph->halo.first_mine;
}

/* The listed rows are at distance 0, all others not reached. Of the node's places, each rank sets
 * those that it owns or receives. */
static void start_search(const cf_graph *graph, cf_hops *hops, int32_t *const rows[2],
                         const int64_t count[2])
{
    const halo *h = &graph->halo;

    memset(own_distance(graph, hops, CF_USERS), NOT_REACHED, (size_t)h->n_owned);
    memset(halo_distance(graph, hops), NOT_REACHED, (size_t)h->requests.n_send);
    for (int side = 0; side < 2; side++) {
        uint8_t *distance = own_distance(graph, hops, side);

        memcpy(hops->rows[side], rows[side], (size_t)count[side] * sizeof(int32_t));
        for (int64_t k = 0; k < count[side]; k++)
            distance[rows[side][k]] = 0;
        hops->count[side][0] = count[side];
    }
    hops->n_hops = 0;
    hops->is_touched_known = false;
}

/* Where the rows at distance `hop` begin in hops->rows[side]. */
static int64_t first_at(const cf_hops *hops, int side, int hop)
{
    return hop > 0 ? hops->count[side][hop - 1] : 0;
}

/* Mark the neighbours of the rows at distance hop - 1. Two threads, or ranks, may mark the same
 * place, but with the same value, so relaxed atomics are enough. */
static void mark_neighbours(const cf_graph *graph, cf_hops *hops, cf_side side, int hop)
{
    const adjacency *edges = &graph->adjacency[side];
    uint8_t *distance = hops->distance.data;

#pragma omp parallel for schedule(dynamic, 64)
    for (int64_t k = first_at(hops, side, hop - 1); k < hops->count[side][hop - 1]; k++) {
        const int32_t row = hops->rows[side][k];

        for (int64_t e = edges->start[row]; e < edges->start[row + 1]; e++) {
            uint8_t *mark = &distance[edges->column[e]];

            if (__atomic_load_n(mark, __ATOMIC_RELAXED) > hop)
                __atomic_store_n(mark, (uint8_t)hop, __ATOMIC_RELAXED);
        }
    }
}

/* What the node reached itself with the first hop are the neighbours of the few rows: what a sum of
 * these alone needs of others. Both ends keep it. */
static void keep_touched(const cf_plan *requests, const uint8_t *in_halo, cf_hops *hops)
{
    memcpy(hops->touched_here, in_halo, (size_t)requests->n_send);
    memcpy(hops->touched_there, hops->requested_distance, (size_t)requests->n_recv);
    hops->is_touched_known = true;
}

/* Send the distances of my part of the halo to the rows' owners, who keep the least of all ranks.
 * The owners then reply to all ranks that have the rows in their halo. All minima are taken before
 * the first reply is written, so every rank receives the same distance. */
static void exchange_distances(const cf_graph *graph, cf_hops *hops, int hop)
{
    const halo *h = &graph->halo;
    uint8_t *distance = own_distance(graph, hops, CF_USERS); /* and the items' behind it */
    uint8_t *in_halo = halo_distance(graph, hops);

    cf_par_send(&h->requests, in_halo, hops->requested_distance, MPI_BYTE);
    if (hop == 1) keep_touched(&h->requests, in_halo, hops);
    for (int64_t k = 0; k < h->requests.n_recv; k++) {
        uint8_t *own = &distance[h->requested[k]];

        if (hops->requested_distance[k] < *own) *own = hops->requested_distance[k];
    }
    for (int64_t k = 0; k < h->requests.n_recv; k++)
        hops->requested_distance[k] = distance[h->requested[k]];
    cf_par_reply(&h->requests, hops->requested_distance, in_halo, MPI_BYTE);
}

/* Append the owned rows at distance `hop` to the list. (A quick rank of the node may already mark
 * some with hop + 1, which changes nothing here.) Every row is written and most are
 * overwritten: a branch would be mispredicted too often. */
static void list_rows(const cf_graph *graph, cf_hops *hops, cf_side side, int hop)
{
    const int64_t n_rows = cf_graph_rows(graph, side);
    const uint8_t *distance = own_distance(graph, hops, side);
    int64_t n = hops->count[side][hop - 1];

    for (int64_t row = 0; row < n_rows; row++) {
        hops->rows[side][n] = (int32_t)row;
        n += distance[row] == hop;
    }
    hops->count[side][hop] = n;
}

/* One hop from both sides at once: the rows at distance hop - 1 of users reach items, and the other
 * way. */
static void search_hop(cf_graph *graph, cf_hops *hops, int hop)
{
    mark_neighbours(graph, hops, CF_USERS, hop);
    mark_neighbours(graph, hops, CF_ITEMS, hop);
    graph_meet(graph);
    if (graph->crosses) {
        const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

        exchange_distances(graph, hops, hop);
        cf_par_restore_phase(before);
        graph_meet(graph);
    }
    list_rows(graph, hops, CF_USERS, hop);
    list_rows(graph, hops, CF_ITEMS, hop);
}

/* Edges, from both sides, of all ranks' rows at distance `hop`. */
static int64_t count_edges(const cf_graph *graph, const cf_hops *hops, int hop)
{
    int64_t n = 0;

    for (int side = 0; side < 2; side++)
        for (int64_t k = first_at(hops, side, hop); k < hops->count[side][hop]; k++)
            n += cf_graph_degree(graph, (cf_side)side, hops->rows[side][k]);
    if (graph->column.size > 1) {
        const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

        MPI_Allreduce(MPI_IN_PLACE, &n, 1, MPI_INT64_T, MPI_SUM, graph->column.comm);
        cf_par_restore_phase(before);
    }
    return n;
}

/* A hop is tried only while the rows so far have at most half of the allowed edges: a further hop
 * multiplies them, and one that is then dropped has cost its time for nothing. */
void cf_graph_find_hops(cf_graph *graph, int32_t *const rows[2], const int64_t count[2],
                        double max_edge_fraction, cf_hops *hops)
{
    const double max_edges = max_edge_fraction * (double)graph->n_edges;
    int64_t n_edges;

    start_search(graph, hops, rows, count);
    if (max_edge_fraction == 0) return;
    graph_meet(graph);
    n_edges = count_edges(graph, hops, 0);
    for (int hop = 1; hop <= hops->max_hops && (double)n_edges <= max_edges / 2; hop++) {
        search_hop(graph, hops, hop);
        n_edges += count_edges(graph, hops, hop);
        if ((double)n_edges > max_edges) return;
        hops->n_hops = hop;
    }
}

halo_rows graph_halo_within(const cf_graph *graph, const cf_hops *hops, cf_hop_limit limit)
{
    if (limit.rows == 0 && limit.neighbours > 0 && hops->is_touched_known)
        return (halo_rows){hops->touched_here, hops->touched_there, 1};
    if (limit.neighbours > hops->n_hops) return (halo_rows){0};
    return (halo_rows){halo_distance(graph, hops), hops->requested_distance, limit.neighbours};
}

void graph_mark_within(const cf_graph *graph, const cf_hops *hops, int n_hops)
{
    const int64_t n = graph_n_places(graph), n_words = graph_mark_words(n);
    const cf_par *node = &graph->node;
    const uint8_t *distance = hops->distance.data;
    uint64_t *marked = hops->marked.data;

#pragma omp parallel for schedule(static)
    for (int64_t word = cf_par_even_start(n_words, node->size, node->rank);
         word < cf_par_even_start(n_words, node->size, node->rank + 1); word++) {
        const int64_t first = word * MARK_BITS;
        uint64_t bits = 0;

        for (int64_t k = 0; k < MARK_BITS && first + k < n; k++)
            bits |= (uint64_t)(distance[first + k] <= n_hops) << k;
        marked[word] = bits;
    }
}
