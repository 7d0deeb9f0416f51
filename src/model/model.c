#include "contrast.h"
#include "internal.h"
#include "memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const cf_setting cf_model_settings[] = {
    {.name = "model",
     .kind = CF_SETTING_CHOICE,
     .initial = "LightGCN",
     .choices = "BPR|LightGCN|SGL|SGCL|EASE|L3AE",
     .help = "what is trained, or, of EASE and L3AE, solved for"},
    {.name = "n_layers",
     .kind = CF_SETTING_INT,
     .initial = "2",
     .min = 0,
     .max = 64,
     .help = "LightGCN, SGL, SGCL: powers of the graph beside the raw table"},
    {.name = "reg_weight",
     .kind = CF_SETTING_REAL,
     .initial = "1e-05",
     .min = 0,
     .max = 1e6,
     .help = "LightGCN, SGL: weight of the norms of the batch's raw rows; EASE, L3AE: added to "
             "the diagonal of the Gram matrix, 250 and 10 unless given"},
    {.name = "require_pow",
     .kind = CF_SETTING_BOOL,
     .initial = "false",
     .help = "regularize by half the squared norms instead of the norms"},
    {.name = "type",
     .kind = CF_SETTING_CHOICE,
     .initial = "ED",
     .choices = "ED|ND|RW",
     .help = "SGL: views by edge dropout, node dropout, or random walk (edge dropout by layer)"},
    {.name = "drop_ratio",
     .kind = CF_SETTING_REAL,
     .initial = "0.1",
     .min = 0,
     .max = 1,
     .help = "SGL: share of the edges or nodes that a view leaves out"},
    {.name = "ssl_tau",
     .kind = CF_SETTING_REAL,
     .initial = "0.5",
     .min = CONTRAST_MIN_TAU,
     .max = 1e6,
     .help = "SGL: temperature of the contrast of views"},
    {.name = "ssl_weight",
     .kind = CF_SETTING_REAL,
     .initial = "0.05",
     .min = 0,
     .max = 1e6,
     .help = "SGL: weight of the contrast of views"},
    {.name = "temperature",
     .kind = CF_SETTING_REAL,
     .initial = "0.2",
     .min = CONTRAST_MIN_TAU,
     .max = 1e6,
     .help = "SGCL: temperature of the contrast within the batch"},
    {.name = "contrast_memory",
     .kind = CF_SETTING_INT,
     .initial = "256",
     .min = 1,
     .max = 1048576,
     .help = "SGL, SGCL: memory of a rank for the scores of the contrast, MiB",
     .machine = true},
    {.name = "reach_share",
     .kind = CF_SETTING_REAL,
     .initial = "0.8",
     .min = 0,
     .max = 1,
     .help = "only rows near a batch are propagated, where they have at most this share of all "
             "edges (0: all rows)",
     .machine = true},
    {.name = "text_reg_weight",
     .kind = CF_SETTING_REAL,
     .initial = "1.0",
     .min = 0,
     .max = 1e9,
     .help = "L3AE: added to the diagonal of the vectors' Gram matrix"},
    {.name = "distill_weight",
     .kind = CF_SETTING_REAL,
     .initial = "100.0",
     .min = 0,
     .max = 1e9,
     .help = "L3AE: weight of the vectors' item-item matrix (0: EASE)"},
    {.name = "solve_precision",
     .kind = CF_SETTING_CHOICE,
     .initial = "float64",
     .choices = "float32|float64",
     .help = "EASE, L3AE: numbers of the linear algebra; float32 takes half the memory and time"},
    {.name = "init",
     .kind = CF_SETTING_CHOICE,
     .initial = "xavier",
     .choices = "xavier|normal",
     .help = "noise that tables start from when emb_selection is False"},
    {.name = "init_std",
     .kind = CF_SETTING_REAL,
     .initial = "0.1",
     .min = 0,
     .max = 1e6,
     .help = "standard deviation of init: normal"},
    {0},
};

static const model_kind *const kinds[] = {&model_bpr,  &model_lightgcn, &model_sgl,
                                          &model_sgcl, &model_ease,     &model_l3ae};

static const model_kind *find_kind(const cf_config *config)
{
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        if (cf_config_is(config, "model", kinds[k]->name)) return kinds[k];
    CF_ASSERT(!"a choice of `model` without a kind");
    return NULL;
}

