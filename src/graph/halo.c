/* The halo: rows that other nodes own and this node's sums need.
 *
 * The ranks of a node receive each row once for all of them, each its part. A rank requests the
 * rows of its part of their owners once (MPI_Alltoallv by an exchange plan). From then on the
 * owners send the rows of a field, a nonblocking message to each peer, while interior rows are
 * summed. A restricted exchange sends only the rows within a few hops of a batch; both ends count
 * them alike, so no count is sent.
 *
 * Between the ranks of a node nothing is sent: they meet when their own rows are written, again
 * when the halo has arrived, and at the end of a sum, so that rows may be written anew. */
#include "internal.h"

#include <string.h>

/* Send each owner the numbers of its rows that I receive, and keep what the others need of mine,
 * counted from my first row. */
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

/* Places, and which part of the halo is mine to receive: an even one, so that the owners' rows are
 * contiguous in it, as a plan wants them. */
static void lay_out(const cf_graph *graph, const needed *rows, halo *out)
{
    const cf_par *node = &graph->node;
    const int64_t first_owned = rows->blocks.start[graph->column.rank];

    out->n_owned = rows->blocks.start[graph->column.rank + 1] - first_owned;
    out->first[CF_USERS] = first_owned - rows->first;
    out->first[CF_ITEMS] = out->first[CF_USERS] + cf_graph_rows(graph, CF_USERS);
    out->n_node = rows->end - rows->first;
    out->count = rows->count;
    out->first_mine = out->n_node + cf_par_even_start(rows->count, node->size, node->rank);
}

cf_status graph_create_halo(cf_graph *graph, const needed *rows)
{
    const cf_par *world = &graph->world, *column = &graph->column, *node = &graph->node;
    const int64_t first = cf_par_even_start(rows->count, node->size, node->rank),
                  end = cf_par_even_start(rows->count, node->size, node->rank + 1);
    halo *out = &graph->halo;
    int64_t *mine = NULL;
    cf_status status = CF_ALLOC(mine, end - first);

    if (status == CF_OK) status = cf_par_create_plan(column, &out->requests);
    CF_TRY(cf_par_agree(world, status));
    lay_out(graph, rows, out);
    graph_list_needed(rows, first, end, mine);
    for (int64_t k = 0; k < end - first; k++)
        out->requests.send_count[cf_par_block_of(&rows->blocks, mine[k])]++;
    CF_TRY(exchange_requests(world, mine, rows->blocks.start[column->rank], out));
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

/* The part of the halo that peer p sends, in the field. */
static float *rows_from(const cf_graph *graph, int p)
{
    const cf_field *field = &graph->pending.field;

    return (float *)field->places.data +
           (graph->halo.first_mine + graph->halo.requests.send_start[p]) * field->stride;
}

/* Rows that come from each peer. They arrive at the start of the peer's part. */
static void start_receiving(cf_graph *graph, int *count)
{
    const pending *e = &graph->pending;
    const cf_plan *plan = &graph->halo.requests;

    for (int p = 0; p < graph->column.size; p++) {
        count[p] = e->rows.received == NULL ? plan->send_count[p] : 0;
        for (int k = 0; k < plan->send_count[p] && e->rows.received != NULL; k++)
            count[p] += e->rows.received[plan->send_start[p] + k] <= e->rows.n_hops;
        if (count[p] > 0)
            MPI_Irecv(rows_from(graph, p), count[p], e->field.row_type, p, 0, graph->column.comm,
                      &graph->mpi_requests[graph->n_mpi_requests++]);
    }
}

/* All rows that peers request, to the send buffer. */
static void pack_all(const cf_graph *graph, int *count)
{
    const cf_field *field = &graph->pending.field;
    const halo *h = &graph->halo;

    memcpy(count, h->requests.recv_count, (size_t)graph->column.size * sizeof *count);
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < h->requests.n_recv; k++)
        memcpy(field->send_buffer + k * field->stride,
               field->rows[CF_USERS] + h->requested[k] * field->stride,
               (size_t)field->stride * sizeof(float));
}

/* Rows that peers request and that lie within n_hops, to the start of each peer's part of the send
 * buffer. */
static void pack_within(const cf_graph *graph, int *count)
{
    const pending *e = &graph->pending;
    const halo *h = &graph->halo;
    const int64_t stride = e->field.stride;

#pragma omp parallel for schedule(dynamic)
    for (int p = 0; p < graph->column.size; p++) {
        float *out = e->field.send_buffer + h->requests.recv_start[p] * stride;

        count[p] = 0;
        for (int k = 0; k < h->requests.recv_count[p]; k++) {
            const int at = h->requests.recv_start[p] + k;

            if (e->rows.sent[at] > e->rows.n_hops) continue;
            memcpy(out + count[p]++ * stride, e->field.rows[CF_USERS] + h->requested[at] * stride,
                   (size_t)stride * sizeof(float));
        }
    }
}

static void start_sending(cf_graph *graph, const int *count)
{
    const cf_field *field = &graph->pending.field;

    for (int p = 0; p < graph->column.size; p++)
        if (count[p] > 0)
            MPI_Isend(field->send_buffer + graph->halo.requests.recv_start[p] * field->stride,
                      count[p], field->row_type, p, 0, graph->column.comm,
                      &graph->mpi_requests[graph->n_mpi_requests++]);
}

/* The rows of a peer arrive at the start of its part of the halo. Move each to its own place, from
 * the last on, so that none is overwritten before it has moved. */
static void unpack_within(const cf_graph *graph, const int *count)
{
    const pending *e = &graph->pending;
    const cf_plan *plan = &graph->halo.requests;
    const int64_t stride = e->field.stride;

#pragma omp parallel for schedule(dynamic)
    for (int p = 0; p < graph->column.size; p++) {
        float *rows = rows_from(graph, p);
        int64_t n = count[p];

        for (int64_t k = plan->send_count[p] - 1; n <= k; k--) {
            if (e->rows.received[plan->send_start[p] + k] > e->rows.n_hops) continue;
            n--;
            memcpy(rows + k * stride, rows + n * stride, (size_t)stride * sizeof(float));
        }
    }
}

/* Receives are posted before the rows are packed, so that a quick peer finds a buffer. Earlier sums
 * have ended, so nobody reads the halo; and a rank sends only rows of its own, so it need not have
 * met the others. */
void graph_begin_exchange(cf_graph *graph, halo_rows rows, cf_field field)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    graph->n_mpi_requests = 0;
    graph->pending = (pending){rows, field};
    if (graph->crosses) {
        int *outgoing = graph->peer_count + graph->column.size;

        start_receiving(graph, graph->peer_count);
        if (rows.received == NULL)
            pack_all(graph, outgoing);
        else
            pack_within(graph, outgoing);
        start_sending(graph, outgoing);
    }
    cf_par_meet(&graph->node);
    cf_par_restore_phase(before);
}

void graph_end_exchange(cf_graph *graph)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    MPI_Waitall(graph->n_mpi_requests, graph->mpi_requests, MPI_STATUSES_IGNORE);
    if (graph->pending.rows.received != NULL) unpack_within(graph, graph->peer_count);
    if (graph->halo.count > 0) cf_par_meet(&graph->node);
    cf_par_restore_phase(before);
}
