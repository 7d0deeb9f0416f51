/* The item rows that a batch needs, from the ranks of the grid column that own them.
 *
 * My distinct items are in ascending order and blocks are ranges, so they are grouped by owner
 * without another sort. The owner finds the distinct rows among all requests, computes their final
 * rows (n_rows x width, not done here), and replies to each requester along the same plan. Without
 * other ranks the items requested are the rows owned, in the same order, and stay where they are.
 */
#include "batch.h"

#include <string.h>

enum { SAMPLES, REMOTE_FLOATS, N_SIZES }; /* of the table: largest batch; x width if rows travel */

static const cf_array arrays[] = {
    CF_ARRAY(item_requests, requested, SAMPLES, 2),
    CF_ARRAY(item_requests, requested_row, SAMPLES, 2),
    CF_ARRAY(item_requests, rows, SAMPLES, 2),
    CF_ARRAY(item_requests, send_rows, REMOTE_FLOATS, 2),
    CF_ARRAY(item_requests, recv_rows, REMOTE_FLOATS, 2),
};
enum { N_ARRAYS = sizeof arrays / sizeof *arrays };

/* Buffers for rows are large; without other ranks they have no element. */
cf_status item_requests_create(const batch_layout *layout, batch_index *index, item_requests *out)
{
    const int64_t remote = layout->column->size > 1 ? layout->max_batch * layout->width : 0;
    cf_status status;

    *out = (item_requests){.blocks = layout->item_blocks, .index = index, .width = layout->width};
    MPI_Type_contiguous(cf_par_count(layout->width), MPI_FLOAT, &out->row_type);
    MPI_Type_commit(&out->row_type);
    CF_TRY(cf_arrays_create(out, arrays, N_ARRAYS, (int64_t[N_SIZES]){layout->max_batch, remote}));
    CF_TRY(cf_par_create_plan(layout->column, &out->plan));
done:
    return status;
}

void item_requests_destroy(item_requests *r)
{
    if (r->blocks == NULL) return;
    MPI_Type_free(&r->row_type);
    cf_arrays_destroy(r, arrays, N_ARRAYS);
    cf_par_destroy_plan(&r->plan);
}

double item_requests_bytes(double max_batch, double width, bool alone)
{
    return cf_arrays_bytes(arrays, N_ARRAYS,
                           (double[N_SIZES]){max_batch, alone ? 0 : max_batch * width});
}

/* The distinct rows among the requests, which a rank may have from several others. */
static void find_requested(item_requests *r)
{
    const int64_t first_item = r->blocks->start[r->plan.par->rank];
    row_sort *sort = r->index->sort;

    for (int64_t k = 0; k < r->plan.n_recv; k++)
        sort->keys[k] = row_key(r->requested[k] - first_item, k);
    r->n_rows = row_sort_number(sort, r->plan.n_recv, r->requested_row, sort->start);
    for (int64_t k = 0; k < r->n_rows; k++)
        r->rows[k] = (int32_t)key_row(sort->keys[sort->start[k]]);
}

/* index->items need no packing: they lie in the order of the plan. */
void item_requests_send(item_requests *r)
{
    const batch_index *index = r->index;

    memset(r->plan.send_count, 0, (size_t)r->plan.par->size * sizeof(int));
    for (int64_t k = 0; k < index->n_items; k++)
        r->plan.send_count[cf_par_block_of(r->blocks, index->items[k])]++;
    cf_par_complete_plan(&r->plan);
    cf_par_send(&r->plan, index->items, r->requested, MPI_INT64_T);
    find_requested(r);
}

/* A row that several ranks requested is sent to each of them. */
void item_requests_reply(item_requests *r, const float *final)
{
    const int64_t width = r->width;

    r->item_rows = final;
    if (r->plan.par->size == 1) return;
    for (int64_t k = 0; k < r->plan.n_recv; k++)
        memcpy(r->send_rows + k * width, final + r->requested_row[k] * width,
               (size_t)width * sizeof(float));
    cf_par_reply(&r->plan, r->send_rows, r->recv_rows, r->row_type);
    r->item_rows = r->recv_rows;
}
