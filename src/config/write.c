/* A config as YAML text, one setting a line, which cf_config_load() reads back with the same
 * values.
 *
 * This text is settings.yaml of a run and part of its checkpoints, and a resumed run compares its
 * settings with it, so not a bit may be lost: numbers have as many digits as they need, texts are
 * quoted. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest decimal number that is read back as `value`: 17 digits always suffice, most values
 * need fewer. */
static const char *write_real(double value, char out[40])
{
    if (value > 1.7976931348623157e308 || value < -1.7976931348623157e308)
        return value > 0 ? ".inf" : "-.inf";
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 40, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
    return out;
}

/* [1, 2, 3]: flow style, on the line of the name. */
static cf_status append_list(config_buffer *out, const cf_setting *row, const config_value *value)
{
    cf_status status = CF_OK;
    char number[40];

    CF_TRY(config_append(out, "["));
    for (int k = 0; k < value->count; k++) {
        if (k > 0) CF_TRY(config_append(out, ", "));
        if (row->kind == CF_SETTING_INT_LIST)
            CF_TRY(config_append(out, "%lld", (long long)value->ints[k]));
        else if (row->kind == CF_SETTING_REAL_LIST)
            CF_TRY(config_append(out, "%s", write_real(value->reals[k], number)));
        else
            CF_TRY(config_append_quoted(out, value->texts[k]));
    }
    CF_TRY(config_append(out, "]"));
done:
    return status;
}

/* {"name": "text", ...}, both quoted. */
static cf_status append_map(config_buffer *out, const config_value *value)
{
    cf_status status = CF_OK;

    CF_TRY(config_append(out, "{"));
    for (int k = 0; k < value->count; k++) {
        if (k > 0) CF_TRY(config_append(out, ", "));
        CF_TRY(config_append_quoted(out, value->texts[2 * k]));
        CF_TRY(config_append(out, ": "));
        CF_TRY(config_append_quoted(out, value->texts[2 * k + 1]));
    }
    CF_TRY(config_append(out, "}"));
done:
    return status;
}

/* A choice is a word of the table and needs no quotes. */
static cf_status append_value(config_buffer *out, const cf_setting *row, const config_value *value)
{
    char number[40];

    switch (row->kind) {
    case CF_SETTING_INT:
        return config_append(out, "%lld", (long long)value->ints[0]);
    case CF_SETTING_REAL:
        return config_append(out, "%s", write_real(value->reals[0], number));
    case CF_SETTING_BOOL:
        return config_append(out, "%s", value->ints[0] ? "true" : "false");
    case CF_SETTING_CHOICE:
        return config_append(out, "%s", value->texts[0]);
    case CF_SETTING_TEXT:
        return config_append_quoted(out, value->texts[0]);
    case CF_SETTING_INT_LIST:
    case CF_SETTING_REAL_LIST:
    case CF_SETTING_TEXT_LIST:
        return append_list(out, row, value);
    case CF_SETTING_MAP:
        return append_map(out, value);
    }
    return CF_OK;
}

/* All settings, defaults too: a later version may have others. */
cf_status cf_config_to_yaml(const cf_config *config, char **out)
{
    config_buffer text = {0};
    cf_status status = CF_OK;

    CF_TRY(config_append(&text, "%s", "")); /* a text, even of no settings */
    for (int k = 0; k < config->count; k++) {
        CF_TRY(config_append(&text, "%s: ", config->rows[k]->name));
        CF_TRY(append_value(&text, config->rows[k], &config->values[k]));
        CF_TRY(config_append(&text, "\n"));
    }
    *out = text.text;
    text.text = NULL;
done:
    cf_free(&text.text);
    return status;
}
