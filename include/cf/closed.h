/**
 * closed: models without training steps. EASE, L3AE and ItemKNN are an item-item matrix; a user's
 * score of item j is the sum over the user's train items i of matrix[j][i]. Pop has, as models that
 * are trained, a table of users and one of items, whose products are the scores. ChebyCF and GF-CF
 * have such tables too, and a filter that adds to the scores.
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"
#include "cf/filter.h"
#include "cf/select.h"
#include "cf/table.h"

/* ---- Options ---- */

/** Settings: text_reg_weight, distill_weight, item_dropout, user_weight, item_power,
 * solve_precision, k, shrink, filter_order, filter_flatness, ideal_dim, ideal_weight, degree_power,
 * text_weight. Closed forms also read `model`, `reg_weight`, `missing_embedding` and `cold_map`,
 * and with text_weight the other settings of select and `seed`, which other modules have in their
 * tables. */
extern const cf_setting cf_closed_settings[];

/** Is the setting `model` of this configuration a closed form? Local. */
bool cf_closed_is(const cf_config *config);
/** Give `reg_weight` the default of the closed form (EASE: 250, L3AE: 10) unless it was given. Does
 * nothing to other models. Local. Errors: MEMORY. */
cf_status cf_closed_set_defaults(cf_config *config);
/** Settings of model, closed and select that the closed form uses, separated by commas: the other
 * settings of these modules have no effect on it. NULL if the model is trained. Local. */
const char *cf_closed_uses(const cf_config *config);

/** missing_embedding, as far as closed forms tell its choices apart: an item without a vector has a
 * row of zeros, which is also the mean, as rows are centred. */
typedef enum cf_closed_missing {
    CF_CLOSED_MISSING_REFUSED, /* error */
    CF_CLOSED_MISSING_ZERO,    /* zero, mean */
    CF_CLOSED_MISSING_RANDOM   /* random, which is refused */
} cf_closed_missing;

/** What the settings say about a closed form. */
typedef struct cf_closed_options {
    const char *name;          /* `model`: a string that lives as long as the program */
    double reg_weight;         /* lambda: added to the diagonal of G; >= 0, or of L3AE
                                  > -distill_weight */
    double text_reg_weight;    /* L3AE, >= 0: added to the diagonal of FF' */
    double distill_weight;     /* L3AE, >= 0: weight of the vectors' item-item matrix */
    double item_dropout;       /* EASE, L3AE: p in [0, 1) */
    double user_weight;        /* EASE, L3AE: power of a user's degree, >= 0, counted negative */
    double item_power;         /* EASE, L3AE: power of the items' degrees */
    cf_type precision;         /* solve_precision: CF_F32 or CF_F64 */
    int64_t n_neighbours;      /* ItemKNN, `k` >= 1: items that add to the score of an item */
    double shrink;             /* ItemKNN, >= 0: added to the denominator of a similarity */
    int64_t filter_order;      /* ChebyCF: degree of the polynomial, K */
    double filter_flatness;    /* ChebyCF: of its plateau, phi */
    int64_t ideal_dim;         /* ChebyCF, GF-CF: singular vectors of the ideal filter, eta */
    double ideal_weight;       /* ChebyCF, GF-CF: of that filter, alpha >= 0; 0: there is none */
    double degree_power;       /* ChebyCF: beta, 0 to 1 */
    double text_weight;        /* ChebyCF, GF-CF: of the text's filter, >= 0; 0: there is none */
    cf_select_options select;  /* what makes rows of the vectors for it */
    cf_closed_missing missing; /* L3AE: items without a vector */
    bool text_of_cold;         /* L3AE, cold_map: none: cold items keep their rows in F, as there is
                                  no map to give them rows of B; else these are zero */
} cf_closed_options;

/** Read the options of a closed form; cf_closed_is(config) holds. Local. */
void cf_closed_read_options(const cf_config *config, cf_closed_options *out);

/** Columns of the tables: of an item-item matrix n_items, else those of users and items. Local. */
int64_t cf_closed_dim(const cf_closed_options *options, int64_t n_items);

/** The most slices that a closed form's tables can be cut into: segments of the narrowest. Local.
 */
int64_t cf_closed_segments(const cf_closed_options *options, int64_t n_items);

/** A grid of ranks, and how many of them are on a node. */
typedef struct cf_closed_grid {
    int n_rows, n_columns, node_ranks;
} cf_closed_grid;
/**
 * Bytes that a closed form holds on a rank, at most, while it is solved: its tables, the matrices
 * of the linear algebra and what work on them takes meanwhile, a graph and fields; the mean over
 * the ranks. Of the dataset only counts are read. Local.
 */
double cf_closed_predict_memory(const cf_closed_options *options, const cf_dataset *dataset,
                                const cf_closed_grid *grid);

/** Can the closed form be solved on this dataset? Collective. Errors: USAGE (reg_weight below its
 * range; no vectors; missing_embedding: random; float32 with too many users; text_weight with
 * emb_selection: False, or what cf_select_check() refuses), FORMAT (items without a vector). */
cf_status cf_closed_check_dataset(const cf_closed_options *options, const cf_dataset *dataset);

/* ---- The solution ---- */

typedef struct cf_closed cf_closed;

