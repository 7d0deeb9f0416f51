#include "internal.h"

#include <errno.h>
#include <omp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_PATH = 4096 };

/* Everything that lives as long as a run. */
struct run {
    const cf_par *world;
    const cf_config *config;
    const cf_train_job *job;
    char *settings; /* YAML of config */
    char latest[MAX_PATH], best[MAX_PATH];
    cf_dataset *dataset;
    cf_grid *grid;
    cf_shard *shard;
    cf_model *model;   /* NULL: a closed form */
    cf_closed *closed; /* NULL: a model that is trained */
    cf_optim *optim;
    cf_selection *selection;
    struct sampler sampler;
    run_log log;
    cf_progress bar;
    cf_run_progress progress;
    struct watch watch;
    char collapse[64]; /* what the progress line says of it */
    step_costs costs;
    double clock; /* when progress.seconds was brought up to date */
};

/* ---- Setting up ---- */

/* The folder, and whether a run is in it already. Collective. */
static cf_status open_folder(struct run *run, bool *resume)
{
    const char *out = run->job->out;
    struct stat found_at;
    int found = 0;
    cf_status status = CF_OK;

    if (strlen(out) + 32 > MAX_PATH) status = CF_FAIL(CF_ERR_USAGE, "--out: the path is too long");
    if (status == CF_OK && run->world->rank == 0) {
        snprintf(run->latest, MAX_PATH, "%s/latest.h5", out);
        if (mkdir(out, 0777) != 0 && errno != EEXIST)
            status = CF_FAIL(CF_ERR_IO, "%s: cannot make the folder: %s", out, strerror(errno));
        else if (stat(out, &found_at) != 0 || !S_ISDIR(found_at.st_mode))
            status = CF_FAIL(CF_ERR_IO, "%s: is not a folder", out);
        else if (access(run->latest, F_OK) == 0)
            found = 1;
    }
    CF_TRY(cf_par_agree(run->world, status));
    snprintf(run->latest, MAX_PATH, "%s/latest.h5", out);
    snprintf(run->best, MAX_PATH, "%s/best.h5", out);
    cf_par_broadcast(run->world, &found, sizeof found, 0);
    if (found && !run->job->resume)
        CF_TRY(CF_FAIL(
            CF_ERR_USAGE,
            "%s: there is a run in it: --resume auto goes on with it; else choose another --out",
            out));
    *resume = found != 0;
done:
    return status;
}

static cf_status save_settings(const struct run *run)
{
    char path[MAX_PATH];
    cf_status status = CF_OK;

    if (run->world->rank == 0) {
        snprintf(path, sizeof path, "%.4000s/settings.yaml", run->job->out);
        status = cf_file_replace(path, run->settings, strlen(run->settings));
    }
    return cf_par_agree(run->world, status);
}

/* Without a valid part there is nothing that valid_metric could be of. */
static bool validates(const struct run *run)
{
    return run->dataset->n_valid > 0 && cf_config_int(run->config, "eval_step") > 0;
}

static cf_status create_sampler(struct run *run)
{
    cf_status status = sampler_create(run->config, run->dataset, run->shard, &run->sampler);

    if (status == CF_ERR_FORMAT)
        status = CF_FAIL(status, "%s: %s", run->job->data, cf_error_message());
    return cf_par_agree(run->world, status);
}

static cf_status create_optim(struct run *run)
{
    cf_table *tables[] = {cf_model_table(run->model, CF_USERS),
                          cf_model_table(run->model, CF_ITEMS)};
    cf_optim_options options;

    cf_optim_read_options(run->config, &options);
    return cf_optim_create(&options, tables, &run->optim);
}

static cf_status create_closed(struct run *run)
{
    cf_closed_options options;

    cf_closed_read_options(run->config, &options);
    return cf_closed_create(&options, run->grid, run->shard, &run->closed);
}

static cf_status create_model(struct run *run)
{
    cf_model_options options;
    cf_model_place place;
    cf_status status;

    CF_TRY(create_sampler(run));
    cf_model_read_options(run->config, &options);
    place = (cf_model_place){run->grid, run->shard, run->sampler.batch_size};
    CF_TRY(cf_model_create(&options, &place, &run->model));
    CF_TRY(create_optim(run));
done:
    return status;
}

