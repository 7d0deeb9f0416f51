/* evaluate: metrics of a trained model, or of recommendations in a text (--recs), on the test or
 * valid part; if asked for, also of groups and of each user.
 *
 * Two protocols: history masked (items that the user has in train, and for test in valid, are not
 * ranked) or not masked (all items are ranked). Both may be requested at once. */
#include "cli.h"

#include <string.h>

enum { MASKED = 1, UNMASKED = 2, BOTH = MASKED | UNMASKED };

/* What to evaluate, and the results: [0] with the history masked, [1] not masked. */
typedef struct evaluation {
    cf_split split;
    const char *name; /* of the part */
    int protocols;    /* bits; 0: the run's */
    bool groups;
    const char *per_user; /* path; NULL: no text of each user */
    cf_output output;     /* rank 0: that text */
    cf_cold_metrics metrics[2];
    cf_eval_detail detail[2];
    const cf_cold_map *map; /* of cold items, borrowed from the model; NULL: none */
} evaluation;

/* Whose lists are evaluated. */
typedef struct subject {
    cf_trained *trained; /* NULL: --recs */
    cf_lists recs;       /* of --recs, by user of the block */
    /* The trained model's, or this subject's own. */
    cf_config *config;
    cf_dataset *dataset;
    cf_grid *grid;
    cf_shard *shard;
} subject;

static bool is_asked_for(const evaluation *e, int k)
{
    return (e->protocols & (k == 0 ? MASKED : UNMASKED)) != 0;
}

/* ---- The command line ----------------------------------------------------------------------- */

/* Without --protocol, protocols are 0 until the run is known. */
static cf_status read_protocol(const char *protocol, int *out)
{
    if (protocol == NULL)
        *out = 0;
    else if (strcmp(protocol, "both") == 0)
        *out = BOTH;
    else if (strcmp(protocol, "masked") == 0)
        *out = MASKED;
    else if (strcmp(protocol, "unmasked") == 0)
        *out = UNMASKED;
    else
        return CF_FAIL(CF_ERR_USAGE,
                       "evaluate: --protocol: \"%.60s\" is not masked, unmasked or both", protocol);
    return CF_OK;
}

/* A model or a text, and what only one of them can have. */
static cf_status check_subject(const cli_arguments *arguments)
{
    const bool has_recs = cli_value(arguments, "recs") != NULL;

    if (!has_recs && arguments->n_positional == 0)
        return CF_FAIL(CF_ERR_USAGE, "evaluate: CHECKPOINT.h5 is missing (or --recs FILE)");
    if (has_recs && arguments->n_positional > 0)
        return CF_FAIL(CF_ERR_USAGE, "evaluate: CHECKPOINT.h5 and --recs: expected one of them");
    if (has_recs && cli_value(arguments, "profile") != NULL)
        return CF_FAIL(CF_ERR_USAGE, "evaluate: --profile is of a model, not of --recs");
    if (has_recs && cli_value(arguments, "sparse") != NULL)
        return CF_FAIL(CF_ERR_USAGE, "evaluate: --sparse is of a model, not of --recs");
    if (has_recs && arguments->n_sets > 0)
        return CF_FAIL(CF_ERR_USAGE, "evaluate: --set %s: has no effect on --recs",
                       arguments->sets[0]);
    return CF_OK;
}

