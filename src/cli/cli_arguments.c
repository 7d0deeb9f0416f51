/* A command line, parsed by the table of its command.
 *
 * getopt_long() splits it; errors are noted here, so that they name the command and suggest the
 * nearest option. Every rank parses the same argv, so no communication is needed. */
#include "cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* getopt's numbers: a command's own options have their index in its table, those below are shared.
 */
enum { SET = 256, JSON, QUIET, HELP };

/* The options that commands share, in the order of their numbers. */
static const cli_option shared[] = {
    {"set", "NAME=VALUE", "one setting, after those of the file; may be repeated", false,
     CLI_SETTING},
    {"json", NULL, "print the result as one JSON object", false, CLI_FLAG},
    {"quiet", NULL, "no log, only warnings and errors", false, CLI_FLAG},
    {"help", NULL, "print this help", false, CLI_FLAG},
};

/* ---- The command line ----------------------------------------------------------------------- */

/* Does the command take the shared option of this number? */
static bool takes(const cli_command *command, int number)
{
    if (number == SET) return command->settings != CLI_NO_SETTINGS;
    return number != JSON || command->has_json;
}

int cli_list_options(const cli_command *command, const cli_option *out[CLI_MAX_LISTED])
{
    int n = 0;

    for (const cli_option *own = command->options; own->name != NULL; own++) {
        CF_ASSERT(own->kind != 0 && (own->kind == CLI_FLAG) == (own->argument == NULL));
        CF_ASSERT(n < CLI_MAX_OPTIONS);
        out[n++] = own;
    }
    for (int number = SET; number <= HELP; number++)
        if (takes(command, number)) out[n++] = &shared[number - SET];
    return n;
}

/* getopt's table of the same options. Returns their number. */
static int list_options(const cli_command *command, struct option *out)
{
    const cli_option *options[CLI_MAX_LISTED];
    const int n = cli_list_options(command, options);

    for (int k = 0; k < n; k++) {
        const bool own = options[k] == &command->options[k];

        out[k] = (struct option){options[k]->name,
                                 options[k]->argument != NULL ? required_argument : no_argument,
                                 NULL, own ? k : SET + (int)(options[k] - shared)};
    }
    out[n] = (struct option){0};
    return n;
}

/* `given` is the word as it was written: with its dashes, perhaps with =VALUE. */
static cf_status fail_unknown_option(const cli_command *command, const char *given,
                                     const struct option *options, int n)
{
    const char *names[CLI_MAX_LISTED];
    char name[64];
    int nearest;

    for (int k = 0; k < n; k++)
        names[k] = options[k].name;
    /* the bare name: --dta=x is compared as "dta" */
    snprintf(name, sizeof name, "%s", given + strspn(given, "-"));
    name[strcspn(name, "=")] = '\0';
    nearest = cf_config_nearest(name, names, n);
    if (nearest >= 0)
        return CF_FAIL(CF_ERR_USAGE, "%s: unknown option %.60s (did you mean --%s?)", command->name,
                       given, names[nearest]);
    return CF_FAIL(CF_ERR_USAGE, "%s: unknown option %.60s; llminit %s --help lists them",
                   command->name, given, command->name);
}

static cf_status note_file(const char *path, cli_arguments *out)
{
    cf_status status;

    CF_TRY(CF_GROW(out->files, out->files_capacity, out->n_files + 1));
    out->files[out->n_files++] = path;
done:
    return status;
}

/* Note one option that getopt has found; its value is in optarg. Only --set and files of settings
 * may be repeated. */
static cf_status note_option(int option, cli_arguments *out)
{
    const cli_option *own = option < SET ? &out->command->options[option] : NULL;
    cf_status status = CF_OK;

    if (own != NULL && own->kind == CLI_SETTINGS_FILE) return note_file(optarg, out);
    if (option == SET) {
        CF_TRY(CF_GROW(out->sets, out->sets_capacity, out->n_sets + 1));
        out->sets[out->n_sets++] = optarg;
    } else if (option == JSON) {
        out->json = true;
    } else if (option < CLI_MAX_OPTIONS && out->command->options[option].kind == CLI_WORDS) {
        CF_TRY(CF_GROW(out->words, out->words_capacity, out->n_words + 1));
        out->words[out->n_words++] = (cli_given_word){option, optarg};
        out->value[option] = optarg;
    } else if (option == QUIET) {
        out->quiet = true;
    } else if (option == HELP || option == 'h') {
        out->help = true;
    } else if (out->value[option] != NULL) {
        status = CF_FAIL(CF_ERR_USAGE, "%s: --%s is given twice", out->command->name, own->name);
    } else {
        out->value[option] = optarg != NULL ? optarg : "";
    }
done:
    return status;
}

/* A command has one operand, or any number of files of settings. */
static cf_status note_operand(const char *text, cli_arguments *out)
{
    const cli_command *command = out->command;

    if (command->operand != NULL && command->operand_kind == CLI_SETTINGS_FILE)
        return note_file(text, out);
    if (command->operand == NULL || out->n_positional > 0)
        return CF_FAIL(CF_ERR_USAGE, "%s: unexpected \"%.60s\"", command->name, text);
    out->positional[out->n_positional++] = text;
    return CF_OK;
}

/* The operand and the required options; a request for help needs neither. */
static cf_status check_complete(const cli_arguments *arguments)
{
    const cli_command *command = arguments->command;
    bool needs_operand = command->operand != NULL && command->operand[0] != '[';

    if (arguments->help) return CF_OK;
    if (needs_operand && arguments->n_positional == 0)
        return CF_FAIL(CF_ERR_USAGE, "%s: %s is missing", command->name, command->operand);
    for (int k = 0; command->options[k].name != NULL; k++)
        if (command->options[k].required && arguments->value[k] == NULL)
            return CF_FAIL(CF_ERR_USAGE, "%s: --%s %s is missing", command->name,
                           command->options[k].name, command->options[k].argument);
    return CF_OK;
}

