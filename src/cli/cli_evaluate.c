/* evaluate: metrics of a trained model. */
#include "cli.h"

#include <string.h>

enum { MASKED = 1, UNMASKED = 2 };

/* What is asked: the split, its name, and the protocols. */
typedef struct plan {
    cf_split split;
    const char *name;
    int protocols;
} plan;

static cf_status read_plan(const cli_arguments *arguments, plan *out)
{
    const char *split = cli_value(arguments, "split");
    const char *protocol = cli_value(arguments, "protocol");

    *out = (plan){CF_SPLIT_TEST, "test", 0};
    if (split && strcmp(split, "valid") == 0)
        *out = (plan){CF_SPLIT_VALID, "valid", 0};
    else if (split && strcmp(split, "test") != 0)
        return CF_FAIL(CF_ERR_USAGE, "evaluate: --split: \"%.60s\" is not test or valid", split);
    if (!protocol) return CF_OK;
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

/* Other lengths of lists than the run's. Local. */
static cf_status set_topk(cf_config *config, const char *topk)
{
    char assignment[256];

    if (!topk) return CF_OK;
    snprintf(assignment, sizeof assignment, "topk=%.200s", topk);
    return cf_config_set(config, assignment);
}

static void print_metrics(const plan *p, const cf_metrics metrics[2])
{
    static const char *const protocol[] = {"history masked", "history not masked"};

    for (int k = 0; k < 2; k++)
        if (p->protocols & (k == 0 ? MASKED : UNMASKED)) {
            char title[64];

            snprintf(title, sizeof title, "%s, %s", p->name, protocol[k]);
            cli_print_metrics(&metrics[k], title);
        }
}

/* {"test": {...}}; of both protocols {"test": {...}, "test_unmasked": {...}}. */
static json_t *metrics_json(const plan *p, const cf_metrics metrics[2])
{
    bool both = p->protocols == (MASKED | UNMASKED);
    const cf_metrics *first = &metrics[p->protocols & MASKED ? 0 : 1];
    json_t *object = json_object();
    char name[32];

    json_object_set_new(object, p->name, cli_metrics_json(first));
    snprintf(name, sizeof name, "%s_unmasked", p->name);
    if (both) json_object_set_new(object, name, cli_metrics_json(&metrics[1]));
    json_object_set_new(object, "protocol",
                        json_string(both                    ? "both"
                                    : p->protocols & MASKED ? "masked"
                                                            : "unmasked"));
    json_object_set_new(object, "users", json_integer((json_int_t)first->n_users));
    return object;
}

static cf_status write_profile(const cf_trained *trained, const char *path)
{
    const cf_report_context scene = {"evaluate", trained->config, trained->dataset, trained->grid,
                                  trained->shard};

    return path ? cf_train_write_profile(&scene, path) : CF_OK;
}

static cf_status run(const cf_par *world, const cli_arguments *arguments)
{
    cf_metrics metrics[2] = {0};
    cf_trained *trained = NULL;
    cf_eval_tables tables;
    cf_phase before;
    plan p;
    cf_status status;

    CF_TRY(read_plan(arguments, &p));
    before = cf_par_set_phase(CF_PHASE_INPUT);
    status = cli_load(world, arguments, &trained);
    cf_par_restore_phase(before);
    CF_TRY(status);
    CF_TRY(cf_par_agree(world, set_topk(trained->config, cli_value(arguments, "topk"))));
    if ((p.split == CF_SPLIT_TEST ? trained->dataset->n_test : trained->dataset->n_valid) == 0)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: has no %s part", cli_value(arguments, "data"), p.name));
    if (p.protocols == 0)
        p.protocols = cf_config_bool(trained->config, "mask_history") ? MASKED : UNMASKED;

    tables = (cf_eval_tables){trained->final[CF_USERS], trained->final[CF_ITEMS], trained->shard};
    before = cf_par_set_phase(CF_PHASE_EVALUATION);
    for (int k = 0; k < 2 && status == CF_OK; k++)
        if (p.protocols & (k == 0 ? MASKED : UNMASKED))
            status = cf_eval_run(&tables, p.split, k == 0, trained->config, &metrics[k]);
    cf_par_restore_phase(before);
    CF_TRY(status);
    CF_TRY(write_profile(trained, cli_value(arguments, "profile")));
    if (arguments->json)
        CF_TRY(cli_print_json(world, world->rank == 0 ? metrics_json(&p, metrics) : NULL));
    else if (world->rank == 0)
        print_metrics(&p, metrics);
done:
    cf_train_unload(&trained);
    return status;
}

static const cli_option options[] = {
    {"data", "DATA.h5", "the dataset that the model was trained on", true},
    {"split", "test|valid", "whose interactions are looked for; default test", false},
    {"protocol", "masked|unmasked|both", "rank what the user already has? default: as the run",
     false},
    {"topk", "K,...", "lengths of the lists; default: as the run", false},
    {"profile", "FILE.json", "what it cost each rank: seconds and bytes sent, by phase", false},
    {0}};

const cli_command cli_evaluate = {
    .name = "evaluate",
    .summary = "print the metrics of a trained model",
    .operand = "CHECKPOINT.h5",
    .settings = CLI_SETTINGS_MACHINE,
    .has_json = true,
    .options = options,
    .run = run,
};
