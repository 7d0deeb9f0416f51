/* The graph of a rank: neighbours of the owned rows of both sides, as places in the fields of the
 * other side, and the halo that they need.
 *
 * A side's adjacency is in compressed sparse rows (start, column). Columns keep the ascending
 * global order of the dataset's lists, although halo places lie behind the owned ones: that order
 * fixes the bits of every sum. Rows without a neighbour in the halo come first, to be summed while
 * the halo is on its way. tests/graph/create.c counts neighbours by a plain loop over all
 * interactions. */
#include "internal.h"

#include <omp.h>

/* A rank's interactions from one side: lists of the other side's global numbers, and the blocks
 * that own those. */
typedef struct edge_source {
    const cf_lists *lists;
    const cf_blocks *blocks; /* of the other side */
} edge_source;

/* The other side's rows outside my block, ascending, with repeats: what the halo must have. *out is
 * new, n_out numbers. */
static cf_status collect_needed(const edge_source *edges, int rank, int64_t **out, int64_t *n_out)
{
    const int64_t n = edges->lists->start[edges->lists->count], *index = edges->lists->index;
    const int64_t first = edges->blocks->start[rank], end = edges->blocks->start[rank + 1];
    int64_t *needed = NULL, *scratch = NULL, n_needed = 0;
    cf_status status;

    for (int64_t e = 0; e < n; e++)
        n_needed += index[e] < first || index[e] >= end;
    CF_TRY(CF_ALLOC(needed, n_needed));
    CF_TRY(CF_ALLOC(scratch, n_needed));
    n_needed = 0;
    for (int64_t e = 0; e < n; e++)
        if (index[e] < first || index[e] >= end) needed[n_needed++] = index[e];
    cf_sort_u64((uint64_t *)needed, (uint64_t *)scratch, n_needed);
    *out = needed;
    *n_out = n_needed;
    needed = NULL;
done:
    cf_free(&needed);
    cf_free(&scratch);
    return status;
}

enum { ROWS, EDGES, N_ADJACENCY_SIZES };
static const cf_array adjacency_arrays[] = {CF_ARRAY_MORE(adjacency, start, ROWS, 1, 1),
                                            CF_ARRAY_MORE(adjacency, column, EDGES, 1, LOOK_AHEAD),
                                            CF_ARRAY(adjacency, scale, ROWS, 1),
                                            CF_ARRAY(adjacency, rows, ROWS, 1)};
enum { N_ADJACENCY_ARRAYS = sizeof adjacency_arrays / sizeof adjacency_arrays[0] };

static cf_status adjacency_create(const cf_lists *lists, adjacency *out)
{
    const int64_t sizes[N_ADJACENCY_SIZES] = {
        [ROWS] = lists->count, [EDGES] = lists->start[lists->count]};

    out->n_rows = lists->count;
    return cf_arrays_create(out, adjacency_arrays, N_ADJACENCY_ARRAYS, sizes);
}

/* Rows without a neighbour in the halo first, each part ascending. */
static void order_rows(adjacency *out, int64_t n_owned)
{
    int64_t boundary = out->n_rows;

    for (int64_t row = out->n_rows - 1; row >= 0; row--) {
        int64_t e = out->start[row];

        while (e < out->start[row + 1] && out->column[e] < n_owned)
            e++;
        if (e < out->start[row + 1]) out->rows[--boundary] = (int32_t)row;
    }
    out->n_interior = 0;
    for (int64_t row = 0, next = boundary; row < out->n_rows; row++) {
        if (next < out->n_rows && out->rows[next] == row)
            next++;
        else
            out->rows[out->n_interior++] = (int32_t)row;
    }
}

/* Global numbers become places: an owned row's local number, or its position in the ascending halo
 * (halo_numbers: n_halo) behind the owned rows. */
