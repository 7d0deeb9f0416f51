#include "internal.h"

#include <string.h>

/* Those of n neighbours, from edge e on, that are summed. Without a branch an edge, that would be
 * mispredicted too often. `list` has room for n. */
static int64_t pick(const sum_work *work, int64_t e, int64_t n, int32_t *list)
{
    const int32_t *column = work->edges->column + e;
    int64_t count = 0;

    if (work->kept != NULL) {
        for (int64_t k = 0; k < n; k++) {
            list[count] = column[k];
            count += work->kept[e + k];
        }
    } else if (work->steps != NULL) {
        for (int64_t k = 0; k < n; k++) {
            list[count] = column[k];
            count += work->steps[column[k]] <= work->within;
        }
    } else if (work->slot != NULL) {
        for (int64_t k = 0; k < n; k++) {
            list[count] = work->slot[column[k]];
            count += list[count] >= 0;
        }
    } else {
        memcpy(list, column, (size_t)n * sizeof list[0]);
        count = n;
    }
    return count;
}

/* A row of any number of neighbours, a part at a time. `list`: PICKED + LOOK_AHEAD. */
static void sum_long(const sum_work *work, int64_t e, int64_t end, int32_t *list, float *out)
{
    columns part = {.list = list};

    for (; e < end; e += PICKED) {
        part.count = pick(work, e, end - e < PICKED ? end - e : PICKED, list);
        memset(list + part.count, 0, LOOK_AHEAD * sizeof list[0]);
        graph_accumulate(work->in, work->width, &part, out);
        part.goes_on = true;
    }
}

/* Neighbours of as many rows as there is room for are picked first: then what is ahead of a row's
 * end is the next row's. */
static void sum_picked(const sum_work *work, const cf_visit *visit)
{
    const int64_t *start = work->edges->start;
    int32_t list[PICKED + LOOK_AHEAD];
    int64_t at[CF_VISIT_ROWS + 1] = {0};

    for (int first = 0, next; first < visit->count; first = next) {
        for (next = first; next < visit->count; next++) {
            const int64_t e = start[visit->rows[next]], n = start[visit->rows[next] + 1] - e;

            if (at[next - first] + n > PICKED) break;
            at[next - first + 1] = at[next - first] + pick(work, e, n, list + at[next - first]);
        }
        memset(list + at[next - first], 0, LOOK_AHEAD * sizeof list[0]);
        for (int k = first; k < next; k++) {
            const columns row = {list + at[k - first], at[k - first + 1] - at[k - first], false};

            graph_accumulate(work->in, work->width, &row, visit->sums + k * work->width);
        }
        if (next > first) continue;
        sum_long(work, start[visit->rows[first]], start[visit->rows[first] + 1], list,
                 visit->sums + first * work->width);
        next++;
    }
}

static void sum_visit(const sum_work *work, cf_visit visit)
{
    const int64_t *start = work->edges->start;

    if (!work->in_order) sum_picked(work, &visit);
    for (int k = 0; work->in_order && k < visit.count; k++) {
        const int64_t e = start[visit.rows[k]];
        const columns all = {work->edges->column + e, start[visit.rows[k] + 1] - e, false};

        graph_accumulate(work->in, work->width, &all, visit.sums + k * work->width);
    }
    work->visitor(work->context, &visit);
}

/* Each row is summed by one thread, so the schedule changes no result. */
void graph_sum_list(const cf_graph *graph, const sum_work *work, cf_side side, const int32_t *rows,
                    int64_t count)
{
#pragma omp parallel for schedule(dynamic, VISITS_AT_ONCE)
    for (int64_t k = 0; k < count; k += CF_VISIT_ROWS) {
        int64_t left = count - k;

        sum_visit(work, (cf_visit){.side = side,
                                   .rows = rows + k,
                                   .first = k,
                                   .count = (int)(left < CF_VISIT_ROWS ? left : CF_VISIT_ROWS),
                                   .sums = cf_graph_scratch(graph)});
    }
}

static sum_work make_work(const cf_graph *graph, cf_field in, cf_side side, cf_visitor *visitor,
                          void *context)
{
    return (sum_work){.edges = &graph->adjacency[side],
                      .in = in.rows[graph_other(side)],
                      .width = in.width,
                      .visitor = visitor,
                      .context = context};
}

/* Of the whole graph where `view` is NULL. */
void cf_graph_sum_view(cf_graph *graph, const cf_view *view, cf_field in, cf_visitor *visitor,
                       void *context)
{
    sum_work work[2];

    graph_begin_exchange(graph, in);
    for (int side = 0; side < 2; side++) {
        work[side] = make_work(graph, in, (cf_side)side, visitor, context);
        work[side].in_order = view == NULL;
        if (view != NULL) work[side].kept = view->kept[side];
        graph_sum_list(graph, &work[side], (cf_side)side, work[side].edges->rows,
                       work[side].edges->n_interior);
    }
    graph_end_exchange(graph);
    for (int side = 0; side < 2; side++) {
        const int64_t n_interior = work[side].edges->n_interior;

        graph_sum_list(graph, &work[side], (cf_side)side, work[side].edges->rows + n_interior,
                       work[side].edges->n_rows - n_interior);
    }
}

void cf_graph_sum(cf_graph *graph, cf_field in, cf_visitor *visitor, void *context)
{
    cf_graph_sum_view(graph, NULL, in, visitor, context);
}

void cf_graph_sum_reach(cf_graph *graph, const cf_reach *reach, cf_within within, cf_field in,
                        cf_visitor *visitor, void *context)
{
    const bool all_rows = within.rows > reach->depth,
               all_neighbours = within.neighbours > reach->depth;

    if (all_rows && all_neighbours) {
        cf_graph_sum(graph, in, visitor, context);
        return;
    }
    graph_exchange_within(graph, reach, within.neighbours, in);
    for (int side = 0; side < 2; side++) {
        sum_work work = make_work(graph, in, (cf_side)side, visitor, context);

        if (!all_neighbours && within.rows >= within.neighbours) {
            work.steps = reach->steps[graph_other((cf_side)side)];
            work.within = within.neighbours;
        }
        if (all_rows)
            graph_sum_list(graph, &work, (cf_side)side, work.edges->rows, work.edges->n_rows);
        else
            graph_sum_list(graph, &work, (cf_side)side, reach->rows[side],
                           reach->count[side][within.rows]);
    }
}
