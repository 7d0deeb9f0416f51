#include "internal.h"

#include <string.h>

/* One layer of propagation on a view, or of its way back. */
typedef struct view_layer {
    const propagation *p;
    const float *const *scale; /* of this layer's view, by side */
    const float *const *next;  /* of the view of the layer to come; NULL: this is the last */
    float *const *out;
    float *const *gradient; /* of the way back */
} view_layer;

/* field[0] = s in */
static void scale_into_field(propagation *p, const float *const scale[2], float *const in[2])
{
    for (int side = 0; side < 2; side++) {
        const int64_t n = p->table[side]->local_rows, width = p->table[side]->width;
        float *field = p->field[0].rows[side];

#pragma omp parallel for schedule(static)
        for (int64_t row = 0; row < n; row++)
            for (int64_t k = row * width; k < (row + 1) * width; k += CF_LANES)
                cf_lanes_store(field + k,
                               cf_lanes_load(in[side] + k) * cf_lanes_all(scale[side][row]));
    }
}

/* E_k = s sum; out += E_k, over L + 1 at the last; the next layer takes s' E_k. */
static void visit_forward(void *context, const cf_rows *visit)
{
    const view_layer *l = context;
    const int64_t width = l->p->table[visit->side]->width;
    const cf_lanes share = cf_lanes_all(l->next != NULL ? 1.0f : 1.0f / (float)(l->p->layers + 1));

    for (int j = 0; j < visit->count; j++) {
        const int64_t row = visit->rows[j];
        const cf_lanes scale = cf_lanes_all(l->scale[visit->side][row]);
        float *out = l->out[visit->side] + row * width;
        float *next = l->p->field[1].rows[visit->side] + row * width;

        for (int64_t k = 0; k < width; k += CF_LANES) {
            const cf_lanes power = cf_lanes_load(visit->sums + j * width + k) * scale;

            cf_lanes_store(out + k, (cf_lanes_load(out + k) + power) * share);
            if (l->next != NULL)
                cf_lanes_store(next + k, power * cf_lanes_all(l->next[visit->side][row]));
        }
    }
}

/* h = g + s sum; the next layer takes s' h; the last adds h over L + 1 to what there is. */
static void visit_back(void *context, const cf_rows *visit)
{
    const view_layer *l = context;
    const int64_t width = l->p->table[visit->side]->width;
    const cf_lanes share = cf_lanes_all(1.0f / (float)(l->p->layers + 1));

    for (int j = 0; j < visit->count; j++) {
        const int64_t row = visit->rows[j];
        const cf_lanes scale = cf_lanes_all(l->scale[visit->side][row]);
        const float *g = l->gradient[visit->side] + row * width;
        float *out = l->out[visit->side] + row * width;
        float *next = l->p->field[1].rows[visit->side] + row * width;

        for (int64_t k = 0; k < width; k += CF_LANES) {
            const cf_lanes h = cf_lanes_fma(scale, cf_lanes_load(visit->sums + j * width + k),
                                            cf_lanes_load(g + k));

            if (l->next != NULL)
                cf_lanes_store(next + k, h * cf_lanes_all(l->next[visit->side][row]));
            else
                cf_lanes_store(out + k, cf_lanes_fma(h, share, cf_lanes_load(out + k)));
        }
    }
}

static const float *const *scale_of(const cf_view *view)
{
    return (const float *const *)view->scale;
}

void propagation_view(propagation *p, const cf_view *const *layer, float *const out[2])
{
    float *const table[2] = {p->table[0]->data, p->table[1]->data};

    for (int side = 0; side < 2; side++)
        memcpy(out[side], table[side],
               (size_t)(p->table[side]->local_rows * p->table[side]->width) * sizeof(float));
    if (p->layers == 0) return;
    scale_into_field(p, scale_of(layer[0]), table);
    for (int k = 0; k < p->layers; k++) {
        view_layer l = {.p = p, .scale = scale_of(layer[k]), .out = out};

        if (k + 1 < p->layers) l.next = scale_of(layer[k + 1]);
        cf_graph_sum_view(p->graph, layer[k], p->field[0], visit_forward, &l);
        propagation_swap(p);
    }
}

static void add_tables(const propagation *p, float *const g[2], float *const out[2])
{
    for (int side = 0; side < 2; side++)
        for (int64_t k = 0; k < p->table[side]->local_rows * p->table[side]->width; k++)
            out[side][k] += g[side][k];
}

void propagation_view_back(propagation *p, const cf_view *const *layer, float *const g[2],
                           float *const out[2])
{
    if (p->layers == 0) {
        add_tables(p, g, out);
        return;
    }
    scale_into_field(p, scale_of(layer[p->layers - 1]), g);
    for (int k = p->layers - 1; k >= 0; k--) {
        view_layer l = {.p = p, .scale = scale_of(layer[k]), .out = out, .gradient = g};

        if (k > 0) l.next = scale_of(layer[k - 1]);
        cf_graph_sum_view(p->graph, layer[k], p->field[0], visit_back, &l);
        propagation_swap(p);
    }
}
