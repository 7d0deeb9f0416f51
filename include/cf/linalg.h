/**
 * linalg: block-cyclic matrices over all ranks, and the linear algebra on them: products, inverses,
 * eigenvalues (ScaLAPACK); sums of products of rows, and spectra of tables.
 */
#pragma once

#include "cf/par.h"
#include "cf/store.h"
#include "cf/table.h"

/* ---- Matrices ---- */

/**
 * The ranks as ScaLAPACK arranges them: n_rows x n_columns, world rank = my_row * n_columns +
 * my_column. The ranks that remain (one of 5, on 2 x 2) hold no part of any matrix, but enter every
 * Collective function and get the same results.
 */
typedef struct cf_mesh {
    cf_par world;
    int n_rows, n_columns;
    int my_row, my_column; /* -1 on a rank that is not on the mesh */
    MPI_Comm own;          /* private: a communicator of the same ranks, for BLACS */
    int handle, context;   /* private: BLACS's handles of that communicator and of the mesh */
} cf_mesh;

/** Arrange `world`; with 0 rows and columns as square as possible: floor(sqrt(ranks)) rows.
 * Collective. Errors: MEMORY. Free with cf_linalg_destroy_mesh(). */
cf_status cf_linalg_create_mesh(const cf_par *world, int n_rows, int n_columns, cf_mesh **out);
/** Collective. */
void cf_linalg_destroy_mesh(cf_mesh **mesh);

/**
 * A matrix of n_rows x n_columns in blocks of block x block, distributed cyclically over both
 * dimensions of the mesh (ScaLAPACK's block-cyclic layout): element (i, j) lies on process row
 * i / block % mesh->n_rows, process column j / block % mesh->n_columns.
 */
typedef struct cf_cyclic {
    const cf_mesh *mesh; /* borrowed */
    cf_type type;        /* CF_F32 or CF_F64 */
    int64_t n_rows, n_columns, block;
    int64_t local_rows, local_columns; /* mine; 0 on a rank that is not on the mesh */
    void *data;                        /* column-major: local_columns x local_rows */
} cf_cyclic;

/**
 * A matrix of zeros. Collective. `block` 0: 64. Errors: MEMORY; USAGE (more than 2^31 - 1 rows or
 * columns, or numbers on one rank: ScaLAPACK counts them in 32 bits). Free with
 * cf_linalg_destroy_cyclic().
 */
cf_status cf_linalg_create_cyclic(const cf_mesh *mesh, cf_type type, const int64_t shape[2],
                                  int64_t block, cf_cyclic **out);
void cf_linalg_destroy_cyclic(cf_cyclic **a);

/**
 * Copy between the matrix and parts that ranks hold row by row: row blocks, tables and whole small
 * matrices alike. Collective; each rank has its own part (`n_rows` 0: none), `data` of `type`,
 * float32 or float64. Parts to get may overlap (all ranks may get the whole matrix); parts to put
 * must not, and elements that no part covers are unchanged. Sends each number once to each rank
 * that gets it, in rounds of at most 2^23 numbers a rank. Errors: MEMORY; USAGE (a round does not
 * fit an MPI count).
 */
cf_status cf_linalg_get_cyclic(const cf_cyclic *a, const cf_slab *part, cf_type type, void *data);
cf_status cf_linalg_put_cyclic(cf_cyclic *a, const cf_slab *part, cf_type type, const void *data);
/** Get a table of a's shape, on a grid of the same ranks; its padding stays zero. */
cf_status cf_linalg_get_table(const cf_cyclic *a, cf_table *table);

/** Add `value` to each a(i, i), multiply it, or set it; multiply row i, or column i, by factors[i]
 * (the same on every rank). Local. */
void cf_linalg_add_diagonal(cf_cyclic *a, double value);
void cf_linalg_scale_diagonal(cf_cyclic *a, double factor);
void cf_linalg_fill_diagonal(cf_cyclic *a, double value);
void cf_linalg_scale_rows(cf_cyclic *a, const double *factors);
void cf_linalg_scale_columns(cf_cyclic *a, const double *factors);
/** c += a, both of one mesh, type, block and shape. Local. */
void cf_linalg_add_cyclic(const cf_cyclic *a, cf_cyclic *c);
/**
 * Add to a square matrix the sum of w xx' over vectors x of zeros and ones: the ones of vector k
 * are at index[start[k]] .. index[start[k + 1] - 1], ascending, so that a(i, j) grows by the
 * weights of the vectors that have both i and j. `weights`: count, NULL for ones. Local: every rank
 * passes the same `count` vectors, and adds to its own part. An element grows by one vector after
 * the other, so that the mesh changes no bit; without weights it is exact up to 2^24 in float32,
 * 2^53 in float64. Errors: MEMORY.
 */
