/* synthesize: a made-up dataset of any size, for tests and studies of speed. All of its content
 * follows from the settings, whatever the number of ranks (cf_synth_make()). */
#include "cli.h"

#include "cf/synth.h"

/* The object of --json. */
static json_t *report_json(const cf_synth_report *r)
{
    return CF_JSON_OBJECT({"users", json_integer(r->n_users)}, {"items", json_integer(r->n_items)},
                          {"train", json_integer(r->n_train)}, {"valid", json_integer(r->n_valid)},
                          {"test", json_integer(r->n_test)},
                          {"embedding_dim", json_integer(r->embedding_dim)},
                          {"seconds", json_real(r->seconds)});
}

/* Counts of the dataset, and the time. */
static void print_synthesized(const cf_synth_report *r, const char *path)
{
    char vectors[64] = "";

    if (r->embedding_dim > 0)
        snprintf(vectors, sizeof vectors, "; vectors of %lld numbers", (long long)r->embedding_dim);
    cli_print_line("%s: %lld users, %lld items; %lld train, %lld valid, %lld test interactions%s",
                   path, (long long)r->n_users, (long long)r->n_items, (long long)r->n_train,
                   (long long)r->n_valid, (long long)r->n_test, vectors);
    printf("%.2f s\n", r->seconds);
}

/* There is no settings file: the few settings are given by --set. */
static cf_status run_synthesize(const cf_par *world, const cli_arguments *arguments)
{
    const char *path = cli_value(arguments, "out");
    cf_synth_options options;
    cf_synth_report report = {0};
    cf_config *config = NULL;
    cf_status status;

    CF_TRY(cli_create_config(world, arguments, &config));
    cf_synth_read_options(config, &options);
    CF_TRY(cf_synth_make(world, &options, path, &report));
    if (arguments->json)
        CF_TRY(cli_print_json(world, world->rank == 0 ? report_json(&report) : NULL));
    else if (world->rank == 0)
        print_synthesized(&report, path);
done:
    cf_config_destroy(&config);
    return status;
}

static const cli_option synthesize_options[] = {
    {"out", "FILE.h5", "the dataset to write", true, CLI_OUTPUT}, {0}};

const cli_command cli_synthesize = {
    .name = "synthesize",
    .summary = "make up a dataset: power laws, clusters of taste, vectors correlated with them",
    .settings = CLI_SETTINGS_SYNTHESIZE,
    .has_json = true,
    .options = synthesize_options,
    .run = run_synthesize,
};
