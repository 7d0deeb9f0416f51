#include "contrast.h"
#include "internal.h"
#include "memory.h"
#include "predict.h"
#include "whole.h"

#include <math.h>
#include <string.h>

/* Supervised graph contrastive learning: LightGCN's final rows of a batch's users and positives
 * against one another, and nothing else (Zhang et al. 2025, "SGCL: Unifying self-supervised and
 * supervised learning for graph recommendation"). */

typedef struct sgcl {
    whole_batch whole;
    contrast contrast;
    batch_contrast term;
} sgcl;

static cf_status allocate(cf_model *model, const cf_config *config, int64_t max_batch, sgcl *s)
{
    batch_contrast *term = &s->term;
    cf_status status;

    CF_TRY(whole_batch_create(model->table, max_batch, CONTRAST_COLUMNS, &s->whole));
    for (int side = 0; side < 2; side++) {
        CF_TRY(CF_ALLOC(term->gradient[side], s->whole.padded * s->whole.full_width));
        CF_TRY(CF_ALLOC(term->length[side], max_batch));
        CF_TRY(CF_ALLOC(term->total[side], max_batch));
        CF_TRY(CF_ALLOC(term->inverse[side], s->whole.padded));
        CF_TRY(CF_ALLOC(term->repeats[side], s->whole.padded));
    }
    CF_TRY(contrast_create(
        &model->grid->world, s->whole.full_width, cf_config_real(config, "temperature"),
        cf_config_int(config, "contrast_memory") << 20,
        2 * (s->whole.padded / CONTRAST_COLUMNS) * (s->whole.padded / CONTRAST_ROWS),
        &s->contrast));
done:
    return status;
}

static cf_status create(cf_model *model, const cf_config *config, int64_t max_batch)
{
    return cf_par_agree(&model->grid->world, allocate(model, config, max_batch, model->own));
}

static void destroy(void *own)
{
    sgcl *s = own;

    for (int side = 0; side < 2; side++) {
        cf_free(&s->term.gradient[side]);
        cf_free(&s->term.length[side]);
        cf_free(&s->term.total[side]);
        cf_free(&s->term.inverse[side]);
        cf_free(&s->term.repeats[side]);
    }
    whole_batch_destroy(&s->whole);
    contrast_destroy(&s->contrast);
}

/* Final rows of the batch, whole, on all ranks. */
static void gather_rows(cf_model *model, const cf_batch *batch)
{
    sgcl *s = model->own;
    batch_rows *rows = &model->rows;
    cf_batch positives = *batch; /* whose items are the positives alone */
    const cf_phase before = cf_par_set_phase(CF_PHASE_BATCH);

    positives.negative = batch->positive;
    batch_rows_find(rows, &positives);
    whole_batch_find(&s->whole, batch);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_rows(&model->propagation, rows->rows, rows->n_rows, rows->final);
    cf_par_set_phase(CF_PHASE_CONTRAST);
    for (int side = 0; side < 2; side++) {
        CF_ASSERT(rows->n_rows[side] == s->whole.n_mine[side]);
        memcpy(s->whole.packed, rows->final[side],
               (size_t)(rows->n_rows[side] * rows->width) * sizeof(float));
        whole_batch_gather(&s->whole, (cf_side)side);
    }
    cf_par_restore_phase(before);
}

/* My slice of my rows' gradient to where propagation takes it. */
static void keep_gradient(cf_model *model)
{
    sgcl *s = model->own;
    batch_rows *rows = &model->rows;

    for (int side = 0; side < 2; side++) {
        model->gradient.scaled.count[side] = rows->n_rows[side];
        model->gradient.scaled.rows[side] = rows->rows[side];
        for (int64_t k = 0; k < rows->n_rows[side]; k++) {
            memcpy(model->gradient.values[side] + k * rows->width,
                   whole_batch_slice(&s->whole, (cf_side)side, s->term.gradient[side], k),
                   (size_t)rows->width * sizeof(float));
            model->gradient.decay[side][k] = 0.0f;
            gradient_scale_row(model, (cf_side)side, k);
        }
    }
}

static cf_status step(cf_model *model, const cf_batch *batch, const cf_gradient_consumer *sink, cf_loss *loss)
{
    sgcl *s = model->own;
    batch_contrast *term = &s->term;
    cf_phase before;
    double found;

    gather_rows(model, batch);
    before = cf_par_set_phase(CF_PHASE_CONTRAST);
    term->size = s->whole.size;
    for (int side = 0; side < 2; side++) {
        term->slot[side] = s->whole.slot[side];
        term->count[side] = s->whole.count[side];
        term->times[side] = s->whole.times[side];
        term->rows[side] = s->whole.rows[side];
    }
    found = contrast_batch(&s->contrast, term);
    cf_par_restore_phase(before);
    if (!isfinite(found)) return CF_FAIL(CF_ERR_NUMERIC, "the loss is not finite (%g)", found);
    cf_par_set_phase(CF_PHASE_GRADIENT);
    keep_gradient(model);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_back(&model->propagation, &model->gradient, sink);
    cf_par_restore_phase(before);
    *loss = (cf_loss){.total = found, .contrast = found};
    return CF_OK;
}

/* What allocate() takes. */
static double own_memory(const cf_config *config, const memory_shape *m)
{
    const double padded = memory_padded(m->batch, CONTRAST_COLUMNS);
    return 8 * padded * (m->full_width + 2) + 24 * m->batch +
           whole_batch_memory(m, CONTRAST_COLUMNS) +
           contrast_memory((int64_t)m->full_width, cf_config_int(config, "contrast_memory") << 20,
                           2 * (padded / CONTRAST_COLUMNS) * (padded / CONTRAST_ROWS));
}

/* A total for each row, and each rank's tiles of the gradient to all. */
static void add_forecast(forecast *f)
{
    const cf_par *world = &f->model->grid->world;
    const double row_bytes = 4 * (double)((const sgcl *)f->model->own)->whole.full_width;

    forecast_whole_batch(f);
    for (int side = 0; side < 2; side++) {
        const int64_t tiles = (int64_t)ceil(f->distinct[side] / CONTRAST_ROWS);
        const int64_t mine = cf_par_even_start(tiles, world->size, world->rank + 1) -
                             cf_par_even_start(tiles, world->size, world->rank);

        f->bytes[CF_PHASE_CONTRAST] +=
            forecast_allreduce(world, f->distinct[side] * (double)sizeof(double)) +
            (double)(mine * CONTRAST_ROWS) * row_bytes * (world->size - 1);
    }
}

const model_kind model_sgcl = {.name = "SGCL",
                               .propagates = true,
                               .own_size = sizeof(sgcl),
                               .create = create,
                               .destroy = destroy,
                               .step = step,
                               .memory = own_memory,
                               .forecast = add_forecast};
