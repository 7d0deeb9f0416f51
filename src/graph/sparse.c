/* Sparse fields: fields that are zero but for a few rows, such as the gradient of a batch.
 *
 * A rank holds the rows that are not zero: its users, its items, then the rows of both sides that
 * peers on other nodes send. The ranks of a node share them, each `capacity` rows, and an index
 * from place to row; each opens and closes the entries of its own part. A peer sends its nonzero
 * rows that I receive for my node, each with its position in my part of that peer's requests.
 * tests/graph/sum.c compares with dense sums. */
#include "internal.h"

#include <string.h>

/* Rows that are sent at most: to each peer what it requests, or the whole field, where that is
 * less.
 */
static int64_t max_send_rows(const halo *h, int n_peers, int64_t capacity)
{
    int64_t n = 0;

    for (int p = 0; p < n_peers; p++)
        n += cf_min(h->requests.recv_count[p], capacity);
    return n;
}

/* Sizes: rows of capacity; rows sent, and their floats. */
enum { CAPACITY, SEND_ROWS, SEND_FLOATS, N_SIZES };
static const cf_array sparse_arrays[] = {CF_ARRAY(cf_sparse, recv_place, CAPACITY, 1),
                                         CF_ARRAY(cf_sparse, send_values, SEND_FLOATS, 1),
                                         CF_ARRAY(cf_sparse, send_position, SEND_ROWS, 1)};
enum { N_SPARSE_ARRAYS = sizeof sparse_arrays / sizeof sparse_arrays[0] };

/* Collective over the node; the status is the rank's own. */
static cf_status allocate_sparse(cf_graph *graph, cf_row_kind kind, cf_sparse *sparse)
{
    const int64_t stride = cf_graph_row_floats(kind), n_places = graph_n_places(graph);
    const int64_t n_send = max_send_rows(&graph->halo, graph->column.size, sparse->capacity);
    const int64_t sizes[N_SIZES] = {
        [CAPACITY] = sparse->capacity, [SEND_ROWS] = n_send, [SEND_FLOATS] = n_send * stride};
    cf_status status = CF_OK;

    graph_share(graph, graph->node.size * sparse->capacity * stride * (int64_t)sizeof(float),
                &sparse->all, &status);
    graph_share(graph, n_places * (int64_t)sizeof(int32_t), &sparse->indices, &status);
    graph_share(graph, graph_mark_words(n_places) * (int64_t)sizeof(uint64_t), &sparse->marked,
                &status);
    if (status == CF_OK) status = cf_arrays_create(sparse, sparse_arrays, N_SPARSE_ARRAYS, sizes);
    if (status == CF_OK) status = cf_par_create_plan(&graph->column, &sparse->plan);
    if (status == CF_OK) status = graph_reserve_scratch(graph, kind.width);
    return status;
}

/* My part of what is shared, with the index of every place -1: zero. */
static void lay_out(const cf_graph *graph, cf_sparse *sparse)
{
    const halo *h = &graph->halo;
    int32_t *index = sparse->indices.data;

    sparse->first_value = graph->node.rank * sparse->capacity;
    memset(index + h->first[CF_USERS], 0xff, (size_t)h->n_owned * sizeof *index);
    memset(index + h->first_mine, 0xff, (size_t)h->requests.n_send * sizeof *index);
    for (int side = 0; side < 2; side++)
        sparse->index[side] = index + h->first[side];
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
    cf_par_destroy_shared(&sparse->all);
    cf_par_destroy_shared(&sparse->indices);
    cf_par_destroy_shared(&sparse->marked);
    cf_arrays_destroy(sparse, sparse_arrays, N_SPARSE_ARRAYS);
    cf_par_destroy_plan(&sparse->plan);
    if (sparse->stride > 0) MPI_Type_free(&sparse->row_type);
    sparse->stride = 0;
}

/* Row `row` of those that this rank holds. */
static float *value_of(const cf_sparse *sparse, int64_t row)
{
    return (float *)sparse->all.data + (sparse->first_value + row) * sparse->stride;
}

static uint64_t *mark_of(const cf_sparse *sparse, int64_t place)
{
    return (uint64_t *)sparse->marked.data + place / MARK_BITS;
}

/* `row`: of those that this rank holds. Other ranks of the node have places in the same word of
 * marks. */
static void set_index(cf_sparse *sparse, int64_t place, int64_t row)
{
    int32_t *index = sparse->indices.data;

    index[place] = (int32_t)(sparse->first_value + row);
    (void)__atomic_fetch_or(mark_of(sparse, place), (uint64_t)1 << place % MARK_BITS,
                            __ATOMIC_RELAXED);
}

