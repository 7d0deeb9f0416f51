/* A whole batch on every rank.
 *
 * Contrastive losses score each sample against all others, and a score needs all dimensions. So the
 * ranks first gather the samples (user, positive, position) over the grid column, and each sorts
 * them alike: all ranks number the distinct rows of a side in the same way. Then every rank
 * contributes its slice of its block's rows, in ascending order, and everyone knows from the
 * numbers alone how many rows come from whom. */
#include "global_batch.h"

#include <string.h>

typedef struct global_sample {
    int64_t id[2]; /* user, positive: global numbers */
    int64_t position;
} global_sample;

/* Sizes of the table: B, floats of whole tiles, of a slice of B rows, of B whole rows if there are
 * other ranks, and ranks to gather from. */
enum { SAMPLES, PADDED_FLOATS, SLICE_FLOATS, REMOTE_FLOATS, GRID_ROWS, RANKS, N_SIZES };

static const cf_array arrays[] = {
    CF_ARRAY(global_batch, send_samples, SAMPLES, 1),
    CF_ARRAY(global_batch, samples, SAMPLES, 1),
    CF_ARRAY(global_batch, index[CF_USERS], SAMPLES, 1),
    CF_ARRAY(global_batch, index[CF_ITEMS], SAMPLES, 1),
    CF_ARRAY(global_batch, id[CF_USERS], SAMPLES, 1),
    CF_ARRAY(global_batch, id[CF_ITEMS], SAMPLES, 1),
    CF_ARRAY(global_batch, times[CF_USERS], SAMPLES, 1),
    CF_ARRAY(global_batch, times[CF_ITEMS], SAMPLES, 1),
    CF_ARRAY(global_batch, local[CF_USERS], SAMPLES, 1),
    CF_ARRAY(global_batch, local[CF_ITEMS], SAMPLES, 1),
    CF_ARRAY(global_batch, rows[CF_USERS], PADDED_FLOATS, 1),
    CF_ARRAY(global_batch, rows[CF_ITEMS], PADDED_FLOATS, 1),
    CF_ARRAY(global_batch, send_rows, SLICE_FLOATS, 1),
    CF_ARRAY(global_batch, recv_rows, REMOTE_FLOATS, 1),
    CF_ARRAY(global_batch, sample_bytes, GRID_ROWS, 1),
    CF_ARRAY(global_batch, sample_start, GRID_ROWS, 1),
    CF_ARRAY(global_batch, row_floats, RANKS, 1),
    CF_ARRAY(global_batch, row_start, RANKS, 1),
};
enum { N_ARRAYS = sizeof arrays / sizeof *arrays };

cf_status global_batch_create(cf_table *const table[2], row_sort *sort, int64_t max_batch,
                              int64_t tile, global_batch *out)
{
    const cf_table *users = table[CF_USERS];
    const int64_t padded = cf_ceil_div(max_batch, tile) * tile;
    const int64_t n_ranks = users->grid->world.size;
    const int64_t sizes[N_SIZES] = {[SAMPLES] = max_batch,
                                    [PADDED_FLOATS] = padded * users->full_width,
                                    [SLICE_FLOATS] = max_batch * users->width,
                                    [REMOTE_FLOATS] =
                                        n_ranks > 1 ? max_batch * users->full_width : 0,
                                    [GRID_ROWS] = users->grid->n_rows,
                                    [RANKS] = n_ranks};

    *out = (global_batch){.grid = users->grid,
                          .blocks = {&table[0]->blocks, &table[1]->blocks},
                          .sort = sort,
                          .width = users->width,
                          .full_width = users->full_width,
                          .dim = users->dim,
                          .padded = padded};
    return cf_arrays_create(out, arrays, N_ARRAYS, sizes);
}

void global_batch_destroy(global_batch *g)
{
    cf_arrays_destroy(g, arrays, N_ARRAYS);
}

double global_batch_bytes(const memory_shape *m, int64_t tile)
{
    return cf_arrays_bytes(
        arrays, N_ARRAYS,
        (double[N_SIZES]){[SAMPLES] = m->batch,
                          [PADDED_FLOATS] = memory_padded(m->batch, tile) * m->full_width,
                          [SLICE_FLOATS] = m->batch * m->width,
                          [REMOTE_FLOATS] = m->ranks > 1 ? m->batch * m->full_width : 0,
                          [GRID_ROWS] = m->n_rows,
                          [RANKS] = m->ranks});
}

/* Each rank of a grid column contributes its samples; ranks of a grid row have the same ones, so
 * the column is enough. Positions tell the order, whatever the order of arrival. */
