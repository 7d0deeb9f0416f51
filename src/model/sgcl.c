/* SGCL, supervised graph contrastive learning (Zhang et al. 2025, "SGCL: Unifying self-supervised
 * and supervised learning for graph recommendation").
 *
 * LightGCN's final rows a_b, p_b of the users and positives of a batch, normalised, with the one
 * loss (tau: temperature)
 *
 *     sum_b [ log( sum_c exp(a_b.a_c / tau) + sum_c exp(p_b.p_c / tau) ) - a_b.p_b / tau ],
 *
 * c over the batch: see contrast_batch(). There are no negatives and no regularization. All samples
 * are coupled, so all ranks gather the batch's rows in full width (global_batch: n_rows x
 * full_width), each computes some tiles of rows of the gradient, and takes back the slice of the
 * rows that it owns. */
#include "contrast.h"
#include "global_batch.h"
#include "internal.h"
#include "predict.h"

#include <math.h>
#include <string.h>

typedef struct sgcl {
    global_batch global;
    contrast contrast;
    batch_contrast term; /* of the global batch's rows */
} sgcl;

enum { SAMPLES, PADDED, PADDED_FLOATS, N_SIZES }; /* of the table; padded: to whole tiles */

static const cf_array arrays[] = {
    CF_ARRAY(sgcl, term.gradient[CF_USERS], PADDED_FLOATS, 1),
    CF_ARRAY(sgcl, term.gradient[CF_ITEMS], PADDED_FLOATS, 1),
    CF_ARRAY(sgcl, term.length[CF_USERS], SAMPLES, 1),
    CF_ARRAY(sgcl, term.length[CF_ITEMS], SAMPLES, 1),
    CF_ARRAY(sgcl, term.total[CF_USERS], SAMPLES, 1),
    CF_ARRAY(sgcl, term.total[CF_ITEMS], SAMPLES, 1),
    CF_ARRAY(sgcl, term.inverse[CF_USERS], PADDED, 1),
    CF_ARRAY(sgcl, term.inverse[CF_ITEMS], PADDED, 1),
    CF_ARRAY(sgcl, term.repeats[CF_USERS], PADDED, 1),
    CF_ARRAY(sgcl, term.repeats[CF_ITEMS], PADDED, 1),
};
enum { N_ARRAYS = sizeof arrays / sizeof *arrays };

/* Tiles of scores of both sides, if all rows are distinct. */
static double count_tiles(double padded)
{
    return 2 * (padded / CONTRAST_COLUMNS) * (padded / CONTRAST_ROWS);
}

/* Columns are in tiles of CONTRAST_COLUMNS, the larger of both tile sizes and a multiple of the
 * other: the rows are padded to it. */
static cf_status sgcl_allocate(cf_model *model, int64_t max_batch, sgcl *s)
{
    const cf_model_options *options = &model->options;
    const int64_t full_width = model->table[CF_USERS]->full_width;
    int64_t padded;
    cf_status status;

    CF_TRY(
        global_batch_create(model->table, &model->sort, max_batch, CONTRAST_COLUMNS, &s->global));
    padded = s->global.padded;
    CF_TRY(cf_arrays_create(s, arrays, N_ARRAYS,
                            (int64_t[N_SIZES]){max_batch, padded, padded * full_width}));
    CF_TRY(contrast_create(&model->grid->world, full_width, options->temperature,
                           options->contrast_memory, (int64_t)count_tiles((double)padded),
                           &s->contrast));
done:
    return status;
}

/* Local failures end in one agreement. */
static cf_status sgcl_create(cf_model *model, int64_t max_batch)
{
    return cf_par_agree(&model->grid->world, sgcl_allocate(model, max_batch, model->impl));
}

static void sgcl_destroy(void *impl)
{
    sgcl *s = impl;

    cf_arrays_destroy(s, arrays, N_ARRAYS);
    global_batch_destroy(&s->global);
    contrast_destroy(&s->contrast);
}

/* The final rows of the batch, in full width, on all ranks. Each rank computes those that it owns.
 */
