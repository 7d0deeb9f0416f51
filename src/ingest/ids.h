/**
 * Inside ingest: ids, from bytes to global numbers. A rank numbers the ids that it reads in a hash
 * table. The ids are then partitioned over the ranks in their final order, and each rank learns the
 * global number of each of its ids. What takes `world` is Collective, all else Local.
 */
#pragma once

#include "fields.h"

/* ---- Table (id_table.c) ---------------------------------------------------------------------- */

/**
 * The ids of this rank, numbered by first appearance: an open-addressing hash table (XXH3) over an
 * arena of NUL-terminated bytes. Starts zeroed.
 */
typedef struct ingest_id_table {
    int64_t count;
    int64_t *start; /* count + 1 offsets into `bytes`, for capacity start_capacity */
    char *bytes;
    int64_t start_capacity, byte_capacity;
    struct ingest_slot *slots; /* n_slots, a power of two */
    int64_t n_slots;
    uint32_t *by_value; /* n_values: number + 1 of the id that is this decimal number; 0: none */
    int64_t n_values;
} ingest_id_table;

/** The number of an id, which is inserted if it is new; `hash` is its ingest_hash(). Errors:
 * MEMORY, FORMAT (more than 2^32 - 2 ids). */
cf_status ingest_add_id(ingest_id_table *table, uint64_t hash, const ingest_field *id,
                        int64_t *number);
/** Prefetch the memory that ingest_add_id() will read first. */
void ingest_prefetch_id(const ingest_id_table *table, uint64_t hash);
/** The number of an id that is known and a decimal number of few digits; else -1. One load from a
 * small array, where the hash table would wait for memory. */
int64_t ingest_find_small_id(const ingest_id_table *table, const ingest_field *id);
/** The number of an id; -1 if unknown. */
int64_t ingest_find_id(const ingest_id_table *table, const char *id, int64_t length);
void ingest_destroy_id_table(ingest_id_table *table);
/** A hash of bytes that must never change: random splits depend on it. */
uint64_t ingest_hash(const char *bytes, int64_t length);

/** The ids as strings, borrowed: string k is id number k. */
static inline cf_strings ingest_id_strings(const ingest_id_table *table)
{
    return (cf_strings){.count = table->count, .start = table->start, .bytes = table->bytes};
}

/* ---- Keys (id_key.c) ------------------------------------------------------------------------- */

/** What ids are compared by. The first bytes as a number settle most comparisons without a look at
 * the id itself. */
typedef struct ingest_id_key {
    uint64_t first;        /* the first 8 bytes, big-endian, zero-padded */
    const char *id;        /* borrowed */
    int64_t length;        /* compared before the bytes if ids are numbers, else 0 */
    uint32_t number, size; /* which of the strings; bytes with the NUL */
} ingest_id_key;

/** The key of string k. */
ingest_id_key ingest_make_id_key(const cf_strings *ids, int64_t k, bool as_numbers);
/** The keys of all strings, new, to be freed with cf_free(). Errors: MEMORY. */
cf_status ingest_create_id_keys(const cf_strings *ids, bool as_numbers, ingest_id_key **out);
/** As for qsort(). */
int ingest_compare_id_keys(const void *a, const void *b);
/** Copy the ids of `count` keys, in their order, into new strings. Errors: MEMORY. */
cf_status ingest_copy_keyed_ids(const ingest_id_key *keys, int64_t count, cf_strings *out);

/* ---- Partition (id_partition.c) -------------------------------------------------------------- */

/**
 * The users or items of the dataset in their final order, in one block a rank. The order is
 * numerical if all ids are decimal numbers without leading zeros, else by bytes. Starts zeroed.
 */
typedef struct ingest_id_partition {
    cf_strings ids;   /* of my block */
    cf_blocks blocks; /* of all ranks, of about equal work */
    bool as_numbers;  /* the order is numerical */
    cf_strings cuts; /* size - 1 ascending ids: an id belongs to the rank of the first cut above it,
                        or to the last rank */
} ingest_id_partition;

/**
 * Partition ids. Each rank contributes some, and several ranks may contribute the same one.
 * `n_uses` (one for each id) counts the interactions with it; ids with 0 are left out. `number`
 * (one for each id) becomes the id's global number, UINT32_MAX if it is left out. Destroy `*out`
 * also on errors. Errors: MEMORY, FORMAT (more than 2^32 - 2 ids).
 */
