/* settings: the tables of settings, for people and for the README; the settings of a run, for
 * scripts. */
#include "cli.h"

cf_status cli_print_tables(cli_settings settings, FILE *stream, bool markdown)
{
    int n = 0;
    const cf_setting *const *tables = cli_tables(settings, &n);
    cf_config *config = NULL;
    cf_status status = CF_OK;

    CF_TRY(cf_config_create(tables, n, &config));
    cf_config_print(config, stream, markdown);
done:
    cf_config_destroy(&config);
    return status;
}

static cf_status print_all(bool markdown)
{
    cf_status status = CF_OK;

    printf("%sprepare\n\n", markdown ? "### " : "");
    CF_TRY(cli_print_tables(CLI_SETTINGS_PREPARE, stdout, markdown));
    printf("\n%ssynthesize\n\n", markdown ? "### " : "");
    CF_TRY(cli_print_tables(CLI_SETTINGS_SYNTHESIZE, stdout, markdown));
    printf("\n%sselect and train\n\n", markdown ? "### " : "");
    CF_TRY(cli_print_tables(CLI_SETTINGS_TRAIN, stdout, markdown));
done:
    return status;
}

/* What train would write as settings.yaml. */
static cf_status print_yaml(const cf_par *world, const cli_arguments *arguments)
{
    cf_config *config = NULL;
    char *text = NULL;
    cf_status status;

    CF_TRY(cli_create_config(world, arguments, arguments->positional[0], &config));
    CF_TRY(cf_par_agree(world, cf_config_to_yaml(config, &text)));
    if (world->rank == 0) fputs(text, stdout);
done:
    cf_free(&text);
    cf_config_destroy(&config);
    return status;
}

static cf_status run(const cf_par *world, const cli_arguments *arguments)
{
    bool markdown = cli_value(arguments, "markdown") != NULL;

    if (cli_value(arguments, "yaml")) return print_yaml(world, arguments);
    if (arguments->n_positional > 0 || arguments->n_sets > 0)
        return CF_FAIL(CF_ERR_USAGE, "settings: a file and --set go with --yaml");
    return cf_par_agree(world, world->rank == 0 ? print_all(markdown) : CF_OK);
}

static const cli_option options[] = {
    {"markdown", NULL, "as the tables of the README", false},
    {"yaml", NULL, "the values that train would have with this file and --set", false},
    {0}};

const cli_command cli_print_settings = {
    .name = "settings",
    .summary = "list all settings with their ranges and defaults",
    .operand = "[SETTINGS.yaml]",
    .settings = CLI_SETTINGS_TRAIN,
    .options = options,
    .run = run,
};
