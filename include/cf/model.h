/**
 * model: BPR, LightGCN, SGL, SGCL: loss and gradient of a batch, and final tables, over the grid;
 * iALS: sweeps over all interactions. A model is a row of the table in models.c.
 */
#pragma once

#include "cf/als.h"
#include "cf/config.h"
#include "cf/dataset.h"
#include "cf/graph.h"
#include "cf/table.h"

/** Settings: model, n_layers, propagate, reg_weight, require_pow, type, drop_ratio, ssl_tau,
 * ssl_weight, temperature, alpha0, nu, item_prior, prior_reg_weight, interaction_weights,
 * contrast_memory, reach_share, field_precision, init, init_std. */
extern const cf_setting cf_model_settings[];
/** Give reg_weight and the noise of the start the defaults of a model that has its own (iALS: 0.01,
 * and normal with standard deviation 0.1 / sqrt(embedding_size)), unless they were given. Local.
 * Errors: MEMORY. */
cf_status cf_model_set_defaults(cf_config *config);

/** How SGL draws its views (Wu et al. 2021, section 3.1). */
typedef enum cf_view_type {
    CF_VIEWS_EDGES, /* ED: edges dropped, the same for all layers */
    CF_VIEWS_NODES, /* ND: nodes dropped, with their edges */
    CF_VIEWS_WALKS  /* RW: edges dropped, drawn for each layer */
} cf_view_type;

/** What iALS shrinks items towards. */
typedef enum cf_prior {
    CF_PRIOR_AUTO, /* a map of their vectors where the dataset has any, else zero */
    CF_PRIOR_NONE, /* zero */
    CF_PRIOR_TEXT  /* a map of their vectors */
} cf_prior;

/** What the settings say about a model. */
typedef struct cf_model_options {
    const char *name;  /* `model`: owned by the config that it was read from */
    int64_t dim;       /* embedding_size: dimensions of a row */
    int n_layers;      /* of propagation, 0 .. 64; unused by BPR */
    bool ranking_only; /* propagate: test: steps train the raw tables; the layers are for final
                          tables; LightGCN */
    double max_edge_fraction; /* reach_share, 0 .. 1: only rows near a batch are propagated while
                                 they have at most this fraction of all edges */
    cf_precision field_precision; /* of what propagation keeps and sends: layers, their halo, the
                                     gradient of the batch's rows */
    double reg_weight;            /* of the norms of raw rows; LightGCN, SGL */
    bool require_pow;             /* half the squared norms in their place */
    cf_view_type view_type;       /* SGL: type */
    double drop_ratio;            /* SGL: fraction of edges or nodes that a view drops */
    double ssl_tau, ssl_weight;   /* SGL: temperature and weight of the contrast of views */
    double temperature;           /* SGCL: of the contrast within the batch */
    cf_als_options als;           /* iALS: alpha0, reg_weight, nu */
    cf_prior prior;               /* iALS: item_prior */
    double prior_reg_weight;      /* iALS: of the map's norm */
    bool weighs;                  /* iALS: interaction_weights: use */
    int64_t contrast_memory;      /* SGL, SGCL: bytes on a rank for scores of the contrast */
    bool init_xavier;             /* cf_model_fill_noise(): xavier, else normal */
    double init_std;              /* standard deviation of the normal noise */
} cf_model_options;

/** Read the options from the settings of model and `embedding_size`. Local. */
void cf_model_read_options(const cf_config *config, cf_model_options *out);

/** Is `name`, a choice of the setting `model`, trained by steps? The other choices are closed forms
 * (cf/closed.h), of which this module has no more than the name. Local. */
bool cf_model_is_trained(const char *name);
/** Does it use weights of interactions? False for closed forms too. Local. */
bool cf_model_uses_weights(const char *name);
/** Are the steps of such a model sweeps: one an epoch, over all interactions, without batches and
 * without an optimizer? Local. */
bool cf_model_sweeps(const char *name);

/* ---- Batches ---- */

/** A rank's part of a batch: the samples whose users are in its block, by position. */
typedef struct cf_batch {
    int64_t size;      /* samples of the whole batch, on all ranks */
    int64_t count;     /* samples of this rank */
    int32_t *position; /* count, ascending: position in the batch, 0 .. size - 1 */
    int32_t *user;     /* count: local numbers */
    int64_t *positive; /* count: global item numbers */
    int64_t *negative; /* count: global item numbers; unused by models without negatives */
} cf_batch;

/** What takes the gradient of each raw row as it is finished, rows[k] (local number) of `side`
 * having gradient + k x width. In a step it gets every row of both tables exactly once, from
 * several threads. cf_optim_update() is one. */
typedef struct cf_gradient_consumer {
    void (*take)(void *context, cf_side side, const int32_t *rows, int count,
                 const float *gradient);
    void *context;
} cf_gradient_consumer;

/** The loss of a batch and its parts. */
typedef struct cf_loss {
    double total, ranking;
    double regularization, contrast; /* with their weights; 0 in models without */
} cf_loss;

/** Does the model read negatives? Local. */
bool cf_model_needs_negatives(const cf_model_options *options);

/* ---- Creation ---- */

typedef struct cf_model cf_model;

/** The ranks, their data, and the largest batch: create allocates all that a step needs. */
typedef struct cf_model_place {
    const cf_grid *grid;
    const cf_shard *shard;
    int64_t max_batch; /* 0: no steps, only cf_model_final(); any other number: sweeps */
} cf_model_place;

