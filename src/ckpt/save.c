#include "internal.h"

#include <string.h>

static cf_status write_tables(const cf_ckpt *state, cf_store *store)
{
    const int n_moments = state->optim != NULL ? cf_optim_n_moments(state->optim) : 0;
    cf_status status = CF_OK;

    for (int side = 0; side < 2; side++) {
        CF_TRY(cf_dense_write(state->table[side], store, table_names[side], table_dims[side]));
        for (int k = 0; k < n_moments; k++)
            CF_TRY(cf_dense_write(cf_optim_moment(state->optim, (cf_side)side, k), store,
                                  moment_names[side][k], table_dims[side]));
    }
    if (state->optim != NULL)
        CF_TRY(cf_store_set_int(store, "optimizer_steps", cf_optim_steps(state->optim)));
done:
    return status;
}

static cf_status write_selection(const cf_selection *selection, cf_store *store)
{
    cf_status status = CF_OK;

    if (selection == NULL) return CF_OK;
    CF_TRY(cf_store_put(store, "/selection/dims", CF_I64, selection->n_dims, selection->dims));
    CF_TRY(cf_store_put(store, "/selection/variances", CF_F64, selection->n_dims,
                        selection->variances));
    CF_TRY(cf_store_put(store, "/selection/shift", CF_F64, selection->n_dims, selection->shift));
    CF_TRY(cf_store_set_int(store, "selection_n_popular", selection->n_popular));
    CF_TRY(cf_store_set_real(store, "selection_factor", selection->factor));
    CF_TRY(cf_store_set_real(store, "selection_gain", selection->gain));
    CF_TRY(cf_store_set_int(store, "selection_unit", selection->unit));
done:
    return status;
}

static cf_status write_progress(const cf_run_progress *progress, cf_store *store)
{
    cf_status status;

    CF_TRY(cf_store_set_int(store, "epoch", progress->epoch));
    CF_TRY(cf_store_set_int(store, "batch", progress->batch));
    CF_TRY(cf_store_set_real(store, "loss_sum", progress->loss_sum));
    CF_TRY(cf_store_set_int(store, "best_epoch", progress->best_epoch));
    CF_TRY(cf_store_set_real(store, "best_value", progress->best_value));
    CF_TRY(cf_store_set_int(store, "stale", progress->stale));
    CF_TRY(cf_store_set_real(store, "seconds", progress->seconds));
done:
    return status;
}

static cf_status write_origin(const cf_ckpt *state, cf_store *store)
{
    cf_status status;

    CF_TRY(
        cf_store_put(store, "/settings", CF_U8, (int64_t)strlen(state->settings), state->settings));
    CF_TRY(cf_store_set_int(store, "dataset_digest", (int64_t)state->dataset_digest));
    CF_TRY(cf_store_set_int(store, "n_users", state->n_users));
    CF_TRY(cf_store_set_int(store, "n_items", state->n_items));
    CF_TRY(cf_store_set_text(store, "program", "llminit " CF_VERSION));
done:
    return status;
}

cf_status cf_ckpt_save(const cf_par *world, const char *path, const cf_ckpt *state)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(cf_store_create(world, path, "checkpoint", &store));
    CF_TRY(write_tables(state, store));
    CF_TRY(write_selection(state->selection, store));
    CF_TRY(write_progress(&state->progress, store));
    CF_TRY(write_origin(state, store));
    CF_TRY(cf_store_publish(&store));
done:
    cf_store_close(&store);
    return status;
}
