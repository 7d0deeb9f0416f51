#include "internal.h"

#include <string.h>

/* A visit's rows and what is needed to sum them. */
typedef struct sum_work {
    const adjacency *edges;
    const uint8_t *kept; /* of the edges; NULL: all */
    const float *in;     /* the other side's rows */
    int64_t width;
    cf_visitor *visitor;
    void *context;
} sum_work;

/* The neighbours that are kept are gathered into a short list first: a branch an edge would be
 * mispredicted too often. */
static void sum_kept(const sum_work *work, int64_t e, int64_t count, float *out)
{
    int32_t list[COMPACT + LOOK_AHEAD];
    columns kept = {.list = list};

    do {
        const int64_t n = count < COMPACT ? count : COMPACT;

        kept.count = 0;
        for (int64_t k = e; k < e + n; k++) {
            list[kept.count] = work->edges->column[k];
            kept.count += work->kept[k];
        }
        memset(list + kept.count, 0, LOOK_AHEAD * sizeof list[0]);
        graph_accumulate(work->in, work->width, &kept, out);
        kept.goes_on = true;
        e += n;
        count -= n;
    } while (count > 0);
}

static void sum_visit(const sum_work *work, cf_visit visit)
{
    const int64_t *start = work->edges->start;

    for (int k = 0; k < visit.count; k++) {
        const int64_t e = start[visit.rows[k]], count = start[visit.rows[k] + 1] - e;
        const columns all = {work->edges->column + e, count, false};

        if (work->kept != NULL)
            sum_kept(work, e, count, visit.sums + k * work->width);
        else
            graph_accumulate(work->in, work->width, &all, visit.sums + k * work->width);
    }
    work->visitor(work->context, &visit);
}

/* Each row is summed by one thread, so the schedule changes no result. */
static void sum_list(const cf_graph *graph, const sum_work *work, cf_side side, const int32_t *rows,
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
        if (view != NULL) work[side].kept = view->kept[side];
        sum_list(graph, &work[side], (cf_side)side, work[side].edges->rows,
                 work[side].edges->n_interior);
    }
    graph_end_exchange(graph);
    for (int side = 0; side < 2; side++) {
        const int64_t n_interior = work[side].edges->n_interior;

        sum_list(graph, &work[side], (cf_side)side, work[side].edges->rows + n_interior,
                 work[side].edges->n_rows - n_interior);
    }
}

void cf_graph_sum(cf_graph *graph, cf_field in, cf_visitor *visitor, void *context)
{
    cf_graph_sum_view(graph, NULL, in, visitor, context);
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
