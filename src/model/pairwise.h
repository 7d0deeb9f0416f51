/** Private to model: the pairwise loss, shared by BPR, LightGCN and SGL. */
#pragma once

#include "internal.h"

/** What the loss works in; B: the largest batch. */
typedef struct pairwise {
    batch_index index;
    item_requests requests;
    occurrences occurrences;
    float *segment_scores;              /* B x segments of my slice */
    float *all_scores;                  /* B x all segments: grouped by slice */
    int *segment_count, *segment_start; /* grid columns: of an Allgatherv of segment scores */
    float *coefficient;                 /* B: per sample of mine, dloss / dscore */
} pairwise;

/** `sort`, borrowed: room for the batch. Local. Errors: MEMORY. */
cf_status pairwise_create(const cf_model *model, row_sort *sort, int64_t max_batch, pairwise *out);
void pairwise_destroy(pairwise *p);
double pairwise_bytes(const memory_shape *shape);

/**
 * The step of models whose loss is the mean of -log(1e-10 + sigmoid(u.i - u.j)) on final rows, or
 * the sum of -log sigmoid, with the norms of raw rows as regularization (Rendle et al. 2009; He et
 * al. 2020, eq. 15).
 */
cf_status pairwise_step(cf_model *model, const cf_batch *batch,
                        const cf_gradient_consumer *consumer, cf_loss *loss);

/** Exact sums over ranks that the loss is made of. The squared norms are of raw rows, as often as
 * they stand in the batch. SUM_CONTRAST is for models that add a loss of their own. */
enum { SUM_LOSS, SUM_USERS, SUM_POSITIVES, SUM_NEGATIVES, SUM_CONTRAST, PAIRWISE_SUMS };
/** Fill this rank's sums. Collective. */
void pairwise_forward(cf_model *model, const cf_batch *batch, cf_exact sums[PAIRWISE_SUMS]);
/** The loss from all ranks' sums. Collective. Errors: NUMERIC (not finite), the same on all. */
cf_status pairwise_loss(cf_model *model, const cf_batch *batch, cf_exact sums[PAIRWISE_SUMS],
                        cf_loss *loss);
/** Pass every row's gradient, with gradient.extra added, to the consumer. Collective. */
void pairwise_backward(cf_model *model, const cf_gradient_consumer *consumer);

/** Add the squared norms of my raw rows to SUM_USERS, SUM_POSITIVES and SUM_NEGATIVES. Local. */
void regularize_add_norms(const cf_model *model, cf_exact sums[PAIRWISE_SUMS]);
/** The regularization of a batch of `size` samples, given the values of all ranks' sums. Local. */
double regularize_loss(const cf_model *model, const double squares[PAIRWISE_SUMS], int64_t size);
/** Its gradient: fills gradient.reg_coefficient. Local. */
void regularize_set_coefficients(cf_model *model, const double squares[PAIRWISE_SUMS],
                                 int64_t size);
