/* The data of bash completion: functions that print the commands, their options and settings.
 * llminit.bash says how. */
#include "interface.h"

#include <string.h>

/* The kind of a value, as llminit.bash takes it. */
static const char *const kinds[] = {
    [CLI_FLAG] = "flag",   [CLI_VALUE] = "word",      [CLI_WORDS] = "word",
    [CLI_INPUT] = "file",  [CLI_SETTING] = "setting", [CLI_SETTINGS_FILE] = "yaml",
    [CLI_OUTPUT] = "file", [CLI_FOLDER] = "folder",
};

/* What an option may be: the words of "auto|no", not of "FILE". */
static void print_option(FILE *out, const cli_option *option)
{
    fprintf(out, "--%s %s", option->name, kinds[option->kind]);
    if (option->kind == CLI_VALUE && strchr(option->argument, '|') != NULL) {
        putc(' ', out);
        interface_words(option->argument, out);
    }
    putc('\n', out);
}

static void print_setting(FILE *out, const cf_setting *row)
{
    fputs(row->name, out);
    if (interface_choices(row) != NULL) {
        putc(' ', out);
        interface_words(interface_choices(row), out);
    }
    putc('\n', out);
}

/* What a function prints for a command. */
typedef void command_printer(FILE *out, const cli_command *command);

static void print_options(FILE *out, const cli_command *command)
{
    const cli_option *options[CLI_MAX_LISTED];
    const int n = cli_list_options(command, options);

    for (int k = 0; k < n; k++)
        print_option(out, options[k]);
}

static void print_operand(FILE *out, const cli_command *command)
{
    fprintf(out, "%s\n", command->operand != NULL ? kinds[command->operand_kind] : "");
}

static void print_settings(FILE *out, const cli_command *command)
{
    const cf_setting *rows[INTERFACE_MAX_SETTINGS];
    const int n = interface_settings(command->settings, rows);

    for (int k = 0; k < n; k++)
        print_setting(out, rows[k]);
}

/* A function that prints a text of its own for each command. */
static void print_function(FILE *out, const char *name, command_printer *print)
{
    fprintf(out, "%s() {\n    case $1 in\n", name);
    for (int k = 0; cli_commands[k] != NULL; k++) {
        fprintf(out, "    %s) cat <<'END' ;;\n", cli_commands[k]->name);
        print(out, cli_commands[k]);
        fputs("END\n", out);
    }
    fputs("    esac\n}\n", out);
}

void interface_bash(FILE *out)
{
    fputs("_llminit_commands() {\n    cat <<'END'\n", out);
    for (int k = 0; cli_commands[k] != NULL; k++)
        fprintf(out, "%s\n", cli_commands[k]->name);
    fputs("END\n}\n", out);
    print_function(out, "_llminit_options", print_options);
    print_function(out, "_llminit_operand", print_operand);
    print_function(out, "_llminit_settings", print_settings);
}
