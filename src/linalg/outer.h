/**
 * Sums of outer products: a dealt out matrix grows by D'A, where D has a few numbers for each of
 * its rows and A as many for each of its columns. Products, Gram matrices and inverses are loops
 * over such sums, one for each block of inner numbers.
 *
 * BLAS is called block by block, for its last bits depend on the shapes that it is given, and sums
 * go over the inner blocks in their order: so the bits are the same on any mesh.
 */
#pragma once

#include "scalapack.h"

/** The rank that has row i's block (numbers of blocks) for inner block k; -1: there are zeros. */
typedef int linalg_owner(const cf_mesh *mesh, int64_t i, int64_t k);
/** Block (i, k) of a matrix, and block (k, i). */
linalg_owner linalg_in_column, linalg_in_row;

/** Rows, here, are one after the other, `width` numbers each. */
typedef struct linalg_outer {
    cf_cyclic *c;            /* what grows */
    size_t size;             /* bytes of a number */
    int64_t k, first, width; /* inner block in turn: its number, and its numbers */
    void *down, *across;     /* the rows that belong to my rows of c, and to my columns */
    linalg_owner *owner;      /* of the rows that are to be shared */
    int64_t n;               /* how many they are */
    void *all, *mine;        /* they, by rank, then number; mine among them */
    int64_t n_mine;
    int *count, *start; /* numbers of each rank in `all` */
    int64_t *next;
} linalg_outer;

/** Collective. Errors: MEMORY. Free with linalg_destroy_outer(), which takes all zero bytes too. */
cf_status linalg_create_outer(cf_cyclic *c, linalg_outer *out);
void linalg_destroy_outer(linalg_outer *outer);

/** Go on to inner block k of `n_inner` numbers in all. False if there is none. Local. */
bool linalg_next_inner(linalg_outer *o, int64_t n_inner, int64_t k);
/** Set out to share `n` rows: finds `mine`, for n_mine rows, which the caller fills. Local. */
void linalg_plan_rows(linalg_outer *o, int64_t n, linalg_owner *owner);
/** Between `n` rows from `rows` on, and numbers of a matrix from `a` on, where rows lie `across`
 * and their numbers `along` apart; `back`: to the matrix. Local. */
void linalg_copy_rows(const linalg_outer *o, int64_t n, void *rows, void *a, int64_t across,
                     int64_t along, bool back);
/** Mine to all, theirs to me. Collective. */
void linalg_share_rows(linalg_outer *o);
/** What was shared to `down`, or to `across`. Local. */
void linalg_place_down(linalg_outer *o);
void linalg_place_across(linalg_outer *o);
/** c += alpha D'A; `lower`: blocks on and below the diagonal alone. Local. */
void linalg_add_outer(const linalg_outer *o, double alpha, bool lower);

/** How many of a matrix's first `end` rows, or columns, are mine. */
static inline int64_t linalg_rows_before(const cf_cyclic *a, int64_t end)
{
    return linalg_on_mesh(a->mesh) ? linalg_dealt(end, a->block, a->mesh->n_rows, a->mesh->my_row)
                                  : 0;
}

static inline int64_t linalg_columns_before(const cf_cyclic *a, int64_t end)
{
    return linalg_on_mesh(a->mesh)
               ? linalg_dealt(end, a->block, a->mesh->n_columns, a->mesh->my_column)
               : 0;
}

/** Number `place` of an array of a's type, and my number (row, column) of a. */
static inline void *linalg_at(const cf_cyclic *a, void *array, int64_t place)
{
    return (char *)array + place * (int64_t)cf_store_type_size(a->type);
}

static inline void *linalg_element(const cf_cyclic *a, int64_t row, int64_t column)
{
    return linalg_at(a, a->data, column * a->local_rows + row);
}
