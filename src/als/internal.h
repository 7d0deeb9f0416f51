/**
 * Private to als: the normal equations of rows, and sums of products of rows.
 *
 * A symmetric matrix of `width` rows (whole segments) is kept as its lower triangle of blocks of
 * 16 x 16, block (I, J) with J <= I at number I (I + 1) / 2 + J, row after row. Where 16 matrices
 * are worked on side by side each number is 16 of them: a segment, whose lane is the matrix.
 */
#pragma once

#include "cf/als.h"
#include "cf/linalg.h"

#ifdef __AVX__
#include <immintrin.h>
#endif

enum { BLOCK_FLOATS = CF_LANES * CF_LANES };

/** Blocks of the lower triangle up to block row I, exclusive. */
static inline int64_t als_triangle(int64_t block_row)
{
    return block_row * (block_row + 1) / 2;
}

/** The number at an address in every lane of a register. From several that lie side by side gcc
 * makes shuffles of one register with AVX2, which take longer than loads. */
static inline cf_vector als_spread(const float *value)
{
#if defined __AVX__ && !defined __AVX512F__
    return _mm256_broadcast_ss(value);
#else
    return cf_vector_all(*value);
#endif
}

/** The floats of block (I, J) of a matrix, or, with a `factor` of 16, of 16 matrices. */
static inline int64_t als_block_at(int64_t i, int64_t j)
{
    return (als_triangle(i) + j) * BLOCK_FLOATS;
}

/** The float of the diagonal of dimension d. */
static inline int64_t als_diagonal_at(int64_t d)
{
    return als_block_at(d / CF_LANES, d / CF_LANES) + d % CF_LANES * (CF_LANES + 1);
}

/* ---- Rows ---- */

/** What a thread solves 16 systems with. */
typedef struct als_solver {
    int64_t dim, n_blocks; /* block rows: segments of a row */
    int64_t most_short;    /* blocks of the largest matrix of a short row; 0: no row is short */
    float *normal;         /* 16 x als_triangle(n_blocks) x 256: the matrices one by one */
    float *lanes;          /* als_triangle(n_blocks) x 256 x 16: side by side; then their factors */
    float *right;          /* 16 x width: right-hand sides one by one, then solutions */
    float *sides;          /* width x 16: side by side */
    float *inverse;        /* width x 16: 1 / the diagonals of the factors */
    float *weighted;       /* ALS_CHUNK x width: rows times their confidence */
    float *turned;         /* 16 x width: rows in the basis */
    float *dual;           /* width x (16 x most_short): of a short row */
    float *identity;       /* als_triangle(most_short) x 256 */
    float *scales;         /* 16 x 3 x width: of short rows */
} als_solver;
/** Local. Errors: MEMORY. Free with als_destroy_solver(), which takes all zero bytes too. */
cf_status als_create_solver(int64_t dim, als_solver *out);
void als_destroy_solver(als_solver *solver);
/** Bytes of one. Local. */
double als_solver_bytes(int64_t dim);

/** One row to be solved: the sum over its neighbours h of c (1 - x.h)^2 + x'Cx + weight |x - p|^2
 * is made smallest by (sum c hh' + C + weight I) x = sum c h + weight p. */
typedef struct als_row {
    const int32_t *neighbours; /* count: places of a field */
    int64_t count;
    const float *weights; /* count: c is this times `unit`; NULL: c is 1 */
    double unit;
    double total;  /* sum of c */
    float weight;  /* >= 0 */
    float *values; /* width: p; then x */
    double least;  /* result: that smallest value */
    double shrunk; /* result: weight |x - p|^2 of it */
    bool solved;   /* result: false if the matrix is not positive definite */
} als_row;
/** c of neighbour `n` of a row with weights. */
static inline float als_confidence(const als_row *row, int64_t n)
{
    return (float)(row->unit * (double)row->weights[n]);
}
/** A row was solved if its results are finite, and no NaN. */
static inline bool als_is_solved(const als_row *row)
{
    return row->shrunk <= __DBL_MAX__ && row->least <= __DBL_MAX__;
}
/** Solve up to 16 rows. `common`: C, as a lower triangle of blocks. The bits of a row do not depend
 * on the others. Local. */
void als_solve_rows(als_solver *solver, const cf_field *in, const float *common, als_row *rows,
                    int count);

/** Blocks of the matrix of a row of `count` neighbours that is short; 0: it is long. Local. */
int64_t als_short_blocks(const als_solver *solver, int64_t count);
/** Solve up to 16 rows of at most 16 x n_blocks neighbours each, where C is diagonal: `values`, and
 * infinity behind the last dimension. The bits of a row depend neither on the others nor on
 * n_blocks. Local. */
void als_solve_short(als_solver *solver, const cf_field *in, const float *values, als_row *rows,
                     int count, int64_t n_blocks);

/** Neighbours whose rows stay in the nearest cache while all blocks are summed. */
enum { ALS_CHUNK = 32 };
/** Rows of some neighbours, and the same times their confidence: those themselves where it is 1. */
typedef struct als_chunk {
    const float *h[ALS_CHUNK], *weighted[ALS_CHUNK];
    int count;
} als_chunk;
/** out = from + sum of c hh' over some neighbours h, in blocks of their lower triangle. Local. */
void als_add_products(const als_chunk *near, int64_t n_blocks, const float *from, float *out);
/** Transpose 16 x 16 numbers: row r is at in + r * in_stride, column c goes to out + c *
 * out_stride. Local. */
