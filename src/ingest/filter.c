/* Repeats, filters by numbers of interactions, and final numbers. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* One stable counting sort of `from` into `to`, by user or by item. `place`: n + 1 numbers. */
static void sort_pass(const ingest_log *log, bool by_user, int64_t *place, int64_t n,
                      ingest_record *const from_to[2])
{
    const ingest_record *from = from_to[0];
    ingest_record *to = from_to[1];

    memset(place, 0, (size_t)(n + 1) * sizeof *place);
    for (int64_t e = 0; e < log->count; e++)
        place[(by_user ? from[e].user : from[e].item) + 1]++;
    for (int64_t k = 0; k < n; k++)
        place[k + 1] += place[k];
    for (int64_t e = 0; e < log->count; e++)
        to[place[by_user ? from[e].user : from[e].item]++] = from[e];
}

/* Sort by (user, item): by item, then stably by user. */
static cf_status sort_records(ingest_log *log, int64_t n_users, int64_t n_items)
{
    int64_t *place = NULL;
    cf_status status = CF_OK;

    if (!log->scratch) CF_TRY(CF_ALLOC(log->scratch, log->count));
    CF_TRY(CF_ALLOC(place, (n_users > n_items ? n_users : n_items) + 1));
    sort_pass(log, false, place, n_items, (ingest_record *[2]){log->records, log->scratch});
    sort_pass(log, true, place, n_users, (ingest_record *[2]){log->scratch, log->records});
done:
    cf_free(&place);
    return status;
}

cf_status ingest_drop_duplicates(ingest_log *log)
{
    ingest_record *records = log->records;
    int64_t kept = 0;
    cf_status status = sort_records(log, log->users.count, log->items.count);

    if (status != CF_OK) return status;
    for (int64_t e = 0; e < log->count; e++) {
        ingest_record *last = kept > 0 ? &records[kept - 1] : NULL;

        if (last && last->user == records[e].user && last->item == records[e].item) {
            if (records[e].key < last->key) last->key = records[e].key;
        } else
            records[kept++] = records[e];
    }
    log->duplicates = log->count - kept;
    log->count = kept;
    return CF_OK;
}

/* ---- Numbers of interactions ----------------------------------------------------------------- */

/* One round: drop what is outside its interval now. `counts`: of users and of items. */
static void filter_round(const ingest_options *options, ingest_log *log, int64_t *const counts[2])
{
    int64_t kept = 0;

    memset(counts[0], 0, (size_t)log->users.count * sizeof **counts);
    memset(counts[1], 0, (size_t)log->items.count * sizeof **counts);
    for (int64_t e = 0; e < log->count; e++) {
        counts[0][log->records[e].user]++;
        counts[1][log->records[e].item]++;
    }
    for (int64_t e = 0; e < log->count; e++) {
        const ingest_record *record = &log->records[e];

        if (ingest_intervals_hold(&options->user_count, (double)counts[0][record->user]) &&
            ingest_intervals_hold(&options->item_count, (double)counts[1][record->item]))
            log->records[kept++] = *record;
    }
    log->count = kept;
}

/* Numbers of interactions begin at 1. */
static bool holds_all(const ingest_intervals *intervals)
{
    return intervals->part[0].low <= 0 && intervals->part[0].high == INFINITY;
}

cf_status ingest_filter_counts(const ingest_options *options, ingest_log *log)
{
    int64_t *counts[2] = {NULL, NULL}, before = log->count, at_start = log->count;
    cf_status status = CF_OK;

    if (holds_all(&options->user_count) && holds_all(&options->item_count)) goto done;
    CF_TRY(CF_ALLOC(counts[0], log->users.count));
    CF_TRY(CF_ALLOC(counts[1], log->items.count));
    do {
        before = log->count;
        filter_round(options, log, counts);
    } while (log->count < before);
    log->filtered += at_start - log->count;
done:
    cf_free(&counts[0]);
    cf_free(&counts[1]);
    return status;
}

/* ---- Final numbers --------------------------------------------------------------------------- */

cf_status ingest_renumber(ingest_log *log, cf_strings *user_ids, cf_strings *item_ids)
{
    uint8_t *used_users = NULL, *used_items = NULL;
    uint32_t *new_user = NULL, *new_item = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(used_users, log->users.count));
    CF_TRY(CF_ALLOC(used_items, log->items.count));
    CF_TRY(CF_ALLOC(new_user, log->users.count));
    CF_TRY(CF_ALLOC(new_item, log->items.count));
    for (int64_t e = 0; e < log->count; e++) {
        used_users[log->records[e].user] = 1;
        used_items[log->records[e].item] = 1;
    }
    CF_TRY(ingest_names_sort(&log->users, used_users, new_user, user_ids));
    CF_TRY(ingest_names_sort(&log->items, used_items, new_item, item_ids));
    for (int64_t e = 0; e < log->count; e++) {
        log->records[e].user = new_user[log->records[e].user];
        log->records[e].item = new_item[log->records[e].item];
    }
    CF_TRY(sort_records(log, user_ids->count, item_ids->count));
done:
    cf_free(&log->scratch);
    cf_free(&used_users);
    cf_free(&used_items);
    cf_free(&new_user);
    cf_free(&new_item);
    return status;
}
