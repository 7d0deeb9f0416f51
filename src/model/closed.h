/** Private to model: what a closed form needs beside its ops. */
#pragma once

#include "internal.h"

/** cf_model_predict_closed_memory(), cf_model_check_dataset() of one closed form. */
double closed_memory(const model_ops *ops, const cf_config *config, const cf_model_size *size);
cf_status closed_check_dataset(const model_ops *ops, const cf_config *config,
                               const cf_dataset *dataset);
