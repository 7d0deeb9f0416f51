/** Private to cold: vectors, the rows that come of them, and the two maps. */
#pragma once

#include "cf/cold.h"
#include "cf/linalg.h"

/* ---- Vectors ---- */

/**
 * F: all vectors, minus their center, of length 1; rows of items without a vector are zero. They
 * lie on a grid of their own, of one column: so each rank reads its own rows, and no grid of the
 * tables is too wide for them.
 */
typedef struct cold_vectors {
    cf_grid *grid;    /* ranks x 1 */
    cf_mesh *mesh;    /* of the same ranks, for matrices: BLACS has no two of one communicator */
    cf_blocks blocks; /* of the items, even */
    cf_table *rows;   /* n_items x D */
    uint8_t *present; /* n_items, on every rank: has the item a vector? */
    uint8_t *outside; /* n_items, on every rank: not 0 where the item is not fitted on: it is
                         marked, or without a vector, or held out */
    int64_t n_inside; /* items to fit on */
} cold_vectors;

/** Read the vectors. `center` (D numbers): written, the mean of the items that are fitted on; or
 * read if `is_known`. Collective. Errors: MEMORY, those of reading. Destroy then too; takes all
 * zero bytes. */
cf_status cold_read_vectors(const cf_cold_place *place, bool is_known, double *center,
                            cold_vectors *out);
void cold_destroy_vectors(cold_vectors *v);

/* ---- Rows to fill ---- */

/** Rows of a table that come of a map, at a gain of 1. */
typedef struct cold_rows {
    int64_t count;
    int64_t *items;        /* count, on every rank: global numbers, ascending */
    int64_t first, n_mine; /* those of my block of the table: from items[first] on */
    float *rows;           /* n_mine x width of the table; zeros at first */
} cold_rows;

/** The rows of the items that are chosen (n_items flags, not 0) in a table like this. Collective.
 * Errors: MEMORY. Destroy then too; takes all zero bytes. */
cf_status cold_create_rows(const cf_table *like, const uint8_t *chosen, cold_rows *out);
void cold_destroy_rows(cold_rows *rows);
/** Write gain times the rows into the table. Local. */
void cold_put_rows(const cold_rows *rows, double gain, cf_table *to);

/* ---- Nearest ---- */

/** The `k` nearest of the items that are fitted on, of each item of `rows`: count x k on every
 * rank, best first, -1 where there are fewer. Collective. `*out` is new, freed with cf_free().
 * Errors: those of cf_eval_topk(). */
cf_status cold_find_nearest(const cold_vectors *v, const cold_rows *rows, int64_t k, int64_t memory,
                            int64_t **out);
/** Fill the rows with means of rows of `from`: of the first `k` of the `most` nearest. Collective.
 * Errors: MEMORY. */
cf_status cold_fill_nearest(const cf_table *from, const int64_t *nearest, int64_t most, int64_t k,
                            cold_rows *rows);

/* ---- Ridge ---- */

/** What all regularizations share. */
typedef struct cold_ridge {
    cf_cyclic *gram;      /* F'F, D x D, lower triangle */
    int64_t n_strips;     /* of the columns of Q */
    cf_cyclic **products; /* n_strips: F'Q, D x columns of the strip */
} cold_ridge;

/** F'F and F'Q, of the items that are fitted on. Collective. Errors: MEMORY, USAGE (too large for
 * ScaLAPACK). Destroy then too; takes all zero bytes. */
cf_status cold_create_ridge(const cold_vectors *v, const cf_table *q, cold_ridge *out);
void cold_destroy_ridge(cold_ridge *ridge);
/** A table for weights: D x columns of Q. Collective. Errors: MEMORY. */
cf_status cold_create_weights(const cf_grid *grid, int64_t source_dim, int64_t dim, cf_table **out);
/** weights = (F'F + reg I)^-1 F'Q. Collective. Errors: NUMERIC (not positive definite), MEMORY. */
cf_status cold_solve_ridge(const cold_ridge *ridge, double reg, cf_table *weights);
/** Fill the rows with f'weights. Collective. Errors: MEMORY, USAGE. */
cf_status cold_fill_ridge(const cold_vectors *v, const cf_table *weights, cold_rows *rows);

/* ---- Calibration ---- */

/** Items that are held out (H), and users who are asked what they like. */
typedef struct cold_asked {
    const cf_cold_options *options;
    const cf_cold_place *place;
    cf_random key;
    uint8_t *held; /* n_items, on every rank: in H */
    int64_t n_held;
    uint8_t *asked;       /* users of the block: is asked */
    int64_t n_asked;      /* on all ranks */
    int64_t n_targets[2]; /* of them all: liked items outside of H, in H */
    cf_shard shard;       /* histories as train, what is liked as test; else the place's */
} cold_asked;
/** Hold items out, and ask. Collective. Errors: MEMORY. Destroy then too; takes all zero bytes. */
cf_status cold_ask(const cf_cold_options *options, const cf_cold_place *place, cold_vectors *v,
                   cold_asked *out);
void cold_destroy_asked(cold_asked *asked);

/** Set parameter, gain and points of a map of the given kind. `v`: what is held out is outside only
 * meanwhile. Collective. Errors: as cf_cold_fit(). */
cf_status cold_calibrate(const cf_cold_options *options, const cf_cold_place *place,
                         cold_vectors *v, cf_cold_map *map);
