/* A run: its folder, its checkpoints, its evaluations and its report, for models that are trained
 * by steps (steps.c) and for closed forms (closed.c); train.c chooses.
 *
 *     set-up     dataset, grid, shard; then steps.c or closed.c create the model
 *     begin      the folder; the state of latest.h5, or the start of the tables; settings.yaml, log
 *     (steps or solution, with evaluations of the valid part: better.h5, best.h5)
 *     end        latest.h5; the best epoch is read back, and tested; report
 *
 * Rank 0 alone looks at the folder and tells the others, so that all ranks decide alike. The files
 * of a run are replaced as a whole: after a kill at any moment the run resumes from latest.h5. */
#include "run.h"

#include <string.h>

enum { SETTINGS, LATEST, BEST, BETTER, LOCK, LOG };

const char *const cf_train_files[] = {[SETTINGS] = "settings.yaml",
                                      [LATEST] = "latest.h5",
                                      [BEST] = "best.h5",
                                      [BETTER] = "better.h5",
                                      [LOCK] = "lock",
                                      [LOG] = RUN_LOG_NAME,
                                      [LOG + 1] = NULL};

/* ---- Set-up ---- */

/* Weights are not ignored in silence. The same on all ranks. Local. */
static cf_status check_weights(const run *r)
{
    const char *model = cf_config_text(r->config, "model");

    if (!r->dataset->has_weights || cf_model_uses_weights(model) ||
        cf_config_is(r->config, "interaction_weights", "none"))
        return CF_OK;
    return CF_FAIL(CF_ERR_USAGE,
                   "%s: interactions have weights, which %s does not use: set "
                   "interaction_weights: none to train without them",
                   r->job->data, model);
}

cf_status run_open(run *r)
{
    cf_status status;

    CF_TRY(cf_par_agree(r->world, cf_config_to_yaml(r->config, &r->settings)));
    CF_TRY(build_text(r->world, &r->build));
    CF_TRY(cf_dataset_open(r->world, r->job->data, &r->dataset));
    CF_REQUIRE(!r->dataset->is_appended, CF_ERR_USAGE,
               "train: %s was appended to: a training takes a dataset that was prepared from all "
               "files",
               r->job->data);
    CF_TRY(check_weights(r));
    CF_TRY(cf_eval_read_options(r->config, &r->eval));
    if (run_validates(r)) CF_TRY(cf_eval_check_metric(&r->eval));
    CF_TRY(grid_create(r->dataset, &r->options, &r->grid));
    r->costs.memory =
        grid_predict_bytes(r->dataset, &r->options, cf_par_count_nodes(&r->grid->world),
                           r->grid->n_rows, r->grid->n_columns);
    CF_TRY(grid_check_memory(r->dataset, &r->options, r->grid, r->costs.memory));
    CF_TRY(cf_dataset_load_shard(r->dataset, r->grid, &r->shard));
    if (run_validates(r)) CF_TRY(cf_eval_check_candidates(r->grid, r->shard, &r->eval));
done:
    return status;
}

void run_close(run *r)
{
    run_log_close(&r->log);
    cf_cold_destroy(&r->map);
    cf_select_destroy(&r->selection);
    cf_dataset_destroy_shard(&r->shard);
    cf_par_destroy_grid(&r->grid);
    cf_dataset_close(&r->dataset);
    cf_free(&r->settings);
    cf_free(&r->build);
    cf_free(&r->bindings);
    cf_free(&r->latest);
    cf_free(&r->best);
    cf_free(&r->better);
    cf_lock_release(&r->lock);
    cf_folders_leave(&r->folders); /* last: of a run that was refused nothing is left */
}

/* ---- Begin ---- */

/* The path of a file in the folder. Local. */
static cf_status name_file(const run *r, int file, char **out)
{
    return cf_text_format(out, "%s/%s", r->job->out, cf_train_files[file]);
}

/* Keep other trainings out of the folder until run_close(). On rank 0 alone. */
static cf_status lock_folder(run *r)
{
    char *path = NULL, *refusal = NULL;
    cf_status status;

    CF_TRY(name_file(r, LOCK, &path));
    CF_TRY(cf_text_format(&refusal, "%s: another training is at work in it", r->job->out));
    CF_TRY(cf_lock_take(path, refusal, &r->lock));
done:
    cf_free(&path);
    cf_free(&refusal);
    return status;
}

/* Make and lock the folder. `found`: latest.h5 and best.h5 are in it. On rank 0 alone. */
static cf_status take_folder(run *r, int found[2])
{
    cf_status status;

    CF_TRY(cf_folder_make(r->job->out, &r->folders));
    CF_TRY(lock_folder(r));
    CF_TRY(run_find_file(r->latest, &found[0]));
    CF_TRY(run_find_file(r->best, &found[1]));
done:
    return status;
}

