/* Train, valid, test. */
#include "internal.h"

#include <stdlib.h>

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

static int compare_keys(const void *a, const void *b)
{
    const ingest_record *x = a, *y = b;

    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

/* Leave one out needs the last two of a user only. `sizes`: of valid and test, 0 or 1. */
static void leave_one_out(ingest_record *records, int64_t n, const int64_t sizes[2])
{
    int64_t last = 0, before = -1;

    for (int64_t k = 1; k < n; k++) {
        if (compare_keys(&records[k], &records[last]) > 0) {
            before = last;
            last = k;
        } else if (before < 0 || compare_keys(&records[k], &records[before]) > 0)
            before = k;
    }
    for (int64_t k = 0; k < n; k++)
        records[k].key = INGEST_TRAIN;
    if (sizes[0] > 0) records[before].key = INGEST_VALID;
    if (sizes[1] > 0) records[last].key = INGEST_TEST;
}

static void cut_by_size(ingest_record *records, int64_t n, const int64_t sizes[2],
                        ingest_record *order)
{
    for (int64_t k = 0; k < n; k++) {
        order[k] = records[k];
        order[k].user = (uint32_t)k;
    }
    qsort(order, (size_t)n, sizeof *order, compare_keys);
    for (int64_t k = 0; k < n; k++)
        records[order[k].user].key = k < n - sizes[0] - sizes[1] ? INGEST_TRAIN
                                     : k < n - sizes[1]          ? INGEST_VALID
                                                                 : INGEST_TEST;
}

/* The interactions of one user, ascending by item: their keys become parts. `order`: n records. */
static void split_user(const ingest_options *options, ingest_record *records, int64_t n,
                       ingest_record *order)
{
    int64_t sizes[2];

    part_sizes(options, n, &sizes[0], &sizes[1]);
    if (options->by_ratio)
        cut_by_size(records, n, sizes, order);
    else
        leave_one_out(records, n, sizes);
}

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
static cf_status draw_keys(const ingest_options *options, const cf_dataset_content *content,
                           ingest_log *log)
{
    const cf_random random = {(uint64_t)options->seed, CF_STREAM_SPLIT};
    uint64_t *users = NULL, *items = NULL;
    cf_status status;

    CF_TRY(hash_ids(&content->user_ids, &users));
    CF_TRY(hash_ids(&content->item_ids, &items));
    for (int64_t e = 0; e < log->count; e++)
        log->records[e].key =
            cf_random_bits(random, users[log->records[e].user], items[log->records[e].item], 0);
done:
    cf_free(&users);
    cf_free(&items);
    return status;
}

static cf_status split_users(const ingest_options *options, ingest_log *log)
{
    ingest_record *order = NULL;
    int64_t capacity = 0;
    cf_status status = CF_OK;

    for (int64_t first = 0, end = 0; first < log->count; first = end) {
        while (end < log->count && log->records[end].user == log->records[first].user)
            end++;
        CF_TRY(CF_GROW(order, capacity, end - first));
        split_user(options, log->records + first, end - first, order);
    }
done:
    cf_free(&order);
    return status;
}

/* Lists by user of the records whose key is `part`. */
static cf_status collect(const ingest_log *log, uint64_t part, int64_t n_users, cf_lists *out)
{
    int64_t count = 0;
    cf_status status;

    for (int64_t e = 0; e < log->count; e++)
        count += log->records[e].key == part;
    out->count = n_users;
    CF_TRY(CF_ALLOC(out->start, n_users + 1));
    CF_TRY(CF_ALLOC(out->index, count));
    count = 0;
    for (int64_t e = 0; e < log->count; e++) {
        if (log->records[e].key != part) continue;
        out->index[count++] = log->records[e].item;
        out->start[log->records[e].user + 1] = count;
    }
    for (int64_t u = 0; u < n_users; u++)
        if (out->start[u + 1] < out->start[u]) out->start[u + 1] = out->start[u];
done:
    return status;
}

cf_status ingest_split(const ingest_options *options, const cf_dataset_content *content, bool given,
                       ingest_log *log, cf_lists parts[3])
{
    cf_status status = CF_OK;

    if (!given && !options->by_time) CF_TRY(draw_keys(options, content, log));
    if (!given) CF_TRY(split_users(options, log));
    for (int part = INGEST_TRAIN; part <= INGEST_TEST; part++)
        CF_TRY(collect(log, (uint64_t)part, content->user_ids.count, &parts[part]));
done:
    return status;
}
