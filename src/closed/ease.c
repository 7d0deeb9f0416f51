/* EASE (Steck 2019, "Embarrassingly shallow autoencoders for sparse data"): the item-item matrix
 * without a diagonal that best reconstructs the interactions from themselves,
 *
 *     B = I - P diag(1 / diag P),    P = (X'X + reg_weight I)^-1                      (eq. 8)
 *
 * G = X'X and B change with item_dropout, user_weight and item_power (solver.c). The tests invert
 * by Gauss-Jordan and multiply as the equations stand. */
#include "internal.h"

static cf_status ease_solve(closed_solver *s)
{
    cf_cyclic *p = NULL;
    cf_status status;

    CF_TRY(closed_invert_pairs(s, s->closed->options.reg_weight, &p));
    closed_constrain(s, p);
    closed_apply_power(s, p);
    CF_TRY(closed_keep(s, p));
done:
    cf_linalg_destroy_cyclic(&p);
    return status;
}

const closed_form closed_ease = {
    .name = "EASE",
    .reg_default = "reg_weight=250",
    .uses = "reg_weight,item_dropout,user_weight,item_power,solve_precision",
    .predict = closed_predict_inverted,
    .solve = ease_solve};
