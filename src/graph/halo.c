/* The halo: rows that other blocks own and this rank's sums need.
 *
 * Each rank requests its halo rows of their owners once (MPI_Alltoallv by an exchange plan). From
 * then on the owners send the rows of a field with nonblocking point-to-point messages, which
 * overlap with the sums of interior rows. A restricted exchange sends only the rows within a few
 * hops of a batch; both sides count them alike, so no count is sent. */
#include "internal.h"

#include <string.h>

/* Distinct values of ascending `needed`, in place. */
static int64_t keep_distinct(int64_t *needed, int64_t n)
{
    int64_t kept = 0;

    for (int64_t k = 0; k < n; k++)
        if (kept == 0 || needed[k] != needed[kept - 1]) needed[kept++] = needed[k];
    return kept;
}

/* Send each owner the numbers of its rows that I need, and keep as local numbers what the others
 * need of mine. */
static cf_status exchange_requests(const cf_par *world, const int64_t *needed, int64_t first_owned,
                                   halo *out)
{
    int64_t *requested = NULL;
    cf_status status;

    cf_par_complete_plan(&out->requests);
    status = CF_ALLOC(requested, out->requests.n_recv);
    if (status == CF_OK) status = CF_ALLOC(out->requested, out->requests.n_recv);
    CF_TRY(cf_par_agree(world, status));
    cf_par_send(&out->requests, needed, requested, MPI_INT64_T);
    for (int64_t k = 0; k < out->requests.n_recv; k++)
        out->requested[k] = (int32_t)(requested[k] - first_owned);
done:
    cf_free(&requested);
    return status;
}

/* The halo is ascending by global number and blocks are contiguous, so the rows of one owner are
 * contiguous in it, as a plan wants them: no sort by owner. */
cf_status graph_create_halo(cf_graph *graph, cf_side side, const cf_blocks *blocks, int64_t *needed,
                            int64_t n_needed)
{
    const cf_par *world = &graph->world, *column = &graph->column;
    halo *out = &graph->halo[side];
    const int64_t first_owned = blocks->start[column->rank];
    int64_t n_halo;
    cf_status status;

    CF_TRY(cf_par_agree(world, cf_par_create_plan(column, &out->requests)));
    out->n_owned = blocks->start[column->rank + 1] - first_owned;
    n_halo = keep_distinct(needed, n_needed);
    for (int64_t k = 0; k < n_halo; k++)
        out->requests.send_count[cf_par_block_of(blocks, needed[k])]++;
    CF_TRY(exchange_requests(world, needed, first_owned, out));
done:
    return status;
}

void graph_destroy_halo(halo *h)
{
    cf_par_destroy_plan(&h->requests);
    cf_free(&h->requested);
}

/* ---- All rows ---- */

/* Receive count[p] rows of each peer, from the start of its part of my halo on. */
static void start_receiving(cf_graph *graph, cf_field field, cf_side side, const int *count)
{
    const halo *h = &graph->halo[side];

    for (int p = 0; p < graph->column.size; p++)
        if (count[p] > 0)
            MPI_Irecv(field.rows[side] + (h->n_owned + h->requests.send_start[p]) * field.stride,
                      count[p], field.row_type, p, (int)side, graph->column.comm,
                      &graph->mpi_requests[graph->n_mpi_requests++]);
}

/* Send count[p] rows to each peer, from the start of its part of the send buffer on. */
static void start_sending(cf_graph *graph, cf_field field, cf_side side, const int *count)
{
    const halo *h = &graph->halo[side];

    for (int p = 0; p < graph->column.size; p++)
        if (count[p] > 0)
            MPI_Isend(field.send_buffer[side] + h->requests.recv_start[p] * field.stride, count[p],
                      field.row_type, p, (int)side, graph->column.comm,
                      &graph->mpi_requests[graph->n_mpi_requests++]);
}

/* Receives are posted before the rows are packed, so that a quick peer finds a buffer. */
static void begin_side(cf_graph *graph, cf_field field, cf_side side)
{
    const halo *h = &graph->halo[side];
    const int64_t stride = field.stride;
    float *send_buffer = field.send_buffer[side];

    start_receiving(graph, field, side, h->requests.send_count);
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < h->requests.n_recv; k++)
        memcpy(send_buffer + k * stride, field.rows[side] + h->requested[k] * stride,
               (size_t)stride * sizeof(float));
    start_sending(graph, field, side, h->requests.recv_count);
}

