#include "internal.h"

/* LightGCN: final tables are the mean of all powers of the normalised graph on the raw ones (He et
 * al. 2020). */
const model_kind model_lightgcn = {.name = "LightGCN",
                                   .propagates = true,
                                   .regularizes = true,
                                   .negatives = true,
                                   .step = pairwise_step};
