/* The lists added and test of all users, with what is new: each pair goes to the rank that has its
 * user, and takes its place in the user's list. */
#include "append.h"

#include <string.h>

enum { ADDED, TEST };

/* ---- Pairs to their ranks -------------------------------------------------------------------- */

/* `*out`: the pairs of my users, `*count` of them, in order; new. One rank has them, so that they
 * arrive as they are. Collective. */
static cf_status send_pairs(const cf_par *world, const cf_shard *shard, const append_news *news,
                            append_pair **out, int64_t *count)
{
    const int64_t n_users = shard->users.start[shard->users.count];
    int64_t *send = NULL, *got = NULL;
    cf_status status = CF_ALLOC(send, world->size);

    if (status == CF_OK) status = CF_ALLOC(got, world->size);
    CF_TRY(cf_par_agree(world, status));
    for (int64_t k = 0; k < news->n_pairs; k++) {
        const int64_t user = news->pairs[k].user;

        send[user < n_users ? cf_par_block_of(&shard->users, user) : world->size - 1]++;
    }
    CF_TRY(cf_par_exchange(world, sizeof **out, send, news->pairs, got, out));
    for (int r = 0; r < world->size; r++)
        *count += got[r];
done:
    cf_free(&send);
    cf_free(&got);
    return status;
}

/* ---- A user ---------------------------------------------------------------------------------- */

/* A user's old list; an empty one of a new user. */
static cf_lists list_of(const cf_lists *lists, int64_t user)
{
    const int64_t begin = user < lists->count ? lists->start[user] : 0;
    const int64_t count = user < lists->count ? lists->start[user + 1] - begin : 0;

    return (cf_lists){.count = count, .index = lists->index + begin};
}

static bool has(const cf_lists *list, int64_t item)
{
    return list->count > 0 && cf_contains_i64(list->index, list->count, item);
}

/* Append a list, but for the entries of `without` (ascending), if there are any. */
static void append_list(const cf_lists *list, const int64_t *without, int64_t n_without,
                        cf_lists *out)
{
    int64_t *end = &out->start[out->count + 1];

    for (int64_t e = 0; e < list->count; e++)
        if (n_without == 0 || !cf_contains_i64(without, n_without, list->index[e]))
            out->index[(*end)++] = list->index[e];
}

/* The pairs of one user go into `out`, whose lists of the users before are complete. */
static void merge_user(const cf_shard *shard, int64_t user, const append_pair *pairs, int64_t count,
                       cf_lists out[2], append_counts *counts)
{
    const cf_lists train = list_of(&shard->train, user), valid = list_of(&shard->valid, user);
    const cf_lists old[2] = {list_of(&shard->added, user), list_of(&shard->test, user)};
    int64_t *begin[2], n_new;

    for (int l = ADDED; l <= TEST; l++) {
        out[l].start[user + 1] = out[l].start[user];
        out[l].count = user;
        begin[l] = out[l].index + out[l].start[user];
    }
    for (int64_t k = 0; k < count; k++) {
        const int64_t item = pairs[k].item;
        const bool repeats = has(&train, item) || has(&valid, item) || has(&old[ADDED], item) ||
                             (pairs[k].is_test && has(&old[TEST], item));
        const int l = pairs[k].is_test ? TEST : ADDED;

        counts->n_repeats += repeats;
        if (!repeats) out[l].index[out[l].start[user + 1]++] = item;
    }
    n_new = out[ADDED].index + out[ADDED].start[user + 1] - begin[ADDED];
    counts->n_added += n_new;
    counts->n_test += out[TEST].start[user + 1] - out[TEST].start[user];
    for (int64_t k = 0; k < n_new; k++)
        counts->n_moved += has(&old[TEST], begin[ADDED][k]);
    append_list(&old[TEST], begin[ADDED], n_new, &out[TEST]);
    append_list(&old[ADDED], NULL, 0, &out[ADDED]);
    for (int l = ADDED; l <= TEST && count > 0; l++)
        ingest_sort_list(begin[l], out[l].start[user + 1] - out[l].start[user]);
}

/* ---- All users ------------------------------------------------------------------------------- */

/* Local. */
static cf_status merge_users(const cf_shard *shard, int64_t n_users, const append_pair *pairs,
                             int64_t n_pairs, cf_lists out[2], append_counts *counts)
{
    const cf_lists *old[2] = {&shard->added, &shard->test};
    cf_status status = CF_OK;

    for (int l = ADDED; l <= TEST; l++) {
        CF_TRY(CF_ALLOC(out[l].start, n_users + 1));
        CF_TRY(CF_ALLOC(out[l].index, old[l]->start[shard->n_users] + n_pairs));
    }
    for (int64_t user = 0, k = 0, n; user < n_users; user++, k += n) {
        for (n = 0; k + n < n_pairs && pairs[k + n].user == shard->first_user + user;)
            n++;
        merge_user(shard, user, pairs + k, n, out, counts);
    }
    for (int l = ADDED; l <= TEST; l++)
        out[l].count = n_users;
done:
    return status;
}

/* New users have the numbers behind those of the last block. */
cf_status append_merge_lists(const cf_par *world, const cf_shard *shard, const append_news *news,
                             cf_lists out[2], append_counts *counts)
{
    append_pair *pairs = NULL;
    int64_t n_pairs = 0;
    cf_status status;

    CF_TRY(send_pairs(world, shard, news, &pairs, &n_pairs));
    status = merge_users(shard, shard->n_users + news->user_ids.count, pairs, n_pairs, out, counts);
    CF_TRY(cf_par_agree(world, status));
done:
    cf_free(&pairs);
    return status;
}