/* The tables that a checkpoint of the run holds. */
static void get_tables(const struct run *run, cf_table *out[2])
{
    out[CF_USERS] = run->model != NULL ? cf_model_table(run->model, CF_USERS) : NULL;
    out[CF_ITEMS] =
        run->model != NULL ? cf_model_table(run->model, CF_ITEMS) : cf_closed_matrix(run->closed);
}

static cf_status create_parts(struct run *run)
{
    cf_status status;

    CF_TRY(cf_dataset_open(run->world, run->job->data, &run->dataset));
    CF_TRY(cf_eval_check(run->config, validates(run)));
    CF_TRY(cf_train_create_grid(run->dataset, run->config, &run->grid));
    run->costs.memory =
        grid_predict_bytes(run->dataset, run->config, run->grid->n_rows, run->grid->n_columns);
    CF_TRY(grid_check_memory(run->dataset, run->config, run->grid));
    CF_TRY(cf_dataset_load_shard(run->dataset, run->grid, &run->shard));
    CF_TRY(cf_closed_is(run->config) ? create_closed(run) : create_model(run));
done:
    return status;
}

/* What a step will send. Collective. */
static cf_status predict(struct run *run)
{
    step_costs *costs = &run->costs;
    cf_status status;

    if (cf_closed_is(run->config)) return CF_OK;
    CF_TRY(cf_model_predict_step(run->model, run->sampler.batch_size, costs->mean));
    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        costs->most += costs->mean[phase];
        costs->mean[phase] /= run->world->size;
    }
    MPI_Allreduce(MPI_IN_PLACE, costs->mean, CF_N_PHASES, MPI_DOUBLE, MPI_SUM, run->world->comm);
    MPI_Allreduce(MPI_IN_PLACE, &costs->most, 1, MPI_DOUBLE, MPI_MAX, run->world->comm);
done:
    return status;
}

/* What is trained on what, and what it will take. Collective. */
static void log_start(const struct run *run)
{
    const step_costs *costs = &run->costs;
    char parts[512] = "";
    double total = 0;
    size_t used = 0;

    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        if (costs->mean[phase] == 0) continue;
        total += costs->mean[phase];
        used += (size_t)snprintf(parts + used, sizeof parts - used, "%s%s %.0f",
                                 used > 0 ? ", " : ": ", cf_phase_names[phase], costs->mean[phase]);
    }
    cf_log("%lld users, %lld items, %lld train interactions", (long long)run->dataset->n_users,
           (long long)run->dataset->n_items, (long long)run->dataset->n_train);
    cf_log("%d nodes, %d ranks x %d threads, grid %dx%d, about %.0f MiB a rank",
           cf_par_count_nodes(run->world), run->world->size, omp_get_max_threads(),
           run->grid->n_rows, run->grid->n_columns, costs->memory / 1048576);
    if (!cf_closed_is(run->config))
        cf_log("a step sends about %.0f bytes from a rank, at most %.0f%s", total, costs->most,
               parts);
    cf_par_log_libraries();
}

/* Starting tables; a closed form has none, only conditions. */
static cf_status start_tables(struct run *run)
{
    cf_select_options options;
    cf_table *items;
    cf_status status = CF_OK;

    if (run->model == NULL) {
        cf_closed_options closed;

        cf_closed_read_options(run->config, &closed);
        return cf_closed_check_dataset(&closed, run->dataset);
    }
    items = cf_model_table(run->model, CF_ITEMS);
    if (cf_config_is(run->config, "emb_selection", "False")) {
        cf_model_fill_noise(run->model, run->sampler.seed);
        return CF_OK;
    }
    cf_select_read_options(run->config, &options);
    CF_TRY(cf_select_create(run->dataset, &options, &run->selection));
    CF_TRY(cf_select_fill_items(run->dataset, run->selection, &options, items));
    CF_TRY(cf_model_pool_users(run->model));
done:
    return status;
}

static cf_status load_latest(struct run *run)
{
    cf_table *tables[2];
    cf_ckpt_file *file = NULL;
    const char *differs;
    char *changeable = NULL;
    cf_status status;

    CF_TRY(cf_ckpt_open(run->world, run->latest, &file));
    CF_TRY(cf_ckpt_check_dataset(file, run->job->data, run->dataset->digest,
                                 (int64_t[]){run->dataset->n_users, run->dataset->n_items}));
    CF_TRY(
        cf_par_agree(run->world, cf_config_list(run->config, CF_SETTING_CHANGEABLE, &changeable)));
    differs = cf_config_differs(run->config, file->settings);
    CF_REQUIRE(differs == NULL, CF_ERR_USAGE,
               "%s: %s differs from the run's: only %s and settings of the machine may change",
               run->latest, differs, changeable);
    get_tables(run, tables);
    CF_TRY(cf_ckpt_read(file, tables, run->optim));
    run->progress = file->progress;
    run->selection = file->selection;
    file->selection = NULL;
    cf_log("goes on from %s: epoch %lld, batch %lld", run->latest, (long long)run->progress.epoch,
           (long long)run->progress.batch);
done:
    cf_free(&changeable);
    cf_ckpt_close(&file);
    return status;
}