static cf_status allocate_step(cf_model *model, int64_t max_batch)
{
    const cf_table *users = model->table[CF_USERS];
    const int64_t width = users->width;
    const int64_t segments = width / CF_LANES + cf_table_segments(users->dim);
    cf_status status;

    CF_TRY(batch_rows_create(model->grid, &model->shard->items, width, max_batch, &model->rows));
    CF_TRY(cf_graph_create_sparse(model->graph, 2 * max_batch, width, &model->gradient.scaled));
    for (int side = 0; side < 2; side++) {
        CF_TRY(CF_ALLOC(model->gradient.values[side], 2 * max_batch * width));
        CF_TRY(CF_ALLOC(model->gradient.decay[side], 2 * max_batch));
    }
    CF_TRY(CF_ALLOC(model->segment_scores, max_batch * segments));
    CF_TRY(CF_ALLOC(model->coefficient, max_batch));
    CF_TRY(CF_ALLOC(model->row_counts, model->grid->n_columns));
    CF_TRY(CF_ALLOC(model->row_starts, model->grid->n_columns));
done:
    return status;
}

/* Train interactions of all blocks. Collective over the grid column. */
static int64_t count_train(const cf_model_place *place)
{
    int64_t n = place->shard->train.start[place->shard->train.count];

    MPI_Allreduce(MPI_IN_PLACE, &n, 1, MPI_INT64_T, MPI_SUM, place->grid->column.comm);
    return n;
}

/* What a model that is trained has. */
static cf_status create_trained(cf_model *model, const cf_config *config,
                                const cf_model_place *place)
{
    const cf_par *world = &place->grid->world;
    const int64_t dim = cf_config_int(config, "embedding_size");
    const int layers = model->kind->propagates ? (int)cf_config_int(config, "n_layers") : 0;
    cf_status status;

    CF_TRY(cf_graph_create(place->grid, place->shard, &model->graph));
    model->n_train = count_train(place);
    CF_TRY(cf_table_create(place->grid, &place->shard->users, dim, &model->table[CF_USERS]));
    CF_TRY(cf_table_create(place->grid, &place->shard->items, dim, &model->table[CF_ITEMS]));
    status = propagation_create(model->graph, model->table, layers,
                                cf_config_real(config, "reach_share"), &model->propagation);
    if (status == CF_OK) status = allocate_step(model, place->max_batch);
    if (status == CF_OK) status = cf_alloc(&model->own, 1, model->kind->own_size);
    CF_TRY(cf_par_agree(world, status));
    if (model->kind->create != NULL) CF_TRY(model->kind->create(model, config, place->max_batch));
done:
    return status;
}

cf_status cf_model_create(const cf_config *config, const cf_model_place *place, cf_model **out)
{
    const cf_blocks *items = &place->shard->items;
    cf_model *model = NULL;
    cf_status status = cf_par_agree(&place->grid->world, CF_ALLOC(model, 1));

    CF_TRY(status);
    model->kind = find_kind(config);
    model->grid = place->grid;
    model->shard = place->shard;
    model->reg_weight = model->kind->regularizes ? cf_config_real(config, "reg_weight") : 0;
    model->require_pow = cf_config_bool(config, "require_pow");
    if (model->kind->solve == NULL)
        CF_TRY(create_trained(model, config, place));
    else
        CF_TRY(cf_table_create(place->grid, items, items->start[items->count],
                               &model->table[CF_ITEMS]));
    *out = model;
    model = NULL;
done:
    cf_model_destroy(&model);
    return status;
}

void cf_model_destroy(cf_model **model)
{
    cf_model *m = *model;

    if (m == NULL) return;
    if (m->own != NULL && m->kind->destroy != NULL) m->kind->destroy(m->own);
    cf_free(&m->own);
    propagation_destroy(&m->propagation);
    batch_rows_destroy(&m->rows);
    for (int side = 0; side < 2; side++) {
        cf_table_destroy(&m->table[side]);
        cf_free(&m->gradient.values[side]);
        cf_free(&m->gradient.decay[side]);
    }
    cf_graph_destroy_sparse(&m->gradient.scaled);
    cf_free(&m->segment_scores);
    cf_free(&m->coefficient);
    cf_free(&m->row_counts);
    cf_free(&m->row_starts);
    cf_graph_destroy(&m->graph);
    cf_free(model);
}

