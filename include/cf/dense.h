/**
 * dense: tables of rows x dimensions, spread over the grid: rows in blocks, dimensions in slices of
 * whole 16-float segments. And matrices dealt out to all ranks for linear algebra (ScaLAPACK).
 */
#pragma once

#include "cf/par.h"
#include "cf/store.h"

/**
 * This rank's part of a table of n_rows x dim floats: rows first_row .. first_row + local_rows - 1,
 * dimensions first_dim .. first_dim + local_dim - 1. In memory each row is `width` floats, a
 * multiple of 16; what lies beyond local_dim is zero and stays zero.
 */
typedef struct cf_dense {
    const cf_grid *grid; /* borrowed */
    cf_blocks blocks;    /* of the rows; own copy */
    int64_t n_rows, first_row, local_rows;
    int64_t dim, first_dim, local_dim;
    int64_t width;      /* floats in a local row */
    int64_t full_width; /* floats in a whole row: dim rounded up to whole segments */
    float *data;        /* local_rows x width, aligned to 64 bytes */
} cf_dense;

/** The two tables of a model; arrays of two are indexed by this. */
typedef enum cf_side { CF_USERS = 0, CF_ITEMS = 1 } cf_side;

/** Segments of 16 dimensions in a row of `dim`. */
int64_t cf_dense_segments(int64_t dim);
/** First segment of slice `column` when `dim` dimensions are cut into `n_columns` slices of whole
 * segments, sizes differing by at most one. */
int64_t cf_dense_slice_start(int64_t dim, int n_columns, int column);

/**
 * A table of zeros. Collective over the grid. `blocks` has one block a grid row. Errors: MEMORY;
 * USAGE (more grid columns than segments). Free with cf_dense_destroy().
 */
cf_status cf_dense_create(const cf_grid *grid, const cf_blocks *blocks, int64_t dim,
                          cf_dense **out);
void cf_dense_destroy(cf_dense **table);

/** Noise that depends on the seed and the global place alone. Local. `row_offset` is added to the
 * row number, so that users and items draw apart. */
void cf_dense_fill_uniform(cf_dense *table, uint64_t seed, int64_t row_offset,
                           double limit); /* uniform in [-limit, limit) */
void cf_dense_fill_normal(cf_dense *table, uint64_t seed, int64_t row_offset, double std);

/** Add the table to a file being written and write it; read it back, verified. Collective. Errors:
 * those of store, FORMAT (another shape: names both), NUMERIC (NaN or infinity, names the row). */
cf_status cf_dense_write(const cf_dense *table, cf_store *store, const char *name,
                         const char *dims);
cf_status cf_dense_read(cf_dense *table, cf_store *store, const char *name);

/**
 * Whole rows `first` .. `first + count - 1` (global numbers, any blocks) on every rank of the grid.
 * Collective over the grid; same arguments on all. `out`: count x full_width. Sends count x
 * full_width floats to each rank.
 */
cf_status cf_dense_gather(const cf_dense *table, int64_t first, int64_t count, float *out);
/**
 * Whole rows of this rank's own block: row rows[k] (local number) goes to out + k x full_width.
 * Collective over the grid row only; every rank of it brings its own list, of any length. With one
 * grid column: copies.
 */
cf_status cf_dense_gather_own(const cf_dense *table, const int64_t *rows, int64_t count,
                              float *out);

/** Errors: NUMERIC, the same on every rank, naming `what` and the first bad global row. Collective
 * over the grid. */
cf_status cf_dense_check_finite(const cf_dense *table, const char *what);

/**
 * Whole rows in tiles: rows t x tile_rows .. of tile t, at offsets that no grid changes, lie on one
 * rank: one that has the block of the tile's first row, whose tiles are shared evenly by the ranks
 * of the grid row. For work that needs whole rows and sums of fixed shape.
 */
