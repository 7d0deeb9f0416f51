/* The split of each user's interactions into train, valid and test.
 *
 * A user's interactions are ordered by a key: the time, equal times by the order of the file; or a
 * random number that is a function of (seed, user id, item id). The last ones go to test, those
 * before to valid, the others to train. How many is RecBole's rule, by ratios or leave-one-out. TS
 * cuts at two times, the same for all users. A split given by the files is taken over. Interactions
 * of cold items all go to valid or to test, and a user's others are split as if they were not
 * there. max_train_items then drops the last train interactions in the same order. The result does
 * not depend on the number of ranks; a random order does not depend on the order of lines either.
 */
#include "split.h"

#include <stdlib.h>
#include <string.h>

/* How many of a user's n interactions go to valid and to test. */
static void part_sizes(const cf_ingest_options *options, int64_t n, int64_t *valid, int64_t *test)
{
    if (!options->by_ratio) {
        /* Leave-one-out as RecBole: min(2, n - 1) are left out, test first. */
        *test = n >= 2;
        *valid = n >= 3;
        return;
    }
    /* Ratios as RecBole: valid and test are rounded down. A part that would get less than one but
     * more than zero takes one from train, while train keeps at least one; test first. */
    const double exact_valid = options->ratios[1] * (double)n,
                 exact_test = options->ratios[2] * (double)n;
    int64_t train;

    *valid = (int64_t)exact_valid;
    *test = (int64_t)exact_test;
    train = n - *valid - *test;
    if (train > 1 && exact_test > 0 && exact_test < 1) *test = 1, train--;
    if (train > 1 && exact_valid > 0 && exact_valid < 1) *valid = 1;
}

/* An interaction of a user, to be ordered. */
typedef struct split_entry {
    uint64_t key, tie; /* equal keys are ordered by `tie`, which is distinct */
    uint32_t position; /* among the user's interactions */
} split_entry;

static int compare_entries(const void *a, const void *b)
{
    const split_entry *x = a, *y = b;

    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->tie < y->tie ? -1 : x->tie > y->tie;
}

/* Leave-one-out needs no sort, only the last two entries of a user. `sizes`: of valid and test, 0
 * or 1 each. `part`: of each interaction, by position; those of all entries are set. */
static void leave_one_out(const split_entry *entries, int64_t n, const int64_t sizes[2],
                          int8_t *part)
{
    int64_t last = 0, before_last = -1;

    for (int64_t k = 1; k < n; k++) {
        if (compare_entries(&entries[k], &entries[last]) > 0) {
            before_last = last;
            last = k;
        } else if (before_last < 0 || compare_entries(&entries[k], &entries[before_last]) > 0)
            before_last = k;
    }
    for (int64_t k = 0; k < n; k++)
        part[entries[k].position] = INGEST_TRAIN;
    if (sizes[0] > 0) part[entries[before_last].position] = INGEST_VALID;
    if (sizes[1] > 0) part[entries[last].position] = INGEST_TEST;
}

