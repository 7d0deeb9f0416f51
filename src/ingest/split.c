/* Train, valid, test. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* How many of a user's n interactions go to valid and test; they are the last ones, test behind
 * valid. */
static void part_sizes(const ingest_options *options, int64_t n, int64_t *valid, int64_t *test)
{
    if (!options->by_ratio) {
        /* Leave one out as RecBole: min(2, n - 1) are left out, test first. */
        *test = n >= 2;
        *valid = n >= 3;
        return;
    }
    /* Ratios as RecBole: parts after the first are rounded down, but a part that would get less
     * than one takes one from train while train keeps more than one; test before valid. */
    const double want_valid = options->ratios[1] * (double)n,
                 want_test = options->ratios[2] * (double)n;
    int64_t train;

    *valid = (int64_t)want_valid;
    *test = (int64_t)want_test;
    train = n - *valid - *test;
    if (train > 1 && want_test > 0 && want_test < 1) *test = 1, train--;
    if (train > 1 && want_valid > 0 && want_valid < 1) *valid = 1;
}

/* An interaction of one user. */
typedef struct entry {
    uint64_t key;
    uint32_t item, place; /* place: among the user's */
} entry;

static int compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

/* Leave one out needs the last two of a user only. `sizes`: of valid and test, 0 or 1. */
static void leave_one_out(const entry *entries, int64_t n, const int64_t sizes[2], uint8_t *part)
{
    int64_t last = 0, before = -1;

    for (int64_t k = 1; k < n; k++) {
        if (compare_entries(&entries[k], &entries[last]) > 0) {
            before = last;
            last = k;
        } else if (before < 0 || compare_entries(&entries[k], &entries[before]) > 0)
            before = k;
    }
    memset(part, INGEST_TRAIN, (size_t)n);
    if (sizes[0] > 0) part[before] = INGEST_VALID;
    if (sizes[1] > 0) part[last] = INGEST_TEST;
}

static void cut_by_size(entry *entries, int64_t n, const int64_t sizes[2], uint8_t *part)
{
    qsort(entries, (size_t)n, sizeof *entries, compare_entries);
    for (int64_t k = 0; k < n; k++)
        part[entries[k].place] = k < n - sizes[0] - sizes[1] ? INGEST_TRAIN
                                 : k < n - sizes[1]          ? INGEST_VALID
                                                             : INGEST_TEST;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* What the order of a user's interactions comes from. */
typedef struct splitter {
    const ingest_options *options;
    const ingest_log *log;
    bool given;
    uint64_t *user_hashes, *item_hashes; /* of the ids, by the log's numbers; unless it has keys */
    entry *entries;                      /* of the user who has most */
    uint8_t *part;
} splitter;

static cf_status hash_ids(const cf_strings *ids, uint64_t **out)
{
    uint64_t *hashes = NULL;
    cf_status status = CF_ALLOC(hashes, ids->count);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < ids->count; k++)
        hashes[k] = ingest_hash(ids->bytes + ids->start[k], ids->start[k + 1] - ids->start[k] - 1);
    *out = hashes;
    return CF_OK;
}

/* Keys that are a function of the seed and the two ids, so that the order of lines plays no part.
 */
