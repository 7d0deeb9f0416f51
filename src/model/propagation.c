/* Propagation of LightGCN (He et al. 2020), by Horner's rule.
 *
 * Forward (eq. 7-8 there, with all weights 1 / (L+1)):
 *     F = 1/(L+1) sum_{k=0..L} A^^k E0 = H_0 / (L+1),    H_L = E0,    H_k = E0 + A^ H_{k+1},
 * so L sums over neighbours do it, and no power but the current one is held. With S = D^-1/2 and
 * A^ = S A S, the fields hold G_k = S H_k: then A^ H_{k+1} = S (A G_{k+1}) is a plain sum over
 * neighbours, and no edge needs a weight.
 *
 * Backward: F is linear and symmetric in A^, so the gradient with respect to E0 is the same
 * polynomial of g = dloss / dF. It starts from the few rows of the batch (a cf_sparse), reaches one
 * hop further with each layer, and finishes each row in the last layer: the consumer takes it while
 * it is in the cache.
 *
 * Tables and fields are rows x width, a rank's block and slice. Row r of F depends on G_k within k
 * hops of r only, which is all that propagation_rows() computes while few rows are near. The tests
 * compute A^^k E0 in plain doubles, and gradients by central differences. */
#include "propagation.h"

#include <string.h>

cf_status propagation_create(cf_graph *graph, cf_table *const table[2], int n_layers,
                             const cf_model_options *options, propagation *out)
{
    const cf_row_kind kind = {table[0]->width, options->field_precision};
    cf_status status = CF_OK;

    *out = (propagation){.graph = graph,
                         .table = {table[0], table[1]},
                         .n_layers = n_layers,
                         .max_edge_fraction = options->max_edge_fraction};
    if (n_layers == 0) return CF_OK;
    for (int k = 0; k < 2; k++)
        CF_TRY(cf_graph_create_field(graph, kind, &out->field[k]));
    CF_TRY(cf_graph_create_hops(graph, n_layers, &out->hops));
    for (int side = 0; side < 2 && kind.precision != CF_FLOAT32; side++)
        CF_TRY(CF_ALLOC(out->final[side], table[side]->local_rows * kind.width));
done:
    return status;
}

void propagation_destroy(propagation *p)
{
    for (int k = 0; k < 2; k++) {
        cf_graph_destroy_field(&p->field[k]);
        cf_free(&p->final[k]);
    }
    cf_graph_destroy_hops(&p->hops);
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
    const cf_vector scale = cf_vector_all(s), times = cf_vector_all(factor);

    for (int64_t k = 0; k < width; k += CF_VECTOR) {
        const cf_vector first = a != NULL ? cf_vector_load(a + k) : cf_vector_all(0.0f);

        cf_vector_store(out + k, cf_vector_fma(scale, cf_vector_load(sum + k), first) * times);
    }
}

/* ---- Forward ---- */

/* G_L = S E0, in the rows within L hops of the batch. If the neighbourhood ends before L hops, the
 * layers need all rows. */
static void scale_table(propagation *p)
{
    const bool all = p->n_layers > p->hops.n_hops;

    for (int side = 0; side < 2; side++) {
        const cf_scaled_rows rows = {.rows = all ? NULL : p->hops.rows[side],
                                     .count = all ? p->table[side]->local_rows
                                                  : p->hops.count[side][p->n_layers],
                                     .values = p->table[side]->data,
                                     .factor = cf_graph_scale(p->graph, (cf_side)side)};

        cf_graph_write_rows(&p->field[0], (cf_side)side, &rows);
    }
}

/* S h into a row of the next field, h = a + S sum, which overwrites the sum, as a row callback may;
 * `a` may be NULL for zeros. */
static void finish_layer_row(const propagation *p, const cf_rows *rows, int k, const float *a)
{
    const cf_field *next = &p->field[1];
    const int64_t row = rows->rows[k], width = next->kind.width;
    const float s = cf_graph_scale(p->graph, rows->side)[row];
    float *sum = rows->sums + k * width;

    finish_row(sum, a, s, sum, 1.0f, width);
    cf_graph_write_row(next, rows->side, row, sum, s);
}

