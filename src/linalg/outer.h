/**
 * Sums of outer products: a distributed matrix C grows by alpha L'R, where L has `width` numbers
 * for each row of C and R as many for each of its columns. Products, Gram matrices and inverses are
 * loops over such sums, one for each block of inner numbers.
 *
 * BLAS is called block by block, for its last bits depend on the shapes that it is given, and sums
 * go over the inner blocks in their order: so the bits are the same on any mesh.
 */
#pragma once

#include "scalapack.h"

/** The rank that has row i's numbers for inner block k (both counted in blocks); -1: they are
 * zeros. */
typedef int linalg_owner(const cf_mesh *mesh, int64_t i, int64_t k);
/** Of block (i, k) of a matrix, and of block (k, i). */
linalg_owner linalg_in_column, linalg_in_row;

/** Rows here are contiguous, `width` numbers each. */
typedef struct linalg_outer {
    cf_cyclic *c;            /* what grows; borrowed */
    size_t size;             /* bytes of a number */
    int64_t k, first, width; /* the current inner block: its number, its first number, its length */
    void *left, *right;      /* rows for my rows of c, and for my columns */
    /* the current broadcast: n_rows rows from their owners to all ranks */
    linalg_owner *owner;
    int64_t n_rows;
    void *all, *mine; /* all of them, by rank, then number; mine among them */
    int64_t n_mine;
    int *count, *start; /* ranks: numbers of each in `all`, and where they begin */
    int64_t *next;      /* ranks: work space */
} linalg_outer;

/** Collective. Errors: MEMORY. Free with linalg_destroy_outer(), which takes all zero bytes too. */
cf_status linalg_create_outer(cf_cyclic *c, linalg_outer *out);
void linalg_destroy_outer(linalg_outer *outer);

/** Go on to inner block k of `n_inner` numbers in all. False if there is none. Local. */
bool linalg_next_inner(linalg_outer *o, int64_t n_inner, int64_t k);
/** Begin a broadcast of `n_rows` rows: finds `mine`, room for n_mine rows that the caller fills.
 * Local. */
void linalg_plan_rows(linalg_outer *o, int64_t n_rows, linalg_owner *owner);
/** Copy `n` rows from a matrix, whose rows lie `row_step` and whose numbers lie `step` apart, or
 * back to it. Local. */
void linalg_read_rows(const linalg_outer *o, int64_t n, const void *a, int64_t row_step,
                      int64_t step, void *rows);
void linalg_write_rows(const linalg_outer *o, int64_t n, const void *rows, int64_t row_step,
                       int64_t step, void *a);
/** Each rank's rows to all. Collective. */
void linalg_broadcast_rows(linalg_outer *o);
/** Copy what was broadcast into `left`, or into `right`. Local. */
void linalg_set_left(linalg_outer *o);
void linalg_set_right(linalg_outer *o);
/** c += alpha L'R; `lower`: blocks on and below the diagonal alone. Local. */
void linalg_add_outer(const linalg_outer *o, double alpha, bool lower);

/** How many of a matrix's first `end` rows, or columns, are mine. */
static inline int64_t linalg_rows_before(const cf_cyclic *a, int64_t end)
{
    if (!linalg_on_mesh(a->mesh)) return 0;
    return linalg_local_count(end, a->block, a->mesh->n_rows, a->mesh->my_row);
}

static inline int64_t linalg_columns_before(const cf_cyclic *a, int64_t end)
{
    if (!linalg_on_mesh(a->mesh)) return 0;
    return linalg_local_count(end, a->block, a->mesh->n_columns, a->mesh->my_column);
}

/** Number `index` of an array of a's type, and element (row, column) of my part of a. */
static inline void *linalg_at(const cf_cyclic *a, void *array, int64_t index)
{
    return (char *)array + index * (int64_t)cf_store_type_size(a->type);
}

static inline void *linalg_element(const cf_cyclic *a, int64_t row, int64_t column)
{
    return linalg_at(a, a->data, column * a->local_rows + row);
}
