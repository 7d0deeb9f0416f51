/**
 * Inside ingest: item files, id files, and the vectors of items. What takes `world` is Collective,
 * all else Local.
 */
#pragma once

#include "ids.h"

/* ---- Item files and id files (items.c, move_items.c) ----------------------------------------- */

/** Where a field lies in its file, in bytes. */
typedef struct ingest_span {
    int64_t offset, length; /* length 0: it is empty */
} ingest_span;

/**
 * Lines of an item file or an id file: first those that this rank has read, then those whose ids
 * belong to its block of items. Starts zeroed.
 */
typedef struct ingest_items {
    const char *path;        /* its name, for messages; borrowed; NULL: no file */
    const ingest_file *file; /* borrowed */
    int64_t n_rows;          /* of the file */
    int64_t first_line;      /* line number of row 0 */
    ingest_id_table ids;     /* of the lines held here */
    int64_t *row;            /* of each line: its number in the file, from 0 */
    cf_strings titles;       /* of each line, if has_titles */
    ingest_span *embedding;  /* of each line, if has_embeddings: the embedding column */
    uint8_t *outside;        /* of each line, if `filters`: val_interval rejects it */
    unsigned filters; /* bit k: column k of val_interval is in this file; set by the caller */
    bool has_titles, has_embeddings;
    int64_t row_capacity, start_capacity, title_capacity, embedding_capacity, outside_capacity;
} ingest_items;

/** Read an item file, and move its lines to the owners of their ids. Errors: IO, FORMAT, MEMORY. */
cf_status ingest_read_items(const cf_par *world, const cf_ingest_options *options,
                            const ingest_file *file, const ingest_id_partition *partition,
                            ingest_items *out);
/** The same for a file with one id a line. */
cf_status ingest_read_id_file(const cf_par *world, const ingest_file *file,
                              const ingest_id_partition *partition, ingest_items *out);
/** For vectors whose row k belongs to item k: as of an id file with the lines 0 to n_rows - 1. */
cf_status ingest_number_rows(const cf_par *world, const char *name, int64_t n_rows,
                             const ingest_id_partition *partition, ingest_items *out);
/** Move lines to the owners of their ids, and refuse the first line of the file that repeats an id,
 * if it is before `bad_line`. Errors: FORMAT, MEMORY. */
cf_status ingest_move_items(const cf_par *world, const ingest_id_partition *partition,
                            int64_t bad_line, ingest_items *items);
/** Note the error of a line that repeats an id. */
cf_status ingest_refuse_repeated_id(const char *path, int64_t line, const ingest_field *id);
void ingest_destroy_items(ingest_items *items);

/* ---- Matrices (matrix.c, npy.c) -------------------------------------------------------------- */

enum { INGEST_MAX_DIM = 1 << 20 }; /* numbers of a vector */

/** Vectors as the rows of a 2-D array in a file. Its first bytes tell whether it is .npy or HDF5.
 */
typedef struct ingest_matrix {
    const char *name; /* for messages: FILE or FILE:/DATASET; borrowed */
    int64_t n_rows, dim;
    cf_type type;          /* CF_F16, CF_F32 or CF_F64 */
    int fd;                /* .npy; else -1 */
    int64_t offset;        /* .npy: of row 0, in bytes */
    cf_external *external; /* HDF5; else NULL */
} ingest_matrix;

/** `source` is FILE or FILE:/DATASET, borrowed. Errors: IO, FORMAT, MEMORY. Close in every case. */
cf_status ingest_open_matrix(const char *source, ingest_matrix *out);
/** Read rows first .. first + count - 1, in the matrix's type. Errors: IO, FORMAT. */
cf_status ingest_read_matrix(const ingest_matrix *matrix, int64_t first, int64_t count, void *rows);
void ingest_close_matrix(ingest_matrix *matrix);
/** Open a .npy file; read and check its header and its size. Errors: IO, FORMAT. */
cf_status ingest_open_npy(const char *path, ingest_matrix *out);
/** Read bytes range[0] .. range[0] + range[1] - 1 of an open file. Errors: IO, FORMAT. */
cf_status ingest_read_bytes(const char *path, int fd, void *out, const int64_t range[2]);

/* ---- Vectors (vectors.c, vector_column.c) ---------------------------------------------------- */

/** Where the vectors of my items are: rows of a matrix, or a column of the item file. */
typedef struct ingest_vectors {
    const char *name;           /* of the file, for messages */
    ingest_matrix matrix;       /* of a column: its shape and type, and its file in `fd` */
    const ingest_items *column; /* borrowed; not NULL: the vectors are its embedding column */
    char separator;             /* of the column's numbers */
    const cf_strings *item_ids; /* of my items; borrowed */
    int64_t *row;               /* of each of my items: row of the file, -1 if it has no vector */
    ingest_span *span;          /* of each of my items: its field of the column, if there is one */
    int64_t n_missing;          /* of my items */
    int64_t n_unused;           /* vectors of no item, over all ranks */
    cf_type type;               /* in which they are written: CF_F16 or CF_F32 */
    char *raw;                  /* rows or a field as they are in the file */
    int64_t raw_capacity;
} ingest_vectors;

/** Open a matrix, or the embedding column of an item file if `embedding` is NULL; `rows` says whose
 * each row is: an item file, an id file, or NULL if item k has row k. Errors: IO, FORMAT, MEMORY.
 * Close in every case. */
cf_status ingest_open_vectors(const cf_par *world, const cf_ingest_options *options,
                              const char *embedding, const ingest_items *rows, ingest_vectors *out);
/** Find the row of each of in->item_ids. Errors: FORMAT (items without a vector), MEMORY. */
cf_status ingest_find_rows(const cf_par *world, const cf_ingest_options *options,
                           const ingest_items *rows, ingest_vectors *in);
/** The line of an item in `rows` that has a vector; -1 if there is none. An empty field of an
 * embedding column is none. */
int64_t ingest_find_vector(const ingest_vectors *in, const ingest_items *rows, const char *id);
/** The read_vectors() of a cf_dataset_content; `context` is the ingest_vectors. */
cf_status ingest_read_vectors(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present);
void ingest_close_vectors(ingest_vectors *vectors);

/** Open the embedding column of an item file. Errors: IO, FORMAT, MEMORY. */
cf_status ingest_open_column(const cf_par *world, const cf_ingest_options *options,
                             const ingest_items *rows, ingest_vectors *in);
/** Read the vector of an item that has one, from the column. Errors: IO, FORMAT, MEMORY. */
cf_status ingest_read_column(ingest_vectors *in, int64_t item, float *out);
/** The id of one of my items. */
static inline const char *ingest_vector_id(const ingest_vectors *in, int64_t item)
{
    return in->item_ids->bytes + in->item_ids->start[item];
}
