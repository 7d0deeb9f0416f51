/**
 * Inside ingest: lines, fields, names, records, and what is done to them. Each rank reads the lines
 * that begin in its part of a file; ids are then numbered over all ranks, and interactions move to
 * the rank that has the user. What takes `world` is Collective, all else Local.
 */
#pragma once

#include "cf/ingest.h"

/* ---- Lines (text.c) -------------------------------------------------------------------------- */

enum { INGEST_SLACK = 16 }; /* bytes */

/**
 * This rank's part of a text file: the lines that begin in bytes begin .. end - 1; those of the
 * next rank follow. Filled when the text is closed: what was read of it.
 */
typedef struct ingest_share {
    int64_t begin, end;
    int64_t first_line; /* lines in the ranks before; 0 until that is known */
    int64_t bad_line;   /* of the file: the first that is wrong; INT64_MAX if none */
    int64_t lines;      /* read, also a header and empty ones */
    int64_t empty;      /* number of the first of the empty lines at its end; 0: none */
    bool filled;        /* it has lines that are not empty */
} ingest_share;

/**
 * Have each rank read its share of a file by `read`, which is local. If a line is wrong, the first
 * of all in the file is told by its number: a rank that fails reads once more when it is known how
 * many lines the ranks before have; what `context` holds is then of no use. Errors: those of
 * `read`, the same on all ranks; FORMAT (an empty line before lines of another rank).
 */
cf_status ingest_share_file(const cf_par *world, const char *path,
                            cf_status (*read)(void *context, ingest_share *share), void *context,
                            ingest_share *share);

/** A text file read by blocks; its lines are handed out in place. */
typedef struct ingest_text {
    const char *path;    /* borrowed */
    ingest_share *share; /* borrowed; NULL: all of the file */
    int fd;
    char *buffer; /* buffer[begin .. end) is not yet handed out; INGEST_SLACK more may be read, and
                     the first of them written */
    int64_t capacity, begin, end;
    int64_t offset; /* of buffer[0] in the file */
    int64_t size;   /* of the file */
    int64_t stop;   /* lines that begin here or later are not handed out */
    int64_t line;   /* number of the line last handed out, from 1 */
    int64_t empty;  /* number of the first of the empty lines at the end; 0: none */
    bool filled;    /* has had a line that is not empty */
    int64_t nul;    /* where in the buffer the first NUL of what is not yet handed out is */
    bool ended;
    cf_progress progress;
} ingest_text;

/** Open; a byte order mark is passed over. Errors: IO, MEMORY. Close in every case. */
cf_status ingest_text_open(const char *path, ingest_text *out);
/** From here on hand out the lines of `share` alone; lines handed out before are the file's first.
 * Errors: IO, MEMORY. */
cf_status ingest_text_limit(ingest_text *text, ingest_share *share);
/** How much of the share, or of all, is read: 0 to 1. */
double ingest_text_progress(const ingest_text *text);
/**
 * The next line, without "\n" or "\r\n", a NUL after it, writable until the next call; NULL at the
 * end. Empty lines at the end of the file are no lines. Errors: FORMAT (a NUL byte, an empty line
 * before others), IO, MEMORY.
 */
cf_status ingest_text_next(ingest_text *text, char **line, int64_t *length);
void ingest_text_close(ingest_text *text);

/**
 * A decimal number with fraction and exponent, nothing before or after it. False if it is none or
 * not finite. `text`: `length` bytes and one more that may be read.
 */
bool ingest_parse_number(const char *text, int64_t length, double *out);
/** A part of the input made fit for a message: at most 40 bytes, no control characters. Static
 * buffer. */
const char *ingest_excerpt(const char *text, int64_t length);

/* ---- Tables (table.c) ------------------------------------------------------------------------ */

typedef struct ingest_field {
    char *
        text; /* in the line's buffer; a separator or NUL follows; INGEST_SLACK bytes may be read */
    int64_t length;
} ingest_field;

/** A delimited file whose first line names its columns, "name" or "name:type". */
typedef struct ingest_table {
    ingest_text text;
    char separator;
    int n_columns;
    char *header;         /* copy of the first line, cut at separators and colons */
    const char **names;   /* n_columns, in `header` */
    const char **types;   /* n_columns, "" if not given */
    ingest_field *fields; /* n_columns: of the line last read */
} ingest_table;

/** Open, read the header, and go on to the share. Errors: those of text, FORMAT. Close in every
 * case. */
cf_status ingest_table_open(const char *path, char separator, ingest_share *share,
                            ingest_table *out);
/** The column of that name, which must be of `type` if it has a type. -1: there is none. Errors:
 * FORMAT (other type). */
