/* Train interactions by item, from the lists by user: a distributed transposition.
 *
 * Every rank has consecutive users and consecutive items. An interaction goes to the rank that has
 * its item, as one word: the item's local index at the receiver in the upper half, the user's local
 * index at the sender in the lower. Weights follow in a second exchange. The receiver sorts by
 * item. Both directions of the graph are
 * then in the file, and no reader has to transpose. tests/dataset/content.c compares the files of
 * any number of ranks byte by byte.
 */
#include "internal.h"

int64_t dataset_list_size(const cf_lists *lists)
{
    return lists->count > 0 ? lists->start[lists->count] : 0;
}

typedef struct transposer {
    const cf_par *world;
    const cf_lists *train;
    cf_blocks users, items;  /* which rank has which */
    bool weighted;           /* the interactions of some rank have weights */
    int64_t *n_recv;         /* world: pairs from each rank, 0 from this one */
    uint64_t *received;      /* pairs of the other ranks, in order of the ranks */
    float *received_weights; /* of these, if weighted */
} transposer;

/* Interactions that are sent, grouped by rank. */
typedef struct outgoing {
    int64_t *count; /* world: for each rank */
    uint64_t *pairs;
    float *weights; /* if weighted */
} outgoing;

/* The consecutive blocks of all ranks, of which this one has `count`. Collective. */
static cf_status gather_blocks(const cf_par *world, int64_t count, cf_blocks *out)
{
    int64_t before, total;
    cf_status status;

    CF_TRY(cf_par_agree(world, cf_par_create_blocks(0, world->size, out)));
    CF_ASSERT(count < UINT32_MAX);
    cf_par_exscan(world, count, &before, &total);
    MPI_Allgather(&before, 1, MPI_INT64_T, out->start, 1, MPI_INT64_T, world->comm);
    out->start[world->size] = total;
done:
    return status;
}

/* The interactions of my users with items of other ranks, grouped by rank. Local. */
static cf_status group_by_owner(const transposer *t, outgoing *out)
{
    const cf_lists *train = t->train;
    int64_t *next = NULL, sum = 0;
    cf_status status;

    CF_TRY(CF_ALLOC(next, t->world->size));
    for (int64_t e = 0; e < dataset_list_size(train); e++)
        out->count[cf_par_block_of(&t->items, train->index[e])]++;
    out->count[t->world->rank] = 0;
    for (int p = 0; p < t->world->size; p++) {
        next[p] = sum;
        sum += out->count[p];
    }
    CF_TRY(CF_ALLOC(out->pairs, sum));
    if (t->weighted) CF_TRY(CF_ALLOC(out->weights, sum));
    for (int64_t u = 0; sum > 0 && u < train->count; u++)
        for (int64_t e = train->start[u]; e < train->start[u + 1]; e++) {
            const int owner = cf_par_block_of(&t->items, train->index[e]);

            if (owner == t->world->rank) continue;
            if (t->weighted) out->weights[next[owner]] = train->weight[e];
            out->pairs[next[owner]++] =
                (uint64_t)(train->index[e] - t->items.start[owner]) << 32 | (uint64_t)u;
        }
done:
    cf_free(&next);
    return status;
}

/* Lists that are filled: next[item + 1] is where the next user of a local item goes. Without
 * `index` they are only counted. */
typedef struct filling {
    int64_t *next, *index;
    float *weight; /* NULL: there are none */
} filling;

static void append_user(const filling *to, int64_t item, int64_t user, const float *weight)
{
    const int64_t position = to->next[item + 1]++;

    if (to->index != NULL) to->index[position] = user;
    if (to->weight != NULL) to->weight[position] = *weight;
}

/*
 * Append all users of my items. The ranks' users follow one another, so taking the ranks in order
 * (this one at its turn) makes every list ascend. Weights are read where they are wanted.
 */
static void append_users(const transposer *t, const filling *to)
{
    const int me = t->world->rank;
    const int64_t first = t->items.start[me], end = t->items.start[me + 1];
    const cf_lists *train = t->train;
    int64_t n = 0;

    for (int from = 0; from < t->world->size; from++) {
        const int64_t first_user = t->users.start[from];

        for (int64_t k = 0; k < t->n_recv[from]; k++, n++)
            append_user(to, (int64_t)(t->received[n] >> 32),
                        first_user + (int64_t)(t->received[n] & UINT32_MAX),
                        to->weight != NULL ? t->received_weights + n : NULL);
        for (int64_t u = 0; from == me && u < train->count; u++)
            for (int64_t e = train->start[u]; e < train->start[u + 1]; e++)
                if (train->index[e] >= first && train->index[e] < end)
                    append_user(to, train->index[e] - first, first_user + u,
                                to->weight != NULL ? train->weight + e : NULL);
    }
}

/* The lists of my items, from the received pairs and my own interactions: a counting sort by item.
 * Local. */
static cf_status build_lists(const transposer *t, cf_lists *out)
{
    const int64_t n = t->items.start[t->world->rank + 1] - t->items.start[t->world->rank];
    cf_lists lists = {.count = n};
    cf_status status;

    CF_TRY(CF_ALLOC(lists.start, n + 2));
    /* start[i + 2] counts item i; after the prefix sums start[i + 1] is where its next user goes,
     * and after the second pass it is where item i + 1 begins. */
    append_users(t, &(filling){.next = lists.start + 1});
    for (int64_t k = 2; k <= n + 1; k++)
        lists.start[k] += lists.start[k - 1];
    CF_TRY(CF_ALLOC(lists.index, lists.start[n + 1]));
    if (t->weighted) CF_TRY(CF_ALLOC(lists.weight, lists.start[n + 1]));
    append_users(t, &(filling){lists.start, lists.index, lists.weight});
    *out = lists;
    lists = (cf_lists){0};
done:
    dataset_destroy_lists(&lists);
    return status;
}

/* Collective. */
static cf_status exchange(transposer *t, const outgoing *send)
{
    cf_status status;

    CF_TRY(cf_par_exchange(t->world, sizeof *send->pairs, send->count, send->pairs, t->n_recv,
                           &t->received));
    if (t->weighted)
        CF_TRY(cf_par_exchange(t->world, sizeof *send->weights, send->count, send->weights,
                               t->n_recv, &t->received_weights));
done:
    return status;
}

static void free_outgoing(outgoing *send)
{
    cf_free(&send->count);
    cf_free(&send->pairs);
    cf_free(&send->weights);
}

cf_status dataset_transpose(const cf_par *world, const cf_dataset_content *content, cf_lists *out)
{
    const cf_lists *train = &content->train;
    transposer t = {.world = world,
                    .train = train,
                    .weighted =
                        cf_par_any(world, train->weight != NULL && dataset_list_size(train) > 0)};
    outgoing send = {0};
    cf_status status;

    CF_TRY(gather_blocks(t.world, content->user_ids.count, &t.users));
    CF_TRY(gather_blocks(t.world, content->item_ids.count, &t.items));
    status = CF_ALLOC(send.count, t.world->size);
    if (status == CF_OK) status = CF_ALLOC(t.n_recv, t.world->size);
    if (status == CF_OK) status = group_by_owner(&t, &send);
    CF_TRY(cf_par_agree(t.world, status));
    CF_TRY(exchange(&t, &send));
    free_outgoing(&send);
    CF_TRY(cf_par_agree(t.world, build_lists(&t, out)));
done:
    cf_par_destroy_blocks(&t.users);
    cf_par_destroy_blocks(&t.items);
    cf_free(&t.n_recv);
    cf_free(&t.received);
    cf_free(&t.received_weights);
    free_outgoing(&send);
    return status;
}
