/* Rows and values by name, for the modules that read their settings.
 *
 * A config has about 50 rows, and values are read once at the start of a run, so a linear search
 * will do. A name that is not there, or has another kind, is a bug of the caller: an assertion. */
#include "internal.h"

#include <string.h>

int config_find(const cf_config *config, const char *name)
{
    for (int k = 0; k < config->count; k++)
        if (strcmp(config->rows[k]->name, name) == 0) return k;
    return -1;
}

/* The name ends at the first '='; the value may hold any character. Characters that have a meaning
 * in YAML are refused, so that the name cannot become more than one when it is parsed as a
 * document. */
int config_parse_name(const cf_config *config, const char *assignment, char name[80])
{
    const size_t length = strcspn(assignment, "=");
    const char *dot;

    name[0] = '\0';
    if (assignment[length] == '\0' || length == 0 || length >= 80 ||
        strcspn(assignment, " \t\r\n:\"'#[]{},&*!|>%@`") < length)
        return -1;
    memcpy(name, assignment, length);
    name[length] = '\0';
    dot = strrchr(name, '.'); /* of "model.name" the module is dropped */
    if (dot != NULL && config_find(config, name) < 0) memmove(name, dot + 1, strlen(dot));
    return config_find(config, name);
}

/* The value of `name`, which must be of kind `kind` (or `or_kind`). */
static const config_value *value_of(const cf_config *config, const char *name, cf_setting_kind kind,
                                    cf_setting_kind or_kind)
{
    int k = config_find(config, name);

    CF_ASSERT(k >= 0);
    CF_ASSERT(config->rows[k]->kind == kind || config->rows[k]->kind == or_kind);
    return &config->values[k];
}

/* The kind is part of the caller's contract: a change of a row's kind that a reader did not follow
 * ends in the assertion of value_of(), not in a zero. */
int64_t cf_config_int(const cf_config *config, const char *name)
{
    return value_of(config, name, CF_SETTING_INT, CF_SETTING_INT)->ints[0];
}

double cf_config_real(const cf_config *config, const char *name)
{
    return value_of(config, name, CF_SETTING_REAL, CF_SETTING_REAL)->reals[0];
}

bool cf_config_bool(const cf_config *config, const char *name)
{
    return value_of(config, name, CF_SETTING_BOOL, CF_SETTING_BOOL)->ints[0] != 0;
}

const char *cf_config_text(const cf_config *config, const char *name)
{
    return value_of(config, name, CF_SETTING_TEXT, CF_SETTING_CHOICE)->texts[0];
}

/* The comparison is exact, because reading keeps the spelling of the table. */
bool cf_config_is(const cf_config *config, const char *name, const char *choice)
{
    const char *value = value_of(config, name, CF_SETTING_CHOICE, CF_SETTING_CHOICE)->texts[0];
    const cf_setting *row = config->rows[config_find(config, name)];
    char spelling[64];
    int k = 0;

    while (config_choice(row, k, spelling) != NULL && strcmp(spelling, choice) != 0)
        k++;
    CF_ASSERT(config_choice(row, k, spelling)); /* a misspelt choice would never match */
    return strcmp(value, choice) == 0;
}

const int64_t *cf_config_ints(const cf_config *config, const char *name, int *count)
{
    const config_value *value = value_of(config, name, CF_SETTING_INT_LIST, CF_SETTING_INT_LIST);

    *count = value->count;
    return value->ints;
}

const double *cf_config_reals(const cf_config *config, const char *name, int *count)
{
    const config_value *value = value_of(config, name, CF_SETTING_REAL_LIST, CF_SETTING_REAL_LIST);

    *count = value->count;
    return value->reals;
}

const char *const *cf_config_texts(const cf_config *config, const char *name, int *count)
{
    const config_value *value = value_of(config, name, CF_SETTING_TEXT_LIST, CF_SETTING_TEXT_LIST);

    *count = value->count;
    return (const char *const *)value->texts;
}

/* Entries are in the order of the file. */
bool cf_config_entry(const cf_config *config, const char *name, int index, const char **key,
                     const char **value)
{
    const config_value *map = value_of(config, name, CF_SETTING_MAP, CF_SETTING_MAP);

    if (index < 0 || index >= map->count) return false;
    *key = map->texts[2 * index];
    *value = map->texts[2 * index + 1];
    return true;
}

bool cf_config_given(const cf_config *config, const char *name)
{
    int k = config_find(config, name);

    CF_ASSERT(k >= 0);
    return config->values[k].given;
}