cf_status ingest_table_find(const ingest_table *table, const char *name, const char *type,
                            int *out);
/** Split the next line into table->fields. Errors: FORMAT (another number of columns), those of
 * text. */
cf_status ingest_table_next(ingest_table *table, bool *more);
/** The number in a column. Errors: FORMAT ("FILE:LINE: COLUMN: "abc" is not a number"). */
cf_status ingest_table_number(const ingest_table *table, int column, double *out);
/** FORMAT if the field, an id, is empty. */
cf_status ingest_table_id(const ingest_table *table, int column);
void ingest_table_close(ingest_table *table);

/* ---- Names (names.c) ------------------------------------------------------------------------- */

/**
 * Ids in order of first appearance: an open-addressing hash (XXH3) over an arena of NUL-terminated
 * bytes. Starts zeroed.
 */
typedef struct ingest_names {
    int64_t count, start_capacity, byte_capacity, n_slots;
    int64_t *start; /* count + 1 */
    char *bytes;
    struct ingest_slot *slots;
    uint32_t *by_value; /* n_values: number + 1 of the id that is this whole number, 0 if none */
    int64_t n_values;
} ingest_names;

/** The number of an id, new or known; `hash`: its ingest_hash(). Errors: MEMORY, FORMAT (more than
 * 2^32 - 2). */
cf_status ingest_names_add(ingest_names *names, uint64_t hash, const ingest_field *id,
                           int64_t *number);
/** Have the memory at hand that ingest_names_add() will look at. */
void ingest_names_prefetch(const ingest_names *names, uint64_t hash);
/** The number of an id, if it is known and a small whole number: a look into a table that is small
 * too, where the hash would wait for memory. Else -1. */
int64_t ingest_names_known(const ingest_names *names, const ingest_field *id);
/** The number of an id; -1 if unknown. */
int64_t ingest_names_find(const ingest_names *names, const char *id, int64_t length);
void ingest_names_free(ingest_names *names);
/** A hash of bytes that never changes: splits depend on it. */
uint64_t ingest_hash(const char *bytes, int64_t length);

/** The names as strings, borrowed: entry k is name k. */
static inline cf_strings ingest_names_strings(const ingest_names *names)
{
    return (cf_strings){.count = names->count, .start = names->start, .bytes = names->bytes};
}

/* ---- Order (order.c) ------------------------------------------------------------------------- */

/**
 * The users or items of the dataset in their final order, cut into blocks, one a rank: ascending as
 * numbers if all of them are whole numbers without leading zeros, else by bytes. Starts zeroed.
 */
typedef struct ingest_order {
    cf_strings ids;   /* of my block */
    cf_blocks blocks; /* of all ranks; of about equal work */
    bool as_numbers;
    cf_strings
        cuts; /* size - 1: an id belongs to the rank of the first cut above it, or the last */
} ingest_order;

/**
 * Put ids in order. Each rank has some, also such as others have; those with `uses` (one for each
 * id) of 0 are left out. `number` (one for each id) gets an id's global number, UINT32_MAX where it
 * is left out. `*out` is to be freed, also on errors. Errors: MEMORY, FORMAT (more than 2^32 - 2).
 */
cf_status ingest_order_make(const cf_par *world, const cf_strings *ids, const int64_t *uses,
                            uint32_t *number, ingest_order *out);
void ingest_order_free(ingest_order *order);

/** Ids on their way to the ranks where they belong in an order. Starts zeroed. */
typedef struct ingest_route {
    int64_t count;           /* ids that this rank sends */
    uint32_t *sent;          /* count: which, in the order in which they go */
    int64_t *n_sent, *n_got; /* to and from each rank */
    cf_strings got;          /* what comes, by the rank it is from */
} ingest_route;

/** Send ids, but for those with `uses` of 0 (NULL: all go). `*out` is to be freed, also on errors.
 * Errors: MEMORY. */
cf_status ingest_route_make(const cf_par *world, const ingest_order *order, const cf_strings *ids,
                            const int64_t *uses, ingest_route *out);
void ingest_route_free(ingest_route *route);

/* ---- Options (options.c) --------------------------------------------------------------------- */

enum { INGEST_MAX_INTERVALS = 8, INGEST_MAX_FILTERS = 8 };

/** A union of intervals, RecBole's "(0,1];[3,inf)". */
typedef struct ingest_intervals {
    int count;
    struct {
        double low, high;
        bool low_open, high_open;
    } part[INGEST_MAX_INTERVALS];
} ingest_intervals;

cf_status ingest_intervals_parse(const char *setting, const char *text, ingest_intervals *out);
bool ingest_intervals_hold(const ingest_intervals *intervals, double value);

