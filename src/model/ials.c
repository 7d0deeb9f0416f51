/* iALS: rows by alternating least squares on all pairs (Hu, Koren and Volinsky 2008; Rendle et al.
 * 2022, "Revisiting the performance of iALS on item recommendation benchmarks").
 *
 * It has no batches and no optimizer: a sweep solves all items, given the users, and then all
 * users, given the items (cf/als.h has what is made smallest). So after each sweep, and at the
 * start, a user's row is the solution for its items; that of a new user with the same items has the
 * same bits. Tables are all that a sweep depends on. tests/als/prior.c compares sweeps with
 * NumPy's. */
#include "internal.h"

#include <math.h>
#include <string.h>

typedef struct ials {
    cf_als *als; /* NULL: no sweeps */
} ials;

/* Items that a training knows of. */
static int64_t count_items(const cf_shard *shard)
{
    int64_t n = 0;

    for (int64_t i = 0; i < shard->n_base_items; i++)
        n += !cf_is_cold(shard->cold, i);
    return n;
}

/* Users and items of a graph: those of the model, or others and the model's items. The interactions
 * of other users weigh the same, that is, as much as those of the model in the mean. Collective. */
static cf_status create_als(const cf_model *model, cf_graph *graph, cf_table *users, cf_als **out)
{
    const cf_shard *shard = model->shard;
    const bool weighs = graph == model->graph && model->options.weighs;
    const cf_als_place place = {
        .grid = model->grid,
        .graph = graph,
        .table = {users, model->table[CF_ITEMS]},
        .pairs = {weighs ? &shard->train : NULL, weighs ? &shard->train_by_item : NULL},
        .cold = shard->cold,
        .n_counted = {users->n_rows, count_items(shard)},
    };

    return cf_als_create(&model->options.als, &place, out);
}

static cf_status create(cf_model *model, int64_t max_batch)
{
    ials *impl = model->impl;

    if (model->options.dim > CF_ALS_MAX_DIM)
        return CF_FAIL(CF_ERR_USAGE, "embedding_size: iALS takes at most %d dimensions, not %lld",
                       CF_ALS_MAX_DIM, (long long)model->options.dim);
    if (max_batch == 0) return CF_OK;
    return create_als(model, model->graph, model->table[CF_USERS], &impl->als);
}

static void destroy(void *impl)
{
    cf_als_destroy(&((ials *)impl)->als);
}

/* Rows without a prior are shrunk towards zero. */
static void clear(cf_table *table)
{
    memset(table->data, 0, (size_t)(table->local_rows * table->width) * sizeof *table->data);
}

/* The users of a graph, given the model's items. Collective. */
static cf_status fill_users(cf_model *model, cf_graph *graph, cf_table *users)
{
    const ials *impl = model->impl;
    cf_als *other = NULL, *als = users == model->table[CF_USERS] ? impl->als : NULL;
    cf_als_loss loss;
    cf_status status;

    if (als == NULL) {
        CF_TRY(create_als(model, graph, users, &other));
        als = other;
    }
    clear(users);
    CF_TRY(cf_als_solve(als, CF_USERS, &loss));
done:
    cf_als_destroy(&other);
    return status;
}

static cf_status sweep(cf_model *model, cf_loss *loss)
{
    const ials *impl = model->impl;
    const double n = (double)model->n_train;
    cf_als_loss items, users;
    double penalty;
    cf_status status;

    CF_TRY(cf_als_fill_prior(impl->als, &penalty));
    CF_TRY(cf_als_solve(impl->als, CF_ITEMS, &items));
    clear(model->table[CF_USERS]);
    CF_TRY(cf_als_solve(impl->als, CF_USERS, &users));
    *loss = (cf_loss){.total = (users.pairs + items.shrunk + penalty) / n,
                      .ranking = (users.pairs - users.shrunk) / n,
                      .regularization = (users.shrunk + items.shrunk + penalty) / n};
done:
    return status;
}

/* The setting auto takes vectors where there are any. Collective. */
static cf_status read_vectors(cf_model *model, const cf_dataset *dataset)
{
    const ials *impl = model->impl;

    if (model->options.prior == CF_PRIOR_NONE) return CF_OK;
    if (dataset->embedding_dim > 0)
        return cf_als_read_vectors(impl->als, dataset, model->options.prior_reg_weight);
    if (model->options.prior == CF_PRIOR_AUTO) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE,
                   "item_prior: text: %s has no language-model vectors: set item_prior: none",
                   cf_dataset_path(dataset));
}

static double memory(const cf_model_options *options, const memory_shape *m)
{
    return cf_als_predict_memory(&(cf_als_size){.rows = {m->users, m->items},
                                                .halo = m->halo,
                                                .all = {m->users * m->n_rows, m->items * m->n_rows},
                                                .ranks = m->ranks,
                                                .dim = options->dim,
                                                .source_dim = m->source_dim,
                                                .n_columns = (int)m->n_columns});
}

static void predict_sweep(const cf_model *model, double bytes[CF_N_PHASES])
{
    const ials *impl = model->impl;

    cf_als_predict_bytes(impl->als, bytes);
}

const model_ops model_ials = {.name = "iALS",
                              .weighs = true,
                              .impl_size = sizeof(ials),
                              .create = create,
                              .destroy = destroy,
                              .read_vectors = read_vectors,
                              .fill_users = fill_users,
                              .sweep = sweep,
                              .memory = memory,
                              .predict_sweep = predict_sweep};
