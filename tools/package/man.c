/* Man pages, in the macros of man(7): what --help prints, with a heading for each part of it. */
#include "interface.h"

#include "config/internal.h"

#include <string.h>

/* ---- Text ----------------------------------------------------------------------------------- */

/* Text of n bytes as it is: what troff would take for a command, an escape or typography is
 * escaped. */
static void print_text(FILE *out, const char *text, size_t n)
{
    bool begins = true; /* a line */

    for (const char *c = text; c < text + n; begins = *c == '\n', c++) {
        if (begins && (*c == '.' || *c == '\'')) fputs("\\&", out);
        if (*c == '\\')
            fputs("\\e", out);
        else if (*c == '-')
            fputs("\\-", out);
        else if (*c == '^')
            fputs("\\(ha", out);
        else if (*c == '~')
            fputs("\\(ti", out);
        else if (*c == '\'')
            fputs("\\(aq", out);
        else
            putc(*c, out);
    }
}

static void print_words(FILE *out, const char *text)
{
    print_text(out, text, strlen(text));
}

/* In bold (B) or italics (I). */
static void print_font(FILE *out, char font, const char *text)
{
    fprintf(out, "\\f%c", font);
    print_words(out, text);
    fputs("\\fR", out);
}

/* The remarks of a command: paragraphs, with empty lines between them. One with two blanks side by
 * side is a table, and stays as it is written. */
static void print_remarks(FILE *out, const char *text)
{
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        const size_t n = end != NULL ? (size_t)(end - text) : strlen(text);
        const char *blanks = strstr(text, "  ");
        const bool is_table = blanks != NULL && blanks < text + n;

        if (is_table) fputs(".nf\n", out);
        print_text(out, text, n);
        fputs(is_table ? "\n.fi\n" : "\n", out);
        if (end != NULL) fputs(".PP\n", out);
        text += n + (end != NULL ? 2 : 0);
    }
}

/* A page's first lines; `what` is the line by which apropos finds it. */
static void print_title(FILE *out, const char *name, const char *what)
{
    char title[64];
    size_t n = 0;

    for (; name[n] != '\0' && n + 1 < sizeof title; n++)
        title[n] = (char)(name[n] >= 'a' && name[n] <= 'z' ? name[n] - 'a' + 'A' : name[n]);
    title[n] = '\0';
    fprintf(out, ".TH %s 1 \"\" \"llminit %s\" \"User Commands\"\n.SH NAME\n", title, CF_VERSION);
    print_words(out, name);
    fputs(" \\- ", out);
    print_words(out, what);
    fputs("\n", out);
}

static void print_exits(FILE *out)
{
    fputs(".SH EXIT STATUS\n", out);
    for (const cli_exit *exit = cli_exits; exit->meaning != NULL; exit++) {
        fprintf(out, ".TP\n.B %d\n", exit->status);
        print_words(out, exit->meaning);
        fputs("\n", out);
    }
}

/* ---- A command ------------------------------------------------------------------------------ */

/* The command, its operand and what it requires. */
static void print_synopsis(FILE *out, const cli_command *command)
{
    fputs(".SH SYNOPSIS\n", out);
    for (int k = 0; k < 2; k++) {
        fputs(k == 0 ? "" : ".br\n\\fBmpirun \\-n\\fR \\fIRANKS\\fR ", out);
        fputs("\\fBllminit ", out);
        print_words(out, command->name);
        fputs("\\fR", out);
        if (command->operand != NULL) {
            fputs(" ", out);
            print_font(out, 'I', command->operand);
        }
        for (const cli_option *option = command->options; option->name != NULL; option++) {
            if (!option->required) continue;
            fputs(" \\fB\\-\\-", out);
            print_words(out, option->name);
            fputs("\\fR ", out);
            print_font(out, 'I', option->argument);
        }
        fputs(" [\\fIOPTION\\fR]...\n", out);
    }
}

static void print_options(FILE *out, const cli_command *command)
{
    const cli_option *options[CLI_MAX_LISTED];
    const int n = cli_list_options(command, options);

    fputs(".SH OPTIONS\n", out);
    for (int k = 0; k < n; k++) {
        fputs(".TP\n\\fB\\-\\-", out);
        print_words(out, options[k]->name);
        fputs("\\fR", out);
        if (options[k]->argument != NULL) {
            fputs(" ", out);
            print_font(out, 'I', options[k]->argument);
        }
        fputs("\n", out);
        print_words(out, options[k]->help);
        fputs(options[k]->required ? " (required)\n" : "\n", out);
    }
}

static void print_settings(FILE *out, const cli_command *command)
{
    const cf_setting *rows[INTERFACE_MAX_SETTINGS];
    const int n = interface_settings(command->settings, rows);
    char values[400];

    if (n == 0) return;
    fputs(".SH SETTINGS\n", out);
    if (command->settings == CLI_SETTINGS_MACHINE)
        fputs(
            "Those of the machine, and those of the map of cold items, which is then made anew.\n",
            out);
    for (int k = 0; k < n; k++) {
        fputs(".TP\n", out);
        print_font(out, 'B', rows[k]->name);
        fputs("\n", out);
        print_words(out, rows[k]->help);
        print_words(out, config_resume_mark(rows[k]));
        fputs(".\n.br\n", out);
        print_words(out, config_describe(rows[k], values));
        fputs("; default ", out);
        print_words(out, *rows[k]->initial == '\0' ? "empty" : rows[k]->initial);
        fputs("\n", out);
    }
}

void interface_man_command(const cli_command *command, FILE *out)
{
    char name[64];

    snprintf(name, sizeof name, "llminit-%s", command->name);
    print_title(out, name, command->summary);
    print_synopsis(out, command);
    if (command->remarks != NULL) {
        fputs(".SH DESCRIPTION\n", out);
        print_remarks(out, command->remarks);
    }
    print_options(out, command);
    print_settings(out, command);
    print_exits(out);
    fputs(".SH SEE ALSO\n.BR llminit (1)\n", out);
}

/* ---- The program ---------------------------------------------------------------------------- */

static const char synopsis[] = ".SH SYNOPSIS\n"
                               ".B llminit\n.I COMMAND\n\\&...\n"
                               ".br\n.B mpirun \\-n\n.I RANKS\n.B llminit\n.I COMMAND\n\\&...\n"
                               ".br\n.B llminit \\-\\-help\n|\n.B \\-\\-version\n";
static const char examples[] =
    ".SH EXAMPLES\n"
    ".nf\n"
    "llminit prepare \\-\\-inter shop.inter \\-\\-item shop.item \\-\\-embedding shop.npy "
    "\\-\\-out shop.h5\n"
    "mpirun \\-n 4 llminit train \\-\\-data shop.h5 \\-\\-out run/shop \\-\\-set model=LightGCN\n"
    "mpirun \\-n 4 llminit recommend run/shop/best.h5 \\-\\-data shop.h5 \\-\\-out recs.tsv\n"
    ".fi\n";

void interface_man(FILE *out)
{
    print_title(out, "llminit", cli_summary);
    fputs(synopsis, out);
    fputs(".SH COMMANDS\n", out);
    for (int k = 0; cli_commands[k] != NULL; k++) {
        fputs(".TP\n.BR llminit\\-", out);
        print_words(out, cli_commands[k]->name);
        fputs(" (1)\n", out);
        print_words(out, cli_commands[k]->summary);
        fputs("\n", out);
    }
    print_exits(out);
    fputs(examples, out);
    fputs(".SH SEE ALSO\n.BR mpirun (1)\n", out);
}