/* Local. */
static cf_status name_files(run *r)
{
    cf_status status;

    CF_TRY(name_file(r, LATEST, &r->latest));
    CF_TRY(name_file(r, BEST, &r->best));
    CF_TRY(name_file(r, BETTER, &r->better));
done:
    return status;
}

/* The folder, locked, and whether to resume the run that is in it. No kill leaves best.h5 without
 * latest.h5: such a file was kept on purpose. Collective. */
static cf_status open_folder(run *r, bool *resume)
{
    const char *out = r->job->out;
    int found[2] = {0, 0};
    cf_status status;

    CF_TRY(cf_par_agree(r->world, name_files(r)));
    if (r->world->rank == 0) status = take_folder(r, found);
    CF_TRY(cf_par_agree_on_input(r->world, status));
    cf_par_broadcast(r->world, found, sizeof found, 0);
    CF_REQUIRE(!found[0] || r->job->resume, CF_ERR_USAGE,
               "%s: there is a run in it: --resume auto resumes it; else choose another --out",
               out);
    CF_REQUIRE(
        found[0] || !found[1], CF_ERR_USAGE,
        "%s: there is a best.h5 in it, but no latest.h5 to resume from: choose another --out", out);
    *resume = found[0] != 0;
done:
    return status;
}

/* The settings of the run, `old`, must be those given now, but for the changeable ones. Collective.
 */
static cf_status check_settings(const run *r, const cf_config *old)
{
    const char *differs;
    char *changeable = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(r->world, cf_config_list(r->config, CF_SETTING_CHANGEABLE, &changeable)));
    differs = cf_config_differs(r->config, old);
    CF_REQUIRE(differs == NULL, CF_ERR_USAGE,
               "%s: %s differs from the run's: only %s and settings of the machine may change",
               r->latest, differs, changeable);
done:
    cf_free(&changeable);
    return status;
}

/* What the settings of a run that is resumed may not be: the run went on where one that had begun
 * with them would have ended. `old`: those of the file. Local. */
static cf_status check_reached(run *r, const cf_config *old)
{
    cf_run_progress *p = &r->progress;
    const int64_t epochs = p->epoch + (p->batch > 0);
    cf_status status = CF_OK;

    if (p->most_bad_evals == CF_CKPT_UNKNOWN)
        p->most_bad_evals = cf_config_int(old, "stopping_step"); /* it was no more */
    CF_REQUIRE(r->options.is_closed || r->options.epochs >= epochs, CF_ERR_USAGE,
               "%s: epochs is %lld, but the run %s epoch %lld: it can be no less", r->latest,
               (long long)r->options.epochs, p->batch > 0 ? "is in" : "has done",
               (long long)epochs);
    CF_REQUIRE(r->options.is_closed || r->options.stopping_step >= p->most_bad_evals, CF_ERR_USAGE,
               "%s: stopping_step is %lld, but the run went on after %lld evaluations without a "
               "better one: it can be no less",
               r->latest, (long long)r->options.stopping_step, (long long)p->most_bad_evals);
done:
    return status;
}

/* The epoch, the batch and the optimizer count the same steps, in three numbers of the file.
 * Without an optimizer two of them have to agree. Local. */
static cf_status check_steps(const run *r)
{
    const cf_run_progress *p = &r->progress;
    const int64_t steps =
        r->optim != NULL ? cf_optim_steps(r->optim) : p->epoch * r->n_batches + p->batch;

    if (r->n_batches == 0 ||
        (p->batch <= r->n_batches && p->batch <= steps && (steps - p->batch) % r->n_batches == 0 &&
         (steps - p->batch) / r->n_batches == p->epoch))
        return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT,
                   "%s: epoch %lld, batch %lld after %lld steps: an epoch has %lld batches",
                   r->latest, (long long)p->epoch, (long long)p->batch, (long long)steps,
                   (long long)r->n_batches);
}

/* The state of a run from its checkpoint, which must be of this dataset and these settings.
 * Collective. */
static cf_status load_latest(run *r)
{
    cf_ckpt_file *file = NULL;
    cf_config *old = NULL;
    cf_status status;

    CF_TRY(cf_ckpt_open(r->world, r->latest, &file));
    CF_TRY(cf_ckpt_check_dataset(file, r->job->data, r->dataset->digest,
                                 (int64_t[]){r->dataset->n_users, r->dataset->n_items}));
    CF_TRY(cf_par_agree(r->world, cf_train_read_settings(file, &old)));
    CF_TRY(check_settings(r, old));
    CF_TRY(cf_ckpt_read(file, r->table, r->optim));
    r->progress = file->progress;
    CF_TRY(check_steps(r));
    CF_TRY(cf_par_agree(r->world, check_reached(r, old)));
    r->selection = file->selection;
    file->selection = NULL;
    CF_TRY(run_settle_best(r));
    cf_log("resumes from %s: epoch %lld, batch %lld", r->latest, (long long)r->progress.epoch,
           (long long)r->progress.batch);
    CF_TRY(build_warn(r->world, file, r->build));
    if (r->job->from != NULL) cf_log("--from %s is not read: the run has begun", r->job->from);
done:
    cf_config_destroy(&old);
    cf_ckpt_close(&file);
    return status;
}

