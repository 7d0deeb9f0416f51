/* The closed forms by name, without the linear algebra that they need: they have no steps to
 * simulate. In place of model/ease.c. */
#include "model/closed.h"

static cf_status refuse(const model_ops *ops)
{
    return CF_FAIL(CF_ERR_USAGE, "model: %s has no steps to simulate", ops->name);
}

static cf_status solve(cf_model *model, const cf_dataset *dataset, const cf_config *config,
                       cf_solved *out)
{
    (void)dataset;
    (void)config;
    (void)out;
    return refuse(model->ops);
}

const model_ops model_ease = {.name = "EASE", .solve = solve};
const model_ops model_l3ae = {.name = "L3AE", .solve = solve};

cf_status closed_check_dataset(const model_ops *ops, const cf_config *config,
                               const cf_dataset *dataset)
{
    (void)config;
    (void)dataset;
    return refuse(ops);
}

double closed_memory(const model_ops *ops, const cf_config *config, const cf_model_size *size)
{
    (void)ops;
    (void)config;
    (void)size;
    return 0;
}
