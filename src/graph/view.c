/* Views: the graph without some of its edges (SGL's augmentations, Wu et al. 2021).
 *
 * A view is a byte an edge, seen from each side. Whether an edge is kept is a function of its
 * number, in the order of (user, item) over all ranks, so both sides and all ranks agree without a
 * message. The user side has the numbers by counting; the item side receives them once, by an
 * exchange plan. */
#include "internal.h"

/* My users' edges, grouped by the owner of the item, in order of (user, item) for each. */
typedef struct edge_list {
    int64_t *item, *number; /* global */
} edge_list;

static void destroy_edges(edge_list *edges)
{
    cf_free(&edges->item);
    cf_free(&edges->number);
}

static cf_status create_edges(int64_t n_edges, edge_list *out)
{
    cf_status status;

    CF_TRY(CF_ALLOC(out->item, n_edges));
    CF_TRY(CF_ALLOC(out->number, n_edges));
done:
    return status;
}

/* Fill the send side of the plan and the edges in its order. send_start serves as the cursors and
 * is restored by ordering the plan again. */
static void pack_edges(const cf_shard *shard, cf_plan *plan, edge_list *out)
{
    const int64_t n = shard->train.start[shard->train.count];

    for (int64_t e = 0; e < n; e++)
        plan->send_count[cf_par_block_of(&shard->items, shard->train.index[e])]++;
    cf_par_complete_plan(plan);
    for (int64_t e = 0; e < n; e++) {
        const int peer = cf_par_block_of(&shard->items, shard->train.index[e]);
        const int k = plan->send_start[peer]++;

        out->item[k] = shard->train.index[e];
        out->number[k] = shard->first_interaction + e;
    }
    cf_par_order_plan(plan);
}

/* Users ascend over the peers and within each, so every item's list fills in its own order. cursor:
 * scratch, one for each of my items. */
static void fill_numbers(const cf_shard *shard, const edge_list *received, int64_t *cursor,
                         int64_t *out)
{
    const int64_t n = shard->train_by_item.start[shard->n_items];

    for (int64_t item = 0; item < shard->n_items; item++)
        cursor[item] = shard->train_by_item.start[item];
    for (int64_t k = 0; k < n; k++)
        out[cursor[received->item[k] - shard->first_item]++] = received->number[k];
}

/* Items and numbers travel as two messages of one plan; the item says where the number belongs. */
cf_status cf_graph_number_edges(cf_graph *graph, const cf_shard *shard)
{
    const int64_t n_here = shard->train_by_item.start[shard->n_items];
    edge_list sent = {0}, received = {0};
    cf_plan plan = {0};
    int64_t *cursor = NULL, *number = NULL;
    cf_status status = create_edges(shard->train.start[shard->train.count], &sent);

    if (status == CF_OK) status = create_edges(n_here, &received);
    if (status == CF_OK) status = cf_par_create_plan(&graph->column, &plan);
    if (status == CF_OK) status = CF_ALLOC(cursor, shard->n_items);
    if (status == CF_OK) status = CF_ALLOC(number, n_here);
    CF_TRY(cf_par_agree(&graph->world, status));
    pack_edges(shard, &plan, &sent);
    cf_par_send(&plan, sent.item, received.item, MPI_INT64_T);
    cf_par_send(&plan, sent.number, received.number, MPI_INT64_T);
    fill_numbers(shard, &received, cursor, number);
    cf_free(&graph->edge_number);
    graph->edge_number = number;
    number = NULL;
done:
    cf_par_destroy_plan(&plan);
    destroy_edges(&sent);
    destroy_edges(&received);
    cf_free(&cursor);
    cf_free(&number);
    return status;
}

enum { USER_EDGES, ITEM_EDGES, USER_ROWS, ITEM_ROWS, N_VIEW_SIZES };
static const cf_array view_arrays[] = {CF_ARRAY(cf_view, kept[CF_USERS], USER_EDGES, 1),
                                       CF_ARRAY(cf_view, kept[CF_ITEMS], ITEM_EDGES, 1),
                                       CF_ARRAY(cf_view, scale[CF_USERS], USER_ROWS, 1),
                                       CF_ARRAY(cf_view, scale[CF_ITEMS], ITEM_ROWS, 1)};
enum { N_VIEW_ARRAYS = sizeof view_arrays / sizeof view_arrays[0] };

cf_status cf_graph_create_view(const cf_graph *graph, cf_view *out)
{
    const int64_t sizes[N_VIEW_SIZES] = {[USER_EDGES] = cf_graph_edges(graph, CF_USERS),
                                         [ITEM_EDGES] = cf_graph_edges(graph, CF_ITEMS),
                                         [USER_ROWS] = cf_graph_rows(graph, CF_USERS),
                                         [ITEM_ROWS] = cf_graph_rows(graph, CF_ITEMS)};
    cf_view view = {0};
    cf_status status;

    CF_TRY(cf_arrays_create(&view, view_arrays, N_VIEW_ARRAYS, sizes));
    *out = view;
    return CF_OK;
done:
    cf_graph_destroy_view(&view);
    return status;
}

void cf_graph_destroy_view(cf_view *view)
{
    cf_arrays_destroy(view, view_arrays, N_VIEW_ARRAYS);
}

/* From both sides, so that no rank sends what it kept. */
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
