/** The file that brings train interactions into a simulation, where there is no HDF5: numbers of 64
 * bits, as this machine has them. */
#pragma once

#include <stdint.h>

/** Then come user_ptr (n_users + 1), item (n_train, by user, ascending), item_ptr (n_items + 1) and
 * user (n_train, by item, ascending). */
typedef struct lists_header {
    int64_t n_users, n_items, n_train;
} lists_header;
