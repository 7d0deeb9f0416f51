/* Names that no setting has, nor RecBole, nor LLMInit.
 *
 * All of a document are collected, so that one line tells them, with the nearest names, to whoever
 * brings the file of another program. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

enum { MAX_TOLD = 20 };

bool config_is_ignored(const cf_config *config, const char *name)
{
    for (int t = 0; t < config->n_ignored; t++)
        for (const cf_setting *row = config->ignored[t]; row->name != NULL; row++)
            if (strcmp(row->name, name) == 0) return true;
    return false;
}

/* The nearest of all names, those of another command's settings too: both may be in one file. */
static cf_status find_nearest(const cf_config *config, const char *name, const char **nearest)
{
    const char **names = NULL;
    int64_t capacity = 0;
    int count = 0, found;
    cf_status status = CF_OK;

    CF_TRY(CF_GROW(names, capacity, config->count + 1));
    for (int k = 0; k < config->count; k++)
        names[count++] = config->rows[k]->name;
    for (int t = 0; t < config->n_ignored; t++)
        for (const cf_setting *row = config->ignored[t]; row->name != NULL; row++) {
            CF_TRY(CF_GROW(names, capacity, count + 1));
            names[count++] = row->name;
        }
    found = cf_config_nearest(name, names, count);
    *nearest = found < 0 ? NULL : names[found];
done:
    cf_free(&names);
    return status;
}

cf_status config_note_unknown(config_update *update, const yaml_node_t *key)
{
    const char *name = config_scalar(key), *nearest = NULL;
    char excerpt[80];
    cf_status status = CF_OK;

    if (update->n_unknown++ == 0) update->first_unknown = key;
    if (update->n_unknown > MAX_TOLD) return CF_OK;
    CF_TRY(find_nearest(update->config, name, &nearest));
    CF_TRY(config_append_name(&update->unknown, config_excerpt(name, excerpt)));
    CF_TRY(config_append(&update->unknown, " (line %zu", key->start_mark.line + 1));
    if (nearest != NULL) CF_TRY(config_append(&update->unknown, ", did you mean \"%s\"?", nearest));
    CF_TRY(config_append(&update->unknown, ")"));
done:
    return status;
}

/* A single one is told as every other error of a line is. */
static cf_status fail_one(const config_update *update)
{
    const char *name = config_scalar(update->first_unknown), *nearest = NULL;
    char excerpt[80], hint[120] = "";
    cf_status status;

    CF_TRY(find_nearest(update->config, name, &nearest));
    if (nearest != NULL) snprintf(hint, sizeof hint, " (did you mean \"%s\"?)", nearest);
    status = config_fail(&update->source, update->first_unknown, config_excerpt(name, excerpt),
                         "unknown setting%s", hint);
done:
    return status;
}

cf_status config_check_unknown(const config_update *update)
{
    const int more = update->n_unknown - MAX_TOLD;
    char rest[40] = "";

    if (update->n_unknown == 0) return CF_OK;
    if (update->n_unknown == 1) return fail_one(update);
    if (more > 0) snprintf(rest, sizeof rest, ", and %d more", more);
    return CF_FAIL(CF_ERR_USAGE, "%s: unknown settings: %s%s", update->source.origin,
                   update->unknown.text, rest);
}
