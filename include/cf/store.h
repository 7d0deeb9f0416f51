/**
 * store: parallel HDF5 files of distributed arrays. A file is complete or absent: it is written
 * under NAME.tmp, and committed by rename. Every array carries checksums of fixed blocks, which do
 * not depend on how ranks cut the array. All functions on a store are Collective, with the same
 * name and type on every rank.
 */
#pragma once

#include "cf/par.h"

typedef struct cf_store cf_store;

typedef enum cf_type { CF_F16, CF_F32, CF_F64, CF_I32, CF_I64, CF_U8 } cf_type;
/** Bytes of an element. Local. */
size_t cf_store_type_size(cf_type type);
/** "float16", ...: static. Local. */
const char *cf_store_type_name(cf_type type);
/** The version of HDF5 that runs, "HDF5 1.10.8": static. Local. */
const char *cf_store_library(void);

/** The part of an array that a rank reads or writes: rows first_row.., columns first_column.. of
 * n_rows x n_columns (1-D arrays have one column). Ranks may have 0 rows. */
typedef struct cf_slab {
    int64_t first_row, n_rows;
    int64_t first_column, n_columns;
    int64_t stride; /* elements from one row to the next in memory; >= n_columns */
} cf_slab;

/** Start a new file: `path`.tmp. `kind` ("dataset", "checkpoint") and the format version are
 * written as attributes. Errors: IO, MEMORY. */
cf_status cf_store_create(const cf_par *par, const char *path, const char *kind, cf_store **out);
/**
 * Make the file be: all checksums and `complete` are written last, then flush, reading back what
 * was written (MPI-IO does not report every failure), close, fsync, rename over `path`, fsync of
 * the folder. `*store` is closed in every case; on error `path` is as it was before and `path`.tmp
 * is gone. Errors: IO, MEMORY, BUG (an array was not written once).
 */
cf_status cf_store_commit(cf_store **store);
/**
 * Open a file to read; `kind` NULL takes any. Errors: IO (absent, no permission), FORMAT (not HDF5,
 * truncated, not complete, another `kind`, another format version: the message says which and names
 * the file).
 */
cf_status cf_store_open(const cf_par *par, const char *path, const char *kind, cf_store **out);
/** Close a file that was opened, or give up one that was being written (its .tmp is removed). NULL
 * is fine. */
void cf_store_close(cf_store **store);
/** The path as given. */
const char *cf_store_path(const cf_store *store);

/**
 * Add an array of n_rows x n_columns (n_columns 1: 1-D) of which this rank will write parts. `dims`
 * names its dimensions ("users, embedding_size"). Each element must then be written exactly once,
 * by one rank, in any number of calls; columns are cut at multiples of 16 only. Errors: IO (a full
 * disk too: the space is taken here), MEMORY.
 */
cf_status cf_store_add(cf_store *store, const char *name, cf_type type, const int64_t shape[2],
                       const char *dims);
/** Write this rank's slab. Memory type = file type. Fast for whole rows, and for slices of columns
 * where the ranks that have the same rows bring all of their columns in the same call. */
cf_status cf_store_write(cf_store *store, const char *name, const cf_slab *slab, const void *data);
/** Add and write a whole small 1-D array that every rank holds alike (rank 0's is written). */
cf_status cf_store_write_whole(cf_store *store, const char *name, cf_type type, int64_t count,
                               const void *data);

/** Type and shape of an array; 1-D arrays have shape[1] = 1. Errors: FORMAT (no such array). */
cf_status cf_store_shape(cf_store *store, const char *name, cf_type *type, int64_t shape[2]);
bool cf_store_has(const cf_store *store, const char *name);
/** Read this rank's slab. The file's type must be `type` (FORMAT otherwise), but F16 can be read as
 * F32. Not verified: see cf_store_verify(). */
cf_status cf_store_read(cf_store *store, const char *name, cf_type type, const cf_slab *slab,
                        void *data);
/**
 * Check the blocks' checksums against what all ranks together have read of `name` since the file
 * was opened or `name` last verified, which must be every element exactly once. Errors: FORMAT
 * ("FILE: /name is damaged (rows A to B)").
 */
cf_status cf_store_verify(cf_store *store, const char *name);
/** Read a whole small array on every rank, verified. `*out` is new, freed with cf_free(). */
cf_status cf_store_read_whole(cf_store *store, const char *name, cf_type type, int64_t *count,
                              void *out);

/** Attributes of the file: written by all ranks with the same value. Getters: FORMAT if absent or
 * of another type. Text longer than 60 KiB belongs in an array of U8. */
cf_status cf_store_write_int(cf_store *store, const char *name, int64_t value);
cf_status cf_store_write_real(cf_store *store, const char *name, double value);
cf_status cf_store_write_text(cf_store *store, const char *name, const char *value);
cf_status cf_store_read_int(cf_store *store, const char *name, int64_t *value);
cf_status cf_store_read_real(cf_store *store, const char *name, double *value);
cf_status cf_store_read_text(cf_store *store, const char *name,
                             char **value); /* new, freed with cf_free() */

/** What is in an attribute; OTHER: several values, or a type that is none of these. */
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
 * (`*count` of them), freed with cf_store_destroy_attributes(). Errors: FORMAT, MEMORY. */
cf_status cf_store_attributes(const cf_store *store, cf_attribute **out, int64_t *count);
void cf_store_destroy_attributes(cf_attribute **attributes, int64_t count);

/** A 64-bit digest of the checksums of all arrays of a file (of one opened, or of one about to be
 * committed): names the content, whatever the ranks. */
cf_status cf_store_digest(cf_store *store, uint64_t *out);

/** Names of the arrays of an opened file, '\n'-separated, in order of their names. New text, freed
 * with cf_free(). */
cf_status cf_store_list(cf_store *store, char **out);

/**
 * A matrix in an HDF5 file that some other program made: 2-D, of floating-point numbers of any size
 * and byte order, in any layout. All on it is Local: each process that reads it opens it for
 * itself.
 */
typedef struct cf_external cf_external;
/** Does the file begin as an HDF5 file, whatever its name? Local; false if it cannot be read. */
bool cf_store_is_hdf5(const char *path);
/**
 * Open a matrix; `dataset` is its name in the file, NULL the only matrix there. `*type` is what it
 * is read as: CF_F16, CF_F32, or CF_F64 for what is wider than 32 bits; `shape`: rows, columns.
 * `*out` is new, to be closed. Errors: FORMAT (not HDF5, truncated, no such dataset, several
 * matrices, wrong rank or type, never written), MEMORY.
 */
cf_status cf_store_open_external(const char *path, const char *dataset, cf_external **out,
                                 cf_type *type, int64_t shape[2]);
/** "FILE:/DATASET", for messages; valid until closed. */
const char *cf_store_external_name(const cf_external *external);
/** Rows first .. first + count - 1 (`count` x columns, of the type said). Errors: FORMAT. */
cf_status cf_store_read_external(cf_external *external, int64_t first, int64_t count, void *rows);
/** NULL is fine. */
void cf_store_close_external(cf_external **external);

/** float16 to float32 and back (round to nearest even), `count` numbers. Local. */
void cf_store_f16_to_f32(const uint16_t *in, float *out, int64_t count);
void cf_store_f32_to_f16(const float *in, uint16_t *out, int64_t count);
