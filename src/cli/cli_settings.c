/* settings: all settings of the program, as text, as Markdown for configs/README.md, or as JSON for
 * tools; with --yaml the settings that a run would have, as its settings.yaml.
 *
 * JSON: {"prepare": [...], "synthesize": [...], "train": [...]}, by the command that takes them
 * (select and spectrum take train's). Each entry has name, module, kind, default (a JSON value),
 * min and max (null: no limit), choices (null unless kind is "choice"), help, machine, changeable,
 * afterwards.
 */
#include "cli.h"

#include "cf/cold.h"
#include "cf/ingest.h"
#include "cf/synth.h"

#include <string.h>

/* The groups, in the order in which they are printed: one for each set of tables. */
static const struct {
    cli_settings settings;
    const char *title, *key; /* of text and Markdown; of JSON */
} groups[] = {{CLI_SETTINGS_PREPARE, "prepare", "prepare"},
              {CLI_SETTINGS_SYNTHESIZE, "synthesize", "synthesize"},
              {CLI_SETTINGS_TRAIN, "select and train", "train"}};

enum { N_GROUPS = sizeof groups / sizeof groups[0] };

/* ---- Text and Markdown ---------------------------------------------------------------------- */

/* A heading for each command, then its table. Local. */
static cf_status print_groups(bool markdown)
{
    cf_status status = CF_OK;

    for (int g = 0; g < N_GROUPS; g++) {
        printf("%s%s%s\n\n", g > 0 ? "\n" : "", markdown ? "### " : "", groups[g].title);
        CF_TRY(cli_print_tables(groups[g].settings, stdout, markdown));
    }
done:
    return status;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static const char *const kind_names[] = {
    [CF_SETTING_INT] = "int",
    [CF_SETTING_REAL] = "real",
    [CF_SETTING_BOOL] = "bool",
    [CF_SETTING_CHOICE] = "choice",
    [CF_SETTING_TEXT] = "text",
    [CF_SETTING_INT_LIST] = "int_list",
    [CF_SETTING_REAL_LIST] = "real_list",
    [CF_SETTING_TEXT_LIST] = "text_list",
    [CF_SETTING_MAP] = "map",
};

/* The module that owns a table, by the address of the table. */
static const char *module_of(const cf_setting *table)
{
    static const struct {
        const cf_setting *table;
        const char *module;
    } modules[] = {{cf_ingest_settings, "ingest"}, {cf_synth_settings, "synth"},
                   {cf_model_settings, "model"},   {cf_closed_settings, "closed"},
                   {cf_select_settings, "select"}, {cf_train_settings, "train"},
                   {cf_optim_settings, "optim"},   {cf_eval_settings, "eval"},
                   {cf_cold_settings, "cold"},     {cf_config_settings, "config"}};

    for (size_t k = 0; k < sizeof modules / sizeof modules[0]; k++)
        if (modules[k].table == table) return modules[k].module;
    CF_ASSERT(!"a table of settings without a module");
    return NULL;
}

/* Limits and lists of these are integers in JSON. */
static bool is_whole(const cf_setting *row)
{
    return row->kind == CF_SETTING_INT || row->kind == CF_SETTING_INT_LIST;
}

static bool is_numeric(const cf_setting *row)
{
    return is_whole(row) || row->kind == CF_SETTING_REAL || row->kind == CF_SETTING_REAL_LIST;
}

/* JSON has no infinity, and an end beyond what a double counts exactly is no limit. */
static json_t *limit_json(const cf_setting *row, double limit)
{
    if (!is_numeric(row) || limit < -9e15 || limit > 9e15) return json_null();
    return is_whole(row) ? json_integer((json_int_t)limit) : json_real(limit);
}

/* The words between the bars of `choices`; null for another kind. */
static json_t *choices_json(const cf_setting *row)
{
    const char *choice = row->choices;
    json_t *array;

    if (row->kind != CF_SETTING_CHOICE) return json_null();
    array = json_array();
    while (choice) {
        size_t length = strcspn(choice, "|");

        cf_train_json_append(&array, json_stringn(choice, length));
        choice = choice[length] == '|' ? choice + length + 1 : NULL;
    }
    return array;
}

/* The elements of a list, of any kind. */
static json_t *list_json(const cf_config *config, const cf_setting *row)
{
    json_t *array = json_array();
    int count = 0;

    if (row->kind == CF_SETTING_INT_LIST) {
        const int64_t *values = cf_config_ints(config, row->name, &count);

        for (int k = 0; k < count; k++)
            cf_train_json_append(&array, json_integer((json_int_t)values[k]));
    } else if (row->kind == CF_SETTING_REAL_LIST) {
        const double *values = cf_config_reals(config, row->name, &count);

        for (int k = 0; k < count; k++)
            cf_train_json_append(&array, json_real(values[k]));
    } else {
        const char *const *values = cf_config_texts(config, row->name, &count);

        for (int k = 0; k < count; k++)
            cf_train_json_append(&array, cf_train_json_text(values[k]));
    }
    return array;
}

/* Names and texts of a map. */
static json_t *pairs_json(const cf_config *config, const char *name)
{
    const char *key = NULL, *value = NULL;
    json_t *object = json_object();

    for (int k = 0; cf_config_entry(config, name, k, &key, &value); k++)
        cf_train_json_set(&object, key, cf_train_json_text(value));
    return object;
}

/* The value that the setting has in `config`. */
static json_t *value_json(const cf_config *config, const cf_setting *row)
{
    switch (row->kind) {
    case CF_SETTING_INT:
        return json_integer((json_int_t)cf_config_int(config, row->name));
    case CF_SETTING_REAL:
        return json_real(cf_config_real(config, row->name));
    case CF_SETTING_BOOL:
        return json_boolean(cf_config_bool(config, row->name));
    case CF_SETTING_CHOICE:
    case CF_SETTING_TEXT:
        return cf_train_json_text(cf_config_text(config, row->name));
    case CF_SETTING_INT_LIST:
    case CF_SETTING_REAL_LIST:
    case CF_SETTING_TEXT_LIST:
        return list_json(config, row);
    case CF_SETTING_MAP:
        return pairs_json(config, row->name);
    }
    return NULL;
}

/* One entry, of `row`, whose default is its value in `config`. */
static json_t *setting_json(const cf_config *config, const cf_setting *row, const char *module)
{
    json_t *object = json_object();

    cf_train_json_set(&object, "name", json_string(row->name));
    cf_train_json_set(&object, "module", json_string(module));
    cf_train_json_set(&object, "kind", json_string(kind_names[row->kind]));
    cf_train_json_set(&object, "default", value_json(config, row));
    cf_train_json_set(&object, "min", limit_json(row, row->min));
    cf_train_json_set(&object, "max", limit_json(row, row->max));
    cf_train_json_set(&object, "choices", choices_json(row));
    cf_train_json_set(&object, "help", json_string(row->help));
    cf_train_json_set(&object, "machine", json_boolean(row->machine));
    cf_train_json_set(&object, "afterwards", json_boolean(row->afterwards));
    cf_train_json_set(&object, "changeable", json_boolean(row->changeable));
    return object;
}

/* All settings of a group, in the order of their tables. */
static cf_status group_json(cli_settings settings, json_t **out)
{
    int n = 0;
    const cf_setting *const *tables = cli_tables(settings, &n);
    cf_config *config = NULL;
    json_t *array;
    cf_status status;

    CF_TRY(cf_config_create(tables, n, &config));
    array = json_array();
    for (int t = 0; t < n; t++)
        for (const cf_setting *row = tables[t]; row->name != NULL; row++)
            cf_train_json_append(&array, setting_json(config, row, module_of(tables[t])));
    *out = array;
done:
    cf_config_destroy(&config);
    return status;
}

/* Collective. */
static cf_status print_json(const cf_par *world)
{
    json_t *object = world->rank == 0 ? json_object() : NULL;
    cf_status status = CF_OK;

    for (int g = 0; g < N_GROUPS && world->rank == 0 && status == CF_OK; g++) {
        json_t *array = NULL;

        status = group_json(groups[g].settings, &array);
        cf_train_json_set(&object, groups[g].key, array);
    }
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cli_print_json(world, json_incref(object)));
done:
    json_decref(object);
    return status;
}