cf_table *cf_model_table(const cf_model *model, cf_side side)
{
    return model->table[side];
}

void cf_model_fill_noise(cf_model *model, const cf_config *config, uint64_t seed)
{
    int64_t offset = 0;

    for (int side = 0; side < 2; side++) {
        cf_table *table = model->table[side];

        if (cf_config_is(config, "init", "xavier"))
            cf_table_fill_uniform(table, seed, offset,
                                  sqrt(6.0 / (double)(table->n_rows + table->dim)));
        else
            cf_table_fill_normal(table, seed, offset, cf_config_real(config, "init_std"));
        offset += table->n_rows;
    }
}

/* Mean of a user's item rows. */
static void visit_pool(void *context, const cf_rows *visit)
{
    cf_model *model = context;
    const int64_t width = model->table[CF_USERS]->width;

    if (visit->side != CF_USERS) return;
    for (int k = 0; k < visit->count; k++) {
        const int64_t degree = cf_graph_degree(model->graph, CF_USERS, visit->rows[k]);
        const cf_lanes divisor = cf_lanes_all(degree > 0 ? (float)degree : 1.0f);

        for (int64_t d = 0; d < width; d += CF_LANES)
            cf_lanes_store(model->table[CF_USERS]->data + visit->rows[k] * width + d,
                           cf_lanes_load(visit->sums + k * width + d) / divisor);
    }
}

cf_status cf_model_pool_users(cf_model *model)
{
    const cf_table *items = model->table[CF_ITEMS];
    cf_field field = {0};
    cf_status status = cf_graph_create_field(model->graph, items->width, &field);

    CF_TRY(cf_par_agree(&model->grid->world, status));
    memcpy(field.rows[CF_ITEMS], items->data,
           (size_t)(items->local_rows * items->width) * sizeof(float));
    cf_graph_sum(model->graph, field, visit_pool, model);
done:
    cf_graph_destroy_field(&field);
    return status;
}

void cf_model_start_epoch(cf_model *model, uint64_t seed, int64_t epoch)
{
    if (model->kind->start_epoch != NULL) model->kind->start_epoch(model, seed, epoch);
}

cf_status cf_model_set_defaults(cf_config *config)
{
    const char *own = find_kind(config)->defaults;
    char name[64];

    if (own == NULL) return CF_OK;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(own, "="), own);
    return cf_config_given(config, name) ? CF_OK : cf_config_set(config, own);
}

bool cf_model_is_closed(const cf_config *config)
{
    return find_kind(config)->solve != NULL;
}

const char *cf_model_heeds(const cf_config *config)
{
    return find_kind(config)->heeds;
}

int64_t cf_model_dim(const cf_config *config, int64_t n_items)
{
    return cf_model_is_closed(config) ? n_items : cf_config_int(config, "embedding_size");
}

bool cf_model_needs_negatives(const cf_config *config)
{
    return find_kind(config)->negatives;
}

double cf_model_predict_memory(const cf_config *config, const cf_model_size *size)
{
    const model_kind *kind = find_kind(config);

    return kind->solve != NULL ? closed_memory(kind, config, size) : memory_of(kind, config, size);
}

cf_status cf_model_step(cf_model *model, const cf_batch *batch, const cf_gradient_consumer *sink, cf_loss *loss)
{
    return model->kind->step(model, batch, sink, loss);
}

bool cf_model_propagates(const cf_model *model)
{
    return model->propagation.layers > 0;
}

void cf_model_final(cf_model *model, const cf_table *out[2])
{
    float *final[2];

    if (model->kind->solve != NULL) {
        out[CF_USERS] = NULL;
        out[CF_ITEMS] = model->table[CF_ITEMS];
        return;
    }
    propagation_all(&model->propagation, final);
    for (int side = 0; side < 2; side++) {
        model->final[side] = *model->table[side];
        model->final[side].data = final[side];
        out[side] = &model->final[side];
    }
}

cf_status cf_model_check_dataset(const cf_config *config, const cf_dataset *dataset)
{
    return closed_check_dataset(find_kind(config), config, dataset);
}

cf_status cf_model_solve(cf_model *model, const cf_dataset *dataset, const cf_config *config,
                         cf_solved *out)
{
    cf_status status;

    CF_TRY(cf_model_check_dataset(config, dataset));
    CF_TRY(model->kind->solve(model, dataset, config, out));
done:
    return status;
}
