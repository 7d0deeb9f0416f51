/**
 * optim: Adam and SGD on the two tables, applied to each row as soon as its gradient is finished.
 */
#pragma once

#include "cf/config.h"
#include "cf/table.h"

/** Settings: learner, learning_rate, weight_decay, start_decay, freeze_items. */
extern const cf_setting cf_optim_settings[];

typedef enum cf_learner { CF_ADAM, CF_SGD } cf_learner;
/** The settings as values. */
typedef struct cf_optim_options {
    cf_learner learner;
    double learning_rate; /* at least 0 */
    double weight_decay;  /* weight_decay * x is added to the gradient of each number x */
    double start_decay;   /* so is start_decay * (x - x at the start) */
    bool freeze_items;    /* the item table is not updated */
} cf_optim_options;
/** From a config that has cf_optim_settings. Local. */
void cf_optim_read_options(const cf_config *config, cf_optim_options *out);

/** The tables that an optimizer keeps of a side, as large as the trained one. */
typedef enum cf_kept {
    CF_KEPT_MOMENT1, /* of Adam */
    CF_KEPT_MOMENT2,
    CF_KEPT_START, /* with start_decay: what the table was before the first step */
    CF_N_KEPT
} cf_kept;
/** Is it kept? Of frozen items none is. Local. */
bool cf_optim_keeps(const cf_optim_options *options, cf_side side, cf_kept which);

typedef struct cf_optim cf_optim;

/** An optimizer of `table` (borrowed; both on one grid); what it keeps is zero. Collective. Errors:
 * MEMORY. Free with cf_optim_destroy(). */
cf_status cf_optim_create(const cf_optim_options *options, cf_table *const table[2],
                          cf_optim **out);
void cf_optim_destroy(cf_optim **optim);
/** The tables as they are now are the start that start_decay pulls back to. Called once, before the
 * first step; without start_decay it does nothing. Local. */
void cf_optim_keep_start(cf_optim *optim);

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
 * weight_decay adds weight_decay * x to the gradient (Kingma and Ba 2015, alg. 1), start_decay adds
 * start_decay * (x - x at the start). Rows of frozen items stay as they are.
 */
void cf_optim_update(void *optim, cf_side side, const int32_t *rows, int count,
                     const float *gradient);

/** For checkpoints: the steps done, and the tables that are kept of a side, which the optimizer
 * owns; NULL: not kept. Local. */
int64_t cf_optim_steps(const cf_optim *optim);
void cf_optim_set_steps(cf_optim *optim, int64_t steps);
cf_table *cf_optim_table(const cf_optim *optim, cf_side side, cf_kept which);
