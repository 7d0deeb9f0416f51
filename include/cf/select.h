/**
 * select: how the language-model vectors become the starting item table: some of their dimensions
 * (LLMInit, arXiv 2503.01814) or a linear map of them, and how the result is scaled.
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"
#include "cf/table.h"

/* ---- Options ---- */

/** Settings: emb_selection, embedding_size, popular_ratio, rand_replacement, whiten_power,
 * pca_one_rank, emb_scale, emb_gain, emb_norm, missing_embedding, select_memory. */
extern const cf_setting cf_select_settings[];

/** emb_selection: the dimensions to take, or the map to apply. */
typedef enum cf_select_method {
    CF_SELECT_NOISE, /* False: the vectors are not used */
    CF_SELECT_UNI,
    CF_SELECT_RAND,
    CF_SELECT_VAR,
    CF_SELECT_QR,
    CF_SELECT_FULL,
    CF_SELECT_PCA, /* from here on: maps */
    CF_SELECT_WHITEN,
    CF_SELECT_PROJECTION
} cf_select_method;

/** emb_scale: nothing, minus the column means, to [0, 1], or rows of length 1. */
typedef enum cf_select_scale {
    CF_SELECT_NO_SCALE,
    CF_SELECT_CENTER,
    CF_SELECT_MINMAX,
    CF_SELECT_L2
} cf_select_scale;

/** missing_embedding: refuse items without a vector, start them at zero, at the mean of all
 * vectors, or at a normal draw about that mean. */
typedef enum cf_select_missing {
    CF_SELECT_MISSING_ERROR,
    CF_SELECT_MISSING_ZERO,
    CF_SELECT_MISSING_MEAN,
    CF_SELECT_MISSING_RANDOM
} cf_select_missing;

typedef struct cf_select_options {
    cf_select_method method;   /* emb_selection */
    int64_t size;              /* embedding_size: n_dims of the selection */
    double popular_ratio;      /* fraction of the items over which var takes the variance; [0, 1] */
    bool replacement;          /* rand_replacement */
    double whiten_power;       /* of whiten; [0, 1] */
    int64_t one_rank_dim;      /* pca_one_rank: D up to which rank 0 alone finds eigenvectors */
    cf_select_scale scale;     /* emb_scale */
    double gain;               /* emb_gain: factor on the rows */
    double norm;               /* emb_norm: mean length of the rows, instead of gain; 0: off */
    cf_select_missing missing; /* missing_embedding */
    int64_t memory;            /* select_memory in bytes: buffer of a rank for reading vectors */
    uint64_t seed;             /* of rand, projection, and random missing vectors */
} cf_select_options;

/** Read the options from a config that has cf_select_settings and `seed`. Local. */
void cf_select_read_options(const cf_config *config, cf_select_options *out);

/* ---- Selections ---- */

/**
 * What an item with vector x (D numbers) starts from; kept with the model, so that a new item can
 * be mapped later.
 *
 * Dimensions (uni, rand, var, qr, full): y[k] = gain * (x[dims[k]] - shift[k]) * factor.
 * A map (pca, whiten, projection): y[k] = gain * factor * scales[k] * sum_j (x[j] - center[j]) *
 * components[j][k].
 * With `unit`, y is divided by its Euclidean norm before the gain (a zero row stays zero).
 */
typedef struct cf_selection {
    int64_t n_dims;
    int64_t *dims;     /* n_dims, ascending (rand_replacement: as drawn, repeats possible); NULL:
                          a map */
    double *variances; /* n_dims, unbiased. Dimensions: over the popular items that have a vector,
                          0 if they are fewer than 2. A map: along each component, before the
                          scales, over all items that have a vector; pca, whiten: descending */
    int64_t n_popular; /* floor(popular_ratio * warm items) */
    double *shift;     /* n_dims; NULL: a map */
    double factor, gain;
    bool unit;
    int64_t source_dim;       /* D of a map; 0: dimensions */
    double *center;           /* D: mean of the items that have a vector */
    double *components;       /* D x n_dims: principal components, or random directions; columns */
    double *scales;           /* n_dims */
    double total_variance;    /* of a map: sum of the variances of all D dimensions */
    double *mean, *deviation; /* n_dims (a map: NULL and D): of the selected columns over all items
                                 with a vector, for those without; NULL unless needed, not kept
                                 with the model */
} cf_selection;

