/* Sums over neighbours: for rows of one side, the sum of the rows of their neighbours in a field of
 * the other side, handed to a callback a few rows at a time.
 *
 * Neighbours are added in ascending global order, a row by one thread, so neither blocks nor
 * threads change a bit. While the halo is on its way, interior rows are summed. Where only some
 * neighbours count (a view, a k-hop neighbourhood, a sparse field), they are first picked into a
 * list. tests/graph/sum.c adds the same rows in a plain loop. */
#include "internal.h"
#include "stream.h"

#include <omp.h>
#include <string.h>

/* Those of n neighbours, from edge e on, that are summed, into `list`, which has room for n. Every
 * neighbour is written and the count grows by 0 or 1: a branch on each edge would be mispredicted
 * too often. */
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
    for (int64_t k = 0; work->index != NULL && k < count; k++)
        list[k] = work->index[list[k]];
    return count;
}

/* Rows that one thread takes at once, and which of the work's rows they are. */
typedef struct chunk {
    const sum_work *work;
    int count;
    int32_t rows[CHUNK_ROWS], entries[CHUNK_ROWS];
} chunk;

/* The chosen ones among the work's rows from `first` on. */
static void fill_chunk(const sum_work *work, row_choice choice, int64_t first, chunk *out)
{
    const int n = (int)cf_min(work->count - first, CHUNK_ROWS);

    out->work = work;
    out->count = n;
    for (int k = 0; k < n; k++) {
        out->entries[k] = (int32_t)first + k;
        out->rows[k] = work->rows != NULL ? work->rows[first + k] : out->entries[k];
    }
    if (choice == ALL_ROWS) return;
    out->count = 0;
    for (int k = 0; k < n; k++) {
        out->rows[out->count] = out->rows[k];
        out->entries[out->count] = out->entries[k];
        out->count += work->edges->waits[out->rows[k]] == choice;
    }
}

/* The next rows of a chunk for one call, with the thread's scratch for their sums. */
static cf_rows next_call(const cf_graph *graph, const chunk *c, int k, int count)
{
    return (cf_rows){.side = c->work->side,
                     .rows = c->rows + k,
                     .entries = c->entries + k,
                     .count = (int)cf_min(count, CF_ROWS_PER_CALL),
                     .sums = cf_graph_scratch(graph)};
}

/* All neighbours count: lists are read in place, and what lies beyond a row's last neighbour, for
 * the prefetch, are those of the next row. */
static void sum_in_order(const cf_graph *graph, const chunk *c)
{
    const sum_work *work = c->work;
    const int64_t *start = work->edges->start;

    for (int k = 0; k < c->count; k += CF_ROWS_PER_CALL) {
        const cf_rows rows = next_call(graph, c, k, c->count - k);

        for (int j = 0; j < rows.count; j++) {
            const int64_t e = start[rows.rows[j]];
            const columns all = {work->edges->column + e, start[rows.rows[j] + 1] - e, false};

            graph_accumulate(work, &all, rows.sums + j * work->kind.width);
        }
        work->callback(work->context, &rows);
    }
}

/* Rows `first` .. `end` - 1 of the chunk, whose picked neighbours are list[at[k]] ..
 * list[at[k + 1] - 1]. */
static void sum_lists(const cf_graph *graph, const chunk *c, int first, int end,
                      const int32_t *list, const int32_t *at)
{
    const sum_work *work = c->work;

    for (int k = first; k < end; k += CF_ROWS_PER_CALL) {
        const cf_rows rows = next_call(graph, c, k, end - k);

        for (int j = 0; j < rows.count; j++) {
            const columns row = {list + at[k + j], at[k + j + 1] - at[k + j], false};

            graph_accumulate(work, &row, rows.sums + j * work->kind.width);
        }
        work->callback(work->context, &rows);
    }
}

/* A row with more neighbours than the list holds: a part at a time, each continuing the sum of the
 * one before. list: PICKED + LOOK_AHEAD. */
static void sum_long(const cf_graph *graph, const chunk *c, int k, int32_t *list)
{
    const sum_work *work = c->work;
    const int64_t end = work->edges->start[c->rows[k] + 1];
    const cf_rows rows = next_call(graph, c, k, 1);
    columns part = {.list = list};

    for (int64_t e = work->edges->start[c->rows[k]]; e < end; e += PICKED) {
        part.count = pick(work, e, cf_min(end - e, PICKED), list);
        memset(list + part.count, 0, LOOK_AHEAD * sizeof list[0]);
        graph_accumulate(work, &part, rows.sums);
        part.continues = true;
    }
    work->callback(work->context, &rows);
}

/* Only some neighbours count: those of several rows are picked first, as many as the list holds, so
 * that here too the prefetch sees the next row's. */
static void sum_picked(const cf_graph *graph, const chunk *c)
{
    const int64_t *start = c->work->edges->start;
    int32_t list[PICKED + LOOK_AHEAD], at[CHUNK_ROWS + 1];

    for (int first = 0, next; first < c->count; first = next) {
        at[first] = 0;
        for (next = first; next < c->count; next++) {
            const int64_t e = start[c->rows[next]], n = start[c->rows[next] + 1] - e;

            if (at[next] + n > PICKED) break;
            at[next + 1] = at[next] + (int32_t)pick(c->work, e, n, list + at[next]);
        }
        memset(list + at[next], 0, LOOK_AHEAD * sizeof list[0]);
        sum_lists(graph, c, first, next, list, at);
        if (next == first) sum_long(graph, c, next++, list);
    }
}

