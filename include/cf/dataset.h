/**
 * dataset: users, items, their interactions in three splits, and language-model vectors, in one
 * HDF5 file (src/store/README.md has its arrays); and which rank owns which part of it. Users and
 * items have global numbers from 0; the user's own names for them are ids.
 */
#pragma once

#include "cf/config.h"
#include "cf/par.h"
#include "cf/store.h"

/** What marks a cold item, one without train interactions that the dataset keeps for the question
 * how new items fare: the parts in which it is a candidate. No mark: a warm item. */
typedef enum cf_cold_mark { CF_COLD_VALID = 1, CF_COLD_TEST = 2 } cf_cold_mark;
/** Is an item cold? `marks`: of all items; NULL: none is marked. Local. */
static inline bool cf_is_cold(const uint8_t *marks, int64_t item)
{
    return marks != NULL && marks[item] != 0;
}

/** The dataset that a file was prepared as, before items, users and interactions were appended to
 * it: a model is trained with this. Its users and items have the first numbers. */
typedef struct cf_dataset_base {
    uint64_t digest;
    int64_t n_users, n_items;
} cf_dataset_base;

/** Leaves of a dataset whose users and items were numbered anew: parts of about equal work, of
 * users and of items together, whose neighbours are mostly in the same leaf or in one near it. */
typedef struct cf_leaves {
    int64_t count;      /* 0: users and items are in the order of their ids */
    int64_t *start[2];  /* of users, of items: count + 1 numbers, from 0: where each leaf begins */
    int64_t n_crossing; /* 0: not counted */
    int64_t *crossing;  /* n_crossing; [k]: rows of users and items that 2^(k+1) even parts of the
                           leaves need of each other, a row once for each part that needs it */
} cf_leaves;
/** Takes all zero bytes too. Local. */
void cf_dataset_destroy_leaves(cf_leaves *leaves);

/** An open dataset file: its counts, not its data. */
typedef struct cf_dataset {
    const cf_par *world; /* borrowed */
    cf_store *store;     /* private to dataset */
    int64_t n_users, n_items;
    int64_t n_train, n_valid, n_test; /* interactions of each split */
    int64_t n_added;                  /* interactions that were appended; 0 in a prepared file */
    int64_t embedding_dim;            /* D, numbers of a vector; 0: the file has no vectors */
    cf_type embedding_type;           /* CF_F16 or CF_F32, if there are vectors */
    int64_t n_missing;                /* items without a vector; their rows are zero */
    bool has_titles;                  /* else all titles are "" */
    bool has_weights;                 /* train interactions have weights; else all are alike */
    int64_t n_cold;                   /* items that are marked as cold */
    uint8_t *cold;        /* n_items, of all items: cf_cold_mark; NULL: none is marked */
    uint64_t digest;      /* cf_store_digest(): checkpoints keep it, and are refused elsewhere */
    bool is_appended;     /* the file is appended to another one: */
    cf_dataset_base base; /* that one; of a prepared file, itself */
    cf_leaves leaves;     /* of the base: what was appended is behind the last leaf */
} cf_dataset;

/** Items that are not marked as cold. Local. */
static inline int64_t cf_dataset_warm_items(const cf_dataset *dataset)
{
    return dataset->n_items - dataset->n_cold;
}

/** Ascending lists, one a user or item: list k is index[start[k]] .. index[start[k + 1] - 1]. */
typedef struct cf_lists {
    int64_t count;
    int64_t *start; /* count + 1, from 0 */
    int64_t *index; /* start[count] global numbers */
    float *weight;  /* start[count], each above 0, of train lists; NULL: there are no weights */
} cf_lists;

/** What each rank of one grid row holds: a block of users and a block of items with their
 * interactions. Ranks of the same row hold the same. */
