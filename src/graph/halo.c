#include "internal.h"

#include <string.h>

/* Ascending distinct values of `needed`, in place; the rows of each owner are then contiguous. */
static int64_t make_distinct(int64_t *needed, int64_t n)
{
    int64_t kept = 0;

    for (int64_t k = 0; k < n; k++)
        if (kept == 0 || needed[k] != needed[kept - 1]) needed[kept++] = needed[k];
    return kept;
}

static cf_status allocate_counts(int n_peers, halo *out)
{
    cf_status status;

    CF_TRY(CF_ALLOC(out->receive_count, n_peers));
    CF_TRY(CF_ALLOC(out->receive_start, n_peers));
    CF_TRY(CF_ALLOC(out->send_count, n_peers));
    CF_TRY(CF_ALLOC(out->send_start, n_peers));
done:
    return status;
}

/* Tell each owner which of its rows I need; keep what the others need of mine. */
static cf_status exchange_needs(const cf_par *column, const int64_t *needed, int64_t first_owned,
                                halo *out)
{
    cf_status status;
    int64_t *asked = NULL;

    MPI_Alltoall(out->receive_count, 1, MPI_INT, out->send_count, 1, MPI_INT, column->comm);
    cf_par_displacements(out->receive_count, out->receive_start, column->size);
    out->n_sent = cf_par_displacements(out->send_count, out->send_start, column->size);
    status = CF_ALLOC(asked, out->n_sent);
    if (status == CF_OK) status = CF_ALLOC(out->sent, out->n_sent);
    CF_TRY(cf_par_agree(column, status));
    MPI_Alltoallv(needed, out->receive_count, out->receive_start, MPI_INT64_T, asked,
                  out->send_count, out->send_start, MPI_INT64_T, column->comm);
    for (int64_t k = 0; k < out->n_sent; k++)
        out->sent[k] = (int32_t)(asked[k] - first_owned);
done:
    cf_free(&asked);
    return status;
}

/* Plan the exchange of the rows `needed` (ascending, repeats allowed, none of them mine; made
 * distinct in place). Collective. */
cf_status graph_create_halo(const cf_par *column, const cf_blocks *blocks, int64_t *needed,
                            int64_t n_needed, halo *out)
{
    const int64_t first_owned = blocks->start[column->rank];
    cf_status status = allocate_counts(column->size, out);

    CF_TRY(cf_par_agree(column, status));
    out->n_owned = blocks->start[column->rank + 1] - first_owned;
    out->n_halo = make_distinct(needed, n_needed);
    for (int64_t k = 0; k < out->n_halo; k++)
        out->receive_count[cf_par_block_of(blocks, needed[k])]++;
    CF_TRY(exchange_needs(column, needed, first_owned, out));
done:
    return status;
}

void graph_destroy_halo(halo *plan)
{
    cf_free(&plan->receive_count);
    cf_free(&plan->receive_start);
    cf_free(&plan->send_count);
    cf_free(&plan->send_start);
    cf_free(&plan->sent);
}

/* `count`: rows of each peer that come to the begin of its part of my halo. */
static void start_receiving(cf_graph *graph, cf_field field, cf_side side, const int *count)
{
    const halo *h = &graph->halo[side];

    for (int p = 0; p < graph->column.size; p++)
        if (count[p] > 0)
            MPI_Irecv(field.rows[side] + (h->n_owned + h->receive_start[p]) * field.width, count[p],
                      field.row_type, p, (int)side, graph->column.comm,
                      &graph->requests[graph->n_requests++]);
}

/* `count`: rows that go to each peer from the begin of its part of the outbox. */
static void start_sending(cf_graph *graph, cf_field field, cf_side side, const int *count)
{
    const halo *h = &graph->halo[side];

    for (int p = 0; p < graph->column.size; p++)
        if (count[p] > 0)
            MPI_Isend(field.outbox[side] + h->send_start[p] * field.width, count[p], field.row_type,
                      p, (int)side, graph->column.comm, &graph->requests[graph->n_requests++]);
}

