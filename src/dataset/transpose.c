/* Train interactions by item, from the lists by user: a distributed transposition.
 *
 * Every rank has consecutive users and consecutive items. An interaction goes to the rank that has
 * its item, as one word: the item's local index at the receiver in the upper half, the user's local
 * index at the sender in the lower. The receiver sorts by item. Both directions of the graph are
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
    cf_blocks users, items; /* which rank has which */
    int64_t *n_recv;        /* world: pairs from each rank, 0 from this one */
    uint64_t *received;     /* pairs of the other ranks, in order of the ranks */
} transposer;

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

/* The interactions of my users with items of other ranks, grouped by rank: `count` of them for
 * each. Local. */
static cf_status group_by_owner(const transposer *t, int64_t *count, uint64_t **out)
{
    const cf_lists *train = t->train;
    int64_t *next = NULL, sum = 0;
    uint64_t *pairs = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(next, t->world->size));
    for (int64_t e = 0; e < dataset_list_size(train); e++)
        count[cf_par_block_of(&t->items, train->index[e])]++;
    count[t->world->rank] = 0;
    for (int p = 0; p < t->world->size; p++) {
        next[p] = sum;
        sum += count[p];
    }
    CF_TRY(CF_ALLOC(pairs, sum));
    for (int64_t u = 0; sum > 0 && u < train->count; u++)
        for (int64_t e = train->start[u]; e < train->start[u + 1]; e++) {
            const int owner = cf_par_block_of(&t->items, train->index[e]);

            if (owner != t->world->rank)
                pairs[next[owner]++] =
                    (uint64_t)(train->index[e] - t->items.start[owner]) << 32 | (uint64_t)u;
        }
    *out = pairs;
    pairs = NULL;
done:
    cf_free(&next);
    cf_free(&pairs);
    return status;
}

/* Append a user to the list of a local item; without `index` only count. */
static void append_user(int64_t *next, int64_t *index, int64_t item, int64_t user)
{
    const int64_t position = next[item + 1]++;

    if (index != NULL) index[position] = user;
}

/*
 * Append all users of my items at next[item + 1]. The ranks' users follow one another, so taking
 * the ranks in order (this one at its turn) makes every list ascend.
 */
static void append_users(const transposer *t, int64_t *next, int64_t *index)
{
    const int me = t->world->rank;
    const int64_t first = t->items.start[me], end = t->items.start[me + 1];
    const uint64_t *pair = t->received;

    for (int from = 0; from < t->world->size; from++) {
        const int64_t first_user = t->users.start[from];

        for (int64_t k = 0; k < t->n_recv[from]; k++, pair++)
            append_user(next, index, (int64_t)(*pair >> 32),
                        first_user + (int64_t)(*pair & UINT32_MAX));
        for (int64_t u = 0; from == me && u < t->train->count; u++)
            for (int64_t e = t->train->start[u]; e < t->train->start[u + 1]; e++)
                if (t->train->index[e] >= first && t->train->index[e] < end)
                    append_user(next, index, t->train->index[e] - first, first_user + u);
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
    append_users(t, lists.start + 1, NULL);
    for (int64_t k = 2; k <= n + 1; k++)
        lists.start[k] += lists.start[k - 1];
    CF_TRY(CF_ALLOC(lists.index, lists.start[n + 1]));
    append_users(t, lists.start, lists.index);
    *out = lists;
    lists = (cf_lists){0};
done:
    cf_free(&lists.start);
    cf_free(&lists.index);
    return status;
}

cf_status dataset_transpose(const cf_par *world, const cf_dataset_content *content, cf_lists *out)
{
    transposer t = {.world = world, .train = &content->train};
    int64_t *count = NULL;
    uint64_t *pairs = NULL;
    cf_status status;

    CF_TRY(gather_blocks(t.world, content->user_ids.count, &t.users));
    CF_TRY(gather_blocks(t.world, content->item_ids.count, &t.items));
    status = CF_ALLOC(count, t.world->size);
    if (status == CF_OK) status = CF_ALLOC(t.n_recv, t.world->size);
    if (status == CF_OK) status = group_by_owner(&t, count, &pairs);
    CF_TRY(cf_par_agree(t.world, status));
    CF_TRY(cf_par_exchange(t.world, sizeof *pairs, count, pairs, t.n_recv, &t.received));
    cf_free(&pairs);
    CF_TRY(cf_par_agree(t.world, build_lists(&t, out)));
done:
    cf_par_destroy_blocks(&t.users);
    cf_par_destroy_blocks(&t.items);
    cf_free(&t.n_recv);
    cf_free(&t.received);
    cf_free(&count);
    cf_free(&pairs);
    return status;
}