static void clear_index(cf_sparse *sparse, int64_t place)
{
    int32_t *index = sparse->indices.data;

    index[place] = -1;
    (void)__atomic_fetch_and(mark_of(sparse, place), ~((uint64_t)1 << place % MARK_BITS),
                             __ATOMIC_RELAXED);
}

/* Costs the rows listed, not the places: open and close touch nothing else. */
void cf_graph_open_sparse(const cf_graph *graph, cf_sparse *sparse)
{
    int64_t n = 0;

    CF_ASSERT(sparse->count[CF_USERS] + sparse->count[CF_ITEMS] <= sparse->capacity);
    sparse->n_recv = 0;
    for (int side = 0; side < 2; side++) {
        sparse->values[side] = value_of(sparse, n);
        for (int64_t k = 0; k < sparse->count[side]; k++)
            set_index(sparse, graph->halo.first[side] + sparse->rows[side][k], n++);
    }
}

/* My rows that are not zero and that peers requested, grouped by peer. */
static void pack_sparse(const halo *h, cf_sparse *sparse)
{
    const size_t row_bytes = (size_t)sparse->stride * sizeof(float);
    const int32_t *index = sparse->index[CF_USERS]; /* and the items' behind it */
    int n = 0;

    for (int p = 0; p < sparse->plan.par->size; p++) {
        const int first = n;

        for (int k = 0; k < h->requests.recv_count[p]; k++) {
            const int32_t row = index[h->requested[h->requests.recv_start[p] + k]];

            if (row < 0) continue;
            sparse->send_position[n] = k;
            memcpy(sparse->send_values + n * sparse->stride,
                   value_of(sparse, row - sparse->first_value), row_bytes);
            n++;
        }
        sparse->plan.send_count[p] = n - first;
    }
}

/* Rows of peers go behind the owned ones. A position counts within the peer's part of the halo rows
 * that I receive, which begins at send_start of the requests. */
static void exchange_rows(const cf_graph *graph, cf_sparse *sparse)
{
    const halo *h = &graph->halo;
    const int64_t n_owned_rows = sparse->count[CF_USERS] + sparse->count[CF_ITEMS];
    const cf_plan *plan = &sparse->plan;

    pack_sparse(h, sparse);
    cf_par_complete_plan(&sparse->plan);
    CF_ASSERT(n_owned_rows + plan->n_recv <= sparse->capacity);
    cf_par_send(plan, sparse->send_position, sparse->recv_place, MPI_INT32_T);
    cf_par_send(plan, sparse->send_values, value_of(sparse, n_owned_rows), sparse->row_type);
    for (int p = 0; p < plan->par->size; p++)
        for (int k = plan->recv_start[p]; k < plan->recv_start[p] + plan->recv_count[p]; k++) {
            sparse->recv_place[k] += (int32_t)h->first_mine + h->requests.send_start[p];
            set_index(sparse, sparse->recv_place[k], n_owned_rows + k);
        }
    sparse->n_recv = plan->n_recv;
}

void cf_graph_exchange_sparse(cf_graph *graph, cf_sparse *sparse)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_HALO);

    if (graph->crosses) exchange_rows(graph, sparse);
    cf_par_meet(&graph->node);
    cf_par_restore_phase(before);
}

void cf_graph_close_sparse(const cf_graph *graph, cf_sparse *sparse)
{
    for (int side = 0; side < 2; side++)
        for (int64_t k = 0; k < sparse->count[side]; k++)
            clear_index(sparse, graph->halo.first[side] + sparse->rows[side][k]);
    for (int64_t k = 0; k < sparse->n_recv; k++)
        clear_index(sparse, sparse->recv_place[k]);
}

/* The exchange has already brought what the halo has of the field. */
void cf_graph_sum_sparse(const cf_graph *graph, const cf_hops *hops, int n_hops,
                         const cf_sparse *in, cf_row_fn *callback, void *context)
{
    for (int side = 0; side < 2; side++) {
        const adjacency *edges = &graph->adjacency[side];
        const bool all = hops == NULL || n_hops > hops->n_hops;
        const sum_work work = {.side = (cf_side)side,
                               .rows = all ? NULL : hops->rows[side],
                               .count = all ? edges->n_rows : hops->count[side][n_hops],
                               .edges = edges,
                               .marked = in->marked.data,
                               .index = in->indices.data,
                               .in = in->all.data,
                               .kind = in->kind,
                               .callback = callback,
                               .context = context};

        graph_sum_rows(graph, &work, ALL_ROWS);
    }
    graph_meet(graph);
}
