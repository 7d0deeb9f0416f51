#include "internal.h"

#include <string.h>

static cf_status allocate_lists(batch_rows *out, int64_t max_batch)
{
    const int64_t n = out->capacity;
    cf_status status;

    CF_TRY(CF_ALLOC(out->keys, n));
    CF_TRY(CF_ALLOC(out->scratch, n));
    CF_TRY(CF_ALLOC(out->wanted, n));
    CF_TRY(CF_ALLOC(out->user_slot, max_batch));
    CF_TRY(CF_ALLOC(out->item_slot, n));
    CF_TRY(CF_ALLOC(out->by_user, max_batch));
    CF_TRY(CF_ALLOC(out->by_item, n));
    CF_TRY(CF_ALLOC(out->user_start, max_batch + 1));
    CF_TRY(CF_ALLOC(out->item_start, n + 1));
    CF_TRY(CF_ALLOC(out->rows[CF_USERS], max_batch));
    CF_TRY(CF_ALLOC(out->rows[CF_ITEMS], n));
    CF_TRY(CF_ALLOC(out->asked, n));
    CF_TRY(CF_ALLOC(out->asked_slot, n));
    CF_TRY(CF_ALLOC(out->sent, n));
    CF_TRY(CF_ALLOC(out->came, n));
    CF_TRY(CF_ALLOC(out->came_order, n));
    CF_TRY(CF_ALLOC(out->marks, 2 * max_batch));
done:
    return status;
}

static cf_status allocate_counts(batch_rows *out)
{
    int **const all[] = {&out->want_count, &out->want_start, &out->ask_count,  &out->ask_start,
                         &out->row_count,  &out->row_start,  &out->user_count, &out->user_base};
    cf_status status = CF_OK;

    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        CF_TRY(cf_alloc(all[k], out->column->size, sizeof(int)));
done:
    return status;
}

cf_status batch_rows_create(const cf_grid *grid, const cf_blocks *items, int64_t width,
                            int64_t max_batch, batch_rows *out)
{
    const int64_t away = grid->n_rows > 1 ? 2 * max_batch * width : 0; /* only rows that travel */
    cf_status status = CF_OK;

    *out = (batch_rows){
        .column = &grid->column, .item_blocks = items, .width = width, .capacity = 2 * max_batch};
    if (out->capacity > (int64_t)LOW_MASK || items->start[items->count] >> (62 - LOW_BITS) != 0)
        return CF_FAIL(CF_ERR_USAGE, "train_batch_size %lld is too large: at most %lld",
                       (long long)max_batch, (long long)(LOW_MASK / 2));
    CF_TRY(allocate_lists(out, max_batch));
    CF_TRY(allocate_counts(out));
    CF_TRY(CF_ALLOC(out->final[CF_USERS], max_batch * width));
    CF_TRY(CF_ALLOC(out->final[CF_ITEMS], out->capacity * width));
    CF_TRY(CF_ALLOC(out->outgoing, away));
    CF_TRY(CF_ALLOC(out->wanted_final, away));
    CF_TRY(CF_ALLOC(out->user_rows, away));
    MPI_Type_contiguous(cf_par_count(width), MPI_FLOAT, &out->row_type);
    MPI_Type_commit(&out->row_type);
    MPI_Type_contiguous(sizeof(occurrence), MPI_BYTE, &out->occurrence_type);
    MPI_Type_commit(&out->occurrence_type);
done:
    return status;
}

void batch_rows_destroy(batch_rows *rows)
{
    void *const all[] = {
        &rows->keys,         &rows->scratch,    &rows->wanted,     &rows->user_slot,
        &rows->item_slot,    &rows->by_user,    &rows->by_item,    &rows->user_start,
        &rows->item_start,   &rows->rows[0],    &rows->rows[1],    &rows->final[0],
        &rows->final[1],     &rows->asked,      &rows->asked_slot, &rows->sent,
        &rows->came,         &rows->came_order, &rows->marks,      &rows->outgoing,
        &rows->wanted_final, &rows->user_rows,  &rows->want_count, &rows->want_start,
        &rows->ask_count,    &rows->ask_start,  &rows->row_count,  &rows->row_start,
        &rows->user_count,   &rows->user_base};

    if (rows->user_rows != NULL) {
        MPI_Type_free(&rows->row_type);
        MPI_Type_free(&rows->occurrence_type);
    }
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        cf_free(all[k]);
}

