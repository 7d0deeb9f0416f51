/** Meshes and matrices for the tests of linear algebra. */
#pragma once

#include "cf/linalg.h"
#include "cf_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Run `check` on every mesh of all ranks, and of all but one, which is left beyond it; of six
 * ranks on 2 x 3 and 3 x 2 alone. */
static inline void on_every_mesh(void (*check)(const cf_mesh *mesh))
{
    for (int rows = 1; rows <= world.size; rows++)
        for (int columns = 1; rows * columns <= world.size; columns++) {
            cf_mesh *mesh = NULL;

            if (rows * columns < world.size - 1) continue;
            if (world.size > 4 && (rows == 1 || columns == 1)) continue;
            assert_ok(cf_linalg_create_mesh(&world, rows, columns, &mesh));
            check(mesh);
            cf_linalg_destroy_mesh(&mesh);
            assert_null(mesh);
        }
}

static inline cf_cyclic *new_cyclic(const cf_mesh *mesh, cf_type type, int64_t rows,
                                    int64_t columns, int64_t block)
{
    cf_cyclic *a = NULL;

    assert_ok(cf_linalg_create_cyclic(mesh, type, (const int64_t[]){rows, columns}, block, &a));
    return a;
}

/** a(i, j) = at(context, i, j), found from the layout alone. */
static inline void fill_cyclic(cf_cyclic *a,
                               double (*at)(const void *context, int64_t i, int64_t j),
                               const void *context)
{
    const cf_mesh *mesh = a->mesh;

    for (int64_t c = 0; c < a->local_columns; c++)
        for (int64_t r = 0; r < a->local_rows; r++) {
            const int64_t i = (r / a->block * mesh->n_rows + mesh->my_row) * a->block +
                              r % a->block,
                          j = (c / a->block * mesh->n_columns + mesh->my_column) * a->block +
                              c % a->block,
                          k = c * a->local_rows + r;
            if (a->type == CF_F64)
                ((double *)a->data)[k] = at(context, i, j);
            else
                ((float *)a->data)[k] = (float)at(context, i, j);
        }
}

/** Noise in [-1, 1). */
static inline double noise(const void *context, int64_t i, int64_t j)
{
    const uint64_t seed = context ? *(const uint64_t *)context : 1;

    return 2 * cf_random_uniform((cf_random){seed, CF_STREAM_TEST}, (uint64_t)i, (uint64_t)j, 0) -
           1;
}

static inline double symmetric_noise(const void *context, int64_t i, int64_t j)
{
    return i > j ? noise(context, i, j) : noise(context, j, i);
}

/** The whole matrix on every rank, row by row; free with free(). */
static inline double *whole(const cf_cyclic *a)
{
    const cf_slab all = {0, a->n_rows, 0, a->n_columns, a->n_columns};
    double *out = calloc((size_t)(a->n_rows * a->n_columns), sizeof *out);

    assert_non_null(out);
    assert_ok(cf_linalg_get_cyclic(a, &all, CF_F64, out));
    return out;
}

/** Largest distance of (op a)(op b) from `want`, all row by row: rows x inner, inner x columns. */
static inline double product_error(const double *a, const double *b, bool transpose_b,
                                   const double *want, const int64_t shape[3])
{
    double worst = 0;

    for (int64_t i = 0; i < shape[0]; i++)
        for (int64_t j = 0; j < shape[2]; j++) {
            double sum = 0;
            for (int64_t k = 0; k < shape[1]; k++)
                sum +=
                    a[i * shape[1] + k] * (transpose_b ? b[j * shape[1] + k] : b[k * shape[2] + j]);
            worst = fmax(worst, fabs(sum - want[i * shape[2] + j]));
        }
    return worst;
}