static void fill_adjacency(const edge_source *edges, int rank, const int64_t *halo_numbers,
                           int64_t n_halo, adjacency *out)
{
    const cf_lists *lists = edges->lists;
    const int64_t first = edges->blocks->start[rank], end = edges->blocks->start[rank + 1];

#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < lists->count; row++) {
        int64_t degree = lists->start[row + 1] - lists->start[row];

        out->start[row + 1] = lists->start[row + 1];
        out->scale[row] = graph_scale_of(degree);
        for (int64_t e = lists->start[row]; e < lists->start[row + 1]; e++) {
            int64_t other = lists->index[e];

            if (other >= first && other < end)
                out->column[e] = (int32_t)(other - first);
            else
                out->column[e] =
                    (int32_t)(end - first + cf_search_i64(halo_numbers, n_halo, other));
        }
    }
    order_rows(out, end - first);
}

/* Adjacency of `side`, and the halo of the other side for its sums. Collective over the grid. */
static cf_status build_side(cf_graph *graph, const edge_source *edges, cf_side side)
{
    const int my_row = graph->column.rank;
    const cf_side other = graph_other(side);
    int64_t *needed = NULL, n_needed = 0;
    cf_status status = collect_needed(edges, my_row, &needed, &n_needed);

    if (status == CF_OK) status = adjacency_create(edges->lists, &graph->adjacency[side]);
    CF_TRY(cf_par_agree(&graph->world, status));
    CF_TRY(graph_create_halo(graph, other, edges->blocks, needed, n_needed));
    if (graph_n_places(graph, other) >= INT32_MAX)
        status = CF_FAIL(CF_ERR_USAGE, "%lld rows on one rank: use more grid rows (grid: RxC)",
                         (long long)graph_n_places(graph, other));
    CF_TRY(cf_par_agree(&graph->world, status));
    fill_adjacency(edges, my_row, needed, cf_graph_halo(graph, other), &graph->adjacency[side]);
done:
    cf_free(&needed);
    return status;
}

/* Columns exchange without each other, but a failure on one rank of a column must stop all columns:
 * all ranks of the grid agree. */
cf_status cf_graph_create(const cf_grid *grid, const cf_shard *shard, cf_graph **out)
{
    const edge_source by_user = {&shard->train, &shard->items};
    const edge_source by_item = {&shard->train_by_item, &shard->users};
    cf_graph *graph = NULL;
    cf_status status = CF_ALLOC(graph, 1);

    if (status == CF_OK) {
        graph->world = grid->world;
        graph->column = grid->column;
        graph->n_threads = omp_get_max_threads();
        status = CF_ALLOC(graph->mpi_requests, 4 * (int64_t)grid->n_rows);
    }
    if (status == CF_OK) status = CF_ALLOC(graph->peer_count, 2 * (int64_t)grid->n_rows);
    CF_TRY(cf_par_agree(&grid->world, status));
    CF_TRY(build_side(graph, &by_user, CF_USERS));
    CF_TRY(build_side(graph, &by_item, CF_ITEMS));
    graph->n_edges = cf_graph_edges(graph, CF_USERS) + cf_graph_edges(graph, CF_ITEMS);
    MPI_Allreduce(MPI_IN_PLACE, &graph->n_edges, 1, MPI_INT64_T, MPI_SUM, graph->column.comm);
    *out = graph;
    graph = NULL;
done:
    cf_graph_destroy(&graph);
    return status;
}

void cf_graph_destroy(cf_graph **graph)
{
    cf_graph *g = *graph;

    if (g == NULL) return;
    for (int side = 0; side < 2; side++) {
        cf_arrays_destroy(&g->adjacency[side], adjacency_arrays, N_ADJACENCY_ARRAYS);
        graph_destroy_halo(&g->halo[side]);
    }
    cf_free(&g->mpi_requests);
    cf_free(&g->scratch);
    cf_free(&g->peer_count);
    cf_free(&g->edge_number);
    cf_free(graph);
}