/** A closed form whose tables are zero. Collective over the grid. `grid` and `shard` are borrowed.
 * Errors: MEMORY. Free with cf_closed_destroy(). */
cf_status cf_closed_create(const cf_closed_options *options, const cf_grid *grid,
                           const cf_shard *shard, cf_closed **out);
void cf_closed_destroy(cf_closed **closed);

/** The table of a side, to be filled by cf_closed_solve() or from a checkpoint; owned by the closed
 * form. Of an item-item matrix that of items, items x items of the base: row j has what each train
 * item of a user adds to the score of item j; its table of users is NULL. */
cf_table *cf_closed_table(const cf_closed *closed, cf_side side);
/** What adds scores of users' histories to the products of the tables, as the options and the train
 * interactions have it: of ChebyCF and GF-CF, else NULL. Owned by the closed form. Local. */
cf_filter *cf_closed_filter(const cf_closed *closed);
/** Of a closed form with a filter that is solved: the rows of users by their train and added items,
 * into a table of the users of `shard`, which has the blocks of items of the closed form's shard.
 * Collective over the grid. Errors: MEMORY. */
cf_status cf_closed_fold_in(const cf_closed *closed, const cf_shard *shard, cf_table *users);

/** Rows and columns of a block of the matrices that are solved with; last bits depend on it. 128 is
 * a tenth slower in tools/bench/ease, as it passes over the matrix twice as often. */
enum { CF_CLOSED_BLOCK = 256 };

/** Seconds that the parts of a solution took on this rank. */
typedef struct cf_closed_seconds {
    double gram;     /* counting pairs of items, and products of vectors */
    double invert;   /* inverses */
    double product;  /* of two matrices of all items */
    double singular; /* singular vectors */
    double rest;     /* reading vectors, choosing neighbours, filling the tables */
} cf_closed_seconds;

/**
 * Fill the tables. Collective over the grid. `dataset` has the vectors that L3AE reads. The
 * same bits on any number of ranks. Errors: those of cf_closed_check_dataset(), USAGE (more numbers
 * on a rank than ScaLAPACK can count), NUMERIC (not positive definite: reg_weight is too small),
 * MEMORY, those of reading.
 *
 * EASE: B = I - P diag(1 / diag P), P = (G + reg_weight I)^-1, G = X'X (Steck 2019, Embarrassingly
 *   shallow autoencoders for sparse data, eq. 3-8).
 * L3AE: the same of the vectors, S = I - P_F diag(1 / diag P_F), P_F = (FF' + text_reg_weight
 *   I)^-1, F their rows minus the mean of warm items, of length 1; then B = P (G + distill_weight
 *   S) - P diag(mu), P = (G + (reg_weight + distill_weight) I)^-1, mu such that B's diagonal is
 * zero (arXiv 2508.13500). Both with item_dropout p: P has G + p / (1 - p) diag G in place of G
 * (Steck 2020, Autoencoders that don't overfit towards the identity); user_weight b and item_power
 * a: G = X' D_U^-b X, and in the end D_I^a B D_I^-a, D: diagonal matrices of degrees, of items
 * without a train user 1 (Park et al. 2025, Why is normalization necessary for linear
 * recommenders?, with their alpha = 1 - a).
 *
 * ItemKNN: B(i, j) = G(i, j) / (sqrt(G(i, i)) sqrt(G(j, j)) + shrink + 1e-6) for the k items i
 * other than j at which this is largest, ties to the lower item, else 0 (RecBole's cosine
 * similarity; Aiolli 2013, Efficient top-N recommendation for very large scale binary rated
 * datasets). Pop: users x 1 of ones, items x 1 of the items' train interactions, exact up to 2^24.
 * ChebyCF, GF-CF: users and items x columns of the ideal filter and of the text's filter, whose
 *   products are the scores of both (src/closed/chebycf.c).
 *
 * X: users x items, 1 where a user has a train interaction. The matrix is B's transpose.
 */
cf_status cf_closed_solve(cf_closed *closed, const cf_dataset *dataset, cf_closed_seconds *out);

/* ---- Sparse matrices ---- */

/** Of each row of an item-item matrix the k >= 1 numbers of largest magnitude, of equal ones those
 * of the lower columns: a new table of sparse rows. Collective over the grid. The matrix stays as
 * it is. The same bits on any grid. Errors: MEMORY. */
cf_status cf_closed_cut(cf_table *matrix, int64_t k, cf_table **out);

/** A matrix of items x items in an open file. Both borrowed. */
typedef struct cf_closed_file {
    cf_store *store;
    const char *name;
} cf_closed_file;
/**
 * The same of a matrix in a file, verified, which is never held whole: `items` are the blocks of
 * its rows. Collective over the grid. The same bits as of cf_closed_cut(). A rank holds
 * cf_closed_predict_cut() bytes meanwhile. Errors: those of store, FORMAT (another shape), NUMERIC
 * (NaN or infinity, names the row), MEMORY.
 */
cf_status cf_closed_read_cut(const cf_closed_file *file, const cf_grid *grid,
                             const cf_blocks *items, int64_t k, cf_table **out);
/** Those bytes, the mean over the ranks. Local. */
double cf_closed_predict_cut(int64_t n_items, int64_t k, const cf_closed_grid *grid);
