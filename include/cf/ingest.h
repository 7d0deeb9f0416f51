/**
 * ingest: from files people have to a dataset file. RecBole atomic files, LightGCN text, delimited
 * text, vectors of NumPy or HDF5 files.
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"

/** Settings of `prepare`. */
extern const cf_setting cf_ingest_settings[];

/** Paths given on the command line; NULL where not given. Either inter, or train (and test, valid).
 */
typedef struct cf_ingest_paths {
    const char *inter;                /* one file of interactions, to be split */
    const char *train, *valid, *test; /* predefined split, either format */
    const char *item;                 /* .item file: ids, titles, perhaps a float_seq column */
    const char *embedding;     /* .npy or HDF5 file of vectors, FILE or FILE:/DATASET, aligned with
                              `item` or `embedding_ids` */
    const char *embedding_ids; /* one item id a line, in the order of the vectors' rows */
    const char *out;           /* the dataset file to write */
} cf_ingest_paths;

/** Counts for the report. */
typedef struct cf_ingest_report {
    int64_t lines, duplicates,
        filtered; /* interactions read, dropped as repeats, dropped by filters */
    int64_t n_users, n_items, n_train, n_valid, n_test, embedding_dim, n_missing, unused_vectors;
    double seconds, bytes;
} cf_ingest_report;

/**
 * Read, filter, split and write: the same bytes on any number of ranks. Collective: each rank reads
 * a part of each file, and holds the interactions of a part of the users. Errors: FORMAT
 * ("FILE:LINE: COLUMN: ...", the first line of the file that is wrong), IO, USAGE, MEMORY, NUMERIC;
 * no output is left half written.
 */
cf_status cf_ingest_prepare(const cf_par *world, const cf_config *config,
                            const cf_ingest_paths *paths, cf_ingest_report *report);
