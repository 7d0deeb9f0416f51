/* Values on their way into a config.
 *
 * The values of a document are collected beside those of the config and moved into it at the end,
 * so that a document with an error changes nothing. A name may be given once in a document, whether
 * as itself or through one of RecBole's keys (eval_args). YAML's null is "not set": the default,
 * whatever an earlier file said. */
#include "internal.h"

#include <string.h>

cf_status config_update_value(config_update *update, const char *name, const yaml_node_t *node)
{
    int k = config_find(update->config, name);

    CF_ASSERT(k >= 0);
    if (update->line[k] > 0 && update->source.line_numbers)
        return config_fail(&update->source, node, name, "given twice, first on line %d",
                           update->line[k]);
    if (update->line[k] > 0) return config_fail(&update->source, node, name, "given twice");
    update->line[k] = (int)node->start_mark.line + 1;
    if (config_is_null(node) && update->config->initial != NULL)
        return config_copy_value(&update->config->initial[k], &update->values[k]);
    return config_read_value(&update->source, node, update->config->rows[k], &update->values[k]);
}

/* A copy of the node with another text: libyaml frees only its own. */
cf_status config_update_text(config_update *update, const char *name, const yaml_node_t *node,
                             const char *text)
{
    char copy[64];
    yaml_node_t other = *node;

    CF_ASSERT(strlen(text) < sizeof copy);
    strcpy(copy, text);
    other.data.scalar.value = (yaml_char_t *)copy;
    other.data.scalar.length = strlen(copy);
    return config_update_value(update, name, &other);
}

/* The old values move into the update, which frees them. */
void config_update_apply(config_update *update, cf_config *config)
{
    CF_ASSERT(config == update->config);
    for (int k = 0; k < config->count; k++)
        if (update->line[k] > 0) {
            config_value old = config->values[k];

            config->values[k] = update->values[k];
            update->values[k] = old;
        }
    config->llminit = update->llminit;
}

void config_update_clear(config_update *update)
{
    for (int k = 0; k < update->config->count && update->values != NULL; k++)
        config_clear_value(&update->values[k]);
    cf_free(&update->values);
    cf_free(&update->line);
    cf_free(&update->ignored.text);
    cf_free(&update->others.text);
    cf_free(&update->unknown.text);
}
