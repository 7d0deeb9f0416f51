/* The halo: rows that other nodes own and this node's sums need.
 *
 * The ranks of a node receive each row once for all of them, each its part. A rank requests the
 * rows of its part of their owners once (MPI_Alltoallv by an exchange plan). From then on the
 * owners send the rows of a field with nonblocking point-to-point messages, which overlap with the
 * sums of interior rows. A restricted exchange sends only the rows within a few hops of a batch;
 * both sides count them alike, so no count is sent.
 *
 * Between the ranks of a node nothing is sent: they meet when their own rows are written, again
 * when the halo has arrived, and at the end of a sum, so that rows may be written anew. */
#include "internal.h"

#include <string.h>

/* Send each owner the numbers of its rows that I receive, and keep as local numbers what the others
 * need of mine. */
static cf_status exchange_requests(const cf_par *world, const int64_t *numbers, int64_t first_owned,
                                   halo *out)
{
    int64_t *requested = NULL;
    cf_status status;

    cf_par_complete_plan(&out->requests);
    status = CF_ALLOC(requested, out->requests.n_recv);
    if (status == CF_OK) status = CF_ALLOC(out->requested, out->requests.n_recv);
    CF_TRY(cf_par_agree(world, status));
    cf_par_send(&out->requests, numbers, requested, MPI_INT64_T);
    for (int64_t k = 0; k < out->requests.n_recv; k++)
        out->requested[k] = (int32_t)(requested[k] - first_owned);
done:
    cf_free(&requested);
    return status;
}

/* Places of a side, and which part of the halo is mine to receive: an even one, so that the owners'
 * rows are contiguous in it, as a plan wants them. */
static void lay_out(const cf_graph *graph, const cf_blocks *blocks, const needed *rows, halo *out)
{
    const cf_par *node = &graph->node;
    const int64_t first_owned = blocks->start[graph->column.rank];

    out->n_owned = blocks->start[graph->column.rank + 1] - first_owned;
    out->first = first_owned - rows->first;
    out->n_node = rows->end - rows->first;
    out->count = rows->count;
    out->first_mine = out->n_node + cf_par_even_start(rows->count, node->size, node->rank);
}

cf_status graph_create_halo(cf_graph *graph, cf_side side, const cf_blocks *blocks,
                            const needed *rows)
{
    const cf_par *world = &graph->world, *column = &graph->column, *node = &graph->node;
    const int64_t first = cf_par_even_start(rows->count, node->size, node->rank),
                  end = cf_par_even_start(rows->count, node->size, node->rank + 1);
    halo *out = &graph->halo[side];
    int64_t *mine = NULL;
    cf_status status = CF_ALLOC(mine, end - first);

    if (status == CF_OK) status = cf_par_create_plan(column, &out->requests);
    CF_TRY(cf_par_agree(world, status));
    lay_out(graph, blocks, rows, out);
    graph_list_needed(rows, first, end, mine);
    for (int64_t k = 0; k < end - first; k++)
        out->requests.send_count[cf_par_block_of(blocks, mine[k])]++;
    CF_TRY(exchange_requests(world, mine, blocks->start[column->rank], out));
done:
    cf_free(&mine);
    return status;
}

void graph_destroy_halo(halo *h)
{
    cf_par_destroy_plan(&h->requests);
    cf_free(&h->requested);
}

void graph_meet(const cf_graph *graph)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    cf_par_meet(&graph->node);
    cf_par_restore_phase(before);
}

/* One side of an exchange; distance: of each place, in hops; NULL: all rows are exchanged. */
typedef struct exchange {
    const halo *halo;
    const uint8_t *distance;
    int n_hops;
    cf_field field;
    cf_side side;
} exchange;

static exchange exchange_of(const cf_graph *graph, cf_side side)
{
    const pending *p = &graph->pending;

    return (exchange){.halo = &graph->halo[side],
                      .distance = p->hops != NULL ? p->hops->distance[side].data : NULL,
                      .n_hops = p->n_hops,
                      .field = p->field,
                      .side = side};
}

static bool is_within(const exchange *e, int64_t place)
{
    return e->distance == NULL || e->distance[place] <= e->n_hops;
}

/* The rows of the field at the places that peer p sends. */
static float *rows_from(const exchange *e, int p)
{
    return (float *)e->field.places[e->side].data +
           (e->halo->first_mine + e->halo->requests.send_start[p]) * e->field.stride;
}

/* Rows that come from each peer: those of my part of the halo within n_hops, whose distance I know
 * as well. They arrive at the start of the peer's part. */
