/**
 * ingest: from the files that people have to a dataset file. It reads RecBole's atomic files,
 * LightGCN's text files and other delimited text, and vectors in NumPy or HDF5 files.
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"

/** Settings of `prepare`. */
extern const cf_setting cf_ingest_settings[];

/** Settings of `append`: those of them that say how files are read. */
extern const cf_setting cf_ingest_append_settings[];

enum { CF_INGEST_MAX_INTERVALS = 8, CF_INGEST_MAX_FILTERS = 8 };

/** A union of intervals in RecBole's notation, "(0,1];[3,inf)". */
typedef struct cf_ingest_intervals {
    const char *text; /* as written in the setting; borrowed */
    int count;        /* at least 1 */
    struct {
        double low, high;         /* either may be infinite */
        bool low_open, high_open; /* true: the bound itself is outside */
    } part[CF_INGEST_MAX_INTERVALS];
} cf_ingest_intervals;

/** What a line of a file of interactions without a header is. */
typedef enum cf_ingest_lines {
    CF_INGEST_AUTO,    /* what the lines tell; refused if that is not clear */
    CF_INGEST_RATINGS, /* a user, an item, perhaps a rating, perhaps a time */
    CF_INGEST_LISTS    /* a user and all its items: LightGCN's text */
} cf_ingest_lines;

/** The values of cf_ingest_settings. Texts are borrowed from the config. */
typedef struct cf_ingest_options {
    const char *field_separator; /* between the columns of a file */
    char seq_separator;          /* between the numbers of a float_seq column */
    const char *user_field, *item_field, *time_field, *rating_field; /* names of columns */
    const char *label_field;                   /* of 0 and 1; only counted, for a warning */
    const char *weight_field;                  /* of weights above 0; NULL: there are none */
    const char *title_field, *embedding_field; /* of the item file; "": not given */
    bool names_time, names_rating;             /* not the usual names: the column must be there */
    cf_ingest_lines headerless;
    bool by_time;                /* order interactions by time before the split; else at random */
    bool by_dates;               /* split at two times, the same for all users */
    double split_times[2];       /* valid begins at the first, test at the second */
    const char *time_texts[2];   /* the same, as they were given */
    bool by_ratio;               /* split by ratios; else leave one out */
    double ratios[3];            /* train, valid, test; sum 1 */
    double cold_share;           /* of the items, half for valid and half for test; 0 to 0.9 */
    int64_t max_train_items;     /* of a user; 0: all */
    bool keeps_last;             /* of repeats keep the last; else the first */
    bool drops_unknown;          /* drop interactions of items that the item file lacks; append
                                    refuses them otherwise */
    bool keeps_all;              /* keep items without interactions */
    bool missing_is_error;       /* refuse items without a vector */
    bool drops_missing;          /* drop items without a vector */
    bool bisects;                /* number users and items anew, neighbours near each other */
    double reorder_memory;       /* that one rank may use for it, in GiB */
    const char *embedding_model; /* name of the language model, for the dataset file */
    int64_t seed;                /* of the random order */
    int n_filters;               /* columns that val_interval names */
    const char *filter_field[CF_INGEST_MAX_FILTERS];
    cf_ingest_intervals filter[CF_INGEST_MAX_FILTERS];
    cf_ingest_intervals user_count, item_count; /* numbers of interactions to keep */
} cf_ingest_options;

/** Read and check the settings. Local; the same result on all ranks with the same config. The
 * options are valid as long as the config is unchanged. Errors: USAGE (names the setting). */
cf_status cf_ingest_read_options(const cf_config *config, cf_ingest_options *out);

/** Paths given on the command line; NULL if not given. Either `inter`, or `train` with `valid` and
 * `test` or without. */
typedef struct cf_ingest_paths {
    const char *inter;                /* one file of interactions, to be split */
    const char *train, *valid, *test; /* files of interactions that are split already */
    const char *item;                 /* item file: ids, titles, perhaps a float_seq column */
    const char *embedding;     /* .npy or HDF5 file of vectors: FILE or FILE:/DATASET; row k belongs
                                  to line k of `item` or `embedding_ids` */
    const char *embedding_ids; /* one item id a line, in the order of the vectors' rows */
    const char *out;           /* the dataset file to write */
} cf_ingest_paths;

