/* Two configs compared, and what may change at resume.
 *
 * The flags of the tables are the only list of settings that may differ from those of the run that
 * is resumed; messages and help ask for it here. Configs of the same rows are compared by value, so
 * that spelling, order and comments of their texts do not matter, and a setting that a text lacks
 * has its default. */
#include "internal.h"

#include <string.h>

/* True if `name` is in the comma-separated `list`, as a whole word: "embedding" is not in
 * "embedding_size". */
static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);

    while (list != NULL && *list != '\0') {
        size_t skip = strspn(list, ", ");
        size_t word = strcspn(list + skip, ", ");

        if (word == length && strncmp(list + skip, name, length) == 0) return true;
        list += skip + word;
    }
    return false;
}

/* `flags`: bits of CF_SETTING_MACHINE, CF_SETTING_CHANGEABLE and CF_SETTING_AFTERWARDS. */
static bool has_flag(const cf_setting *row, int flags)
{
    return ((flags & CF_SETTING_MACHINE) != 0 && row->machine) ||
           ((flags & CF_SETTING_CHANGEABLE) != 0 && row->changeable) ||
           ((flags & CF_SETTING_AFTERWARDS) != 0 && row->afterwards);
}

const char *cf_config_differs(const cf_config *config, const cf_config *other)
{
    CF_ASSERT(config->count == other->count);
    for (int k = 0; k < config->count; k++) {
        const cf_setting *row = config->rows[k];

        if (!has_flag(row, CF_SETTING_MACHINE | CF_SETTING_CHANGEABLE) &&
            !config_equal_values(row, &config->values[k], &other->values[k]))
            return row->name;
    }
    return NULL;
}

/* Machine settings do not count: they change no result, so nobody needs to hear that they were
 * ignored; nor does what is made of any model afterwards. */
cf_status cf_config_changed(const cf_config *config, const char *except, char **out)
{
    config_buffer text = {0};
    cf_status status;

    CF_TRY(config_append(&text, "%s", "")); /* a text, even of no names */
    for (int k = 0; k < config->count; k++) {
        const cf_setting *row = config->rows[k];

        if (!has_flag(row, CF_SETTING_MACHINE | CF_SETTING_AFTERWARDS) &&
            !is_listed(except, row->name) &&
            !config_equal_values(row, &config->values[k], &config->initial[k]))
            CF_TRY(config_append_name(&text, row->name));
    }
    *out = text.text;
    text.text = NULL;
done:
    cf_free(&text.text);
    return status;
}

cf_status cf_config_list(const cf_config *config, int flags, char **out)
{
    config_buffer text = {0};
    cf_status status;

    CF_TRY(config_append(&text, "%s", "")); /* a text, even of no names */
    for (int k = 0; k < config->count; k++)
        if (has_flag(config->rows[k], flags))
            CF_TRY(config_append_name(&text, config->rows[k]->name));
    *out = text.text;
    text.text = NULL;
done:
    cf_free(&text.text);
    return status;
}

bool cf_config_sets(const cf_config *config, const char *assignment, int flags)
{
    char name[80];
    int row = config_parse_name(config, assignment, name);

    return row >= 0 && has_flag(config->rows[row], flags);
}
