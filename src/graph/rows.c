/* The rows of neighbours themselves, of one side, where their sum is not enough: normal equations
 * are made of them.
 *
 * A node has received the numbers of all rows of its halo, of both sides (halo.c). An exchange of
 * one side is one within 0 hops, where a row of that side has distance 0 and another has 1: each
 * owner tells by the number which side a requested row is of, and has told the receiver once.
 * tests/graph/rows.c compares the rows with a function of their global number. */
#include "internal.h"

enum { N_SENT, N_RECEIVED };
static const cf_array sides_arrays[] = {CF_ARRAY(cf_sides, sent[CF_USERS], N_SENT, 1),
                                        CF_ARRAY(cf_sides, sent[CF_ITEMS], N_SENT, 1),
                                        CF_ARRAY(cf_sides, received[CF_USERS], N_RECEIVED, 1),
                                        CF_ARRAY(cf_sides, received[CF_ITEMS], N_RECEIVED, 1)};
enum { N_SIDES_ARRAYS = sizeof sides_arrays / sizeof *sides_arrays };

cf_status cf_graph_create_sides(const cf_graph *graph, cf_sides *out)
{
    const cf_plan *requests = &graph->halo.requests;
    const int64_t counts[] = {[N_SENT] = requests->n_recv, [N_RECEIVED] = requests->n_send};
    const int64_t n_users = cf_graph_rows(graph, CF_USERS);
    cf_sides sides = {0};
    cf_status status = cf_arrays_create(&sides, sides_arrays, N_SIDES_ARRAYS, counts);

    CF_TRY(cf_par_agree(&graph->world, status));
    for (int64_t k = 0; k < requests->n_recv; k++) {
        sides.sent[CF_USERS][k] = graph->halo.requested[k] >= n_users;
        sides.sent[CF_ITEMS][k] = graph->halo.requested[k] < n_users;
    }
    for (int side = 0; side < 2; side++)
        cf_par_reply(requests, sides.sent[side], sides.received[side], MPI_UINT8_T);
    *out = sides;
    return CF_OK;
done:
    cf_graph_destroy_sides(&sides);
    return status;
}

void cf_graph_destroy_sides(cf_sides *sides)
{
    cf_arrays_destroy(sides, sides_arrays, N_SIDES_ARRAYS);
}

halo_rows graph_halo_of_side(const cf_sides *sides, cf_side side)
{
    return (halo_rows){sides->received[side], sides->sent[side], 0};
}

void cf_graph_begin_rows(cf_graph *graph, const cf_sides *sides, cf_side side, cf_field field)
{
    graph_begin_exchange(graph, graph_halo_of_side(sides, side), field);
    graph_end_exchange(graph);
}

void cf_graph_end_rows(const cf_graph *graph)
{
    graph_meet(graph);
}

const int32_t *cf_graph_neighbours(const cf_graph *graph, cf_side side, int64_t row)
{
    const adjacency *edges = &graph->adjacency[side];

    return edges->column + edges->start[row];
}
