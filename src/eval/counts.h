/**
 * counts: the number of train interactions of all items, on every rank. Private to eval.
 */
#pragma once

#include "cf/dataset.h"

/** The counts of all items, by global number, from `shard->train_by_item` of all blocks.
 * Collective over the grid. `*out` is new, freed with cf_free(). Errors: MEMORY. */
cf_status eval_gather_item_counts(const cf_grid *grid, const cf_shard *shard, int64_t **out);
