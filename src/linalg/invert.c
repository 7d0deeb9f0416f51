/* The inverse of a symmetric positive definite matrix by sweeps of its block columns (Goodnight
 * 1979, A Tutorial on the SWEEP Operator). Sweep k takes Cholesky's factor of the block on the
 * diagonal, A_kk = LL', and then, for i, j != k,
 *
 *     V_i = A_ik L'^-1,    A_ij -= V_i V_j',    A_ik = V_i L^-1,    A_kk = -(LL')^-1;
 *
 * after all sweeps the matrix is minus its inverse. That is n^3 operations, as many as p?potrf and
 * p?potri take together; but all of a sweep except the narrow V is one product over the whole
 * triangle, of which every rank has its part, where those two leave panel after panel to one
 * process column. Sweeps go in ascending order, and all products have the shape of blocks
 * (outer.c), so that the bits are the same on any mesh. tests/linalg/factor.c multiplies by the
 * matrix again. */
#include "cf/blas.h"
#include "outer.h"

#include <math.h>
#include <string.h>

typedef struct sweep {
    cf_cyclic *a;
    linalg_outer outer; /* its rows are those of V */
    void *factor;       /* L, width x width, column by column, with zeros above the diagonal */
} sweep;

/* n numbers of a's type. */
static void negate(const cf_cyclic *a, void *numbers, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        if (a->type == CF_F64)
            ((double *)numbers)[k] *= -1;
        else
            ((float *)numbers)[k] *= -1;
}

/* ---- The block on the diagonal ---- */

/* The block in memory, on the rank that has it; NULL on the others. */
static void *find_block(const sweep *s, int *owner)
{
    const cf_cyclic *a = s->a;
    const int64_t first = s->outer.first;

    *owner = linalg_in_column(a->mesh, s->outer.k, s->outer.k);
    if (a->mesh->world.rank != *owner) return NULL;
    return linalg_element(a, linalg_rows_before(a, first), linalg_columns_before(a, first));
}

/* Factor the block in place, and copy the factor. Returns the order of the first leading minor that
 * is not positive, or 0. potrf does not notice a NaN, but any reaches the factor's diagonal, which
 * is therefore tested. */
static int factor_block(const sweep *s, void *block)
{
    const int n = (int)s->outer.width, ld = (int)s->a->local_rows;
    int info = 0;

    if (s->a->type == CF_F64)
        dpotrf_("L", &n, block, &ld, &info);
    else
        spotrf_("L", &n, block, &ld, &info);
    memset(s->factor, 0, (size_t)(n * n) * s->outer.size);
    for (int64_t j = 0; j < n; j++) {
        const int64_t pivot = j * ld + j;

        memcpy(linalg_at(s->a, s->factor, j * n + j), linalg_at(s->a, block, pivot),
               (size_t)(n - j) * s->outer.size);
        if (info == 0 && !isfinite(linalg_read(s->a->type, block, pivot))) info = (int)j + 1;
    }
    return info;
}

/* Replace the factor in place by -(LL')^-1. */
static void invert_block(const sweep *s, void *block)
{
    const int n = (int)s->outer.width, ld = (int)s->a->local_rows;
    int info = 0;

    if (s->a->type == CF_F64)
        dpotri_("L", &n, block, &ld, &info);
    else
        spotri_("L", &n, block, &ld, &info);
    CF_ASSERT(info == 0);
    for (int64_t j = 0; j < n; j++)
        negate(s->a, linalg_at(s->a, block, j * ld + j), n - j);
}

/* ---- Block column k ---- */

/* Above the block on the diagonal only the mirror image of a block column is kept. */
static int owner_of_row(const cf_mesh *mesh, int64_t i, int64_t k)
{
    return i == k ? -1 : i < k ? linalg_in_row(mesh, i, k) : linalg_in_column(mesh, i, k);
}

/* The two pieces of block column k that I have: its part below the diagonal, and, left of the
 * diagonal in block row k, the mirror image of its part above. */
typedef struct pieces {
    int64_t left, below;      /* numbers of rows */
    void *at_left, *at_below; /* first element of each in the matrix */
    void *rows_below;         /* rows of the second among `mine`; those of the first begin it */
} pieces;

