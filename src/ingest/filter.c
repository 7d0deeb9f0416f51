/* Final numbers, repeats, and filters by numbers of interactions; the interactions move with their
 * users. */
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

/* ---- Moving ---------------------------------------------------------------------------------- */

/* Local: pairs, and keys if there are, grouped by the rank that has the user. */
static cf_status group_by_owner(const ingest_log *log, int64_t *counts, ingest_log *out)
{
    const cf_blocks *users = &log->users.blocks;
    int64_t *next = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(next, users->count));
    CF_TRY(CF_ALLOC(out->pairs, log->count));
    if (log->keys) CF_TRY(CF_ALLOC(out->keys, log->count));
    for (int64_t e = 0; e < log->count; e++)
        counts[cf_par_block_of(users, ingest_user(log->pairs[e]))]++;
    for (int r = 1; r < users->count; r++)
        next[r] = next[r - 1] + counts[r - 1];
    for (int64_t e = 0; e < log->count; e++) {
        const int64_t place = next[cf_par_block_of(users, ingest_user(log->pairs[e]))]++;

        out->pairs[place] = log->pairs[e];
        if (log->keys) out->keys[place] = log->keys[e];
    }
done:
    cf_free(&next);
    return status;
}

/* Interactions, of users and items by their global numbers, go where the users belong. */
static cf_status move_to_owners(const cf_par *world, ingest_log *log)
{
    ingest_log sent = {0};
    int64_t *counts = NULL, *got = NULL;
    cf_status status;

    if (world->size == 1) return CF_OK;
    status = CF_ALLOC(counts, world->size);
    if (status == CF_OK) status = CF_ALLOC(got, world->size);
    if (status == CF_OK) status = group_by_owner(log, counts, &sent);
    CF_TRY(cf_par_agree(world, status));
    cf_free(&log->pairs);
    cf_free(&log->keys);
    CF_TRY(cf_par_exchange(world, sizeof *log->pairs, counts, sent.pairs, got, &log->pairs));
    cf_free(&sent.pairs);
    if (log->with_keys)
        CF_TRY(cf_par_exchange(world, sizeof *log->keys, counts, sent.keys, got, &log->keys));
    log->count = 0;
    for (int r = 0; r < world->size; r++)
        log->count += got[r];
done:
    cf_free(&sent.pairs);
    cf_free(&sent.keys);
    cf_free(&counts);
    cf_free(&got);
    return status;
}

/* ---- Repeats --------------------------------------------------------------------------------- */

/* Keep interaction e as number `kept`. */
static void keep(ingest_log *log, int64_t e, int64_t kept)
{
    log->pairs[kept] = log->pairs[e];
    if (log->keys) log->keys[kept] = log->keys[e];
}

