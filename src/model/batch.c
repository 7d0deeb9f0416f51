/* The samples of a batch, sorted by row.
 *
 * A rank has the samples of its own users. Sorting keys (row, position) brings equal rows together
 * and keeps the order of positions within each, so one radix sort a side gives the distinct rows,
 * which row each sample needs, and which samples need a row: what gathering rows and summing
 * gradients take. No hash table, and the same order on any grid. */
#include "batch.h"

enum { SAMPLES, N_SIZES }; /* of the tables of arrays: the largest batch */

/* ---- Sorting rows ---- */

/* All sorts of a step use the same keys: a sample has at most two of them, one an item, and
 * requests and occurrences received by one rank are at most those of the whole batch. */
static const cf_array sort_arrays[] = {
    CF_ARRAY(row_sort, keys, SAMPLES, 2),
    CF_ARRAY(row_sort, scratch, SAMPLES, 2),
    CF_ARRAY_MORE(row_sort, start, SAMPLES, 2, 1),
};
enum { N_SORT_ARRAYS = sizeof sort_arrays / sizeof *sort_arrays };

cf_status row_sort_create(int64_t n_rows, int64_t max_batch, row_sort *out)
{
    const int64_t most = (int64_t)POSITION_MASK / 2; /* a sample has two positions: its items' */
    cf_status status;

    *out = (row_sort){0};
    /* two bits are left free, so that keys stay positive as signed numbers too */
    CF_REQUIRE(max_batch <= most && n_rows >> (62 - POSITION_BITS) == 0, CF_ERR_USAGE,
               "train_batch_size %lld is too large: at most %lld", (long long)max_batch,
               (long long)most);
    CF_TRY(cf_arrays_create(out, sort_arrays, N_SORT_ARRAYS, (int64_t[N_SIZES]){max_batch}));
done:
    return status;
}

void row_sort_destroy(row_sort *sort)
{
    cf_arrays_destroy(sort, sort_arrays, N_SORT_ARRAYS);
}

double row_sort_bytes(double max_batch)
{
    return cf_arrays_bytes(sort_arrays, N_SORT_ARRAYS, (double[N_SIZES]){max_batch});
}

int64_t row_sort_number(row_sort *sort, int64_t n, int32_t *index, int64_t *start)
{
    const uint64_t *keys = sort->keys;
    int64_t n_rows = 0;

    cf_sort_u64(sort->keys, sort->scratch, n);
    for (int64_t k = 0; k < n; k++) {
        if (k == 0 || key_row(keys[k]) != key_row(keys[k - 1])) start[n_rows++] = k;
        index[key_position(keys[k])] = (int32_t)(n_rows - 1);
    }
    start[n_rows] = n;
    return n_rows;
}

/* ---- My samples ---- */

static const cf_array index_arrays[] = {
    CF_ARRAY(batch_index, users, SAMPLES, 1),
    CF_ARRAY(batch_index, user_index, SAMPLES, 1),
    CF_ARRAY(batch_index, by_user, SAMPLES, 1),
    CF_ARRAY_MORE(batch_index, user_start, SAMPLES, 1, 1),
    CF_ARRAY(batch_index, items, SAMPLES, 2),
    CF_ARRAY(batch_index, item_index, SAMPLES, 2),
    CF_ARRAY(batch_index, by_item, SAMPLES, 2),
};
enum { N_INDEX_ARRAYS = sizeof index_arrays / sizeof *index_arrays };

cf_status batch_index_create(row_sort *sort, int64_t max_batch, batch_index *out)
{
    *out = (batch_index){.sort = sort};
    return cf_arrays_create(out, index_arrays, N_INDEX_ARRAYS, (int64_t[N_SIZES]){max_batch});
}

void batch_index_destroy(batch_index *index)
{
    cf_arrays_destroy(index, index_arrays, N_INDEX_ARRAYS);
}

double batch_index_bytes(double max_batch)
{
    return cf_arrays_bytes(index_arrays, N_INDEX_ARRAYS, (double[N_SIZES]){max_batch});
}

/* Distinct users and the samples of each. Samples come in ascending position, so positions ascend
 * within each user: user_gradient() sums in that order. */
static void find_users(batch_index *index, const cf_batch *batch)
{
    const uint64_t *keys = index->sort->keys;

    for (int64_t n = 0; n < batch->count; n++)
        index->sort->keys[n] = row_key(batch->user[n], n);
    index->n_users =
        row_sort_number(index->sort, batch->count, index->user_index, index->user_start);
    for (int64_t u = 0; u < index->n_users; u++)
        index->users[u] = (int32_t)key_row(keys[index->user_start[u]]);
    for (int64_t k = 0; k < batch->count; k++)
        index->by_user[k] = key_position(keys[k]);
}

/* Distinct items and the local occurrences of each. The positive and the negative of a sample may
 * be the same item: they are two occurrences of it. */
static void find_items(batch_index *index, const cf_batch *batch)
{
    const int64_t n_occurrences = 2 * batch->count;
    int64_t *start = index->sort->start;
    uint64_t *keys = index->sort->keys;

    for (int64_t n = 0; n < batch->count; n++) {
        keys[2 * n] = row_key(batch->positive[n], 2 * n);
        keys[2 * n + 1] = row_key(batch->negative[n], 2 * n + 1);
    }
    index->n_items = row_sort_number(index->sort, n_occurrences, index->item_index, start);
    for (int64_t i = 0; i < index->n_items; i++)
        index->items[i] = key_row(keys[start[i]]);
    for (int64_t k = 0; k < n_occurrences; k++)
        index->by_item[k] = key_position(keys[k]);
}

void batch_index_find(batch_index *index, const cf_batch *batch)
{
    find_users(index, batch);
    find_items(index, batch);
}