/* ---- The command ---------------------------------------------------------------------------- */

/* What train would write as settings.yaml. Collective. */
static cf_status print_yaml(const cf_par *world, const cli_arguments *arguments)
{
    cf_config *config = NULL;
    char *text = NULL;
    cf_status status;

    CF_TRY(cli_create_config(world, arguments, &config));
    CF_TRY(cf_par_agree(world, cf_config_to_yaml(config, &text)));
    if (world->rank == 0) fputs(text, stdout);
done:
    cf_free(&text);
    cf_config_destroy(&config);
    return status;
}

/* Without --yaml the tables are printed as they are, so a file or --set would have no effect: an
 * error. */
static cf_status run_settings(const cf_par *world, const cli_arguments *arguments)
{
    const bool markdown = cli_value(arguments, "markdown") != NULL;
    const bool yaml = cli_value(arguments, "yaml") != NULL;

    if (markdown + yaml + arguments->json > 1)
        return CF_FAIL(CF_ERR_USAGE, "settings: --markdown, --yaml and --json exclude each other");
    if (yaml) return print_yaml(world, arguments);
    if (arguments->n_files > 0 || arguments->n_sets > 0)
        return CF_FAIL(CF_ERR_USAGE, "settings: a file and --set go with --yaml");
    if (arguments->json) return print_json(world);
    return cf_par_agree(world, world->rank == 0 ? print_groups(markdown) : CF_OK);
}

static const cli_option settings_options[] = {
    {"markdown", NULL, "print Markdown tables, as in configs/README.md", false, CLI_FLAG},
    {"yaml", NULL, "print the settings that train would use with this file and --set", false,
     CLI_FLAG},
    {0}};

const cli_command cli_print_settings = {
    .name = "settings",
    .summary = "list all settings with their ranges and defaults",
    .operand = "[SETTINGS.yaml]...",
    .operand_kind = CLI_SETTINGS_FILE,
    .settings = CLI_SETTINGS_TRAIN,
    .has_json = true,
    .options = settings_options,
    .run = run_settings,
};
