/**
 * als: alternating least squares on implicit feedback (iALS). Rows of users and of items are solved
 * in turn, each side exactly, given the other.
 *
 *     sum over train pairs of c_ui (1 - w_u.h_i)^2 + alpha0 sum over all pairs of (w_u.h_i)^2
 *         + sum_u l_u |w_u - p_u|^2 + sum_i l_i |h_i - p_i|^2
 *     l_u = reg_weight (sum of c_ui over I_u + alpha0 |I|)^nu,   l_i likewise
 *
 * The confidence c_ui is the weight of the pair over the mean of all weights; 1 without weights.
 * Source: Rendle, Krichene, Zhang and Koren 2022, "Revisiting the performance of iALS on item
 * recommendation benchmarks" (RecSys), eq. 1-3, where c = 1 and the rows are shrunk towards p = 0;
 * c is that of Hu, Koren and Volinsky 2008.
 */
#pragma once

#include "cf/graph.h"
#include "cf/table.h"

/** The largest number of dimensions: each thread holds d x d numbers of 16 rows, 64 MiB here. */
enum { CF_ALS_MAX_DIM = 1024 };

typedef struct cf_als_options {
    double alpha0;     /* weight of a pair that is not observed, >= 0 */
    double reg_weight; /* >= 0 */
    double nu;         /* exponent: 0 the same weight for all rows, 1 by their share of the loss */
} cf_als_options;

/** What is solved. All is borrowed. */
typedef struct cf_als_place {
    const cf_grid *grid;
    cf_graph *graph;          /* of the train pairs */
    cf_table *table[2];       /* rows of w and of h; at most CF_ALS_MAX_DIM dimensions */
    const cf_lists *pairs[2]; /* of the graph's rows, in its order, with weights; NULL or without
                                 weights: all weigh the same */
    const uint8_t *cold;      /* cf_cold_mark of all items; NULL: none is cold */
    int64_t n_counted[2];     /* |U| and |I| of the train pairs: without cold items */
} cf_als_place;

typedef struct cf_als cf_als;

/** Allocates all that solving needs. Collective over the grid. Errors: MEMORY, USAGE (too large for
 * an MPI count). Free with cf_als_destroy(). */
cf_status cf_als_create(const cf_als_options *options, const cf_als_place *place, cf_als **out);
void cf_als_destroy(cf_als **als);

/** Read the vectors of the dataset: from here on items have a prior, p = M'x with M fitted to their
 * rows. `reg_weight`: mu >= 0. Collective over the grid. Errors: MEMORY, NUMERIC (the vectors' Gram
 * matrix is not positive definite), USAGE (no item is shrunk), those of reading. An item without a
 * vector has p = 0. */
cf_status cf_als_read_vectors(cf_als *als, const cf_dataset *dataset, double reg_weight);
/** The item table, from rows that were solved to what they are shrunk towards next: M'x with M =
 * (X'LX + mu l I)^-1 X'LH, l the mean of all l_i, H the table's rows; without vectors zeros. X:
 * vectors minus their mean, of length 1. `*penalty`: mu l |M|^2. Cold items have a prior, and do
 * not count in M. Collective over the grid. Errors: MEMORY. */
cf_status cf_als_fill_prior(cf_als *als, double *penalty);

/** Parts of what is made smallest. */
typedef struct cf_als_loss {
    double pairs;  /* the two sums over pairs, and `shrunk` */
    double shrunk; /* sum of l |x - p|^2 over the rows that were solved */
} cf_als_loss;
/**
 * Solve all rows of `side`, whose table holds what they are shrunk towards (zeros, or a prior), for
 * the other table as it is. Rows of cold items stay what they are, and are no part of any sum.
 * Sends each row of the other side once to each node that needs it; on a grid of several columns
 * rows are joined, and solved a part by each. The same bits on any ranks, grid and threads.
 * Collective over the grid. Errors: MEMORY, NUMERIC (a row's matrix is not positive definite in
 * float32: names the first; rows are not finite).
 */
cf_status cf_als_solve(cf_als *als, cf_side side, cf_als_loss *out);

/** Sizes that its memory depends on, as means over the ranks. */
typedef struct cf_als_size {
    double rows[2]; /* of a block of users and of items */
    double halo;    /* rows that a rank receives */
    double all[2];  /* users and items of all blocks */
    double ranks;
    int64_t dim, source_dim; /* of rows; of vectors, 0: no prior */
    int n_columns;           /* of the grid */
} cf_als_size;
/** Bytes that it holds on a rank. Local. */
double cf_als_predict_memory(const cf_als_size *size);
/** Add the bytes that this rank will send while both sides are solved once, by phase. Local. */
void cf_als_predict_bytes(const cf_als *als, double bytes[CF_N_PHASES]);
