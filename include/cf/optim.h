/**
 * optim: Adam and SGD on the two tables, applied to rows as their gradients are made.
 */
#pragma once

#include "cf/config.h"
#include "cf/table.h"

/** Settings: learner, learning_rate, weight_decay. */
extern const cf_setting cf_optim_settings[];

typedef struct cf_optim cf_optim;

/** An optimizer of `table` (borrowed; both on one grid). Collective. Errors: MEMORY. Free with
 * cf_optim_destroy(). */
cf_status cf_optim_create(const cf_config *config, cf_table *const table[2], cf_optim **out);
void cf_optim_destroy(cf_optim **optim);

/** Start step t = steps done + 1. Every row of both tables must then be updated exactly once.
 * Local. */
void cf_optim_begin(cf_optim *optim);
/** Seconds of the step that the calls of cf_optim_update() took, as a mean over the threads; known
 * from one call in 16, so that measuring costs nothing. Local. */
double cf_optim_seconds(const cf_optim *optim);
/**
 * Update local rows rows[0..count) of a table by their gradient (count x width). Local; safe from
 * several threads for different rows. `optim` is void so that this is a gradient sink of the
 * models. Adam as PyTorch's, dense: betas 0.9 0.999, eps 1e-8, m and v corrected by 1 - beta^t;
 * weight_decay adds weight_decay * x to the gradient (Kingma and Ba 2015, alg. 1).
 */
void cf_optim_update(void *optim, cf_side side, const int32_t *rows, int count,
                     const float *gradient);

/** For checkpoints: steps done, and the moment tables of a side (Adam: 2, SGD: 0). The tables are
 * owned by the optimizer. */
int64_t cf_optim_steps(const cf_optim *optim);
void cf_optim_set_steps(cf_optim *optim, int64_t steps);
int cf_optim_n_moments(const cf_optim *optim);
cf_table *cf_optim_moment(const cf_optim *optim, cf_side side, int which);
