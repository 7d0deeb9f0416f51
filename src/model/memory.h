/** Private to model: what memory a rank will need. */
#pragma once

#include "internal.h"

/** A rank's part of everything, on average; counts as doubles, for formulas. */
struct memory_shape {
    double users, items, edges; /* of its block; an edge is one of either side */
    double halo;                /* rows of both sides together, as many as it sends */
    double width, full_width;   /* floats in its slice of a row, and in a row */
    double batch, n_rows, n_columns, ranks;
};

/** `count` rounded up to whole tiles. */
double memory_padded(double count, int64_t tile);
double memory_of(const model_kind *kind, const cf_config *config, const cf_model_size *size);