static void sum_chunk(const cf_graph *graph, const chunk *c)
{
    if (c->work->in_order)
        sum_in_order(graph, c);
    else
        sum_picked(graph, c);
}

/* A thread goes through a part of the rows of its own, so that its near caches keep what rows one
 * after the other have in common, and then helps the others. Each row is summed by one thread, so
 * who takes it changes no result. */
void graph_sum_rows(const cf_graph *graph, const sum_work *work, row_choice choice)
{
    const int64_t n_chunks = cf_ceil_div(work->count, CHUNK_ROWS);
    const int n_parts = graph->n_threads;

    for (int p = 0; p < n_parts; p++)
        graph->parts[p] = (list_part){cf_par_even_start(n_chunks, n_parts, p),
                                      cf_par_even_start(n_chunks, n_parts, p + 1)};
#pragma omp parallel
    {
        for (int p = 0; p < n_parts; p++) {
            list_part *part = &graph->parts[(omp_get_thread_num() + p) % n_parts];
            int64_t k;

            while ((k = __atomic_fetch_add(&part->next, 1, __ATOMIC_RELAXED)) < part->end) {
                chunk c;

                fill_chunk(work, choice, k * CHUNK_ROWS, &c);
                sum_chunk(graph, &c);
            }
        }
        stream_end(); /* callbacks may have written rows */
    }
}

/* All rows of a side. */
static sum_work sum_of(const cf_graph *graph, cf_field in, cf_side side, cf_row_fn *callback,
                       void *context)
{
    const adjacency *edges = &graph->adjacency[side];

    return (sum_work){.side = side,
                      .count = edges->n_rows,
                      .edges = edges,
                      .in = in.places.data,
                      .kind = in.kind,
                      .callback = callback,
                      .context = context};
}

/* Interior rows are summed between the beginning and the end of the exchange. */
static void sum_and_meet(cf_graph *graph, const sum_work sums[2])
{
    for (int side = 0; side < 2; side++)
        graph_sum_rows(graph, &sums[side], INTERIOR_ROWS);
    graph_end_exchange(graph);
    for (int side = 0; side < 2 && graph->halo.count > 0; side++)
        graph_sum_rows(graph, &sums[side], BOUNDARY_ROWS);
    graph_meet(graph);
}

/* Over the whole graph where `view` is NULL. */
void cf_graph_sum_view(cf_graph *graph, const cf_view *view, cf_field in, cf_row_fn *callback,
                       void *context)
{
    sum_work sums[2];

    graph_begin_exchange(graph, (halo_rows){0}, in);
    for (int side = 0; side < 2; side++) {
        sums[side] = sum_of(graph, in, (cf_side)side, callback, context);
        sums[side].in_order = view == NULL;
        if (view != NULL) sums[side].kept = view->kept[side];
    }
    sum_and_meet(graph, sums);
}

void cf_graph_sum(cf_graph *graph, cf_field in, cf_row_fn *callback, void *context)
{
    cf_graph_sum_view(graph, NULL, in, callback, context);
}

/* Rows of the other side, which are all that is read, are exchanged. */
void cf_graph_sum_side(cf_graph *graph, const cf_sides *sides, cf_side side, cf_field in,
                       cf_row_fn *callback, void *context)
{
    sum_work sums[2];

    graph_begin_exchange(graph, graph_halo_of_side(sides, graph_other(side)), in);
    for (int s = 0; s < 2; s++) {
        sums[s] = sum_of(graph, in, (cf_side)s, callback, context);
        sums[s].in_order = true;
    }
    sums[graph_other(side)].count = 0;
    sum_and_meet(graph, sums);
}

/* Neighbours need no marks where the limit of rows is below that of neighbours: all neighbours of
 * such rows are then within it. Marks are set before the ranks of the node meet. */
void cf_graph_sum_hops(cf_graph *graph, const cf_hops *hops, cf_hop_limit limit, cf_field in,
                       cf_row_fn *callback, void *context)
{
    const bool all_rows = limit.rows > hops->n_hops,
               all_neighbours = limit.neighbours > hops->n_hops,
               some_marked = !all_neighbours && limit.rows >= limit.neighbours;
    sum_work sums[2];

    if (all_rows && all_neighbours) {
        cf_graph_sum(graph, in, callback, context);
        return;
    }
    if (some_marked) graph_mark_within(graph, hops, limit.neighbours);
    for (int side = 0; side < 2; side++) {
        sums[side] = sum_of(graph, in, (cf_side)side, callback, context);
        if (some_marked) sums[side].marked = hops->marked.data;
        if (all_rows) continue;
        sums[side].rows = hops->rows[side];
        sums[side].count = hops->count[side][limit.rows];
    }
    graph_begin_exchange(graph, graph_halo_within(graph, hops, limit), in);
    sum_and_meet(graph, sums);
}