static void gather_samples(global_batch *g, const cf_batch *batch)
{
    const cf_par *column = &g->grid->column;
    const int bytes = cf_par_count(batch->count * (int64_t)sizeof(global_sample));
    int64_t sum;

    for (int64_t n = 0; n < batch->count; n++)
        g->send_samples[n] = (global_sample){
            {g->blocks[CF_USERS]->start[column->rank] + batch->user[n], batch->positive[n]},
            batch->position[n]};
    MPI_Allgather(&bytes, 1, MPI_INT, g->sample_bytes, 1, MPI_INT, column->comm);
    sum = cf_par_displacements(g->sample_bytes, g->sample_start, column->size);
    CF_ASSERT(sum == batch->size * (int64_t)sizeof(global_sample));
    MPI_Allgatherv(g->send_samples, bytes, MPI_BYTE, g->samples, g->sample_bytes, g->sample_start,
                   MPI_BYTE, column->comm);
}

/* Index in id[side] of the first row of a block. */
static int64_t first_of_block(const global_batch *g, int side, int block)
{
    return cf_search_i64(g->id[side], g->n_rows[side], g->blocks[side]->start[block]);
}

/* Distinct rows of one side, and which of them are my block's. */
static void find_rows(global_batch *g, int side)
{
    const int block = g->grid->my_row;
    int64_t *start = g->sort->start;

    for (int64_t k = 0; k < g->size; k++)
        g->sort->keys[k] = row_key(g->samples[k].id[side], g->samples[k].position);
    g->n_rows[side] = row_sort_number(g->sort, g->size, g->index[side], start);
    for (int64_t k = 0; k < g->n_rows[side]; k++) {
        g->id[side][k] = key_row(g->sort->keys[start[k]]);
        g->times[side][k] = (int32_t)(start[k + 1] - start[k]);
    }
    g->first[side] = first_of_block(g, side, block);
    g->n_own[side] = first_of_block(g, side, block + 1) - g->first[side];
    for (int64_t k = 0; k < g->n_own[side]; k++)
        g->local[side][k] =
            (int32_t)(g->id[side][g->first[side] + k] - g->blocks[side]->start[block]);
}

void global_batch_find(global_batch *g, const cf_batch *batch)
{
    g->size = batch->size;
    gather_samples(g, batch);
    for (int side = 0; side < 2; side++)
        find_rows(g, side);
}

/* Gather all blocks and slices, rank after rank, then put each slice into its place in its row. */
static void gather_slices(global_batch *g, cf_side side)
{
    const cf_grid *grid = g->grid;

    /* how many rows of how many dimensions each rank has follows from the ids: nothing is asked */
    for (int rank = 0; rank < grid->world.size; rank++) {
        const int row = rank / grid->n_columns, column = rank % grid->n_columns;
        const int64_t n_rows = first_of_block(g, side, row + 1) - first_of_block(g, side, row);

        g->row_floats[rank] =
            cf_par_count(n_rows * cf_table_slice_width(g->dim, grid->n_columns, column));
    }
    cf_par_displacements(g->row_floats, g->row_start, grid->world.size);
    MPI_Allgatherv(g->send_rows, g->row_floats[grid->world.rank], MPI_FLOAT, g->recv_rows,
                   g->row_floats, g->row_start, MPI_FLOAT, grid->world.comm);
    for (int rank = 0; rank < grid->world.size; rank++) {
        const int column = rank % grid->n_columns;
        const int64_t width = cf_table_slice_width(g->dim, grid->n_columns, column);
        const int64_t offset = cf_table_slice_offset(g->dim, grid->n_columns, column);
        const int64_t first = first_of_block(g, side, rank / grid->n_columns);
        const float *from = g->recv_rows + g->row_start[rank];
        float *to = g->rows[side] + first * g->full_width + offset;

        for (int64_t k = 0; k < g->row_floats[rank] / width; k++)
            memcpy(to + k * g->full_width, from + k * width, (size_t)width * sizeof(float));
    }
}

/* The rows behind the last are zeros, so that whole tiles can be multiplied: a zero row adds
 * nothing to a gradient, and its weights are not counted. */
void global_batch_gather(global_batch *g, cf_side side)
{
    const int64_t used = g->n_rows[side] * g->full_width;

    if (g->grid->world.size == 1)
        memcpy(g->rows[side], g->send_rows, (size_t)used * sizeof(float));
    else
        gather_slices(g, side);
    memset(g->rows[side] + used, 0, (size_t)(g->padded * g->full_width - used) * sizeof(float));
}

const float *global_batch_slice(const global_batch *g, cf_side side, const float *rows, int64_t k)
{
    return rows + (g->first[side] + k) * g->full_width +
           cf_table_slice_offset(g->dim, g->grid->n_columns, g->grid->my_column);
}