/* G_k = S (E0 + S sum(G_{k+1})) into the next field */
static void forward_layer(void *context, const cf_rows *rows)
{
    const propagation *p = context;
    const cf_table *table = p->table[rows->side];

    for (int k = 0; k < rows->count; k++) {
        const float *e0 = table->data + rows->rows[k] * table->width;

        cf_lanes_prefetch(e0 + CF_ROWS_AHEAD * table->width, table->width);
        finish_layer_row(p, rows, k, e0);
    }
}

/* G_1 in the rows within one hop of the batch, from G_k within k hops for k = L .. 2. */
static void compute_layers(propagation *p)
{
    scale_table(p);
    for (int layer = p->n_layers - 1; layer >= 1; layer--) {
        cf_graph_sum_hops(p->graph, &p->hops, (cf_hop_limit){layer, layer + 1}, p->field[0],
                          forward_layer, p);
        propagation_swap(p);
    }
}

/* Where rows of F go: the k-th of the list to row k of `out`, or, with in_place, row r to row r. */
typedef struct final_rows {
    const propagation *p;
    float *out[2];
    bool in_place;
} final_rows;

/* F = (E0 + S sum(G_1)) / (L + 1) */
static void forward_last(void *context, const cf_rows *rows)
{
    const final_rows *target = context;
    const propagation *p = target->p;
    const float *scale = cf_graph_scale(p->graph, rows->side), *table = p->table[rows->side]->data;
    const int64_t width = p->table[rows->side]->width;

    for (int k = 0; k < rows->count; k++) {
        const int64_t row = rows->rows[k], to = target->in_place ? row : rows->entries[k];

        finish_row(target->out[rows->side] + to * width, table + row * width, scale[row],
                   rows->sums + k * width, 1.0f / (float)(p->n_layers + 1), width);
    }
}

/* With L = 0, F = E0. */
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

    if (p->n_layers == 0) {
        copy_rows(p, rows, count, out);
        return;
    }
    cf_graph_find_hops(p->graph, rows, count, p->max_edge_fraction, &p->hops);
    compute_layers(p);
    cf_graph_sum_hops(p->graph, &p->hops, (cf_hop_limit){0, 1}, p->field[0], forward_last, &target);
}

void propagation_all(propagation *p, float *out[2])
{
    final_rows target = {.p = p, .in_place = true};

    if (p->n_layers > 0) {
        p->hops.n_hops = 0; /* no neighbourhood: all rows */
        compute_layers(p);
    }
    for (int side = 0; side < 2; side++) {
        float *in_field = p->final[side] != NULL ? p->final[side] : p->field[1].rows[side];

        out[side] = target.out[side] = p->n_layers > 0 ? in_field : p->table[side]->data;
    }
    if (p->n_layers > 0) cf_graph_sum(p->graph, p->field[0], forward_last, &target);
}

/* The rows of users alone. */
static void forward_users(void *context, const cf_rows *rows)
{
    if (rows->side == CF_USERS) forward_last(context, rows);
}

/* G_1 of the items is in the current field, where propagation_all() left it. A row is read and
 * written at one place. */
void propagation_fold_in(const propagation *p, cf_graph *graph, cf_field field, cf_table *users)
{
    const cf_table *items = p->table[CF_ITEMS];
    const propagation others = {
        .graph = graph, .table = {users, p->table[CF_ITEMS]}, .n_layers = p->n_layers};
    final_rows target = {.p = &others, .out = {users->data, NULL}, .in_place = true};

    CF_ASSERT(p->n_layers > 0);
    memcpy(field.rows[CF_ITEMS], p->field[0].rows[CF_ITEMS],
           (size_t)(items->local_rows * field.stride) * sizeof(float));
    cf_graph_sum(graph, field, forward_users, &target);
}

/* ---- Backward ---- */

typedef struct backward {
    propagation *p;
    const gradient *g;
    const cf_gradient_consumer *consumer;
} backward;

/* The row of g, or NULL if it is zero. */
static const float *gradient_row(const gradient *g, cf_side side, int64_t row)
{
    const int32_t index = cf_graph_sparse_row(&g->scaled, side, row);

    return index < 0 ? NULL : g->values[side] + index * g->scaled.kind.width;
}

/* S (g + S sum) into the next field: the layer of Horner's rule, with g in place of E0. */
static void backward_layer(void *context, const cf_rows *rows)
{
    const backward *b = context;

    for (int k = 0; k < rows->count; k++)
        finish_layer_row(b->p, rows, k, gradient_row(b->g, rows->side, rows->rows[k]));
}

