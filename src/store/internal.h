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

/** A file as HDF5's driver (driver.c) sees it. */
typedef struct store_io {
    const char *path; /* borrowed: the name by which HDF5 opens it */
    const char *name; /* borrowed: its name in messages */
    int fd;           /* the driver neither opens nor closes it */
    bool leads;       /* this rank writes the file's structure, and sets its length */
    int error;        /* errno of the first call that failed; 0: none did */
} store_io;

/** An array of the file. */
typedef struct store_array {
    char *name; /* "/users/id" */
    cf_type type;
    int64_t shape[2];
    hid_t dataset;
    int64_t n_moved; /* elements in `sums`: written by this rank, or read since the last
                        verification */
    int64_t n_blocks;
    uint64_t *sums;   /* n_blocks: this rank's part of each block's checksum */
    uint64_t *stored; /* n_blocks: the checksums in the file; NULL until they are needed */
} store_array;

struct cf_store {
    cf_par par;
    char *path;
    bool writing;     /* a file that is not complete yet; the same on all ranks */
    cf_new_file made; /* while writing, on rank 0 alone */
    char *temporary;  /* while writing: its name so far */
    store_io *io;
    hid_t file;
    hid_t types[STORE_N_TYPES];
    int64_t reserved; /* rank 0 while writing: bytes allocated on the disk */
    store_array *arrays;
    int64_t n_arrays, capacity;
};

/* ---- hdf5.c: all Local ---- */

/** The first bytes of an HDF5 file. */
extern const char store_signature[8];
/** Why the last HDF5 call failed: the innermost entry of its error stack. Returns `reason`. */
const char *store_reason(char reason[static STORE_REASON_SIZE]);
/** The type of IEEE 754 binary16, little-endian, which HDF5 1.10 has no name for. Close with
 * H5Tclose(). */
hid_t store_create_half(void);
/** The types of elements in a file, by cf_type. */
void store_create_types(hid_t types[static STORE_N_TYPES]);
/** Types that are 0 were not created. */
void store_destroy_types(hid_t types[static STORE_N_TYPES]);
/** The error that the driver has noted: IO, "NAME: cannot `what` (REASON)", or MEMORY. Local. */
cf_status store_fail_io(store_io *io, const char *what);
/** The error of an HDF5 call that failed while reading: IO if the file system refused, MEMORY if
 * there was none, else FORMAT with this message (printf). Local. */