/* A closed form heeds few settings: say which of those given it does not. Local. */
static cf_status warn_of_settings(const struct run *run)
{
    char heeded[256], *others = NULL;
    cf_status status = CF_OK;

    if (!cf_closed_is(run->config)) return CF_OK;
    snprintf(heeded, sizeof heeded, "model,seed,eval_step,topk,valid_metric,mask_history,%s",
             cf_closed_uses(run->config));
    CF_TRY(cf_config_changed(run->config, heeded, &others));
    if (*others != '\0')
        cf_warn("without meaning for %s: %s", cf_config_text(run->config, "model"), others);
done:
    cf_free(&others);
    return status;
}

static cf_status set_up(struct run *run)
{
    bool resume = false;
    cf_status status;

    CF_TRY(cf_par_agree(run->world, cf_config_to_yaml(run->config, &run->settings)));
    CF_TRY(cf_par_agree(run->world, warn_of_settings(run)));
    CF_TRY(create_parts(run));
    CF_TRY(predict(run));
    log_start(run);
    CF_TRY(open_folder(run, &resume));
    if (run->job->profile != NULL) CF_TRY(costs_check(run->world, run->job->profile));
    if (resume)
        CF_TRY(load_latest(run));
    else
        CF_TRY(start_tables(run));
    CF_TRY(save_settings(run));
    CF_TRY(run_log_open(run->world, run->job->out, resume, &run->log));
    run_log_start(&run->log, run->grid, run->dataset, &run->costs, run->progress.epoch);
    run->clock = run->watch.saved = cf_clock_now();
done:
    return status;
}

static void tear_down(struct run *run)
{
    run_log_close(&run->log);
    sampler_destroy(&run->sampler);
    cf_select_destroy(&run->selection);
    cf_optim_destroy(&run->optim);
    cf_model_destroy(&run->model);
    cf_closed_destroy(&run->closed);
    cf_dataset_destroy_shard(&run->shard);
    cf_par_destroy_grid(&run->grid);
    cf_dataset_close(&run->dataset);
    cf_free(&run->settings);
}

/* ---- Going on ---- */

static void update_seconds(struct run *run)
{
    const double now = cf_clock_now();

    run->progress.seconds += now - run->clock;
    run->clock = now;
}

static cf_status save(struct run *run, const char *path, bool with_optim)
{
    cf_ckpt state = {.optim = with_optim ? run->optim : NULL,
                     .selection = run->selection,
                     .settings = run->settings,
                     .dataset_digest = run->dataset->digest,
                     .n_users = run->dataset->n_users,
                     .n_items = run->dataset->n_items};

    const cf_phase before = cf_par_set_phase(CF_PHASE_OUTPUT);
    cf_status status;

    update_seconds(run);
    get_tables(run, state.table);
    state.progress = run->progress;
    status = cf_ckpt_save(run->world, path, &state);
    cf_par_restore_phase(before);
    return status;
}

static cf_status save_latest(struct run *run)
{
    const double began = cf_clock_now();
    const cf_status status = save(run, run->latest, true);

    watch_saved(&run->watch, began);
    return status;
}

/* The table of phases, the profile, and the last line of the log. Collective. */
static cf_status close_books(struct run *run, const char *why)
{
    const cf_report_context scene = {"train", run->config, run->dataset, run->grid, run->shard};
    run_costs all = {0};
    cf_status status;

    CF_TRY(costs_gather(run->grid, run->shard, &all));
    if (run->world->rank == 0) {
        costs_log(&all, &run->costs);
        run_log_profile(&run->log, costs_summary(&all, &run->costs));
    }
    run_log_end(&run->log, &run->progress, why);
    if (run->job->profile != NULL)
        CF_TRY(costs_write(&all, &scene, &run->costs, run->job->profile));
done:
    costs_destroy(&all);
    return status;
}