typedef struct cf_shard {
    cf_blocks users, items; /* all blocks: equal interactions + CF_ROW_WORK x rows, of each side;
                               with leaves, of both together, and most begin with a leaf */
    int64_t first_user, n_users; /* my block, global numbers */
    int64_t first_item, n_items;
    int64_t first_interaction; /* global number of my first train interaction, in order of (user,
                                  item) */
    cf_lists train;            /* my users: items */
    cf_lists train_by_item;    /* my items: users */
    cf_lists valid, test;      /* my users: items */
    cf_lists added;       /* my users: items that were appended, which no model was trained with;
                             in none of the other lists. All empty in a prepared dataset */
    int64_t n_base_items; /* items from this number on were appended */
    uint8_t *cold;        /* of all items, not mine alone: cf_cold_mark; NULL: none is marked */
} cf_shard;

/** The work of a row itself (optimizer, buffers), in interactions: for the balance of blocks. */
enum { CF_ROW_WORK = 4 };
/** The first k with ptr[k] + CF_ROW_WORK * (first + k) >= target, where `ptr` are `count` offsets
 * of lists, from list `first` on: the block begins there that has work `target` before it. `count`
 * if there is none. Local. */
int64_t cf_dataset_find_work(const int64_t *ptr, int64_t first, int64_t count, int64_t target);
/** Targets for cf_dataset_find_work() of `n_blocks` blocks of a side that is cut by itself: the
 * work before each. `n_train`: interactions; `n`: rows of the side. Local. */
void cf_dataset_even_targets(int64_t n_train, int64_t n, int n_blocks, int64_t *target);
/**
 * Targets for cf_dataset_find_work() of `n_blocks` blocks that begin with leaves. `work`: of users
 * and of items, that before each of `n_parts` parts, and all of it: n_parts + 1 numbers; the parts
 * are the leaves and what is behind them. `target`: likewise, n_blocks numbers each.
 *
 * A block begins with the part whose start is nearest to its even share of the work of both sides,
 * if that is within 1/16 of a block. Else it begins inside a part, where users and items have the
 * same share of their work in the part before them. Local.
 */
void cf_dataset_find_targets(int64_t *const work[2], int64_t n_parts, int n_blocks,
                             int64_t *const target[2]);

/** The kinds of names in a dataset. */
typedef enum cf_name_kind { CF_USER_IDS, CF_ITEM_IDS, CF_ITEM_TITLES } cf_name_kind;
/** Strings one after another. */
typedef struct cf_strings {
    int64_t count;
    int64_t *start; /* count + 1 offsets into bytes, from 0 */
    char *bytes;    /* NUL after each string, so that bytes + start[k] is a C string */
} cf_strings;

/**
 * The content of a new dataset file. Each rank has consecutive users and consecutive items, rank 0
 * the first ones; its part may be empty, and has fewer than 2^32 - 1 of either. Everything is
 * borrowed. Vectors come in blocks from a function, so that they are never held whole. Texts, seed,
 * base, D and type are rank 0's.
 */
typedef struct cf_dataset_content {
    cf_strings user_ids, item_ids; /* of my part; distinct over all ranks, none empty */
    cf_strings titles;             /* of my items; count 0 on all ranks: no titles */
    cf_lists train, valid, test;   /* by my users: items, ascending and distinct within a user;
                                      train with weights on all ranks that have any, or on none */
    const uint8_t *cold;           /* of my items: cf_cold_mark; NULL: none of them is marked */
    cf_dataset_base base;          /* what this content is appended to; zeros: it is prepared */
    cf_lists added;                /* as train; only if there is a base */
    cf_leaves leaves;              /* of all users and items, or those of the base; rank 0's */
    int64_t n_missing;             /* my items without a vector */
    int64_t embedding_dim;         /* D; 0: no vectors */
    cf_type embedding_type;        /* CF_F16 or CF_F32 */
    /**
     * Read the vectors of items first .. first + count - 1 of this rank's part into `rows` (count x
     * D, of embedding_type), and flags into `present` (count; 0: no vector, the row is zero).
     * Local: called on each rank for its own items, ascending, each once.
     */
    cf_status (*read_vectors)(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present);
    void *context;
    const char *source, *filters, *split,
        *embedding_model; /* for people: attributes of the file; none NULL */
    int64_t seed;
} cf_dataset_content;

