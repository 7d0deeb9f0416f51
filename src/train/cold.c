/* Cold items in a run: the map that gives their rows (cf/cold.h), and the final tables with these
 * rows, which scores are made of.
 *
 * A model's final item table is copied, since training goes on from what the model has. The rows of
 * an item-item matrix are filled in place: nothing else is in them. A map belongs to the tables
 * that it was fitted on, so a run fits one before each evaluation that ranks cold items, and again
 * for the tables of the best epoch. Without cold items none is fitted unless the settings name a
 * kind: a dataset that is appended to later has them. */
#include "run.h"

/* What the run has of tables, which are the current final ones. Local. */
static cf_cold_place place_of(const run *r, const cf_table *const final[2])
{
    return (cf_cold_place){.dataset = r->dataset,
                           .grid = r->grid,
                           .shard = r->shard,
                           .users = final[CF_USERS],
                           .items = final[CF_ITEMS],
                           .filter = r->filter,
                           .memory = r->eval.memory};
}

cf_status run_fit_map(run *r)
{
    const double started = cf_clock_now();
    const cf_table *final[2];
    cf_cold_place place;
    cf_phase before;
    cf_status status;

    cf_cold_destroy(&r->map);
    if (r->dataset->n_cold == 0 && r->options.cold.kind == CF_COLD_AUTO) return CF_OK;
    before = cf_par_set_phase(CF_PHASE_EVALUATION);
    r->final(r->impl, final);
    place = place_of(r, final);
    status = cf_cold_fit(&r->options.cold, &place, &r->map);
    if (status == CF_OK && r->map != NULL)
        run_log_map(&r->log, r->progress.epoch, r->map, cf_clock_now() - started);
    cf_par_restore_phase(before);
    return status;
}

/* Rows of cold items in the final tables, by the map. Collective. */
static cf_status apply_map(run *r, const cf_table *final[2])
{
    const cf_cold_place place = place_of(r, final);
    const bool is_matrix = final[CF_USERS] == NULL;
    cf_status status = CF_OK;

    if (r->map == NULL || r->dataset->n_cold == 0) return CF_OK;
    CF_TRY(cf_par_agree(r->world, CF_ALLOC(r->hidden, r->dataset->n_items)));
    if (is_matrix) return cf_cold_apply(r->map, &place, r->table[CF_ITEMS], r->hidden);
    CF_TRY(cf_table_copy(final[CF_ITEMS], &r->mapped));
    CF_TRY(cf_cold_apply(r->map, &place, r->mapped, r->hidden));
    final[CF_ITEMS] = r->mapped;
done:
    return status;
}

void run_destroy_scorer(run *r)
{
    cf_table_destroy(&r->mapped);
    cf_free(&r->hidden);
}

cf_status run_create_scorer(run *r, cf_eval_scorer *out)
{
    const cf_table *final[2];
    cf_status status;

    r->final(r->impl, final);
    CF_TRY(apply_map(r, final));
    *out = train_scorer(final, r->filter, r->hidden, r->shard);
done:
    return status;
}
