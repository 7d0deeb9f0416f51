/**
 * Inside ingest: the interactions of a rank, and reading them from files of either format. What
 * takes `world` is Collective, all else Local.
 */
#pragma once

#include "ids.h"

/* ---- Interactions (interactions.c) ----------------------------------------------------------- */

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
    uint64_t *pairs;                    /* count */
    uint64_t *keys; /* count: the time, as bits whose unsigned order is the order of time; or the
                       part of a given split; NULL if the split needs neither, or count is 0 */
    bool has_keys;
    int64_t count, capacity;
    int64_t n_lines, n_filtered, n_duplicates; /* of this rank: read; dropped by intervals; dropped
                                                  as repeats */
    const ingest_text *source;                 /* the file that is read now */
    int64_t n_before;                          /* interactions read before that file */
    double bytes;                              /* of all files, of all ranks */
    bool is_lightgcn; /* a file is in LightGCN's format: item ids are rows */
} ingest_interactions;

/** Append an interaction, by the numbers of its ids in user_ids and item_ids. Errors: MEMORY. */
cf_status ingest_append_interaction(ingest_interactions *inter, int64_t user, int64_t item,
                                    uint64_t key);
/** Copy interaction `from` to index `to`. */
static inline void ingest_keep_interaction(ingest_interactions *inter, int64_t from, int64_t to)
{
    inter->pairs[to] = inter->pairs[from];
    if (inter->keys) inter->keys[to] = inter->keys[from];
}
void ingest_destroy_interactions(ingest_interactions *inter);

/* ---- Queue (queue.c) ------------------------------------------------------------------------- */

enum { INGEST_QUEUE_SIZE = 32, INGEST_QUEUE_BYTES = 48 };

/** Pairs of ids that wait for their look-up: a ring. See queue.c. Starts with `inter` alone set. */
typedef struct ingest_queue {
    ingest_interactions *inter; /* where they go; borrowed */
    int64_t first, next;        /* pairs first .. next - 1 wait, at their number modulo the size */
    struct ingest_queued_pair {
        uint64_t key, user_hash, item_hash;
        int64_t user_length, item_length;
        char user[INGEST_QUEUE_BYTES], item[INGEST_QUEUE_BYTES];
    } pair[INGEST_QUEUE_SIZE];
} ingest_queue;

/** Add an interaction by its ids, now or with a later call. The order of interactions is lost.
 * Errors: MEMORY, FORMAT (too many ids). */
cf_status ingest_enqueue_pair(ingest_queue *queue, const ingest_field *user,
                              const ingest_field *item, uint64_t key);
/** Add all that wait. Errors: as above. */
cf_status ingest_flush_queue(ingest_queue *queue);

/* ---- Files (read_interactions.c) ------------------------------------------------------------- */

/** The parts of a split, in this order everywhere. */
enum { INGEST_NO_PART = -1, INGEST_TRAIN = 0, INGEST_VALID = 1, INGEST_TEST = 2 };

/** Append this rank's range of a file of either format. `part` becomes the key of its interactions,
 * unless it is INGEST_NO_PART. Errors: IO, FORMAT, MEMORY. */
cf_status ingest_read_interactions(const cf_par *world, const cf_ingest_options *options,
                                   const ingest_file *file, int part, ingest_interactions *inter);
