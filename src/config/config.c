#include "internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

int cf_config_find(const cf_config *config, const char *name)
{
    for (int k = 0; k < config->count; k++)
        if (strcmp(config->rows[k]->name, name) == 0) return k;
    return -1;
}

/* Set every value to its default, read as the value of a YAML file. */
static cf_status set_defaults(cf_config *config)
{
    cf_config_buffer text = {0};
    cf_status status = CF_OK;

    for (int k = 0; k < config->count; k++) {
        const cf_setting *row = config->rows[k];

        CF_TRY(cf_config_append(&text, "%s: %s\n", row->name, row->initial));
    }
    status = cf_config_load_text(config, text.text ? text.text : "", "defaults");
    if (status == CF_ERR_USAGE) cf_warn("%s", cf_error_message()); /* says which */
    CF_ASSERT(status == CF_OK || status == CF_ERR_MEMORY);
    if (status != CF_OK) goto done;
    for (int k = 0; k < config->count; k++)
        config->values[k].given = false;
done:
    cf_free(&text.text);
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

cf_status cf_config_create(const cf_setting *const *tables, int n_tables, cf_config **out)
{
    cf_config *config = NULL;
    cf_status status = CF_OK;
    int count = 0;

    for (int t = 0; t < n_tables; t++)
        for (const cf_setting *row = tables[t]; row->name; row++)
            count++;
    CF_TRY(create_empty(count, &config));
    for (int t = 0; t < n_tables; t++)
        for (const cf_setting *row = tables[t]; row->name; row++) {
            CF_ASSERT(cf_config_find(config, row->name) < 0); /* one name, one setting */
            config->rows[config->count++] = row;
        }
    CF_TRY(set_defaults(config));
    *out = config;
    config = NULL;
done:
    cf_config_destroy(&config);
    return status;
}

cf_status cf_config_create_like(const cf_config *config, cf_config **out)
{
    cf_config *like = NULL;
    cf_status status = CF_OK;

    CF_TRY(create_empty(config->count, &like));
    for (int k = 0; k < config->count; k++)
        like->rows[like->count++] = config->rows[k];
    CF_TRY(set_defaults(like));
    *out = like;
    like = NULL;
done:
    cf_config_destroy(&like);
    return status;
}

void cf_config_destroy(cf_config **config)
{
    cf_config *c = *config;

    if (!c) return;
    for (int k = 0; k < c->count; k++)
        cf_config_clear_value(&c->values[k]);
    cf_free(&c->values);
    cf_free(&c->rows);
    cf_free(config);
}

void cf_config_pass_over(cf_config *config, const cf_setting *table)
{
    CF_ASSERT(config->n_passed < CF_CONFIG_MAX_PASSED);
    config->passed[config->n_passed++] = table;
}

/* ---- Values --------------------------------------------------------------------------------- */

/* The value of `name`, which must be of kind `kind` (or `or_kind`). */
static const cf_config_value *value_of(const cf_config *config, const char *name,
                                       cf_setting_kind kind, cf_setting_kind or_kind)
{
    int k = cf_config_find(config, name);

    CF_ASSERT(k >= 0);
    CF_ASSERT(config->rows[k]->kind == kind || config->rows[k]->kind == or_kind);
    return &config->values[k];
}

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

bool cf_config_is(const cf_config *config, const char *name, const char *choice)
{
    const char *value = value_of(config, name, CF_SETTING_CHOICE, CF_SETTING_CHOICE)->texts[0];
    const cf_setting *row = config->rows[cf_config_find(config, name)];
    char spelling[64];
    int k = 0;

    while (cf_config_choice(row, k, spelling) && strcmp(spelling, choice) != 0)
        k++;
    CF_ASSERT(cf_config_choice(row, k, spelling)); /* a misspelt choice would never match */
    return strcmp(value, choice) == 0;
}

const int64_t *cf_config_ints(const cf_config *config, const char *name, int *count)
{
    const cf_config_value *value = value_of(config, name, CF_SETTING_INT_LIST, CF_SETTING_INT_LIST);

    *count = value->count;
    return value->ints;
}

const double *cf_config_reals(const cf_config *config, const char *name, int *count)
{
    const cf_config_value *value =
        value_of(config, name, CF_SETTING_REAL_LIST, CF_SETTING_REAL_LIST);

    *count = value->count;
    return value->reals;
}

bool cf_config_entry(const cf_config *config, const char *name, int index, const char **key,
                     const char **value)
{
    const cf_config_value *map = value_of(config, name, CF_SETTING_MAP, CF_SETTING_MAP);

    if (index < 0 || index >= map->count) return false;
    *key = map->texts[2 * index];
    *value = map->texts[2 * index + 1];
    return true;
}

bool cf_config_given(const cf_config *config, const char *name)
{
    int k = cf_config_find(config, name);

    CF_ASSERT(k >= 0);
    return config->values[k].given;
}

/* ---- Nearest name --------------------------------------------------------------------------- */

enum { NAME_MAX_LENGTH = 63 };

/* Levenshtein's distance with one row of the table kept, case ignored. */
static int distance(const char *a, const char *b)
{
    int row[NAME_MAX_LENGTH + 1];
    int n = (int)strlen(b);

    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 0; a[i]; i++) {
        int diagonal = row[0];

        row[0] = i + 1;
        for (int j = 0; j < n; j++) {
            int same = tolower((unsigned char)a[i]) == tolower((unsigned char)b[j]);
            int best = diagonal + !same;

            diagonal = row[j + 1];
            if (diagonal + 1 < best) best = diagonal + 1;
            if (row[j] + 1 < best) best = row[j] + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

int cf_config_nearest(const char *name, const char *const *names, int n)
{
    size_t length = strlen(name);
    int nearest = -1;
    int least = length < 3 ? 1 : length < 9 ? 2 : 3; /* a longer name has room for more slips */

    if (length == 0 || length > NAME_MAX_LENGTH) return -1;
    for (int k = 0; k < n; k++) {
        int d = strlen(names[k]) > NAME_MAX_LENGTH ? NAME_MAX_LENGTH : distance(name, names[k]);

        if (d >= (int)strlen(names[k])) continue; /* nothing of it would be left */
        if (d < least || (d == least && nearest < 0)) {
            least = d;
            nearest = k;
        }
    }
    return nearest;
}

const char *cf_config_hint(const char *name, const char *const *names, int n, char *out)
{
    int k = cf_config_nearest(name, names, n);

    out[0] = '\0';
    if (k >= 0) snprintf(out, 120, " (did you mean \"%s\"?)", names[k]);
    return out;
}
