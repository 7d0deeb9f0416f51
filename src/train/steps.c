/* The run of a model that is trained by steps: epochs of batches, evaluations, early stop. A model
 * with sweeps has one step an epoch, without a batch and without an optimizer.
 *
 * Between two steps the ranks agree on whether to stop or to write a checkpoint (supervisor.c). All
 * that a step depends on is in the tables, the optimizer and (seed, epoch, batch), so a run that
 * resumes from latest.h5 has the same bits as one that was never stopped. tests/train/resume.c and
 * stop.c cut runs after every step and compare. */
#include "run.h"

/* What a run of steps has beside the parts of every run. */
typedef struct steps {
    run *run;
    cf_model *model;
    bool sweeps; /* then there is no sampler */
    sampler sampler;
    cf_progress bar;
    char collapse[64]; /* effective ranks, for the progress line */
} steps;

/* Settings that a model with sweeps uses, beside those of every run. */
static const char sweeps_use[] =
    "epochs,stopping_step,collapse_every,reg_weight,alpha0,nu,item_prior,prior_reg_weight,init,"
    "init_std,emb_selection,"
    "embedding_size,popular_ratio,rand_replacement,whiten_power,pca_one_rank,emb_scale,emb_gain,"
    "emb_norm,missing_embedding";

/* ---- Set-up ---- */

/* A user who has every warm item leaves no negative to draw: that is found here, not in an endless
 * loop.
 */
static cf_status refuse_full_users(const run *r)
{
    int64_t user = sampler_find_full_user(&r->options.sampler, r->dataset, r->shard);
    char who[256];

    MPI_Allreduce(MPI_IN_PLACE, &user, 1, MPI_INT64_T, MPI_MIN, r->world->comm);
    if (user == INT64_MAX) return CF_OK;
    cf_dataset_describe(r->dataset, CF_USER_IDS, user, who, sizeof who);
    return CF_FAIL(CF_ERR_FORMAT,
                   "%s: %s has interacted with all %lld%s items: no negative item is left; set "
                   "neg_exclude: current, or drop such users by user_inter_num_interval of prepare",
                   r->job->data, who, (long long)cf_dataset_warm_items(r->dataset),
                   r->dataset->n_cold > 0 ? " warm" : "");
}

static cf_status create_sampler(steps *s)
{
    run *r = s->run;
    const bool negatives = cf_model_needs_negatives(&r->options.model);
    const sampler_place place = {r->dataset, r->shard, &r->grid->column};
    cf_status status =
        negatives && cf_dataset_warm_items(r->dataset) > 1 ? refuse_full_users(r) : CF_OK;

    if (status != CF_OK) return status;
    status = sampler_create(&r->options.sampler, negatives, &place, &s->sampler);

    if (status == CF_ERR_FORMAT)
        status = CF_FAIL(status, "%s: %s", r->job->data, cf_error_message());
    return cf_par_agree(r->world, status);
}

static void find_final(void *impl, const cf_table *final[2])
{
    const steps *s = impl;

    cf_model_final(s->model, final);
}

/* Vectors that the model is trained with; an item without one is accepted where missing_embedding
 * says what it starts from. Collective. */
static cf_status read_vectors(steps *s)
{
    const run *r = s->run;
    cf_status status;

    if (!cf_model_reads_vectors(&r->options.model)) return CF_OK;
    if (r->dataset->n_missing > 0 && r->options.select.missing == CF_SELECT_MISSING_ERROR)
        CF_TRY(cf_dataset_refuse_missing(r->dataset, "zero, mean or random"));
    CF_TRY(cf_model_read_vectors(s->model, r->dataset));
done:
    return status;
}

/* Everything that a step needs, so that steps allocate nothing. Collective. */
static cf_status create_parts(steps *s)
{
    run *r = s->run;
    cf_model_place place = {r->grid, r->shard, 1};
    cf_status status;

    r->n_batches = 1;
    if (!s->sweeps) {
        CF_TRY(create_sampler(s));
        r->n_batches = sampler_n_batches(&s->sampler);
        place.max_batch = s->sampler.options.batch_size;
    }
    CF_TRY(cf_model_create(&r->options.model, &place, &s->model));
    for (int side = 0; side < 2; side++)
        r->table[side] = cf_model_table(s->model, (cf_side)side);
    CF_TRY(read_vectors(s));
    if (!s->sweeps) CF_TRY(cf_optim_create(&r->options.optim, r->table, &r->optim));
    r->final = find_final;
    r->impl = s;
done:
    return status;
}

/* The bytes that a step will send: means over the ranks by phase, and the rank that sends most. */
static cf_status predict(steps *s)
{
    const cf_par *world = s->run->world;
    step_costs *costs = &s->run->costs;
    cf_status status;

    CF_TRY(cf_model_predict_step(s->model, s->sweeps ? 0 : s->sampler.options.batch_size,
                                 costs->mean));
    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        costs->maximum += costs->mean[phase];
        costs->mean[phase] /= world->size;
    }
    MPI_Allreduce(MPI_IN_PLACE, costs->mean, CF_N_PHASES, MPI_DOUBLE, MPI_SUM, world->comm);
    MPI_Allreduce(MPI_IN_PLACE, &costs->maximum, 1, MPI_DOUBLE, MPI_MAX, world->comm);