int64_t cf_graph_rows(const cf_graph *graph, cf_side side)
{
    return graph->adjacency[side].n_rows;
}

int64_t cf_graph_halo(const cf_graph *graph, cf_side side)
{
    return graph->halo[side].requests.n_send;
}

const int32_t *cf_graph_requested(const cf_graph *graph, cf_side side, int64_t *count)
{
    *count = graph->halo[side].requests.n_recv;
    return graph->halo[side].requested;
}

int64_t cf_graph_edges(const cf_graph *graph, cf_side side)
{
    return graph->adjacency[side].start[graph->adjacency[side].n_rows];
}

int64_t cf_graph_degree(const cf_graph *graph, cf_side side, int64_t row)
{
    return graph->adjacency[side].start[row + 1] - graph->adjacency[side].start[row];
}

const float *cf_graph_scale(const cf_graph *graph, cf_side side)
{
    return graph->adjacency[side].scale;
}

/* Grows to the widest field, so that sums themselves never allocate. */
cf_status graph_reserve_scratch(cf_graph *graph, int64_t width)
{
    float *scratch = NULL;
    cf_status status = CF_OK;

    if (width <= graph->scratch_width) return CF_OK;
    CF_TRY(CF_ALLOC(scratch, graph->n_threads * CF_ROWS_PER_CALL * width));
    cf_free(&graph->scratch);
    graph->scratch = scratch;
    graph->scratch_width = width;
done:
    return status;
}

float *cf_graph_scratch(const cf_graph *graph)
{
    CF_ASSERT(omp_get_thread_num() < graph->n_threads);
    return graph->scratch + omp_get_thread_num() * CF_ROWS_PER_CALL * graph->scratch_width;
}

/* Sizes in floats: all places of a side, and the rows that peers request of it. */
enum { USER_FLOATS, ITEM_FLOATS, USER_SEND_FLOATS, ITEM_SEND_FLOATS, N_FIELD_SIZES };
static const cf_array field_arrays[] = {
    CF_ARRAY(cf_field, rows[CF_USERS], USER_FLOATS, 1),
    CF_ARRAY(cf_field, rows[CF_ITEMS], ITEM_FLOATS, 1),
    CF_ARRAY(cf_field, send_buffer[CF_USERS], USER_SEND_FLOATS, 1),
    CF_ARRAY(cf_field, send_buffer[CF_ITEMS], ITEM_SEND_FLOATS, 1)};
enum { N_FIELD_ARRAYS = sizeof field_arrays / sizeof field_arrays[0] };

cf_status cf_graph_create_field(cf_graph *graph, cf_row_kind kind, cf_field *out)
{
    const int64_t stride = cf_graph_row_floats(kind);
    const int64_t sizes[N_FIELD_SIZES] = {
        [USER_FLOATS] = graph_n_places(graph, CF_USERS) * stride,
        [ITEM_FLOATS] = graph_n_places(graph, CF_ITEMS) * stride,
        [USER_SEND_FLOATS] = graph->halo[CF_USERS].requests.n_recv * stride,
        [ITEM_SEND_FLOATS] = graph->halo[CF_ITEMS].requests.n_recv * stride};
    cf_field field = {0};
    cf_status status;

    CF_TRY(cf_arrays_create(&field, field_arrays, N_FIELD_ARRAYS, sizes));
    CF_TRY(graph_reserve_scratch(graph, kind.width));
    field.kind = kind;
    field.stride = stride;
    MPI_Type_contiguous(cf_par_count(stride), MPI_FLOAT, &field.row_type);
    MPI_Type_commit(&field.row_type);
    *out = field;
    return CF_OK;
done:
    cf_graph_destroy_field(&field);
    return status;
}

void cf_graph_destroy_field(cf_field *field)
{
    cf_arrays_destroy(field, field_arrays, N_FIELD_ARRAYS);
    if (field->stride > 0) MPI_Type_free(&field->row_type);
    field->stride = 0;
}