static void compute_rows(cf_model *model, const cf_batch *batch)
{
    global_batch *global = &((sgcl *)model->impl)->global;
    batch_rows *rows = &model->rows;
    const cf_phase before = cf_par_set_phase(CF_PHASE_BATCH);

    global_batch_find(global, batch);
    for (int side = 0; side < 2; side++) {
        rows->count[side] = global->n_own[side];
        rows->local[side] = global->local[side];
    }
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_rows(&model->propagation, rows->local, rows->count, rows->final);
    cf_par_set_phase(CF_PHASE_CONTRAST);
    for (int side = 0; side < 2; side++) {
        memcpy(global->send_rows, rows->final[side],
               (size_t)(rows->count[side] * rows->width) * sizeof(float));
        global_batch_gather(global, (cf_side)side);
    }
    cf_par_restore_phase(before);
}

/* The loss, the same on all ranks, and the gradient of the global batch's rows. */
static double contrast_rows(sgcl *s)
{
    batch_contrast *term = &s->term;
    const cf_phase before = cf_par_set_phase(CF_PHASE_CONTRAST);
    double loss;

    term->size = s->global.size;
    for (int side = 0; side < 2; side++) {
        term->index[side] = s->global.index[side];
        term->count[side] = s->global.n_rows[side];
        term->times[side] = s->global.times[side];
        term->rows[side] = s->global.rows[side];
    }
    loss = contrast_batch(&s->contrast, term);
    cf_par_restore_phase(before);
    return loss;
}

/* A gradient_row_fn: every rank has the whole gradient, and takes its own rows and slice of it. */
static void sgcl_gradient_row(const void *context, cf_side side, int64_t k, float *out)
{
    const sgcl *s = context;

    memcpy(out, global_batch_slice(&s->global, side, s->term.gradient[side], k),
           (size_t)s->global.width * sizeof(float));
}

/* The loss is computed alike on every rank, so all leave together if it is not finite, before the
 * consumer is called. */
static cf_status sgcl_step(cf_model *model, const cf_batch *batch,
                           const cf_gradient_consumer *consumer, cf_loss *loss)
{
    sgcl *s = model->impl;
    cf_phase before;
    double found;

    compute_rows(model, batch);
    found = contrast_rows(s);
    if (!isfinite(found)) return CF_FAIL(CF_ERR_NUMERIC, "the loss is not finite (%g)", found);
    before = cf_par_set_phase(CF_PHASE_GRADIENT);
    gradient_fill(&model->gradient, model->graph, &model->rows, sgcl_gradient_row, s);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_backward(&model->propagation, &model->gradient, consumer);
    cf_par_restore_phase(before);
    *loss = (cf_loss){.total = found, .contrast = found};
    return CF_OK;
}

/* Bytes of what sgcl_allocate() creates. */
static double sgcl_memory(const cf_model_options *options, const memory_shape *m)
{
    const double padded = memory_padded(m->batch, CONTRAST_COLUMNS);

    return cf_arrays_bytes(arrays, N_ARRAYS,
                           (double[N_SIZES]){m->batch, padded, padded * m->full_width}) +
           global_batch_bytes(m, CONTRAST_COLUMNS) +
           contrast_memory((int64_t)m->full_width, options->contrast_memory, count_tiles(padded));
}

/* A total for each row, and each rank's tiles of the gradient to all others. */
static void sgcl_predict(forecast *f)
{
    const cf_par *world = &f->model->grid->world;
    const double row_bytes = 4 * (double)((const sgcl *)f->model->impl)->global.full_width;

    forecast_global_batch(f);
    for (int side = 0; side < 2; side++) {
        const int64_t tiles = (int64_t)ceil(f->distinct[side] / CONTRAST_ROWS);
        const int64_t mine = cf_par_even_start(tiles, world->size, world->rank + 1) -
                             cf_par_even_start(tiles, world->size, world->rank);

        f->bytes[CF_PHASE_CONTRAST] +=
            forecast_allreduce(world, f->distinct[side] * (double)sizeof(double)) +
            (double)(mine * CONTRAST_ROWS) * row_bytes * (world->size - 1);
    }
}

const model_ops model_sgcl = {.name = "SGCL",
                              .propagates = true,
                              .contrasts = true,
                              .impl_size = sizeof(sgcl),
                              .create = sgcl_create,
                              .destroy = sgcl_destroy,
                              .step = sgcl_step,
                              .memory = sgcl_memory,
                              .predict = sgcl_predict};