typedef struct cf_tiles {
    const cf_grid *grid; /* borrowed */
    int64_t tile_rows, n_rows, full_width;
    int64_t first_row, count;     /* my rows: whole tiles but for the last of all */
    int64_t capacity;             /* count rounded up to whole tiles */
    int *table_count, *table_at;  /* ranks: floats of my slice for each, in `packed` */
    int *tile_count, *tile_at;    /* ranks: floats of my tiles from each */
    int64_t *from, *rows, *width; /* ranks: which of my rows they have, and how wide */
    int64_t *offset;              /* ranks: where their dimensions begin */
    float *packed;                /* room for `count` whole rows, if there are other ranks */
} cf_tiles;

/** Plan the tiles of tables that lie as `like`. Collective over the grid. Errors: MEMORY, USAGE (a
 * rank's part is too large for an MPI count). Free with cf_dense_destroy_tiles(). */
cf_status cf_dense_create_tiles(const cf_dense *like, int64_t tile_rows, cf_tiles **out);
void cf_dense_destroy_tiles(cf_tiles **tiles);
/**
 * From slices to tiles, and back. Collective over the grid. `table`: my rows of the table x my
 * width; `whole`: count x full_width. Each number crosses once, unless it is where it belongs.
 */
void cf_dense_to_tiles(cf_tiles *tiles, const float *table, float *whole);
void cf_dense_from_tiles(cf_tiles *tiles, const float *whole, float *table);

/* ---- Linear algebra over all ranks ---- */

/**
 * The ranks as linear algebra takes them: n_rows x n_columns, world rank = my_row * n_columns +
 * my_column. The ranks beyond (one of 5, on 2 x 2) hold no part of any matrix; they enter every
 * Collective function all the same, and get the same results.
 */
typedef struct cf_mesh {
    cf_par world;
    int n_rows, n_columns;
    int my_row, my_column; /* -1 on a rank beyond */
    int handle, context;   /* BLACS's numbers for the communicator and the mesh */
} cf_mesh;

/** Arrange `world`; 0 rows and columns: as square as it can be, with floor(sqrt(ranks)) rows.
 * Collective. Errors: MEMORY. Free with cf_dense_destroy_mesh(). */
cf_status cf_dense_create_mesh(const cf_par *world, int n_rows, int n_columns, cf_mesh **out);
/** Collective. */
void cf_dense_destroy_mesh(cf_mesh **mesh);

/**
 * A matrix of n_rows x n_columns in blocks of block x block, dealt out in turn over both directions
 * of the mesh (ScaLAPACK's block-cyclic layout): element (i, j) lies on process row
 * i / block % mesh->n_rows, process column j / block % mesh->n_columns.
 */
typedef struct cf_cyclic {
    const cf_mesh *mesh; /* borrowed */
    cf_type type;        /* CF_F32 or CF_F64 */
    int64_t n_rows, n_columns, block;
    int64_t local_rows, local_columns; /* mine; 0 on a rank beyond the mesh */
    void *data;                        /* column by column: local_columns x local_rows */
} cf_cyclic;

/**
 * A matrix of zeros. Collective. `block` 0: 64. Errors: MEMORY; USAGE (more than 2^31 - 1 rows or
 * columns, or numbers on one rank: ScaLAPACK counts them in 32 bits). Free with
 * cf_dense_destroy_cyclic().
 */
cf_status cf_dense_create_cyclic(const cf_mesh *mesh, cf_type type, const int64_t shape[2],
                                 int64_t block, cf_cyclic **out);
void cf_dense_destroy_cyclic(cf_cyclic **a);

/**
 * Between the matrix and parts that ranks hold row by row: the one way in and out, for row blocks,
 * tables and whole small matrices alike. Collective; each rank brings its own part (`n_rows` 0:
 * none), `data` of `type`, float32 or float64. Parts to get may overlap (all ranks may ask for the
 * whole); parts to put must not, and what no part covers stays as it is. Sends each number once to
 * each rank that asks, in rounds of at most 2^23 numbers a rank. Errors: MEMORY; USAGE (a round
 * does not fit an MPI count).
 */
