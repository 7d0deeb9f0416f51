/**
 * What the files of dataset share: where names lie, ranges of arrays and their checks, and the
 * transposition of a dataset that is being written.
 */
#pragma once

#include "cf/dataset.h"

enum { DATASET_DIGEST_DIGITS = 16 }; /* of a digest of 64 bits in hexadecimal */

/** Where the weights of train interactions lie: in the order of /train/item, and of /train/user. */
#define DATASET_WEIGHTS "/train/weight"
#define DATASET_WEIGHTS_BY_ITEM "/train/weight_by_item"

/** Where names of one kind lie in the file: all bytes, a NUL after each name, and count + 1
 * offsets.
 */
typedef struct dataset_names {
    const char *bytes, *start; /* arrays, "/users/id" and "/users/id_start" */
    const char *what;          /* "user", "item", "title" */
} dataset_names;
/** By cf_name_kind. */
extern const dataset_names dataset_name_arrays[];

/** Elements first .. first + count - 1 of a 1-D array. Collective; each rank its own range, count
 * may be 0. All ranks together read each element once, and then call cf_store_verify(). Errors:
 * those of cf_store_read(). */
cf_status dataset_read_part(cf_store *store, const char *name, cf_type type, int64_t first,
                            int64_t count, void *data);
/** The same for any ranges: what they have is verified at once. Errors: those of
 * cf_store_read_verified(). */
cf_status dataset_read_verified(cf_store *store, const char *name, cf_type type, int64_t first,
                                int64_t count, void *data);

/** FORMAT unless values[0..count) ascend (equal allowed) within bounds[0] .. bounds[1]. Local. */
cf_status dataset_check_offsets(cf_store *store, const char *name, const int64_t *values,
                                int64_t count, const int64_t bounds[2]);

/** FORMAT unless all `count` weights are finite and above zero. Local. */
cf_status dataset_check_weights(cf_store *store, const char *name, const float *weights,
                                int64_t count);

/** Fill the starts of blocks, whose counts are there. Collective. Errors: those of reading. */
cf_status dataset_cut_blocks(const cf_dataset *dataset, cf_store *store, cf_blocks *users,
                             cf_blocks *items);

/** Write the leaves that rank 0 has, if it has any. Collective. Errors: IO, MEMORY. */
cf_status dataset_write_leaves(const cf_par *world, cf_store *store, const cf_leaves *leaves);
/** Read dataset->leaves, if the file has any, once the base is known. Collective. Errors: FORMAT,
 * IO, MEMORY. */
cf_status dataset_read_leaves(cf_dataset *dataset);

/** `count` lists without entries; freed with dataset_destroy_lists(), which takes all zero bytes
 * too. Local. Errors: MEMORY. */
cf_status dataset_empty_lists(int64_t count, cf_lists *out);
void dataset_destroy_lists(cf_lists *lists);
/** Blocks like others. Local. Errors: MEMORY. */
cf_status dataset_copy_blocks(const cf_blocks *from, cf_blocks *out);
/** Elements of all lists together. Local. */
int64_t dataset_list_size(const cf_lists *lists);
/** The train interactions of this rank's items, from those of the ranks' users, with their weights
 * if they have any: of `content` only train and the counts of users and items are used. Collective.
 * `*out` is new, freed with dataset_destroy_lists(). Errors: MEMORY. */
cf_status dataset_transpose(const cf_par *world, const cf_dataset_content *content, cf_lists *out);
