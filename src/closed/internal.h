/** Private to closed: a closed form, and what solving one takes. */
#pragma once

#include "cf/closed.h"
#include "cf/linalg.h"

typedef struct closed_solver closed_solver;

/** What a closed form is called, what it needs, and how it is solved. */
typedef struct closed_form {
    const char *name;        /* a choice of the setting `model` */
    const char *reg_default; /* "reg_weight=value" of its own; NULL: does not read reg_weight */
    const char *uses;        /* cf_closed_uses() */
    int64_t dim;             /* columns of its two tables; 0: it has an item-item matrix instead */
    int n_matrices;          /* items x items, held at once while it is solved */
    bool vectors;            /* reads the dataset's vectors */
    /** Fill the tables of solver->closed. Collective. */
    cf_status (*solve)(closed_solver *solver);
} closed_form;
extern const closed_form closed_ease, closed_l3ae, closed_itemknn, closed_pop;

struct cf_closed {
    const closed_form *form;
    cf_closed_options options;
    const cf_grid *grid;   /* borrowed */
    const cf_shard *shard; /* borrowed */
    cf_table *table[2];    /* users and items, or NULL and the item-item matrix */
};

/** What one solution is made with. */
struct closed_solver {
    const cf_closed *closed;
    const cf_dataset *dataset; /* has the vectors */
    int64_t n;                 /* items */
    cf_mesh *mesh;
    double *diagonal, *factors; /* n: scratch */
    cf_closed_seconds seconds;
    double clock; /* of the last closed_lap() */
};

/** Add the time since the last call to a part, and log it. */
void closed_lap(closed_solver *s, double *part, const char *what);
/** Zeros, n x n_columns, of the precision of the options, over all ranks. Collective. */
cf_status closed_create_matrix(const closed_solver *s, int64_t n_columns, cf_cyclic **out);
/** matrix := (matrix + weight I)^-1. Collective. Errors: NUMERIC, naming the matrix (`what`) and
 * the setting that `weight` is. */
cf_status closed_invert(cf_cyclic *matrix, double weight, const char *what, const char *setting);
/** P := I - diag(1 / diag P) P: the transpose of I - P diag(1 / diag P), as P is symmetric. */
void closed_constrain(closed_solver *s, cf_cyclic *p);
/** X'X, a new matrix. Collective. */
cf_status closed_count_pairs(closed_solver *s, cf_cyclic **out);
/** P = (X'X + weight I)^-1, a new matrix. Collective. */
cf_status closed_invert_pairs(closed_solver *s, double weight, cf_cyclic **out);
/** Move the solution into the closed form's item-item matrix. Collective. Errors: NUMERIC (not
 * finite).
 */
cf_status closed_keep(closed_solver *s, const cf_cyclic *solution);