cf_status cf_dense_get_cyclic(const cf_cyclic *a, const cf_slab *part, cf_type type, void *data);
cf_status cf_dense_put_cyclic(cf_cyclic *a, const cf_slab *part, cf_type type, const void *data);
/** The same for a table of a's shape on a grid of the same ranks; padding stays zero. */
cf_status cf_dense_get_table(const cf_cyclic *a, cf_dense *table);
cf_status cf_dense_put_table(cf_cyclic *a, const cf_dense *table);

/** a(i, j) = at(context, i, j). Local: every rank computes its own part. */
void cf_dense_fill_cyclic(cf_cyclic *a, double (*at)(const void *context, int64_t i, int64_t j),
                          const void *context);
/** Add `value` to each a(i, i), or put it there; multiply column j, or row i, by factors[j] or
 * factors[i] (n_columns or n_rows numbers, the same on every rank). Local. */
void cf_dense_add_diagonal(cf_cyclic *a, double value);
void cf_dense_fill_diagonal(cf_cyclic *a, double value);
void cf_dense_scale_columns(cf_cyclic *a, const double *factors);
void cf_dense_scale_rows(cf_cyclic *a, const double *factors);
/** c += a, both of one mesh, type, block and shape. Local. */
void cf_dense_add_cyclic(const cf_cyclic *a, cf_cyclic *c);
/**
 * Add to a square matrix the sum of xx' over vectors x of zeros and ones: the ones of vector k are
 * at index[start[k]] .. index[start[k + 1] - 1], ascending, so that a(i, j) grows by the number of
 * vectors that have both i and j. Local: every rank brings the same `count` vectors, and adds what
 * is its own. Exact up to 2^24 in float32, 2^53 in float64, so that order does not matter. Errors:
 * MEMORY.
 */
cf_status cf_dense_add_pairs(cf_cyclic *a, const int64_t *start, const int64_t *index,
                             int64_t count);
/** a(i, i) on every rank; `out`: the smaller of n_rows and n_columns. Collective. */
void cf_dense_get_diagonal(const cf_cyclic *a, double *out);

/** The lower triangle's mirror image into the upper one, of a square matrix. Collective. */
void cf_dense_mirror(cf_cyclic *a);

/**
 * c += alpha a b, and the lower triangle of c += aa', which cf_dense_mirror() completes. Matrices
 * of one mesh, type and block, and of shapes that fit. The same bits on any mesh: sums go block by
 * block in the order of the inner numbers. Each rank meanwhile holds c's longer side x block
 * numbers, and `block` for each of its rows and columns; it receives all numbers of a and b once.
 * Collective. Errors: MEMORY.
 */
cf_status cf_dense_add_product(const cf_cyclic *a, const cf_cyclic *b, double alpha, cf_cyclic *c);
cf_status cf_dense_add_gram(const cf_cyclic *a, cf_cyclic *c);

/**
 * The inverse of a symmetric positive definite matrix, both triangles, in place; the lower one is
 * read. The same bits on any mesh; memory and messages as of cf_dense_add_gram(). Collective.
 * Errors: MEMORY; NUMERIC (not positive definite, NaN and infinity included: names the order of the
 * leading minor that is not), after which `a` holds nothing of use. Source: Goodnight 1979, A
 * Tutorial on the SWEEP Operator.
 */
cf_status cf_dense_invert(cf_cyclic *a);

/**
 * All eigenvalues, ascending, and eigenvectors (columns of `vectors`, of a's shape, type, mesh and
 * block; NULL: none, in less time) of a symmetric matrix, whose lower triangle is read and
 * destroyed. `values`: n, the same on every rank. Collective. The bits depend on the mesh and on
 * the block, and those of the values on whether there are vectors. Errors: MEMORY; USAGE (a
 * workspace of 2^31 numbers or more); NUMERIC (did not converge).
 * Source: Tisseur and Dongarra 1999, a parallel divide and conquer algorithm (p?syevd), with more
 * workspace than it asks for: with little it gives wrong vectors and no error. Without vectors:
 * the QR algorithm without square roots (p?syev).
 */
