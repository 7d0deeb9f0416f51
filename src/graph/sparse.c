/* Sparse fields: fields that are zero but for a few rows, such as the gradient of a batch.
 *
 * `values` holds the rows that are not zero: the owned ones, then those that peers on other nodes
 * send. The ranks of a node share them, each `capacity` rows, and an index from place to row; each
 * opens and closes the entries of its own part. A peer sends its nonzero rows that I receive for my
 * node, each with its position in my part of that peer's requests. tests/graph/sum.c compares with
 * dense sums. */
#include "internal.h"

#include <string.h>

/* Rows that peers can send or receive of one side at most: a peer's part of the requests, or the
 * whole field, where that is less. */
static int64_t max_send_rows(const halo *h, int n_peers, int64_t capacity)
{
    int64_t n = 0;

    for (int p = 0; p < n_peers; p++)
        n += cf_min(h->requests.recv_count[p], capacity);
    return n;
}

/* Sizes: rows of capacity; rows sent, and their floats. */
enum { CAPACITY, SEND_ROWS, SEND_FLOATS, N_SIZES };
static const cf_array sparse_arrays[] = {CF_ARRAY(cf_sparse, recv_place[CF_USERS], CAPACITY, 1),
                                         CF_ARRAY(cf_sparse, recv_place[CF_ITEMS], CAPACITY, 1),
                                         CF_ARRAY(cf_sparse, send_values, SEND_FLOATS, 1),
                                         CF_ARRAY(cf_sparse, send_position, SEND_ROWS, 1)};
enum { N_SPARSE_ARRAYS = sizeof sparse_arrays / sizeof sparse_arrays[0] };

/* What the ranks of the node share of one side. Collective over it. */
static void share_side(const cf_graph *graph, int side, int64_t stride, cf_sparse *sparse,
                       cf_status *status)
{
    const int64_t n = graph_n_places(graph, side), n_values = graph->node.size * sparse->capacity;

    graph_share(graph, n_values * stride * (int64_t)sizeof(float), &sparse->all[side], status);
    graph_share(graph, n * (int64_t)sizeof(int32_t), &sparse->indices[side], status);
    graph_share(graph, graph_mark_words(n) * (int64_t)sizeof(uint64_t), &sparse->marked[side],
                status);
}

/* Collective over the node; the status is the rank's own. */
static cf_status allocate_sparse(cf_graph *graph, cf_row_kind kind, cf_sparse *sparse)
{
    const int64_t stride = cf_graph_row_floats(kind);
    int64_t sizes[N_SIZES] = {[CAPACITY] = sparse->capacity};
    cf_status status = CF_OK;

    for (int side = 0; side < 2; side++) {
        share_side(graph, side, stride, sparse, &status);
        sizes[SEND_ROWS] =
            cf_max(sizes[SEND_ROWS],
                   max_send_rows(&graph->halo[side], graph->column.size, sparse->capacity));
    }
    sizes[SEND_FLOATS] = sizes[SEND_ROWS] * stride;
    if (status == CF_OK) status = cf_arrays_create(sparse, sparse_arrays, N_SPARSE_ARRAYS, sizes);
    if (status == CF_OK) status = cf_par_create_plan(&graph->column, &sparse->plan);
    if (status == CF_OK) status = graph_reserve_scratch(graph, kind.width);
    return status;
}

/* My part of what is shared, with the index of every place -1: zero. */
static void lay_out(const cf_graph *graph, cf_sparse *sparse)
{
    sparse->first_value = graph->node.rank * sparse->capacity;
    for (int side = 0; side < 2; side++) {
        const halo *h = &graph->halo[side];
        int32_t *index = sparse->indices[side].data;

        sparse->index[side] = index + h->first;
        memset(index + h->first, 0xff, (size_t)h->n_owned * sizeof *index);
        memset(index + h->first_mine, 0xff, (size_t)h->requests.n_send * sizeof *index);
        sparse->values[side] =
            (float *)sparse->all[side].data + sparse->first_value * sparse->stride;
    }
}

cf_status cf_graph_create_sparse(cf_graph *graph, int64_t capacity, cf_row_kind kind,
                                 cf_sparse *out)
{
    cf_sparse sparse = {.kind = kind, .capacity = capacity};
    cf_status status = CF_OK;

    if (graph->node.size * capacity > INT32_MAX) /* rows of `all` are numbered in 32 bits */
        status = CF_FAIL(CF_ERR_USAGE, "%lld rows on each of %d ranks of a node: a smaller batch",
                         (long long)capacity, graph->node.size);
    CF_TRY(cf_par_agree(&graph->world, status)); /* nodes may differ in size */
    CF_TRY(cf_par_agree(&graph->world, allocate_sparse(graph, kind, &sparse)));
    sparse.stride = cf_graph_row_floats(kind);
    lay_out(graph, &sparse);
    MPI_Type_contiguous(cf_par_count(sparse.stride), MPI_FLOAT, &sparse.row_type);
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
        cf_par_destroy_shared(&sparse->all[side]);
        cf_par_destroy_shared(&sparse->indices[side]);
        cf_par_destroy_shared(&sparse->marked[side]);
    }
    cf_arrays_destroy(sparse, sparse_arrays, N_SPARSE_ARRAYS);
    cf_par_destroy_plan(&sparse->plan);
    if (sparse->stride > 0) MPI_Type_free(&sparse->row_type);
    sparse->stride = 0;
}

