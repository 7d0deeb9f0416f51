/* Rows of users that are made of their items: where training starts users of the dataset, and the
 * final rows of users that the model was not trained on.
 *
 * Raw row of user u with items N_u: e_u = 1/|N_u| sum_{i in N_u} E0_i. The final row of a new user
 * is the layers' formula with this e_u in place of a trained row, the trained tables of items, and
 * the items' train degrees, which the new user does not change:
 *     f_u = (e_u + sum_{i in N_u} (E0 + A^ E0 + ... + A^^(L-1) E0)_i / sqrt(|N_u| |N_i|)) / (L+1)
 * With L = 0, and in BPR, f_u = e_u; iALS solves for f_u in place of the mean. The sums run over a
 * graph of the new users and all items, in which halo and order of sums are those of every graph.
 * tests/model/fold_in.c computes f_u in plain doubles, and has users of the dataset folded in to
 * the bits of their own final rows. */
#include "internal.h"

#include <string.h>

/* A field of a graph, of float32 as tables are, and whose raw rows its sums make. */
typedef struct pool {
    cf_graph *graph; /* of the users, and the items of the field */
    cf_table *users; /* raw rows */
    cf_field field;
} pool;

/* The mean of a user's item rows, from their sum; zeros without items. */
static void pool_rows(void *context, const cf_rows *rows)
{
    const pool *p = context;
    const int64_t width = p->users->width;

    if (rows->side != CF_USERS) return;
    for (int k = 0; k < rows->count; k++) {
        const int64_t degree = cf_graph_degree(p->graph, CF_USERS, rows->rows[k]);
        const cf_vector divisor = cf_vector_all(degree > 0 ? (float)degree : 1.0f);

        for (int64_t d = 0; d < width; d += CF_VECTOR)
            cf_vector_store(p->users->data + rows->rows[k] * width + d,
                            cf_vector_load(rows->sums + k * width + d) / divisor);
    }
}

/* Fill the users' raw rows. One sum over neighbours without scaling, whose result for the items is
 * not used. Collective. */
static cf_status pool_users(cf_model *model, cf_graph *graph, cf_table *users)
{
    const cf_table *items = model->table[CF_ITEMS];
    pool p = {.graph = graph, .users = users};
    cf_status status;

    if (model->ops->fill_users != NULL) return model->ops->fill_users(model, graph, users);
    CF_TRY(cf_graph_create_field(graph, (cf_row_kind){items->width, CF_FLOAT32}, &p.field));
    memcpy(p.field.rows[CF_ITEMS], items->data,
           (size_t)(items->local_rows * items->width) * sizeof(float));
    cf_graph_sum(graph, p.field, pool_rows, &p);
done:
    cf_graph_destroy_field(&p.field);
    return status;
}

cf_status cf_model_pool_users(cf_model *model)
{
    return pool_users(model, model->graph, model->table[CF_USERS]);
}

/* The layers of the items are those that cf_model_final() leaves. Collective. */
static cf_status propagate_users(cf_model *model, cf_graph *graph, cf_table *users)
{
    const propagation *p = &model->propagation;
    const cf_table *final[2];
    cf_field field = {0};
    cf_status status;

    CF_TRY(cf_graph_create_field(graph, p->field[0].kind, &field));
    cf_model_final(model, final);
    propagation_fold_in(p, graph, field, users);
done:
    cf_graph_destroy_field(&field);
    return status;
}

cf_status cf_model_fold_in(cf_model *model, const cf_shard *users, cf_table **out)
{
    cf_shard *known = NULL;
    cf_graph *graph = NULL;
    cf_table *rows = NULL;
    cf_status status;

    CF_TRY(cf_dataset_create_added_shard(model->grid, users, &known));
    CF_TRY(cf_graph_create(model->grid, known, &graph));
    CF_TRY(cf_table_create(model->grid, &users->users, model->options.dim, &rows));
    CF_TRY(pool_users(model, graph, rows));
    if (cf_model_propagates(model)) CF_TRY(propagate_users(model, graph, rows));
    *out = rows;
    rows = NULL;
done:
    cf_table_destroy(&rows);
    cf_graph_destroy(&graph);
    cf_dataset_destroy_shard(&known);
    return status;
}
