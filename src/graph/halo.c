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
    cf_par_starts(out->receive_count, out->receive_start, column->size);
    out->n_sent = cf_par_starts(out->send_count, out->send_start, column->size);
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

static void begin_side(cf_graph *graph, cf_field field, cf_side side)
{
    const halo *h = &graph->halo[side];
    const int64_t width = field.width;
    float *owned = field.rows[side], *outbox = field.outbox[side];

    for (int p = 0; p < graph->column.size; p++)
        if (h->receive_count[p] > 0)
            MPI_Irecv(owned + (h->n_owned + h->receive_start[p]) * width, h->receive_count[p],
                      field.row_type, p, (int)side, graph->column.comm,
                      &graph->requests[graph->n_requests++]);
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < h->n_sent; k++)
        memcpy(outbox + k * width, owned + h->sent[k] * width, (size_t)width * sizeof(float));
    for (int p = 0; p < graph->column.size; p++)
        if (h->send_count[p] > 0)
            MPI_Isend(outbox + h->send_start[p] * width, h->send_count[p], field.row_type, p,
                      (int)side, graph->column.comm, &graph->requests[graph->n_requests++]);
}

void graph_begin_exchange(cf_graph *graph, cf_field field)
{
    const cf_phase before = cf_par_begin_phase(CF_PHASE_HALO);

    graph->n_requests = 0;
    begin_side(graph, field, CF_USERS);
    begin_side(graph, field, CF_ITEMS);
    cf_par_end_phase(before);
}

void graph_end_exchange(cf_graph *graph)
{
    const cf_phase before = cf_par_begin_phase(CF_PHASE_HALO);

    MPI_Waitall(graph->n_requests, graph->requests, MPI_STATUSES_IGNORE);
    cf_par_end_phase(before);
}