static cf_status read_evaluation(const cli_arguments *arguments, evaluation *out)
{
    const char *split = cli_value(arguments, "split");
    const bool is_valid = split != NULL && strcmp(split, "valid") == 0;
    cf_status status;

    CF_REQUIRE(split == NULL || is_valid || strcmp(split, "test") == 0, CF_ERR_USAGE,
               "evaluate: --split: \"%.60s\" is not test or valid", split);
    CF_TRY(check_subject(arguments));
    out->split = is_valid ? CF_SPLIT_VALID : CF_SPLIT_TEST;
    out->name = is_valid ? "valid" : "test";
    out->groups = cli_value(arguments, "groups") != NULL;
    out->per_user = cli_value(arguments, "per-user");
    CF_TRY(read_protocol(cli_value(arguments, "protocol"), &out->protocols));
    CF_REQUIRE(out->per_user == NULL || out->protocols != BOTH, CF_ERR_USAGE,
               "evaluate: --per-user is of one protocol: --protocol masked or unmasked");
    CF_REQUIRE(out->per_user == NULL || strcmp(out->per_user, "-") != 0 || !arguments->json,
               CF_ERR_USAGE,
               "evaluate: --per-user - and --json are both standard output: give one a file");
done:
    return status;
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

/* ---- Results -------------------------------------------------------------------------------- */

/* A table for each requested protocol, and those of its groups. */
static void print_metrics(const evaluation *e)
{
    static const char *const protocol[] = {"history masked", "history not masked"};

    for (int k = 0; k < 2; k++) {
        char title[64];

        if (!is_asked_for(e, k)) continue;
        snprintf(title, sizeof title, "%s, %s", e->name, protocol[k]);
        cli_print_result(&e->metrics[k], title);
        if (e->groups) cli_print_groups(&e->detail[k]);
    }
    if (e->map != NULL)
        printf("rows of cold items: %s, parameter %g, gain %.4g\n",
               cf_cold_kind_names[e->map->kind], e->map->parameter, e->map->gain);
}

/* The results of protocol k, `suffix` after their names. */
static void set_results(const evaluation *e, int k, const char *suffix, json_t **object)
{
    char name[64];

    snprintf(name, sizeof name, "%s%s", e->name, suffix);
    cf_train_json_set(object, name, cf_train_metrics_json(&e->metrics[k].table[CF_ALL]));
    snprintf(name, sizeof name, "cold%s", suffix);
    if (e->metrics[k].is_marked)
        cf_train_json_set(object, name, cf_train_cold_json(&e->metrics[k]));
    if (!e->groups) return;
    snprintf(name, sizeof name, "groups%s", suffix);
    cf_train_json_set(object, name, cli_groups_json(&e->detail[k]));
    snprintf(name, sizeof name, "catalogue%s", suffix);
    cf_train_json_set(object, name, cli_catalogue_json(&e->detail[k]));
}

/* {"test": {...}, "protocol": ..., "users": ...}; of both protocols also "test_unmasked"; with a
 * map of cold items "map". */
static json_t *metrics_json(const evaluation *e)
{
    const int first = e->protocols & MASKED ? 0 : 1; /* under the plain names */
    json_t *object = json_object();

    set_results(e, first, "", &object);
    if (e->protocols == BOTH) set_results(e, 1, "_unmasked", &object);
    cf_train_json_set(&object, "protocol",
                      json_string(e->protocols == BOTH     ? "both"
                                  : e->protocols == MASKED ? "masked"
                                                           : "unmasked"));
    cf_train_json_set(&object, "users",
                      json_integer((json_int_t)e->metrics[first].table[CF_ALL].n_users));
    if (e->map != NULL) cf_train_json_set(&object, "map", cf_train_map_json(e->map));
    return object;
}

/* Write the text of each user, and publish it. Collective. */
static cf_status write_per_user(evaluation *e, const cf_dataset *dataset)
{
    const int k = e->protocols == MASKED ? 0 : 1;
    const bool root = dataset->world->rank == 0;
    cf_status status;

    CF_TRY(cli_write_per_user(dataset, &e->metrics[k].table[CF_ALL], &e->detail[k], &e->output));
    CF_TRY(cf_par_agree(dataset->world, root ? cf_output_commit(&e->output) : CF_OK));
done:
    return status;
}

/* Only if --profile is given: a file of each phase's seconds and bytes. Collective. */
static cf_status write_profile(const subject *of, const char *path)
{
    const cf_report_context context = {"evaluate", of->config, of->dataset, of->grid, of->shard};

    return path != NULL ? cf_train_write_profile(&context, path) : CF_OK;
}

/* A text of each user that goes straight to standard output is the result: the metrics are not
 * printed behind it. Collective. */
static cf_status print_results(const evaluation *e, const cf_par *world, bool as_json)
{
    if (as_json) return cli_print_json(world, world->rank == 0 ? metrics_json(e) : NULL);
    if (world->rank == 0 && (e->per_user == NULL || strcmp(e->per_user, "-") != 0))
        print_metrics(e);
    return CF_OK;
}

/* ---- The command ---------------------------------------------------------------------------- */

/* Collective. */
static cf_status load_trained(const cf_par *world, const cli_arguments *arguments, subject *out)
{
    cf_status status;

    CF_TRY(cli_load_sparse(world, arguments, &out->trained));
    out->config = out->trained->config;
    out->dataset = out->trained->dataset;
    out->grid = out->trained->grid;
    out->shard = out->trained->shard;
done:
    return status;
}

/* Lists need no slices: each rank has a block of users, unless there are more ranks than users or
 * items. Collective. */
static cf_status load_recs(const cf_par *world, const cli_arguments *arguments, subject *out)
{
    int n_rows = world->size;
    cf_status status;

    CF_TRY(cli_create_config(world, arguments, &out->config));
    CF_TRY(cf_dataset_open(world, cli_value(arguments, "data"), &out->dataset));
    if (n_rows > cf_min(out->dataset->n_users, out->dataset->n_items)) n_rows = 1;
    CF_TRY(cf_par_create_grid(world, n_rows, world->size / n_rows, &out->grid));
    CF_TRY(cf_dataset_load_shard(out->dataset, out->grid, &out->shard));
    CF_TRY(cli_read_recs(out->dataset, out->grid, out->shard, cli_value(arguments, "recs"),
                         &out->recs));
done:
    return status;
}

static void unload(subject *of)
{
    cf_free(&of->recs.start);
    cf_free(&of->recs.index);
    if (of->trained == NULL) {
        cf_dataset_destroy_shard(&of->shard);
        cf_par_destroy_grid(&of->grid);
        cf_dataset_close(&of->dataset);
        cf_config_destroy(&of->config);
    }
    cf_train_unload(&of->trained);
}

/* Load the model or the lists, with the lengths of --topk. Its phase is input, for the profile.
 * Collective. */
static cf_status load(const cf_par *world, const cli_arguments *arguments, subject *out)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_INPUT);
    cf_status status = cli_value(arguments, "recs") != NULL ? load_recs(world, arguments, out)
                                                            : load_trained(world, arguments, out);

    cf_par_restore_phase(before);
    CF_TRY(status);
    CF_TRY(cf_par_agree(world, set_topk(out->config, cli_value(arguments, "topk"))));
