/** The file that brings train interactions into a simulation, where there is no HDF5: numbers of 64
 * bits, as this machine has them. */
#pragma once

#include <stdint.h>

/** Then come user_ptr (n_users + 1), item (n_train, by user, ascending), item_ptr (n_items + 1),
 * user (n_train, by item, ascending); if n_leaves is not 0, where leaves of users and of items
 * begin (n_leaves + 1 each); if n_cold is not 0, a byte an item: cf_cold_mark. */
typedef struct lists_header {
    int64_t n_users, n_items, n_train, n_cold, n_leaves;
} lists_header;
