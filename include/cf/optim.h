/**
 * optim: Adam and SGD on the two tables, applied to each row as soon as its gradient is finished.
 */
#pragma once

#include "cf/config.h"
#include "cf/table.h"

/** Settings: learner, learning_rate, weight_decay. */
extern const cf_setting cf_optim_settings[];

typedef enum cf_learner { CF_ADAM, CF_SGD } cf_learner;
/** The settings as values. */
typedef struct cf_optim_options {
    cf_learner learner;
    double learning_rate; /* at least 0 */
    double weight_decay;  /* weight_decay * x is added to the gradient of each number x */
} cf_optim_options;
/** From a config that has cf_optim_settings. Local. */
void cf_optim_read_options(const cf_config *config, cf_optim_options *out);

typedef struct cf_optim cf_optim;

/** An optimizer of `table` (borrowed; both on one grid), its moments zero. Collective. Errors:
 * MEMORY. Free with cf_optim_destroy(). */
cf_status cf_optim_create(const cf_optim_options *options, cf_table *const table[2],
                          cf_optim **out);
void cf_optim_destroy(cf_optim **optim);

/** Start step t = steps done + 1. Every row of both tables must then be updated exactly once.
 * Local. */
void cf_optim_begin(cf_optim *optim);
/** Seconds that cf_optim_update() took in this step, the mean over the threads. Extrapolated from
 * one call in 16, so that measuring costs little. Local. */
double cf_optim_seconds(const cf_optim *optim);
/**
 * Update local rows rows[0..count) of a table by their gradient (count x width). Local; safe from
 * several threads for different rows. `optim` is void so that this is a gradient consumer of
 * the models. Adam as PyTorch's, dense: betas 0.9 0.999, eps 1e-8, m and v corrected by 1 - beta^t;
 * weight_decay adds weight_decay * x to the gradient (Kingma and Ba 2015, alg. 1).
 */
void cf_optim_update(void *optim, cf_side side, const int32_t *rows, int count,
                     const float *gradient);

/** For checkpoints: the steps done, and the moment tables of a side (Adam: 2, SGD: 0), which the
 * optimizer owns. Local. */
int64_t cf_optim_steps(const cf_optim *optim);
void cf_optim_set_steps(cf_optim *optim, int64_t steps);
int cf_optim_n_moments(const cf_optim *optim);
cf_table *cf_optim_moment(const cf_optim *optim, cf_side side, int which);