static void start_receiving(cf_graph *graph, const exchange *e, int *count)
{
    const cf_plan *plan = &e->halo->requests;

    for (int p = 0; p < graph->column.size; p++) {
        count[p] = e->distance == NULL ? plan->send_count[p] : 0;
        for (int64_t k = 0; k < plan->send_count[p] && e->distance != NULL; k++)
            count[p] += is_within(e, e->halo->first_mine + plan->send_start[p] + k);
        if (count[p] > 0)
            MPI_Irecv(rows_from(e, p), count[p], e->field.row_type, p, (int)e->side,
                      graph->column.comm, &graph->mpi_requests[graph->n_mpi_requests++]);
    }
}

/* All rows that peers request, to the send buffer. */
static void pack_all(const exchange *e, int n_peers, int *count)
{
    const cf_plan *plan = &e->halo->requests;
    const int64_t stride = e->field.stride;

    memcpy(count, plan->recv_count, (size_t)n_peers * sizeof *count);
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < plan->n_recv; k++)
        memcpy(e->field.send_buffer[e->side] + k * stride,
               e->field.rows[e->side] + e->halo->requested[k] * stride,
               (size_t)stride * sizeof(float));
}

/* Rows that peers request and that lie within n_hops, to the start of each peer's part of the send
 * buffer. */
static void pack_within(const exchange *e, int n_peers, int *count)
{
    const cf_plan *plan = &e->halo->requests;
    const int64_t stride = e->field.stride;

#pragma omp parallel for schedule(dynamic)
    for (int p = 0; p < n_peers; p++) {
        float *out = e->field.send_buffer[e->side] + plan->recv_start[p] * stride;

        count[p] = 0;
        for (int k = 0; k < plan->recv_count[p]; k++) {
            const int32_t row = e->halo->requested[plan->recv_start[p] + k];

            if (!is_within(e, e->halo->first + row)) continue;
            memcpy(out + count[p]++ * stride, e->field.rows[e->side] + row * stride,
                   (size_t)stride * sizeof(float));
        }
    }
}

static void start_sending(cf_graph *graph, const exchange *e, const int *count)
{
    for (int p = 0; p < graph->column.size; p++)
        if (count[p] > 0)
            MPI_Isend(e->field.send_buffer[e->side] +
                          e->halo->requests.recv_start[p] * e->field.stride,
                      count[p], e->field.row_type, p, (int)e->side, graph->column.comm,
                      &graph->mpi_requests[graph->n_mpi_requests++]);
}

/* The rows of a peer arrive at the start of its part of the halo. Move each to its own place, from
 * the last on, so that none is overwritten before it has moved. */
static void unpack_within(const exchange *e, int n_peers, const int *count)
{
    const cf_plan *plan = &e->halo->requests;
    const int64_t stride = e->field.stride;

#pragma omp parallel for schedule(dynamic)
    for (int p = 0; p < n_peers; p++) {
        float *rows = rows_from(e, p);
        int64_t n = count[p];

        for (int64_t k = plan->send_count[p] - 1; n <= k; k--) {
            if (!is_within(e, e->halo->first_mine + plan->send_start[p] + k)) continue;
            n--;
            memcpy(rows + k * stride, rows + n * stride, (size_t)stride * sizeof(float));
        }
    }
}

/* Receives are posted before the rows are packed, so that a quick peer finds a buffer. Earlier sums
 * have ended, so nobody reads the halo; and a rank sends only rows of its own, so it need not have
 * met the others. */
void graph_begin_exchange(cf_graph *graph, const cf_hops *hops, int n_hops, cf_field field)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);
    const int n_peers = graph->column.size;

    graph->n_mpi_requests = 0;
    graph->pending = (pending){hops, n_hops, field};
    for (int side = 0; side < 2 && graph->crosses; side++) {
        const exchange e = exchange_of(graph, (cf_side)side);
        int *outgoing = graph->peer_count + 2 * n_peers;

        start_receiving(graph, &e, graph->peer_count + side * n_peers);
        if (hops == NULL)
            pack_all(&e, n_peers, outgoing);
        else
            pack_within(&e, n_peers, outgoing);
        start_sending(graph, &e, outgoing);
    }
    cf_par_meet(&graph->node);
    cf_par_restore_phase(before);
}

void graph_end_exchange(cf_graph *graph)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);
    const int n_peers = graph->column.size;

    MPI_Waitall(graph->n_mpi_requests, graph->mpi_requests, MPI_STATUSES_IGNORE);
    for (int side = 0; side < 2 && graph->pending.hops != NULL && graph->crosses; side++) {
        const exchange e = exchange_of(graph, (cf_side)side);

        unpack_within(&e, n_peers, graph->peer_count + side * n_peers);
    }
    if (graph_has_halo(graph)) cf_par_meet(&graph->node);
    cf_par_restore_phase(before);
}
