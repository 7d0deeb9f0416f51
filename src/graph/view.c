#include "internal.h"

/* My users' edges, ready to be sent to the owners of their items, in order of (user, item) for each
 * of them. */
typedef struct parcel {
    int *count, *start; /* peers: to each, and where it begins */
    int64_t *item, *number;
} parcel;

static void destroy_parcel(parcel *p)
{
    cf_free(&p->count);
    cf_free(&p->start);
    cf_free(&p->item);
    cf_free(&p->number);
}

static cf_status create_parcel(int n_peers, int64_t n_edges, parcel *out)
{
    cf_status status;

    CF_TRY(CF_ALLOC(out->count, n_peers));
    CF_TRY(CF_ALLOC(out->start, n_peers));
    CF_TRY(CF_ALLOC(out->item, n_edges));
    CF_TRY(CF_ALLOC(out->number, n_edges));
done:
    return status;
}

static void pack_edges(const cf_graph *graph, const cf_shard *shard, parcel *out)
{
    const int64_t n = shard->train.start[shard->train.count];

    for (int64_t e = 0; e < n; e++)
        out->count[cf_par_block_of(&shard->items, shard->train.index[e])]++;
    cf_par_displacements(out->count, out->start, graph->column.size);
    for (int64_t e = 0; e < n; e++) {
        const int peer = cf_par_block_of(&shard->items, shard->train.index[e]);
        const int place = out->start[peer]++;

        out->item[place] = shard->train.index[e];
        out->number[place] = shard->first_interaction + e;
    }
    cf_par_displacements(out->count, out->start, graph->column.size);
}

/* Users ascend over the peers and within each: every item's list fills in the order it has. */
static void place_numbers(const cf_shard *shard, const parcel *came, int64_t *cursor, int64_t *out)
{
    const int64_t n = shard->train_by_item.start[shard->n_items];

    for (int64_t item = 0; item < shard->n_items; item++)
        cursor[item] = shard->train_by_item.start[item];
    for (int64_t k = 0; k < n; k++)
        out[cursor[came->item[k] - shard->first_item]++] = came->number[k];
}

cf_status cf_graph_number_edges(cf_graph *graph, const cf_shard *shard)
{
    const cf_par *column = &graph->column;
    const int64_t n_here = shard->train_by_item.start[shard->n_items];
    parcel sent = {0}, came = {0};
    int64_t *cursor = NULL, *number = NULL;
    cf_status status = create_parcel(column->size, shard->train.start[shard->train.count], &sent);

    if (status == CF_OK) status = create_parcel(column->size, n_here, &came);
    if (status == CF_OK) status = CF_ALLOC(cursor, shard->n_items);
    if (status == CF_OK) status = CF_ALLOC(number, n_here);
    CF_TRY(cf_par_agree(column, status));
    pack_edges(graph, shard, &sent);
    MPI_Alltoall(sent.count, 1, MPI_INT, came.count, 1, MPI_INT, column->comm);
    cf_par_displacements(came.count, came.start, column->size);
    MPI_Alltoallv(sent.item, sent.count, sent.start, MPI_INT64_T, came.item, came.count, came.start,
                  MPI_INT64_T, column->comm);
    MPI_Alltoallv(sent.number, sent.count, sent.start, MPI_INT64_T, came.number, came.count,
                  came.start, MPI_INT64_T, column->comm);
    place_numbers(shard, &came, cursor, number);
    cf_free(&graph->edge_number);
    graph->edge_number = number;
    number = NULL;
done:
    destroy_parcel(&sent);
    destroy_parcel(&came);
    cf_free(&cursor);
    cf_free(&number);
    return status;
}

cf_status cf_graph_create_view(const cf_graph *graph, cf_view *out)
{
    cf_view view = {0};
    cf_status status;

    for (int side = 0; side < 2; side++) {
        CF_TRY(CF_ALLOC(view.kept[side], cf_graph_edges(graph, (cf_side)side)));
        CF_TRY(CF_ALLOC(view.scale[side], graph->adjacency[side].n_rows));
    }
    *out = view;
    return CF_OK;
done:
    cf_graph_destroy_view(&view);
    return status;
}

void cf_graph_destroy_view(cf_view *view)
{
    for (int side = 0; side < 2; side++) {
        cf_free(&view->kept[side]);
        cf_free(&view->scale[side]);
    }
}

void cf_graph_fill_view(const cf_graph *graph, const cf_shard *shard, cf_keep *keep,
                        const void *context, cf_view *view)
{
    CF_ASSERT(graph->edge_number != NULL);
    for (int side = 0; side < 2; side++) {
        const bool by_user = side == CF_USERS;
        const cf_lists *lists = by_user ? &shard->train : &shard->train_by_item;
        const int64_t first = by_user ? shard->first_user : shard->first_item;

#pragma omp parallel for schedule(dynamic, 64)
        for (int64_t row = 0; row < lists->count; row++) {
            int64_t degree = 0;

            for (int64_t e = lists->start[row]; e < lists->start[row + 1]; e++) {
                const int64_t number =
                    by_user ? shard->first_interaction + e : graph->edge_number[e];
                const int64_t user = by_user ? first + row : lists->index[e];
                const int64_t item = by_user ? lists->index[e] : first + row;

                view->kept[side][e] = keep(context, number, user, item);
                degree += view->kept[side][e];
            }
            view->scale[side][row] = graph_scale_of(degree);
        }
    }
}