void graph_begin_exchange(cf_graph *graph, cf_field field)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    graph->n_mpi_requests = 0;
    begin_side(graph, field, CF_USERS);
    begin_side(graph, field, CF_ITEMS);
    cf_par_restore_phase(before);
}

void graph_end_exchange(cf_graph *graph)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    MPI_Waitall(graph->n_mpi_requests, graph->mpi_requests, MPI_STATUSES_IGNORE);
    cf_par_restore_phase(before);
}

/* ---- Rows within a few hops ---- */

/* One side of a restricted exchange; distance: of each place, in hops. */
typedef struct restricted {
    const cf_par *column;
    const halo *halo;
    const uint8_t *distance;
    int n_hops;
    cf_field field;
    cf_side side;
} restricted;

/* Rows that come from each peer: those of my halo within n_hops, whose distance I know as well. */
static void count_incoming(const restricted *r, int *count)
{
    const cf_plan *plan = &r->halo->requests;
    const uint8_t *in_halo = r->distance + r->halo->n_owned;

    for (int p = 0; p < r->column->size; p++) {
        count[p] = 0;
        for (int k = 0; k < plan->send_count[p]; k++)
            count[p] += in_halo[plan->send_start[p] + k] <= r->n_hops;
    }
}

/* Rows that peers request and that lie within n_hops, to the start of each peer's part of the send
 * buffer. */
static void pack_within(const restricted *r, int *count)
{
    const cf_plan *plan = &r->halo->requests;
    const int64_t stride = r->field.stride;

#pragma omp parallel for schedule(dynamic)
    for (int p = 0; p < r->column->size; p++) {
        float *out = r->field.send_buffer[r->side] + plan->recv_start[p] * stride;

        count[p] = 0;
        for (int k = 0; k < plan->recv_count[p]; k++) {
            const int32_t row = r->halo->requested[plan->recv_start[p] + k];

            if (r->distance[row] > r->n_hops) continue;
            memcpy(out + count[p]++ * stride, r->field.rows[r->side] + row * stride,
                   (size_t)stride * sizeof(float));
        }
    }
}

/* The rows of a peer arrive at the start of its part of the halo. Move each to its own place, from
 * the last on, so that none is overwritten before it has moved. */
static void unpack_within(const restricted *r, const int *count)
{
    const cf_plan *plan = &r->halo->requests;
    const uint8_t *in_halo = r->distance + r->halo->n_owned;
    const int64_t stride = r->field.stride;

#pragma omp parallel for schedule(dynamic)
    for (int p = 0; p < r->column->size; p++) {
        const int first = plan->send_start[p];
        float *rows = r->field.rows[r->side] + (r->halo->n_owned + first) * stride;
        int64_t n = count[p];

        for (int64_t k = plan->send_count[p] - 1; n <= k; k--) {
            if (in_halo[first + k] > r->n_hops) continue;
            n--;
            memcpy(rows + k * stride, rows + n * stride, (size_t)stride * sizeof(float));
        }
    }
}

/* Receives are posted first; rows move to their places only when all have arrived. */
static void exchange_side_within(cf_graph *graph, const restricted *r)
{
    int *incoming = graph->peer_count, *outgoing = incoming + graph->column.size;

    graph->n_mpi_requests = 0;
    count_incoming(r, incoming);
    start_receiving(graph, r->field, r->side, incoming);
    pack_within(r, outgoing);
    start_sending(graph, r->field, r->side, outgoing);
    MPI_Waitall(graph->n_mpi_requests, graph->mpi_requests, MPI_STATUSES_IGNORE);
    unpack_within(r, incoming);
}

void graph_exchange_within(cf_graph *graph, const cf_hops *hops, int n_hops, cf_field field)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    if (n_hops > hops->n_hops) {
        graph_begin_exchange(graph, field);
        graph_end_exchange(graph);
    } else if (graph->column.size > 1) {
        for (int side = 0; side < 2; side++)
            exchange_side_within(graph, &(restricted){.column = &graph->column,
                                                      .halo = &graph->halo[side],
                                                      .distance = hops->distance[side],
                                                      .n_hops = n_hops,
                                                      .field = field,
                                                      .side = (cf_side)side});
    }
    cf_par_restore_phase(before);
}