done:
    return status;
}

/* What a step will send, in all and by phase. */
static void log_bytes(const step_costs *costs)
{
    char parts[512] = "";
    size_t used = 0;

    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        if (costs->mean[phase] == 0) continue;
        used += (size_t)snprintf(parts + used, sizeof parts - used, "%s%s %.0f",
                                 used > 0 ? ", " : ": ", cf_phase_names[phase], costs->mean[phase]);
    }
    cf_log("a step sends about %.0f bytes from a rank, at most %.0f%s", step_costs_bytes(costs),
           costs->maximum, parts);
}

/* What a look for collapse will cost: the larger of users and items. */
static void log_collapse_cost(const run *r)
{
    const cf_dataset *d = r->dataset;
    const cf_spectrum_cost cost =
        cf_linalg_predict_singular(cf_max(d->n_users, d->n_items), r->table[CF_ITEMS]->dim,
                                   r->world->size, r->options.select.one_rank_dim);

    if (r->options.collapse_every > 0)
        cf_log("a look for collapse holds about %.1f MiB on a rank meanwhile, and takes about %.2g "
               "GFLOP a table",
               cost.bytes / 1048576, 1e-9 * cost.flops);
}

/* Fill the tables from another run, with noise, or from the language-model vectors (LLMInit).
 * Collective. */
static cf_status fill_tables(run *r)
{
    steps *s = r->impl;
    const cf_select_options *options = &r->options.select;
    cf_status status;

    if (r->job->from != NULL) return run_fill_from(r, s->model);
    if (options->method == CF_SELECT_NOISE) {
        cf_model_fill_noise(s->model, r->options.sampler.seed);
        return s->sweeps ? cf_model_pool_users(s->model) : CF_OK;
    }
    CF_TRY(cf_select_create(r->dataset, options, &r->selection));
    CF_TRY(cf_select_fill_items(r->dataset, r->selection, options, r->table[CF_ITEMS]));
    CF_TRY(cf_model_pool_users(s->model));
done:
    return status;
}

/* Collective. */
static cf_status start_tables(run *r)
{
    cf_status status;

    CF_TRY(fill_tables(r));
    if (r->optim != NULL) cf_optim_keep_start(r->optim);
done:
    return status;
}

static cf_status set_up(steps *s)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_INPUT);
    run *r = s->run;
    cf_status status;

    if (s->sweeps)
        CF_TRY(
            cf_par_agree(r->world, run_warn_unused(r->config, r->options.model.name, sweeps_use)));
    CF_TRY(run_open(r));
    CF_TRY(create_parts(s));
    CF_TRY(predict(s));
    run_log_set_up(r->grid, r->dataset, r->costs.memory);
    log_bytes(&r->costs);
    log_collapse_cost(r);
    CF_TRY(run_find_machine(r));
    CF_TRY(run_begin(r, start_tables));
done:
    cf_par_restore_phase(before);
    return status;
}

static void tear_down(steps *s)
{
    sampler_destroy(&s->sampler);
    cf_optim_destroy(&s->run->optim);
    cf_model_destroy(&s->model);
}

/* ---- Steps ---- */

/* A step of the batch `index`. The optimizer updates rows within the propagation, so its seconds
 * are moved from there. */
static cf_status step_batch(steps *s, int64_t index, cf_loss *loss)
{
    run *r = s->run;
    const cf_gradient_consumer consumer = {cf_optim_update, r->optim};
    const cf_phase before = cf_par_set_phase(CF_PHASE_BATCH);
    const cf_batch *batch = sampler_draw(&s->sampler, index);
    cf_status status;

    cf_par_restore_phase(before);
    cf_optim_begin(r->optim);
    status = cf_model_step(s->model, batch, &consumer, loss);
    cf_par_move_seconds(CF_PHASE_PROPAGATION, CF_PHASE_OPTIMIZER, cf_optim_seconds(r->optim));
    return status;
}

/* Samples of the steps of an epoch before step `index`: a sweep has every interaction. */
static int64_t n_samples(const steps *s, int64_t index)
{
    return s->sweeps ? index * s->run->dataset->n_train : sampler_n_samples(&s->sampler, index);
}

