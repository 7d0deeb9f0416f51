/* The settings of a command, from its tables, and the words that a value may be. */
#include "interface.h"

/* A trained model takes the settings of the machine, and those of what is made of it. */
static bool is_taken(cli_settings settings, const cf_setting *row)
{
    return settings != CLI_SETTINGS_MACHINE || row->machine || row->afterwards;
}

int interface_settings(cli_settings settings, const cf_setting *out[INTERFACE_MAX_SETTINGS])
{
    int n_tables = 0, n = 0;
    const cf_setting *const *tables = cli_tables(settings, &n_tables);

    for (int t = 0; t < n_tables && settings != CLI_NO_SETTINGS; t++)
        for (const cf_setting *row = tables[t]; row->name != NULL; row++) {
            if (!is_taken(settings, row)) continue;
            CF_ASSERT(n < INTERFACE_MAX_SETTINGS);
            out[n++] = row;
        }
    return n;
}

const char *interface_choices(const cf_setting *row)
{
    return row->kind == CF_SETTING_BOOL ? "true|false" : row->choices;
}

void interface_words(const char *choices, FILE *out)
{
    for (; *choices != '\0'; choices++)
        putc(*choices == '|' ? ' ' : *choices, out);
}