static void fill_entries(const splitter *s, int64_t first, int64_t n)
{
    const cf_random random = {(uint64_t)s->options->seed, CF_STREAM_SPLIT};

    for (int64_t k = 0; k < n; k++) {
        const uint64_t pair = s->log->pairs[first + k];
        const uint32_t item = ingest_item(pair);

        s->entries[k] =
            (entry){s->log->with_keys ? s->log->keys[first + k]
                                      : cf_random_bits(random, s->user_hashes[ingest_user(pair)],
                                                       s->item_hashes[item], 0),
                    item, (uint32_t)k};
    }
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static int64_t end_of_user(const ingest_log *log, int64_t first)
{
    int64_t end = first;

    while (end < log->count && ingest_user(log->pairs[end]) == ingest_user(log->pairs[first]))
        end++;
    return end;
}

/* Room for each part's lists; gives back the most interactions of a user. */
static cf_status make_lists(const splitter *s, int64_t n_users, cf_lists parts[3], int64_t *most)
{
    int64_t counts[3] = {0};
    cf_status status = CF_OK;

    *most = 0;
    for (int64_t first = 0, end; first < s->log->count; first = end) {
        int64_t valid, test;

        end = end_of_user(s->log, first);
        if (end - first > *most) *most = end - first;
        part_sizes(s->options, end - first, &valid, &test);
        counts[INGEST_VALID] += valid;
        counts[INGEST_TEST] += test;
        counts[INGEST_TRAIN] += end - first - valid - test;
    }
    if (s->given) memset(counts, 0, sizeof counts);
    for (int64_t e = 0; s->given && e < s->log->count; e++)
        counts[s->log->keys[e]]++;
    for (int k = 0; k < 3; k++) {
        parts[k].count = n_users;
        CF_TRY(CF_ALLOC(parts[k].start, n_users + 1));
        CF_TRY(CF_ALLOC(parts[k].index, counts[k]));
    }
done:
    return status;
}

/* The interactions of one user, ascending by item, to the ends of the lists. */
static void split_user(const splitter *s, int64_t first, int64_t n, cf_lists parts[3])
{
    const uint32_t user = ingest_user(s->log->pairs[first]);
    int64_t sizes[2];

    part_sizes(s->options, n, &sizes[0], &sizes[1]);
    if (!s->given) fill_entries(s, first, n);
    if (s->given)
        for (int64_t k = 0; k < n; k++)
            s->part[k] = (uint8_t)s->log->keys[first + k];
    else if (s->options->by_ratio)
        cut_by_size(s->entries, n, sizes, s->part);
    else
        leave_one_out(s->entries, n, sizes, s->part);
    for (int k = 0; k < 3; k++)
        parts[k].start[user + 1] = parts[k].start[user];
    for (int64_t k = 0; k < n; k++) {
        cf_lists *list = &parts[s->part[k]];

        list->index[list->start[user + 1]++] =
            s->log->places.item[ingest_item(s->log->pairs[first + k])];
    }
}

/* Hashes of the ids; those of items come from where the items belong. */
static cf_status make_hashes(const cf_par *world, const ingest_log *log, splitter *s)
{
    uint64_t *my_items = NULL;
    cf_status status = hash_ids(&log->users.ids, &s->user_hashes);

    if (status == CF_OK) status = hash_ids(&log->items.ids, &my_items);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(ingest_places_fetch(&log->places, my_items, &s->item_hashes));
done:
    cf_free(&my_items);
    return status;
}

/* Local: all of it, once there are hashes. */
static cf_status split_users(splitter *s, cf_lists parts[3])
{
    int64_t most;
    cf_status status;

    CF_TRY(make_lists(s, s->log->users.ids.count, parts, &most));
    CF_TRY(CF_ALLOC(s->entries, most));
    CF_TRY(CF_ALLOC(s->part, most));
    for (int64_t first = 0, end; first < s->log->count; first = end) {
        end = end_of_user(s->log, first);
        split_user(s, first, end - first, parts);
    }
done:
    return status;
}

cf_status ingest_split(const cf_par *world, const ingest_options *options, bool given,
                       const ingest_log *log, cf_lists parts[3])
{
    splitter s = {.options = options, .log = log, .given = given};
    cf_status status;

    if (!log->with_keys) CF_TRY(make_hashes(world, log, &s));
    CF_TRY(cf_par_agree(world, split_users(&s, parts)));
done:
    cf_free(&s.user_hashes);
    cf_free(&s.item_hashes);
    cf_free(&s.entries);
    cf_free(&s.part);
    return status;
}