cf_status cf_linalg_add_pairs(cf_cyclic *a, const int64_t *start, const int64_t *index,
                              const double *weights, int64_t count);
/** a(i, i) on every rank; `out`: the smaller of n_rows and n_columns. Collective. */
void cf_linalg_get_diagonal(const cf_cyclic *a, double *out);
/** The diagonal of ab' on every rank (`out`: n_rows), from matrices of one mesh, type, block and
 * shape: products in double, added within each block and then block by block, so that the bits are
 * the same on any mesh. Collective. Errors: MEMORY. */
cf_status cf_linalg_get_row_products(const cf_cyclic *a, const cf_cyclic *b, double *out);
/** Replace a matrix by one of another type, its numbers rounded; of the same type it is left as it
 * is. Both are held meanwhile. Collective. Errors: MEMORY. */
cf_status cf_linalg_round_cyclic(cf_cyclic **a, cf_type type);

/** Copy the lower triangle of a square matrix to the upper one, mirrored. Collective. */
void cf_linalg_mirror(cf_cyclic *a);

/**
 * c += alpha a b, c += alpha a b', and the lower triangle of c += aa' and of c += a'a, which
 * cf_linalg_mirror() completes. Matrices of one mesh, type and block, and of shapes that fit. The
 * same bits on any mesh: sums go block by block in the order of the inner numbers. Each rank
 * meanwhile holds c's longer side x block numbers, and `block` for each of its rows and columns; it
 * receives every number of a and b once. Collective. Errors: MEMORY.
 */
cf_status cf_linalg_add_product(const cf_cyclic *a, const cf_cyclic *b, double alpha, cf_cyclic *c);
cf_status cf_linalg_add_product_transposed(const cf_cyclic *a, const cf_cyclic *b, double alpha,
                                           cf_cyclic *c);
cf_status cf_linalg_add_gram(const cf_cyclic *a, cf_cyclic *c);
cf_status cf_linalg_add_gram_transposed(const cf_cyclic *a, cf_cyclic *c);

/**
 * The inverse of a symmetric positive definite matrix, both triangles, in place; the lower one is
 * read. The same bits on any mesh; memory and messages as of cf_linalg_add_gram(). Collective.
 * Errors: MEMORY; NUMERIC (not positive definite, NaN and infinity included: names the order of the
 * leading minor that is not), after which `a` holds nothing of use. Source: Goodnight 1979, A
 * Tutorial on the SWEEP Operator.
 */
cf_status cf_linalg_invert(cf_cyclic *a);

/** A matrix on a mesh of `n_ranks` that is as square as possible. */
typedef struct cf_cyclic_size {
    int64_t n_rows, n_columns, block;
    cf_type type;
    int n_ranks;
} cf_cyclic_size;
/** Bytes on a rank of the mesh, the mean: of the matrix; of what adding a product to it, inverting
 * it, and getting or putting all of it in even parts take meanwhile. Local. */
double cf_linalg_predict_matrix(const cf_cyclic_size *size);
double cf_linalg_predict_product(const cf_cyclic_size *size);
double cf_linalg_predict_inverse(const cf_cyclic_size *size);
double cf_linalg_predict_move(const cf_cyclic_size *size);

/**
 * All eigenvalues, ascending, and eigenvectors (columns of `vectors`, of a's shape, mesh and block;
 * NULL: none, in less time) of a symmetric float64 matrix, whose lower triangle is read and
 * destroyed. `values`: n, the same on every rank. Collective. The bits depend on the mesh and on
 * the block, and those of the values on whether there are vectors. Errors: MEMORY; USAGE (a
 * workspace of 2^31 numbers or more); NUMERIC (did not converge).
 * Source: Tisseur and Dongarra 1999, a parallel divide and conquer algorithm (pdsyevd), with more
 * workspace than its query returns: with that it gives wrong vectors and no error. Without vectors:
 * the QR algorithm without square roots (pdsyev).
 */
cf_status cf_linalg_eigen(cf_cyclic *a, double *values, cf_cyclic *vectors);
/**
 * The same on one rank, for matrices that fit: rank 0's `matrix` (n x n, row-major; lower or upper
 * triangle alike; NULL elsewhere) is replaced by eigenvectors, one a row, or, without `vectors`,
 * destroyed. `values`: n, ascending, on every rank. The same bits on any number of ranks.
 * Collective. Errors: as cf_linalg_eigen().
 */
cf_status cf_linalg_eigen_one(const cf_par *par, int64_t n, bool vectors, double *matrix,
                              double *values);

/* ---- Sums of products, and spectra ---- */

/** Rows in a tile of such a sum. */
enum { CF_TILE_ROWS = 256 };

/**
 * The sum of x'x over rows x, dim x dim: its lower triangle in panels of 128 columns, panel p from
 * row 128 p on, on rank p % ranks. An element does not depend on how many ranks there are.
 */
