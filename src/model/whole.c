#include "whole.h"

#include "internal.h"

#include <string.h>

typedef struct whole_sample {
    int64_t id[2]; /* user, positive: global numbers */
    int64_t place;
} whole_sample;

cf_status whole_batch_create(cf_table *const table[2], int64_t max_batch, int64_t tile,
                             whole_batch *out)
{
    const cf_table *users = table[CF_USERS];
    const int64_t padded = (max_batch + tile - 1) / tile * tile, n_ranks = users->grid->world.size;
    cf_status status;

    *out = (whole_batch){.grid = users->grid,
                         .blocks = {&table[0]->blocks, &table[1]->blocks},
                         .width = users->width,
                         .full_width = users->full_width,
                         .dim = users->dim,
                         .padded = padded};
    for (int side = 0; side < 2; side++) {
        CF_TRY(CF_ALLOC(out->slot[side], max_batch));
        CF_TRY(CF_ALLOC(out->id[side], max_batch));
        CF_TRY(CF_ALLOC(out->times[side], max_batch));
        CF_TRY(CF_ALLOC(out->rows[side], padded * users->full_width));
    }
    CF_TRY(CF_ALLOC(out->mine, max_batch));
    CF_TRY(CF_ALLOC(out->all, max_batch));
    CF_TRY(CF_ALLOC(out->keys, max_batch));
    CF_TRY(CF_ALLOC(out->scratch, max_batch));
    CF_TRY(CF_ALLOC(out->packed, max_batch * users->width));
    CF_TRY(CF_ALLOC(out->joined, n_ranks > 1 ? max_batch * users->full_width : 0));
    CF_TRY(CF_ALLOC(out->byte_count, users->grid->n_rows));
    CF_TRY(CF_ALLOC(out->byte_start, users->grid->n_rows));
    CF_TRY(CF_ALLOC(out->row_count, n_ranks));
    CF_TRY(CF_ALLOC(out->row_start, n_ranks));
done:
    return status;
}

double whole_batch_memory(const memory_shape *m, int64_t tile)
{
    const double lists = 2 * (4 + 8 + 4) + 2 * (double)sizeof(whole_sample) + 2 * 8;

    return 8 * memory_padded(m->batch, tile) * m->full_width +
           m->batch * (lists + 4 * m->width + (m->ranks > 1 ? 4 * m->full_width : 0));
}

void whole_batch_destroy(whole_batch *w)
{
    void *const all[] = {&w->slot[0],    &w->slot[1],   &w->id[0],    &w->id[1],  &w->times[0],
                         &w->times[1],   &w->rows[0],   &w->rows[1],  &w->mine,   &w->all,
                         &w->keys,       &w->scratch,   &w->packed,   &w->joined, &w->byte_count,
                         &w->byte_start, &w->row_count, &w->row_start};

    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        cf_free(all[k]);
}

static void gather_samples(whole_batch *w, const cf_batch *batch)
{
    const cf_par *column = &w->grid->column;
    const int bytes = cf_par_count(batch->count * (int64_t)sizeof(whole_sample));
    int64_t sum;

    for (int64_t n = 0; n < batch->count; n++)
        w->mine[n] = (whole_sample){
            {w->blocks[CF_USERS]->start[column->rank] + batch->user[n], batch->positive[n]},
            batch->place[n]};
    MPI_Allgather(&bytes, 1, MPI_INT, w->byte_count, 1, MPI_INT, column->comm);
    sum = cf_par_displacements(w->byte_count, w->byte_start, column->size);
    CF_ASSERT(sum == batch->size * (int64_t)sizeof(whole_sample));
    MPI_Allgatherv(w->mine, bytes, MPI_BYTE, w->all, w->byte_count, w->byte_start, MPI_BYTE,
                   column->comm);
}

/* Distinct rows of one side, and which are my block's. */
static void find_rows(whole_batch *w, int side)
{
    const cf_blocks *blocks = w->blocks[side];
    const int block = w->grid->my_row;
    int64_t n = 0;

    for (int64_t k = 0; k < w->size; k++)
        w->keys[k] = (uint64_t)w->all[k].id[side] << LOW_BITS | (uint64_t)w->all[k].place;
    cf_sort_u64(w->keys, w->scratch, w->size);
    for (int64_t k = 0; k < w->size; k++) {
        const int64_t id = (int64_t)(w->keys[k] >> LOW_BITS);

        if (n == 0 || w->id[side][n - 1] != id) {
            w->times[side][n] = 0;
            w->id[side][n++] = id;
        }
        w->times[side][n - 1]++;
        w->slot[side][w->keys[k] & LOW_MASK] = (int32_t)(n - 1);
    }
    w->count[side] = n;
    w->first[side] = cf_search_i64(w->id[side], n, blocks->start[block]);
    w->n_mine[side] = cf_search_i64(w->id[side], n, blocks->start[block + 1]) - w->first[side];
}

void whole_batch_find(whole_batch *w, const cf_batch *batch)
{
    w->size = batch->size;
    gather_samples(w, batch);
    for (int side = 0; side < 2; side++)
        find_rows(w, side);
}

static int64_t slice_offset(const whole_batch *w, int column)
{
    return cf_table_slice_start(w->dim, w->grid->n_columns, column) * CF_LANES;
}

/* Rows of all blocks and slices, one rank's after the other, to their places. */
static void join(whole_batch *w, cf_side side)
{
    const cf_grid *grid = w->grid;
    const int64_t *start = w->blocks[side]->start, *id = w->id[side], n = w->count[side];

    for (int rank = 0; rank < grid->world.size; rank++) {
        const int row = rank / grid->n_columns, column = rank % grid->n_columns;
        const int64_t rows =
            cf_search_i64(id, n, start[row + 1]) - cf_search_i64(id, n, start[row]);

        w->row_count[rank] =
            cf_par_count(rows * (slice_offset(w, column + 1) - slice_offset(w, column)));
    }
    cf_par_displacements(w->row_count, w->row_start, grid->world.size);
    MPI_Allgatherv(w->packed, w->row_count[grid->world.rank], MPI_FLOAT, w->joined, w->row_count,
                   w->row_start, MPI_FLOAT, grid->world.comm);
    for (int rank = 0; rank < grid->world.size; rank++) {
        const int column = rank % grid->n_columns;
        const int64_t width = slice_offset(w, column + 1) - slice_offset(w, column);
        const int64_t first = cf_search_i64(id, n, start[rank / grid->n_columns]);
        const float *from = w->joined + w->row_start[rank];
        float *to = w->rows[side] + first * w->full_width + slice_offset(w, column);

        for (int64_t k = 0; k < w->row_count[rank] / width; k++)
            memcpy(to + k * w->full_width, from + k * width, (size_t)width * sizeof(float));
    }
}

void whole_batch_gather(whole_batch *w, cf_side side)
{
    const int64_t used = w->count[side] * w->full_width;

    if (w->grid->world.size == 1)
        memcpy(w->rows[side], w->packed, (size_t)used * sizeof(float));
    else
        join(w, side);
    memset(w->rows[side] + used, 0, (size_t)(w->padded * w->full_width - used) * sizeof(float));
}

const float *whole_batch_slice(const whole_batch *w, cf_side side, const float *rows, int64_t k)
{
    return rows + (w->first[side] + k) * w->full_width + slice_offset(w, w->grid->my_column);
}