/* Step `index` of the epoch under way. */
static cf_status train_step(steps *s, int64_t index)
{
    run *r = s->run;
    cf_loss loss;
    cf_status status = s->sweeps ? cf_model_sweep(s->model, &loss) : step_batch(s, index, &loss);
    char note[128];

    r->costs.steps++;
    if (status == CF_ERR_NUMERIC && s->sweeps)
        return CF_FAIL(CF_ERR_NUMERIC, "epoch %lld: %s", (long long)r->progress.epoch + 1,
                       cf_error_message());
    if (status == CF_ERR_NUMERIC)
        return CF_FAIL(CF_ERR_NUMERIC,
                       "epoch %lld, batch %lld: %s: a smaller learning_rate or emb_gain may help",
                       (long long)r->progress.epoch + 1, (long long)index + 1, cf_error_message());
    if (status != CF_OK) return status;
    r->progress.loss_sum += loss.total;
    r->progress.batch = index + 1;
    r->progress.most_bad_evals = cf_max(r->progress.most_bad_evals, r->progress.n_bad_evals);
    snprintf(note, sizeof note, "epoch %lld, loss %.4f%s", (long long)r->progress.epoch + 1,
             r->progress.loss_sum / (double)r->progress.batch, s->collapse);
    cf_progress_update(&s->bar, s->bar.done + n_samples(s, index + 1) - n_samples(s, index), note);
    return CF_OK;
}

/* A checkpoint and the report, and STOPPED, which tells the caller to run the command again. */
static cf_status stop(run *r, stop_reason reason)
{
    const bool by_signal = reason == STOP_SIGNAL;
    cf_status status;

    CF_TRY(run_save_latest(r));
    CF_TRY(run_report(r, by_signal ? "signal" : "time limit"));
    status = CF_FAIL(CF_STOPPED,
                     "stopped by %s in epoch %lld; %s is complete: run it again with "
                     "--resume auto to go on",
                     by_signal ? "a signal" : "the time limit", (long long)r->progress.epoch + 1,
                     r->latest);
done:
    return status;
}

/* The batches of the epoch under way that are not done yet. The ranks also agree after the last
 * one: a signal during the last step of a run shall not go unnoticed. */
static cf_status train_epoch(steps *s)
{
    run *r = s->run;
    const int64_t done = n_samples(s, r->progress.batch);
    const double started = cf_clock_now();
    cf_status status = CF_OK;

    if (!s->sweeps) sampler_start_epoch(&s->sampler, r->progress.epoch);
    cf_model_start_epoch(s->model, r->options.sampler.seed, r->progress.epoch);
    for (;;) {
        const decision next = supervisor_decide(&r->supervisor);

        if (next.stop != STOP_NOT) return stop(r, (stop_reason)next.stop);
        if (next.save) CF_TRY(run_save_latest(r));
        if (r->progress.batch == r->n_batches) break;
        CF_TRY(train_step(s, r->progress.batch));
    }
    r->loss = r->progress.loss_sum / (double)r->n_batches;
    r->progress.epoch++;
    r->progress.batch = 0;
    r->progress.loss_sum = 0;
    run_log_epoch(&r->log, &r->progress, r->loss, cf_clock_now() - started,
                  n_samples(s, r->n_batches) - done);
done:
    return status;
}

/* ---- Epochs ---- */

/* The effective ranks of the tables, which are those of `epoch`; `best`: at the end of the run. */
static cf_status measure_collapse(steps *s, int64_t epoch, bool best)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_EVALUATION);
    collapse found;
    cf_status status = collapse_measure(s->model, s->run->options.select.one_rank_dim, &found);

    cf_par_restore_phase(before);
    CF_TRY(status);
    collapse_describe(&found, s->collapse, sizeof s->collapse);
    run_log_collapse(&s->run->log, epoch, &found, best);
done:
    return status;
}

/* Early stop: too many evaluations without a better valid_metric. */
static bool stops_early(const run *r)
{
    return r->progress.n_bad_evals > r->options.stopping_step;
}

static cf_status train(steps *s)
{
    run *r = s->run;
    const run_options *options = &r->options;
    cf_status status = CF_OK;

    cf_progress_begin(&s->bar, "train", "samples",
                      (options->epochs - r->progress.epoch) * n_samples(s, r->n_batches) -
                          n_samples(s, r->progress.batch));
    while (r->progress.epoch < options->epochs && !stops_early(r)) {
        CF_TRY(train_epoch(s));
        if (run_validates(r) && r->progress.epoch % options->eval_step == 0)
            CF_TRY(run_validate(r));
        if (collapse_is_due(options, r->progress.epoch))
            CF_TRY(measure_collapse(s, r->progress.epoch, false));
        if (options->checkpoint_interval == 0) CF_TRY(run_save_latest(r));
    }
done:
    cf_progress_end(&s->bar);
    return status;
}

cf_status run_steps(run *r, cf_train_result *result)
{
    steps s = {.run = r, .sweeps = cf_model_sweeps(r->options.model.name)};
    int64_t epoch;
    cf_status status;

    CF_TRY(set_up(&s));
    CF_TRY(train(&s));
    CF_TRY(run_restore_best(r, &epoch));
    if (r->options.collapse_every > 0) CF_TRY(measure_collapse(&s, epoch, true));
    CF_TRY(run_test(r, epoch, result));
    CF_TRY(run_report(r, stops_early(r) ? "no better valid_metric" : "all epochs done"));
done:
    tear_down(&s);
    return status;
}
