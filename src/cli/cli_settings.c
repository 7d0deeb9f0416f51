/* settings: the tables of settings, for people and for the README. */
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
    printf("\n%sselect and train\n\n", markdown ? "### " : "");
    CF_TRY(cli_print_tables(CLI_SETTINGS_TRAIN, stdout, markdown));
done:
    return status;
}

static cf_status run(const cf_par *world, const cli_arguments *arguments)
{
    bool markdown = cli_value(arguments, "markdown") != NULL;

    return cf_par_agree(world, world->rank == 0 ? print_all(markdown) : CF_OK);
}

static const cli_option options[] = {{"markdown", NULL, "as the tables of the README", false}, {0}};

const cli_command cli_print_settings = {
    .name = "settings",
    .summary = "list all settings with their ranges and defaults",
    .options = options,
    .run = run,
};
