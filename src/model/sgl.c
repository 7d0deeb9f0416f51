/* SGL, self-supervised graph learning (Wu et al. 2021, "Self-supervised graph learning for
 * recommendation", section 3).
 *
 * LightGCN's pairwise loss and regularization on the graph itself, and a contrast of two views of
 * the graph that are drawn anew each epoch. With x and y the normalised final rows on view 0 and on
 * view 1, each side (users; items) adds
 *
 *     ssl_weight sum_b [ log sum_k exp(x_b . y_k / tau) - x_b . y_b / tau ]    (eq. 10 there),
 *
 * b over the batch's rows with repeats, k over all rows of the side. x: the batch's rows in full
 * width on every rank (global_batch); y: all rows in full width, in tiles over the ranks
 * (cf_tiles). The gradients return from tiles to tables, through both views (views_backward()), and
 * become gradient.extra, which the backward pass of the pairwise loss adds to each row.
 *
 * The tests draw the views again, multiply their matrices in plain doubles, and compare losses,
 * gradients, and golden values of another implementation. */
#include "sgl.h"

#include "contrast.h"
#include "global_batch.h"
#include "pairwise.h"
#include "predict.h"

#include <math.h>
#include <string.h>

enum { MAX_LAYERS = 64 }; /* that of the setting n_layers */

typedef struct sgl {
    int n_filled; /* views that are filled for each of the two: 1, or one a layer */
    cf_view view[2][MAX_LAYERS];
    const cf_view *layer[2][MAX_LAYERS]; /* which of these a layer of propagation uses */
    float *final[2]; /* owned rows x width: final tables on a view, then the gradient with respect
                        to them */
    float *
        extra_gradient[2]; /* owned rows x width: with respect to the raw tables, of the contrast */
    global_batch global;
    cf_tiles *tiles[2];
    float *columns;       /* the larger side's tiles x full_width: rows of view 1 */
    float *gradient;      /* the same: with respect to them */
    float *row_length;    /* largest batch: |x| before normalisation */
    float *column_length; /* the larger side's tiles: |y| before normalisation */
    contrast contrast;
} sgl;

enum { SAMPLES, USER_FLOATS, ITEM_FLOATS, TILE_ROWS, TILE_FLOATS, N_SIZES }; /* of the table */

static const cf_array arrays[] = {
    CF_ARRAY(sgl, final[CF_USERS], USER_FLOATS, 1),
    CF_ARRAY(sgl, final[CF_ITEMS], ITEM_FLOATS, 1),
    CF_ARRAY(sgl, extra_gradient[CF_USERS], USER_FLOATS, 1),
    CF_ARRAY(sgl, extra_gradient[CF_ITEMS], ITEM_FLOATS, 1),
    CF_ARRAY(sgl, columns, TILE_FLOATS, 1),
    CF_ARRAY(sgl, gradient, TILE_FLOATS, 1),
    CF_ARRAY(sgl, row_length, SAMPLES, 1),
    CF_ARRAY(sgl, column_length, TILE_ROWS, 1),
};
enum { N_ARRAYS = sizeof arrays / sizeof *arrays };

/* ---- Views ---- */

/* How an epoch's view is drawn: of all edges, or of all users and all items, those are kept that
 * come first in a random order. So their number is exact, and an edge's fate is a function of its
 * number: any rank can compute it. */
typedef struct draw {
    cf_permutation order[2]; /* [0]: of edges; or by side, of nodes */
    int64_t n_kept[2];
} draw;

static bool keep_edge(const void *context, int64_t edge, int64_t user, int64_t item)
{
    const draw *d = context;

    (void)user;
    (void)item;
    return cf_permutation_at(&d->order[0], edge) < d->n_kept[0];
}

static bool keep_nodes(const void *context, int64_t edge, int64_t user, int64_t item)
{
    const draw *d = context;

    (void)edge;
    return cf_permutation_at(&d->order[CF_USERS], user) < d->n_kept[CF_USERS] &&
           cf_permutation_at(&d->order[CF_ITEMS], item) < d->n_kept[CF_ITEMS];
}

