/** Inside ingest: lines, fields, names, records, and what is done to them. Everything is Local, and
 * runs on rank 0. */
#pragma once

#include "cf/ingest.h"

/* ---- Lines (text.c) -------------------------------------------------------------------------- */

enum { INGEST_SLACK = 16 }; /* bytes */

/** A text file read by blocks; its lines are handed out in place. */
typedef struct ingest_text {
    const char *path; /* borrowed */
    int fd;
    char *buffer; /* buffer[begin .. end) is not yet handed out; INGEST_SLACK more may be read, and
                     the first of them written */
    int64_t capacity, begin, end;
    int64_t offset; /* of buffer[0] in the file */
    int64_t size;   /* of the file */
    int64_t line;   /* number of the line last handed out, from 1 */
    int64_t nul;    /* where in the buffer the first NUL of what is not yet handed out is */
    bool ended;
    cf_progress progress;
} ingest_text;

/** Open; a byte order mark is passed over. Errors: IO, MEMORY. Close in every case. */
cf_status ingest_text_open(const char *path, ingest_text *out);
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

/** Open and read the header. Errors: those of text, FORMAT. Close in every case. */
cf_status ingest_table_open(const char *path, char separator, ingest_table *out);
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

/**
 * Number the names that are `used` (count flags) by ascending id: as numbers if all of them are
 * whole numbers without leading zeros, else by bytes. `new_number` (count) gets -1 for the others.
 */
cf_status ingest_names_sort(const ingest_names *names, const uint8_t *used, uint32_t *new_number,
                            cf_strings *out);

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

/* ---- Interactions (interactions.c, filter.c, split.c) ---------------------------------------- */

/** Interactions, the user's number in the upper half of `pairs` and the item's in the lower. */
typedef struct ingest_log {
    ingest_names users, items;
    uint64_t *pairs;
    uint64_t *keys; /* time, so that unsigned order is the order of time; or the part of a given
                       split; NULL if the split asks for neither */
    bool with_keys;
    int64_t count, capacity;
    int64_t lines, filtered, duplicates; /* read; dropped by intervals; dropped as repeats */
    const ingest_text *reading;          /* the file now read, and the records before it: */
    int64_t before;                      /* these tell how many are still to come */
    double bytes;
    bool lightgcn; /* of some file: item ids are then row numbers */
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

/** Append the interactions of a file of either format; `part` becomes their key unless it is
 * INGEST_NO_PART. */
cf_status ingest_read_interactions(const ingest_options *options, const char *path, int part,
                                   ingest_log *log);
void ingest_log_free(ingest_log *log);

/** Number users and items by ascending ids, without gaps, and sort by (user, item). The names are
 * then in that order, and not for ingest_names_find() any more. Errors: MEMORY. */
cf_status ingest_renumber(ingest_log *log);
/** Keep of each pair (user, item) the one with the least key. The log is sorted. */
void ingest_drop_duplicates(ingest_log *log);
/**
 * Drop users and items whose number of interactions is outside its interval, again until nothing
 * changes, and number the others anew. Each round finds both from the same counts, as RecBole does.
 * The log is sorted before and after.
 */
cf_status ingest_filter_counts(const ingest_options *options, ingest_log *log);
/** Cut each user's interactions into train, valid, test; `given`: the keys say which. */
cf_status ingest_split(const ingest_options *options, const cf_dataset_content *content, bool given,
                       const ingest_log *log, cf_lists parts[3]);

/* ---- Items and vectors (items.c, vectors.c, matrix.c, npy.c)
 * ------------------------------------------- */

/** Lines of an item file or an id file, in their order. */
typedef struct ingest_items {
    const char *path; /* NULL: no file */
    ingest_names ids;
    char *titles; /* NUL-terminated, one after the other */
    int64_t title_bytes, title_capacity;
    int64_t *title_start; /* NULL: no titles */
    int64_t start_capacity;
    int64_t *field_offset, *field_length; /* of the embedding column in the file; NULL: none */
    int64_t offset_capacity, length_capacity;
} ingest_items;

cf_status ingest_items_read(const ingest_options *options, const char *path, ingest_items *out);
/** One id a line. */
cf_status ingest_ids_read(const char *path, ingest_items *out);
void ingest_items_free(ingest_items *items);

/** Vectors as rows of a 2-D array in a file, .npy or HDF5: which it is, its first bytes say. */
typedef struct ingest_matrix {
    const char *name; /* for messages: the file, or FILE:/DATASET; borrowed */
    int64_t n_rows, dim;
    cf_type type;        /* CF_F16, CF_F32, CF_F64 */
    int fd;              /* .npy; else -1 */
    int64_t offset;      /* .npy: of the data, in bytes */
    cf_foreign *foreign; /* HDF5; else NULL */
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

/** Where the vectors of the dataset's items come from: rows of a matrix or a column of the item
 * file. */
typedef struct ingest_vectors {
    const char *name;           /* of the file, for messages */
    ingest_matrix matrix;       /* of a column: its shape and type, and its file in `fd` */
    const ingest_items *column; /* not NULL: its embedding column */
    char separator;             /* of the column's numbers */
    const cf_strings *item_ids; /* for messages */
    int64_t *row;               /* n_items: row of the source, -1 if none */
    int64_t n_missing, n_unused;
    cf_type type; /* as written */
    char *raw;    /* rows as they lie in the file */
    int64_t raw_capacity;
} ingest_vectors;

/** What says which row is whose: an item file or id file with rows, or none (LightGCN: the id is
 * the row). */
cf_status ingest_vectors_open(const ingest_options *options, const cf_ingest_paths *paths,
                              const ingest_items *rows, const cf_strings *item_ids,
                              ingest_vectors *out);
/** The read_vectors() of a cf_dataset_content; `context` is the ingest_vectors. */
cf_status ingest_vectors_read(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present);
void ingest_vectors_close(ingest_vectors *vectors);