/**
 * Write a dataset file: the same bytes, however users and items are cut among the ranks.
 * Collective; `content` may be NULL on a rank without users and items, but not on rank 0. On error
 * `path` is as it was before. Errors: IO, MEMORY, those of read_vectors (of the first bad item).
 */
cf_status cf_dataset_write(const cf_par *world, const char *path,
                           const cf_dataset_content *content);

/** Open a dataset, and check that its arrays have the shapes that follow from its counts.
 * Collective. Errors: those of cf_store_open(), FORMAT. `*out` is new, to be closed; `world` is
 * borrowed. */
cf_status cf_dataset_open(const cf_par *world, const char *path, cf_dataset **out);
/** Collective. `*dataset` may be NULL, and becomes NULL. */
void cf_dataset_close(cf_dataset **dataset);
/** The path as given. Local. */
const char *cf_dataset_path(const cf_dataset *dataset);

/** Read this rank's shard, verified. Collective over the grid. No rank holds more than its shard
 * and bounded buffers. `*out` is new. Errors: IO, FORMAT (damaged, numbers out of range), MEMORY,
 * USAGE (more grid rows than users or items). */
cf_status cf_dataset_load_shard(const cf_dataset *dataset, const cf_grid *grid, cf_shard **out);
/** The shard of users that are not in the dataset, on the items of `like`, as if they were
 * appended: added has their items, all else of theirs is empty, and users are cut evenly.
 * train_by_item is that of `like`, for popularity. Collective over the grid. `items`: of all new
 * users, the same on every rank; copied. `*out` is new. Errors: MEMORY. */
cf_status cf_dataset_create_user_shard(const cf_grid *grid, const cf_shard *like,
                                       const cf_lists *items, cf_shard **out);
/** The shard whose users are the items of `like`, in its blocks of items; the train items of each
 * are itself alone. Collective over the grid. `*out` is new. Errors: MEMORY. */
cf_status cf_dataset_create_item_shard(const cf_grid *grid, const cf_shard *like, cf_shard **out);
/** Does a model know something of a user of my block: is there a train item, or an added one that
 * is not itself appended? Local. */
bool cf_dataset_knows_user(const cf_shard *shard, int64_t user);
/** The shard of the same users and items as `like`, where those users of whom a model knows added
 * items alone have these in train, and the others have none. Collective over the grid. `*out` is
 * new. Errors: MEMORY. */
cf_status cf_dataset_create_added_shard(const cf_grid *grid, const cf_shard *like, cf_shard **out);
/** `*shard` may be NULL, and becomes NULL. Local. */
void cf_dataset_destroy_shard(cf_shard **shard);

/** The number of train interactions of items first .. first + count - 1, into `out` (count).
 * Collective; each rank its own range. Errors: IO, FORMAT, MEMORY. */
cf_status cf_dataset_read_item_counts(const cf_dataset *dataset, int64_t first, int64_t count,
                                      int64_t *out);
/** The same of the sums of their weights, in the order of users, of a dataset with weights. */
cf_status cf_dataset_read_item_weights(const cf_dataset *dataset, int64_t first, int64_t count,
                                       double *out);

/**
 * Vectors of items first .. first + count - 1 as float32. Collective; each rank its own range,
 * count may be 0. `out`: count x embedding_dim. `present`: count flags, 0 where an item has no
 * vector; may be NULL. Errors: IO, MEMORY, FORMAT (also NaN or infinity, which no dataset has;
 * names the item).
 */
cf_status cf_dataset_read_embedding(const cf_dataset *dataset, int64_t first, int64_t count,
                                    float *out, uint8_t *present);
/** The same in the type of the file, not checked for NaN and infinity. */
cf_status cf_dataset_read_vectors(const cf_dataset *dataset, int64_t first, int64_t count,
                                  void *out, uint8_t *present);
/** Verify the vectors' checksums after all ranks together have read each vector exactly once.
 * Collective. Errors: FORMAT (damaged), MEMORY. */