/* Sort the entries and cut them: train, then sizes[0] of valid, then sizes[1] of test. */
static void split_by_ratio(split_entry *entries, int64_t n, const int64_t sizes[2], int8_t *part)
{
    qsort(entries, (size_t)n, sizeof *entries, compare_entries);
    for (int64_t k = 0; k < n; k++)
        part[entries[k].position] = k < n - sizes[0] - sizes[1] ? INGEST_TRAIN
                                    : k < n - sizes[1]          ? INGEST_VALID
                                                                : INGEST_TEST;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* A split in progress. */
typedef struct splitter {
    const cf_ingest_options *options;
    const ingest_interactions *inter;
    bool given;            /* the places have the parts */
    uint64_t times[2];     /* of split: TS, as keys have them */
    uint64_t *user_hashes; /* of the ids of my users; NULL unless the order is random */
    uint64_t *item_hashes; /* of the ids of the listed items; likewise */
    uint64_t *cold;        /* of the listed items: cf_cold_mark; NULL: none is cold */
    split_entry *entries;  /* of one user, with room for the longest list */
    int8_t *part;          /* of each interaction; INGEST_NO_PART: it is dropped */
} splitter;

/* True if times order a user's interactions, else random numbers do. */
static bool is_by_time(const splitter *s)
{
    return !s->given && (s->options->by_time || s->options->by_dates);
}

/* True if a user's interactions are to be ordered at all. */
static bool needs_order(const splitter *s)
{
    return (!s->given && !s->options->by_dates) || s->options->max_train_items > 0;
}

/* Hash each id, into a new array. */
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

/* Hash the ids of users and items. A rank has the ids of its own block of items alone, so the
 * hashes of the listed items are fetched from their owners. */
static cf_status create_hashes(const cf_par *world, const ingest_interactions *inter, splitter *s)
{
    uint64_t *my_items = NULL;
    cf_status status = hash_ids(&inter->users.ids, &s->user_hashes);

    if (status == CF_OK) status = hash_ids(&inter->items.ids, &my_items);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(ingest_fetch_item_values(&inter->index, my_items, &s->item_hashes));
done:
    cf_free(&my_items);
    return status;
}

/* The marks of the listed items, from their owners. */
static cf_status fetch_cold(const cf_par *world, const ingest_interactions *inter, splitter *s)
{
    const int64_t n_items = inter->items.ids.count;
    uint64_t *wide = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(wide, n_items)));
    for (int64_t k = 0; k < n_items; k++)
        wide[k] = inter->cold[k];
    CF_TRY(ingest_fetch_item_values(&inter->index, wide, &s->cold));
done:
    cf_free(&wide);
    return status;
}

/* The key of interaction k of a user, whose interactions begin at `first`. Random keys are a
 * function of seed and ids, not of numbers: another user or item in the data changes nobody else's
 * split. */
static split_entry make_entry(const splitter *s, int64_t first, int64_t k)
{
    const cf_random random = {(uint64_t)s->options->seed, CF_STREAM_SPLIT};
    const uint64_t pair = s->inter->pairs[first + k];
    const uint32_t item = ingest_item(pair);

    if (is_by_time(s))
        return (split_entry){ingest_time_of(s->inter, first + k),
                             *ingest_place_of(s->inter, first + k), (uint32_t)k};
    return (split_entry){
        cf_random_bits(random, s->user_hashes[ingest_user(pair)], s->item_hashes[item], 0), item,
        (uint32_t)k};
}

/* ---- Parts ----------------------------------------------------------------------------------- */

/* The end of the interactions of the user that interaction `first` is of. */
static int64_t end_of_user(const ingest_interactions *inter, int64_t first)
{
    int64_t end = first;

    while (end < inter->count && ingest_user(inter->pairs[end]) == ingest_user(inter->pairs[first]))
        end++;
    return end;
}

/* The most interactions of a user. */
static int64_t longest_list(const ingest_interactions *inter)
{
    int64_t most = 0;

    for (int64_t first = 0, end; first < inter->count; first = end) {
        end = end_of_user(inter, first);
        most = cf_max(most, end - first);
    }
    return most;
}

/* The part of interaction e, where it does not depend on the user's others: that of its file, by
 * the two times, or of a cold item. Else INGEST_NO_PART. */
static int fixed_part(const splitter *s, int64_t e)
{
    const uint64_t mark = s->cold != NULL ? s->cold[ingest_item(s->inter->pairs[e])] : 0;

    if (s->given) return ingest_part_of_place(*ingest_place_of(s->inter, e));
    if (s->options->by_dates)
        return ingest_time_of(s->inter, e) < s->times[0]   ? INGEST_TRAIN
               : ingest_time_of(s->inter, e) < s->times[1] ? INGEST_VALID
                                                           : INGEST_TEST;
    return mark == CF_COLD_VALID  ? INGEST_VALID
           : mark == CF_COLD_TEST ? INGEST_TEST
                                  : INGEST_NO_PART;
}

