/* The closed forms by name, without the linear algebra that they need: they have no steps to
 * simulate. In place of model/ease.c. */
#include "model/internal.h"

static cf_status refuse(const model_kind *kind)
{
    return CF_FAIL(CF_ERR_USAGE, "model: %s has no steps to simulate", kind->name);
}

static cf_status solve(cf_model *model, const cf_dataset *dataset, const cf_config *config,
                       cf_solved *out)
{
    (void)dataset;
    (void)config;
    (void)out;
    return refuse(model->kind);
}

const model_kind model_ease = {.name = "EASE", .solve = solve};
const model_kind model_l3ae = {.name = "L3AE", .solve = solve};

cf_status closed_check_dataset(const model_kind *kind, const cf_config *config,
                               const cf_dataset *dataset)
{
    (void)config;
    (void)dataset;
    return refuse(kind);
}

double closed_memory(const model_kind *kind, const cf_config *config, const cf_model_size *size)
{
    (void)kind;
    (void)config;
    (void)size;
    return 0;
}
