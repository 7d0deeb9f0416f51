#include "internal.h"

#include <string.h>

cf_status propagation_create(cf_graph *graph, cf_table *const table[2], int layers, double share,
                             propagation *out)
{
    cf_status status = CF_OK;

    *out = (propagation){
        .graph = graph, .table = {table[0], table[1]}, .layers = layers, .share = share};
    if (layers == 0) return CF_OK;
    CF_TRY(cf_graph_create_field(graph, table[0]->width, &out->field[0]));
    CF_TRY(cf_graph_create_field(graph, table[0]->width, &out->field[1]));
    CF_TRY(cf_graph_create_hops(graph, layers, &out->reach));
done:
    return status;
}

void propagation_destroy(propagation *p)
{
    cf_graph_destroy_field(&p->field[0]);
    cf_graph_destroy_field(&p->field[1]);
    cf_graph_destroy_hops(&p->reach);
}

void propagation_swap(propagation *p)
{
    const cf_field current = p->field[0];

    p->field[0] = p->field[1];
    p->field[1] = current;
}

/* out = (a + s * sum) * factor, for a row of `width` numbers; `a` may be NULL for zeros. */
static void finish_row(float *out, const float *a, float s, const float *sum, float factor,
                       int64_t width)
{
    const cf_lanes scale = cf_lanes_all(s), times = cf_lanes_all(factor);

    for (int64_t k = 0; k < width; k += CF_LANES) {
        const cf_lanes first = a != NULL ? cf_lanes_load(a + k) : cf_lanes_all(0.0f);

        cf_lanes_store(out + k, cf_lanes_fma(scale, cf_lanes_load(sum + k), first) * times);
    }
}

/* ---- Forward ---- */

/* out = s in, of one row */
static void scale_row(float *out, const float *in, float s, int64_t width)
{
    for (int64_t k = 0; k < width; k += CF_LANES)
        cf_lanes_store(out + k, cf_lanes_load(in + k) * cf_lanes_all(s));
}

/* G_L = S E0, of the rows within L steps */
static void scale_table(propagation *p)
{
    const bool all = p->layers > p->reach.depth;

    for (int side = 0; side < 2; side++) {
        const float *scale = cf_graph_scale(p->graph, (cf_side)side), *table = p->table[side]->data;
        const int64_t width = p->table[side]->width;
        const int64_t n = all ? p->table[side]->local_rows : p->reach.count[side][p->layers];
        float *out = p->field[0].rows[side];

#pragma omp parallel for schedule(static)
        for (int64_t k = 0; k < n; k++) {
            const int64_t row = all ? k : p->reach.rows[side][k];

            scale_row(out + row * width, table + row * width, scale[row], width);
        }
    }
}

/* G_k = S (E0 + S sum(G_{k+1})) into the next field */
static void visit_layer(void *context, const cf_rows *visit)
{
    const propagation *p = context;
    const float *scale = cf_graph_scale(p->graph, visit->side),
                *table = p->table[visit->side]->data;
    const int64_t width = p->table[visit->side]->width;

    for (int k = 0; k < visit->count; k++) {
        const float *e0 = table + visit->rows[k] * width;
        float *out = p->field[1].rows[visit->side] + visit->rows[k] * width;
        const float s = scale[visit->rows[k]];

        cf_lanes_prefetch(e0 + CF_ROWS_AHEAD * width, width);
        cf_lanes_prefetch(out + CF_ROWS_AHEAD * width, width);
        finish_row(out, e0, s, visit->sums + k * width, s, width);
    }
}

/* G_1, of the rows within a step, by way of G_k within k steps. */
static void compute_layers(propagation *p)
{
    scale_table(p);
    for (int layer = p->layers - 1; layer >= 1; layer--) {
        cf_graph_sum_hops(p->graph, &p->reach, (cf_hop_limit){layer, layer + 1}, p->field[0],
                           visit_layer, p);
        propagation_swap(p);
    }
}

/* Where rows of F go: entry k of the list to row k, or, with in_place, each row to its own. */
typedef struct final_rows {
    const propagation *p;
    float *out[2];
    bool in_place;
} final_rows;

/* F = (E0 + S sum(G_1)) / (L + 1) */
static void visit_final(void *context, const cf_rows *visit)
{
    const final_rows *target = context;
    const propagation *p = target->p;
    const float *scale = cf_graph_scale(p->graph, visit->side),
                *table = p->table[visit->side]->data;
    const int64_t width = p->table[visit->side]->width;

    for (int k = 0; k < visit->count; k++) {
        const int64_t row = visit->rows[k], place = target->in_place ? row : visit->first + k;

        finish_row(target->out[visit->side] + place * width, table + row * width, scale[row],
                   visit->sums + k * width, 1.0f / (float)(p->layers + 1), width);
    }
}

static void copy_rows(const propagation *p, int32_t *const rows[2], const int64_t count[2],
                      float *const out[2])
{
    for (int side = 0; side < 2; side++) {
        const int64_t width = p->table[side]->width;

        for (int64_t k = 0; k < count[side]; k++)
            memcpy(out[side] + k * width, p->table[side]->data + rows[side][k] * width,
                   (size_t)width * sizeof(float));
    }
}

void propagation_rows(propagation *p, int32_t *const rows[2], const int64_t count[2],
                      float *const out[2])
{
    final_rows target = {.p = p, .out = {out[0], out[1]}};

    if (p->layers == 0) {
        copy_rows(p, rows, count, out);
        return;
    }
    cf_graph_find_hops(p->graph, rows, count, p->share, &p->reach);
    compute_layers(p);
    cf_graph_sum_hops(p->graph, &p->reach, (cf_hop_limit){0, 1}, p->field[0], visit_final, &target);
}