/* out += the gradient that does not come by way of the batch's rows: SGL's views. */
static void add_extra(const backward *b, cf_side side, int64_t row, float *out)
{
    const int64_t width = b->g->scaled.kind.width;

    if (b->g->extra[side] == NULL) return;
    for (int64_t k = 0; k < width; k += CF_VECTOR)
        cf_vector_store(out + k, cf_vector_load(out + k) +
                                     cf_vector_load(b->g->extra[side] + row * width + k));
}

/* out += coefficient * raw row, if the row is in the batch: the gradient of its norm. */
static void add_regularization(const backward *b, cf_side side, int64_t row, float *out)
{
    const int32_t index = cf_graph_sparse_row(&b->g->scaled, side, row);
    const int64_t width = b->g->scaled.kind.width;
    const float *raw = b->p->table[side]->data + row * width;

    if (index < 0 || b->g->reg_coefficient[side][index] == 0.0f) return;
    for (int64_t k = 0; k < width; k += CF_VECTOR)
        cf_vector_store(out + k, cf_vector_fma(cf_vector_all(b->g->reg_coefficient[side][index]),
                                               cf_vector_load(raw + k), cf_vector_load(out + k)));
}

/* (g + S sum) / (L + 1), which finishes the row: the consumer takes it. The sums are overwritten,
 * which a row callback may do. */
static void backward_last(void *context, const cf_rows *rows)
{
    const backward *b = context;
    const int64_t width = b->g->scaled.kind.width;
    const float *scale = cf_graph_scale(b->p->graph, rows->side);

    for (int k = 0; k < rows->count; k++) {
        const int64_t row = rows->rows[k];
        float *sum = rows->sums + k * width;

        finish_row(sum, gradient_row(b->g, rows->side, row), scale[row], sum,
                   1.0f / (float)(b->p->n_layers + 1), width);
        add_extra(b, rows->side, row, sum);
        add_regularization(b, rows->side, row, sum);
    }
    b->consumer->take(b->consumer->context, rows->side, rows->rows, rows->count, rows->sums);
}

/* With L = 0 there are no sums: a row of the gradient is one of g or zero. Every row is passed on,
 * as optimizers such as Adam update rows without a gradient too. */
static void finish_rows(backward *b)
{
    const int64_t width = b->g->scaled.kind.width;

    for (int side = 0; side < 2; side++) {
        const int64_t n = cf_graph_rows(b->p->graph, (cf_side)side);

#pragma omp parallel for schedule(static)
        for (int64_t first = 0; first < n; first += CF_ROWS_PER_CALL) {
            int32_t rows[CF_ROWS_PER_CALL];
            cf_rows call = {.side = (cf_side)side,
                            .rows = rows,
                            .count = (int)cf_min(n - first, CF_ROWS_PER_CALL),
                            .sums = cf_graph_scratch(b->p->graph)};

            for (int k = 0; k < call.count; k++)
                rows[k] = (int32_t)(first + k);
            memset(call.sums, 0, (size_t)(call.count * width) * sizeof(float));
            backward_last(b, &call);
        }
    }
}

/* The first sum reads the sparse g, and leaves the rows within one hop; the layers between add a
 * hop each; the last one goes over all rows, since each must reach the consumer. */
void propagation_backward(propagation *p, gradient *g, const cf_gradient_consumer *consumer)
{
    backward b = {.p = p, .g = g, .consumer = consumer};

    if (p->n_layers > 0) cf_graph_exchange_sparse(p->graph, &g->scaled);
    if (p->n_layers == 0) {
        finish_rows(&b);
    } else if (p->n_layers == 1) {
        cf_graph_sum_sparse(p->graph, &p->hops, CF_ALL_HOPS, &g->scaled, backward_last, &b);
    } else {
        cf_graph_sum_sparse(p->graph, &p->hops, 1, &g->scaled, backward_layer, &b);
        propagation_swap(p);
        for (int layer = 2; layer < p->n_layers; layer++) {
            cf_graph_sum_hops(p->graph, &p->hops, (cf_hop_limit){layer, layer - 1}, p->field[0],
                              backward_layer, &b);
            propagation_swap(p);
        }
        cf_graph_sum_hops(p->graph, &p->hops, (cf_hop_limit){CF_ALL_HOPS, p->n_layers - 1},
                          p->field[0], backward_last, &b);
    }
    cf_graph_close_sparse(p->graph, &g->scaled);
}
