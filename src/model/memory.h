/** Private to model: predicted memory. What is predicted comes from the tables of arrays that the
 * objects are created from (cf_arrays_bytes()). */
#pragma once

#include "cf/model.h"

#include <math.h>

/** A rank's part of everything, on average: counts as doubles, for formulas. */
typedef struct memory_shape {
    double users, items;      /* rows of its blocks */
    double edges;             /* of its block, counted from both sides */
    double halo;              /* rows of both sides together; as many as it sends */
    double n_nodes;           /* that the blocks of a slice are on */
    double width, full_width; /* floats in its slice of a row, and in a whole row */
    double field_bytes;       /* of its slice of a row of a field */
    double batch;             /* largest, on all ranks */
    double n_rows, n_columns; /* of the grid */
    double ranks;
    int64_t source_dim; /* of the vectors that the model reads; 0: none */
} memory_shape;

/** The shape of a problem on a grid. Local. */
memory_shape memory_shape_of(const cf_model_options *options, const cf_model_size *size);

/** `count` rounded up to whole tiles. */
static inline double memory_padded(double count, int64_t tile)
{
    return ceil(count / (double)tile) * (double)tile;
}
