/**
 * Inside ingest: the interactions of a rank, and reading them from files of either format. What
 * takes `world` is Collective, all else Local.
 */
#pragma once

#include "ids.h"

#include <string.h>

/* ---- Interactions (interactions.c) ----------------------------------------------------------- */

/** The parts of a split, in this order everywhere. */
enum { INGEST_NO_PART = -1, INGEST_TRAIN = 0, INGEST_VALID = 1, INGEST_TEST = 2 };

/** What orders the interactions of a user, where times that tie keep the order of the file; and
 * their weight. */
typedef struct ingest_key {
    uint64_t time;  /* bits whose unsigned order is the order of times */
    uint64_t place; /* from the top: 2 bits for the part of a given split; 61 for a number that
                       ascends with the lines of the file; 1 if val_interval rejects it */
    float weight;   /* above 0 */
} ingest_key;

enum { INGEST_PART_SHIFT = 62 };

static inline uint64_t ingest_make_place(int part, int64_t line, bool rejected)
{
    return (uint64_t)(part == INGEST_NO_PART ? 0 : part) << INGEST_PART_SHIFT |
           (uint64_t)line << 1 | rejected;
}
static inline int ingest_part_of_place(uint64_t place)
{
    return (int)(place >> INGEST_PART_SHIFT);
}
static inline bool ingest_is_rejected(uint64_t place)
{
    return place & 1;
}

/**
 * Interactions of this rank: pairs with the user's number in the upper half and the item's in the
 * lower half.
 *
 * Until ingest_number_ids() they are those of the lines that the rank has read, numbered by
 * `user_ids` and `item_ids`. Afterwards they are those of its block of users, sorted and distinct:
 * users are indices in the block, items are local numbers of `index`.
 */
typedef struct ingest_interactions {
    ingest_id_table user_ids, item_ids; /* before; then empty */
    ingest_id_partition users, items;   /* afterwards */
    ingest_item_index index;            /* afterwards */
    uint8_t *cold;                      /* of the items of my block: cf_cold_mark; NULL: no item is
                                           cold; see cold.c */
    uint64_t *pairs;                    /* count */
    uint64_t *keys;                     /* count x key_words: see ingest_key; NULL if count is 0 */
    int key_words; /* time and weight, if there are any, then place; 0: their order is irrelevant
                    */
    bool has_times, has_weights;
    bool keeps_last; /* of repeats the last one is kept, else the first */
    int64_t count, capacity;
    int64_t n_lines, n_filtered, n_duplicates; /* of this rank: read; dropped by intervals; dropped
                                                  as repeats */
    int64_t n_zero_labels;                     /* of this rank: read, not dropped by intervals, with
                                                  a label of 0 */
    int64_t n_unknown, n_no_vector;            /* of this rank: dropped because of their items */
    int64_t n_no_interactions;                 /* items without any, over all ranks */
    bool has_item_file;    /* columns of val_interval that are not here may be there */
    unsigned item_filters; /* bit k: column k of val_interval is not here, but in the item file */
    const ingest_text *source; /* the file that is read now */
    int64_t n_before;          /* interactions read before that file */
    double bytes;              /* of all files, of all ranks */
    bool is_lightgcn;          /* a file is in LightGCN's format: item ids are rows */
    cf_ingest_lines lines;     /* what the lines of a file without a header were told to be */
} ingest_interactions;

/** Append an interaction, by the numbers of its ids in user_ids and item_ids. Errors: MEMORY. */
cf_status ingest_append_interaction(ingest_interactions *inter, int64_t user, int64_t item,
                                    const ingest_key *key);
