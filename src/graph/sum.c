#include "internal.h"

/* A visit's rows and what is needed to sum them. */
typedef struct sum_work {
    const adjacency *edges;
    const float *in; /* the other side's rows */
    int64_t width;
    cf_visitor *visitor;
    void *context;
} sum_work;

static void sum_visit(const sum_work *work, cf_visit visit)
{
    const int64_t *start = work->edges->start;

    for (int k = 0; k < visit.count; k++) {
        const int64_t e = start[visit.rows[k]];
        const columns neighbours = {work->edges->column + e, start[visit.rows[k] + 1] - e, false};

        graph_accumulate(work->in, work->width, &neighbours, visit.sums + k * work->width);
    }
    work->visitor(work->context, &visit);
}

/* Each row is summed by one thread, so the schedule changes no result. */
static void sum_list(const cf_graph *graph, const sum_work *work, cf_side side, const int32_t *rows,
                     int64_t count)
{
#pragma omp parallel for schedule(dynamic, 4)
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

void cf_graph_sum(cf_graph *graph, cf_field in, cf_visitor *visitor, void *context)
{
    graph_begin_exchange(graph, in);
    for (int side = 0; side < 2; side++) {
        sum_work work = make_work(graph, in, (cf_side)side, visitor, context);

        sum_list(graph, &work, (cf_side)side, work.edges->rows, work.edges->n_interior);
    }
    graph_end_exchange(graph);
    for (int side = 0; side < 2; side++) {
        sum_work work = make_work(graph, in, (cf_side)side, visitor, context);
        const int64_t n_interior = work.edges->n_interior;

        sum_list(graph, &work, (cf_side)side, work.edges->rows + n_interior,
                 work.edges->n_rows - n_interior);
    }
}

void cf_graph_sum_rows(cf_graph *graph, cf_field in, int32_t *const rows[2], const int64_t count[2],
                       cf_visitor *visitor, void *context)
{
    graph_begin_exchange(graph, in);
    graph_end_exchange(graph);
    for (int side = 0; side < 2; side++) {
        sum_work work = make_work(graph, in, (cf_side)side, visitor, context);

        sum_list(graph, &work, (cf_side)side, rows[side], count[side]);
    }
}