/** The settings, taken apart. Texts are the config's. */
typedef struct ingest_options {
    char separator, seq_separator;
    const char *user_field, *item_field, *time_field, *rating_field, *title_field, *embedding_field;
    bool by_time, by_ratio, missing_is_error;
    double ratios[3]; /* train, valid, test; sum 1 */
    int64_t seed;
    int n_filters;
    const char *filter_field[INGEST_MAX_FILTERS];
    ingest_intervals filter[INGEST_MAX_FILTERS];
    ingest_intervals user_count, item_count;
} ingest_options;

cf_status ingest_options_read(const cf_config *config, ingest_options *out);

/* ---- Places (places.c) ----------------------------------------------------------------------- */

/**
 * The items that this rank's interactions are of, wherever they belong: ascending, so that one of
 * them is its place among them. Starts zeroed.
 */
typedef struct ingest_places {
    const cf_par *world; /* borrowed */
    int64_t count;
    uint32_t *item;   /* count: global numbers */
    uint64_t *bits;   /* a bit for each item of the dataset: is it here? */
    uint32_t *before; /* how many are in the words of `bits` before */
    int64_t *n_asked; /* size: how many of them each rank has */
    int64_t *n_told;  /* size: of how many of my block each rank asks */
    uint32_t *told;   /* which, in my block, by the rank that asks */
} ingest_places;

/** `pairs` (count): interactions; `items`: whose each item is, borrowed. `*out` is to be freed,
 * also on errors. Errors: MEMORY. */
cf_status ingest_places_make(const cf_par *world, const cf_blocks *items, const uint64_t *pairs,
                             int64_t count, ingest_places *out);
/** The place of an item that is here. */
static inline uint32_t ingest_place(const ingest_places *places, uint32_t item)
{
    const uint64_t below = ((uint64_t)1 << item % 64) - 1;

    return places->before[item / 64] +
           (uint32_t)__builtin_popcountll(places->bits[item / 64] & below);
}
/** Add up over all ranks what they count of their items: `mine` (count) into `totals` (of my block,
 * zeroed). Collective. Errors: MEMORY. */
cf_status ingest_places_sum(const ingest_places *places, const int64_t *mine, int64_t *totals);
/** What the owners have of each item (`values`: of my block) for the items here. Collective.
 * Errors: MEMORY. `*out` (count) is new, freed with cf_free(). */
cf_status ingest_places_fetch(const ingest_places *places, const uint64_t *values, uint64_t **out);
void ingest_places_free(ingest_places *places);

/* ---- Interactions (interactions.c, filter.c, split.c) ---------------------------------------- */

/**
 * Interactions of this rank, the user's number in the upper half of `pairs` and the item's in the
 * lower. Until ingest_renumber() they are of the lines that the rank has read, and the numbers
 * those of its own names. Afterwards they are those of its block of users, sorted: users are
 * counted from the first of the block, items are places.
 */
typedef struct ingest_log {
    ingest_names user_names, item_names; /* of what is read */
    ingest_order users, items;           /* afterwards */
    ingest_places places;
    uint64_t *pairs;
    uint64_t *keys; /* time, so that unsigned order is the order of time; or the part of a given
                       split; NULL if the split asks for neither */
    bool with_keys;
    int64_t count, capacity;
    int64_t lines, filtered, duplicates; /* here: read; dropped by intervals; dropped as repeats */
    const ingest_text *reading;          /* the file now read, and the records before it: */
    int64_t before;                      /* these tell how many are still to come */
    double bytes;                        /* of all files, whole */
    bool lightgcn;                       /* of some file: item ids are then row numbers */
} ingest_log;

enum { INGEST_NO_PART = -1, INGEST_TRAIN = 0, INGEST_VALID = 1, INGEST_TEST = 2 };

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

/** Append this rank's share of the interactions of a file of either format; `part` becomes their
 * key unless it is INGEST_NO_PART. Errors: IO, FORMAT, MEMORY. */
cf_status ingest_read_interactions(const cf_par *world, const ingest_options *options,
                                   const char *path, int part, ingest_log *log);
void ingest_log_free(ingest_log *log);

/**
 * Number users and items over all ranks, have each rank get the interactions of its users, sort
 * them, and keep of each pair (user, item) the one with the least key. The names are then gone.
 * Errors: MEMORY, FORMAT.
 */
cf_status ingest_renumber(const cf_par *world, ingest_log *log);
/**
 * Drop users and items whose number of interactions is outside its interval, again until nothing
 * changes, and number the others anew. Each round finds both from the same counts, as RecBole does.
 */
cf_status ingest_filter_counts(const cf_par *world, const ingest_options *options, ingest_log *log);
/** Cut the interactions of my users into train, valid, test; `given`: the keys say which. Errors:
 * MEMORY. */