/** What cf_select_create() refuses before it reads vectors. Collective. Errors: USAGE, FORMAT. */
cf_status cf_select_check(const cf_dataset *dataset, const cf_select_options *options);
/**
 * Choose the dimensions, or find the map. All means, variances and lengths are those of warm items
 * that have a vector. Collective over the dataset's ranks: each reads its own
 * part of the vectors in blocks. `options->method` is not CF_SELECT_NOISE. Free with
 * cf_select_destroy(). Errors: USAGE (no vectors in the dataset; embedding_size > D, or other than
 * D with full; popular_ratio that leaves var, or vectors that leave the others, under 2 items;
 * settings that exclude each other), FORMAT (missing vectors and missing_embedding: error;
 * damaged), NUMERIC (eigenvalues that do not converge), and those of reading.
 *
 * var: largest variance (LLMInit, arXiv 2503.01814).
 * qr: the dimensions that QR with column pivoting of the centred vectors takes first (Golub and Van
 *   Loan, algorithm 5.4.1), each the one that those before explain least. Found as the pivots of
 *   Cholesky's factor of the covariance, which are the same; where less than D 2^-52 of the largest
 *   variance is left unexplained, the lowest dimensions that are left.
 * pca: eigenvectors of the covariance with the largest eigenvalues; the entry of largest magnitude,
 *   the first of equal ones, is positive. Scales are 1.
 * whiten: the same with scales eigenvalue^(-whiten_power / 2): 0 is pca, 1 gives all columns
 *   variance 1. A component without variance (below D 2^-52 of the largest) gets scale 0.
 * projection: normal numbers, a function of (seed, j, k), over sqrt(n_dims) (Johnson and
 *   Lindenstrauss 1984).
 *
 * The same bits on any number of ranks, with one exception. Means and variances are exact sums. The
 * covariance is summed by tiles of 256 items at fixed offsets, in their order, each product of
 * fixed shape; D x D / 2 numbers, distributed over the ranks. Its eigenvectors are found on rank 0
 * alone (24 D^2 bytes there) where D <= pca_one_rank. The exception is pca and whiten above that:
 * all ranks find them, and the bits are those of the number of ranks. Between numbers of ranks
 * eigenvalues then differ by about 1e-14 of the largest, components by as much over the relative
 * gap to the next eigenvalue.
 */
cf_status cf_select_create(const cf_dataset *dataset, const cf_select_options *options,
                           cf_selection **out);
void cf_select_destroy(cf_selection **selection);

/** Add a selection to a file being written, under /selection; read it back from one opened, or set
 * `*out` to NULL if the file has none. Collective. Errors: those of store, FORMAT (arrays that do
 * not fit). */
cf_status cf_select_write(const cf_par *par, const cf_selection *selection, cf_store *store);
cf_status cf_select_read(const cf_par *par, cf_store *store, cf_selection **out);

/**
 * Bytes that a rank holds beside the table while a selection is made and the table is filled, at
 * most; the mean over the ranks. `dim`: D. Local.
 */
double cf_select_predict_memory(const cf_select_options *options, int64_t n_items, int64_t dim,
                                int n_ranks);

/* ---- What selections are for ---- */

/**
 * Fill the item table with the reduced vectors. Collective over the table's grid; each rank reads
 * an equal part of its block's rows, and the slices are exchanged within the grid row. An item
 * without a vector starts at zero (missing_embedding: zero), or as if its vector were the mean of
 * all (mean) or drawn about it with their deviations (random). The bits depend on the selection
 * alone: maps are products of fixed shape of tiles of 64 items at fixed offsets. Errors: those of
 * reading, FORMAT (damaged), NUMERIC.
 */
cf_status cf_select_fill_items(const cf_dataset *dataset, const cf_selection *selection,
                               const cf_select_options *options, cf_table *items);

/**
 * Singular values, descending, of the language-model vectors as they are, not centred; items
 * without a vector and cold items are left out. `singular`: D, the same on every rank; accurate to
 * about 1e-8 of the largest. Reads every vector once, verified; the same bits on any number of
 * ranks where D <= `one_rank_dim`. Collective. Errors: USAGE (no vectors), MEMORY, NUMERIC, those
 * of reading.
 */
cf_status cf_select_spectrum(const cf_dataset *dataset, int64_t one_rank_dim, double *singular);
