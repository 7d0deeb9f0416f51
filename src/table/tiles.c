#include "cf/table.h"

#include <limits.h>
#include <string.h>

/* First row of rank `rank`'s tiles; of rank P: the end. */
static int64_t first_row_of(const cf_tiles *t, const cf_blocks *blocks, int rank)
{
    const int n_columns = t->grid->n_columns, row = rank / n_columns;
    int64_t begin, end, first;

    if (rank == t->grid->world.size) return t->n_rows;
    begin = (blocks->start[row] + t->tile_rows - 1) / t->tile_rows;
    end = (blocks->start[row + 1] + t->tile_rows - 1) / t->tile_rows;
    first = (begin + cf_par_even_start(end - begin, n_columns, rank % n_columns)) * t->tile_rows;
    return first < t->n_rows ? first : t->n_rows;
}

static int64_t overlap(int64_t a, int64_t a_end, int64_t b, int64_t b_end)
{
    const int64_t first = a > b ? a : b, end = a_end < b_end ? a_end : b_end;

    return end > first ? end - first : 0;
}

/* Who has which part of whose rows. False if a count does not fit. */
static bool plan(cf_tiles *t, const cf_table *like)
{
    const cf_grid *grid = t->grid;
    const cf_blocks *blocks = &like->blocks;
    int64_t table_at = 0, tile_at = 0;

    for (int rank = 0; rank < grid->world.size; rank++) {
        const int row = rank / grid->n_columns, column = rank % grid->n_columns;
        const int64_t theirs = first_row_of(t, blocks, rank);
        const int64_t begin = blocks->start[row], end = blocks->start[row + 1];

        t->offset[rank] = cf_table_slice_start(like->dim, grid->n_columns, column) * CF_LANES;
        t->width[rank] = cf_table_slice_start(like->dim, grid->n_columns, column + 1) * CF_LANES -
                         t->offset[rank];
        t->from[rank] = begin > t->first_row ? begin - t->first_row : 0;
        t->rows[rank] = overlap(begin, end, t->first_row, t->first_row + t->count);
        t->table_at[rank] = (int)table_at;
        t->tile_at[rank] = (int)tile_at;
        table_at += overlap(like->first_row, like->first_row + like->local_rows, theirs,
                            first_row_of(t, blocks, rank + 1)) *
                    like->width;
        tile_at += t->rows[rank] * t->width[rank];
        if (table_at > INT_MAX || tile_at > INT_MAX) return false;
        t->table_count[rank] = (int)table_at - t->table_at[rank];
        t->tile_count[rank] = (int)tile_at - t->tile_at[rank];
    }
    return true;
}

static cf_status fill(cf_tiles *t, const cf_table *like, int64_t tile_rows)
{
    const int64_t n = like->grid->world.size;
    cf_status status;

    t->grid = like->grid;
    t->tile_rows = tile_rows;
    t->n_rows = like->n_rows;
    t->full_width = like->full_width;
    t->first_row = first_row_of(t, &like->blocks, like->grid->world.rank);
    t->count = first_row_of(t, &like->blocks, like->grid->world.rank + 1) - t->first_row;
    t->capacity = (t->count + tile_rows - 1) / tile_rows * tile_rows;
    CF_TRY(CF_ALLOC(t->table_count, 4 * n));
    t->table_at = t->table_count + n;
    t->tile_count = t->table_count + 2 * n;
    t->tile_at = t->table_count + 3 * n;
    CF_TRY(CF_ALLOC(t->from, 4 * n));
    t->rows = t->from + n;
    t->width = t->from + 2 * n;
    t->offset = t->from + 3 * n;
    if (n > 1) CF_TRY(CF_ALLOC(t->packed, t->count * t->full_width));
    if (!plan(t, like))
        status = CF_FAIL(CF_ERR_USAGE, "%lld rows of %lld numbers on one rank: use more ranks",
                         (long long)t->count, (long long)t->full_width);
done:
    return status;
}

cf_status cf_table_create_tiles(const cf_table *like, int64_t tile_rows, cf_tiles **out)
{
    cf_tiles *tiles = NULL;
    cf_status status = CF_ALLOC(tiles, 1);

    if (status == CF_OK) status = fill(tiles, like, tile_rows);
    CF_TRY(cf_par_agree(&like->grid->world, status));
    *out = tiles;
    tiles = NULL;
done:
    cf_table_destroy_tiles(&tiles);
    return status;
}

void cf_table_destroy_tiles(cf_tiles **tiles)
{
    if (*tiles == NULL) return;
    cf_free(&(*tiles)->table_count);
    cf_free(&(*tiles)->from);
    cf_free(&(*tiles)->packed);
    cf_free(tiles);
}

/* Where the part that `rank` has of my rows goes in them. */
static int64_t place_of(const cf_tiles *t, int rank)
{
    return t->from[rank] * t->full_width + t->offset[rank];
}

static void unpack(const cf_tiles *t, float *whole)
{
    for (int rank = 0; rank < t->grid->world.size; rank++)
        for (int64_t r = 0; r < t->rows[rank]; r++)
            memcpy(whole + place_of(t, rank) + r * t->full_width,
                   t->packed + t->tile_at[rank] + r * t->width[rank],
                   (size_t)t->width[rank] * sizeof(float));
}

static void pack(cf_tiles *t, const float *whole)
{
    for (int rank = 0; rank < t->grid->world.size; rank++)
        for (int64_t r = 0; r < t->rows[rank]; r++)
            memcpy(t->packed + t->tile_at[rank] + r * t->width[rank],
                   whole + place_of(t, rank) + r * t->full_width,
                   (size_t)t->width[rank] * sizeof(float));
}

void cf_table_to_tiles(cf_tiles *t, const float *table, float *whole)
{
    if (t->grid->world.size == 1) {
        memcpy(whole, table, (size_t)(t->count * t->full_width) * sizeof(float));
        return;
    }
    MPI_Alltoallv(table, t->table_count, t->table_at, MPI_FLOAT, t->packed, t->tile_count,
                  t->tile_at, MPI_FLOAT, t->grid->world.comm);
    unpack(t, whole);
}

void cf_table_from_tiles(cf_tiles *t, const float *whole, float *table)
{
    if (t->grid->world.size == 1) {
        memcpy(table, whole, (size_t)(t->count * t->full_width) * sizeof(float));
        return;
    }
    pack(t, whole);
    MPI_Alltoallv(t->packed, t->tile_count, t->tile_at, MPI_FLOAT, table, t->table_count,
                  t->table_at, MPI_FLOAT, t->grid->world.comm);
}

double cf_table_tiles_bytes(const cf_tiles *t)
{
    const cf_par *world = &t->grid->world;
    double floats = 0;

    for (int rank = 0; rank < world->size; rank++)
        if (rank != world->rank) floats += t->table_count[rank] + t->tile_count[rank];
    return floats * (double)sizeof(float);
}