static cf_status stop_now(struct run *run, int stop)
{
    const bool by_signal = stop == STOP_SIGNAL;
    cf_status status;

    CF_TRY(save_latest(run));
    CF_TRY(close_books(run, by_signal ? "signal" : "time limit"));
    status = CF_FAIL(CF_STOPPED,
                     "stopped by %s in epoch %lld; %s is complete: run it again with "
                     "--resume auto to go on",
                     by_signal ? "a signal" : "the time limit", (long long)run->progress.epoch + 1,
                     run->latest);
done:
    return status;
}

static cf_status step(struct run *run, int64_t index)
{
    const cf_gradient_consumer sink = {cf_optim_update, run->optim};
    const cf_phase before = cf_par_set_phase(CF_PHASE_BATCH);
    const cf_batch *batch = sampler_draw(&run->sampler, index);
    cf_loss loss;
    cf_status status;
    char note[128];

    cf_par_restore_phase(before);
    cf_optim_begin(run->optim);
    status = cf_model_step(run->model, batch, &sink, &loss);
    cf_par_move_seconds(CF_PHASE_PROPAGATION, CF_PHASE_OPTIMIZER, cf_optim_seconds(run->optim));
    run->costs.steps++;
    if (status == CF_ERR_NUMERIC)
        return CF_FAIL(CF_ERR_NUMERIC,
                       "epoch %lld, batch %lld: %s: a smaller learning_rate or emb_gain may help",
                       (long long)run->progress.epoch + 1, (long long)index + 1,
                       cf_error_message());
    if (status != CF_OK) return status;
    run->progress.loss_sum += loss.total;
    run->progress.batch = index + 1;
    snprintf(note, sizeof note, "epoch %lld, loss %.4f%s", (long long)run->progress.epoch + 1,
             run->progress.loss_sum / (double)run->progress.batch, run->collapse);
    cf_progress_update(&run->bar, run->bar.done + batch->size, note);
    return CF_OK;
}

/* The batches of the epoch under way that are not done yet. */
static cf_status train_epoch(struct run *run)
{
    const int64_t n_batches = sampler_n_batches(&run->sampler);
    const int64_t done = run->progress.batch * run->sampler.batch_size;
    const double started = cf_clock_now();
    cf_status status = CF_OK;
    double loss;

    sampler_start_epoch(&run->sampler, run->progress.epoch);
    cf_model_start_epoch(run->model, run->sampler.seed, run->progress.epoch);
    for (;;) {
        const struct duty duty = watch_agree(&run->watch);

        if (duty.stop) return stop_now(run, duty.stop);
        if (duty.save) CF_TRY(save_latest(run));
        if (run->progress.batch == n_batches) break;
        CF_TRY(step(run, run->progress.batch));
    }
    loss = run->progress.loss_sum / (double)n_batches;
    run->progress.epoch++;
    run->progress.batch = 0;
    run->progress.loss_sum = 0;
    run_log_epoch(&run->log, &run->progress, loss, cf_clock_now() - started,
                  done < run->dataset->n_train ? run->dataset->n_train - done : 0);
done:
    return status;
}

static cf_status evaluate(struct run *run, cf_split split, cf_metrics *out)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_EVALUATION);
    const cf_table *final[2];
    cf_eval_scorer scorer;
    cf_status status;

    if (run->model != NULL) {
        cf_model_final(run->model, final);
        scorer = cf_eval_products(final[CF_USERS], final[CF_ITEMS], run->shard);
    } else {
        scorer = cf_eval_item_sums(cf_closed_matrix(run->closed), run->shard);
    }
    status =
        cf_eval_run(&scorer, split, cf_config_bool(run->config, "mask_history"), run->config, out);
    cf_par_restore_phase(before);
    return status;
}

/* The valid part: is it the best yet? */
static cf_status validate(struct run *run)
{
    const double started = cf_clock_now();
    const char *name = cf_config_text(run->config, "valid_metric");
    cf_metrics metrics;
    double value;
    bool better;
    cf_status status;

    CF_TRY(evaluate(run, CF_SPLIT_VALID, &metrics));
    CF_TRY(cf_eval_metric(&metrics, name, &value));
    better = run->progress.best_epoch == 0 || value > run->progress.best_value;
    if (better) {
        run->progress.best_value = value;
        run->progress.best_epoch = run->progress.epoch;
        run->progress.stale = 0;
        CF_TRY(save(run, run->best, false));
    } else {
        run->progress.stale++;
    }
    run_log_metrics(&run->log, "valid", run->progress.epoch, &metrics, better,
                    cf_clock_now() - started);
done:
    return status;
}

