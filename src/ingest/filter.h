/**
 * Inside ingest: filters of interactions and items. What takes `world` is Collective, all else
 * Local.
 */
#pragma once

#include "split.h"
#include "vectors.h"

/** What the item file and the vectors say of items: lines whose ids this rank owns. */
typedef struct ingest_catalogue {
    const ingest_items *items; /* of the item file; its path is NULL if there is none */
    const ingest_items *rows;  /* whose each vector is; NULL: there are no vectors */
    const ingest_vectors *vectors;
} ingest_catalogue;

/** Why an item leaves; bits. */
enum {
    INGEST_ITEM_OUTSIDE = 1,   /* val_interval, or item_inter_num_interval */
    INGEST_ITEM_UNKNOWN = 2,   /* the item file lacks it */
    INGEST_ITEM_NO_VECTOR = 4, /* missing_embedding: drop */
    INGEST_ITEM_LEAVES = 7,
    INGEST_ITEM_COUNTED = 8 /* no reason: item_inter_num_interval applies, as it had interactions */
};

/** Numbers of interactions. */
typedef struct ingest_counts {
    int64_t *users;       /* of the users of my block */
    int64_t *local_items; /* of the listed items, in my interactions */
    int64_t *my_items;    /* of the items of my block, in all interactions */
    uint64_t *items;      /* of the listed items, in all interactions */
    uint8_t *fate;        /* of the items of my block: INGEST_ITEM_ bits */
} ingest_counts;

/**
 * Apply all filters in their order. If anything was dropped, or items without interactions are
 * kept, number the users and items anew: `*renumbered`. Errors: MEMORY.
 */
cf_status ingest_filter(const cf_par *world, const cf_ingest_options *options,
                        const ingest_catalogue *catalogue, ingest_interactions *inter,
                        bool *renumbered);

/* ---- By item (item_filter.c) ----------------------------------------------------------------- */

/** True if the catalogue may drop an item. */
bool ingest_filters_items(const cf_ingest_options *options, const ingest_catalogue *catalogue);
/** Fill counts->fate, and drop the interactions of items that leave. Collective. Errors: MEMORY. */
cf_status ingest_filter_items(const cf_ingest_options *options, const ingest_catalogue *catalogue,
                              ingest_counts *counts, ingest_interactions *inter);
/**
 * The items of my block, then those of the catalogue that are new, into `*ids`; how much each is
 * used into `*n_uses`: its interactions, 1 for one that is kept without any, 0 for one that leaves.
 * Both are new. Errors: MEMORY.
 */
cf_status ingest_list_items(const cf_ingest_options *options, const ingest_catalogue *catalogue,
                            const ingest_counts *counts, const cf_strings *block, cf_strings *ids,
                            int64_t **n_uses);

/* ---- By counts (count_filter.c) -------------------------------------------------------------- */

/**
 * Drop users and items whose number of interactions is outside its interval, repeated until nothing
 * changes. Each round takes both from the same counts, as RecBole does. `*counts`: allocated; those
 * of the remaining interactions afterwards. Errors: MEMORY.
 */
cf_status ingest_filter_counts(const cf_par *world, const cf_ingest_options *options,
                               ingest_counts *counts, ingest_interactions *inter);