static cf_status save_settings(const run *r)
{
    char *path = NULL;
    cf_status status = CF_OK;

    if (r->world->rank == 0) {
        CF_TRY(name_file(r, SETTINGS, &path));
        CF_TRY(cf_file_replace(path, r->settings, strlen(r->settings)));
    }
done:
    cf_free(&path);
    return cf_par_agree(r->world, status);
}

/* A profile that cannot be written is better known before hours of training than after them. */
cf_status run_begin(run *r, cf_status (*start)(run *r))
{
    bool resume = false;
    cf_status status;

    CF_TRY(open_folder(r, &resume));
    if (r->job->profile != NULL) CF_TRY(profile_check(r->world, r->job->profile));
    CF_TRY(resume ? load_latest(r) : start(r));
    if (!resume) CF_TRY(run_discard_better(r));
    CF_TRY(save_settings(r));
    CF_TRY(run_log_open(r->world, r->job->out, resume ? r->progress.epoch : -1, &r->log));
    run_log_start(&r->log, &(run_start){.grid = r->grid,
                                        .dataset = r->dataset,
                                        .bindings = r->bindings,
                                        .predicted = &r->costs,
                                        .from_epoch = r->progress.epoch,
                                        .from = resume ? NULL : r->job->from,
                                        .matched = {r->matched[CF_USERS], r->matched[CF_ITEMS]}});
    r->clock = r->supervisor.saved = cf_clock_now();
done:
    return status;
}

/* ---- Checkpoints ---- */

static void update_seconds(run *r)
{
    const double now = cf_clock_now();

    r->progress.seconds += now - r->clock;
    r->clock = now;
}

/* A run goes on from latest.h5 alone, so it has the optimizer; the others have the map. Collective.
 */
static cf_status save(run *r, const char *path, const cf_run_progress *progress)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_OUTPUT);
    const bool is_latest = path == r->latest;
    cf_ckpt state = {.table = {r->table[CF_USERS], r->table[CF_ITEMS]},
                     .optim = is_latest ? r->optim : NULL,
                     .selection = r->selection,
                     .map = is_latest ? NULL : r->map,
                     .progress = *progress,
                     .settings = r->settings,
                     .build = r->build,
                     .dataset_digest = r->dataset->digest,
                     .n_users = r->dataset->n_users,
                     .n_items = r->dataset->n_items};
    cf_status status;

    status = cf_ckpt_save(r->world, path, &state);
    cf_par_restore_phase(before);
    return status;
}

cf_status run_save_latest(run *r)
{
    const double began = cf_clock_now();
    cf_status status;

    update_seconds(r);
    CF_TRY(save(r, r->latest, &r->progress));
    CF_TRY(run_promote_better(r));
    supervisor_saved(&r->supervisor, began);
done:
    return status;
}

/* The current tables are the best so far. Collective. */
static cf_status save_better(run *r)
{
    cf_status status;

    update_seconds(r);
    CF_TRY(save(r, r->better, &r->progress));
    r->has_better = true;
done:
    return status;
}

/* ---- Evaluation ---- */

bool run_validates(const run *r)
{
    return r->dataset->n_valid > 0 && r->options.eval_step > 0;
}

/* The table that valid_metric is of. */
static cf_candidates valid_table(const run *r)
{
    return r->dataset->n_cold > 0 ? r->eval.valid_candidates : CF_ALL;
}

/* Are cold items among what the valid part is measured on between steps? */
static bool ranks_cold(const run *r)
{
    return r->dataset->n_cold > 0 && valid_table(r) == CF_ALL;
}

/* All tables, or warm items alone, which is cheap: of a validation between steps whose valid_metric
 * is of them. */
static cf_status evaluate(run *r, cf_split split, cf_cold_metrics *out)
{
    const bool warm_alone =
        split == CF_SPLIT_VALID && !r->options.is_closed && valid_table(r) == CF_WARM;
    const cf_phase before = cf_par_set_phase(CF_PHASE_EVALUATION);
    const cf_metrics *measured = &out->table[warm_alone ? CF_WARM : CF_ALL];
    cf_eval_scorer scorer;
    cf_status status = run_create_scorer(r, &scorer);

    *out = (cf_cold_metrics){.has = {[CF_WARM] = warm_alone}};
    if (status == CF_OK)
        status = warm_alone ? cf_eval_run_warm(&scorer, split, &r->eval, &out->table[CF_WARM])
                            : cf_eval_run_cold(&scorer, split, &r->eval, NULL, out);
    run_destroy_scorer(r);
    cf_par_restore_phase(before);
    if (status == CF_OK && !r->warned_cold) {
        cf_eval_warn_cold(measured->n_cold, measured->n_users);
        r->warned_cold = measured->n_cold > 0;
    }
    return status;
}

