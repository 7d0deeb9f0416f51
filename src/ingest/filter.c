/* Final numbers, repeats, and filters by numbers of interactions. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* ---- Order ----------------------------------------------------------------------------------- */

enum { DIGIT_BITS = 11, VALUES = 1 << DIGIT_BITS, DIGITS = 3 };

/* How often each value of each digit is there: of items, then of users; the lowest digit first. */
typedef int64_t digit_counts[2 * DIGITS][VALUES];

static unsigned digit_of(uint64_t pair, int digit)
{
    const uint32_t number = digit < DIGITS ? ingest_item(pair) : ingest_user(pair);

    return number >> DIGIT_BITS * (digit % DIGITS) & (VALUES - 1);
}

static bool is_sorted(const ingest_log *log)
{
    for (int64_t e = 1; e < log->count; e++)
        if (log->pairs[e - 1] > log->pairs[e]) return false;
    return true;
}

/* One stable pass; `start`: the counts of the digit, which become where each value goes. */
static void sort_pass(const ingest_log *from, ingest_log *to, int digit, int64_t *start)
{
    for (int64_t value = 0, before = 0; value < VALUES; value++) {
        const int64_t here = start[value];

        start[value] = before;
        before += here;
    }
    for (int64_t e = 0; e < from->count; e++) {
        const int64_t place = start[digit_of(from->pairs[e], digit)]++;

        to->pairs[place] = from->pairs[e];
        if (from->keys) to->keys[place] = from->keys[e];
    }
}

/*
 * Sort by (user, item): a radix sort, whose places to write to at once are few enough to be near.
 * A digit that is 0 in all costs nothing.
 */
static cf_status sort_log(ingest_log *log)
{
    ingest_log other = *log;
    int64_t(*counts)[VALUES] = NULL;
    cf_status status = CF_OK;

    if (is_sorted(log)) return CF_OK;
    other.pairs = other.keys = NULL;
    CF_TRY(cf_alloc(&counts, 1, sizeof(digit_counts)));
    CF_TRY(CF_ALLOC(other.pairs, log->count));
    if (log->keys) CF_TRY(CF_ALLOC(other.keys, log->count));
    for (int64_t e = 0; e < log->count; e++)
        for (int digit = 0; digit < 2 * DIGITS; digit++)
            counts[digit][digit_of(log->pairs[e], digit)]++;
    for (int digit = 0; digit < 2 * DIGITS; digit++) {
        const ingest_log unsorted = *log;

        if (counts[digit][0] == log->count) continue;
        sort_pass(log, &other, digit, counts[digit]);
        log->pairs = other.pairs;
        log->keys = other.keys;
        other = unsorted;
    }
done:
    cf_free(&other.pairs);
    cf_free(&other.keys);
    cf_free(&counts);
    return status;
}

/* Names that are `used`, in their final order. From here on they are no longer looked up. */
static cf_status order_names(ingest_names *names, const uint8_t *used, uint32_t *new_number)
{
    cf_strings ids = {0};
    cf_status status = ingest_names_sort(names, used, new_number, &ids);

    if (status != CF_OK) return status;
    ingest_names_free(names);
    *names = (ingest_names){.count = ids.count, .start = ids.start, .bytes = ids.bytes};
    return CF_OK;
}

cf_status ingest_renumber(ingest_log *log)
{
    uint8_t *used_users = NULL, *used_items = NULL;
    uint32_t *new_user = NULL, *new_item = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(used_users, log->users.count));
    CF_TRY(CF_ALLOC(used_items, log->items.count));
    CF_TRY(CF_ALLOC(new_user, log->users.count));
    CF_TRY(CF_ALLOC(new_item, log->items.count));
    for (int64_t e = 0; e < log->count; e++) {
        used_users[ingest_user(log->pairs[e])] = 1;
        used_items[ingest_item(log->pairs[e])] = 1;
    }
    CF_TRY(order_names(&log->users, used_users, new_user));
    CF_TRY(order_names(&log->items, used_items, new_item));
    for (int64_t e = 0; e < log->count; e++)
        log->pairs[e] =
            ingest_pair(new_user[ingest_user(log->pairs[e])], new_item[ingest_item(log->pairs[e])]);
    CF_TRY(sort_log(log));
done:
    cf_free(&used_users);
    cf_free(&used_items);
    cf_free(&new_user);
    cf_free(&new_item);
    return status;
}

/* ---- Repeats --------------------------------------------------------------------------------- */

/* Keep interaction e as number `kept`. */
static void keep(ingest_log *log, int64_t e, int64_t kept)
{
    log->pairs[kept] = log->pairs[e];
    if (log->keys) log->keys[kept] = log->keys[e];
}

void ingest_drop_duplicates(ingest_log *log)
{
    int64_t kept = 0;

    for (int64_t e = 0; e < log->count; e++) {
        if (kept == 0 || log->pairs[kept - 1] != log->pairs[e])
            keep(log, e, kept++);
        else if (log->keys && log->keys[e] < log->keys[kept - 1])
            log->keys[kept - 1] = log->keys[e];
    }
    log->duplicates = log->count - kept;
    log->count = kept;
}

/* ---- Numbers of interactions ----------------------------------------------------------------- */

/* One round: drop what is outside its interval now. `counts`: of users and of items. */
static void filter_round(const ingest_options *options, ingest_log *log, int64_t *const counts[2])
{
    int64_t kept = 0;

    memset(counts[0], 0, (size_t)log->users.count * sizeof **counts);
    memset(counts[1], 0, (size_t)log->items.count * sizeof **counts);
    for (int64_t e = 0; e < log->count; e++) {
        counts[0][ingest_user(log->pairs[e])]++;
        counts[1][ingest_item(log->pairs[e])]++;
    }
    for (int64_t e = 0; e < log->count; e++) {
        const uint64_t pair = log->pairs[e];

        if (ingest_intervals_hold(&options->user_count, (double)counts[0][ingest_user(pair)]) &&
            ingest_intervals_hold(&options->item_count, (double)counts[1][ingest_item(pair)]))
            keep(log, e, kept++);
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
    /* Some names may be gone; without these, ids may all be numbers, which sort otherwise. */
    if (log->count < at_start && log->count > 0) CF_TRY(ingest_renumber(log));
done:
    cf_free(&counts[0]);
    cf_free(&counts[1]);
    return status;
}
