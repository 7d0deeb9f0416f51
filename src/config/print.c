/* The table of settings for people: plain text for --help, Markdown for configs/README.md.
 *
 * Both have the same facts from the same rows: name, what it may be, default, meaning, and whether
 * it may differ at resume or for a trained model. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

const char *config_resume_mark(const cf_setting *row)
{
    if (row->machine) return " (machine: may change at resume)";
    if (row->afterwards) return " (also for a trained model)";
    return row->changeable ? " (may change at resume)" : "";
}

/* One row of the table. Defaults are code, but for the word "empty". */
static void print_markdown(const cf_setting *row, FILE *stream)
{
    const bool empty = *row->initial == '\0';
    const char *quote = empty ? "" : "`";
    char values[400];

    fprintf(stream, "| `%s` | %s | %s%s%s | %s%s |\n", row->name, config_describe(row, values),
            quote, empty ? "empty" : row->initial, quote, row->help, config_resume_mark(row));
}

/* Two lines, with the names in a column of `width`: meaning, then values and default. */
static void print_plain(const cf_setting *row, int width, FILE *stream)
{
    char values[400];

    fprintf(stream, "  %-*s  %s%s\n", width, row->name, row->help, config_resume_mark(row));
    fprintf(stream, "  %-*s  %s; default %s\n", width, "", config_describe(row, values),
            *row->initial == '\0' ? "empty" : row->initial);
}

void cf_config_print(const cf_config *config, FILE *stream, bool markdown)
{
    int width = 0;

    for (int k = 0; k < config->count; k++) {
        int length = (int)strlen(config->rows[k]->name);
        if (length > width) width = length;
    }
    if (markdown) fprintf(stream, "| setting | values | default | meaning |\n|---|---|---|---|\n");
    for (int k = 0; k < config->count; k++)
        if (markdown)
            print_markdown(config->rows[k], stream);
        else
            print_plain(config->rows[k], width, stream);
}
