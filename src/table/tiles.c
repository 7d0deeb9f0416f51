/* Tables in tiles: from slices (my block's rows x my slice of the dimensions) to whole rows in
 * tiles at fixed global offsets, and back.
 *
 * Who has which row and which dimension follows from the blocks and the grid, so the exchange plan
 * is computed without a message, once; then each way is one Alltoallv. My part of the table goes
 * out as it lies, for its rows are consecutive; what I receive is copied into whole rows. On one
 * rank both layouts are the same. tests/table/tiles.c goes there and back on every grid. */
#include "cf/table.h"

#include <limits.h>
#include <string.h>

/* First row of the tiles of rank `rank`; of the number of ranks: the end. A tile belongs to the
 * block that has its first row, so the tiles of a block begin at the next whole tile. */
static int64_t first_row_of(const cf_tiles *t, const cf_blocks *blocks, int rank)
{
    const int n_columns = t->grid->n_columns, row = rank / n_columns;
    int64_t begin, end, first;

    if (rank == t->grid->world.size) return t->n_rows;
    begin = cf_ceil_div(blocks->start[row], t->tile_rows);
    end = cf_ceil_div(blocks->start[row + 1], t->tile_rows);
    first = (begin + cf_par_even_start(end - begin, n_columns, rank % n_columns)) * t->tile_rows;
    return cf_min(first, t->n_rows);
}

/* Length of the intersection of a .. a_end - 1 and b .. b_end - 1. */
static int64_t overlap(int64_t a, int64_t a_end, int64_t b, int64_t b_end)
{
    return cf_max(0, cf_min(a_end, b_end) - cf_max(a, b));
}

/* Fill the plan and what each rank has of my rows. False if the counts of a direction do not fit an
 * int together. */
static bool plan_tiles(cf_tiles *t, const cf_table *like)
{
    const cf_grid *grid = t->grid;
    const cf_blocks *blocks = &like->blocks;
    int64_t n_send = 0, n_recv = 0;

    for (int rank = 0; rank < grid->world.size; rank++) {
        const int row = rank / grid->n_columns, column = rank % grid->n_columns;
        const int64_t begin = blocks->start[row], end = blocks->start[row + 1];
        const int64_t send_rows =
            overlap(like->first_row, like->first_row + like->local_rows,
                    first_row_of(t, blocks, rank), first_row_of(t, blocks, rank + 1));

        t->offset[rank] = cf_table_slice_offset(like->dim, grid->n_columns, column);
        t->width[rank] = cf_table_slice_width(like->dim, grid->n_columns, column);
        t->from[rank] = cf_max(0, begin - t->first_row);
        t->rows[rank] = overlap(begin, end, t->first_row, t->first_row + t->count);
        n_send += send_rows * like->width;
        n_recv += t->rows[rank] * t->width[rank];
        if (n_send > INT_MAX || n_recv > INT_MAX) return false;
        t->plan.send_count[rank] = (int)(send_rows * like->width);
        t->plan.recv_count[rank] = (int)(t->rows[rank] * t->width[rank]);
    }
    cf_par_order_plan(&t->plan);
    return true;
}

/* The arrays of one number a rank. */
enum { RANKS };
static const cf_array rank_arrays[] = {
    CF_ARRAY(cf_tiles, from, RANKS, 1), CF_ARRAY(cf_tiles, rows, RANKS, 1),
    CF_ARRAY(cf_tiles, offset, RANKS, 1), CF_ARRAY(cf_tiles, width, RANKS, 1)};
enum { N_RANK_ARRAYS = sizeof rank_arrays / sizeof *rank_arrays };

/* Local. Errors: MEMORY, USAGE. */
static cf_status set_up_tiles(cf_tiles *t, const cf_table *like, int64_t tile_rows)
{
    const cf_par *world = &like->grid->world;
    cf_status status;

    t->grid = like->grid;
    t->tile_rows = tile_rows;
    t->n_rows = like->n_rows;
    t->full_width = like->full_width;
    t->first_row = first_row_of(t, &like->blocks, world->rank);
    t->count = first_row_of(t, &like->blocks, world->rank + 1) - t->first_row;
    t->capacity = cf_ceil_div(t->count, tile_rows) * tile_rows;
    CF_TRY(cf_par_create_plan(world, &t->plan));
    CF_TRY(cf_arrays_create(t, rank_arrays, N_RANK_ARRAYS, (const int64_t[]){world->size}));
    if (world->size > 1) CF_TRY(CF_ALLOC(t->packed, t->count * t->full_width));
    CF_REQUIRE(plan_tiles(t, like), CF_ERR_USAGE,
               "%lld rows of %lld numbers on one rank: use more ranks", (long long)t->count,
               (long long)t->full_width);
done:
    return status;
}

/* All of it is local but the agreement. */
cf_status cf_table_create_tiles(const cf_table *like, int64_t tile_rows, cf_tiles **out)
{
    cf_tiles *tiles = NULL;
    cf_status status = CF_ALLOC(tiles, 1);

    if (status == CF_OK) status = set_up_tiles(tiles, like, tile_rows);
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
    cf_par_destroy_plan(&(*tiles)->plan);
    cf_arrays_destroy(*tiles, rank_arrays, N_RANK_ARRAYS);
    cf_free(&(*tiles)->packed);
    cf_free(tiles);
}

/* Where the part of my rows that `rank` has begins in them. */
static int64_t offset_in_rows(const cf_tiles *t, int rank)
{
    return t->from[rank] * t->full_width + t->offset[rank];
}

/* Copy each rank's part, which is packed, into my whole rows. */
static void unpack_tiles(const cf_tiles *t, float *whole)
{
    for (int rank = 0; rank < t->grid->world.size; rank++)
        for (int64_t r = 0; r < t->rows[rank]; r++)
            memcpy(whole + offset_in_rows(t, rank) + r * t->full_width,
                   t->packed + t->plan.recv_start[rank] + r * t->width[rank],
                   (size_t)t->width[rank] * sizeof *whole);
}

/* The way back. */
static void pack_tiles(cf_tiles *t, const float *whole)
{
    for (int rank = 0; rank < t->grid->world.size; rank++)
        for (int64_t r = 0; r < t->rows[rank]; r++)
            memcpy(t->packed + t->plan.recv_start[rank] + r * t->width[rank],
                   whole + offset_in_rows(t, rank) + r * t->full_width,
                   (size_t)t->width[rank] * sizeof *whole);
}

/* My rows are consecutive and so are the tiles of each rank: the table is sent from where it lies.
 */
void cf_table_to_tiles(cf_tiles *t, const float *table, float *whole)
{
    if (t->grid->world.size == 1) {
        memcpy(whole, table, (size_t)(t->count * t->full_width) * sizeof *whole);
        return;
    }
    cf_par_send(&t->plan, table, t->packed, MPI_FLOAT);
    unpack_tiles(t, whole);
}

void cf_table_from_tiles(cf_tiles *t, const float *whole, float *table)
{
    if (t->grid->world.size == 1) {
        memcpy(table, whole, (size_t)(t->count * t->full_width) * sizeof *table);
        return;
    }
    pack_tiles(t, whole);
    cf_par_reply(&t->plan, t->packed, table, MPI_FLOAT);
}

/* What stays on this rank is not sent. */
double cf_table_tiles_bytes(const cf_tiles *t)
{
    const int me = t->grid->world.rank;

    return (double)sizeof(float) * ((double)(t->plan.n_send - t->plan.send_count[me]) +
                                    (double)(t->plan.n_recv - t->plan.recv_count[me]));
}