cf_status store_fail_read(store_io *io, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- driver.c ---- */

/** An access list for H5Fcreate() and H5Fopen() of io->path, through its descriptor. Local; -1 if
 * HDF5 refused. Close with H5Pclose(); `io` must outlive the open file. */
hid_t store_create_access(store_io *io);

/* ---- reserve.c ---- */

/** Allocate the file's present length on the disk, before data is written to it. Collective.
 * Errors: IO (also that of an earlier write), MEMORY. */
cf_status store_reserve(cf_store *store);

/* ---- array.c ---- */

/**
 * Find an array, opening it at its first use. Collective. `*out` is the store's, valid until
 * another array is added or found. Errors: FORMAT (no such array, or one this program does not
 * write), MEMORY.
 */
cf_status store_find(cf_store *store, const char *name, store_array **out);
/** What a name leads to in a file. */
typedef enum store_link {
    STORE_ABSENT,
    STORE_PRESENT,
    STORE_ELSEWHERE, /* a soft or external link on the way, which is not followed */
    STORE_UNKNOWN    /* could not be told: store_reason() */
} store_link;
/** Look a name up, opening nothing but groups of the file itself. Local. */
store_link store_look_up(hid_t file, const char *name);
/**
 * Open a dataset as this program writes them, with its type and shape, for which the file has room.
 * Local. Errors: FORMAT (absent, reached by a link, another layout, longer than the file), those of
 * store_fail_read().
 */
cf_status store_open_dataset(const cf_store *store, const char *name, hid_t *out, cf_type *type,
                             int64_t shape[2]);
/** Close all arrays and free their memory. Local. False if HDF5 refused. */
bool store_close_arrays(cf_store *store);

/** Create the groups of `name` ("/a/b/c": /a and /a/b) where they are missing. Collective. Errors:
 * IO. */
cf_status store_create_groups(cf_store *store, const char *name);
/** Create a contiguous dataset of as many dimensions, 1 or 2, as `dims` names. Collective. Errors:
 * IO. */
cf_status store_create_dataset(cf_store *store, const char *name, const char *dims, cf_type type,
                               const int64_t shape[2], hid_t *out);

/* ---- slab.c, columns.c ---- */

/** Rows first .. first + n - 1 of a slab, or what it has of them. Local. */
cf_slab store_part(const cf_slab *slab, int64_t first, int64_t n);
/** Bytes from the slab's data to its row `first`; 0 if it has no such row. Local. */
size_t store_offset(const store_array *array, const cf_slab *slab, int64_t first);
/** Rows of a slab that fit a transfer of `bytes`, at least 1. Local. */
int64_t store_rows_per_call(const store_array *array, const cf_slab *slab, int64_t bytes);
/** Copy shape[0] rows of shape[1] bytes between two strides, in bytes. Local. */
void store_copy_rows(char *to, int64_t to_stride, const char *from, int64_t from_stride,
                     const int64_t shape[2]);
/** Move a slab between the file and memory. Local. Errors: IO, MEMORY. */
cf_status store_move(const cf_store *store, const store_array *array, bool write,
                     const cf_slab *slab, void *data);
/**
 * Move a slab if rows of the array are cut among ranks, and the ranks that share rows have all of
 * their columns together. Otherwise `*moved` is false, and nothing was done. Collective. Errors:
 * IO, MEMORY.
 */
cf_status store_move_columns(const cf_store *store, const store_array *array, bool write,
                             const cf_slab *slab, void *data, bool *moved);

/* ---- checksum.c, verify.c ---- */

/** How many blocks of checksums an array of n_rows has. Local. */
int64_t store_n_blocks(int64_t n_rows);
/** The sum of the hashes of the units of some rows of one block, whose values begin at `data`.
 * Local. */
uint64_t store_sum_rows(const store_array *array, const cf_slab *rows, const void *data);
/**
 * Add the units of a slab to the array's sums. Local. A slab that cuts a unit (columns not at
 * multiples of 16) is left out and not counted. `data` is the file's type.
 */
void store_checksum_add(store_array *array, const cf_slab *slab, const void *data);
/** Write /checksums/NAME of all arrays. Collective. Errors: IO, MEMORY, BUG (elements not written
 * exactly once). */
cf_status store_write_checksums(cf_store *store);
/** Read all arrays of an opened file, each rank an even part of the rows, and verify them.
 * Collective. Errors: FORMAT, IO, MEMORY. */
cf_status store_verify_all(cf_store *store);

/** The whole array's checksums, n_blocks: the sums over all ranks, and how many elements are in
 * them. Collective. `*out` is new, freed with cf_free(). Errors: MEMORY. */
cf_status store_join_sums(const cf_store *store, const store_array *array, uint64_t **out,
                          int64_t *moved);
/** Fill array->stored, unless it is there. Collective. Errors: FORMAT, IO, MEMORY. */
cf_status store_read_checksums(const cf_store *store, store_array *array);

/* ---- digest.c ---- */

/** Names of all arrays but the checksums, sorted. Collective. `*out` is new (`*count` of them),
 * freed with store_free_names(). Errors: FORMAT, IO, MEMORY. */
cf_status store_list_names(cf_store *store, char ***out, int64_t *count);
void store_free_names(char ***names, int64_t count);

/* ---- attribute.c ---- */

/** Write a text attribute of a dataset or of the file, on every rank alike. -1 if HDF5 refused; the
 * ranks have still to agree. */
int store_write_text(hid_t object, const char *name, const char *value);