/* Drop the last train interactions of a user, where there are more than max_train_items. */
static void limit_train(const splitter *s, int64_t first, int64_t n)
{
    const int64_t most = s->options->max_train_items;
    int8_t *part = s->part + first;
    int64_t count = 0;

    if (most == 0) return;
    for (int64_t k = 0; k < n; k++)
        if (part[k] == INGEST_TRAIN) s->entries[count++] = make_entry(s, first, k);
    qsort(s->entries, (size_t)count, sizeof *s->entries, compare_entries);
    for (int64_t k = most; k < count; k++)
        part[s->entries[k].position] = INGEST_NO_PART;
}

/* The parts of the n interactions of a user. */
static void split_user(const splitter *s, int64_t first, int64_t n)
{
    int8_t *part = s->part + first;
    int64_t sizes[2], count = 0;

    for (int64_t k = 0; k < n; k++) {
        part[k] = (int8_t)fixed_part(s, first + k);
        if (part[k] == INGEST_NO_PART) s->entries[count++] = make_entry(s, first, k);
    }
    part_sizes(s->options, count, &sizes[0], &sizes[1]);
    if (s->options->by_ratio)
        split_by_ratio(s->entries, count, sizes, part);
    else
        leave_one_out(s->entries, count, sizes, part);
    limit_train(s, first, n);
}

/* ---- Lists ----------------------------------------------------------------------------------- */

/* The lists of each part, once all parts are known: interactions are sorted by user and item. Those
 * of train have the weights. */
static cf_status fill_lists(const splitter *s, cf_lists parts[3])
{
    const ingest_interactions *inter = s->inter;
    const int64_t n_users = inter->users.ids.count;
    int64_t counts[3] = {0}, at[3] = {0};
    cf_status status;

    for (int64_t e = 0; e < inter->count; e++)
        if (s->part[e] != INGEST_NO_PART) counts[s->part[e]]++;
    for (int k = 0; k < 3; k++) {
        parts[k].count = n_users;
        CF_TRY(CF_ALLOC(parts[k].start, n_users + 1));
        CF_TRY(CF_ALLOC(parts[k].index, counts[k]));
    }
    if (inter->has_weights) CF_TRY(CF_ALLOC(parts[INGEST_TRAIN].weight, counts[INGEST_TRAIN]));
    for (int64_t e = 0; e < inter->count; e++) {
        const int k = s->part[e];

        if (k == INGEST_NO_PART) continue;
        if (parts[k].weight != NULL) parts[k].weight[at[k]] = ingest_weight_of(inter, e);
        parts[k].index[at[k]++] = inter->index.item[ingest_item(inter->pairs[e])];
        parts[k].start[ingest_user(inter->pairs[e]) + 1]++;
    }
    for (int k = 0; k < 3; k++)
        for (int64_t u = 0; u < n_users; u++)
            parts[k].start[u + 1] += parts[k].start[u];
done:
    return status;
}

/* Local: all users, once there are hashes. */
static cf_status split_users(splitter *s, cf_lists parts[3])
{
    cf_status status;

    CF_TRY(CF_ALLOC(s->entries, longest_list(s->inter)));
    CF_TRY(CF_ALLOC(s->part, s->inter->count));
    for (int64_t first = 0, end; first < s->inter->count; first = end) {
        end = end_of_user(s->inter, first);
        split_user(s, first, end - first);
    }
    CF_TRY(fill_lists(s, parts));
done:
    return status;
}

/* The fetch of hashes and marks is collective; the split itself is local, for a rank has all of a
 * user. */
cf_status ingest_split(const cf_par *world, const cf_ingest_options *options, bool given,
                       const ingest_interactions *inter, cf_lists parts[3])
{
    splitter s = {.options = options, .inter = inter, .given = given};
    cf_status status = CF_OK;

    for (int k = 0; k < 2; k++)
        s.times[k] = ingest_time_bits(options->split_times[k]);
    if (needs_order(&s) && !is_by_time(&s)) CF_TRY(create_hashes(world, inter, &s));
    if (inter->cold != NULL) CF_TRY(fetch_cold(world, inter, &s));
    CF_TRY(cf_par_agree(world, split_users(&s, parts)));
done:
    cf_free(&s.user_hashes);
    cf_free(&s.item_hashes);
    cf_free(&s.cold);
    cf_free(&s.entries);
    cf_free(&s.part);
    return status;
}
