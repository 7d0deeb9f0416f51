/* The split of each user's interactions into train, valid and test.
 *
 * A user's interactions are ordered by a key: the time, equal times by the order of the file; or a
 * random number that is a function of (seed, user id, item id). The last ones go to test, those
 * before to valid, the others to train. How many is RecBole's rule, by ratios or leave-one-out. TS
 * cuts at two times, the same for all users. A split given by the files is taken over. The result
 * does not depend on the number of ranks; a random order does not depend on the order of lines
 * either. */
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
 * or 1 each. `part` (n): the part of each interaction, by position. */
static void leave_one_out(const split_entry *entries, int64_t n, const int64_t sizes[2],
                          uint8_t *part)
{
    int64_t last = 0, before_last = -1;

    for (int64_t k = 1; k < n; k++) {
        if (compare_entries(&entries[k], &entries[last]) > 0) {
            before_last = last;
            last = k;
        } else if (before_last < 0 || compare_entries(&entries[k], &entries[before_last]) > 0)
            before_last = k;
    }
    memset(part, INGEST_TRAIN, (size_t)n);
    if (sizes[0] > 0) part[before_last] = INGEST_VALID;
    if (sizes[1] > 0) part[last] = INGEST_TEST;
}

/* Sort the entries and cut them: train, then sizes[0] of valid, then sizes[1] of test. */
static void split_by_ratio(split_entry *entries, int64_t n, const int64_t sizes[2], uint8_t *part)
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
    uint64_t *item_hashes; /* of the ids of the listed items */
    split_entry *entries;  /* of one user, with room for the longest list */
    uint8_t *part;         /* of each of its interactions */
} splitter;

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

/* The keys of a user's n interactions from `first` on. Random keys are a function of seed and ids,
 * not of numbers: another user or item in the data changes nobody else's split. */
static void fill_entries(const splitter *s, int64_t first, int64_t n)
{
    const cf_random random = {(uint64_t)s->options->seed, CF_STREAM_SPLIT};

    for (int64_t k = 0; k < n; k++) {
        const uint64_t pair = s->inter->pairs[first + k];
        const uint32_t item = ingest_item(pair);

        s->entries[k] =
            s->options->by_time
                ? (split_entry){ingest_time_of(s->inter, first + k),
                                *ingest_place_of(s->inter, first + k), (uint32_t)k}
                : (split_entry){cf_random_bits(random, s->user_hashes[ingest_user(pair)],
                                               s->item_hashes[item], 0),
                                item, (uint32_t)k};
    }
}

/* ---- Lists ----------------------------------------------------------------------------------- */

/* The end of the interactions of the user that interaction `first` is of. */
static int64_t end_of_user(const ingest_interactions *inter, int64_t first)
{
    int64_t end = first;

    while (end < inter->count && ingest_user(inter->pairs[end]) == ingest_user(inter->pairs[first]))
        end++;
    return end;
}

/* True if each interaction has its part, whatever the user's others are. */
static bool is_fixed(const splitter *s)
{
    return s->given || s->options->by_dates;
}

/* The part of interaction e, if they are fixed: that of its file, or by the two times. */
static int fixed_part(const splitter *s, int64_t e)
{
    if (s->given) return ingest_part_of_place(*ingest_place_of(s->inter, e));
    return ingest_time_of(s->inter, e) < s->times[0]   ? INGEST_TRAIN
           : ingest_time_of(s->inter, e) < s->times[1] ? INGEST_VALID
                                                       : INGEST_TEST;
}

/* Allocate the lists of each part. `*most`: the most interactions of a user. */
static cf_status allocate_parts(const splitter *s, int64_t n_users, cf_lists parts[3],
                                int64_t *most)
{
    int64_t counts[3] = {0};
    cf_status status = CF_OK;

    *most = 0;
    for (int64_t first = 0, end; first < s->inter->count; first = end) {
        int64_t valid, test;

        end = end_of_user(s->inter, first);
        *most = cf_max(*most, end - first);
        part_sizes(s->options, end - first, &valid, &test);
        counts[INGEST_VALID] += valid;
        counts[INGEST_TEST] += test;
        counts[INGEST_TRAIN] += end - first - valid - test;
    }
    if (is_fixed(s)) memset(counts, 0, sizeof counts);
    for (int64_t e = 0; is_fixed(s) && e < s->inter->count; e++)
        counts[fixed_part(s, e)]++;
    for (int k = 0; k < 3; k++) {
        parts[k].count = n_users;
        CF_TRY(CF_ALLOC(parts[k].start, n_users + 1));
        CF_TRY(CF_ALLOC(parts[k].index, counts[k]));
    }
done:
    return status;
}

/* Split the n interactions of a user, and append them to the lists, ascending by item. Every user
 * of the block has some, so each start is set from the one before. */
static void split_user(const splitter *s, int64_t first, int64_t n, cf_lists parts[3])
{
    const uint32_t user = ingest_user(s->inter->pairs[first]);
    int64_t sizes[2];

    part_sizes(s->options, n, &sizes[0], &sizes[1]);
    if (!is_fixed(s)) fill_entries(s, first, n);
    if (is_fixed(s))
        for (int64_t k = 0; k < n; k++)
            s->part[k] = (uint8_t)fixed_part(s, first + k);
    else if (s->options->by_ratio)
        split_by_ratio(s->entries, n, sizes, s->part);
    else
        leave_one_out(s->entries, n, sizes, s->part);
    for (int k = 0; k < 3; k++)
        parts[k].start[user + 1] = parts[k].start[user];
    for (int64_t k = 0; k < n; k++) {
        cf_lists *list = &parts[s->part[k]];
        const uint32_t item = ingest_item(s->inter->pairs[first + k]);

        list->index[list->start[user + 1]++] = s->inter->index.item[item];
    }
}

/* Local: all users, once there are hashes. */
static cf_status split_users(splitter *s, cf_lists parts[3])
{
    int64_t most;
    cf_status status;

    CF_TRY(allocate_parts(s, s->inter->users.ids.count, parts, &most));
    CF_TRY(CF_ALLOC(s->entries, most));
    CF_TRY(CF_ALLOC(s->part, most));
    for (int64_t first = 0, end; first < s->inter->count; first = end) {
        end = end_of_user(s->inter, first);
        split_user(s, first, end - first, parts);
    }
done:
    return status;
}

/* The fetch of hashes is collective; the split itself is local, for a rank has all of a user. */
cf_status ingest_split(const cf_par *world, const cf_ingest_options *options, bool given,
                       const ingest_interactions *inter, cf_lists parts[3])
{
    splitter s = {.options = options, .inter = inter, .given = given};
    cf_status status;

    for (int k = 0; k < 2; k++)
        s.times[k] = ingest_time_bits(options->split_times[k]);
    if (!is_fixed(&s) && !options->by_time) CF_TRY(create_hashes(world, inter, &s));
    CF_TRY(cf_par_agree(world, split_users(&s, parts)));
done:
    cf_free(&s.user_hashes);
    cf_free(&s.item_hashes);
    cf_free(&s.entries);
    cf_free(&s.part);
    return status;
}
