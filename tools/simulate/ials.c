/* iALS for the loop, which refuses it: it has no steps to simulate, and its linear algebra is that
 * of ScaLAPACK, which the loop is without. */
#include "model/internal.h"

static cf_status sweep(cf_model *model, cf_loss *loss)
{
    (void)model;
    (void)loss;
    return CF_FAIL(CF_ERR_BUG, "iALS is not simulated");
}

const model_ops model_ials = {.name = "iALS", .sweep = sweep};
