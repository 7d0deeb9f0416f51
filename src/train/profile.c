/* What a run cost each rank, as JSON: the event "profile" of log.jsonl, and the file of --profile.
 *
 * The event has every number of report.c as [minimum, mean, maximum] of the ranks; the file has it
 * for each rank, after a head that says what ran on what. Its keys are listed in README.md of this
 * folder. tests/train/profile.c checks that the file's phases add up to its seconds, that the event
 * sums the file up, and that predictions are near what was counted. */
#include "internal.h"

#include <omp.h>

/* ---- The event ---- */

/* [minimum, mean, maximum] of a number. */
static json_t *spread_json(const report *r, report_number number, int phase)
{
    const spread s = report_spread(r, number, phase);

    return json_pack("[f, f, f]", s.minimum, s.mean, s.maximum);
}

/* Maximum over mean, by what is balanced: rows and edges when the blocks are cut, and what came of
 * it in seconds. */
static json_t *balance_json(const report *r)
{
    return CF_JSON_OBJECT({"rows", json_real(report_balance(r, REPORT_ROWS))},
                          {"edges", json_real(report_balance(r, REPORT_EDGES))},
                          {"seconds", json_real(report_balance(r, REPORT_STEP_SECONDS))});
}

/* Phases in which nothing is sent are left out. */
json_t *profile_predicted(const step_costs *steps)
{
    json_t *object = json_object();

    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        if (steps->mean[phase] == 0) continue;
        cf_train_json_set(&object, cf_phase_names[phase], json_real(steps->mean[phase]));
    }
    cf_train_json_set(&object, "total", json_real(step_costs_bytes(steps)));
    cf_train_json_set(&object, "most", json_real(steps->maximum));
    return object;
}

/* Joules of all nodes: {"steps": ..., "evaluation": ..., ..., "all": ...}; null where no node could
 * measure them. */
static json_t *energy_json(const report *r)
{
    json_t *object;

    if (!report_has_energy(r)) return json_null();
    object = CF_JSON_OBJECT({"steps", json_real(report_energy(r, CF_PHASE_OTHER))});
    for (int phase = CF_PHASE_EVALUATION; phase < CF_N_PHASES; phase++)
        cf_train_json_set(&object, cf_phase_names[phase], json_real(report_energy(r, phase)));
    cf_train_json_set(&object, "all", json_real(report_energy(r, CF_N_PHASES)));
    return object;
}

/* Sums over the phases are left to the reader: phases exclude each other. */
json_t *profile_summary(const report *r, const step_costs *steps)
{
    json_t *phases = json_object();

    for (int phase = 0; phase < CF_N_PHASES; phase++)
        cf_train_json_set(
            &phases, cf_phase_names[phase],
            CF_JSON_OBJECT({"seconds", spread_json(r, REPORT_SECONDS, phase)},
                           {"mpi_seconds", spread_json(r, REPORT_MPI_SECONDS, phase)},
                           {"bytes", spread_json(r, REPORT_BYTES, phase)},
                           {"messages", spread_json(r, REPORT_MESSAGES, phase)},
                           {"file_seconds", spread_json(r, REPORT_FILE_SECONDS, phase)},
                           {"read_bytes", spread_json(r, REPORT_READ, phase)},
                           {"written_bytes", spread_json(r, REPORT_WRITTEN, phase)}));
    return CF_JSON_OBJECT({"event", json_string("profile")}, {"steps", json_integer(steps->steps)},
                          {"phases", phases}, {"energy", energy_json(r)},
                          {"balance", balance_json(r)}, {"held", spread_json(r, REPORT_HELD, 0)},
                          {"allocated", spread_json(r, REPORT_PEAK, 0)},
                          {"resident", spread_json(r, REPORT_RESIDENT, 0)},
                          {"cpu_seconds", spread_json(r, REPORT_CPU_SECONDS, 0)});
}

/* ---- The file ---- */