static uint64_t *mark_of(const cf_sparse *sparse, int side, int64_t place)
{
    return (uint64_t *)sparse->marked[side].data + place / MARK_BITS;
}

/* `row`: of my values. Other ranks of the node have places in the same word of marks. */
static void set_index(cf_sparse *sparse, int side, int64_t place, int64_t row)
{
    int32_t *index = sparse->indices[side].data;

    index[place] = (int32_t)(sparse->first_value + row);
    (void)__atomic_fetch_or(mark_of(sparse, side, place), (uint64_t)1 << place % MARK_BITS,
                            __ATOMIC_RELAXED);
}

static void clear_index(cf_sparse *sparse, int side, int64_t place)
{
    int32_t *index = sparse->indices[side].data;

    index[place] = -1;
    (void)__atomic_fetch_and(mark_of(sparse, side, place), ~((uint64_t)1 << place % MARK_BITS),
                             __ATOMIC_RELAXED);
}

/* My rows that are not zero and that peers requested, grouped by peer. */
static void pack_sparse(const halo *h, cf_sparse *sparse, cf_side side)
{
    const size_t row_bytes = (size_t)sparse->stride * sizeof(float);
    int n = 0;

    for (int p = 0; p < sparse->plan.par->size; p++) {
        const int first = n;

        for (int k = 0; k < h->requests.recv_count[p]; k++) {
            const int32_t row =
                cf_graph_sparse_row(sparse, side, h->requested[h->requests.recv_start[p] + k]);

            if (row < 0) continue;
            sparse->send_position[n] = k;
            memcpy(sparse->send_values + n * sparse->stride,
                   sparse->values[side] + row * sparse->stride, row_bytes);
            n++;
        }
        sparse->plan.send_count[p] = n - first;
    }
}

/* Rows of peers go behind the owned ones in `values`. A position counts within the peer's part of
 * the halo rows that I receive, which begins at send_start of the requests. */
static void exchange_side(const cf_graph *graph, cf_sparse *sparse, cf_side side)
{
    const halo *h = &graph->halo[side];
    const int64_t n_owned_rows = sparse->count[side];
    const cf_plan *plan = &sparse->plan;

    pack_sparse(h, sparse, side);
    cf_par_complete_plan(&sparse->plan);
    CF_ASSERT(n_owned_rows + plan->n_recv <= sparse->capacity);
    cf_par_send(plan, sparse->send_position, sparse->recv_place[side], MPI_INT32_T);
    cf_par_send(plan, sparse->send_values, sparse->values[side] + n_owned_rows * sparse->stride,
                sparse->row_type);
    for (int p = 0; p < plan->par->size; p++)
        for (int k = plan->recv_start[p]; k < plan->recv_start[p] + plan->recv_count[p]; k++) {
            sparse->recv_place[side][k] += (int32_t)h->first_mine + h->requests.send_start[p];
            set_index(sparse, side, sparse->recv_place[side][k], n_owned_rows + k);
        }
    sparse->n_recv[side] = plan->n_recv;
}

/* Costs the rows listed, not the places of the side: open and close touch nothing else. */
void cf_graph_open_sparse(const cf_graph *graph, cf_sparse *sparse)
{
    for (int side = 0; side < 2; side++) {
        sparse->n_recv[side] = 0;
        for (int64_t k = 0; k < sparse->count[side]; k++)
            set_index(sparse, side, graph->halo[side].first + sparse->rows[side][k], k);
    }
}

void cf_graph_exchange_sparse(cf_graph *graph, cf_sparse *sparse)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    if (graph->crosses) {
        exchange_side(graph, sparse, CF_USERS);
        exchange_side(graph, sparse, CF_ITEMS);
    }
    cf_par_meet(&graph->node);
    cf_par_restore_phase(before);
}

void cf_graph_close_sparse(const cf_graph *graph, cf_sparse *sparse)
{
    for (int side = 0; side < 2; side++) {
        for (int64_t k = 0; k < sparse->count[side]; k++)
            clear_index(sparse, side, graph->halo[side].first + sparse->rows[side][k]);
        for (int64_t k = 0; k < sparse->n_recv[side]; k++)
            clear_index(sparse, side, sparse->recv_place[side][k]);
    }
}

/* The exchange has already brought what the halo has of the field. */
void cf_graph_sum_sparse(const cf_graph *graph, const cf_hops *hops, int n_hops,
                         const cf_sparse *in, cf_row_fn *callback, void *context)
{
    for (int side = 0; side < 2; side++) {
        const adjacency *edges = &graph->adjacency[side];
        const cf_side from = graph_other((cf_side)side);
        const sum_work work = {.edges = edges,
                               .marked = in->marked[from].data,
                               .index = in->indices[from].data,
                               .in = in->all[from].data,
                               .kind = in->kind,
                               .callback = callback,
                               .context = context};

        if (hops == NULL || n_hops > hops->n_hops)
            graph_sum_list(graph, &work, (cf_side)side, edges->rows, edges->n_rows);
        else
            graph_sum_list(graph, &work, (cf_side)side, hops->rows[side],
                           hops->count[side][n_hops]);
    }
    graph_meet(graph);
}