static void begin_side(cf_graph *graph, cf_field field, cf_side side)
{
    const halo *h = &graph->halo[side];
    const int64_t width = field.width;
    float *outbox = field.outbox[side];

    start_receiving(graph, field, side, h->receive_count);
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < h->n_sent; k++)
        memcpy(outbox + k * width, field.rows[side] + h->sent[k] * width,
               (size_t)width * sizeof(float));
    start_sending(graph, field, side, h->send_count);
}

void graph_begin_exchange(cf_graph *graph, cf_field field)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    graph->n_requests = 0;
    begin_side(graph, field, CF_USERS);
    begin_side(graph, field, CF_ITEMS);
    cf_par_restore_phase(before);
}

void graph_end_exchange(cf_graph *graph)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    MPI_Waitall(graph->n_requests, graph->requests, MPI_STATUSES_IGNORE);
    cf_par_restore_phase(before);
}

/* ---- Of rows within a few steps ---- */

/* Rows that come from each peer. */
static void count_within(const halo *h, const cf_par *column, const uint8_t *in_halo, int steps,
                         int *count)
{
    for (int p = 0; p < column->size; p++) {
        count[p] = 0;
        for (int k = 0; k < h->receive_count[p]; k++)
            count[p] += in_halo[h->receive_start[p] + k] <= steps;
    }
}

static void pack_within(const cf_graph *graph, const uint8_t *marks, int steps, cf_field field,
                        cf_side side, int *count)
{
    const halo *h = &graph->halo[side];

#pragma omp parallel for schedule(dynamic)
    for (int p = 0; p < graph->column.size; p++) {
        float *out = field.outbox[side] + h->send_start[p] * field.width;

        count[p] = 0;
        for (int k = 0; k < h->send_count[p]; k++) {
            const int32_t row = h->sent[h->send_start[p] + k];

            if (marks[row] > steps) continue;
            memcpy(out + count[p]++ * field.width, field.rows[side] + row * field.width,
                   (size_t)field.width * sizeof(float));
        }
    }
}

/* What came from a peer lies at the begin of its places: to the places of their own, from the last
 * on, so that none is overwritten. */
static void spread(const cf_graph *graph, const uint8_t *in_halo, int steps, cf_field field,
                   cf_side side, const int *count)
{
    const halo *h = &graph->halo[side];

#pragma omp parallel for schedule(dynamic)
    for (int p = 0; p < graph->column.size; p++) {
        float *rows = field.rows[side] + (h->n_owned + h->receive_start[p]) * field.width;
        int64_t n = count[p];

        for (int64_t k = h->receive_count[p] - 1; n <= k; k--) {
            if (in_halo[h->receive_start[p] + k] > steps) continue;
            n--;
            memcpy(rows + k * field.width, rows + n * field.width,
                   (size_t)field.width * sizeof(float));
        }
    }
}

static void exchange_within(cf_graph *graph, const uint8_t *marks, int steps, cf_field field,
                            cf_side side)
{
    const halo *h = &graph->halo[side];
    int *incoming = graph->peer_count, *outgoing = incoming + graph->column.size;

    graph->n_requests = 0;
    count_within(h, &graph->column, marks + h->n_owned, steps, incoming);
    start_receiving(graph, field, side, incoming);
    pack_within(graph, marks, steps, field, side, outgoing);
    start_sending(graph, field, side, outgoing);
    MPI_Waitall(graph->n_requests, graph->requests, MPI_STATUSES_IGNORE);
    spread(graph, marks + h->n_owned, steps, field, side, incoming);
}

void graph_exchange_within(cf_graph *graph, const cf_hops *reach, int steps, cf_field field)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    if (steps > reach->depth) {
        graph_begin_exchange(graph, field);
        graph_end_exchange(graph);
    } else if (graph->column.size > 1) {
        exchange_within(graph, reach->steps[CF_USERS], steps, field, CF_USERS);
        exchange_within(graph, reach->steps[CF_ITEMS], steps, field, CF_ITEMS);
    }
    cf_par_restore_phase(before);
}