cf_status cf_dataset_verify_embedding(const cf_dataset *dataset);
/** Vectors of this rank's items: row k is that of item first + k. */
typedef struct cf_vector_rows {
    int64_t first, count, dim, stride; /* floats from a row to the next; dim of them are used */
    float *rows;
    const uint8_t *present; /* count: has the item a vector? */
} cf_vector_rows;
/** The mean of the vectors of warm items that all ranks have, into `center` (dim): exact sums,
 * rounded once, so that it does not depend on the ranks; zeros if there is none. `cold`: marks of
 * all items, or NULL. Collective. Errors: MEMORY. */
cf_status cf_dataset_find_center(const cf_par *world, const cf_vector_rows *vectors,
                                 const uint8_t *cold, double *center);
/** Each vector becomes itself minus the center, of length 1. One that is the center, and an item
 * without a vector, get a row of zeros, which is similar to no other. Local. */
void cf_dataset_make_directions(const cf_vector_rows *vectors, const double *center);
/** Nothing if every item has a vector. Otherwise FORMAT, naming the first item without one and the
 * values of missing_embedding that are `accepted` ("zero or mean"). Collective. */
cf_status cf_dataset_refuse_missing(const cf_dataset *dataset, const char *accepted);

/** Names first .. first + count - 1 of one kind. Collective; each rank its own range. Titles of a
 * file without titles are "". `*out` is new, freed with cf_dataset_destroy_strings(). Errors: IO,
 * FORMAT, MEMORY. */
cf_status cf_dataset_read_names(const cf_dataset *dataset, cf_name_kind which, int64_t first,
                                int64_t count, cf_strings *out);
/** Takes all zero bytes too. Local. */
void cf_dataset_destroy_strings(cf_strings *strings);
/** How a dataset was made, for people, and its seed: the attributes of cf_dataset_content. */
typedef struct cf_dataset_origin {
    char *source, *filters, *split, *embedding_model;
    int64_t seed;
} cf_dataset_origin;
/** Collective. `*out` is new, also in part after an error. Errors: FORMAT, IO, MEMORY. */
cf_status cf_dataset_read_origin(const cf_dataset *dataset, cf_dataset_origin *out);
/** Takes all zero bytes too. Local. */
void cf_dataset_destroy_origin(cf_dataset_origin *origin);
/** The numbers of ids, into `out` (ids->count), -1 of an id that the dataset does not have, by one
 * pass over the file in bounded memory. Collective, with the same ids on all ranks. Errors: FORMAT,
 * IO, MEMORY. */
cf_status cf_dataset_find(const cf_dataset *dataset, cf_name_kind which, const cf_strings *ids,
                          int64_t *out);

/** A hash table of ids, which are borrowed. Zeroed, there is none. Local, as its functions. */
typedef struct cf_id_index {
    const cf_strings *ids;
    int64_t *slot; /* mask + 1, a power of two: number + 1 of an id; 0: empty */
    uint64_t mask;
} cf_id_index;
/** Errors: MEMORY. Free with cf_dataset_destroy_id_index(). */
cf_status cf_dataset_create_id_index(const cf_strings *ids, cf_id_index *out);
/** The number of an id; -1 if it is not there. */
int64_t cf_dataset_find_id(const cf_id_index *index, const char *id, int64_t length);
void cf_dataset_destroy_id_index(cf_id_index *index);
/** As cf_dataset_find(), but each rank has ids of its own, any number, all distinct: all ranks read
 * all names of the file, in bounded memory. Collective. `out`: ids->count numbers. Errors: FORMAT,
 * IO, MEMORY. */
cf_status cf_dataset_match(const cf_dataset *dataset, cf_name_kind which, const cf_strings *ids,
                           int64_t *out);

/** A user or item for a message, e.g. `item "B001" (number 17)`, into `out` of `size` bytes (256
 * are enough). Collective. */
void cf_dataset_describe(const cf_dataset *dataset, cf_name_kind which, int64_t number, char *out,
                         size_t size);