/** Cut a source of vectors, FILE or FILE:/DATASET, in two: `*file` is new, to be freed with
 * cf_free();
 * `*dataset` points into `source`, or is NULL. Local. Errors: MEMORY. */
cf_status cf_ingest_split_source(const char *source, char **file, const char **dataset);

/** Items that are marked as cold, and what they have. */
typedef struct cf_ingest_cold {
    int64_t n_items;
    int64_t n_candidates[2];   /* of these, in valid and in test; one may be in both */
    int64_t n_interactions[2]; /* of all of these, in valid and in test */
} cf_ingest_cold;

/** Counts for the report, of all ranks together. */
typedef struct cf_ingest_report {
    int64_t lines;      /* interactions read */
    int64_t duplicates; /* of these, dropped because another one has the same user and item */
    int64_t filtered;   /* of these, dropped by val_interval and the count intervals */
    int64_t unknown;    /* of these, dropped because the item file lacks the item */
    int64_t no_vector;  /* of these, dropped because the item has no vector */
    int64_t n_users, n_items, n_train, n_valid, n_test; /* of the dataset */
    int64_t n_no_interactions;                          /* its items without any */
    int64_t n_no_train;                                 /* its users without train interactions */
    int64_t n_above_most; /* train interactions dropped by max_train_items */
    cf_ingest_cold cold;
    int64_t embedding_dim;  /* 0: no vectors */
    int64_t n_missing;      /* items without a vector */
    int64_t unused_vectors; /* vectors of no item of the dataset */
    int64_t n_leaves;       /* 0: users and items are in the order of their ids */
    int64_t n_leaf_parts;   /* in how many parts the leaves were found; 1: on one rank */
    double mean_weight;     /* of train interactions; 0: they have no weights */
    double seconds, bytes;  /* bytes: of the files of interactions */
} cf_ingest_report;

/**
 * Read, filter, split and write a dataset: the same bytes on any number of ranks. Each rank reads a
 * byte range of each file, and then holds the interactions of a block of the users. On error there
 * is no file at paths->out, or the one that was there before.
 *
 * Collective. Errors: USAGE (paths that contradict each other or the options), FORMAT ("FILE:LINE:
 * COLUMN: ...", the first malformed line of the file), IO, MEMORY, NUMERIC (a vector with NaN or
 * infinity).
 */
cf_status cf_ingest_prepare(const cf_par *world, const cf_ingest_options *options,
                            const cf_ingest_paths *paths, cf_ingest_report *report);

/* ---- Appending ---- */

/** Read and check the settings of a config that has cf_ingest_append_settings; all else in the
 * options is zero. Local. Errors: USAGE. */
cf_status cf_ingest_read_append_options(const cf_config *config, cf_ingest_options *out);

/** Paths given on the command line; NULL if not given. At least one of item, inter and test. */
typedef struct cf_ingest_append_paths {
    const char *data;                      /* the dataset to append to */
    const char *item;                      /* item file: new items */
    const char *embedding, *embedding_ids; /* of these, as of cf_ingest_paths */
    const char *inter; /* interactions since the training: history, of which new users are made */
    const char *test;  /* interactions for the test part */
    const char *out;   /* the dataset file to write */
} cf_ingest_append_paths;

/** Counts for the report, of all ranks together. */
typedef struct cf_ingest_append_report {
    int64_t n_users, n_items;         /* of the dataset */
    int64_t new_users, new_items;     /* of these */
    int64_t known_items;              /* lines of the item file that the dataset has already */
    int64_t added, test;              /* new interactions in these parts */
    int64_t moved;                    /* of those added, from the test part */
    int64_t repeats;                  /* interactions that the dataset has already */
    int64_t unknown;                  /* interactions dropped, as nothing has their items */
    int64_t embedding_dim, n_missing; /* 0: no vectors; new items without one */
    double seconds;
} cf_ingest_append_report;

/**
 * Append to a dataset: users and items keep their numbers, new ones follow. New items are marked as
 * cold, candidates in valid and test. The same bytes on any number of ranks. One rank holds all of
 * the new files but vectors. On error `out` is as it was before.
 *
 * Collective. Errors: those of cf_ingest_prepare() and of reading the dataset; USAGE (no new file,
 * vectors for a dataset without, more ranks than users or items).
 */
cf_status cf_ingest_append(const cf_par *world, const cf_ingest_options *options,
                           const cf_ingest_append_paths *paths, cf_ingest_append_report *report);