/* A line for who watches: the epoch, its loss, what early stop goes by, and the best of it so far.
 */
static void log_validation(run *r, double value, bool better)
{
    const cf_run_progress *p = &r->progress;
    const char *metric = r->eval.valid_metric;
    char loss[64] = "", best[96] = "the best so far";

    update_seconds(r);
    if (!r->options.is_closed) snprintf(loss, sizeof loss, "loss %.6g, ", r->loss);
    if (!better)
        snprintf(best, sizeof best, "best so far %.4f in epoch %lld", p->best_value,
                 (long long)p->best_epoch);
    cf_log("epoch %lld: %svalid %s %.4f (%s), %.1f s", (long long)p->epoch, loss, metric, value,
           best, p->seconds);
}

cf_status run_validate(run *r)
{
    const double started = cf_clock_now();
    run_evaluation event = {"valid", r->progress.epoch, .main = valid_table(r)};
    cf_cold_metrics metrics;
    double value;
    bool better;
    cf_status status;

    if (!r->options.is_closed && ranks_cold(r)) CF_TRY(run_fit_map(r));
    CF_TRY(evaluate(r, CF_SPLIT_VALID, &metrics));
    CF_TRY(cf_eval_metric(&metrics.table[event.main], r->eval.valid_metric, &value));
    better = r->progress.best_epoch == 0 || value > r->progress.best_value;
    if (better) {
        r->progress.best_value = value;
        r->progress.best_epoch = r->progress.epoch;
        r->progress.n_bad_evals = 0;
        CF_TRY(save_better(r));
    } else {
        r->progress.n_bad_evals++;
    }
    event.best = better;
    event.seconds = cf_clock_now() - started;
    run_log_metrics(&r->log, &event, &metrics);
    log_validation(r, value, better);
done:
    return status;
}

/* ---- End ---- */

/* best.h5 gets the map of its tables, unless it has one already. Collective. */
static cf_status complete_best(run *r, const cf_run_progress *progress)
{
    cf_status status = CF_OK;

    if (r->map != NULL) return CF_OK;
    CF_TRY(run_fit_map(r));
    if (r->map != NULL) CF_TRY(save(r, r->best, progress));
done:
    return status;
}

/* Without a valid part no epoch was found to be the best: then it is the last one. */
cf_status run_restore_best(run *r, int64_t *epoch)
{
    cf_ckpt_file *file = NULL;
    cf_run_progress progress;
    cf_status status;

    if (r->progress.best_epoch == 0) CF_TRY(save_better(r));
    CF_TRY(run_save_latest(r));
    CF_TRY(cf_ckpt_open(r->world, r->best, &file));
    CF_TRY(cf_ckpt_read(file, r->table, NULL));
    progress = file->progress;
    *epoch = progress.epoch;
    cf_cold_destroy(&r->map);
    CF_TRY(cf_cold_read(r->grid, file->store, r->table[CF_ITEMS]->dim, &r->map));
    cf_ckpt_close(&file); /* before it is replaced */
    CF_TRY(complete_best(r, &progress));
done:
    cf_ckpt_close(&file);
    return status;
}

cf_status run_test(run *r, int64_t epoch, cf_train_result *result)
{
    const double started = cf_clock_now();
    run_evaluation event = {"test", epoch, .main = CF_ALL, .best = true};
    cf_status status = CF_OK;

    result->progress = r->progress;
    result->has_test = r->dataset->n_test > 0;
    if (!result->has_test) return CF_OK;
    CF_TRY(evaluate(r, CF_SPLIT_TEST, &result->test));
    event.seconds = cf_clock_now() - started;
    run_log_metrics(&r->log, &event, &result->test);
done:
    return status;
}

cf_status run_report(run *r, const char *why)
{
    const cf_report_context context = {"train", r->config, r->dataset, r->grid, r->shard};
    report all = {0};
    cf_status status;

    cf_cold_destroy(&r->map); /* it is not what steps hold */
    CF_TRY(report_gather(r->grid, r->shard, &all));
    if (r->world->rank == 0) {
        report_log(&all, &r->costs);
        run_log_profile(&r->log, profile_summary(&all, &r->costs));
    }
    run_log_end(&r->log, &r->progress, why);
    if (r->job->profile != NULL) CF_TRY(profile_write(&all, &context, &r->costs, r->job->profile));
done:
    report_destroy(&all);
    return status;
}