typedef struct cf_panels {
    const cf_par *par; /* borrowed */
    int64_t dim, n_panels;
    double **panel; /* n_panels: rows x columns of the panel; NULL where another rank has it */
} cf_panels;

/** A sum of no rows. Collective. Errors: MEMORY. Free with cf_linalg_destroy_panels(). */
cf_status cf_linalg_create_panels(const cf_par *par, int64_t dim, cf_panels **out);
void cf_linalg_destroy_panels(cf_panels **panels);
/** Add CF_TILE_ROWS rows (x dim; zeros where there are fewer); divide by a number. Local: every
 * rank passes the same tiles, in the same order, for its own panels. */
void cf_linalg_add_to_panels(cf_panels *panels, const double *tile);
/** Add all rows of a table of as many columns, tile by tile, so that its grid changes no bit.
 * Collective over the grid. Errors: MEMORY. */
cf_status cf_linalg_add_table_to_panels(const cf_table *table, cf_panels *panels);
void cf_linalg_divide_panels(cf_panels *panels, double divisor);
/** Column `j`, or the diagonal, `dim` numbers on every rank. Collective. */
void cf_linalg_get_panels_column(const cf_panels *panels, int64_t j, double *out);
void cf_linalg_get_panels_diagonal(const cf_panels *panels, double *out);
/**
 * All eigenvalues, ascending (`values`: dim), and the eigenvectors of the `n` largest as columns of
 * `vectors` (dim x n, the largest first; n 0: none), the same on every rank. Up to dim =
 * `one_rank_dim` by rank 0 alone, with the same bits on any number of ranks; else by all.
 * Collective. Errors: MEMORY, USAGE, NUMERIC, as cf_linalg_eigen().
 */
cf_status cf_linalg_eigen_panels(const cf_panels *panels, int64_t one_rank_dim, int64_t n,
                                 double *values, double *vectors);

/** Singular values, descending, of the rows that were added: square roots of the eigenvalues, 0
 * where rounding made one negative. `singular`: dim, the same on every rank. Rounding of the sum
 * hides those below about 1e-8 of the largest. Collective. Errors: as cf_linalg_eigen_panels(). */
cf_status cf_linalg_singular_panels(const cf_panels *panels, int64_t one_rank_dim,
                                    double *singular);
/** The same of a table, not centred; of as many numbers as it has columns, those beyond its rows 0.
 * Summed by tiles of rows, or, of fewer rows than columns, by tiles of columns, at fixed offsets in
 * their order, so that grid and ranks change no bit. Collective over the grid. Errors: those, and
 * NUMERIC (NaN or infinity in the table). */
cf_status cf_linalg_singular(const cf_table *table, int64_t one_rank_dim, double *singular);

/** What cf_linalg_singular() costs. */
typedef struct cf_spectrum_cost {
    double bytes; /* that rank 0, which holds most, holds meanwhile */
    double flops; /* of all ranks; above `one_rank_dim` all share them, else rank 0 has most */
} cf_spectrum_cost;
/** Of a table of n_rows x dim. Exact to 2% and 20 KiB up to `one_rank_dim`, above it an estimate.
 * Local. */
cf_spectrum_cost cf_linalg_predict_singular(int64_t n_rows, int64_t dim, int n_ranks,
                                            int64_t one_rank_dim);
/** Its part of the panels and the eigenvalues of a dim x dim sum, without vectors. Local. */
double cf_linalg_predict_panels(int64_t dim, int n_ranks, int64_t one_rank_dim);
/** The panels alone, the mean over the ranks; and what cf_linalg_eigen_one() takes on rank 0.
 * Local.
 */
double cf_linalg_predict_sum(int64_t dim, int n_ranks);
double cf_linalg_predict_eigen_one(int64_t n);

/** Measures of collapse from singular values s; all 0 if all s are. */
enum { CF_SPECTRUM_TOPS = 5 };
extern const int cf_spectrum_top[CF_SPECTRUM_TOPS]; /* 1, 8, 16, 32, 64 */
typedef struct cf_spectrum {
    double effective_rank;             /* exp(-sum p ln p), p = s / sum s: 1 to their number */
    double participation_ratio;        /* (sum s^2)^2 / sum s^4: 1 to their number */
    double information_abundance;      /* sum s / largest s: 1 to their number */
    double fraction[CF_SPECTRUM_TOPS]; /* of sum s^2: the cf_spectrum_top[k] largest; [0, 1] */
} cf_spectrum;
/** Local. `singular`: `count`, descending, none negative. Sources: Roy and Vetterli 2007, The
 * effective rank (EUSIPCO); Guo et al. 2024, On the embedding collapse when scaling up
 * recommendation models (ICML). */
cf_spectrum cf_linalg_measure_spectrum(const double *singular, int64_t count);
