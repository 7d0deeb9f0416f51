/**
 * Inside ingest: what happens to interactions between reading and writing. They are numbered and
 * moved to the owners of their users, filtered (filter.h), and split. What takes `world` is
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
/** Sort the items of one user, by number. */
void ingest_sort_list(int64_t *items, int64_t count);
/** An item of a user, and its weight. */
typedef struct ingest_weighted {
    int64_t item;
    float weight;
} ingest_weighted;
/** The same with weights, which go with their items. `scratch`: count. */
void ingest_sort_weighted(int64_t *items, float *weights, int64_t count, ingest_weighted *scratch);

/* ---- Split (split.c) ------------------------------------------------------------------------- */

/** Split the interactions of my users into train, valid and test; `given`: their places have the
 * parts. Those of cold items go where inter->cold says. What max_train_items drops is in no part.
 * The lists are new, to be freed with cf_free(), also on errors. Errors: MEMORY. */
cf_status ingest_split(const cf_par *world, const cf_ingest_options *options, bool given,
                       const ingest_interactions *inter, cf_lists parts[3]);

/* ---- Cold items (cold.c) --------------------------------------------------------------------- */

/** Before the split: draw the cold items of cold_share, which is above 0, into a new inter->cold.
 * Errors: MEMORY, USAGE (the share is less than one item for valid and for test). */
cf_status ingest_draw_cold(const cf_par *world, const cf_ingest_options *options,
                           ingest_interactions *inter);
/** After it: mark all other items without train interactions too, in inter->cold, which is new if
 * it was NULL. `*counts`: of all ranks. Errors: MEMORY. */
cf_status ingest_mark_cold(const cf_par *world, const cf_lists parts[3], ingest_interactions *inter,
                           cf_ingest_cold *counts);
