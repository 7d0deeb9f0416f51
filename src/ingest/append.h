/**
 * Inside ingest: a dataset, and what is appended to it. The new files are read by one rank, the
 * last, for new users and items come behind all others. What takes `world` is Collective, all else
 * Local.
 */
#pragma once

#include "split.h"
#include "vectors.h"

/* ---- New files (append_read.c) --------------------------------------------------------------- */

/** A new interaction, by numbers in the dataset that is written. */
typedef struct append_pair {
    int64_t user, item;
    int64_t is_test; /* else added */
} append_pair;

enum { APPEND_ITEM, APPEND_IDS, APPEND_INTER, APPEND_TEST, APPEND_N_FILES };

/** The new files, on the last rank; empty on the others. Starts zeroed, with vectors.matrix.fd
 * of -1. */
typedef struct append_news {
    cf_par self; /* the rank that reads, as a world of its own */
    ingest_file files[APPEND_N_FILES];
    ingest_interactions inter; /* of both files; their places have the parts */
    ingest_items items;        /* lines of the item file */
    ingest_items ids;          /* lines of the id file */
    ingest_vectors vectors;
    bool has_vectors;
    ingest_id_table item_ids; /* of the items that the dataset lacks, in the order of the file */
    cf_strings new_ids;       /* the same as strings, borrowed of it */
    cf_strings titles;        /* of these, if the item file has titles */
    ingest_id_table user_ids; /* of the users that the dataset lacks, ascending */
    append_pair *pairs;       /* n_pairs, ascending by user and item */
    int64_t n_pairs;
    int64_t n_known;   /* lines of items that the dataset has */
    int64_t n_unknown; /* interactions that were dropped, as neither the dataset nor the item file
                          has their items */
} append_news;

/** Read the files, and number users and items. `world` is that of the dataset. Errors: those of
 * reading files; USAGE (vectors, but the dataset has none), FORMAT (vectors of another length;
 * unknown items, unless the options drop them). */
cf_status append_read_news(const cf_dataset *dataset, const cf_ingest_options *options,
                           const cf_ingest_append_paths *paths, append_news *out);
void append_destroy_news(append_news *news);

/* ---- Lists (append_lists.c) ------------------------------------------------------------------ */

/** Counts of the new interactions of this rank's users. */
typedef struct append_counts {
    int64_t n_added, n_test; /* new in these lists */
    int64_t n_moved;         /* of those added, from test */
    int64_t n_repeats;       /* that the dataset has already */
} append_counts;

/** The lists added and test of my users: those of `shard`, and of the new users on the last rank,
 * with the pairs of all ranks. What is in train, valid or added already is not taken; what is added
 * leaves test. `out`: added, test; new, freed with cf_free(), also on errors. Errors: MEMORY. */
cf_status append_merge_lists(const cf_par *world, const cf_shard *shard, const append_news *news,
                             cf_lists out[2], append_counts *counts);

/* ---- Vectors (append_vectors.c) -------------------------------------------------------------- */

/** The vectors of my items: old ones, then new ones on the last rank. */
typedef struct append_vectors {
    cf_dataset *dataset; /* open on this rank alone; NULL: there are no vectors */
    cf_par self;
    int64_t first_item, n_old; /* my items that the dataset has */
    ingest_vectors *news;      /* borrowed; NULL: new items have none */
    char *rows;                /* new ones in their own type */
    int64_t capacity;
    int64_t n_missing;     /* of my items */
    int64_t n_new_missing; /* of the new ones */
} append_vectors;

/** Verify the old vectors, and find those of the new items. Errors: those of reading. Close in
 * every case. */
cf_status append_open_vectors(const cf_dataset *dataset, const cf_shard *shard, append_news *news,
                              append_vectors *out);
/** The read_vectors() of a cf_dataset_content; `context` is the append_vectors. */
cf_status append_read_vectors(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present);
void append_close_vectors(append_vectors *vectors);
