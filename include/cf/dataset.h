/**
 * dataset: users, items, interactions, splits and language-model vectors, in one HDF5 file; who
 * owns what of it.
 */
#pragma once

#include "cf/config.h"
#include "cf/par.h"
#include "cf/store.h"

/** An opened dataset file: the numbers, not the data. */
typedef struct cf_dataset {
    const cf_par *world; /* borrowed */
    cf_store *store;
    int64_t n_users, n_items;
    int64_t n_train, n_valid, n_test; /* interactions */
    int64_t embedding_dim;            /* D of the language-model vectors; 0: the file has none */
    int64_t n_missing;                /* items without a vector (their rows are zero) */
    uint64_t digest; /* names the content: a checkpoint of another dataset is refused by it */
} cf_dataset;

/** Rows of ascending lists: list k is index[start[k]] .. index[start[k + 1] - 1]. */
typedef struct cf_lists {
    int64_t count;
    int64_t *start; /* count + 1, from 0 */
    int64_t *index; /* global numbers */
} cf_lists;

/** What the ranks of one grid row hold: a block of users and a block of items with their
 * interactions. */
typedef struct cf_shard {
    cf_blocks users, items; /* all blocks, of about equal work: interactions + CF_ROW_WORK a row */
    int64_t first_user, n_users; /* mine */
    int64_t first_item, n_items;
    int64_t first_interaction; /* global number of my first train interaction, in order of (user,
                                  item) */
    cf_lists train;            /* my users: items */
    cf_lists train_by_item;    /* my items: users */
    cf_lists valid, test;      /* my users: items */
} cf_shard;

/** A row's own cost (optimizer, buffers) in interactions, for the balance of blocks. */
enum { CF_ROW_WORK = 4 };
/** Of pointers `first` on (`count` of a side's), the first k with ptr[k] + CF_ROW_WORK (first + k)
 * >= target: where a block begins whose share of the work that is. `count` if none. Local. */
int64_t cf_dataset_find_work(const int64_t *ptr, int64_t first, int64_t count, int64_t target);

/** The user's own names: ids of users or items, titles of items. */
typedef enum cf_name_kind { CF_USER_IDS, CF_ITEM_IDS, CF_ITEM_TITLES } cf_name_kind;
typedef struct cf_strings {
    int64_t count;
    int64_t *start; /* count + 1 offsets into bytes */
    char *bytes;    /* NUL after each string, so that bytes + start[k] is a C string */
} cf_strings;

/**
 * What a new dataset file shall hold. Each rank brings consecutive users and consecutive items, the
 * first ones rank 0; a rank's part may be empty, and has less than 2^32 - 1 of either. Borrowed;
 * vectors come by blocks from a function, so that they are never held whole. What is not of single
 * users or items is taken from rank 0.
 */
typedef struct cf_dataset_content {
    cf_strings user_ids, item_ids; /* of mine; over all ranks distinct, none empty */
    cf_strings titles;             /* of my items, or count 0 on all ranks: the file has none */
    cf_lists train, valid, test;   /* by my users: items, ascending and distinct within a user */
    int64_t n_missing;             /* items of mine without a vector */
    int64_t embedding_dim;         /* D; 0: no vectors */
    cf_type embedding_type;        /* CF_F16 or CF_F32 */
    /**
     * Vectors of items first .. first + count - 1, counted from this rank's first, into `rows`
     * (count x D, of embedding_type) and flags into `present` (count; 0: no vector, its row is
     * zero). Local: called on each rank for its own items, ascending, each once.
     */
    cf_status (*read_vectors)(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present);
    void *context;
    const char *source, *filters, *split,
        *embedding_model; /* for people: attributes of the file; none NULL */
    int64_t seed;
} cf_dataset_content;

/**
 * Write a dataset file: the same bytes, however users and items lie on the ranks. Collective;
 * `content` may be NULL on a rank without users and items that is not rank 0. On error `path` is as
 * it was before. Errors: IO, MEMORY, those of read_vectors.
 */
cf_status cf_dataset_write(const cf_par *world, const char *path,
                           const cf_dataset_content *content);

/** Open a dataset. Collective. Errors: those of cf_store_open(), FORMAT. Close with
 * cf_dataset_close(). */
cf_status cf_dataset_open(const cf_par *world, const char *path, cf_dataset **out);
void cf_dataset_close(cf_dataset **dataset);
/** The path as given. Local. */
const char *cf_dataset_path(const cf_dataset *dataset);

/** Read this rank's shard. Collective over the grid. No rank reads more than its shard and bounded
 * buffers. Errors: IO, FORMAT (damaged; indices out of range), MEMORY, USAGE (more grid rows than
 * users or items). */
cf_status cf_dataset_load_shard(const cf_dataset *dataset, const cf_grid *grid, cf_shard **out);
void cf_dataset_destroy_shard(cf_shard **shard);

/** Train interactions of items first .. first + count - 1. Collective; each rank its own range.
 * `out`: count. */
cf_status cf_dataset_read_item_counts(const cf_dataset *dataset, int64_t first, int64_t count,
                                      int64_t *out);

/**
 * Vectors of items first .. first + count - 1 as float32. Collective; each rank its own range,
 * count may be 0. `out`: count x embedding_dim. `present`: count flags, 0 where an item has no
 * vector; may be NULL. Errors: IO, FORMAT, NUMERIC (NaN or infinity; names the item).
 */
cf_status cf_dataset_read_embedding(const cf_dataset *dataset, int64_t first, int64_t count,
                                    float *out, uint8_t *present);
/** Verify the vectors' checksums, once all ranks together have read all of them exactly once.
 * Collective. */
cf_status cf_dataset_verify_embedding(const cf_dataset *dataset);
/** Nothing if every item has a vector. Otherwise FORMAT, naming the first item without one and the
 * values of missing_embedding that are `accepted` ("zero or mean"). Collective. */
cf_status cf_dataset_refuse_missing(const cf_dataset *dataset, const char *accepted);

/** Names first .. first + count - 1. Collective; each rank its own range. Titles of a file without
 * titles are "". Free with cf_dataset_destroy_strings(). */
cf_status cf_dataset_read_names(const cf_dataset *dataset, cf_name_kind which, int64_t first,
                                int64_t count, cf_strings *out);
void cf_dataset_destroy_strings(cf_strings *strings);
/** Numbers of the given ids, by a pass over the file in bounded memory. Collective, same ids on
 * all. Errors: FORMAT, naming the first id that is not there and where it came from (`origin`). */
cf_status cf_dataset_find(const cf_dataset *dataset, cf_name_kind which, const cf_strings *ids,
                          const char *origin, int64_t *out);
/** The id of one user or item for a message, e.g. `item "B001" (number 17)`. Collective. `out`: at
 * least 256 bytes. */
void cf_dataset_describe(const cf_dataset *dataset, cf_name_kind which, int64_t number, char *out,
                         size_t size);
