/* Values on their way into a config.
 *
 * The values of a document are collected beside those of the config and moved into it at the end,
 * so that a document with an error changes nothing. A name may be given once in a document, whether
 * as itself or through one of RecBole's keys (eval_args). */
#include "internal.h"

cf_status config_update_value(config_update *update, const char *name, const yaml_node_t *node)
{
    int k = config_find(update->config, name);

    CF_ASSERT(k >= 0);
    if (update->line[k] > 0 && update->source.line_numbers)
        return config_fail(&update->source, node, name, "given twice, first on line %d",
                           update->line[k]);
    if (update->line[k] > 0) return config_fail(&update->source, node, name, "given twice");
    update->line[k] = (int)node->start_mark.line + 1;
    return config_read_value(&update->source, node, update->config->rows[k], &update->values[k]);
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
}

void config_update_clear(config_update *update)
{
    for (int k = 0; k < update->config->count && update->values != NULL; k++)
        config_clear_value(&update->values[k]);
    cf_free(&update->values);
    cf_free(&update->line);
    cf_free(&update->ignored.text);
}
