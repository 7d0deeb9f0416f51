/* The subcommands, their help, and the way to them. */
#include "cli.h"

#include <errno.h>
#include <string.h>

const cli_command *const cli_commands[] = {
    &cli_prepare, &cli_synthesize, &cli_select, &cli_train,          &cli_evaluate, &cli_recommend,
    &cli_export,  &cli_spectrum,   &cli_info,   &cli_print_settings, NULL};

const cli_command *cli_find_command(int argc, char **argv)
{
    for (int k = 0; argc > 1 && cli_commands[k]; k++)
        if (strcmp(cli_commands[k]->name, argv[1]) == 0) return cli_commands[k];
    return NULL;
}

/* ---- Help ----------------------------------------------------------------------------------- */

static void print_help(void)
{
    printf(
        "llminit: collaborative-filtering embeddings that start from a language model's vectors\n\n"
        "usage: llminit COMMAND ...\n"
        "       mpirun -n RANKS llminit COMMAND ...\n\n");
    for (int k = 0; cli_commands[k]; k++)
        printf("  %-10s %s\n", cli_commands[k]->name, cli_commands[k]->summary);
    printf(
        "\n  --help     this, or after a command: its options and settings\n"
        "  --version  the version\n\n"
        "Exit status: 0 done; 2 usage or settings; 3 bad input; 4 file system; 5 out of memory;\n"
        "6 not a number; 75 stopped by a signal or --time-limit after a checkpoint, run again to "
        "go\n"
        "on; 70 a bug.\n");
}

static void print_option(const char *name, const char *argument, const char *help)
{
    char left[80];

    snprintf(left, sizeof left, "--%s%s%s", name, argument ? " " : "", argument ? argument : "");
    printf("  %-34s %s\n", left, help);
}

static cf_status print_command_help(const cli_command *command)
{
    printf("llminit %s: %s\n\nusage: llminit %s%s%s", command->name, command->summary,
           command->name, command->operand ? " " : "", command->operand ? command->operand : "");
    for (const cli_option *option = command->options; option->name; option++)
        if (option->required) printf(" --%s %s", option->name, option->argument);
    printf(" [OPTION]...\n\n");
    for (const cli_option *option = command->options; option->name; option++)
        print_option(option->name, option->argument, option->help);
    if (command->settings != CLI_NO_SETTINGS)
        print_option("set", "NAME=VALUE",
                     "one setting; may be repeated, and comes after the file's");
    if (command->has_json) print_option("json", NULL, "the result as one JSON object");
    print_option("quiet", NULL, "no log, only warnings and errors");
    print_option("help", NULL, "this");
    if (command->remarks) printf("\n%s\n", command->remarks);
    if (command->settings == CLI_SETTINGS_MACHINE)
        printf("\n--set takes grid and eval_memory; llminit settings lists all there are.\n");
    if (command->settings == CLI_NO_SETTINGS || command->settings == CLI_SETTINGS_MACHINE)
        return CF_OK;
    printf("\nsettings:\n");
    return cli_print_tables(command->settings, stdout, false);
}

/* ---- Dispatch ------------------------------------------------------------------------------- */

static cf_status fail_unknown(const char *name)
{
    const char *names[16], *kind = name[0] == '-' ? "option" : "command";
    int n = 0, nearest;

    while (cli_commands[n]) {
        names[n] = cli_commands[n]->name;
        n++;
    }
    nearest = cf_config_nearest(name, names, n);
    if (nearest >= 0)
        return CF_FAIL(CF_ERR_USAGE, "unknown %s \"%.60s\" (did you mean \"%s\"?)", kind, name,
                       names[nearest]);
    return CF_FAIL(CF_ERR_USAGE, "unknown %s \"%.60s\"; llminit --help lists the commands", kind,
                   name);
}

static cf_status run_command(const cf_par *world, const cli_command *command, int argc, char **argv)
{
    cli_arguments arguments = {0};
    cf_status status;

    CF_TRY(cf_par_agree(world, cli_parse(command, argc, argv, &arguments)));
    cf_log_enable(world->rank == 0, arguments.quiet);
    if (arguments.help)
        CF_TRY(cf_par_agree(world, world->rank == 0 ? print_command_help(command) : CF_OK));
    else
        CF_TRY(command->run(world, &arguments));
done:
    cli_free_arguments(&arguments);
    return status;
}

/* Results that did not reach the disk are no results. */
static cf_status flush_results(const cf_par *world)
{
    cf_status status = CF_OK;

    if (world->rank == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        status = CF_FAIL(CF_ERR_IO, "standard output: cannot write (%s)", strerror(errno));
    return cf_par_agree(world, status);
}

cf_status cli_run(const cf_par *world, int argc, char **argv)
{
    const cli_command *command = cli_find_command(argc, argv);
    const char *first = argc > 1 ? argv[1] : "";
    cf_status status = CF_OK;

    if (command) {
        CF_TRY(run_command(world, command, argc - 1, argv + 1));
    } else if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        if (world->rank == 0) print_help();
    } else if (strcmp(first, "--version") == 0) {
        if (world->rank == 0) printf("llminit %s\n", CF_VERSION);
    } else if (argc < 2) {
        CF_TRY(CF_FAIL(CF_ERR_USAGE, "expected a command; llminit --help lists them"));
    } else {
        CF_TRY(fail_unknown(first));
    }
    CF_TRY(flush_results(world));
done:
    return status;
}
