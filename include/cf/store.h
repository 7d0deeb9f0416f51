/**
 * store: parallel HDF5 files of distributed arrays. A file is complete or absent: it is written
 * under a temporary name, and committed by a rename. Every array has checksums of fixed blocks,
 * which do not depend on how the ranks cut the array; equal content gives equal bytes. All
 * functions on a cf_store are Collective unless they say otherwise, with the same name, type and
 * shape on every rank. src/store/README.md has the layout of the files.
 */
#pragma once

#include "cf/par.h"

/** An open file. */
typedef struct cf_store cf_store;

/** Types of elements: floating point, integers, bytes; little-endian in the file. */
typedef enum cf_type { CF_F16, CF_F32, CF_F64, CF_I32, CF_I64, CF_U8 } cf_type;
/** Bytes of an element. Local. */
size_t cf_store_type_size(cf_type type);
/** "float16", ...: static. Local. */
const char *cf_store_type_name(cf_type type);
/** The version of HDF5 that runs, "HDF5 1.10.8": static. Local. */
const char *cf_store_library(void);

/** The part of an array that a rank reads or writes; 1-D arrays have one column. In memory its rows
 * are `stride` elements apart. A rank may have no rows. */
typedef struct cf_slab {
    int64_t first_row, n_rows;       /* in the array */
    int64_t first_column, n_columns; /* written slices begin and end at multiples of 16 */
    int64_t stride; /* elements from one row to the next in memory, at least n_columns */
} cf_slab;

/** Begin a new file, beside `path`. `kind` ("dataset", "checkpoint") and the format version become
 * attributes. `*out` is new: end it with cf_store_commit(), or give it up with cf_store_close().
 * Errors: IO, MEMORY. */
cf_status cf_store_create(const cf_par *par, const char *path, const char *kind, cf_store **out);
/**
 * Complete the file: write the checksums and the attribute `complete`, close, fsync, read
 * everything back, rename to `path`, fsync the folder. `*store` is closed in every case and becomes
 * NULL; on error `path` is as it was before and the temporary file is gone. Errors: IO, MEMORY, BUG
 * (not every element was written exactly once).
 */
cf_status cf_store_commit(cf_store **store);
/**
 * Open a file to read; `kind` NULL takes any. Errors: IO (absent, no permission), FORMAT (not HDF5,
 * truncated, not complete, another `kind`, another format version: the message says which and names
 * the file).
 */
cf_status cf_store_open(const cf_par *par, const char *path, const char *kind, cf_store **out);
/** Close a file that was opened, or give up one that is being written: the temporary file is
 * removed.
 * `*store` may be NULL, and becomes NULL. */
void cf_store_close(cf_store **store);
/** The path as given to create or open; valid until closed. Local. */
const char *cf_store_path(const cf_store *store);

/**
 * Add an array of shape[0] x shape[1] to a file that is being written. `name` begins with '/'.
 * `dims` names the dimensions for people: two ("users, embedding_size"), or one, where shape[1] is
 * 1. Each element must then be written exactly once, by one rank, in any number of calls. Errors:
 * IO (also a full disk: the space is reserved here), MEMORY.
 */
cf_status cf_store_add(cf_store *store, const char *name, cf_type type, const int64_t shape[2],
                       const char *dims);
/** Write this rank's slab of an array that was added; `data` has the array's type. Fast for whole
 * rows, and for slices of columns if the ranks with the same rows have all their columns in the
 * same call. Errors: IO, MEMORY. */
cf_status cf_store_write(cf_store *store, const char *name, const cf_slab *slab, const void *data);
/** Add and write a small 1-D array of `count` elements that every rank has whole: rank 0 writes.
 * Errors: IO, MEMORY. */
cf_status cf_store_write_whole(cf_store *store, const char *name, cf_type type, int64_t count,
                               const void *data);

/** Type and shape of an array; 1-D arrays have shape[1] = 1. Errors: FORMAT (no such array, or not
 * one of this program: a link, data in other files, more elements than the file can hold), IO,
 * MEMORY. */
cf_status cf_store_shape(cf_store *store, const char *name, cf_type *type, int64_t shape[2]);
/** Is there such an array (or group)? Errors, where it cannot be told: FORMAT (damaged, or reached
 * by a link), IO, MEMORY. */
cf_status cf_store_has(cf_store *store, const char *name, bool *out);
/** Read this rank's slab as `type`, which must be the array's, but F16 can be read as F32.
 * Checksums are added up but not compared: see cf_store_verify(). Errors: FORMAT (no such array,
 * another type), IO, MEMORY. */
cf_status cf_store_read(cf_store *store, const char *name, cf_type type, const cf_slab *slab,
                        void *data);
/**
 * Compare the checksums in the file with those of what all ranks together have read of `name` since
 * the file was opened or `name` was last verified. That must be every element exactly once (BUG
 * otherwise). Errors: FORMAT ("FILE: /name is damaged (rows A to B)"), MEMORY.
 */
