/** Private to model: propagation, the rows of a batch, and the table of models. */
#pragma once

#include "cf/model.h"

/** A sort key is a row's number above, what belongs to it below. */
enum { LOW_BITS = 26 };
#define LOW_MASK (((uint64_t)1 << LOW_BITS) - 1)

/** The gradient of a loss with respect to final rows, for a few rows of each side. */
typedef struct gradient {
    cf_sparse scaled;     /* the rows times degree^-1/2, as products take them */
    float *values[2];     /* scaled.count x width: the rows themselves */
    float *decay[2];      /* scaled.count: this times the raw row is added to the raw row's gradient
                             (regularization) */
    const float *more[2]; /* owned rows x width: added to the gradient of raw rows; NULL: nothing */
} gradient;

/**
 * F = 1/(L+1) sum_k A^^k E0 by Horner's rule, H_k = E0 + A^ H_{k+1}, H_L = E0, so that L sums over
 * neighbours do it all. Fields hold G_k = S H_k with S = D^-1/2: then A^ H = S sum(G), and no edge
 * needs a weight.
 */
typedef struct propagation {
    cf_graph *graph;
    cf_table *table[2]; /* E0, borrowed */
    int layers;         /* L >= 0; with 0, F = E0 and no field is there */
    cf_field field[2];  /* current and next */
    double share;       /* of all edges: of more, no fewer rows than all are computed */
    cf_hops reach;     /* from the rows of the batch */
} propagation;

cf_status propagation_create(cf_graph *graph, cf_table *const table[2], int layers, double share,
                             propagation *out);
void propagation_destroy(propagation *propagation);
/** Current and next change places. */
void propagation_swap(propagation *p);
/** Rows of F, of the listed rows only: of G_k, what is within k steps of them. out[side]: count x
 * width. Collective over the grid column. */
void propagation_rows(propagation *p, int32_t *const rows[2], const int64_t count[2],
                      float *const out[2]);
/** All of F, into the spare field: out[side] is owned rows x width and valid until the next call.
 * Collective over the grid column. */
void propagation_all(propagation *p, float *out[2]);
/**
 * The gradient with respect to E0, into the sink row by row: F is symmetric in A^, so this is F's
 * own Horner scheme, that starts from the few rows of `g`, those of propagation_rows() before, goes
 * a step further with each layer, and leaves each row finished. Collective over the grid column.
 */
void propagation_back(propagation *p, gradient *g, const cf_gradient_consumer *sink);

/**
 * The same on views of the graph, layer[k] for layer k + 1, that may differ: out = 1/(L+1) sum_k
 * E_k with E_k = A_k E_{k-1}. out[side]: owned rows x width. Uses the fields. Collective over the
 * grid column.
 */
void propagation_view(propagation *p, const cf_view *const *layer, float *const out[2]);
/** The gradient with respect to E0 of what has the gradient `g` with respect to that, added to
 * `out`. */
void propagation_view_back(propagation *p, const cf_view *const *layer, float *const g[2],
                           float *const out[2]);

/** A sample's part in the gradient of an item's row. */
typedef struct occurrence {
    int64_t item;      /* global number */
    int32_t order;     /* 2 x place in the batch + (1 if negative): sums are taken in this order */
    float coefficient; /* of the user's final row */
    int32_t user;      /* which of the user rows that its rank sends */
} occurrence;

/** The rows that a batch needs, and their ways between the ranks of a grid column. All arrays are
 * for the largest batch. */
typedef struct batch_rows {
    const cf_par *column;
    const cf_blocks *item_blocks;
    int64_t width, capacity; /* capacity: 2 x largest batch */
    uint64_t *keys, *scratch;
    int64_t *wanted; /* distinct items of my samples, ascending */
    int64_t n_wanted;
    int32_t *user_slot;  /* of each of my samples: place in rows[CF_USERS] */
    int32_t *item_slot;  /* of each occurrence 2 n (+ 1): place in `wanted` */
    int32_t *by_user;    /* my samples, ordered by user, then place */
    int32_t *by_item;    /* my occurrences, ordered by item, then place */
    int64_t *user_start; /* of rows[CF_USERS]: its samples in by_user */
    int32_t *rows[2];    /* distinct rows I own that the batch needs: local numbers, ascending */
    int64_t n_rows[2];
    float *final[2];         /* their final rows, filled by the model */
    float *wanted_final;     /* final rows of `wanted` */
    int64_t *asked;          /* items that each rank wants of me */
    int32_t *asked_slot;     /* their places in rows[CF_ITEMS] */
    float *outgoing;         /* rows on their way */
    float *user_rows;        /* user rows that came back with the occurrences */
    occurrence *sent, *came; /* came: all occurrences of my items, by item, then order */
    int32_t *came_order;
    int64_t *item_start; /* of rows[CF_ITEMS]: its occurrences in came_order */
    int64_t *marks;      /* of rows[CF_USERS]: last peer its row was packed for, and as which */
    int *want_count, *want_start, *ask_count, *ask_start, *row_count, *row_start, *user_count,
        *user_base;
    MPI_Datatype row_type, occurrence_type;
} batch_rows;

