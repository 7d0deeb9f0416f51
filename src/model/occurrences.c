/* The gradient of item rows, summed by the items' owners.
 *
 * For sample n with score x = u . (i - j) and c = dloss / dx, the gradient of row i has the term
 * c u, that of row j the term -c u. A term travels as its coefficient and the index of u; u itself
 * travels once to each rank that owns some item of its samples. Floating-point sums depend on their
 * order, so the owner sorts what it received by (item, position in the batch): the order that one
 * rank alone has. */
#include "batch.h"

#include <string.h>

enum { SAMPLES, REMOTE_FLOATS, N_SIZES }; /* of the table: largest batch; x width if rows travel */

static const cf_array arrays[] = {
    CF_ARRAY(occurrences, send, SAMPLES, 2),
    CF_ARRAY(occurrences, recv, SAMPLES, 2),
    CF_ARRAY(occurrences, by_order, SAMPLES, 2),
    CF_ARRAY(occurrences, by_item, SAMPLES, 2),
    CF_ARRAY_MORE(occurrences, item_start, SAMPLES, 2, 1),
    CF_ARRAY(occurrences, packed_for, SAMPLES, 1),
    CF_ARRAY(occurrences, packed_index, SAMPLES, 1),
    CF_ARRAY(occurrences, recv_users, REMOTE_FLOATS, 2),
};
enum { N_ARRAYS = sizeof arrays / sizeof *arrays };

/* At most two occurrences a sample arrive, and at most one user row each. */
cf_status occurrences_create(const batch_layout *layout, const item_requests *requests,
                             occurrences *out)
{
    const int64_t remote = layout->column->size > 1 ? layout->max_batch * layout->width : 0;
    cf_status status;

    *out = (occurrences){
        .index = requests->index, .requests = requests, .send_users = requests->send_rows};
    MPI_Type_contiguous(sizeof(occurrence), MPI_BYTE, &out->record_type);
    MPI_Type_commit(&out->record_type);
    CF_TRY(cf_arrays_create(out, arrays, N_ARRAYS, (int64_t[N_SIZES]){layout->max_batch, remote}));
    CF_TRY(cf_par_create_plan(layout->column, &out->plan));
    CF_TRY(cf_par_create_plan(layout->column, &out->user_plan));
done:
    return status;
}

void occurrences_destroy(occurrences *o)
{
    if (o->requests == NULL) return;
    MPI_Type_free(&o->record_type);
    cf_arrays_destroy(o, arrays, N_ARRAYS);
    cf_par_destroy_plan(&o->plan);
    cf_par_destroy_plan(&o->user_plan);
}

double occurrences_bytes(double max_batch, double width, bool alone)
{
    return cf_arrays_bytes(arrays, N_ARRAYS,
                           (double[N_SIZES]){max_batch, alone ? 0 : max_batch * width});
}

/* The index of a user's row in the message to `owner`, after packing it unless it is there. The
 * occurrences of an owner follow one another, so knowing the last owner is enough. */
static int32_t pack_user(occurrences *o, int32_t user, int owner, const float *final,
                         int64_t *n_packed)
{
    const int64_t width = o->requests->width;

    if (o->packed_for[user] != owner) {
        o->packed_for[user] = owner;
        o->packed_index[user] = o->user_plan.send_count[owner]++;
        memcpy(o->send_users + (*n_packed)++ * width, final + user * width,
               (size_t)width * sizeof(float));
    }
    return o->packed_index[user];
}

/* Local occurrences in order of their items, which groups them by owner, and their user rows. On a
 * column of one rank the user rows stay where they are. */
static void pack_occurrences(occurrences *o, const cf_batch *batch, const float *final,
                             const float *coefficient)
{
    const batch_index *index = o->index;
    const int size = o->plan.par->size;
    int64_t n_packed = 0;

    memset(o->plan.send_count, 0, (size_t)size * sizeof(int));
    memset(o->user_plan.send_count, 0, (size_t)size * sizeof(int));
    for (int64_t k = 0; k < index->n_users; k++)
        o->packed_for[k] = -1; /* the last batch had other users */
    for (int64_t k = 0; k < 2 * batch->count; k++) {
        const int32_t local = index->by_item[k], n = local / 2, user = index->user_index[n];
        const int64_t item = index->items[index->item_index[local]];
        const int owner = cf_par_block_of(o->requests->blocks, item);

        o->send[k] =
            (occurrence){.item = item,
                         .order = 2 * batch->position[n] + local % 2,
                         .coefficient = local % 2 ? -coefficient[n] : coefficient[n],
                         .user = size == 1 ? user : pack_user(o, user, owner, final, &n_packed)};
        o->plan.send_count[owner]++;
    }
}

/* Sends the records and the rows they refer to. After it, occurrence.user counts in user_rows, not
 * in one sender's message. */
static void exchange_occurrences(occurrences *o, const float *final)
{
    const cf_plan *plan = &o->plan;

    cf_par_complete_plan(&o->plan);
    cf_par_complete_plan(&o->user_plan);
    cf_par_send(plan, o->send, o->recv, o->record_type);
    o->user_rows = final;
    if (plan->par->size == 1) return;
    cf_par_send(&o->user_plan, o->send_users, o->recv_users, o->requests->row_type);
    o->user_rows = o->recv_users;
    for (int p = 0; p < plan->par->size; p++)
        for (int k = plan->recv_start[p]; k < plan->recv_start[p] + plan->recv_count[p]; k++)
            o->recv[k].user += o->user_plan.recv_start[p];
}

/* Fills by_item and item_start. Orders are distinct over the batch, so an occurrence is found again
 * by its order after the keys (item, order) are sorted. */
static void order_occurrences(occurrences *o)
{
    const item_requests *requests = o->requests;
    const int64_t n = o->plan.n_recv, first_item = requests->blocks->start[o->plan.par->rank];
    row_sort *sort = o->index->sort;
    int64_t row = -1;

    for (int64_t k = 0; k < n; k++) {
        sort->keys[k] = row_key(o->recv[k].item - first_item, o->recv[k].order);
        o->by_order[o->recv[k].order] = (int32_t)k;
    }
    if (o->plan.par->size > 1) /* one rank's occurrences are in order already */
        cf_sort_u64(sort->keys, sort->scratch, n);
    for (int64_t k = 0; k < n; k++) {
        const int64_t item = key_row(sort->keys[k]);

        if (row < 0 || requests->rows[row] != item) o->item_start[++row] = k;
        CF_ASSERT(requests->rows[row] == item);
        o->by_item[k] = o->by_order[key_position(sort->keys[k])];
    }
    /* an item was requested if and only if it has an occurrence */
    CF_ASSERT(row + 1 == requests->n_rows);
    o->item_start[row + 1] = n;
}

void occurrences_send(occurrences *o, const cf_batch *batch, const float *final,
                      const float *coefficient)
{
    pack_occurrences(o, batch, final, coefficient);
    exchange_occurrences(o, final);
    order_occurrences(o);
}