done:
    return status;
}

/* Each protocol that is asked for. Collective. */
static cf_status measure(evaluation *e, const subject *of, const cf_eval_options *options)
{
    const cf_eval_lists lists = {of->grid, of->shard, &of->recs};
    const cf_phase before = cf_par_set_phase(CF_PHASE_EVALUATION);
    cf_eval_options own = *options;
    cf_status status = CF_OK;

    for (int k = 0; k < 2 && status == CF_OK; k++) {
        own.mask_history = k == 0;
        e->detail[k].groups = e->groups;
        e->detail[k].per_user = e->per_user != NULL;
        if (!is_asked_for(e, k)) continue;
        if (of->trained != NULL)
            status = cf_eval_run_cold(&of->trained->scorer, e->split, &own, &e->detail[k],
                                      &e->metrics[k]);
        else
            status = cf_eval_run_lists(&lists, e->split, &own, &e->detail[k], &e->metrics[k]);
    }
    cf_par_restore_phase(before);
    return status;
}

/* Say what is not as usual, once of both protocols. */
static void warn(const evaluation *e, const subject *of, const char *recs)
{
    const int k = is_asked_for(e, 0) ? 0 : 1;
    const cf_metrics *metrics = &e->metrics[k].table[CF_ALL];
    const cf_eval_detail *detail = &e->detail[k];
    int64_t longest = 0;

    if (of->trained != NULL) {
        cf_eval_warn_cold(metrics->n_cold, metrics->n_users);
        return;
    }
    for (int t = 0; t < metrics->n_topk; t++)
        longest = cf_max(longest, cf_min(metrics->topk[t], of->dataset->n_items));
    if (detail->n_missing > 0)
        cf_warn("%s: %lld of %lld users have no list: they count as zero", recs,
                (long long)detail->n_missing, (long long)metrics->n_users);
    if (detail->n_masked > 0)
        cf_warn("%s: %lld items of the users' history are left out (--protocol unmasked keeps "
                "them)",
                recs, (long long)detail->n_masked);
    if (detail->n_barred > 0)
        cf_warn("%s: %lld cold items that are no candidates of the %s part are left out", recs,
                (long long)detail->n_barred, e->name);
    if (detail->longest_list < longest)
        cf_warn("%s: the longest list has %lld items, fewer than the largest of topk (%lld)", recs,
                (long long)detail->longest_list, (long long)longest);
}

