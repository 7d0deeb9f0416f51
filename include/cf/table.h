/**
 * table: tables of rows x dimensions, distributed over the grid: rows in blocks, dimensions in
 * slices of whole 16-float segments.
 */
#pragma once

#include "cf/par.h"
#include "cf/store.h"

#include <string.h>

/* ---- Tables ---- */

/**
 * This rank's part of a table of n_rows x dim floats: rows first_row .. first_row + local_rows - 1,
 * dimensions first_dim .. first_dim + local_dim - 1. In memory each row is `width` floats, a
 * multiple of 16; the floats beyond local_dim are zero and stay zero.
 */
typedef struct cf_table {
    const cf_grid *grid; /* borrowed */
    cf_blocks blocks;    /* of the rows; a copy, freed with the table */
    int64_t n_rows, first_row, local_rows;
    int64_t dim, first_dim, local_dim;
    int64_t width;      /* floats in a local row */
    int64_t full_width; /* floats in a whole row: dim rounded up to whole segments */
    float *data;        /* local_rows x width, aligned to 64 bytes */
} cf_table;

/** The two tables of a model; arrays of two are indexed by this. */
typedef enum cf_side { CF_USERS = 0, CF_ITEMS = 1 } cf_side;

/** Segments of 16 dimensions in a row of `dim`. Local. */
int64_t cf_table_segments(int64_t dim);
/** Slice `column` of a row when `dim` dimensions are cut into `n_columns` slices of whole segments,
 * sizes differing by at most one: its first float in the whole row, and its floats. Local. */
int64_t cf_table_slice_offset(int64_t dim, int n_columns, int column);
int64_t cf_table_slice_width(int64_t dim, int n_columns, int column);

/**
 * A table of zeros. Collective over the grid. `blocks` has one block a grid row. Errors: MEMORY;
 * USAGE (more grid columns than segments). Free with cf_table_destroy().
 */
cf_status cf_table_create(const cf_grid *grid, const cf_blocks *blocks, int64_t dim,
                          cf_table **out);
/** A table with the numbers of another. Collective over the grid. Errors: MEMORY. */
cf_status cf_table_copy(const cf_table *from, cf_table **out);
void cf_table_destroy(cf_table **table);

/** Noise, a function of the seed, the global row and the dimension alone. Local. `row_offset` is
 * added to the row number, so that users and items draw different numbers. */
void cf_table_fill_uniform(cf_table *table, uint64_t seed, int64_t row_offset,
                           double limit); /* uniform in [-limit, limit) */
void cf_table_fill_normal(cf_table *table, uint64_t seed, int64_t row_offset, double std);

/** Add the table to a file being written and write it. Collective. Errors: those of store. */
cf_status cf_table_write(const cf_table *table, cf_store *store, const char *name,
                         const char *dims);
/** Read an array of `n_rows` rows, verified, into the first rows of a table: all of them, or fewer.
 * Collective. Errors: those of store, FORMAT (another shape, or more rows than the table: names
 * both), NUMERIC (NaN or infinity,
 * names the row). */
cf_status cf_table_read(cf_table *table, int64_t n_rows, cf_store *store, const char *name);
/** Rows `first` and all behind become row `row` of `from`, which has the same dimensions.
 * Collective over the grid. Errors: MEMORY. */
cf_status cf_table_repeat_row(cf_table *table, int64_t first, const cf_table *from, int64_t row);

/** Errors: NUMERIC, the same on every rank, naming `what` and the first global row with a NaN or an
 * infinity. Collective over the grid. */
cf_status cf_table_check_finite(const cf_table *table, const char *what);

/* ---- Sparse rows ---- */

/** A number of a sparse row, and its column. A table of sparse rows has in each row its entries by
 * ascending column, CF_ENTRY_FLOATS floats each, whose bits are those of the entry; what is behind
 * the last one is zero. A slice has whole entries. */
typedef struct cf_entry {
    float value; /* not 0; 0: behind the last one */
    int32_t column;
} cf_entry;
enum { CF_ENTRY_FLOATS = sizeof(cf_entry) / sizeof(float) };

/** Entry `k` of a row, or of a slice of one. Local. */
static inline cf_entry cf_table_entry(const float *row, int64_t k)
{
    cf_entry entry;

    memcpy(&entry, row + k * CF_ENTRY_FLOATS, sizeof entry);
    return entry;
}
static inline void cf_table_set_entry(float *row, int64_t k, cf_entry entry)
{
    memcpy(row + k * CF_ENTRY_FLOATS, &entry, sizeof entry);
}

/* ---- Whole rows ---- */

/**
 * Whole rows `first` .. `first + count - 1` (global numbers, any blocks) on every rank of the grid.
 * Collective over the grid; same arguments on all. `out`: count x full_width. Sends count x
 * full_width floats to each rank. Errors: MEMORY.
 */
cf_status cf_table_gather(const cf_table *table, int64_t first, int64_t count, float *out);
/**
 * Whole rows of this rank's own block: row rows[k] (local number) goes to out + k x full_width.
 * Collective over the grid; every rank has its own list, of any length. With one grid column:
 * copies. Errors: MEMORY.
 */
cf_status cf_table_gather_own(const cf_table *table, const int64_t *rows, int64_t count,
                              float *out);

/* ---- Tiles ---- */

/**
 * Whole rows in tiles: the tile_rows rows from tile_rows * t on are tile t, at offsets that no grid
 * changes. A tile lies on one rank, of the grid row whose block has the tile's first row; the ranks
 * of the grid row divide such tiles evenly. For work that needs whole rows and sums of fixed shape.
 */
typedef struct cf_tiles {
    const cf_grid *grid; /* borrowed */
    int64_t tile_rows, n_rows, full_width;
    int64_t first_row, count; /* my rows: whole tiles, but for the last tile of all */
    int64_t capacity;         /* count rounded up to whole tiles */
    cf_plan plan;             /* send: floats of my part of the table to the ranks of their tiles;
                                 receive: floats of my tiles from the ranks that have them */
    int64_t *from, *rows;     /* ranks: which of my rows each rank has: the first, and how many */
    int64_t *offset, *width;  /* ranks: the dimensions that each rank has: first float, floats */
    float *packed;            /* count x full_width, in order of the ranks; NULL on one rank */
} cf_tiles;

/** Plan the tiles of tables that are distributed as `like`. Collective over the grid. Errors:
 * MEMORY, USAGE (a rank's part is too large for an MPI count). Free with cf_table_destroy_tiles().
 */
cf_status cf_table_create_tiles(const cf_table *like, int64_t tile_rows, cf_tiles **out);
void cf_table_destroy_tiles(cf_tiles **tiles);
/**
 * From slices to tiles, and back. Collective over the grid. `table`: my rows of the table x my
 * width; `whole`: count x full_width. Each float is sent once, or not at all where its owner and
 * its tile's rank are one.
 */
void cf_table_to_tiles(cf_tiles *tiles, const float *table, float *whole);
void cf_table_from_tiles(cf_tiles *tiles, const float *whole, float *table);
/** Bytes that this rank sends to others in one cf_table_to_tiles() and one cf_table_from_tiles().
 * Local. */
double cf_table_tiles_bytes(const cf_tiles *tiles);
