/**
 * Private to model: the gradient of a loss with respect to the final rows of a batch, and the rows
 * themselves.
 */
#pragma once

#include "batch.h"

/** The distinct rows that the batch of all ranks needs and this rank owns; B: the largest batch. */
typedef struct batch_rows {
    int64_t width;     /* floats in a local row */
    int64_t count[2];  /* rows of a side */
    int32_t *local[2]; /* their local numbers, ascending; borrowed from who found them */
    float *final[2];   /* B and 2 B x width: their final rows */
} batch_rows;

/** Local. Errors: MEMORY. Free with batch_rows_destroy(), which takes all zero bytes too. */
cf_status batch_rows_create(int64_t width, int64_t max_batch, batch_rows *out);
void batch_rows_destroy(batch_rows *rows);
double batch_rows_bytes(double max_batch, double width);

/**
 * The gradient with respect to the final rows g of a batch, zero in all other rows.
 *
 * The rows are held twice. Sums over neighbours read S g (S = D^-1/2), once an edge and from other
 * ranks; the row's own term is g itself. Dividing S g by S would not give back the bits of g, and
 * scaling at every edge would cost a multiplication an edge.
 */
typedef struct gradient {
    cf_sparse scaled;          /* S g: the rows times degree^-1/2 */
    float *values[2];          /* 2 B x width: g */
    float *reg_coefficient[2]; /* 2 B: this times the raw row is added to the raw row's gradient
                                  (regularization) */
    const float *extra[2];     /* owned rows x width: added to the gradient of raw rows; borrowed;
                                  NULL: nothing */
} gradient;

/** `kind`: of the scaled rows; the others are float32. Collective over the grid; may fail on one
 * rank alone, so agree afterwards. Errors: MEMORY. Free with gradient_destroy(), which takes all
 * zero bytes too. */
cf_status gradient_create(cf_graph *graph, cf_row_kind kind, int64_t max_batch, gradient *out);
void gradient_destroy(gradient *g);
/** Bytes but for the cf_sparse, which depend on the halo. Local. */
double gradient_bytes(double max_batch, double width);

/** Compute the gradient of the final row k of a side, `width` floats. Called by several threads. */
typedef void gradient_row_fn(const void *context, cf_side side, int64_t k, float *out);
/** Take the batch's rows, and fill values and scaled.values by calling `row` for each; `scaled` is
 * open from here to the end of propagation_backward(). Local. */
void gradient_fill(gradient *g, const cf_graph *graph, const batch_rows *rows, gradient_row_fn *row,
                   const void *context);
