/* The subcommands, their help, and dispatch.
 *
 * Every rank runs the same command line. Help and results are printed by rank 0; an error is agreed
 * on by all ranks and printed by main. */
#include "cli.h"

#include <errno.h>
#include <string.h>

/* In the order of a project: data, training, use, inspection. */
const cli_command *const cli_commands[] = {
    &cli_prepare,  &cli_append,   &cli_synthesize,     &cli_select,
    &cli_train,    &cli_evaluate, &cli_recommend,      &cli_export,
    &cli_spectrum, &cli_info,     &cli_print_settings, &cli_selftest,
    NULL};

/* main asks before MPI_Init whether the command catches signals. */
const cli_command *cli_find_command(int argc, char **argv)
{
    for (int k = 0; argc > 1 && cli_commands[k] != NULL; k++)
        if (strcmp(cli_commands[k]->name, argv[1]) == 0) return cli_commands[k];
    return NULL;
}

/* ---- Help ----------------------------------------------------------------------------------- */

/* Those of cf_status; src/cli/README.md has a page on them. */
const cli_exit cli_exits[] = {
    {CF_OK, "done"},
    {CF_ERR_USAGE, "usage or settings"},
    {CF_ERR_FORMAT, "bad input"},
    {CF_ERR_IO, "file system"},
    {CF_ERR_MEMORY, "out of memory"},
    {CF_ERR_NUMERIC, "NaN or infinity"},
    {CF_ERR_HANG, "no progress (hang_timeout)"},
    {CF_ERR_RESULT, "a selftest failed"},
    {CF_STOPPED, "stopped after a checkpoint by a signal or --time-limit; the same command with "
                 "--resume auto resumes it"},
    {CF_ERR_BUG, "a bug in the program"},
    {0, NULL}};

const char cli_summary[] =
    "train collaborative-filtering embeddings, starting from a language model's vectors";

static void print_help(void)
{
    printf("llminit: %s\n\n"
           "usage: llminit COMMAND ...\n"
           "       mpirun -n RANKS llminit COMMAND ...\n\n",
           cli_summary);
    for (int k = 0; cli_commands[k] != NULL; k++)
        printf("  %-10s %s\n", cli_commands[k]->name, cli_commands[k]->summary);
    printf(
        "\n  --help     print this help; after a command, its options and settings\n"
        "  --version  print the version; with --json also commit, compiler, flags and libraries\n\n"
        "Exit status:\n");
    for (const cli_exit *exit = cli_exits; exit->meaning != NULL; exit++)
        printf("  %2d  %s\n", exit->status, exit->meaning);
}

/* The text begins in column 37, or behind the option if that is longer. */
static void print_option(const cli_option *option)
{
    char left[80];

    snprintf(left, sizeof left, "--%s%s%s", option->name, option->argument != NULL ? " " : "",
             option->argument != NULL ? option->argument : "");
    printf("  %-34s %s\n", left, option->help);
}

/* The command and what it requires. */
static void print_usage(const cli_command *command)
{
    printf("llminit %s: %s\n\nusage: llminit %s%s%s", command->name, command->summary,
           command->name, command->operand != NULL ? " " : "",
           command->operand != NULL ? command->operand : "");
    for (const cli_option *option = command->options; option->name != NULL; option++)
        if (option->required) printf(" --%s %s", option->name, option->argument);
    printf(" [OPTION]...\n\n");
}

static void print_options(const cli_command *command)
{
    const cli_option *options[CLI_MAX_LISTED];
    const int n = cli_list_options(command, options);

    for (int k = 0; k < n; k++)
        print_option(options[k]);
}

/* Local. */
static cf_status print_command_help(const cli_command *command)
{
    cf_status status = CF_OK;

    print_usage(command);
    print_options(command);
    if (command->remarks != NULL) printf("\n%s\n", command->remarks);
    if (command->settings == CLI_SETTINGS_MACHINE) {
        printf("\n--set takes the settings of the machine, and those of the map of cold items, "
               "which is then made anew:\n");
        CF_TRY(cli_print_machine_settings(stdout));
        printf("\nllminit settings explains them.\n");
    } else if (command->settings != CLI_NO_SETTINGS) {
        printf("\nsettings:\n");
        CF_TRY(cli_print_tables(command->settings, stdout, false));
    }
done:
    return status;
}

/* ---- Dispatch ------------------------------------------------------------------------------- */

/* A word that is no command; the nearest one is suggested. */
static cf_status fail_unknown_command(const char *name)
{
    const char *names[16], *kind = name[0] == '-' ? "option" : "command";
    int n = 0, nearest;

    for (; cli_commands[n] != NULL; n++)
        names[n] = cli_commands[n]->name;
    nearest = cf_config_nearest(name, names, n);
    if (nearest >= 0)
        return CF_FAIL(CF_ERR_USAGE, "unknown %s \"%.60s\" (did you mean \"%s\"?)", kind, name,
                       names[nearest]);
    return CF_FAIL(CF_ERR_USAGE, "unknown %s \"%.60s\"; llminit --help lists the commands", kind,
                   name);
}

/* A bad command line is the same error on every rank; memory may lack on one alone. */
static cf_status run_command(const cf_par *world, const cli_command *command, int argc, char **argv)
{
    cli_arguments arguments = {0};
    cf_status status;

    CF_TRY(cf_par_agree(world, cli_parse(command, argc, argv, &arguments)));
    cf_log_enable(world->rank == 0, arguments.quiet); /* before any work of the command logs */
    if (arguments.help)
        CF_TRY(cf_par_agree(world, world->rank == 0 ? print_command_help(command) : CF_OK));
    if (!arguments.help) {
        CF_TRY(cli_check_files(world, &arguments));
        if (command->uses_blas) {
            CF_TRY(cf_par_reserve_blas(world));
            cf_par_log_environment();
        }
        CF_TRY(command->run(world, &arguments));
    }
done:
    cli_free_arguments(&arguments);
    return status;
}

/* A result that could not be written is an error: a full disk must not end with status 0. */
static cf_status flush_results(const cf_par *world)
{
    cf_status status = CF_OK;

    if (world->rank == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        status = CF_FAIL(CF_ERR_IO, "standard output: cannot write (%s)", strerror(errno));
    return cf_par_agree(world, status);
}

/* --version, or --version --json. Collective. */
static cf_status print_version(const cf_par *world, int argc, char **argv)
{
    const bool json = argc > 2 && strcmp(argv[2], "--json") == 0;

    if (argc > 2 + json)
        return CF_FAIL(CF_ERR_USAGE, "--version: unexpected \"%.60s\"", argv[2 + json]);
    if (json) return cli_print_json(world, world->rank == 0 ? cf_train_build_json() : NULL);
    if (world->rank == 0) printf("llminit %s\n", CF_VERSION);
    return CF_OK;
}

/* Help is a result: it goes to stdout, with status 0. */
cf_status cli_run(const cf_par *world, int argc, char **argv)
{
    const cli_command *command = cli_find_command(argc, argv);
    const char *first = argc > 1 ? argv[1] : "";
    cf_status status = CF_OK;

    if (command != NULL) {
        CF_TRY(run_command(world, command, argc - 1, argv + 1));
    } else if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        if (world->rank == 0) print_help();
    } else if (strcmp(first, "--version") == 0) {
        CF_TRY(print_version(world, argc, argv));
    } else if (argc < 2) {
        CF_TRY(CF_FAIL(CF_ERR_USAGE, "expected a command; llminit --help lists them"));
    } else {
        CF_TRY(fail_unknown_command(first));
    }
    CF_TRY(flush_results(world));
done:
    return status;
}
