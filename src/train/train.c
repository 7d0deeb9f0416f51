/* The entry of training: the one branch between models that are trained by steps and closed forms.
 * Time limit and profile begin here, before anything is read. */
#include "run.h"

cf_status cf_train_run(const cf_par *world, const cf_config *config, const cf_train_job *job,
                       cf_train_result *result)
{
    run r = {.world = world, .config = config, .job = job};
    cf_train_result found = {0};
    cf_status status;

    CF_TRY(run_read_options(config, &r.options));
    CF_REQUIRE(job->from == NULL || !r.options.is_closed, CF_ERR_USAGE,
               "--from %s: %s is solved, not trained: it has no start", job->from,
               r.options.closed.name);
    supervisor_start(&r.supervisor, world, r.options.checkpoint_interval, job->time_limit);
    cf_par_start_energy(world);
    cf_par_start_profile();
    CF_TRY(r.options.is_closed ? run_closed(&r, &found) : run_steps(&r, &found));
    *result = found;
done:
    run_close(&r);
    return status;
}