cf_status batch_rows_create(const cf_grid *grid, const cf_blocks *items, int64_t width,
                            int64_t max_batch, batch_rows *out);
void batch_rows_destroy(batch_rows *rows);
/** Find the rows: fills rows, n_rows, wanted and the slots. Collective over the grid column. */
void batch_rows_find(batch_rows *rows, const cf_batch *batch);
/** Once final[CF_ITEMS] is filled: fills wanted_final. Collective over the grid column. */
void batch_rows_fetch(batch_rows *rows);
/** Send each occurrence, coefficient[n] for the positive and its negation for the negative, to the
 * owner of its item. Collective over the grid column. */
void batch_rows_return(batch_rows *rows, const cf_batch *batch, const float *coefficient);

typedef struct model_kind model_kind;
typedef struct forecast forecast;         /* predict.h */
typedef struct memory_shape memory_shape; /* memory.h */

struct cf_model {
    const model_kind *kind;
    const cf_grid *grid;
    const cf_shard *shard;
    cf_graph *graph;
    cf_table *table[2];
    cf_table final[2]; /* views into a field */
    propagation propagation;
    batch_rows rows;
    gradient gradient;
    double reg_weight;
    bool require_pow;
    float *segment_scores; /* largest batch x segments: mine, then all of the grid row */
    float *coefficient;    /* largest batch */
    int *row_counts, *row_starts;
    int64_t n_train; /* interactions of all ranks */
    void *own;       /* of the kind */
};

/** A model: what it is called, what it heeds and needs, and its step; or, of a closed form, how it
 * is solved for. */
struct model_kind {
    const char *name;
    const char *defaults; /* "name=value" of a setting with a default of its own; or NULL */
    bool propagates;      /* heeds n_layers; else it works on the raw tables */
    bool regularizes;     /* heeds reg_weight */
    bool negatives;       /* reads the batch's negatives */
    bool sums;            /* its pairwise loss is the sum of -log sigmoid, not the mean */
    bool views;           /* propagates on two views as well, there and back */
    size_t own_size;      /* of what is the model's own: model->own, zeros at first */
    /** Fill model->own. Collective; the same status on all ranks. NULL: there is nothing. */
    cf_status (*create)(cf_model *model, const cf_config *config, int64_t max_batch);
    void (*destroy)(void *own); /* what it holds, also half made */
    void (*start_epoch)(cf_model *model, uint64_t seed, int64_t epoch); /* Local; may be NULL */
    cf_status (*step)(cf_model *model, const cf_batch *batch, const cf_gradient_consumer *sink, cf_loss *loss);
    /** Bytes of what it holds beside the parts that all have. Local; may be NULL. */
    double (*memory)(const cf_config *config, const memory_shape *shape);
    /** Add what a step sends beside the halo, and the rows and scores of a pairwise loss. Local;
     * may be NULL. */
    void (*forecast)(forecast *f);
    /** A closed form: fill the table of items; all but the name and the defaults above is unused.
     * NULL: the model is trained by steps. */
    cf_status (*solve)(cf_model *model, const cf_dataset *dataset, const cf_config *config,
                       cf_solved *out);
    int matrices;      /* items x items, held at once while it is solved for */
    bool vectors;      /* reads the dataset's vectors */
    const char *heeds; /* settings of model and select that it heeds, ','-separated */
};
extern const model_kind model_bpr, model_lightgcn, model_sgl, model_sgcl, model_ease, model_l3ae;

/** cf_model_predict_memory() */
double closed_memory(const model_kind *kind, const cf_config *config, const cf_model_size *size);
/** cf_model_check_dataset() */
cf_status closed_check_dataset(const model_kind *kind, const cf_config *config,
                               const cf_dataset *dataset);

/**
 * The step of models whose loss is the mean of -log(1e-10 + sigmoid(u.i - u.j)) on final rows, or
 * the sum of -log sigmoid, with the norms of raw rows as regularization (Rendle et al. 2009; He et
 * al. 2020, eq. 15).
 */
cf_status pairwise_step(cf_model *model, const cf_batch *batch, const cf_gradient_consumer *sink, cf_loss *loss);

/** Its parts, for models that add to it. Exact sums over ranks; SUM_CONTRAST is theirs to fill. */
enum { SUM_LOSS, SUM_USERS, SUM_POSITIVES, SUM_NEGATIVES, SUM_CONTRAST, PAIRWISE_SUMS };
/** This rank's sums. Collective. */
void pairwise_forward(cf_model *model, const cf_batch *batch, cf_exact sums[PAIRWISE_SUMS]);
/** The loss from all ranks' sums. Collective. Errors: NUMERIC (not finite), the same on all. */
cf_status pairwise_loss(cf_model *model, const cf_batch *batch, cf_exact sums[PAIRWISE_SUMS],
                        cf_loss *loss);
/** Every row's gradient, and what gradient.more has for it, into the sink. Collective. */
void pairwise_backward(cf_model *model, const cf_gradient_consumer *sink);

/** gradient.values[side] has row k of the batch's rows: keep it also times degree^-1/2. Local. */
void gradient_scale_row(cf_model *model, cf_side side, int64_t k);
