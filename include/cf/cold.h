/**
 * cold: rows for cold items. A cold item has no train interactions, so that training gives it no
 * row; its language-model vector does, by a map from vectors to rows that is fitted on warm items.
 * One factor makes cold and warm rows comparable; it is calibrated on warm items that are held out.
 * src/cold/README.md has the formulas.
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"
#include "cf/filter.h"
#include "cf/table.h"

/* ---- Options ---- */

/** Settings: cold_map, cold_neighbors, cold_reg, cold_gains, calibrate_by, calibrate_loss,
 * calibrate_share, calibrate_users. The module also reads `seed`. */
extern const cf_setting cf_cold_settings[];

/** Where the row of a cold item comes from. */
typedef enum cf_cold_kind {
    CF_COLD_NONE,    /* from the model: there is no map */
    CF_COLD_ZERO,    /* zeros */
    CF_COLD_NEAREST, /* the mean of the rows of the nearest warm items */
    CF_COLD_RIDGE,   /* a linear map of the vector */
    CF_COLD_AUTO     /* of options alone: ridge for item-item matrices, nearest for tables */
} cf_cold_kind;

extern const char *const cf_cold_kind_names[]; /* "none", "zero", ...: by kind */

/** What chooses the gain. */
typedef enum cf_cold_by {
    CF_COLD_BY_NDCG, /* what a gain does to the ranking */
    CF_COLD_BY_NORM, /* the lengths of the rows that are held out */
    CF_COLD_BY_AUTO  /* ndcg for item-item matrices, norm for tables */
} cf_cold_by;

enum { CF_COLD_MOST = 16 };
/** The settings as values. Lists are tried in their order, and ties go to the earlier value. */
typedef struct cf_cold_options {
    cf_cold_kind kind;
    int n_neighbors, n_reg, n_gains; /* 1 to CF_COLD_MOST */
    int64_t neighbors[CF_COLD_MOST]; /* nearest: numbers of warm items, at least 1 */
    double reg[CF_COLD_MOST];        /* ridge: added to the diagonal of F'F, at least 0 */
    double gains[CF_COLD_MOST];      /* above 0 */
    cf_cold_by by;
    double calibrate_loss;   /* ndcg: share of the warm hits that a gain may cost; 0 to 1 */
    double calibrate_share;  /* of the warm items, to be held out; 0: no calibration */
    int64_t calibrate_users; /* at most so many users */
    uint64_t seed;
} cf_cold_options;

/** From a config that has cf_cold_settings and `seed`. Local. Errors: USAGE (a list has no number
 * or more than CF_COLD_MOST). */
cf_status cf_cold_read_options(const cf_config *config, cf_cold_options *out);

/* ---- The map ---- */

/** What a map is fitted on. All pointers are borrowed. */
typedef struct cf_cold_place {
    const cf_dataset *dataset;     /* has the vectors */
    const cf_grid *grid;           /* of the tables */
    const cf_shard *shard;         /* its `cold` may be NULL: every item is warm */
    const cf_table *users, *items; /* final tables; users NULL: items is an item-item matrix */
    cf_filter *filter;             /* what adds to the scores of tables; NULL: nothing */
    int64_t memory;                /* bytes that this rank may use to rank */
} cf_cold_place;

/** A pair of parameter and gain that calibration tried, and what it gave in lists of 10. */
typedef struct cf_cold_point {
    double parameter; /* neighbours, or regularization */
    double gain;
    double ndcg; /* mean over targets, those that are held out and the others with equal weight */
    double warm_hit, cold_hit; /* shares hit of the other targets, and of those held out; 0 to 1 */
} cf_cold_point;

/** A map from vectors to rows. The row of a vector x, with f = (x - center) / |x - center|:
 * nearest: gain times the mean of the rows of the `parameter` warm items with largest cosine to f,
 * ties to the lower item; ridge: gain times f'weights; zero: zeros. */
typedef struct cf_cold_map {
    cf_cold_kind kind;       /* zero, nearest or ridge */
    int64_t source_dim, dim; /* numbers of a vector and of a row; source_dim of zero: 0 */
    double *center;          /* source_dim: mean of the vectors of the warm items; zero: NULL */
    double parameter, gain;  /* of zero: 0 */
    cf_table *weights;       /* ridge: source_dim x dim; else NULL */
    int64_t n_points;
    cf_cold_point *points; /* n_points, in the order in which they were tried */
} cf_cold_map;

/**
 * Choose parameter and gain by calibration, then fit the map on all warm items that have a vector.
 * Collective over the grid. The same bits on any number of ranks, on any grid and in any memory.
 * `*out` is new; NULL if there is nothing to fit: kind none, or kind auto without vectors. Errors:
 * USAGE (nearest or ridge without vectors; memory too small to rank), NUMERIC (F'F + reg I is not
 * positive definite; a row is not finite), MEMORY, those of reading.
 */
cf_status cf_cold_fit(const cf_cold_options *options, const cf_cold_place *place,
                      cf_cold_map **out);
/** `*map` may be NULL, and becomes NULL. Local. */
void cf_cold_destroy(cf_cold_map **map);

/**
 * Fill the rows of the marked items of `items`, which has the final rows of the warm items: a copy
 * of the place's table, or its matrix itself. `items` may have more rows than the table had that
 * the map was fitted on, if all of these are marked. `hidden` (n_items): 1 for a marked item
 * without a vector, whose row becomes zero and which is not to be ranked, else 0. Without a map
 * (NULL) nothing is filled or hidden; a dataset without any vector hides nothing. Collective over
 * the grid; the same on every rank. The place's tables are not read. Errors: FORMAT (the map is of
 * other vectors), NUMERIC (a row is not finite), USAGE (memory too small to rank), MEMORY, those of
 * reading.
 */
cf_status cf_cold_apply(const cf_cold_map *map, const cf_cold_place *place, cf_table *items,
                        uint8_t *hidden);

/* ---- Files ---- */

/** Add the map to a file that is being written: arrays under /cold, and attributes. Collective.
 * Errors: those of store. */
cf_status cf_cold_write(const cf_par *par, const cf_cold_map *map, cf_store *store);
/** Read it back, verified, its weights onto a grid. `dim`: numbers of a row of the item table.
 * Collective over the grid. `*out` is new; NULL if the file has no map. Errors: those of store,
 * FORMAT (shapes or numbers that no map has). */
cf_status cf_cold_read(const cf_grid *grid, cf_store *store, int64_t dim, cf_cold_map **out);