cf_status cf_dense_eigen(cf_cyclic *a, double *values, cf_cyclic *vectors);
/**
 * The same on one rank, for matrices that fit: rank 0's `matrix` (n x n, row-major; lower or upper
 * triangle alike; NULL elsewhere) becomes eigenvectors, one a row, or, without `vectors`, nothing
 * of use. `values`: n, ascending, on every rank. The same bits on any number of ranks. Collective.
 * Errors: as cf_dense_eigen().
 */
cf_status cf_dense_eigen_one(const cf_par *par, int64_t n, bool vectors, double *matrix,
                             double *values);

/**
 * QR with column pivoting: each next column is the one that is furthest from the span of those
 * before. `order`: n_columns, the columns in that order; `diagonal`: the smaller of n_rows and
 * n_columns, of R; both the same on every rank. `a` is destroyed. Collective. Errors: MEMORY.
 * Source: Golub and Van Loan, Matrix Computations, algorithm 5.4.1 (p?geqpf).
 */
cf_status cf_dense_pivot_columns(cf_cyclic *a, int64_t *order, double *diagonal);

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

/** A sum of nothing. Collective. Errors: MEMORY. Free with cf_dense_destroy_panels(). */
cf_status cf_dense_create_panels(const cf_par *par, int64_t dim, cf_panels **out);
void cf_dense_destroy_panels(cf_panels **panels);
/** Add CF_TILE_ROWS rows (x dim), those that are not there zero; then divide. Local: every rank
 * brings the same tiles, one after the other, for its own panels. */
void cf_dense_add_to_panels(cf_panels *panels, const double *tile);
void cf_dense_divide_panels(cf_panels *panels, double divisor);
/** Column `j`, or the diagonal, `dim` numbers on every rank. Collective. */
void cf_dense_get_panels_column(const cf_panels *panels, int64_t j, double *out);
void cf_dense_get_panels_diagonal(const cf_panels *panels, double *out);
/**
 * All eigenvalues, ascending (`values`: dim), and the eigenvectors of the `n` largest as columns of
 * `directions` (dim x n, the largest first; n 0: none), the same on every rank. Up to dim =
 * `one_rank` by rank 0 alone, with the same bits on any number of ranks; else by all. Collective.
 * Errors: MEMORY, USAGE, NUMERIC, as cf_dense_eigen().
 */
cf_status cf_dense_eigen_panels(const cf_panels *panels, int64_t one_rank, int64_t n,
                                double *values, double *directions);

/** Singular values, descending, of the rows that were added: square roots of the eigenvalues, of 0
 * where one is negative. `singular`: dim, the same on every rank. Rounding of the sum hides those
 * below about 1e-8 of the largest. Collective. Errors: as cf_dense_eigen_panels(). */
cf_status cf_dense_singular_panels(const cf_panels *panels, int64_t one_rank, double *singular);
/** The same of a table, not centred; summed by tiles of rows at fixed offsets, in their order, so
 * that grid and ranks change no bit. Collective over the grid. Errors: those, and NUMERIC (NaN or
 * infinity in the table). */
cf_status cf_dense_singular(const cf_dense *table, int64_t one_rank, double *singular);

/** What singular values s say about collapse; all 0 where all s are. */
enum { CF_SPECTRUM_TOPS = 5 };
extern const int cf_spectrum_top[CF_SPECTRUM_TOPS]; /* 1, 8, 16, 32, 64 */
typedef struct cf_spectrum {
    double effective_rank;          /* exp(-sum p ln p), p = s / sum s: 1 to their number */
    double participation_ratio;     /* (sum s^2)^2 / sum s^4: 1 to their number */
    double information_abundance;   /* sum s / largest s: 1 to their number */
    double share[CF_SPECTRUM_TOPS]; /* of sum s^2, held by the so many largest; in [0, 1] */
} cf_spectrum;
/** Local. `singular`: `count`, descending, none negative. Sources: Roy and Vetterli 2007, The
 * effective rank (EUSIPCO); Guo et al. 2024, On the embedding collapse when scaling up
 * recommendation models (ICML). */
cf_spectrum cf_dense_measure_spectrum(const double *singular, int64_t count);
