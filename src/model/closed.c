/* Closed forms as models: one table of items x items, solved for at once (ease.c). */
#include "closed.h"

#include <stdio.h>
#include <string.h>

static const model_ops *ops_of(const cf_config *config)
{
    return model_find_ops(cf_config_text(config, "model"));
}

cf_status cf_model_set_defaults(cf_config *config)
{
    const char *defaults = ops_of(config)->defaults;
    char name[64];

    if (defaults == NULL) return CF_OK;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(defaults, "="), defaults);
    return cf_config_given(config, name) ? CF_OK : cf_config_set(config, defaults);
}

bool cf_model_is_closed(const cf_config *config)
{
    return ops_of(config)->solve != NULL;
}

const char *cf_model_uses(const cf_config *config)
{
    return ops_of(config)->uses;
}

int64_t cf_model_dim(const cf_config *config, int64_t n_items)
{
    return cf_model_is_closed(config) ? n_items : cf_config_int(config, "embedding_size");
}

double cf_model_predict_closed_memory(const cf_config *config, const cf_model_size *size)
{
    return closed_memory(ops_of(config), config, size);
}

cf_status cf_model_check_dataset(const cf_config *config, const cf_dataset *dataset)
{
    return closed_check_dataset(ops_of(config), config, dataset);
}

cf_status cf_model_solve(cf_model *model, const cf_dataset *dataset, const cf_config *config,
                         cf_solved *out)
{
    cf_status status;

    CF_TRY(cf_model_check_dataset(config, dataset));
    CF_TRY(model->ops->solve(model, dataset, config, out));
done:
    return status;
}