/* getopt_long() permutes argv, so operands may stand anywhere. ":" at the start of the short
 * options makes it report a missing value as ':' and print nothing itself. */
cf_status cli_parse(const cli_command *command, int argc, char **argv, cli_arguments *out)
{
    cli_arguments arguments = {.command = command};
    struct option options[CLI_MAX_LISTED + 1];
    int n = list_options(command, options), option;
    cf_status status = CF_OK;

    opterr = 0; /* nothing on stderr */
    optind = 0; /* glibc: start afresh, after an earlier command line too */
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        const char *given = argv[optind > 0 ? optind - 1 : 0];

        if (option == '?') CF_TRY(fail_unknown_option(command, given, options, n));
        CF_REQUIRE(option != ':', CF_ERR_USAGE, "%s: %.60s needs a value", command->name, given);
        CF_TRY(note_option(option, &arguments));
    }
    for (; optind < argc; optind++)
        CF_TRY(note_operand(argv[optind], &arguments));
    CF_TRY(check_complete(&arguments));
    *out = arguments;
    arguments = (cli_arguments){0};
done:
    cli_free_arguments(&arguments);
    return status;
}

/* All other texts are argv's. */
void cli_free_arguments(cli_arguments *arguments)
{
    cf_free(&arguments->words);
    cf_free(&arguments->sets);
    cf_free(&arguments->files);
}

/* By name, so that a command need not know the order of its table; an unknown name is a bug. */
static int find_option(const cli_arguments *arguments, const char *name)
{
    const cli_option *options = arguments->command->options;
    int k = 0;

    while (options[k].name != NULL && strcmp(options[k].name, name) != 0)
        k++;
    CF_ASSERT(options[k].name != NULL);
    return k;
}

const char *cli_value(const cli_arguments *arguments, const char *name)
{
    return arguments->value[find_option(arguments, name)];
}

const char *cli_word(const cli_arguments *arguments, const char *name, int n)
{
    const int option = find_option(arguments, name);

    for (int k = 0; k < arguments->n_words; k++)
        if (arguments->words[k].option == option && n-- == 0) return arguments->words[k].text;
    return NULL;
}

/* strtoll() skips leading blanks and takes a sign; what is left must be the whole text. */
cf_status cli_integer(const cli_arguments *arguments, const char *name, int64_t max, int64_t *value)
{
    const char *text = cli_value(arguments, name);
    char *end = NULL;
    long long number;

    if (text == NULL) return CF_OK;
    number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || number < 1 || number > max)
        return CF_FAIL(CF_ERR_USAGE, "%s: --%s: \"%.60s\" is not a whole number from 1 to %lld",
                       arguments->command->name, name, text, (long long)max);
    *value = number;
    return CF_OK;
}

/* ---- Durations ------------------------------------------------------------------------------ */

/* Read a whole number of at most 9 digits, so that a sum of a few cannot overflow, and advance
 * *text past it; -1 if there is none. */
static int64_t parse_number(const char **text)
{
    const size_t length = strspn(*text, "0123456789");
    int64_t number = 0;

    if (length == 0 || length > 9) return -1;
    for (size_t k = 0; k < length; k++)
        number = number * 10 + *(*text)++ - '0';
    return number;
}

/* Seconds of a plain number, or of 1d2h3m4s with any of the four in this order; -1 otherwise. */
static int64_t parse_units(const char *text)
{
    static const struct {
        char name;
        int64_t seconds;
    } unit[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    const size_t n_units = sizeof unit / sizeof *unit;
    int64_t total = 0;

    for (size_t k = 0; k < n_units && *text != '\0'; k++) {
        const int64_t number = parse_number(&text);

        if (number < 0) return -1;
        if (k == 0 && *text == '\0') return number;  /* seconds */
        while (k < n_units && unit[k].name != *text) /* units only descend: 5m1h is refused */
            k++;
        if (k == n_units) return -1;
        total += number * unit[k].seconds;
        text++;
    }
    return *text == '\0' ? total : -1;
}

/* Seconds of MM:SS or [DAYS-]HH:MM:SS, as Slurm prints them; -1 otherwise. After days all three
 * fields are required, so that 1-02 is an error and not a guess. */
static int64_t parse_clock(const char *text)
{
    int64_t total = parse_number(&text), days = 0;
    int n_colons = 0;
    const bool has_days = total >= 0 && *text == '-';

    if (has_days) {
        days = total;
        text++;
        total = parse_number(&text);
    }
    if (total < 0) return -1;
    for (; *text == ':'; n_colons++) {
        int64_t number;

        text++;
        number = parse_number(&text);
        if (number < 0 || number > 59) return -1;
        total = total * 60 + number;
    }
    if (*text != '\0' || n_colons > 2 || n_colons < (has_days ? 2 : 1)) return -1;
    return days * 86400 + total;
}

/* A colon tells the two notations apart. A limit of 0 seconds would stop every run at its first
 * step, so it is refused. */
cf_status cli_duration(const cli_arguments *arguments, const char *name, double *seconds)
{
    const char *text = cli_value(arguments, name);
    int64_t number;

    if (text == NULL) return CF_OK;
    number = strchr(text, ':') ? parse_clock(text) : parse_units(text);
    if (number < 1)
        return CF_FAIL(CF_ERR_USAGE,
                       "%s: --%s: \"%.60s\" is not a duration like 90s, 1h30m or 01:30:00",
                       arguments->command->name, name, text);
    *seconds = (double)number;
    return CF_OK;
}