cf_status cf_store_verify(cf_store *store, const char *name);
/** Read some rows of a 1-D array of `type` (a slab of one column), verified: each rank its own, in
 * any number of calls, apart from what cf_store_read() reads. Reads whole blocks of 65536 rows.
 * Errors: FORMAT (no such array, another type, damaged), IO, MEMORY. */
cf_status cf_store_read_verified(cf_store *store, const char *name, cf_type type,
                                 const cf_slab *slab, void *data);
/** Read a small array whole on every rank, verified. `*out` (address of a pointer to elements of
 * `type`) is new, `*count` elements, freed with cf_free(). Errors: FORMAT, IO, MEMORY. */
cf_status cf_store_read_whole(cf_store *store, const char *name, cf_type type, int64_t *count,
                              void *out);

/** Attributes of the file. Every rank writes the same value, in place of an older one. A text has
 * at most 60 KiB; a longer one belongs in an array of U8. Errors: IO. Reading: FORMAT if the
 * attribute is absent, of another type or not one value (`*value` untouched), IO, MEMORY. */
cf_status cf_store_write_int(cf_store *store, const char *name, int64_t value);
cf_status cf_store_write_real(cf_store *store, const char *name, double value);
cf_status cf_store_write_text(cf_store *store, const char *name, const char *value);
cf_status cf_store_read_int(cf_store *store, const char *name, int64_t *value);
cf_status cf_store_read_real(cf_store *store, const char *name, double *value);
/** Is there such an attribute? Errors, where it cannot be told: FORMAT (damaged), IO, MEMORY. */
cf_status cf_store_has_attribute(cf_store *store, const char *name, bool *out);
/** `*value` is new, freed with cf_free(). */
cf_status cf_store_read_text(cf_store *store, const char *name, char **value);

/** What is in an attribute; OTHER: several values, or none of these: a text of variable length is
 * not. */
typedef enum cf_attribute_type {
    CF_ATTRIBUTE_INT,
    CF_ATTRIBUTE_REAL,
    CF_ATTRIBUTE_TEXT,
    CF_ATTRIBUTE_OTHER
} cf_attribute_type;
/** An attribute of a file with its value; only the field of its type is filled. */
typedef struct cf_attribute {
    char *name;
    cf_attribute_type type;
    int64_t integer;
    double real;
    char *text;
} cf_attribute;
/** All attributes of an opened file, in order of their names: the same on every rank. `*out` is new
 * (`*count` of them), freed with cf_store_destroy_attributes(). Errors: FORMAT, IO, MEMORY. */
cf_status cf_store_attributes(const cf_store *store, cf_attribute **out, int64_t *count);
void cf_store_destroy_attributes(cf_attribute **attributes, int64_t count);

/** A 64-bit digest of names, types, shapes and checksums of all arrays, of a file that is open or
 * is about to be committed. Equal content has an equal digest on any number of ranks; attributes do
 * not count. Errors: FORMAT, IO, MEMORY. */
cf_status cf_store_digest(cf_store *store, uint64_t *out);
/** The digest of the arrays so far, from 0 on, with one more. The digest of a file is that of all
 * of its arrays in order of their names. Errors: the same. */
cf_status cf_store_extend_digest(cf_store *store, const char *name, uint64_t *digest);

/** Names of the arrays of an opened file, without the checksums, sorted, separated by '\n'. `*out`
 * is new, freed with cf_free(). Errors: FORMAT (also a link), IO, MEMORY. */
cf_status cf_store_list(cf_store *store, char **out);

/**
 * A matrix in an HDF5 file of another program: 2-D, of floating-point numbers of any size and byte
 * order, in any layout that lies in the file itself. All functions on it are Local: each process
 * opens the file for itself.
 */
typedef struct cf_external cf_external;
/** Does the file begin as an HDF5 file does, whatever its name? Local. Errors: IO. */
cf_status cf_store_is_hdf5(const char *path, bool *out);
/**
 * Open a matrix; `dataset` is its name in the file, or NULL if the file has only one. It is read as
 * `*type`: CF_F16, CF_F32, or CF_F64 for numbers of more than 32 bits; `shape`: rows, columns.
 * `*out` is new, to be closed. Errors: FORMAT (not HDF5, truncated, no such dataset, several
 * matrices, not 2-D, not floating point, reached by a link, made of other datasets, in other files,
 * not all written), MEMORY.
 */
cf_status cf_store_open_external(const char *path, const char *dataset, cf_external **out,
                                 cf_type *type, int64_t shape[2]);
/** "FILE:/DATASET", for messages; valid until closed. */
const char *cf_store_external_name(const cf_external *external);
/** Rows first .. first + count - 1 into `rows` (count x columns, of the type of open). Errors:
 * FORMAT. */
cf_status cf_store_read_external(cf_external *external, int64_t first, int64_t count, void *rows);
/** `*external` may be NULL, and becomes NULL. */
void cf_store_close_external(cf_external **external);

/** `count` numbers from float16 to float32, exactly, and back, rounded to nearest even; the same
 * bits on every machine. Local. */
void cf_store_f16_to_f32(const uint16_t *in, float *out, int64_t count);
void cf_store_f32_to_f16(const float *in, uint16_t *out, int64_t count);