/* For one layer of one view. */
static void fill_layer(cf_model *model, int view, int layer, cf_keep *keep, const void *context)
{
    sgl *s = model->impl;

    cf_graph_fill_view(model->graph, model->shard, keep, context, &s->view[view][layer]);
}

void sgl_fill_view(cf_model *model, int view, cf_keep *keep, const void *context)
{
    const sgl *s = model->impl;

    for (int layer = 0; layer < s->n_filled; layer++)
        fill_layer(model, view, layer, keep, context);
}

/* Each view and layer has its own stream of random numbers. ND keeps n - floor(ratio n) nodes, ED
 * and RW floor((1 - ratio) n) edges, as the reference implementation does. */
static void sgl_start_epoch(cf_model *model, uint64_t seed, int64_t epoch)
{
    const sgl *s = model->impl;
    const int64_t nodes[2] = {model->table[CF_USERS]->n_rows, model->table[CF_ITEMS]->n_rows};
    const int64_t n_edges = model->n_train;
    const bool by_node = model->options.view_type == CF_VIEWS_NODES;
    const double drop_ratio = model->options.drop_ratio;

    for (int view = 0; view < 2; view++)
        for (int layer = 0; layer < s->n_filled; layer++) {
            const uint64_t stream =
                ((uint64_t)epoch * 2 + (uint64_t)view) * MAX_LAYERS + (uint64_t)layer;
            draw d;

            for (int side = 0; side < 2; side++) {
                const int64_t n = by_node ? nodes[side] : n_edges;

                cf_permutation_create(&d.order[side], (cf_random){seed, CF_STREAM_VIEW},
                                      2 * stream + (uint64_t)side, n);
                d.n_kept[side] = by_node ? n - (int64_t)floor(drop_ratio * (double)n)
                                         : (int64_t)floor((1.0 - drop_ratio) * (double)n);
            }
            fill_layer(model, view, layer, by_node ? keep_nodes : keep_edge, &d);
        }
}

/* ---- Creation ---- */

/* ED and ND draw one graph for all layers, RW one for each. */
static cf_status create_views(cf_model *model, sgl *s)
{
    const int n_layers = model->propagation.n_layers;
    const bool by_layer = model->options.view_type == CF_VIEWS_WALKS;
    cf_status status = CF_OK;

    s->n_filled = by_layer ? n_layers : 1;
    for (int view = 0; view < 2; view++) {
        for (int k = 0; k < s->n_filled; k++)
            CF_TRY(cf_graph_create_view(model->graph, &s->view[view][k]));
        for (int k = 0; k < n_layers; k++)
            s->layer[view][k] = &s->view[view][by_layer ? k : 0];
    }
done:
    return status;
}

/* The contrast works on one side after the other, so that columns and gradient have room for the
 * larger one only. */
static cf_status sgl_allocate(cf_model *model, int64_t max_batch, sgl *s)
{
    const cf_model_options *options = &model->options;
    const cf_table *users = model->table[CF_USERS], *items = model->table[CF_ITEMS];
    const int64_t width = users->full_width;
    const int64_t most = cf_max(s->tiles[CF_USERS]->capacity, s->tiles[CF_ITEMS]->capacity);
    const int64_t sizes[N_SIZES] = {[SAMPLES] = max_batch,
                                    [USER_FLOATS] = users->local_rows * users->width,
                                    [ITEM_FLOATS] = items->local_rows * items->width,
                                    [TILE_ROWS] = most,
                                    [TILE_FLOATS] = most * width};
    cf_status status;

    CF_TRY(create_views(model, s));
    CF_TRY(global_batch_create(model->table, &model->sort, max_batch, CONTRAST_ROWS, &s->global));
    CF_TRY(cf_arrays_create(s, arrays, N_ARRAYS, sizes));
    CF_TRY(contrast_create(&model->grid->world, width, options->ssl_tau, options->contrast_memory,
                           most / CONTRAST_COLUMNS, &s->contrast));
done:
    return status;
}

