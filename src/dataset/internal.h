/** Inside dataset: names of the arrays, and reading a part of one. */
#pragma once

#include "cf/dataset.h"

/** Where names lie in the file: all bytes, a NUL after each name, and count + 1 offsets. */
typedef struct dataset_names {
    const char *bytes, *start;
    const char *what; /* "user", "item", "title" */
} dataset_names;
extern const dataset_names dataset_name_arrays[];

/** A collective read of elements first .. first + count - 1 of a 1-D array; each rank its own, or
 * none. */
cf_status dataset_read_part(cf_store *store, const char *name, cf_type type, int64_t first,
                            int64_t count, void *data);

/** FORMAT unless values[0..count) ascend (equal allowed) within low .. high. Local. */
cf_status dataset_check_offsets(cf_store *store, const char *name, const int64_t *values,
                                int64_t count, const int64_t bounds[2]);