cf_status ingest_create_id_partition(const cf_par *world, const cf_strings *ids,
                                     const int64_t *n_uses, uint32_t *number,
                                     ingest_id_partition *out);
void ingest_destroy_id_partition(ingest_id_partition *partition);

/* ---- Route (id_route.c) ---------------------------------------------------------------------- */

/** Ids sent to the ranks that own them, and how to send other data the same way. Starts zeroed. */
typedef struct ingest_id_route {
    int64_t count;                    /* ids that this rank sends */
    uint32_t *send_index;             /* count: which ids, grouped by owner */
    int64_t *send_count, *recv_count; /* ranks: ids to each owner, and from each rank */
    cf_strings received;              /* the ids from all ranks, grouped by sender */
} ingest_id_route;

/** Send ids to their owners, except those with `n_uses` of 0 (NULL: send all). Destroy `*out` also
 * on errors. Errors: MEMORY. */
cf_status ingest_create_id_route(const cf_par *world, const ingest_id_partition *partition,
                                 const cf_strings *ids, const int64_t *n_uses,
                                 ingest_id_route *out);
void ingest_destroy_id_route(ingest_id_route *route);
/** Strings from `size` bytes, each string ended by a NUL. Takes `*bytes` and sets it to NULL, but
 * not on errors. Errors: MEMORY. */
cf_status ingest_take_strings(char **bytes, int64_t size, cf_strings *out);

/* ---- Pairs ----------------------------------------------------------------------------------- */

/* An interaction as one word: the user's number in the upper half, the item's in the lower, so that
 * the order of words is by user, then by item. */
static inline uint32_t ingest_user(uint64_t pair)
{
    return (uint32_t)(pair >> 32);
}

static inline uint32_t ingest_item(uint64_t pair)
{
    return (uint32_t)pair;
}

static inline uint64_t ingest_pair(uint32_t user, uint32_t item)
{
    return (uint64_t)user << 32 | item;
}

/* ---- Item index (item_index.c) --------------------------------------------------------------- */

/**
 * The distinct items of this rank's interactions, whichever rank owns them, in ascending order. An
 * item's index in this list is its local number. Starts zeroed.
 */
typedef struct ingest_item_index {
    const cf_par *world; /* borrowed */
    int64_t count;
    uint32_t *item;        /* count: global numbers, ascending, so grouped by owner */
    uint64_t *bits;        /* one bit for each item of the dataset: is it in the list? */
    uint32_t *bits_before; /* how many bits are set in the words of `bits` before each word */
    int64_t *n_requested;  /* ranks: items of mine that each rank owns */
    int64_t *n_served;     /* ranks: items of my block that each rank has in its list */
    uint32_t *served;      /* which, as indices in my block, grouped by rank */
} ingest_item_index;

/** The index of `count` pairs (user, item); `items` are the blocks of items. Destroy `*out` also on
 * errors. Errors: MEMORY. */
cf_status ingest_create_item_index(const cf_par *world, const cf_blocks *items,
                                   const uint64_t *pairs, int64_t count, ingest_item_index *out);
/** The local number of an item that is in the list: the bits set before its own. */
static inline uint32_t ingest_local_item(const ingest_item_index *index, uint32_t item)
{
    const uint64_t below = ((uint64_t)1 << item % 64) - 1;

    return index->bits_before[item / 64] +
           (uint32_t)__builtin_popcountll(index->bits[item / 64] & below);
}
/** Add `mine` (count: a value for each listed item) of all ranks to `totals` (of the items of my
 * block). Collective. Errors: MEMORY. */
cf_status ingest_sum_over_items(const ingest_item_index *index, const int64_t *mine,
                                int64_t *totals);
/** The same for sets of bits, which are joined. Collective. Errors: MEMORY. */
cf_status ingest_join_over_items(const ingest_item_index *index, const uint64_t *mine,
                                 uint64_t *totals);
/** Fetch `values` (of the items of each owner's block) for the listed items. `*out` (count) is new,
 * to be freed with cf_free(). Collective. Errors: MEMORY. */
cf_status ingest_fetch_item_values(const ingest_item_index *index, const uint64_t *values,
                                   uint64_t **out);
/** The same for numbers of 32 bits. */
cf_status ingest_fetch_item_numbers(const ingest_item_index *index, const uint32_t *values,
                                    uint32_t **out);
void ingest_destroy_item_index(ingest_item_index *index);