/** A model with tables of zeros. Collective over the grid. Errors: MEMORY, USAGE (batch or
 * contrast_memory do not fit; `propagate: test` with a contrastive model; embedding_size above
 * CF_ALS_MAX_DIM with iALS). grid and shard are
 * borrowed. Free with cf_model_destroy(). */
cf_status cf_model_create(const cf_model_options *options, const cf_model_place *place,
                          cf_model **out);
void cf_model_destroy(cf_model **model);

/** The size of a dataset and of a grid, and the largest batch: what memory and time depend on. */
typedef struct cf_model_size {
    int64_t n_users, n_items, n_train, max_batch;
    int n_rows, n_columns; /* of the grid */
    int node_ranks;
    const cf_leaves *leaves; /* borrowed; without any, all zero bytes */
    int64_t source_dim;      /* numbers of a vector of the dataset; 0: it has none */
} cf_model_size;
/**
 * Bytes that a model will hold on a rank, with its tables, its graph, and all that a step needs:
 * the mean over the ranks. The rows of the halo are not known yet; they are computed as if all
 * users, and all items, had the same degree and edges went anywhere, which is more than real graphs
 * have, and less by what the dataset counted for parts of its leaves. Local.
 */
double cf_model_predict_memory(const cf_model_options *options, const cf_model_size *size);
/**
 * Seconds that the sums over neighbours of a step and their halo take on nodes as they are common
 * now: good enough to compare grids (src/train/README.md has the formula). 0 without layers.
 * `bytes`: what a rank holds. Local.
 */
double cf_model_predict_seconds(const cf_model_options *options, const cf_model_size *size,
                                double bytes);

/* ---- Tables ---- */

/** The raw table of a side, to be filled and trained. Owned by the model. */
cf_table *cf_model_table(const cf_model *model, cf_side side);
/** Fill both tables with noise (xavier: uniform with limit sqrt(6 / (rows + dim)), Glorot and
 * Bengio 2010; normal: init_std). Local. */
void cf_model_fill_noise(cf_model *model, uint64_t seed);
/** Start each user at the mean of its train items' rows; a user without any at zero. With iALS, at
 * the solution for these rows. Collective. Errors: MEMORY, NUMERIC. Source: LLMInit, section 3. */
cf_status cf_model_pool_users(cf_model *model);

/** Do the final tables differ from the raw ones? Local, the same on every rank. */
bool cf_model_propagates(const cf_model *model);
/** The tables that scores are made of: F = 1/(L+1) sum_k A^^k E0 (He et al. 2020, eq. 4-8), or the
 * raw ones. Collective. Owned by the model, valid until its next call. */
void cf_model_final(cf_model *model, const cf_table *out[2]);

/**
 * The rows that score users whom the model was not trained on. Collective. `users`: their shard
 * (cf_dataset_create_user_shard()), or that of an appended dataset. Rows are made of the added
 * items that the model was trained with, for users without train items; the others' are of no use.
 * `*out` is new, freed with cf_table_destroy(). Errors: MEMORY. Calls cf_model_final().
 *
 * With e_u the mean of the raw rows of the user's items N_u, as in cf_model_pool_users(),
 *     f_u = (e_u + sum_{i in N_u} (E0 + A^ E0 + ... + A^^(L-1) E0)_i / sqrt(|N_u| |N_i|)) / (L+1):
 * what the layers give where e_u stands for a trained row, while the tables and degrees of the
 * items stay as they are. So the final rows of a user of the dataset and of a new user with the
 * same train items differ by 1/(L+1) of the difference of their raw rows. Without layers f_u = e_u.
 * With iALS f_u is the solution for the user's items, as that of a trained user is. Errors:
 * NUMERIC.
 */
cf_status cf_model_fold_in(cf_model *model, const cf_shard *users, cf_table **out);

/* ---- Steps ---- */

/** Draw what is drawn anew each epoch (SGL's views), a function of (seed, epoch); call it before
 * the first step of an epoch, or of the rest of one. Local. */
void cf_model_start_epoch(cf_model *model, uint64_t seed, int64_t epoch);
/**
 * One step: the loss of the batch at the current tables, and its gradient, row by row, to the
 * consumer. Collective. Errors: NUMERIC (loss not finite; the consumer was not called). On success
 * the same loss on every rank.
 */
cf_status cf_model_step(cf_model *model, const cf_batch *batch,
                        const cf_gradient_consumer *consumer, cf_loss *loss);
/** Does training read the vectors of the dataset, if it has any, beside those that tables start
 * from? Local. */
bool cf_model_reads_vectors(const cf_model_options *options);
/** Read them, before the first step. Collective. Errors: MEMORY, NUMERIC, USAGE (item_prior: text
 * without vectors), those of reading. */
cf_status cf_model_read_vectors(cf_model *model, const cf_dataset *dataset);
/** A sweep, of models that have no steps of batches: both tables are solved in place. The loss is
 * its value at their end, over the number of train interactions. Collective. Errors: MEMORY,
 * NUMERIC.
 */
cf_status cf_model_sweep(cf_model *model, cf_loss *loss);
/**
 * Bytes that this rank will send in a step, or a sweep, by phase, as cf_phase_use counts them: the
 * mean over an epoch of batches of `batch_size`. The halo is exact, what depends on the draw is its
 * expectation. Overwrites final tables. Collective over the grid. Errors: MEMORY.
 */
cf_status cf_model_predict_step(cf_model *model, int64_t batch_size, double bytes[CF_N_PHASES]);
