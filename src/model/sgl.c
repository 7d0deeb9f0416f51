#include "sgl.h"

#include "contrast.h"
#include "memory.h"
#include "predict.h"
#include "whole.h"

#include <math.h>
#include <string.h>

/* Self-supervised graph learning (Wu et al. 2021): LightGCN's pairwise loss, and the contrast of
 * two views of the graph. */

enum { MAX_LAYERS = 64 };

typedef struct sgl {
    bool by_node, by_layer;
    double drop_ratio, weight;
    int n_filled; /* views of each of the two: 1, or one a layer */
    cf_view view[2][MAX_LAYERS];
    const cf_view *layer[2][MAX_LAYERS]; /* which of them a layer takes */
    float *final[2]; /* owned rows x width: final tables on a view, then the gradient with respect
                        to them */
    float *more[2];  /* the same: gradient of the raw tables from the views */
    whole_batch whole;
    cf_tiles *tiles[2];
    float *columns, *gradient; /* the larger side's tiles x full_width */
    float *row_length, *column_length;
    contrast contrast;
} sgl;

/* ---- Views ---- */

/* What draws an epoch's view: edges, or users and items, that come first in an order of their own
 * are kept. */
typedef struct draw {
    cf_permutation order[2];
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

static void fill_layer(cf_model *model, int view, int layer, cf_keep *keep, const void *context)
{
    sgl *s = model->own;

    cf_graph_fill_view(model->graph, model->shard, keep, context, &s->view[view][layer]);
}

void sgl_fill_view(cf_model *model, int view, cf_keep *keep, const void *context)
{
    const sgl *s = model->own;

    for (int layer = 0; layer < s->n_filled; layer++)
        fill_layer(model, view, layer, keep, context);
}

static void start_epoch(cf_model *model, uint64_t seed, int64_t epoch)
{
    const sgl *s = model->own;
    const int64_t nodes[2] = {model->table[CF_USERS]->n_rows, model->table[CF_ITEMS]->n_rows};
    const int64_t n_edges = model->n_train;

    for (int view = 0; view < 2; view++)
        for (int layer = 0; layer < s->n_filled; layer++) {
            const uint64_t which =
                ((uint64_t)epoch * 2 + (uint64_t)view) * MAX_LAYERS + (uint64_t)layer;
            draw d;

            for (int side = 0; side < 2; side++) {
                const int64_t n = s->by_node ? nodes[side] : n_edges;

                cf_permutation_create(&d.order[side], (cf_random){seed, CF_STREAM_VIEW},
                                      2 * which + (uint64_t)side, n);
                d.n_kept[side] = s->by_node ? n - (int64_t)floor(s->drop_ratio * (double)n)
                                            : (int64_t)floor((1.0 - s->drop_ratio) * (double)n);
            }
            fill_layer(model, view, layer, s->by_node ? keep_nodes : keep_edge, &d);
        }
}

/* ---- Making ---- */

static cf_status create_views(cf_model *model, sgl *s)
{
    const int layers = model->propagation.layers;
    cf_status status = CF_OK;

    for (int view = 0; view < 2; view++) {
        for (int k = 0; k < s->n_filled; k++)
            CF_TRY(cf_graph_create_view(model->graph, &s->view[view][k]));
        for (int k = 0; k < layers; k++)
            s->layer[view][k] = &s->view[view][s->by_layer ? k : 0];
    }
done:
    return status;
}

static cf_status allocate(cf_model *model, const cf_config *config, int64_t max_batch, sgl *s)
{
    const int64_t users = s->tiles[CF_USERS]->capacity, items = s->tiles[CF_ITEMS]->capacity;
    const int64_t most = users > items ? users : items;
    const int64_t width = s->tiles[0]->full_width;
    cf_status status;

    CF_TRY(create_views(model, s));
    CF_TRY(whole_batch_create(model->table, max_batch, CONTRAST_ROWS, &s->whole));
    for (int side = 0; side < 2; side++) {
        const int64_t size = model->table[side]->local_rows * model->table[side]->width;

        CF_TRY(CF_ALLOC(s->final[side], size));
        CF_TRY(CF_ALLOC(s->more[side], size));
    }
    CF_TRY(CF_ALLOC(s->columns, most * width));
    CF_TRY(CF_ALLOC(s->gradient, most * width));
    CF_TRY(CF_ALLOC(s->row_length, max_batch));
    CF_TRY(CF_ALLOC(s->column_length, most));
    CF_TRY(contrast_create(&model->grid->world, width, cf_config_real(config, "ssl_tau"),
                           cf_config_int(config, "contrast_memory") << 20, most / CONTRAST_COLUMNS,
                           &s->contrast));
done:
    return status;
}

static cf_status create(cf_model *model, const cf_config *config, int64_t max_batch)
{
    const cf_par *world = &model->grid->world;
    sgl *s = model->own;
    cf_status status;

    s->by_node = cf_config_is(config, "type", "ND");
    s->by_layer = cf_config_is(config, "type", "RW");
    s->n_filled = s->by_layer ? model->propagation.layers : 1;
    s->drop_ratio = cf_config_real(config, "drop_ratio");
    s->weight = cf_config_real(config, "ssl_weight");
    CF_TRY(cf_par_agree(world, cf_graph_number_edges(model->graph, model->shard)));
    for (int side = 0; side < 2; side++)
        CF_TRY(cf_table_create_tiles(model->table[side], CONTRAST_COLUMNS, &s->tiles[side]));
    CF_TRY(cf_par_agree(world, allocate(model, config, max_batch, s)));
    for (int side = 0; side < 2; side++)
        model->gradient.more[side] = s->more[side];
done:
    return status;
}

static void destroy(void *own)
{
    sgl *s = own;

    for (int view = 0; view < 2; view++)
        for (int k = 0; k < MAX_LAYERS; k++)
            cf_graph_destroy_view(&s->view[view][k]);
    for (int side = 0; side < 2; side++) {
        cf_table_destroy_tiles(&s->tiles[side]);
        cf_free(&s->final[side]);
        cf_free(&s->more[side]);
    }
    whole_batch_destroy(&s->whole);
    cf_free(&s->columns);
    cf_free(&s->gradient);
    cf_free(&s->row_length);
    cf_free(&s->column_length);
    contrast_destroy(&s->contrast);
}

/* ---- Step ---- */

/* Place in final[side] and more[side] of the k-th of the batch's rows that are my block's. */
static int64_t place_of(const cf_model *model, int side, int64_t k)
{
    const whole_batch *w = &((const sgl *)model->own)->whole;

    return (w->id[side][w->first[side] + k] - model->table[side]->first_row) *
           model->table[side]->width;
}

/* The batch's rows of the final tables on a view, to all ranks. */
static void gather_rows(cf_model *model)
{
    sgl *s = model->own;
    const int64_t width = model->table[CF_USERS]->width;

    for (int side = 0; side < 2; side++) {
        for (int64_t k = 0; k < s->whole.n_mine[side]; k++)
            memcpy(s->whole.packed + k * width, s->final[side] + place_of(model, side, k),
                   (size_t)width * sizeof(float));
        whole_batch_gather(&s->whole, (cf_side)side);
    }
}

/* The rows' gradient, that is whole on all ranks, into a table that is zero elsewhere. */
static void scatter_rows(cf_model *model)
{
    sgl *s = model->own;

    for (int side = 0; side < 2; side++) {
        const int64_t width = model->table[side]->width;

        memset(s->final[side], 0, (size_t)(model->table[side]->local_rows * width) * sizeof(float));
        for (int64_t k = 0; k < s->whole.n_mine[side]; k++)
            memcpy(s->final[side] + place_of(model, side, k),
                   whole_batch_slice(&s->whole, (cf_side)side, s->whole.rows[side], k),
                   (size_t)width * sizeof(float));
    }
}

/* The batch's rows against all of the side's: final[side] becomes its gradient. */
static void contrast_side(cf_model *model, int side, cf_exact *loss)
{
    sgl *s = model->own;
    const int64_t full = s->tiles[side]->full_width;
    const int64_t used = s->tiles[side]->count * full;
    infonce term = {.n_rows = s->whole.count[side],
                    .id = s->whole.id[side],
                    .times = s->whole.times[side],
                    .rows = s->whole.rows[side],
                    .tiles = s->tiles[side],
                    .columns = s->columns,
                    .gradient = s->gradient,
                    .row_length = s->row_length,
                    .column_length = s->column_length,
                    .weight = s->weight};

    cf_table_to_tiles(s->tiles[side], s->final[side], s->columns);
    memset(s->columns + used, 0, (size_t)(s->tiles[side]->capacity * full - used) * sizeof(float));
    contrast_infonce(&s->contrast, &term, loss);
    cf_table_from_tiles(s->tiles[side], s->gradient, s->final[side]);
}

/* The contrast's loss, and its gradient with respect to the raw tables into more. */
static void contrast_views(cf_model *model, const cf_batch *batch, cf_exact *loss)
{
    sgl *s = model->own;
    propagation *p = &model->propagation;
    const cf_phase before = cf_par_set_phase(CF_PHASE_BATCH);

    whole_batch_find(&s->whole, batch);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_view(p, s->layer[0], s->final);
    cf_par_set_phase(CF_PHASE_CONTRAST);
    gather_rows(model);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_view(p, s->layer[1], s->final);
    cf_par_set_phase(CF_PHASE_CONTRAST);
    for (int side = 0; side < 2; side++) {
        contrast_side(model, side, loss);
        memset(s->more[side], 0,
               (size_t)(model->table[side]->local_rows * model->table[side]->width) *
                   sizeof(float));
    }
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_view_back(p, s->layer[1], s->final, s->more);
    scatter_rows(model);
    propagation_view_back(p, s->layer[0], s->final, s->more);
    cf_par_restore_phase(before);
}

static cf_status step(cf_model *model, const cf_batch *batch, const cf_gradient_consumer *sink, cf_loss *loss)
{
    cf_exact sums[PAIRWISE_SUMS];
    cf_status status;

    pairwise_forward(model, batch, sums);
    contrast_views(model, batch, &sums[SUM_CONTRAST]);
    CF_TRY(pairwise_loss(model, batch, sums, loss));
    pairwise_backward(model, sink);
done:
    return status;
}

/* What create() and allocate() take. */
static double own_memory(const cf_config *config, const memory_shape *m)
{
    const double layers = (double)cf_config_int(config, "n_layers");
    const double views = cf_config_is(config, "type", "RW") ? 2 * layers : 2;
    const double larger = (m->users > m->items ? m->users : m->items) * m->n_rows;
    const double most = memory_padded(larger, CONTRAST_COLUMNS) / m->ranks;

    return views * (m->edges + 4 * (m->users + m->items)) + 4 * m->edges + /* views, numbers */
           4 * (m->users + m->items) * (2 * m->width) +                    /* final, more */
           4 * most * (2 * m->full_width + 1) + 4 * m->batch +             /* columns */
           (m->ranks > 1 ? 4 * (m->users + m->items) / m->n_columns * m->full_width : 0) +
           whole_batch_memory(m, CONTRAST_ROWS) +
           contrast_memory((int64_t)m->full_width, cf_config_int(config, "contrast_memory") << 20,
                           most / CONTRAST_COLUMNS);
}

/* Tables to tiles and back; for each row an exact sum and a gradient in 64-bit numbers. */
static void add_forecast(forecast *f)
{
    const sgl *s = f->model->own;
    const cf_par *world = &f->model->grid->world;

    forecast_whole_batch(f);
    for (int side = 0; side < 2; side++) {
        const cf_tiles *t = s->tiles[side];
        double floats = 0;

        for (int rank = 0; rank < world->size; rank++)
            if (rank != world->rank) floats += t->table_count[rank] + t->tile_count[rank];
        f->bytes[CF_PHASE_CONTRAST] +=
            4 * floats + forecast_allreduce(world, f->distinct[side] * ((double)sizeof(cf_exact) +
                                                                        8 * (double)t->full_width));
    }
}

const model_kind model_sgl = {.name = "SGL",
                              .propagates = true,
                              .regularizes = true,
                              .negatives = true,
                              .sums = true,
                              .views = true,
                              .own_size = sizeof(sgl),
                              .create = create,
                              .destroy = destroy,
                              .start_epoch = start_epoch,
                              .step = step,
                              .memory = own_memory,
                              .forecast = add_forecast};
