/**
 * Support for tests of modules that read datasets: small dataset files from lists and a formula.
 */
#pragma once

#include "cf/dataset.h"

/**
 * Write a dataset whose users are u0, u1, ..., one for each list of content->train, and whose items
 * are i0, i1, ... The caller sets the lists, the dimension, n_missing, and a formula for the
 * vectors, float32; a part of count 0 has no items for any user. Collective over the world; rank
 * 0's content counts. A file of this name that is open must be closed before.
 */
void cf_test_dataset_write(const char *path, int64_t n_items, const cf_dataset_content *content);
