/* The union of tables of settings, at their defaults.
 *
 * Rows are those of the tables, in order; values[k] belongs to rows[k]. A default is the text that
 * would stand in a file, and is read as such: one document of all defaults goes the way of a
 * settings file. So each kind has one reader, and a default that its own row refuses is found at
 * the first start. */
#include "internal.h"

const cf_setting cf_config_settings[] = {
    {.name = "hang_timeout",
     .kind = CF_SETTING_INT,
     .initial = "600",
     .min = 0,
     .max = 1e9,
     .help =
         "end a job that makes no progress for this many seconds and 20 times the longest step; "
         "outside of steps for ten times as many (0: never)",
     .machine = true},
    {0},
};

/* Read the defaults. A USAGE error here is a bug in a table; the warning says which row before the
 * assertion ends the program. */
static cf_status read_defaults(cf_config *config)
{
    config_buffer text = {0};
    cf_status status = CF_OK;

    CF_TRY(config_append(&text, "%s", "")); /* a text, even of no settings */
    for (int k = 0; k < config->count; k++) {
        const cf_setting *row = config->rows[k];

        CF_TRY(config_append(&text, "%s: %s\n", row->name, row->initial));
    }
    status = cf_config_load_text(config, text.text, "defaults");
    if (status == CF_ERR_USAGE) cf_warn("%s", cf_error_message()); /* names the wrong default */
    CF_ASSERT(status == CF_OK || status == CF_ERR_MEMORY);
done:
    cf_free(&text.text);
    return status;
}

/* The values that were read become the defaults, and the values are copies of them. */
static cf_status set_defaults(cf_config *config)
{
    config_value *values = NULL;
    cf_status status;

    CF_TRY(read_defaults(config));
    CF_TRY(CF_ALLOC(values, config->count));
    config->initial = config->values;
    config->values = values;
    for (int k = 0; k < config->count; k++) {
        config->initial[k].given = false;
        CF_TRY(config_copy_value(&config->initial[k], &config->values[k]));
    }
done:
    return status;
}

/* A config without settings, with room for `count`. */
static cf_status create_empty(int count, cf_config **out)
{
    cf_config *config = NULL;
    cf_status status = CF_OK;

    CF_TRY(CF_ALLOC(config, 1));
    CF_TRY(CF_ALLOC(config->rows, count));
    CF_TRY(CF_ALLOC(config->values, count));
    *out = config;
    config = NULL;
done:
    cf_config_destroy(&config);
    return status;
}

/* Two passes: one counts the rows, one collects them. A name in two tables would make --set
 * ambiguous. */
cf_status cf_config_create(const cf_setting *const *tables, int n_tables, cf_config **out)
{
    cf_config *config = NULL;
    cf_status status = CF_OK;
    int count = 0;

    for (int t = 0; t < n_tables; t++)
        for (const cf_setting *row = tables[t]; row->name != NULL; row++)
            count++;
    CF_TRY(create_empty(count, &config));
    for (int t = 0; t < n_tables; t++)
        for (const cf_setting *row = tables[t]; row->name != NULL; row++) {
            CF_ASSERT(config_find(config, row->name) < 0); /* one name, one setting */
            config->rows[config->count++] = row;
        }
    CF_TRY(set_defaults(config));
    *out = config;
    config = NULL;
done:
    cf_config_destroy(&config);
    return status;
}

static void destroy_values(config_value **values, int count)
{
    for (int k = 0; k < count && *values != NULL; k++)
        config_clear_value(&(*values)[k]);
    cf_free(values);
}

void cf_config_destroy(cf_config **config)
{
    cf_config *c = *config;

    if (c == NULL) return;
    destroy_values(&c->values, c->count);
    destroy_values(&c->initial, c->count);
    cf_free(&c->rows);
    cf_free(config);
}

void cf_config_ignore(cf_config *config, const cf_setting *table)
{
    CF_ASSERT(config->n_ignored < CONFIG_MAX_IGNORED);
    config->ignored[config->n_ignored++] = table;
}