/* Distinct users of my samples, and the samples of each in order of place. */
static void find_users(batch_rows *rows, const cf_batch *batch)
{
    int64_t n = 0;

    for (int64_t k = 0; k < batch->count; k++)
        rows->keys[k] = (uint64_t)batch->user[k] << LOW_BITS | (uint64_t)k;
    cf_sort_u64(rows->keys, rows->scratch, batch->count);
    for (int64_t k = 0; k < batch->count; k++) {
        const int32_t user = (int32_t)(rows->keys[k] >> LOW_BITS);

        if (n == 0 || rows->rows[CF_USERS][n - 1] != user) {
            rows->user_start[n] = k;
            rows->rows[CF_USERS][n++] = user;
        }
        rows->by_user[k] = (int32_t)(rows->keys[k] & LOW_MASK);
        rows->user_slot[rows->by_user[k]] = (int32_t)(n - 1);
    }
    rows->user_start[n] = batch->count;
    rows->n_rows[CF_USERS] = n;
}

/* Distinct items of my samples; occurrence 2 n is sample n's positive, 2 n + 1 its negative. */
static void find_wanted(batch_rows *rows, const cf_batch *batch)
{
    memset(rows->want_count, 0, (size_t)rows->column->size * sizeof(int));
    rows->n_wanted = 0;
    for (int64_t k = 0; k < batch->count; k++) {
        rows->keys[2 * k] = (uint64_t)batch->positive[k] << LOW_BITS | (uint64_t)(2 * k);
        rows->keys[2 * k + 1] = (uint64_t)batch->negative[k] << LOW_BITS | (uint64_t)(2 * k + 1);
    }
    cf_sort_u64(rows->keys, rows->scratch, 2 * batch->count);
    for (int64_t k = 0; k < 2 * batch->count; k++) {
        const int64_t item = (int64_t)(rows->keys[k] >> LOW_BITS);

        if (rows->n_wanted == 0 || rows->wanted[rows->n_wanted - 1] != item) {
            rows->wanted[rows->n_wanted++] = item;
            rows->want_count[cf_par_block_of(rows->item_blocks, item)]++;
        }
        rows->by_item[k] = (int32_t)(rows->keys[k] & LOW_MASK);
        rows->item_slot[rows->by_item[k]] = (int32_t)(rows->n_wanted - 1);
    }
}

/* Distinct items among those asked of me, ascending. */
static void find_asked(batch_rows *rows, int64_t first_item)
{
    const int last = rows->column->size - 1;
    const int64_t n_asked = rows->ask_start[last] + rows->ask_count[last];
    int64_t n = 0;

    for (int64_t k = 0; k < n_asked; k++)
        rows->keys[k] = (uint64_t)(rows->asked[k] - first_item) << LOW_BITS | (uint64_t)k;
    cf_sort_u64(rows->keys, rows->scratch, n_asked);
    for (int64_t k = 0; k < n_asked; k++) {
        const int32_t item = (int32_t)(rows->keys[k] >> LOW_BITS);

        if (n == 0 || rows->rows[CF_ITEMS][n - 1] != item) rows->rows[CF_ITEMS][n++] = item;
        rows->asked_slot[rows->keys[k] & LOW_MASK] = (int32_t)(n - 1);
    }
    rows->n_rows[CF_ITEMS] = n;
}

void batch_rows_find(batch_rows *rows, const cf_batch *batch)
{
    const cf_par *column = rows->column;

    find_users(rows, batch);
    find_wanted(rows, batch);
    MPI_Alltoall(rows->want_count, 1, MPI_INT, rows->ask_count, 1, MPI_INT, column->comm);
    cf_par_displacements(rows->want_count, rows->want_start, column->size);
    cf_par_displacements(rows->ask_count, rows->ask_start, column->size);
    MPI_Alltoallv(rows->wanted, rows->want_count, rows->want_start, MPI_INT64_T, rows->asked,
                  rows->ask_count, rows->ask_start, MPI_INT64_T, column->comm);
    find_asked(rows, rows->item_blocks->start[column->rank]);
}

void batch_rows_fetch(batch_rows *rows)
{
    const cf_par *column = rows->column;
    const int64_t width = rows->width;
    int64_t n_asked;

    if (column->size == 1) return; /* wanted rows are my own, in the same order */
    n_asked = rows->ask_start[column->size - 1] + rows->ask_count[column->size - 1];
    for (int64_t k = 0; k < n_asked; k++)
        memcpy(rows->outgoing + k * width, rows->final[CF_ITEMS] + rows->asked_slot[k] * width,
               (size_t)width * sizeof(float));
    MPI_Alltoallv(rows->outgoing, rows->ask_count, rows->ask_start, rows->row_type,
                  rows->wanted_final, rows->want_count, rows->want_start, rows->row_type,
                  column->comm);
}