void als_transpose(const float *in, int64_t in_stride, float *out, int64_t out_stride);
/** Solve with 16 matrices of `n_blocks` block rows in `normal` and right-hand sides in `right`,
 * which become the solutions. `squares`: |L^-1 b|^2 of each. Local. */
void als_solve_lanes(als_solver *solver, int64_t n_blocks, double squares[CF_LANES]);

/** The factors L of 16 matrices A = LL', in place, and their right-hand sides b become solutions of
 * A x = b. `squares`: |L^-1 b|^2 of each. A lane whose matrix is not positive definite gets NaN.
 * Local. */
void als_factor_and_solve(als_solver *solver, double squares[CF_LANES]);

/* ---- The basis of a side ---- */

/** Eigenvectors of C = V diag(e) V'. */
typedef struct als_basis {
    int64_t dim, width;
    double *found;     /* width: eigenvalues of the Gram matrix */
    float *values;     /* width: e; infinity behind the last dimension */
    float *vectors;    /* width x width: V */
    float *transposed; /* width x width: V' */
    float *common;     /* diag(e), as a lower triangle of blocks */
} als_basis;
/** Local. Errors: MEMORY. Free with als_destroy_basis(), which takes all zero bytes too. */
cf_status als_create_basis(int64_t dim, als_basis *out);
void als_destroy_basis(als_basis *basis);
double als_basis_bytes(int64_t dim, double ranks);
/** The basis of C = factor x gram (dim x dim, the same on all ranks; rank 0's is destroyed).
 * Collective. Errors: MEMORY, NUMERIC (not finite, not converged). */
cf_status als_find_basis(const cf_par *world, double *gram, double factor, als_basis *out);
/** Four rows that are multiplied by a matrix: each `in` and `out` has its width, and they are
 * apart; `out` is aligned to 64 bytes. */
typedef struct als_turn {
    const float *in[4];
    float *out[4];
} als_turn;
/** out = in matrix. `matrix`: width x width. The bits of a row do not depend on the others. Local.
 */
void als_turn_rows(const float *matrix, int64_t width, const als_turn *rows);

/* ---- Sums of products ---- */

/** Some columns of rows in tiles (cf_tiles), each row times a factor. */
typedef struct als_columns {
    const float *rows;     /* of my tiles: count x stride */
    int64_t stride, first; /* of a row; the first column */
    int64_t n;             /* columns */
    const double *factors; /* count; NULL: 1 */
} als_columns;
/** Room for sums of products of up to `a` x `b` columns. */
typedef struct als_products {
    int64_t a, b;
    int n_threads;
    double *tile;    /* threads x CF_TILE_ROWS x (a + b) */
    double *product; /* threads x a x b */
    cf_exact *sum;   /* a x b */
} als_products;
/** Local. Errors: MEMORY. Free with als_destroy_products(), which takes all zero bytes too. */
cf_status als_create_products(int64_t a, int64_t b, als_products *out);
void als_destroy_products(als_products *products);
double als_products_bytes(double a, double b);
/** The sum of a'b over `count` rows of each rank, a.n x b.n numbers on every rank. The sum of a
 * tile has a fixed shape, and the sums of tiles are added exactly, so that the ranks change no bit.
 * Collective. */
void als_sum_products(als_products *products, const cf_par *par, const als_columns *a,
                      const als_columns *b, int64_t count, double *out);

/* ---- The prior of items ---- */

/** Zero bytes: there is none. */
typedef struct als_prior {
    int64_t dim;        /* D, numbers of a vector */
    float *vectors;     /* of the items of my tiles, whole tiles x D */
    double *weights;    /* l of these items; 0 of cold ones */
    double reg;         /* added to the diagonal of X'LX */
    cf_mesh *mesh;      /* of all ranks */
    cf_cyclic *inverse; /* (X'LX + reg I)^-1 */
    float *map;         /* D x full width: M */
    als_products products;
    double *strip; /* a sum of products */
    float *tile;   /* threads x CF_TILE_ROWS x full width */
} als_prior;
void als_destroy_prior(als_prior *prior);
double als_prior_bytes(const cf_als_size *size);
/** Bytes that this rank sends to fill the prior once, without those of the matrices. Local. */
double als_prior_sent(const cf_als *als);

/* ---- The handle ---- */

struct cf_als {
    cf_als_options options;
    cf_als_place place;
    cf_field field; /* whole rows */
    cf_sides sides;
    cf_tiles *tiles[2];
    float *whole;          /* rows of my tiles, of either side; NULL on one rank */
    double *counts;        /* items of my tiles: 0 for a cold one, else 1; NULL: none is cold */
    bool is_weighted;      /* pairs have weights */
    double unit;           /* 1 / their mean; 1 without */
    als_prior prior;       /* of items */
    als_products products; /* dim x dim */
    double *gram;          /* dim x dim */
    als_basis basis;       /* of alpha0 gram */
    int n_threads;
    als_solver *solver; /* threads */
    int64_t *numbers;   /* 0, 1, ..: of the most rows of a side; NULL with one column */
};

/** Whole rows of my tiles of a side. On one rank they are the table. Collective. */
const float *als_take_tiles(cf_als *als, cf_side side);
/** l of a row whose neighbours have a total confidence. Local. */
float als_weight(const cf_als *als, cf_side side, double total);