/* An element of "per_rank". */
static json_t *rank_json(const rank_costs *rank, int number)
{
    json_t *phases = json_object();

    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        const cf_phase_use *use = &rank->profile.phase[phase];

        cf_train_json_set(&phases, cf_phase_names[phase],
                          CF_JSON_OBJECT({"seconds", json_real(use->seconds)},
                                         {"mpi_seconds", json_real(use->mpi_seconds)},
                                         {"bytes", json_integer(use->bytes)},
                                         {"messages", json_integer(use->messages)},
                                         {"file_seconds", json_real(use->file_seconds)},
                                         {"read_bytes", json_integer(use->read_bytes)},
                                         {"written_bytes", json_integer(use->written_bytes)}));
    }
    return CF_JSON_OBJECT({"rank", json_integer(number)}, {"rows", json_integer(rank->rows)},
                          {"edges", json_integer(rank->edges)}, {"held", json_integer(rank->held)},
                          {"allocated", json_integer(rank->peak)},
                          {"resident", json_integer(rank->resident)},
                          {"cpu_seconds", json_real(rank->cpu_seconds)},
                          {"seconds", json_real(report_value(rank, REPORT_SECONDS, CF_N_PHASES))},
                          {"phases", phases});
}

static json_t *ranks_json(const report *r)
{
    json_t *ranks = json_array();

    for (int rank = 0; rank < r->n_ranks; rank++)
        cf_train_json_append(&ranks, rank_json(&r->rank[rank], rank));
    return ranks;
}

/* The whole file. A program without steps, as evaluate, has no predictions. */
static json_t *file_json(const report *r, const cf_report_context *context, const step_costs *steps,
                         int n_nodes)
{
    const cf_dataset *dataset = context->dataset;
    const cf_config *config = context->config;
    json_t *object = CF_JSON_OBJECT(
        {"command", json_string(context->command)}, {"version", json_string(CF_VERSION)},
        {"model", json_string(cf_config_text(config, "model"))}, {"nodes", json_integer(n_nodes)},
        {"ranks", json_integer(r->n_ranks)}, {"threads", json_integer(omp_get_max_threads())},
        {"grid", json_sprintf("%dx%d", context->grid->n_rows, context->grid->n_columns)},
        {"users", json_integer(dataset->n_users)}, {"items", json_integer(dataset->n_items)},
        {"train", json_integer(dataset->n_train)},
        {"embedding_size", json_integer(cf_config_int(config, "embedding_size"))},
        {"balance", balance_json(r)}, {"energy", energy_json(r)}, {"per_rank", ranks_json(r)});

    if (steps->steps == 0) return object;
    cf_train_json_set(&object, "steps", json_integer(steps->steps));
    cf_train_json_set(&object, "predicted_held", json_real(steps->memory));
    cf_train_json_set(&object, "predicted_step_bytes", profile_predicted(steps));
    return object;
}

/* The temporary file is opened and removed again, so that an old profile stays. What is no file is
 * left alone: the reader of a FIFO would take it for the end. Local. */
static cf_status try_path(const char *path)
{
    cf_output output = {0};
    char *target = NULL;
    cf_status status;

    CF_TRY(cf_file_target(path, &target));
    if (target != NULL) CF_TRY(cf_output_open(&output, path));
done:
    cf_output_close(&output);
    cf_free(&target);
    return status;
}

cf_status profile_check(const cf_par *world, const char *path)
{
    return cf_par_agree(world, world->rank == 0 ? try_path(path) : CF_OK);
}

/* NULL is jansson's way to say that memory ran out while the object was built. Errors of writing
 * stay noted in the stream: cf_output_commit() finds them. Local. */
static cf_status write_json(const json_t *object, const char *path)
{
    cf_output output = {0};
    cf_status status;

    CF_REQUIRE(object != NULL, CF_ERR_MEMORY, "%s: out of memory for the profile", path);
    CF_TRY(cf_output_open(&output, path));
    CF_REQUIRE(json_dumpf(object, output.file, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) == 0 ||
                   ferror(output.file),
               CF_ERR_MEMORY, "%s: out of memory for the profile", path);
    (void)fputc('\n', output.file);
    CF_TRY(cf_output_commit(&output));
done:
    cf_output_close(&output);
    return status;
}

/* Counting nodes is collective, so it comes before rank 0 goes on alone. */
cf_status profile_write(const report *r, const cf_report_context *context, const step_costs *steps,
                        const char *path)
{
    const cf_par *world = &context->grid->world;
    const int n_nodes = cf_par_count_nodes(world);
    cf_status status = CF_OK;

    if (world->rank == 0) {
        json_t *object = file_json(r, context, steps, n_nodes);

        status = write_json(object, path);
        json_decref(object);
    }
    return cf_par_agree(world, status);
}

/* For programs without steps. */
cf_status cf_train_write_profile(const cf_report_context *context, const char *path)
{
    report all = {0};
    cf_status status;

    CF_TRY(report_gather(context->grid, context->shard, &all));
    CF_TRY(profile_write(&all, context, &(step_costs){0}, path));
done:
    report_destroy(&all);
    return status;
}