static pieces find_pieces(const sweep *s)
{
    const cf_cyclic *a = s->a;
    const linalg_outer *o = &s->outer;
    const int64_t row = linalg_rows_before(a, o->first),
                  column = linalg_columns_before(a, o->first);
    const int64_t left = a->mesh->my_row == o->k % a->mesh->n_rows ? column : 0;
    const int64_t below = o->n_mine - left;

    return (pieces){left, below, linalg_element(a, row, 0),
                    linalg_element(a, a->local_rows - below, column),
                    linalg_at(a, o->mine, left * o->width)};
}

static void read_mine(const sweep *s)
{
    const linalg_outer *o = &s->outer;
    const pieces p = find_pieces(s);

    if (p.left > 0) linalg_read_rows(o, p.left, p.at_left, s->a->local_rows, 1, o->mine);
    if (p.below > 0) linalg_read_rows(o, p.below, p.at_below, 1, s->a->local_rows, p.rows_below);
}

static void write_mine(const sweep *s)
{
    const linalg_outer *o = &s->outer;
    const pieces p = find_pieces(s);

    if (p.left > 0) linalg_write_rows(o, p.left, o->mine, s->a->local_rows, 1, p.at_left);
    if (p.below > 0) linalg_write_rows(o, p.below, p.rows_below, 1, s->a->local_rows, p.at_below);
}

/* x = x L'^-1, or x L^-1, for each of my rows. They are solved for a block at a time, whatever
 * their number: the shape of a call decides its bits. */
static void solve_mine(const sweep *s, bool transpose)
{
    const linalg_outer *o = &s->outer;
    const CBLAS_TRANSPOSE of_factor = transpose ? CblasNoTrans : CblasTrans; /* of columns x' */
    const int width = (int)o->width;

#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < o->n_mine; row += s->a->block) {
        const int n = (int)cf_min(o->n_mine - row, s->a->block);
        void *x = linalg_at(s->a, o->mine, row * width);

        if (s->a->type == CF_F64)
            cblas_dtrsm(CblasColMajor, CblasLeft, CblasLower, of_factor, CblasNonUnit, width, n, 1,
                        s->factor, width, x, width);
        else
            cblas_strsm(CblasColMajor, CblasLeft, CblasLower, of_factor, CblasNonUnit, width, n, 1,
                        s->factor, width, x, width);
    }
}

/* ---- The inverse ---- */

/* Sweep block column k. Returns the order of the first leading minor that is not positive, or 0:
 * the same on every rank. The column's own part of the matrix is overwritten last, because the
 * outer product touches it too: rows of the block itself are zero in V (owner -1), so it adds
 * nothing. */
static int sweep_block(sweep *s)
{
    const cf_par *world = &s->a->mesh->world;
    linalg_outer *o = &s->outer;
    int owner, info = 0;
    void *block = find_block(s, &owner);

    if (block != NULL) info = factor_block(s, block);
    cf_par_broadcast(world, &info, sizeof info, owner);
    if (info > 0) return (int)o->first + info;
    cf_par_broadcast(world, s->factor, o->width * o->width * (int64_t)o->size, owner);
    linalg_plan_rows(o, s->a->n_rows, owner_of_row);
    read_mine(s);
    solve_mine(s, true);
    linalg_broadcast_rows(o);
    linalg_set_left(o);
    linalg_set_right(o);
    linalg_add_outer(o, -1, true);
    solve_mine(s, false);
    write_mine(s);
    if (block != NULL) invert_block(s, block);
    return 0;
}

/* The sweeps leave minus the inverse in the lower triangle. The upper triangle is not kept on the
 * way: it is mirrored at the end. */
cf_status cf_linalg_invert(cf_cyclic *a)
{
    sweep s = {.a = a};
    cf_status status;

    CF_ASSERT(a->n_rows == a->n_columns);
    CF_TRY(linalg_create_outer(a, &s.outer));
    CF_TRY(cf_par_agree(&a->mesh->world, cf_alloc(&s.factor, a->block * a->block, s.outer.size)));
    for (int64_t k = 0; linalg_next_inner(&s.outer, a->n_rows, k); k++) {
        const int order = sweep_block(&s);

        CF_REQUIRE(order == 0, CF_ERR_NUMERIC,
                   "a %lld x %lld matrix is not positive definite: its leading minor of order %d "
                   "is not",
                   (long long)a->n_rows, (long long)a->n_rows, order);
    }
    negate(a, a->data, a->local_rows * a->local_columns);
    cf_linalg_mirror(a);
done:
    linalg_destroy_outer(&s.outer);
    cf_free(&s.factor);
    return status;
}
