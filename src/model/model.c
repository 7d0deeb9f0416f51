/* A model: its tables and graph, and the objects of a step, all created at once. What differs
 * between models is in model_ops (models.c, sgl.c, sgcl.c); what is here is the same for all:
 * tables of owned rows x width over the grid, the noise or the means that they start from, and the
 * calls by way of the ops. */
#include "internal.h"
#include "pairwise.h"

#include <math.h>
#include <string.h>

/* What a step needs of the graph, which ranks of a node share. Collective. */
static cf_status create_on_graph(cf_model *model, int64_t max_batch)
{
    const cf_row_kind kind = {model->table[CF_USERS]->width, model->options.field_precision};
    cf_status status;

    CF_TRY(cf_par_agree(&model->grid->world,
                        propagation_create(model->graph, model->table,
                                           model->ops->propagates ? model->options.n_layers : 0,
                                           &model->options, &model->propagation)));
    CF_TRY(propagation_create(model->graph, model->table, 0, &model->options, &model->raw));
    model->in_steps = model->options.ranking_only ? &model->raw : &model->propagation;
    CF_TRY(cf_par_agree(&model->grid->world,
                        gradient_create(model->graph, kind, max_batch, &model->gradient)));
done:
    return status;
}

/* All else that it needs but for ops->create(). Local, so that one agreement is enough; before what
 * is shared, for a batch may be too large. */
static cf_status create_step(cf_model *model, int64_t max_batch)
{
    const int64_t width = model->table[CF_USERS]->width;
    const int64_t most = cf_max(model->table[CF_USERS]->n_rows, model->table[CF_ITEMS]->n_rows);
    cf_status status;

    CF_TRY(row_sort_create(most, max_batch, &model->sort));
    CF_TRY(batch_rows_create(width, max_batch, &model->rows));
    if (model->ops->negatives) {
        CF_TRY(CF_ALLOC(model->pairwise, 1));
        CF_TRY(pairwise_create(model, &model->sort, max_batch, model->pairwise));
    }
    CF_TRY(cf_alloc(&model->impl, 1, model->ops->impl_size));
done:
    return status;
}

/* Train interactions of all blocks. Collective over the grid column. */
static int64_t count_train(const cf_model *model)
{
    int64_t n = model->shard->train.start[model->shard->train.count];

    MPI_Allreduce(MPI_IN_PLACE, &n, 1, MPI_INT64_T, MPI_SUM, model->grid->column.comm);
    return n;
}

/* The graph and the tables agree on errors by themselves; ops->create() comes last, since it reads
 * all of the others. */
static cf_status create_parts(cf_model *model, int64_t max_batch)
{
    const cf_shard *shard = model->shard;
    const int64_t dim = model->options.dim;
    cf_status status;

    CF_TRY(cf_graph_create(model->grid, shard, &model->graph));
    model->n_train = count_train(model);
    CF_TRY(cf_table_create(model->grid, &shard->users, dim, &model->table[CF_USERS]));
    CF_TRY(cf_table_create(model->grid, &shard->items, dim, &model->table[CF_ITEMS]));
    CF_TRY(cf_par_agree(&model->grid->world, create_step(model, max_batch)));
    CF_TRY(create_on_graph(model, max_batch));
    if (model->ops->create != NULL) CF_TRY(model->ops->create(model, max_batch));
done:
    return status;
}

/* The raw rows of two views are the same, and the layers spread what a contrast has moved apart. */
static cf_status check_options(const cf_model *model)
{
    if (model->options.reg_weight < 0)
        return CF_FAIL(CF_ERR_USAGE, "reg_weight: %g is negative, which only L3AE may have",
                       model->options.reg_weight);
    if (!model->options.ranking_only || !model->ops->contrasts) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE,
                   "propagate: test is for LightGCN; the contrast of %s needs the layers in "
                   "training, so set propagate: always",
                   model->ops->name);
}

/* The model is zero bytes at first, and destroying takes parts of zero bytes: one exit frees
 * whatever there is. */
cf_status cf_model_create(const cf_model_options *options, const cf_model_place *place,
                          cf_model **out)
{
    cf_model *model = NULL;
    cf_status status = cf_par_agree(&place->grid->world, CF_ALLOC(model, 1));

    CF_TRY(status);
    model->ops = model_find_ops(options->name);
    model->options = *options;
    model->options.name = model->ops->name; /* the caller's may not live as long */
    model->grid = place->grid;
    model->shard = place->shard;
    model->reg_weight = model->ops->regularizes ? options->reg_weight : 0;
    CF_TRY(check_options(model));
    CF_TRY(create_parts(model, place->max_batch));
    *out = model;
    model = NULL;
done:
    cf_model_destroy(&model);
    return status;
}

/* In the reverse order of creation: fields and sparse rows lie in the graph. */
void cf_model_destroy(cf_model **model)
{
    cf_model *m = *model;

    if (m == NULL) return;
    if (m->impl != NULL && m->ops->destroy != NULL) m->ops->destroy(m->impl);
    cf_free(&m->impl);
    if (m->pairwise != NULL) pairwise_destroy(m->pairwise);
    cf_free(&m->pairwise);
    gradient_destroy(&m->gradient);
    batch_rows_destroy(&m->rows);
    row_sort_destroy(&m->sort);
    propagation_destroy(&m->raw);
    propagation_destroy(&m->propagation);
    for (int side = 0; side < 2; side++)
        cf_table_destroy(&m->table[side]);
    cf_graph_destroy(&m->graph);
    cf_free(model);
}

cf_table *cf_model_table(const cf_model *model, cf_side side)
{
    return model->table[side];
}

/* Users and items draw apart: items' rows are numbered after those of the users. */
void cf_model_fill_noise(cf_model *model, uint64_t seed)
{
    int64_t offset = 0;

    for (int side = 0; side < 2; side++) {
        cf_table *table = model->table[side];

        if (model->options.init_xavier)
            cf_table_fill_uniform(table, seed, offset,
                                  sqrt(6.0 / (double)(table->n_rows + table->dim)));
        else
            cf_table_fill_normal(table, seed, offset, model->options.init_std);
        offset += table->n_rows;
    }
}

void cf_model_start_epoch(cf_model *model, uint64_t seed, int64_t epoch)
{
    if (model->ops->start_epoch != NULL) model->ops->start_epoch(model, seed, epoch);
}

bool cf_model_needs_negatives(const cf_model_options *options)
{
    return model_find_ops(options->name)->negatives;
}

cf_status cf_model_step(cf_model *model, const cf_batch *batch,
                        const cf_gradient_consumer *consumer, cf_loss *loss)
{
    return model->ops->step(model, batch, consumer, loss);
}

cf_status cf_model_read_vectors(cf_model *model, const cf_dataset *dataset)
{
    return model->ops->read_vectors != NULL ? model->ops->read_vectors(model, dataset) : CF_OK;
}

cf_status cf_model_sweep(cf_model *model, cf_loss *loss)
{
    return model->ops->sweep(model, loss);
}

bool cf_model_propagates(const cf_model *model)
{
    return model->propagation.n_layers > 0;
}

/* The final tables are the raw ones in all but their data: blocks and slices are shared, so they
 * must not be destroyed. */
void cf_model_final(cf_model *model, const cf_table *out[2])
{
    float *final[2];

    propagation_all(&model->propagation, final);
    for (int side = 0; side < 2; side++) {
        model->final[side] = *model->table[side];
        model->final[side].data = final[side];
        out[side] = &model->final[side];
    }
}