/* The text of each user is opened before the ranking, which may take long: a folder that cannot be
 * written is found at once. Collective. */
static cf_status open_per_user(const cf_par *world, evaluation *e)
{
    const bool opens = e->per_user != NULL && world->rank == 0;

    return cf_par_agree(world, opens ? cf_output_open(&e->output, e->per_user) : CF_OK);
}

/* The command line is checked before anything is read, and an empty part is an error: its metrics
 * would be zeros that look like results. */
static cf_status run_evaluate(const cf_par *world, const cli_arguments *arguments)
{
    subject of = {0};
    cf_eval_options options;
    evaluation e = {0};
    cf_status status;

    CF_TRY(read_evaluation(arguments, &e));
    CF_TRY(load(world, arguments, &of));
    CF_REQUIRE((e.split == CF_SPLIT_TEST ? of.dataset->n_test : of.dataset->n_valid) > 0,
               CF_ERR_FORMAT, "%s: has no %s part", cli_value(arguments, "data"), e.name);
    CF_TRY(cf_eval_read_options(of.config, &options));
    if (e.protocols == 0) e.protocols = options.mask_history ? MASKED : UNMASKED;
    CF_TRY(open_per_user(world, &e));
    if (of.trained != NULL) e.map = of.trained->map;
    CF_TRY(measure(&e, &of, &options));
    warn(&e, &of, cli_value(arguments, "recs"));
    if (e.per_user != NULL) CF_TRY(write_per_user(&e, of.dataset));
    CF_TRY(write_profile(&of, cli_value(arguments, "profile")));
    CF_TRY(print_results(&e, world, arguments->json));
done:
    cf_output_close(&e.output);
    for (int k = 0; k < 2; k++)
        cf_eval_destroy_detail(&e.detail[k]);
    unload(&of);
    return status;
}

static const cli_option evaluate_options[] = {
    {"data", "DATA.h5", "the dataset that the model was trained on", true, CLI_INPUT},
    {"recs", "FILE", "evaluate these recommendations in place of a model", false, CLI_INPUT},
    {"split", "test|valid", "the part to evaluate on; default test", false, CLI_VALUE},
    {"protocol", "masked|unmasked|both",
     "masked: rank no item that the user has already; default: as in the run", false, CLI_VALUE},
    {"topk", "K,...", "lengths of the lists; default: as in the run, of --recs 10,20", false,
     CLI_VALUE},
    CLI_SPARSE,
    {"groups", NULL, "also metrics by train interactions of users and items, and of the catalogue",
     false, CLI_FLAG},
    {"per-user", "FILE.tsv", "write each user's metrics; - is standard output, without the means",
     false, CLI_OUTPUT},
    {"profile", "FILE.json", "write seconds and bytes sent of each rank, by phase", false,
     CLI_OUTPUT},
    {0}};

const cli_command cli_evaluate = {
    .name = "evaluate",
    .summary = "print the metrics of a trained model, or of recommendations",
    .operand = "[CHECKPOINT.h5]",
    .operand_kind = CLI_INPUT,
    .remarks =
        "Give CHECKPOINT.h5 or --recs. The text of --recs is what recommend writes: a header with\n"
        "user_id and item_id, perhaps rank or score; or it has lines \"user item\", best first.",
    .settings = CLI_SETTINGS_MACHINE,
    .has_json = true,
    .options = evaluate_options,
    .uses_blas = true,
    .run = run_evaluate,
};
