/* The data of zsh completion: functions that set arrays. llminit.zsh says how. */
#include "interface.h"

#include <string.h>

/* How _arguments completes a value of each kind; %s is the command. */
static const char *const actions[] = {
    [CLI_INPUT] = "_files",
    [CLI_SETTING] = " _llminit_setting %s", /* blank: without options of compadd */
    [CLI_SETTINGS_FILE] = "_files -g \"*.(yaml|yml)\"",
    [CLI_OUTPUT] = "_files",
    [CLI_FOLDER] = "_files -/",
};

/* Text within single quotes, where a colon or bracket does not end a part of it. */
static void print_part(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else if (strchr(":[]\\", *text) != NULL)
            fprintf(out, "\\%c", *text);
        else
            putc(*text, out);
    }
}

/* 'NAME:help' */
static void print_described(FILE *out, const char *name, const char *help)
{
    fprintf(out, "        '%s:", name);
    print_part(out, help);
    fputs("'\n", out);
}

/* MESSAGE:ACTION of an option's value or an operand. */
static void print_value(FILE *out, const char *argument, cli_kind kind, const char *command)
{
    print_part(out, argument);
    putc(':', out);
    if (actions[kind] != NULL) {
        fprintf(out, actions[kind], command);
    } else if (strchr(argument, '|') != NULL) {
        putc('(', out);
        interface_words(argument, out);
        putc(')', out);
    } else {
        putc(' ', out); /* only the message */
    }
}

/* '[*]--NAME[=][help][:MESSAGE:ACTION]' */
static void print_option(FILE *out, const cli_option *option, const char *command)
{
    const bool repeats = option->kind == CLI_WORDS || option->kind == CLI_SETTING ||
                         option->kind == CLI_SETTINGS_FILE;

    fprintf(out, "            '%s--%s%s[", repeats ? "*" : "", option->name,
            option->argument != NULL ? "=" : "");
    print_part(out, option->help);
    putc(']', out);
    if (option->argument != NULL) {
        putc(':', out);
        print_value(out, option->argument, option->kind, command);
    }
    fputs("'\n", out);
}

static void print_options(FILE *out, const cli_command *command)
{
    const cli_option *options[CLI_MAX_LISTED];
    const int n = cli_list_options(command, options);

    fputs("        options=(\n", out);
    for (int k = 0; k < n; k++)
        print_option(out, options[k], command->name);
    if (command->operand != NULL) {
        fputs(command->operand_kind == CLI_SETTINGS_FILE ? "            '*:" : "            '1:",
              out);
        print_value(out, command->operand, command->operand_kind, command->name);
        fputs("'\n", out);
    }
    fputs("        )\n", out);
}

static void print_settings(FILE *out, const cli_command *command)
{
    const cf_setting *rows[INTERFACE_MAX_SETTINGS];
    const int n = interface_settings(command->settings, rows);

    fputs("        settings=(\n", out);
    for (int k = 0; k < n; k++)
        print_described(out, rows[k]->name, rows[k]->help);
    fputs("        )\n", out);
}

/* A case for each setting that has words. */
static void print_values(FILE *out, const cli_command *command)
{
    const cf_setting *rows[INTERFACE_MAX_SETTINGS];
    const int n = interface_settings(command->settings, rows);

    fputs("        case $2 in\n", out);
    for (int k = 0; k < n; k++) {
        if (interface_choices(rows[k]) == NULL) continue;
        fprintf(out, "        %s) choices=(", rows[k]->name);
        interface_words(interface_choices(rows[k]), out);
        fputs(") ;;\n", out);
    }
    fputs("        esac\n", out);
}

/* A function with a case for each command. */
static void print_function(FILE *out, const char *name,
                           void (*print)(FILE *out, const cli_command *command))
{
    fprintf(out, "%s() {\n    case $1 in\n", name);
    for (int k = 0; cli_commands[k] != NULL; k++) {
        fprintf(out, "    %s)\n", cli_commands[k]->name);
        print(out, cli_commands[k]);
        fputs("        ;;\n", out);
    }
    fputs("    esac\n}\n", out);
}

void interface_zsh(FILE *out)
{
    fputs("_llminit_list_commands() {\n    commands=(\n", out);
    for (int k = 0; cli_commands[k] != NULL; k++)
        print_described(out, cli_commands[k]->name, cli_commands[k]->summary);
    fputs("    )\n}\n", out);
    print_function(out, "_llminit_list_options", print_options);
    print_function(out, "_llminit_list_settings", print_settings);
    print_function(out, "_llminit_list_values", print_values);
    fputs("_llminit \"$@\"\n", out);
}