void propagation_all(propagation *p, float *out[2])
{
    final_rows target = {.p = p, .in_place = true};

    if (p->layers > 0) {
        p->reach.depth = 0;
        compute_layers(p);
    }
    for (int side = 0; side < 2; side++)
        out[side] = target.out[side] =
            p->layers > 0 ? p->field[1].rows[side] : p->table[side]->data;
    if (p->layers > 0) cf_graph_sum(p->graph, p->field[0], visit_final, &target);
}

/* ---- Backward ---- */

typedef struct backward {
    propagation *p;
    const gradient *g;
    const cf_gradient_consumer *sink;
} backward;

/* Row of g, or NULL where it is zero. */
static const float *gradient_row(const gradient *g, cf_side side, int64_t row)
{
    const int32_t slot = g->scaled.slot[side][row];

    return slot < 0 ? NULL : g->values[side] + slot * g->scaled.width;
}

/* S (g + S sum) into the next field */
static void visit_back_layer(void *context, const cf_rows *visit)
{
    const backward *b = context;
    const int64_t width = b->g->scaled.width;
    const float *scale = cf_graph_scale(b->p->graph, visit->side);

    for (int k = 0; k < visit->count; k++) {
        const int64_t row = visit->rows[k];
        float *out = b->p->field[1].rows[visit->side] + row * width;

        cf_lanes_prefetch(out + CF_ROWS_AHEAD * width, width);
        finish_row(out, gradient_row(b->g, visit->side, row), scale[row], visit->sums + k * width,
                   scale[row], width);
    }
}

/* out += more, where there is more. */
static void add_more(const backward *b, cf_side side, int64_t row, float *out)
{
    const int64_t width = b->g->scaled.width;

    if (b->g->more[side] == NULL) return;
    for (int64_t k = 0; k < width; k += CF_LANES)
        cf_lanes_store(out + k,
                       cf_lanes_load(out + k) + cf_lanes_load(b->g->more[side] + row * width + k));
}

/* The raw row's own part: out += decay * raw row, where the row is in the batch. */
static void add_decay(const backward *b, cf_side side, int64_t row, float *out)
{
    const int32_t slot = b->g->scaled.slot[side][row];
    const int64_t width = b->g->scaled.width;
    const float *raw = b->p->table[side]->data + row * width;

    if (slot < 0 || b->g->decay[side][slot] == 0.0f) return;
    for (int64_t k = 0; k < width; k += CF_LANES)
        cf_lanes_store(out + k, cf_lanes_fma(cf_lanes_all(b->g->decay[side][slot]),
                                             cf_lanes_load(raw + k), cf_lanes_load(out + k)));
}

/* (g + S sum) / (L + 1), and the row is finished: over to the sink. */
static void visit_back_last(void *context, const cf_rows *visit)
{
    const backward *b = context;
    const int64_t width = b->g->scaled.width;
    const float *scale = cf_graph_scale(b->p->graph, visit->side);

    for (int k = 0; k < visit->count; k++) {
        const int64_t row = visit->rows[k];
        float *sum = visit->sums + k * width;

        finish_row(sum, gradient_row(b->g, visit->side, row), scale[row], sum,
                   1.0f / (float)(b->p->layers + 1), width);
        add_more(b, visit->side, row, sum);
        add_decay(b, visit->side, row, sum);
    }
    b->sink->take(b->sink->context, visit->side, visit->rows, visit->count, visit->sums);
}

/* Without layers there are no sums: every row is its own gradient row or zero. */
static void visit_rows(backward *b)
{
    const int64_t width = b->g->scaled.width;

    for (int side = 0; side < 2; side++) {
        const int64_t n = cf_graph_rows(b->p->graph, (cf_side)side);

#pragma omp parallel for schedule(static)
        for (int64_t first = 0; first < n; first += CF_ROWS_PER_CALL) {
            int32_t rows[CF_ROWS_PER_CALL];
            cf_rows visit = {.side = (cf_side)side,
                              .rows = rows,
                              .first = first,
                              .count = (int)(n - first < CF_ROWS_PER_CALL ? n - first : CF_ROWS_PER_CALL),
                              .sums = cf_graph_scratch(b->p->graph)};

            for (int k = 0; k < visit.count; k++)
                rows[k] = (int32_t)(first + k);
            memset(visit.sums, 0, (size_t)(visit.count * width) * sizeof(float));
            visit_back_last(b, &visit);
        }
    }
}

void propagation_back(propagation *p, gradient *g, const cf_gradient_consumer *sink)
{
    backward b = {.p = p, .g = g, .sink = sink};

    cf_graph_open_sparse(&g->scaled);
    if (p->layers > 0) cf_graph_exchange_sparse(p->graph, &g->scaled);
    if (p->layers == 0) {
        visit_rows(&b);
    } else if (p->layers == 1) {
        cf_graph_sum_sparse(p->graph, &p->reach, CF_ALL_HOPS, &g->scaled, visit_back_last, &b);
    } else {
        cf_graph_sum_sparse(p->graph, &p->reach, 1, &g->scaled, visit_back_layer, &b);
        propagation_swap(p);
        for (int layer = 2; layer < p->layers; layer++) {
            cf_graph_sum_hops(p->graph, &p->reach, (cf_hop_limit){layer, layer - 1}, p->field[0],
                               visit_back_layer, &b);
            propagation_swap(p);
        }
        cf_graph_sum_hops(p->graph, &p->reach, (cf_hop_limit){CF_ALL_HOPS, p->layers - 1},
                           p->field[0], visit_back_last, &b);
    }
    cf_graph_close_sparse(&g->scaled);
}
