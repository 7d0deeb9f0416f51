#include "internal.h"

#include <string.h>

cf_status cf_graph_create_sparse(cf_graph *graph, int64_t capacity, int64_t width, cf_sparse *out)
{
    cf_sparse sparse = {.capacity = capacity};
    int64_t n_outbox = 0;
    cf_status status = CF_OK;

    for (int side = 0; side < 2; side++) {
        const halo *h = &graph->halo[side];
        int64_t n_sent = 0;

        CF_TRY(CF_ALLOC(sparse.values[side], capacity * width));
        CF_TRY(CF_ALLOC(sparse.received[side], capacity));
        CF_TRY(CF_ALLOC(sparse.marked[side], graph_mark_words(h->n_owned + h->n_halo)));
        CF_TRY(CF_ALLOC(sparse.slot[side], h->n_owned + h->n_halo));
        memset(sparse.slot[side], 0xff,
               (size_t)(h->n_owned + h->n_halo) * sizeof(int32_t)); /* -1 */
        for (int p = 0; p < graph->column.size; p++)
            n_sent += h->send_count[p] < capacity ? h->send_count[p] : capacity;
        if (n_sent > n_outbox) n_outbox = n_sent;
    }
    CF_TRY(CF_ALLOC(sparse.outbox, n_outbox * width));
    CF_TRY(CF_ALLOC(sparse.outbox_place, n_outbox));
    CF_TRY(graph_reserve_scratch(graph, width));
    sparse.width = width;
    MPI_Type_contiguous(cf_par_count(width), MPI_FLOAT, &sparse.row_type);
    MPI_Type_commit(&sparse.row_type);
    *out = sparse;
    return CF_OK;
done:
    cf_graph_destroy_sparse(&sparse);
    return status;
}

void cf_graph_destroy_sparse(cf_sparse *sparse)
{
    for (int side = 0; side < 2; side++) {
        cf_free(&sparse->values[side]);
        cf_free(&sparse->received[side]);
        cf_free(&sparse->marked[side]);
        cf_free(&sparse->slot[side]);
    }
    cf_free(&sparse->outbox);
    cf_free(&sparse->outbox_place);
    if (sparse->width > 0) MPI_Type_free(&sparse->row_type);
    sparse->width = 0;
}

static void set_slot(cf_sparse *sparse, int side, int32_t place, int64_t slot)
{
    sparse->slot[side][place] = (int32_t)slot;
    sparse->marked[side][place / MARK_BITS] |= (uint64_t)1 << place % MARK_BITS;
}

static void clear_slot(cf_sparse *sparse, int side, int32_t place)
{
    sparse->slot[side][place] = -1;
    sparse->marked[side][place / MARK_BITS] = 0;
}

/* Fill the outbox with my rows that are in some peer's halo and not zero; count them by peer. */
static void pack(const halo *h, const cf_par *column, cf_sparse *sparse, cf_side side, int *count,
                 int *start)
{
    const size_t row_bytes = (size_t)sparse->width * sizeof(float);
    int n = 0;

    for (int p = 0; p < column->size; p++) {
        start[p] = n;
        for (int k = 0; k < h->send_count[p]; k++) {
            int32_t slot = sparse->slot[side][h->sent[h->send_start[p] + k]];

            if (slot < 0) continue;
            sparse->outbox_place[n] = k;
            memcpy(sparse->outbox + n * sparse->width, sparse->values[side] + slot * sparse->width,
                   row_bytes);
            n++;
        }
        count[p] = n - start[p];
    }
}

static void exchange_side(cf_graph *graph, cf_sparse *sparse, cf_side side)
{
    const halo *h = &graph->halo[side];
    const cf_par *column = &graph->column;
    int *send_count = graph->peer_count, *send_start = graph->peer_start;
    int *count = graph->peer_count + column->size, *start = graph->peer_start + column->size;
    const int64_t owned = sparse->count[side];
    int64_t n;

    pack(h, column, sparse, side, send_count, send_start);
    MPI_Alltoall(send_count, 1, MPI_INT, count, 1, MPI_INT, column->comm);
    n = cf_par_displacements(count, start, column->size);
    CF_ASSERT(owned + n <= sparse->capacity);
    MPI_Alltoallv(sparse->outbox_place, send_count, send_start, MPI_INT32_T, sparse->received[side],
                  count, start, MPI_INT32_T, column->comm);
    MPI_Alltoallv(sparse->outbox, send_count, send_start, sparse->row_type,
                  sparse->values[side] + owned * sparse->width, count, start, sparse->row_type,
                  column->comm);
    for (int p = 0; p < column->size; p++)
        for (int k = start[p]; k < start[p] + count[p]; k++) {
            sparse->received[side][k] += (int32_t)h->n_owned + h->receive_start[p];
            set_slot(sparse, side, sparse->received[side][k], owned + k);
        }
    sparse->n_received[side] = n;
}

void cf_graph_open_sparse(cf_sparse *sparse)
{
    for (int side = 0; side < 2; side++) {
        sparse->n_received[side] = 0;
        for (int64_t k = 0; k < sparse->count[side]; k++)
            set_slot(sparse, side, sparse->rows[side][k], k);
    }
}

void cf_graph_exchange_sparse(cf_graph *graph, cf_sparse *sparse)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    if (graph->column.size > 1) {
        exchange_side(graph, sparse, CF_USERS);
        exchange_side(graph, sparse, CF_ITEMS);
    }
    cf_par_restore_phase(before);
}

void cf_graph_close_sparse(cf_sparse *sparse)
{
    for (int side = 0; side < 2; side++) {
        for (int64_t k = 0; k < sparse->count[side]; k++)
            clear_slot(sparse, side, sparse->rows[side][k]);
        for (int64_t k = 0; k < sparse->n_received[side]; k++)
            clear_slot(sparse, side, sparse->received[side][k]);
    }
}

void cf_graph_sum_sparse(const cf_graph *graph, const cf_hops *reach, int rows,
                         const cf_sparse *in, cf_row_fn *visitor, void *context)
{
    for (int side = 0; side < 2; side++) {
        const adjacency *edges = &graph->adjacency[side];
        const cf_side from = graph_other((cf_side)side);
        const sum_work work = {.edges = edges,
                               .marked = in->marked[from],
                               .slot = in->slot[from],
                               .in = in->values[from],
                               .width = in->width,
                               .visitor = visitor,
                               .context = context};

        if (reach == NULL || rows > reach->depth)
            graph_sum_list(graph, &work, (cf_side)side, edges->rows, edges->n_rows);
        else
            graph_sum_list(graph, &work, (cf_side)side, reach->rows[side],
                           reach->count[side][rows]);
    }
}
