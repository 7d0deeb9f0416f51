/* The run of a closed form (EASE, L3AE, ItemKNN, Pop, ChebyCF, GF-CF): solve, evaluate, save. It
 * counts as one epoch, so that its progress, log and checkpoints read as those of other runs. There
 * are no steps to stop between: a run that is killed before its checkpoint solves anew. */
#include "run.h"

/* There are no tables to start, but the dataset must have what the closed form reads. */
static cf_status check_start(run *r)
{
    return cf_closed_check_dataset(&r->options.closed, r->dataset);
}

static void find_final(void *impl, const cf_table *final[2])
{
    const run *r = impl;

    final[CF_USERS] = r->table[CF_USERS];
    final[CF_ITEMS] = r->table[CF_ITEMS];
}

/* Up to the first evaluation everything counts as input, as in a run of steps. */
static cf_status set_up(run *r, cf_closed **closed)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_INPUT);
    cf_status status;

    CF_TRY(cf_par_agree(
        r->world, run_warn_unused(r->config, r->options.closed.name, cf_closed_uses(r->config))));
    CF_TRY(run_open(r));
    CF_TRY(cf_closed_create(&r->options.closed, r->grid, r->shard, closed));
    for (int side = 0; side < 2; side++)
        r->table[side] = cf_closed_table(*closed, (cf_side)side);
    r->filter = cf_closed_filter(*closed);
    r->final = find_final;
    r->impl = r;
    run_log_set_up(r->grid, r->dataset, r->costs.memory);
    CF_TRY(run_find_machine(r));
    CF_TRY(run_begin(r, check_start));
done:
    cf_par_restore_phase(before);
    return status;
}

static cf_status solve(run *r, cf_closed *closed)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_SOLVE);
    cf_closed_seconds seconds;
    const cf_status solved = cf_closed_solve(closed, r->dataset, &seconds);
    cf_status status;

    cf_par_restore_phase(before);
    CF_TRY(solved);
    r->progress.epoch = 1;
    run_log_solve(&r->log, &seconds);
    CF_TRY(run_fit_map(r));
    if (run_validates(r)) CF_TRY(run_validate(r));
done:
    return status;
}

cf_status run_closed(run *r, cf_train_result *result)
{
    cf_closed *closed = NULL;
    int64_t epoch;
    cf_status status;

    CF_TRY(set_up(r, &closed));
    if (r->progress.epoch == 0) CF_TRY(solve(r, closed));
    CF_TRY(run_restore_best(r, &epoch));
    CF_TRY(run_test(r, epoch, result));
    CF_TRY(run_report(r, "solved"));
done:
    cf_closed_destroy(&closed);
    return status;
}
