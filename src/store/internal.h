/**
 * What the files of store share. One cf_store is one HDF5 file; its arrays are opened once, at the
 * first use, and closed with it. Names: store_* is shared inside this folder only.
 */
#pragma once

#include "cf/store.h"

#include <hdf5.h>

enum {
    STORE_VERSION = 1,        /* of the format; a reader takes this one alone */
    STORE_SEGMENT = 16,       /* columns of a unit of the checksums */
    STORE_BLOCK_ROWS = 65536, /* rows that share one checksum */
    STORE_N_TYPES = CF_U8 + 1,
    STORE_NAME_SIZE = 512,
    STORE_REASON_SIZE = 160
};

/** An array of the file. */
typedef struct store_array {
    char *name; /* "/users/id" */
    cf_type type;
    int64_t shape[2];
    hid_t dataset;
    int64_t n_moved; /* elements this rank has written, or read since the last verification, that
                        are in `sums` */
    int64_t n_blocks;
    uint64_t *sums; /* n_blocks: this rank's part of each block's checksum */
} store_array;

struct cf_store {
    cf_par par;
    char *path;
    char *temporary; /* `path`.tmp while writing, else NULL */
    hid_t file;
    hid_t types[STORE_N_TYPES];
    int fd; /* rank 0 while writing: the temporary file, for what HDF5 cannot do; else -1 */
    int64_t reserved; /* rank 0 while writing: bytes of the disk that are certainly ours */
    store_array *arrays;
    int64_t n_arrays, capacity;
};

/** Why the last HDF5 call failed: the innermost note of its error stack. Local. */
const char *store_reason(char reason[static STORE_REASON_SIZE]);

/** The type of IEEE 754 binary16, little-endian, which HDF5 1.10 has no name for. Local. Close with
 * H5Tclose(). */
hid_t store_make_half(void);

/** A copy of `text`. Local. Errors: MEMORY. Free with cf_free(). */
cf_status store_copy_text(const char *text, char **out);

/**
 * Take the file's length, as it now is, from the disk before data is written to it: MPI-IO may lose
 * the news of a full disk (Open MPI's collective writes report success). Collective. Errors: IO.
 */
cf_status store_reserve(cf_store *store);

/**
 * Find an array, opening it at its first use. Collective. `*out` is the store's, valid until
 * another array is added or found. Errors: FORMAT (no such array, or one this program does not
 * write), MEMORY.
 */
cf_status store_find(cf_store *store, const char *name, store_array **out);
/** Close all arrays and free their memory. Local. False if HDF5 refused. */
bool store_close_arrays(cf_store *store);

/** One collective transfer of a slab of at most 1 GiB between the file and memory. Collective.
 * Errors: IO. */
cf_status store_move(const cf_store *store, const store_array *array, bool write,
                     const cf_slab *slab, void *data);
/**
 * Move all of a slab if rows of the array are cut among ranks, each row's slices making up the
 * whole; `*moved` is false, and nothing done, otherwise. Collective. Errors: IO, MEMORY.
 */
cf_status store_move_columns(const cf_store *store, const store_array *array, bool write,
                             const cf_slab *slab, void *data, bool *moved);
/** Rows of a slab that one transfer takes, so that none is larger than `bytes`; and how many
 * transfers the rank with most needs. */
int64_t store_rows_a_call(const store_array *array, const cf_slab *slab, int64_t bytes);
int64_t store_calls(const cf_store *store, int64_t n_rows, int64_t rows_a_call);
/** Rows `first`.. of a slab, at most `n` of them. Local. */
cf_slab store_part(const cf_slab *slab, int64_t first, int64_t n);

/** Blocks of checksums of an array of n_rows. */
int64_t store_n_blocks(int64_t n_rows);
/**
 * Add the units of a slab to the array's sums. Local. A slab that cuts a unit (columns not at
 * multiples of 16) is left out and not counted. `data` is the file's type.
 */
void store_checksum_add(store_array *array, const cf_slab *slab, const void *data);
/** Write /checksums/NAME of all arrays. Collective. Errors: IO, MEMORY, BUG (elements not written
 * exactly once). */
cf_status store_write_checksums(cf_store *store);
/**
 * Read what was written once more and hold it against the checksums, each rank an even part of the
 * rows. Collective. Errors: IO, MEMORY.
 */
cf_status store_read_back(cf_store *store);

/** Make the groups of `name` ("/a/b/c": /a and /a/b) where they are missing. Collective. Errors:
 * IO. */
cf_status store_make_groups(cf_store *store, const char *name);
/** Make a contiguous dataset of 1 or 2 dimensions. Collective. Errors: IO. */
cf_status store_make_dataset(cf_store *store, const char *name, cf_type type,
                             const int64_t shape[2], hid_t *out);
/** Write a text attribute of a dataset or of the file. Local call of a collective operation; -1 if
 * HDF5 refused. */
int store_write_text(hid_t object, const char *name, const char *value);
/** True if there is such an object; `name` begins with '/'. Local. */
bool store_exists(const cf_store *store, const char *name);
/** Names of all arrays but the checksums, sorted. Collective. Free with store_free_names(). Errors:
 * MEMORY, IO. */
cf_status store_names(cf_store *store, char ***out, int64_t *count);
void store_free_names(char ***names, int64_t count);
