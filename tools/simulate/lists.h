/** The file that brings train interactions into a simulation, where there is no HDF5: numbers of 64
 * bits, as this machine has them. */
#pragma once

#include <stdint.h>

/** Then come user_ptr (n_users + 1), item (n_train, by user, ascending), item_ptr (n_items + 1),
 * user (n_train, by item, ascending) and, if n_cold is not 0, a byte an item: cf_cold_mark. */
typedef struct lists_header {
    int64_t n_users, n_items, n_train, n_cold;
} lists_header;
