/**
 * Inside ingest: what happens to interactions between reading and writing. They are numbered and
 * moved to the owners of their users, filtered by counts, and split. What takes `world` is
 * Collective, all else Local.
 */
#pragma once

#include "interactions.h"

/* ---- Intervals (intervals.c) ----------------------------------------------------------------- */

/** Parse the text of a setting, which stays borrowed. Errors: USAGE (names the setting). */
cf_status ingest_parse_intervals(const char *setting, const char *text, cf_ingest_intervals *out);
bool ingest_is_in_intervals(const cf_ingest_intervals *intervals, double value);

/* ---- Numbers (renumber.c, sort.c) ------------------------------------------------------------ */

/** Global numbers of users and items, by the numbers that the pairs have now. */
typedef struct ingest_new_numbers {
    uint32_t *users, *items;
} ingest_new_numbers;

/**
 * Number users and items over all ranks, move each interaction to the owner of its user, sort, and
 * keep of each pair the first interaction, or the last. The id tables are then empty. Errors:
 * MEMORY, FORMAT (too many ids).
 */
cf_status ingest_number_ids(const cf_par *world, ingest_interactions *inter);
/** The same with given numbers, once inter->users and inter->items are partitioned. Errors: MEMORY.
 */
cf_status ingest_apply_numbers(const cf_par *world, const ingest_new_numbers *numbers,
                               ingest_interactions *inter);
/** Sort by (user, item), stable. Errors: MEMORY. */
cf_status ingest_sort_interactions(ingest_interactions *inter);

/* ---- Filters (filter.c, count_filter.c) ------------------------------------------------------ */

/** Numbers of interactions. */
typedef struct ingest_counts {
    int64_t *users;       /* of the users of my block */
    int64_t *local_items; /* of the listed items, in my interactions */
    int64_t *my_items;    /* of the items of my block, in all interactions */
    uint64_t *items;      /* of the listed items, in all interactions */
} ingest_counts;

/** Apply all filters in their order, and number the remaining users and items anew. Errors: MEMORY.
 */
cf_status ingest_filter(const cf_par *world, const cf_ingest_options *options,
                        ingest_interactions *inter);
/**
 * Drop users and items whose number of interactions is outside its interval, repeated until nothing
 * changes. Each round takes both from the same counts, as RecBole does. `*counts`: allocated; those
 * of the remaining interactions afterwards. Errors: MEMORY.
 */
cf_status ingest_filter_counts(const cf_par *world, const cf_ingest_options *options,
                               ingest_counts *counts, ingest_interactions *inter);

/* ---- Split (split.c) ------------------------------------------------------------------------- */

/** Split the interactions of my users into train, valid and test; `given`: their places have the
 * parts. The lists are new, to be freed with cf_free(), also on errors. Errors: MEMORY. */
cf_status ingest_split(const cf_par *world, const cf_ingest_options *options, bool given,
                       const ingest_interactions *inter, cf_lists parts[3]);