/* How many dimensions do the tables really use? `epoch`: what they are of. */
static cf_status look_for_collapse(struct run *run, int64_t epoch)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_EVALUATION);
    collapse found;
    cf_status status = collapse_measure(run->model, run->config, &found);

    cf_par_restore_phase(before);
    CF_TRY(status);
    collapse_describe(&found, run->collapse, sizeof run->collapse);
    run_log_collapse(&run->log, epoch, &found);
done:
    return status;
}

static bool stale(const struct run *run)
{
    return run->progress.stale > cf_config_int(run->config, "stopping_step");
}

static cf_status train(struct run *run)
{
    const int64_t epochs = cf_config_int(run->config, "epochs"),
                  eval_step = cf_config_int(run->config, "eval_step");
    const bool save_each = cf_config_real(run->config, "checkpoint_interval") == 0.0;
    cf_status status = CF_OK;

    cf_progress_begin(&run->bar, "train", "samples",
                      (epochs - run->progress.epoch) * run->dataset->n_train -
                          run->progress.batch * run->sampler.batch_size);
    while (run->progress.epoch < epochs && !stale(run)) {
        CF_TRY(train_epoch(run));
        if (validates(run) && run->progress.epoch % eval_step == 0) CF_TRY(validate(run));
        if (collapse_is_due(run->config, run->progress.epoch))
            CF_TRY(look_for_collapse(run, run->progress.epoch));
        if (save_each) CF_TRY(save_latest(run));
    }
done:
    cf_progress_end(&run->bar);
    return status;
}

/* All there is to do for a closed form; it counts as an epoch. */
static cf_status solve(struct run *run)
{
    cf_closed_seconds seconds;
    cf_phase before;
    cf_status status = CF_OK;

    if (run->progress.epoch > 0) return CF_OK;
    before = cf_par_set_phase(CF_PHASE_SOLVE);
    status = cf_closed_solve(run->closed, run->dataset, &seconds);
    cf_par_restore_phase(before);
    CF_TRY(status);
    run->progress.epoch = 1;
    run_log_solve(&run->log, &seconds);
    if (validates(run)) CF_TRY(validate(run));
done:
    return status;
}

/* Test metrics of the best epoch; without a valid part the last one is the best. */
static cf_status finish(struct run *run, cf_train_result *result)
{
    cf_table *tables[2];
    cf_ckpt_file *file = NULL;
    cf_status status;

    get_tables(run, tables);
    if (run->progress.best_epoch == 0) {
        CF_TRY(save(run, run->best, false));
    }
    CF_TRY(save_latest(run));
    result->progress = run->progress;
    result->has_test = run->dataset->n_test > 0;
    CF_TRY(cf_ckpt_open(run->world, run->best, &file));
    CF_TRY(cf_ckpt_read(file, tables, NULL));
    if (!cf_closed_is(run->config) && cf_config_int(run->config, "collapse_every") > 0)
        CF_TRY(look_for_collapse(run, file->progress.epoch));
    if (result->has_test) {
        const double started = cf_clock_now();

        CF_TRY(evaluate(run, CF_SPLIT_TEST, &result->test));
        run_log_metrics(&run->log, "test", file->progress.epoch, &result->test, true,
                        cf_clock_now() - started);
    }
    CF_TRY(close_books(run, cf_closed_is(run->config) ? "solved"
                            : stale(run)              ? "no better valid_metric"
                                                      : "all epochs done"));
done:
    cf_ckpt_close(&file);
    return status;
}

cf_status cf_train_run(const cf_par *world, const cf_config *config, const cf_train_job *job,
                       cf_train_result *result)
{
    struct run run = {.world = world, .config = config, .job = job};
    cf_train_result found = {0};
    cf_phase before;
    cf_status status;

    watch_start(&run.watch, world, config, job->time_limit);
    cf_par_start_profile();
    before = cf_par_set_phase(CF_PHASE_INPUT);
    status = set_up(&run);
    cf_par_restore_phase(before);
    CF_TRY(status);
    CF_TRY(cf_closed_is(config) ? solve(&run) : train(&run));
    CF_TRY(finish(&run, &found));
    *result = found;
done:
    tear_down(&run);
    return status;
}