static void drop_duplicates(ingest_log *log)
{
    int64_t kept = 0;

    for (int64_t e = 0; e < log->count; e++) {
        if (kept == 0 || log->pairs[kept - 1] != log->pairs[e])
            keep(log, e, kept++);
        else if (log->keys && log->keys[e] < log->keys[kept - 1])
            log->keys[kept - 1] = log->keys[e];
    }
    log->duplicates += log->count - kept;
    log->count = kept;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* New numbers of the users and items that pairs are of, by their numbers there. */
typedef struct numbers {
    uint32_t *users, *items;
} numbers;

/* From the numbers of pairs now to the new ones, and on to what a log holds in the end. */
static cf_status settle(const cf_par *world, const numbers *new, ingest_log *log)
{
    cf_status status;

    for (int64_t e = 0; e < log->count; e++)
        log->pairs[e] = ingest_pair(new->users[ingest_user(log->pairs[e])],
                                    new->items[ingest_item(log->pairs[e])]);
    CF_TRY(move_to_owners(world, log));
    CF_TRY(cf_par_agree(world, sort_log(log)));
    drop_duplicates(log);
    CF_TRY(ingest_places_make(world, &log->items.blocks, log->pairs, log->count, &log->places));
    for (int64_t e = 0; e < log->count; e++) {
        const int64_t user = ingest_user(log->pairs[e]) - log->users.blocks.start[world->rank];

        log->pairs[e] =
            ingest_pair((uint32_t)user, ingest_place(&log->places, ingest_item(log->pairs[e])));
    }
done:
    return status;
}

/* How often users and items are in pairs; new, of the given numbers of them. */
static cf_status count_uses(const ingest_log *log, const int64_t n[2], int64_t *uses[2])
{
    cf_status status;

    CF_TRY(CF_ALLOC(uses[0], n[0]));
    CF_TRY(CF_ALLOC(uses[1], n[1]));
    for (int64_t e = 0; e < log->count; e++) {
        uses[0][ingest_user(log->pairs[e])]++;
        uses[1][ingest_item(log->pairs[e])]++;
    }
done:
    return status;
}

cf_status ingest_renumber(const cf_par *world, ingest_log *log)
{
    const cf_strings users = ingest_names_strings(&log->user_names),
                     items = ingest_names_strings(&log->item_names);
    int64_t *uses[2] = {NULL, NULL};
    numbers new = {0};
    cf_status status = count_uses(log, (int64_t[2]){users.count, items.count}, uses);

    if (status == CF_OK) status = CF_ALLOC(new.users, users.count);
    if (status == CF_OK) status = CF_ALLOC(new.items, items.count);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(ingest_order_make(world, &users, uses[0], new.users, &log->users));
    ingest_names_free(&log->user_names);
    CF_TRY(ingest_order_make(world, &items, uses[1], new.items, &log->items));
    ingest_names_free(&log->item_names);
    CF_TRY(settle(world, &new, log));
done:
    cf_free(&uses[0]);
    cf_free(&uses[1]);
    cf_free(&new.users);
    cf_free(&new.items);
    return status;
}

/* ---- Numbers of interactions ----------------------------------------------------------------- */

/* What the rounds count anew. */
typedef struct counts {
    int64_t *users;      /* of my block */
    int64_t *items;      /* of the items here: in my interactions, */
    int64_t *my_items;   /* of my block: in all, */
    uint64_t *all_items; /* and of the items here: in all */
} counts;

static void free_counts(counts *c)
{
    cf_free(&c->users);
    cf_free(&c->items);
    cf_free(&c->my_items);
    cf_free(&c->all_items);
}

static cf_status count_again(const ingest_log *log, counts *c)
{
    const size_t size = sizeof(int64_t);
    cf_status status;

    memset(c->users, 0, (size_t)log->users.ids.count * size);
    memset(c->items, 0, (size_t)log->places.count * size);
    memset(c->my_items, 0, (size_t)log->items.ids.count * size);
    for (int64_t e = 0; e < log->count; e++) {
        c->users[ingest_user(log->pairs[e])]++;
        c->items[ingest_item(log->pairs[e])]++;
    }
    CF_TRY(ingest_places_sum(&log->places, c->items, c->my_items));
    cf_free(&c->all_items);
    CF_TRY(ingest_places_fetch(&log->places, (const uint64_t *)c->my_items, &c->all_items));
done:
    return status;
}

/* One round: drop what is outside its interval now. How many are dropped on all ranks. */
static int64_t filter_round(const cf_par *world, const ingest_options *options, const counts *c,
                            ingest_log *log)
{
    int64_t kept = 0, before, dropped;

    for (int64_t e = 0; e < log->count; e++) {
        const uint64_t pair = log->pairs[e];

        if (ingest_intervals_hold(&options->user_count, (double)c->users[ingest_user(pair)]) &&
            ingest_intervals_hold(&options->item_count, (double)c->all_items[ingest_item(pair)]))
            keep(log, e, kept++);
    }
    cf_par_exscan(world, log->count - kept, &before, &dropped);
    log->filtered += log->count - kept;
    log->count = kept;
    return dropped;
}

/* Some names are gone; without these, ids may all be numbers, which sort otherwise. `c`: counted.
 */
static cf_status renumber_again(const cf_par *world, const counts *c, ingest_log *log)
{
    ingest_order users = log->users, items = log->items;
    uint32_t *my_items = NULL;
    uint64_t *wide = NULL, *fetched = NULL;
    numbers new = {0};
    cf_status status = CF_ALLOC(new.users, users.ids.count);

    log->users = log->items = (ingest_order){0};
    if (status == CF_OK) status = CF_ALLOC(new.items, log->places.count);
    if (status == CF_OK) status = CF_ALLOC(my_items, items.ids.count);
    if (status == CF_OK) status = CF_ALLOC(wide, items.ids.count);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(ingest_order_make(world, &users.ids, c->users, new.users, &log->users));
    CF_TRY(ingest_order_make(world, &items.ids, c->my_items, my_items, &log->items));
    for (int64_t k = 0; k < items.ids.count; k++)
        wide[k] = my_items[k];
    CF_TRY(ingest_places_fetch(&log->places, wide, &fetched));
    for (int64_t k = 0; k < log->places.count; k++)
        new.items[k] = (uint32_t)fetched[k];
    ingest_places_free(&log->places);
    CF_TRY(settle(world, &new, log));
done:
    ingest_order_free(&users);
    ingest_order_free(&items);
    cf_free(&my_items);
    cf_free(&wide);
    cf_free(&fetched);
    cf_free(&new.users);
    cf_free(&new.items);
    return status;
}

/* Numbers of interactions begin at 1. */
static bool holds_all(const ingest_intervals *intervals)
{
    return intervals->part[0].low <= 0 && intervals->part[0].high == INFINITY;
}

cf_status ingest_filter_counts(const cf_par *world, const ingest_options *options, ingest_log *log)
{
    counts c = {0};
    int64_t dropped = 0, now;
    cf_status status = CF_OK;

    if (holds_all(&options->user_count) && holds_all(&options->item_count)) goto done;
    status = CF_ALLOC(c.users, log->users.ids.count);
    if (status == CF_OK) status = CF_ALLOC(c.items, log->places.count);
    if (status == CF_OK) status = CF_ALLOC(c.my_items, log->items.ids.count);
    CF_TRY(cf_par_agree(world, status));
    do {
        CF_TRY(count_again(log, &c));
        now = filter_round(world, options, &c, log);
        dropped += now;
    } while (now > 0);
    if (dropped > 0) CF_TRY(renumber_again(world, &c, log));
done:
    free_counts(&c);
    return status;
}