/** Copy interaction `from_at` of `from` to index `to_at` of `to`, which may be the same. */
static inline void ingest_copy_interaction(const ingest_interactions *from, int64_t from_at,
                                           ingest_interactions *to, int64_t to_at)
{
    to->pairs[to_at] = from->pairs[from_at];
    for (int w = 0; w < from->key_words; w++)
        to->keys[to_at * from->key_words + w] = from->keys[from_at * from->key_words + w];
}
/** The place of interaction e, if there are keys. */
static inline uint64_t *ingest_place_of(const ingest_interactions *inter, int64_t e)
{
    return &inter->keys[(e + 1) * inter->key_words - 1];
}
/** The time of interaction e, if there are times. */
static inline uint64_t ingest_time_of(const ingest_interactions *inter, int64_t e)
{
    return inter->keys[e * inter->key_words];
}
/** The weight of interaction e, if there are weights. */
static inline float ingest_weight_of(const ingest_interactions *inter, int64_t e)
{
    float weight;

    memcpy(&weight, ingest_place_of(inter, e) - 1, sizeof weight);
    return weight;
}
/** True if interaction a comes before b in the order of time, then of the files. */
static inline bool ingest_is_before(const ingest_interactions *inter, int64_t a, int64_t b)
{
    if (inter->has_times && ingest_time_of(inter, a) != ingest_time_of(inter, b))
        return ingest_time_of(inter, a) < ingest_time_of(inter, b);
    return *ingest_place_of(inter, a) < *ingest_place_of(inter, b);
}
void ingest_destroy_interactions(ingest_interactions *inter);

/* ---- Queue (queue.c) ------------------------------------------------------------------------- */

enum { INGEST_QUEUE_SIZE = 32, INGEST_QUEUE_BYTES = 48 };

/** Pairs of ids that wait for their look-up: a ring. See queue.c. Starts with `inter` alone set. */
typedef struct ingest_queue {
    ingest_interactions *inter; /* where they go; borrowed */
    int64_t first, next;        /* pairs first .. next - 1 wait, at their number modulo the size */
    struct ingest_queued_pair {
        ingest_key key;
        uint64_t user_hash, item_hash;
        int64_t user_length, item_length;
        char user[INGEST_QUEUE_BYTES], item[INGEST_QUEUE_BYTES];
    } pair[INGEST_QUEUE_SIZE];
} ingest_queue;

/** Add an interaction by its ids, now or with a later call. The order of interactions is lost.
 * Errors: MEMORY, FORMAT (too many ids). */
cf_status ingest_enqueue_pair(ingest_queue *queue, const ingest_field *user,
                              const ingest_field *item, const ingest_key *key);
/** Add all that wait. Errors: as above. */
cf_status ingest_flush_queue(ingest_queue *queue);

/* ---- Formats (format.c) ---------------------------------------------------------------------- */

enum { INGEST_MAX_NAMES = 4 }; /* of the columns of a file without a header */

/** How a file of interactions is read. Not to be copied: the layout may point to `names`. */
typedef struct ingest_format {
    bool is_lightgcn;     /* a user and all its items a line */
    ingest_layout layout; /* else */
    const char *names[INGEST_MAX_NAMES];
    int64_t bytes; /* of the file */
} ingest_format;

/** Tell the format of a file by its first line or, if that is not enough, by all lines: the same on
 * any number of ranks. `*known`: what the lines of earlier files without a header are, and then
 * those of this one. Errors: IO, MEMORY, FORMAT (empty; not clear, with what to do). */
cf_status ingest_find_format(const cf_par *world, const cf_ingest_options *options,
                             const ingest_file *file, cf_ingest_lines *known, ingest_format *out);

/* ---- Files (read_interactions.c) ------------------------------------------------------------- */

/** Append this rank's range of a file of either format. `part`: the part of a given split that it
 * is, or INGEST_NO_PART. Errors: IO, FORMAT, MEMORY. */
cf_status ingest_read_interactions(const cf_par *world, const cf_ingest_options *options,
                                   const ingest_file *file, int part, ingest_interactions *inter);
/** The bits of a time, changed so that their unsigned order is the order of times: invert negative
 * ones, set the top bit of the others. Adding 0 turns -0 into 0. */
uint64_t ingest_time_bits(double time);
/** The time that has these bits. */
double ingest_time_of_bits(uint64_t bits);
