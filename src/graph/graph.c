/* The graph of a rank: neighbours of the owned rows of both sides, as places in a field, and the
 * halo that they need.
 *
 * A side's adjacency is in compressed sparse rows (start, column). Columns keep the ascending
 * global order of the dataset's lists, although halo places lie behind the node's: that order fixes
 * the bits of every sum. Rows without a neighbour in the halo are told from the others, to be
 * summed while the halo is on its way. tests/graph/create.c counts neighbours by a plain loop over
 * all interactions. */
#include "internal.h"

#include <omp.h>

enum { ROWS, EDGES, N_ADJACENCY_SIZES };
static const cf_array adjacency_arrays[] = {CF_ARRAY_MORE(adjacency, start, ROWS, 1, 1),
                                            CF_ARRAY_MORE(adjacency, column, EDGES, 1, LOOK_AHEAD),
                                            CF_ARRAY(adjacency, scale, ROWS, 1),
                                            CF_ARRAY(adjacency, waits, ROWS, 1)};
enum { N_ADJACENCY_ARRAYS = sizeof adjacency_arrays / sizeof adjacency_arrays[0] };

static cf_status adjacency_create(const cf_lists *lists, adjacency *out)
{
    const int64_t sizes[N_ADJACENCY_SIZES] = {
        [ROWS] = lists->count, [EDGES] = lists->start[lists->count]};

    out->n_rows = lists->count;
    return cf_arrays_create(out, adjacency_arrays, N_ADJACENCY_ARRAYS, sizes);
}

/* Rows of `side`, whose neighbours' global numbers become places. */
static void fill_adjacency(const cf_lists *lists, const needed *rows, cf_side side, adjacency *out)
{
    const int64_t n_node = rows->end - rows->first; /* places before the halo */

#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < lists->count; row++) {
        int64_t degree = lists->start[row + 1] - lists->start[row];

        out->start[row + 1] = lists->start[row + 1];
        out->scale[row] = graph_scale_of(degree);
        out->waits[row] = false;
        for (int64_t e = lists->start[row]; e < lists->start[row + 1]; e++) {
            out->column[e] = (int32_t)graph_place_of(rows, graph_other(side), lists->index[e]);
            out->waits[row] |= out->column[e] >= n_node;
        }
    }
}

/* Adjacency of both sides, and the halo for their sums. Collective over the grid. */
static cf_status build(cf_graph *graph, const cf_shard *shard)
{
    const cf_lists *lists[2] = {&shard->train, &shard->train_by_item};
    needed rows = {0};
    cf_status status = graph_create_needed(graph, shard, &rows);

    for (int side = 0; side < 2 && status == CF_OK; side++)
        status = adjacency_create(lists[side], &graph->adjacency[side]);
    CF_TRY(cf_par_agree(&graph->world, status));
    graph_find_needed(&rows, shard);
    CF_TRY(graph_create_halo(graph, &rows));
    if (graph_n_places(graph) >= INT32_MAX)
        status = CF_FAIL(CF_ERR_USAGE, "%lld rows on one node: use more nodes",
                         (long long)graph_n_places(graph));
    CF_TRY(cf_par_agree(&graph->world, status));
    for (int side = 0; side < 2; side++)
        fill_adjacency(lists[side], &rows, (cf_side)side, &graph->adjacency[side]);
done:
    graph_destroy_needed(&rows);
    return status;
}

/* Columns exchange without each other, but a failure on one rank of a column must stop all columns:
 * all ranks of the grid agree. */
cf_status cf_graph_create(const cf_grid *grid, const cf_shard *shard, cf_graph **out)
{
    cf_graph *graph = NULL;
    cf_status status = CF_ALLOC(graph, 1);

    if (status == CF_OK) {
        graph->world = grid->world;
        graph->column = grid->column;
        graph->node = grid->node;
        graph->crosses = grid->node.size < grid->column.size;
        graph->n_threads = omp_get_max_threads();
        status = CF_ALLOC(graph->mpi_requests, 2 * (int64_t)grid->n_rows);
    }
    if (status == CF_OK) status = CF_ALLOC(graph->peer_count, 2 * (int64_t)grid->n_rows);
    if (status == CF_OK) status = CF_ALLOC(graph->parts, graph->n_threads);
    CF_TRY(cf_par_agree(&grid->world, status));
    CF_TRY(build(graph, shard));
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
    for (int side = 0; side < 2; side++)
        cf_arrays_destroy(&g->adjacency[side], adjacency_arrays, N_ADJACENCY_ARRAYS);
    graph_destroy_halo(&g->halo);
    cf_free(&g->mpi_requests);
    cf_free(&g->scratch);
    cf_free(&g->peer_count);
    cf_free(&g->parts);
    cf_free(&g->edge_number);
    cf_free(graph);
}

int64_t cf_graph_rows(const cf_graph *graph, cf_side side)
{
    return graph->adjacency[side].n_rows;
}

int64_t cf_graph_halo(const cf_graph *graph)
{
    return graph->halo.requests.n_send;
}

const int32_t *cf_graph_requested(const cf_graph *graph, int64_t *count)
{
    *count = graph->halo.requests.n_recv;
    return graph->halo.requested;
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

void graph_share(const cf_graph *graph, int64_t bytes, cf_shared *out, cf_status *status)
{
    const cf_status shared = cf_par_create_shared(&graph->node, bytes, out);

    if (shared != CF_OK) *status = shared;
}

/* Collective over the node; the status is the rank's own. */
static cf_status allocate_field(cf_graph *graph, cf_row_kind kind, cf_field *field)
{
    const int64_t stride = cf_graph_row_floats(kind);
    cf_status status = CF_OK;

    graph_share(graph, graph_n_places(graph) * stride * (int64_t)sizeof(float), &field->places,
                &status);
    if (status == CF_OK)
        status = CF_ALLOC(field->send_buffer, graph->halo.requests.n_recv * stride);
    if (status == CF_OK) status = graph_reserve_scratch(graph, kind.width);
    return status;
}

cf_status cf_graph_create_field(cf_graph *graph, cf_row_kind kind, cf_field *out)
{
    const int64_t stride = cf_graph_row_floats(kind);
    cf_field field = {0};
    cf_status status;

    CF_TRY(cf_par_agree(&graph->world, allocate_field(graph, kind, &field)));
    for (int side = 0; side < 2; side++)
        field.rows[side] = (float *)field.places.data + graph->halo.first[side] * stride;
    field.kind = kind;
    field.stride = stride;
    field.streams = graph_streams(graph, kind);
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
    cf_par_destroy_shared(&field->places);
    cf_free(&field->send_buffer);
    if (field->stride > 0) MPI_Type_free(&field->row_type);
    field->stride = 0;
}
