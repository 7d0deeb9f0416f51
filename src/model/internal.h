/** Private to model: a model, and what models differ in. */
#pragma once

#include "batch.h"
#include "gradient.h"
#include "memory.h"
#include "propagation.h"

typedef struct model_ops model_ops;
typedef struct pairwise pairwise; /* pairwise.h */
typedef struct forecast forecast; /* predict.h */

struct cf_model {
    const model_ops *ops;
    cf_model_options options;
    const cf_grid *grid;   /* borrowed */
    const cf_shard *shard; /* borrowed */
    int64_t n_train;       /* interactions of all ranks */
    double reg_weight;     /* 0 if the model does not regularize */
    cf_graph *graph;
    cf_table *table[2]; /* raw tables */
    cf_table final[2];  /* the raw tables with `data` in a field: what cf_model_final() returns */
    propagation propagation; /* makes the final tables */
    propagation raw;         /* the same without layers: F = E0 */
    propagation *in_steps;   /* one of both: what losses are made of */
    row_sort sort;           /* lent to the index of the batch */
    batch_rows rows;         /* of the current batch */
    gradient gradient;       /* with respect to their final rows */
    pairwise *pairwise;      /* NULL if the model reads no negatives */
    void *impl;              /* what this model alone has: ops->impl_size bytes */
};

/** What a model is called, what it needs, and what it does. */
struct model_ops {
    const char *name;
    bool propagates;  /* uses n_layers; else the final tables are the raw ones */
    bool contrasts;   /* has a contrastive loss, which is made of final rows */
    bool regularizes; /* uses reg_weight */
    bool negatives;   /* has a pairwise loss, which reads the batch's negatives */
    bool sums;        /* that loss is the sum of -log sigmoid, not the mean */
    bool views;       /* also propagates on two views, forward and backward */
    bool weighs;      /* uses weights of interactions */
    size_t impl_size; /* of model->impl, which is zeros at first */
    /** Fill model->impl. Collective; the same status on all ranks. NULL: nothing to do. */
    cf_status (*create)(cf_model *model, int64_t max_batch);
    /** Free what model->impl has, also after create() failed. NULL: nothing to do. */
    void (*destroy)(void *impl);
    /** Local. NULL: nothing to do. */
    void (*start_epoch)(cf_model *model, uint64_t seed, int64_t epoch);
    /** cf_model_step(). */
    cf_status (*step)(cf_model *model, const cf_batch *batch, const cf_gradient_consumer *consumer,
                      cf_loss *loss);
    /** Bytes of model->impl's objects. Local. NULL: none. */
    double (*memory)(const cf_model_options *options, const memory_shape *shape);
    /** Add what a step sends besides the halo and a pairwise loss. Local. NULL: nothing. */
    void (*predict)(forecast *f);
    /** Of a model with sweeps, which has no step(): cf_model_sweep(). */
    cf_status (*sweep)(cf_model *model, cf_loss *loss);
    /** cf_model_read_vectors(). NULL: reads none. */
    cf_status (*read_vectors)(cf_model *model, const cf_dataset *dataset);
    /** The users of a graph whose items are the model's, from the raw rows of these. Collective.
     * NULL: their means. */
    cf_status (*fill_users)(cf_model *model, cf_graph *graph, cf_table *users);
    /** Add what a sweep sends. Local. */
    void (*predict_sweep)(const cf_model *model, double bytes[CF_N_PHASES]);
};
extern const model_ops model_sgl, model_sgcl, model_ials;

/** The model called `name`, for which cf_model_is_trained() holds. Local. */
const model_ops *model_find_ops(const char *name);
