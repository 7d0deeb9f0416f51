/** Private to closed: a closed form, and what solving one takes. */
#pragma once

#include "cf/closed.h"
#include "cf/linalg.h"

typedef struct closed_solver closed_solver;

/** What the memory of a solution depends on. */
typedef struct closed_size {
    int64_t n, dim; /* items, numbers of a vector */
    cf_type precision;
    int n_ranks;
    const cf_closed_options *options; /* these three borrowed */
    const cf_dataset *dataset;
    const cf_closed_grid *grid;
} closed_size;

/** What a closed form is called, what it needs, and how it is solved. */
typedef struct closed_form {
    const char *name;        /* a choice of the setting `model` */
    const char *reg_default; /* "reg_weight=value" of its own; NULL: does not read reg_weight */
    const char *uses;        /* cf_closed_uses() */
    /** The same with text_weight; NULL: it has no such term. */
    const char *uses_with_text;
    /** Columns of its two tables; NULL: it has an item-item matrix instead. */
    int64_t (*dim)(const cf_closed_options *options);
    /** Columns of the narrowest table that is cut into slices; NULL: those. */
    int64_t (*narrowest)(const cf_closed_options *options);
    bool vectors; /* reads the dataset's vectors */
    /** Coefficients and power of what filters histories; NULL: nothing does. */
    void (*set_filter)(const cf_closed_options *options, cf_filter_options *out);
    /** Bytes that a rank holds beside the tables, at most, while it is solved; the mean over the
     * ranks. NULL: none. Local. */
    double (*predict)(const closed_size *size);
    /** Fill the tables of solver->closed. Collective. */
    cf_status (*solve)(closed_solver *solver);
} closed_form;
extern const closed_form closed_ease, closed_l3ae, closed_itemknn, closed_pop, closed_chebycf,
    closed_gfcf;

struct cf_closed {
    const closed_form *form;
    cf_closed_options options;
    const cf_grid *grid;   /* borrowed */
    const cf_shard *shard; /* borrowed */
    cf_table *table[2];    /* users and items, or NULL and the item-item matrix */
    cf_graph *graph;       /* of a form that filters; else NULL */
    cf_filter *filter;     /* likewise */
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
/** A scratch of one number an item, and a mesh of all ranks, for a solver that has its `closed` and
 * `dataset`. Collective. Errors: MEMORY; the solver is closed in any case. */
cf_status closed_open_solver(closed_solver *s);
void closed_close_solver(closed_solver *s);
/** Zeros over all ranks; of all items (n x n), in the precision of the options. Collective. */
cf_status closed_create_matrix(const closed_solver *s, cf_type type, const int64_t shape[2],
                               cf_cyclic **out);
cf_status closed_create_items(const closed_solver *s, cf_cyclic **out);
/** matrix := (matrix + weight I)^-1. Collective. Errors: NUMERIC, naming the matrix (`what`) and
 * the setting that `weight` is. */
cf_status closed_invert(cf_cyclic *matrix, double weight, const char *what, const char *setting);
/** The sizes of a matrix, and of one of all items, for cf_linalg_predict_matrix() and the like. */
cf_cyclic_size closed_size_of(const closed_size *size, cf_type type, int64_t n_rows,
                              int64_t n_columns);
cf_cyclic_size closed_size_of_items(const closed_size *size);
/** closed_form.predict of a form with one matrix of all items, which closed_keep() moves: without
 * and with an inverse. */
double closed_predict_kept(const closed_size *size);
double closed_predict_inverted(const closed_size *size);
/** P := I - diag(1 / diag P) P: the transpose of I - P diag(1 / diag P), as P is symmetric. */
void closed_constrain(closed_solver *s, cf_cyclic *p);
/** X' D_U^-user_weight X, a new matrix. Collective. */
cf_status closed_count_pairs(closed_solver *s, double user_weight, cf_cyclic **out);
/** P = (G + p / (1 - p) diag G + weight I)^-1, a new matrix, with G and p as the options have
 * user_weight and item_dropout. Collective. */
cf_status closed_invert_pairs(closed_solver *s, double weight, cf_cyclic **out);
/** B' := D_I^-a B' D_I^a, a = item_power. Collective. */
void closed_apply_power(closed_solver *s, cf_cyclic *matrix);
/** Move the solution into the closed form's item-item matrix. Collective. Errors: NUMERIC (not
 * finite).
 */
cf_status closed_keep(closed_solver *s, const cf_cyclic *solution);

/** Bytes of a table of items on a rank, the mean over the ranks. */
double closed_predict_table(const closed_size *size, int64_t dim);

/* ---- Rows ---- */

enum { CLOSED_ROWS_PER_PASS = 64 };
/** Change a whole row (`values`: full_width) in place. Local. */
typedef void closed_change(void *context, int64_t row, float *values);
/** Change all rows of a matrix; those that a rank has are given to it in ascending order, those of
 * a grid row's ranks to each of them, and alike. Collective. Errors: MEMORY. */
cf_status closed_change_rows(cf_table *table, closed_change *change, void *context);
/** The columns of `part` become those of `table` from column `first` on. Both have the same rows.
 * Collective. Errors: MEMORY. */
cf_status closed_put_columns(const cf_table *part, int64_t first, cf_table *table);
/** Which numbers are the k largest of a row, by keys: of equal ones the first in the row. */
typedef struct closed_limit {
    uint64_t least;  /* the smallest key that is kept, at least 1 */
    int64_t n_equal; /* how often it is kept */
} closed_limit;
/** From the `n_keys` keys of a row that are not 0, which it sorts. `scratch`: n_keys. Local. */
closed_limit closed_find_limit(uint64_t *keys, uint64_t *scratch, int64_t n_keys, int64_t k);
/** Asked for each number of the row, in its order. Local. */
static inline bool closed_is_kept(closed_limit *limit, uint64_t key)
{
    return key > limit->least || (key == limit->least && limit->n_equal-- > 0);
}

/* ---- The text of items ---- */

/** What is used of select's settings where text_weight is above 0. */
#define CLOSED_TEXT_USES                                                                           \
    ",emb_selection,embedding_size,popular_ratio,rand_replacement,whiten_power,pca_one_rank,"      \
    "emb_scale,missing_embedding,select_memory"
/** Columns of the text's term; 0: there is none. */
int64_t closed_text_dim(const cf_closed_options *options);
/** Z (n_items x those), a new table, also if this fails. Collective. Errors: those of
 * cf_select_create() and cf_select_fill_items(), NUMERIC (all rows are zero). */
cf_status closed_make_text(closed_solver *s, cf_table **out);
/** Bytes that a rank holds meanwhile, about. */
double closed_predict_text(const closed_size *size);

/* ---- L3AE ---- */

/** F (items x D), a new matrix. Collective. */
cf_status l3ae_read_vectors(closed_solver *s, cf_type type, cf_cyclic **out);
/** What is added to the diagonal of X'X: reg_weight + distill_weight. Local. */
double l3ae_weight(const closed_solver *s);
/** B', a new matrix, also if this fails, by an inverse of the vectors' Gram matrix of items, or of
 * dimensions, FF' or F'F: the same but for rounding. Collective. Errors: NUMERIC, naming the
 * setting that helps. */
cf_status l3ae_solve_by_items(closed_solver *s, cf_cyclic **out);
cf_status l3ae_solve_by_dims(closed_solver *s, cf_cyclic **out);
/** Bytes on a rank meanwhile. */
double l3ae_predict_by_dims(const closed_size *size);