/* Views are filled by edge numbers, the same from both sides of an edge: the graph learns them
 * once. */
static cf_status sgl_create(cf_model *model, int64_t max_batch)
{
    sgl *s = model->impl;
    cf_status status;

    CF_TRY(cf_graph_number_edges(model->graph, model->shard));
    for (int side = 0; side < 2; side++)
        CF_TRY(cf_table_create_tiles(model->table[side], CONTRAST_COLUMNS, &s->tiles[side]));
    CF_TRY(cf_par_agree(&model->grid->world, sgl_allocate(model, max_batch, s)));
    for (int side = 0; side < 2; side++)
        model->gradient.extra[side] = s->extra_gradient[side];
done:
    return status;
}

static void sgl_destroy(void *impl)
{
    sgl *s = impl;

    for (int view = 0; view < 2; view++)
        for (int k = 0; k < MAX_LAYERS; k++)
            cf_graph_destroy_view(&s->view[view][k]);
    for (int side = 0; side < 2; side++)
        cf_table_destroy_tiles(&s->tiles[side]);
    cf_arrays_destroy(s, arrays, N_ARRAYS);
    global_batch_destroy(&s->global);
    contrast_destroy(&s->contrast);
}

/* ---- Step ---- */

/* The batch's rows of the final tables on a view, to all ranks. */
static void gather_rows(cf_model *model)
{
    sgl *s = model->impl;
    const int64_t width = model->table[CF_USERS]->width;

    for (int side = 0; side < 2; side++) {
        for (int64_t k = 0; k < s->global.n_own[side]; k++)
            memcpy(s->global.send_rows + k * width,
                   s->final[side] + s->global.local[side][k] * width,
                   (size_t)width * sizeof(float));
        global_batch_gather(&s->global, (cf_side)side);
    }
}

static void clear_table(const cf_model *model, int side, float *table)
{
    memset(table, 0,
           (size_t)(model->table[side]->local_rows * model->table[side]->width) * sizeof(float));
}

/* The gradient of the batch's rows, which is whole on all ranks, into a table that is zero
 * elsewhere. */
static void scatter_rows(cf_model *model)
{
    sgl *s = model->impl;

    for (int side = 0; side < 2; side++) {
        const int64_t width = model->table[side]->width;

        clear_table(model, side, s->final[side]);
        for (int64_t k = 0; k < s->global.n_own[side]; k++)
            memcpy(s->final[side] + s->global.local[side][k] * width,
                   global_batch_slice(&s->global, (cf_side)side, s->global.rows[side], k),
                   (size_t)width * sizeof(float));
    }
}

/* The batch's rows (view 0) against all of the side's (view 1). final[side], view 1's final table
 * on entry, becomes the gradient with respect to it; global.rows[side] that with respect to view
 * 0's. */
static void contrast_side(cf_model *model, int side, cf_exact *loss)
{
    sgl *s = model->impl;
    const int64_t full = s->tiles[side]->full_width;
    const int64_t used = s->tiles[side]->count * full;
    infonce term = {.n_rows = s->global.n_rows[side],
                    .id = s->global.id[side],
                    .times = s->global.times[side],
                    .rows = s->global.rows[side],
                    .tiles = s->tiles[side],
                    .columns = s->columns,
                    .gradient = s->gradient,
                    .row_length = s->row_length,
                    .column_length = s->column_length,
                    .cold = side == CF_ITEMS ? model->shard->cold : NULL,
                    .weight = model->options.ssl_weight};

    cf_table_to_tiles(s->tiles[side], s->final[side], s->columns);
    memset(s->columns + used, 0, (size_t)(s->tiles[side]->capacity * full - used) * sizeof(float));
    contrast_infonce(&s->contrast, &term, loss);
    cf_table_from_tiles(s->tiles[side], s->gradient, s->final[side]);
}

/* The contrast's loss, and its gradient with respect to the raw tables into extra_gradient. View 0
 * is propagated first, as only the batch's rows of it are kept; then view 1 may overwrite it. */
