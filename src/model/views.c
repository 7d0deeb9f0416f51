/* Propagation on views of the graph, which may differ from layer to layer (Wu et al. 2021,
 * section 3.1):
 *
 *     out = 1/(L+1) sum_{k=0..L} E_k,    E_k = A_k E_{k-1},    A_k = S_k (kept edges) S_k,
 *
 * with S_k the degree^-1/2 that the kept edges of layer k leave. The powers do not commute, so
 * Horner's rule from the far end does not apply forward: the running sum is kept in `out`, and the
 * fields hold S_{k+1} E_k. Backward, with g = dloss / dout,
 *
 *     dloss / dE0 = h_0 / (L+1),    h_L = g,    h_{k-1} = g + A_k h_k,
 *
 * which is Horner's rule in reverse order of the layers. Arrays are owned rows x width. The tests
 * compare with the product of the views' matrices in plain doubles, and with central differences.
 */
#include "propagation.h"

#include <string.h>

/* One layer of propagation on a view, forward or backward. */
typedef struct view_layer {
    const propagation *p;
    const float *const *scale; /* this layer's degree^-1/2, by side */
    const float *const *next;  /* those of the next layer; NULL: this is the last */
    float *const *out;
    float *const *gradient; /* backward: g */
} view_layer;

/* field[0] = s in, row by row: what the first sum over neighbours reads. */
static void scale_into_field(propagation *p, const float *const scale[2], float *const in[2])
{
    for (int side = 0; side < 2; side++) {
        const cf_scaled_rows rows = {
            .count = p->table[side]->local_rows, .values = in[side], .factor = scale[side]};

        cf_graph_write_rows(&p->field[0], (cf_side)side, &rows);
    }
}

/* The row of the next layer's field, of the next layer's scale; the last layer has none. */
static void store_next(const view_layer *l, cf_side side, int64_t row, const float *values)
{
    if (l->next == NULL) return;
    cf_graph_write_row(&l->p->field[1], side, row, values, l->next[side][row]);
}

/* E_k = s sum, in place of the sum; out += E_k, divided by L + 1 in the last layer. The next
 * layer's field is s' E_k, with its own scale s'. */
static void view_forward(void *context, const cf_rows *rows)
{
    const view_layer *l = context;
    const int64_t width = l->p->table[rows->side]->width;
    const cf_vector factor =
        cf_vector_all(l->next != NULL ? 1.0f : 1.0f / (float)(l->p->n_layers + 1));

    for (int j = 0; j < rows->count; j++) {
        const int64_t row = rows->rows[j];
        const cf_vector scale = cf_vector_all(l->scale[rows->side][row]);
        float *out = l->out[rows->side] + row * width, *sum = rows->sums + j * width;

        for (int64_t k = 0; k < width; k += CF_VECTOR) {
            const cf_vector power = cf_vector_load(sum + k) * scale;

            cf_vector_store(out + k, (cf_vector_load(out + k) + power) * factor);
            cf_vector_store(sum + k, power);
        }
        store_next(l, rows->side, row, sum);
    }
}

/* h = g + s sum, in place of the sum. The next layer's field is s' h; the last layer adds h / (L +
 * 1) to `out`. */
static void view_backward(void *context, const cf_rows *rows)
{
    const view_layer *l = context;
    const int64_t width = l->p->table[rows->side]->width;
    const cf_vector factor = cf_vector_all(1.0f / (float)(l->p->n_layers + 1));

    for (int j = 0; j < rows->count; j++) {
        const int64_t row = rows->rows[j];
        const cf_vector scale = cf_vector_all(l->scale[rows->side][row]);
        const float *g = l->gradient[rows->side] + row * width;
        float *out = l->out[rows->side] + row * width, *sum = rows->sums + j * width;

        for (int64_t k = 0; k < width; k += CF_VECTOR) {
            const cf_vector h =
                cf_vector_fma(scale, cf_vector_load(sum + k), cf_vector_load(g + k));

            cf_vector_store(sum + k, h);
            if (l->next == NULL)
                cf_vector_store(out + k, cf_vector_fma(h, factor, cf_vector_load(out + k)));
        }
        store_next(l, rows->side, row, sum);
    }
}

/* The view's scales, as constants: C does not convert pointers to pointers by itself. */
static const float *const *scale_of(const cf_view *view)
{
    return (const float *const *)view->scale;
}

/* The sum starts as E0 in `out`; each layer adds E_k to it while the row is at hand. */
void views_forward(propagation *p, const cf_view *const *layer, float *const out[2])
{
    float *const table[2] = {p->table[0]->data, p->table[1]->data};

    for (int side = 0; side < 2; side++)
        memcpy(out[side], table[side],
               (size_t)(p->table[side]->local_rows * p->table[side]->width) * sizeof(float));
    if (p->n_layers == 0) return;
    scale_into_field(p, scale_of(layer[0]), table);
    for (int k = 0; k < p->n_layers; k++) {
        view_layer l = {.p = p, .scale = scale_of(layer[k]), .out = out};

        if (k + 1 < p->n_layers) l.next = scale_of(layer[k + 1]);
        cf_graph_sum_view(p->graph, layer[k], p->field[0], view_forward, &l);
        propagation_swap(p);
    }
}

/* With L = 0, out = E0: the gradient passes unchanged. */
static void add_tables(const propagation *p, float *const g[2], float *const out[2])
{
    for (int side = 0; side < 2; side++)
        for (int64_t k = 0; k < p->table[side]->local_rows * p->table[side]->width; k++)
            out[side][k] += g[side][k];
}

/* Layers in reverse order: the first sum takes g through the last layer's view. */
void views_backward(propagation *p, const cf_view *const *layer, float *const g[2],
                    float *const out[2])
{
    if (p->n_layers == 0) {
        add_tables(p, g, out);
        return;
    }
    scale_into_field(p, scale_of(layer[p->n_layers - 1]), g);
    for (int k = p->n_layers - 1; k >= 0; k--) {
        view_layer l = {.p = p, .scale = scale_of(layer[k]), .out = out, .gradient = g};

        if (k > 0) l.next = scale_of(layer[k - 1]);
        cf_graph_sum_view(p->graph, layer[k], p->field[0], view_backward, &l);
        propagation_swap(p);
    }
}
