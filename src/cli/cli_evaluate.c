/* evaluate: metrics of a trained model on the test or valid part.
 *
 * Two protocols: history masked (items that the user has in train, and for test in valid, are not
 * ranked) or not masked (all items are ranked). Both may be requested at once. */
#include "cli.h"

#include <string.h>

enum { MASKED = 1, UNMASKED = 2 };

/* What to evaluate: a part, its name, and protocols (bits; 0: the run's). */
typedef struct evaluation {
    cf_split split;
    const char *name;
    int protocols;
} evaluation;

/* --split and --protocol; without the latter, protocols are 0 until the run is known. */
static cf_status read_evaluation(const cli_arguments *arguments, evaluation *out)
{
    const char *split = cli_value(arguments, "split");
    const char *protocol = cli_value(arguments, "protocol");

    *out = (evaluation){CF_SPLIT_TEST, "test", 0};
    if (split != NULL && strcmp(split, "valid") == 0)
        *out = (evaluation){CF_SPLIT_VALID, "valid", 0};
    else if (split != NULL && strcmp(split, "test") != 0)
        return CF_FAIL(CF_ERR_USAGE, "evaluate: --split: \"%.60s\" is not test or valid", split);
    if (protocol == NULL) return CF_OK;
    if (strcmp(protocol, "both") == 0)
        out->protocols = MASKED | UNMASKED;
    else if (strcmp(protocol, "masked") == 0)
        out->protocols = MASKED;
    else if (strcmp(protocol, "unmasked") == 0)
        out->protocols = UNMASKED;
    else
        return CF_FAIL(CF_ERR_USAGE,
                       "evaluate: --protocol: \"%.60s\" is not masked, unmasked or both", protocol);
    return CF_OK;
}

/* Replace the run's lengths of lists. Local. */
static cf_status set_topk(cf_config *config, const char *topk)
{
    char *assignment = NULL;
    cf_status status = CF_OK;

    if (topk == NULL) return CF_OK;
    CF_TRY(cf_text_format(&assignment, "topk=%s", topk));
    CF_TRY(cf_config_set(config, assignment));
done:
    cf_free(&assignment);
    return status;
}

/* A table for each requested protocol. */
static void print_metrics(const evaluation *e, const cf_metrics metrics[2])
{
    static const char *const protocol[] = {"history masked", "history not masked"};

    for (int k = 0; k < 2; k++)
        if (e->protocols & (k == 0 ? MASKED : UNMASKED)) {
            char title[64];

            snprintf(title, sizeof title, "%s, %s", e->name, protocol[k]);
            cli_print_metrics(&metrics[k], title);
        }
}

/* {"test": {...}, "protocol": ..., "users": ...}; of both protocols also "test_unmasked". */
static json_t *metrics_json(const evaluation *e, const cf_metrics metrics[2])
{
    bool both = e->protocols == (MASKED | UNMASKED);
    const cf_metrics *first = &metrics[e->protocols & MASKED ? 0 : 1]; /* under the plain name */
    json_t *object = json_object();
    char name[32];

    cf_train_json_set(&object, e->name, cf_train_metrics_json(first));
    snprintf(name, sizeof name, "%s_unmasked", e->name);
    if (both) cf_train_json_set(&object, name, cf_train_metrics_json(&metrics[1]));
    cf_train_json_set(&object, "protocol",
                      json_string(both                    ? "both"
                                  : e->protocols & MASKED ? "masked"
                                                          : "unmasked"));
    cf_train_json_set(&object, "users", json_integer((json_int_t)first->n_users));
    return object;
}

/* Only if --profile is given: a file of each phase's seconds and bytes. Collective. */
static cf_status write_profile(const cf_trained *trained, const char *path)
{
    const cf_report_context context = {"evaluate", trained->config, trained->dataset, trained->grid,
                                       trained->shard};

    return path != NULL ? cf_train_write_profile(&context, path) : CF_OK;
}

/* Load the model, with the lists of --topk. Its phase is input, for the profile. Collective. */
static cf_status load_model(const cf_par *world, const cli_arguments *arguments, cf_trained **out)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_INPUT);
    cf_status status = cli_load(world, arguments, out);

    cf_par_restore_phase(before);
    CF_TRY(status);
    CF_TRY(cf_par_agree(world, set_topk((*out)->config, cli_value(arguments, "topk"))));
done:
    return status;
}

/* metrics[0] with the history masked, metrics[1] not masked; one that is not asked for stays as it
 * is. Collective. */
static cf_status measure(const evaluation *e, const cf_trained *trained,
                         const cf_eval_options *options, cf_metrics metrics[2])
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_EVALUATION);
    cf_eval_options own = *options;
    cf_status status = CF_OK;

    for (int k = 0; k < 2 && status == CF_OK; k++) {
        own.mask_history = k == 0;
        if (e->protocols & (own.mask_history ? MASKED : UNMASKED))
            status = cf_eval_run(&trained->scorer, e->split, &own, &metrics[k]);
    }
    cf_par_restore_phase(before);
    return status;
}

/* The command line is checked before anything is read, and an empty part is an error: its metrics
 * would be zeros that look like results. */
static cf_status run_evaluate(const cf_par *world, const cli_arguments *arguments)
{
    cf_metrics metrics[2] = {0};
    cf_trained *trained = NULL;
    cf_eval_options options;
    evaluation e;
    cf_status status;

    CF_TRY(read_evaluation(arguments, &e));
    CF_TRY(load_model(world, arguments, &trained));
    CF_REQUIRE((e.split == CF_SPLIT_TEST ? trained->dataset->n_test : trained->dataset->n_valid) >
                   0,
               CF_ERR_FORMAT, "%s: has no %s part", cli_value(arguments, "data"), e.name);
    CF_TRY(cf_eval_read_options(trained->config, &options));
    if (e.protocols == 0) e.protocols = options.mask_history ? MASKED : UNMASKED;
    CF_TRY(measure(&e, trained, &options, metrics));
    cf_eval_warn_cold(cf_max(metrics[0].n_cold, metrics[1].n_cold),
                      cf_max(metrics[0].n_users, metrics[1].n_users));
    CF_TRY(write_profile(trained, cli_value(arguments, "profile")));
    if (arguments->json)
        CF_TRY(cli_print_json(world, world->rank == 0 ? metrics_json(&e, metrics) : NULL));
    else if (world->rank == 0)
        print_metrics(&e, metrics);
done:
    cf_train_unload(&trained);
    return status;
}

static const cli_option evaluate_options[] = {
    {"data", "DATA.h5", "the dataset that the model was trained on", true, CLI_INPUT},
    {"split", "test|valid", "the part to evaluate on; default test", false, CLI_VALUE},
    {"protocol", "masked|unmasked|both",
     "masked: rank no item that the user has already; default: as in the run", false, CLI_VALUE},
    {"topk", "K,...", "lengths of the lists; default: as in the run", false, CLI_VALUE},
    {"profile", "FILE.json", "write seconds and bytes sent of each rank, by phase", false,
     CLI_OUTPUT},
    {0}};

const cli_command cli_evaluate = {
    .name = "evaluate",
    .summary = "print the metrics of a trained model",
    .operand = "CHECKPOINT.h5",
    .operand_kind = CLI_INPUT,
    .settings = CLI_SETTINGS_MACHINE,
    .has_json = true,
    .options = evaluate_options,
    .uses_blas = true,
    .run = run_evaluate,
};
