#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- YAML ----------------------------------------------------------------------------------- */

/* The shortest of the decimal numbers that are read back as `value`. */
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

static cf_status append_list(cf_config_buffer *out, const cf_setting *row,
                             const cf_config_value *value)
{
    cf_status status = CF_OK;
    char number[40];

    CF_TRY(cf_config_append(out, "["));
    for (int k = 0; k < value->count; k++)
        if (row->kind == CF_SETTING_INT_LIST)
            CF_TRY(cf_config_append(out, "%s%lld", k ? ", " : "", (long long)value->ints[k]));
        else
            CF_TRY(
                cf_config_append(out, "%s%s", k ? ", " : "", write_real(value->reals[k], number)));
    CF_TRY(cf_config_append(out, "]"));
done:
    return status;
}

static cf_status append_map(cf_config_buffer *out, const cf_config_value *value)
{
    cf_status status = CF_OK;

    CF_TRY(cf_config_append(out, "{"));
    for (int k = 0; k < value->count; k++) {
        if (k > 0) CF_TRY(cf_config_append(out, ", "));
        CF_TRY(cf_config_append_quoted(out, value->texts[2 * k]));
        CF_TRY(cf_config_append(out, ": "));
        CF_TRY(cf_config_append_quoted(out, value->texts[2 * k + 1]));
    }
    CF_TRY(cf_config_append(out, "}"));
done:
    return status;
}

static cf_status append_value(cf_config_buffer *out, const cf_setting *row,
                              const cf_config_value *value)
{
    char number[40];

    switch (row->kind) {
    case CF_SETTING_INT:
        return cf_config_append(out, "%lld", (long long)value->ints[0]);
    case CF_SETTING_REAL:
        return cf_config_append(out, "%s", write_real(value->reals[0], number));
    case CF_SETTING_BOOL:
        return cf_config_append(out, "%s", value->ints[0] ? "true" : "false");
    case CF_SETTING_CHOICE:
        return cf_config_append(out, "%s", value->texts[0]);
    case CF_SETTING_TEXT:
        return cf_config_append_quoted(out, value->texts[0]);
    case CF_SETTING_INT_LIST:
    case CF_SETTING_REAL_LIST:
        return append_list(out, row, value);
    case CF_SETTING_MAP:
        return append_map(out, value);
    }
    return CF_OK;
}

cf_status cf_config_to_yaml(const cf_config *config, char **out)
{
    cf_config_buffer text = {0};
    cf_status status = CF_OK;

    CF_TRY(cf_config_append(&text, "%s", "")); /* a text, even of no settings */
    for (int k = 0; k < config->count; k++) {
        CF_TRY(cf_config_append(&text, "%s: ", config->rows[k]->name));
        CF_TRY(append_value(&text, config->rows[k], &config->values[k]));
        CF_TRY(cf_config_append(&text, "\n"));
    }
    *out = text.text;
    text.text = NULL;
done:
    cf_free(&text.text);
    return status;
}

/* ---- Comparison ----------------------------------------------------------------------------- */

/* True if `name` stands in the comma-separated `list`. */
static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);

    while (list && *list) {
        size_t skip = strspn(list, ", ");
        size_t word = strcspn(list + skip, ", ");

        if (word == length && strncmp(list + skip, name, length) == 0) return true;
        list += skip + word;
    }
    return false;
}

static bool has_flag(const cf_setting *row, int flags)
{
    return ((flags & CF_SETTING_MACHINE) && row->machine) ||
           ((flags & CF_SETTING_CHANGEABLE) && row->changeable);
}

const char *cf_config_differs(const cf_config *config, const char *yaml)
{
    const char *name = NULL;
    cf_config *other = NULL;

    if (cf_config_create_like(config, &other) != CF_OK ||
        cf_config_load_text(other, yaml, "settings of the other run") != CF_OK)
        name = "settings this program cannot read";
    for (int k = 0; !name && k < config->count; k++) {
        const cf_setting *row = config->rows[k];

        if (!has_flag(row, CF_SETTING_MACHINE | CF_SETTING_CHANGEABLE) &&
            !cf_config_equal_values(row, &config->values[k], &other->values[k]))
            name = row->name;
    }
    cf_config_destroy(&other);
    return name;
}

cf_status cf_config_changed(const cf_config *config, const char *except, char **out)
{
    cf_config_buffer text = {0};
    cf_config *initial = NULL;
    cf_status status;

    CF_TRY(cf_config_create_like(config, &initial));
    CF_TRY(cf_config_append(&text, "%s", "")); /* a text, even of no names */
    for (int k = 0; k < config->count; k++) {
        const cf_setting *row = config->rows[k];

        if (!row->machine && !is_listed(except, row->name) &&
            !cf_config_equal_values(row, &config->values[k], &initial->values[k]))
            CF_TRY(cf_config_append(&text, "%s%s", text.length ? ", " : "", row->name));
    }
    *out = text.text;
    text.text = NULL;
done:
    cf_config_destroy(&initial);
    cf_free(&text.text);
    return status;
}

cf_status cf_config_list(const cf_config *config, int flags, char **out)
{
    cf_config_buffer text = {0};
    cf_status status;

    CF_TRY(cf_config_append(&text, "%s", "")); /* a text, even of no names */
    for (int k = 0; k < config->count; k++)
        if (has_flag(config->rows[k], flags))
            CF_TRY(cf_config_append(&text, "%s%s", text.length > 0 ? ", " : "",
                                    config->rows[k]->name));
    *out = text.text;
    text.text = NULL;
done:
    cf_free(&text.text);
    return status;
}

bool cf_config_sets(const cf_config *config, const char *assignment, int flags)
{
    char name[80];
    int row = cf_config_assigned(config, assignment, name);

    return row >= 0 && has_flag(config->rows[row], flags);
}

/* ---- The table for people ------------------------------------------------------------------- */

/* What is said of a setting that may differ when a run is resumed. */
static const char *resume_mark(const cf_setting *row)
{
    if (row->machine) return " (machine: may change at resume)";
    return row->changeable ? " (may change at resume)" : "";
}

static void print_markdown(const cf_setting *row, FILE *stream)
{
    char want[400];
    const char *initial = *row->initial ? row->initial : "empty";

    fprintf(stream, "| `%s` | %s | %s%s%s | %s%s |\n", row->name, cf_config_describe(row, want),
            *row->initial ? "`" : "", initial, *row->initial ? "`" : "", row->help,
            resume_mark(row));
}

static void print_plain(const cf_setting *row, int width, FILE *stream)
{
    char want[400];

    fprintf(stream, "  %-*s  %s%s\n", width, row->name, row->help, resume_mark(row));
    fprintf(stream, "  %-*s  %s; default %s\n", width, "", cf_config_describe(row, want),
            *row->initial ? row->initial : "empty");
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
