#include "internal.h"

#include <string.h>

enum { FAR = 0xff }; /* not reached */

cf_status cf_graph_create_hops(const cf_graph *graph, int most, cf_hops *out)
{
    cf_hops reach = {.most = most < CF_MAX_HOPS ? most : CF_MAX_HOPS};
    int64_t n_sent = 0;
    cf_status status = CF_OK;

    for (int side = 0; side < 2; side++) {
        const halo *h = &graph->halo[side];

        CF_TRY(CF_ALLOC(reach.steps[side], h->n_owned + h->n_halo));
        CF_TRY(CF_ALLOC(reach.marked[side], graph_mark_words(h->n_owned + h->n_halo)));
        CF_TRY(CF_ALLOC(reach.rows[side], h->n_owned + 1)); /* one may be written beyond the last */
        if (h->n_sent > n_sent) n_sent = h->n_sent;
    }
    CF_TRY(CF_ALLOC(reach.asked, n_sent));
    CF_TRY(CF_ALLOC(reach.told, n_sent));
    *out = reach;
    return CF_OK;
done:
    cf_graph_destroy_hops(&reach);
    return status;
}

void cf_graph_destroy_hops(cf_hops *reach)
{
    for (int side = 0; side < 2; side++) {
        cf_free(&reach->steps[side]);
        cf_free(&reach->marked[side]);
        cf_free(&reach->rows[side]);
    }
    cf_free(&reach->asked);
    cf_free(&reach->told);
}

/* ---- Finding it ---- */

static void begin_at(const cf_graph *graph, cf_hops *reach, int32_t *const rows[2],
                     const int64_t count[2])
{
    for (int side = 0; side < 2; side++) {
        const halo *h = &graph->halo[side];

        memset(reach->steps[side], FAR, (size_t)(h->n_owned + h->n_halo));
        memcpy(reach->rows[side], rows[side], (size_t)count[side] * sizeof(int32_t));
        for (int64_t k = 0; k < count[side]; k++)
            reach->steps[side][rows[side][k]] = 0;
        reach->count[side][0] = count[side];
    }
    reach->depth = 0;
}

/* First of the rows that took exactly `step` steps. */
static int64_t first_of(const cf_hops *reach, int side, int step)
{
    return step > 0 ? reach->count[side][step - 1] : 0;
}

/* Mark the neighbours of the rows that the step before came to. Threads may mark the same ones,
 * with the same mark. */
static void mark_neighbours(const cf_graph *graph, cf_hops *reach, cf_side side, int step)
{
    const adjacency *edges = &graph->adjacency[side];
    uint8_t *steps = reach->steps[graph_other(side)];

#pragma omp parallel for schedule(dynamic, 64)
    for (int64_t k = first_of(reach, side, step - 1); k < reach->count[side][step - 1]; k++) {
        const int32_t row = reach->rows[side][k];

        for (int64_t e = edges->start[row]; e < edges->start[row + 1]; e++) {
            uint8_t *mark = &steps[edges->column[e]];

            if (__atomic_load_n(mark, __ATOMIC_RELAXED) > step)
                __atomic_store_n(mark, (uint8_t)step, __ATOMIC_RELAXED);
        }
    }
}

/* Marks of the halo to the rows' owners, who take the least; and back to all who have the rows in
 * their halo. */
static void exchange_marks(const cf_graph *graph, cf_hops *reach, cf_side side)
{
    const halo *h = &graph->halo[side];
    uint8_t *steps = reach->steps[side], *in_halo = steps + h->n_owned;

    MPI_Alltoallv(in_halo, h->receive_count, h->receive_start, MPI_BYTE, reach->asked,
                  h->send_count, h->send_start, MPI_BYTE, graph->column.comm);
    for (int64_t k = 0; k < h->n_sent; k++)
        if (reach->asked[k] < steps[h->sent[k]]) steps[h->sent[k]] = reach->asked[k];
    for (int64_t k = 0; k < h->n_sent; k++)
        reach->told[k] = steps[h->sent[k]];
    MPI_Alltoallv(reach->told, h->send_count, h->send_start, MPI_BYTE, in_halo, h->receive_count,
                  h->receive_start, MPI_BYTE, graph->column.comm);
}

/* List the rows that the step came to. Without a branch, that would be mispredicted too often. */
static void list_rows(const cf_graph *graph, cf_hops *reach, cf_side side, int step)
{
    const int64_t n_owned = graph->halo[side].n_owned;
    int64_t n = reach->count[side][step - 1];

    for (int64_t row = 0; row < n_owned; row++) {
        reach->rows[side][n] = (int32_t)row;
        n += reach->steps[side][row] == step;
    }
    reach->count[side][step] = n;
}

static void take_step(cf_graph *graph, cf_hops *reach, int step)
{
    mark_neighbours(graph, reach, CF_USERS, step);
    mark_neighbours(graph, reach, CF_ITEMS, step);
    if (graph->column.size > 1) {
        const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

        exchange_marks(graph, reach, CF_USERS);
        exchange_marks(graph, reach, CF_ITEMS);
        cf_par_restore_phase(before);
    }
    list_rows(graph, reach, CF_USERS, step);
    list_rows(graph, reach, CF_ITEMS, step);
}

/* Edges, from both sides, of all ranks' rows that took exactly `step` steps. */
static int64_t count_edges(const cf_graph *graph, const cf_hops *reach, int step)
{
    int64_t n = 0;

    for (int side = 0; side < 2; side++)
        for (int64_t k = first_of(reach, side, step); k < reach->count[side][step]; k++)
            n += cf_graph_degree(graph, (cf_side)side, reach->rows[side][k]);
    if (graph->column.size > 1) {
        const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

        MPI_Allreduce(MPI_IN_PLACE, &n, 1, MPI_INT64_T, MPI_SUM, graph->column.comm);
        cf_par_restore_phase(before);
    }
    return n;
}

void cf_graph_find_hops(cf_graph *graph, int32_t *const rows[2], const int64_t count[2],
                         double share, cf_hops *reach)
{
    const double most = share * (double)graph->n_edges;
    int64_t n_edges;

    begin_at(graph, reach, rows, count);
    if (share == 0) return;
    n_edges = count_edges(graph, reach, 0);
    for (int step = 1; step <= reach->most && (double)n_edges <= most / 2; step++) {
        take_step(graph, reach, step);
        n_edges += count_edges(graph, reach, step);
        if ((double)n_edges > most) return;
        reach->depth = step;
    }
}

const uint64_t *graph_mark_within(const cf_graph *graph, const cf_hops *reach, int steps,
                                  cf_side side)
{
    const int64_t n = graph->halo[side].n_owned + graph->halo[side].n_halo;
    const uint8_t *of = reach->steps[side];

#pragma omp parallel for schedule(static)
    for (int64_t word = 0; word < graph_mark_words(n); word++) {
        const int64_t first = word * MARK_BITS;
        uint64_t bits = 0;

        for (int64_t k = 0; k < MARK_BITS && first + k < n; k++)
            bits |= (uint64_t)(of[first + k] <= steps) << k;
        reach->marked[side][word] = bits;
    }
    return reach->marked[side];
}