cf_status ingest_split(const cf_par *world, const ingest_options *options, bool given,
                       const ingest_log *log, cf_lists parts[3]);

/* ---- Items and vectors (items.c, vectors.c, matrix.c, npy.c)
 * ------------------------------------------- */

/** Where a field lies in its file. */
typedef struct ingest_span {
    int64_t offset, length; /* length 0: it is empty */
} ingest_span;

/**
 * Lines of an item file or an id file: those that this rank has read, then those whose ids belong
 * to its block of items. Starts zeroed.
 */
typedef struct ingest_items {
    const char *path;   /* NULL: no file */
    int64_t n_rows;     /* of the file */
    int64_t first_line; /* number of the line that is row 0 */
    ingest_names ids;   /* of the lines here */
    int64_t *row;       /* of each: its number in the file, from 0 */
    cf_strings titles;
    bool has_titles, has_fields;
    ingest_span *field; /* of each: the embedding column */
    int64_t row_capacity, start_capacity, title_capacity, field_capacity;
} ingest_items;

/** Read an item file, and have the lines go to where `order` has their ids. Errors: IO, FORMAT,
 * MEMORY. */
cf_status ingest_items_read(const cf_par *world, const ingest_options *options, const char *path,
                            const ingest_order *order, ingest_items *out);
/** The same of a file with one id a line. */
cf_status ingest_ids_read(const cf_par *world, const char *path, const ingest_order *order,
                          ingest_items *out);
/** Have the lines go to where another order has their ids. Errors: MEMORY. */
cf_status ingest_items_move(const cf_par *world, const ingest_order *order, ingest_items *items);
void ingest_items_free(ingest_items *items);

/** Vectors as rows of a 2-D array in a file, .npy or HDF5: which it is, its first bytes say. */
typedef struct ingest_matrix {
    const char *name; /* for messages: the file, or FILE:/DATASET; borrowed */
    int64_t n_rows, dim;
    cf_type type;        /* CF_F16, CF_F32, CF_F64 */
    int fd;              /* .npy; else -1 */
    int64_t offset;      /* .npy: of the data, in bytes */
    cf_external *foreign; /* HDF5; else NULL */
} ingest_matrix;

/** `source`: FILE or FILE:/DATASET, borrowed. Errors: IO, FORMAT, MEMORY. Close in every case. */
cf_status ingest_matrix_open(const char *source, ingest_matrix *out);
/** Rows first .. first + count - 1, of the matrix's type. Errors: IO, FORMAT. */
cf_status ingest_matrix_read(const ingest_matrix *matrix, int64_t first, int64_t count, void *rows);
void ingest_matrix_close(ingest_matrix *matrix);
/** The two parts of a source: `*file` is new, freed with cf_free(); `*dataset` points into
 * `source`, or is NULL. Errors: MEMORY. */
cf_status ingest_matrix_split(const char *source, char **file, const char **dataset);

/** A .npy file: read and check its header and its length. Errors: IO, FORMAT. */
cf_status ingest_npy_open(const char *path, ingest_matrix *out);
/** The bytes range[0] .. range[0] + range[1] - 1 of an open file. Errors: IO, FORMAT. */
cf_status ingest_read_bytes(const char *path, int fd, void *out, const int64_t range[2]);

/** Where the vectors of my items come from: rows of a matrix or a column of the item file. */
typedef struct ingest_vectors {
    const char *name;           /* of the file, for messages */
    ingest_matrix matrix;       /* of a column: its shape and type, and its file in `fd` */
    const ingest_items *column; /* not NULL: its embedding column */
    char separator;             /* of the column's numbers */
    const cf_strings *item_ids; /* of mine; borrowed */
    int64_t *row;               /* of each of my items: row of the source, -1 if none */
    int64_t *line;              /* and which line of `column` */
    int64_t n_missing;          /* of mine */
    int64_t n_unused;           /* of all */
    cf_type type;               /* as written */
    char *raw;                  /* rows as they lie in the file */
    int64_t raw_capacity;
} ingest_vectors;

/** `rows`: what says which row is whose, an item file or id file, or NULL (LightGCN: the id is the
 * row). Errors: IO, FORMAT, MEMORY. */
cf_status ingest_vectors_open(const cf_par *world, const ingest_options *options,
                              const cf_ingest_paths *paths, const ingest_items *rows,
                              const cf_strings *item_ids, ingest_vectors *out);
/** The read_vectors() of a cf_dataset_content; `context` is the ingest_vectors. */
cf_status ingest_vectors_read(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present);
void ingest_vectors_close(ingest_vectors *vectors);