/* Occurrences by owner (they are sorted by item), and the user rows they need, each once an owner.
 * Without other ranks the user rows stay where they are. */
static void pack_occurrences(batch_rows *rows, const cf_batch *batch, const float *coefficient)
{
    const bool alone = rows->column->size == 1;
    int64_t n_packed = 0, *peer = rows->marks, *packed = rows->marks + rows->capacity / 2;

    memset(rows->ask_count, 0, (size_t)rows->column->size * sizeof(int));
    memset(rows->user_count, 0, (size_t)rows->column->size * sizeof(int));
    for (int64_t k = 0; k < rows->n_rows[CF_USERS]; k++)
        peer[k] = -1;
    for (int64_t k = 0; k < 2 * batch->count; k++) {
        const int32_t place = rows->by_item[k], n = place / 2, user = rows->user_slot[n];
        const int64_t item = rows->wanted[rows->item_slot[place]];
        const int owner = cf_par_block_of(rows->item_blocks, item);

        if (!alone && peer[user] != owner) {
            peer[user] = owner;
            packed[user] = rows->user_count[owner]++;
            memcpy(rows->outgoing + n_packed++ * rows->width,
                   rows->final[CF_USERS] + user * rows->width, (size_t)rows->width * sizeof(float));
        }
        rows->sent[k] = (occurrence){.item = item,
                                     .order = 2 * batch->place[n] + place % 2,
                                     .coefficient = place % 2 ? -coefficient[n] : coefficient[n],
                                     .user = alone ? user : (int32_t)packed[user]};
        rows->ask_count[owner]++;
    }
}

static void exchange_occurrences(batch_rows *rows)
{
    const cf_par *column = rows->column;

    cf_par_displacements(rows->ask_count, rows->ask_start, column->size);
    cf_par_displacements(rows->user_count, rows->user_base, column->size);
    MPI_Alltoall(rows->ask_count, 1, MPI_INT, rows->want_count, 1, MPI_INT, column->comm);
    MPI_Alltoall(rows->user_count, 1, MPI_INT, rows->row_count, 1, MPI_INT, column->comm);
    cf_par_displacements(rows->want_count, rows->want_start, column->size);
    cf_par_displacements(rows->row_count, rows->row_start, column->size);
    MPI_Alltoallv(rows->sent, rows->ask_count, rows->ask_start, rows->occurrence_type, rows->came,
                  rows->want_count, rows->want_start, rows->occurrence_type, column->comm);
    if (column->size == 1) return;
    MPI_Alltoallv(rows->outgoing, rows->user_count, rows->user_base, rows->row_type,
                  rows->user_rows, rows->row_count, rows->row_start, rows->row_type, column->comm);
    for (int p = 0; p < column->size; p++)
        for (int k = rows->want_start[p]; k < rows->want_start[p] + rows->want_count[p]; k++)
            rows->came[k].user += rows->row_start[p];
}

/* came_order: occurrences by item, then order; item_start by row of mine. The key's low part is the
 * order, looked up again after sorting. */
static void order_occurrences(batch_rows *rows, int64_t first_item)
{
    const int last = rows->column->size - 1;
    const int64_t n = rows->want_start[last] + rows->want_count[last];
    int32_t *of_order = rows->asked_slot; /* free by now; an order is below 2 x size of the batch */
    int64_t row = -1;

    for (int64_t k = 0; k < n; k++) {
        rows->keys[k] =
            (uint64_t)(rows->came[k].item - first_item) << LOW_BITS | (uint64_t)rows->came[k].order;
        of_order[rows->came[k].order] = (int32_t)k;
    }
    if (last > 0) cf_sort_u64(rows->keys, rows->scratch, n); /* alone they are in order */
    for (int64_t k = 0; k < n; k++) {
        const int32_t item = (int32_t)(rows->keys[k] >> LOW_BITS);

        if (row < 0 || rows->rows[CF_ITEMS][row] != item) rows->item_start[++row] = k;
        CF_ASSERT(rows->rows[CF_ITEMS][row] == item);
        rows->came_order[k] = of_order[rows->keys[k] & LOW_MASK];
    }
    CF_ASSERT(row + 1 == rows->n_rows[CF_ITEMS]);
    rows->item_start[row + 1] = n;
}

void batch_rows_return(batch_rows *rows, const cf_batch *batch, const float *coefficient)
{
    pack_occurrences(rows, batch, coefficient);
    exchange_occurrences(rows);
    order_occurrences(rows, rows->item_blocks->start[rows->column->rank]);
}
