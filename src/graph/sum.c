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
    } else if (work->marked != NULL) {
        for (int64_t k = 0; k < n; k++) {
            list[count] = column[k];
            count += (int64_t)(work->marked[column[k] / MARK_BITS] >> column[k] % MARK_BITS & 1);
        }
    } else {
        memcpy(list, column, (size_t)n * sizeof list[0]);
        count = n;
    }
    for (int64_t k = 0; work->slot != NULL && k < count; k++)
        list[k] = work->slot[list[k]];
    return count;
}

/* Rows list[first] .. of a list, that one thread takes at once. */
typedef struct run {
    const sum_work *work;
    cf_side side;
    const int32_t *rows;
    int64_t first;
    int count; /* at most RUN_ROWS */
} run;

static cf_rows begin_visit(const cf_graph *graph, const run *r, int k, int count)
{
    return (cf_rows){.side = r->side,
                      .rows = r->rows + k,
                      .first = r->first + k,
                      .count = count < CF_ROWS_PER_CALL ? count : CF_ROWS_PER_CALL,
                      .sums = cf_graph_scratch(graph)};
}

/* Lists are read where they are: what is ahead of a row's end is the next row's. */
static void sum_in_order(const cf_graph *graph, const run *r)
{
    const sum_work *work = r->work;
    const int64_t *start = work->edges->start;

    for (int k = 0; k < r->count; k += CF_ROWS_PER_CALL) {
        const cf_rows visit = begin_visit(graph, r, k, r->count - k);

        for (int j = 0; j < visit.count; j++) {
            const int64_t e = start[visit.rows[j]];
            const columns all = {work->edges->column + e, start[visit.rows[j] + 1] - e, false};

            graph_accumulate(work->in, work->width, &all, visit.sums + j * work->width);
        }
        work->visitor(work->context, &visit);
    }
}

/* Rows `first` .. `end` - 1 of the run, whose neighbours are list[at[k]] .. list[at[k + 1] - 1]. */
static void sum_lists(const cf_graph *graph, const run *r, int first, int end, const int32_t *list,
                      const int32_t *at)
{
    const sum_work *work = r->work;

    for (int k = first; k < end; k += CF_ROWS_PER_CALL) {
        const cf_rows visit = begin_visit(graph, r, k, end - k);

        for (int j = 0; j < visit.count; j++) {
            const columns row = {list + at[k + j], at[k + j + 1] - at[k + j], false};

            graph_accumulate(work->in, work->width, &row, visit.sums + j * work->width);
        }
        work->visitor(work->context, &visit);
    }
}

/* A row of any number of neighbours, a part at a time. `list`: PICKED + LOOK_AHEAD. */
static void sum_long(const cf_graph *graph, const run *r, int k, int32_t *list)
{
    const sum_work *work = r->work;
    const int64_t end = work->edges->start[r->rows[k] + 1];
    const cf_rows visit = begin_visit(graph, r, k, 1);
    columns part = {.list = list};

    for (int64_t e = work->edges->start[r->rows[k]]; e < end; e += PICKED) {
        part.count = pick(work, e, end - e < PICKED ? end - e : PICKED, list);
        memset(list + part.count, 0, LOOK_AHEAD * sizeof list[0]);
        graph_accumulate(work->in, work->width, &part, visit.sums);
        part.goes_on = true;
    }
    work->visitor(work->context, &visit);
}

/* Neighbours of as many rows as there is room for are picked first, so that here too the next row's
 * are ahead. */
static void sum_picked(const cf_graph *graph, const run *r)
{
    const int64_t *start = r->work->edges->start;
    int32_t list[PICKED + LOOK_AHEAD], at[RUN_ROWS + 1];

    for (int first = 0, next; first < r->count; first = next) {
        at[first] = 0;
        for (next = first; next < r->count; next++) {
            const int64_t e = start[r->rows[next]], n = start[r->rows[next] + 1] - e;

            if (at[next] + n > PICKED) break;
            at[next + 1] = at[next] + (int32_t)pick(r->work, e, n, list + at[next]);
        }
        memset(list + at[next], 0, LOOK_AHEAD * sizeof list[0]);
        sum_lists(graph, r, first, next, list, at);
        if (next == first) sum_long(graph, r, next++, list);
    }
}

/* Each row is summed by one thread, so the schedule changes no result. */
void graph_sum_list(const cf_graph *graph, const sum_work *work, cf_side side, const int32_t *rows,
                    int64_t count)
{
#pragma omp parallel for schedule(dynamic)
    for (int64_t k = 0; k < count; k += RUN_ROWS) {
        const run r = {work, side, rows + k, k, (int)(count - k < RUN_ROWS ? count - k : RUN_ROWS)};

        if (work->in_order)
            sum_in_order(graph, &r);
        else
            sum_picked(graph, &r);
    }
}

static sum_work make_work(const cf_graph *graph, cf_field in, cf_side side, cf_row_fn *visitor,
                          void *context)
{
    return (sum_work){.edges = &graph->adjacency[side],
                      .in = in.rows[graph_other(side)],
                      .width = in.width,
                      .visitor = visitor,
                      .context = context};
}

/* Of the whole graph where `view` is NULL. */
void cf_graph_sum_view(cf_graph *graph, const cf_view *view, cf_field in, cf_row_fn *visitor,
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

void cf_graph_sum(cf_graph *graph, cf_field in, cf_row_fn *visitor, void *context)
{
    cf_graph_sum_view(graph, NULL, in, visitor, context);
}

void cf_graph_sum_hops(cf_graph *graph, const cf_hops *reach, cf_hop_limit within, cf_field in,
                        cf_row_fn *visitor, void *context)
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

        if (!all_neighbours && within.rows >= within.neighbours)
            work.marked =
                graph_mark_within(graph, reach, within.neighbours, graph_other((cf_side)side));
        if (all_rows)
            graph_sum_list(graph, &work, (cf_side)side, work.edges->rows, work.edges->n_rows);
        else
            graph_sum_list(graph, &work, (cf_side)side, reach->rows[side],
                           reach->count[side][within.rows]);
    }
}