static void contrast_views(cf_model *model, const cf_batch *batch, cf_exact *loss)
{
    sgl *s = model->impl;
    propagation *p = &model->propagation;
    const cf_phase before = cf_par_set_phase(CF_PHASE_BATCH);

    global_batch_find(&s->global, batch);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    views_forward(p, s->layer[0], s->final);
    cf_par_set_phase(CF_PHASE_CONTRAST);
    gather_rows(model);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    views_forward(p, s->layer[1], s->final);
    cf_par_set_phase(CF_PHASE_CONTRAST);
    for (int side = 0; side < 2; side++) {
        contrast_side(model, side, loss);
        clear_table(model, side, s->extra_gradient[side]);
    }
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    views_backward(p, s->layer[1], s->final, s->extra_gradient);
    scatter_rows(model);
    views_backward(p, s->layer[0], s->final, s->extra_gradient);
    cf_par_restore_phase(before);
}

/* The loss must be known to be finite before the consumer is called, so the contrast comes before
 * the backward pass of the pairwise loss, which passes on the sum of both gradients. */
static cf_status sgl_step(cf_model *model, const cf_batch *batch,
                          const cf_gradient_consumer *consumer, cf_loss *loss)
{
    cf_exact sums[PAIRWISE_SUMS];
    cf_status status;

    pairwise_forward(model, batch, sums);
    contrast_views(model, batch, &sums[SUM_CONTRAST]);
    CF_TRY(pairwise_loss(model, batch, sums, loss));
    pairwise_backward(model, consumer);
done:
    return status;
}

/* Bytes of what sgl_create() and sgl_allocate() create, with the tiles' own buffers. */
static double sgl_memory(const cf_model_options *options, const memory_shape *m)
{
    const double n_views = options->view_type == CF_VIEWS_WALKS ? 2 * options->n_layers : 2;
    const double rows = m->users + m->items;
    const double larger = fmax(m->users, m->items) * m->n_rows;
    const double most = memory_padded(larger, CONTRAST_COLUMNS) / m->ranks;
    const double sizes[N_SIZES] = {[SAMPLES] = m->batch,
                                   [USER_FLOATS] = m->users * m->width,
                                   [ITEM_FLOATS] = m->items * m->width,
                                   [TILE_ROWS] = most,
                                   [TILE_FLOATS] = most * m->full_width};

    return n_views * (m->edges + 4 * rows) + 4 * m->edges +               /* views, edge numbers */
           (m->ranks > 1 ? 4 * rows / m->n_columns * m->full_width : 0) + /* cf_tiles.packed */
           cf_arrays_bytes(arrays, N_ARRAYS, sizes) + global_batch_bytes(m, CONTRAST_ROWS) +
           contrast_memory((int64_t)m->full_width, options->contrast_memory,
                           most / CONTRAST_COLUMNS);
}

/* Tables to tiles and back; for each row an exact sum and a gradient in 64-bit numbers. */
static void sgl_predict(forecast *f)
{
    const sgl *s = f->model->impl;
    const cf_par *world = &f->model->grid->world;

    forecast_global_batch(f);
    for (int side = 0; side < 2; side++) {
        const double per_row = (double)sizeof(cf_exact) + 8 * (double)s->tiles[side]->full_width;

        f->bytes[CF_PHASE_CONTRAST] += cf_table_tiles_bytes(s->tiles[side]) +
                                       forecast_allreduce(world, f->distinct[side] * per_row);
    }
}

const model_ops model_sgl = {.name = "SGL",
                             .propagates = true,
                             .contrasts = true,
                             .regularizes = true,
                             .negatives = true,
                             .sums = true,
                             .views = true,
                             .impl_size = sizeof(sgl),
                             .create = sgl_create,
                             .destroy = sgl_destroy,
                             .start_epoch = sgl_start_epoch,
                             .step = sgl_step,
                             .memory = sgl_memory,
                             .predict = sgl_predict};
