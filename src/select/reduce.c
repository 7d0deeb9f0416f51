/* From vectors to reduced vectors (n_dims doubles each), before norm and gain: some of their
 * dimensions, or a map y = diag(scales) V' (x - center), V: components (D x n_dims).
 *
 * A map is computed by tiles of 64 items: one product of 64 x D and D x n_dims (dgemm). The last
 * bits of such a product depend on its shape and on the row, so item i is always row i % 64 of its
 * tile, and rows that this rank does not have are zero: a rank that has two of a tile's rows finds
 * the same numbers for them as one that has all. A missing vector is zero, the mean, or a normal
 * draw about it, a function of (seed, item, dimension). */
#include "cf/blas.h"
#include "internal.h"

#include <math.h>
#include <omp.h>

enum { TILE = 64 };

/* A block has so many rows that the vectors, the reduced rows and what the caller holds of them fit
 * into select_memory. */
static int64_t block_rows(const cf_select_options *options, int64_t n_items, int64_t dim,
                          int64_t floats)
{
    return cf_min(select_block_rows(options->memory, dim + 2 * options->size + floats), n_items);
}

double select_predict_reducer(const cf_select_options *options, int64_t n_items, int64_t dim,
                              int64_t floats)
{
    const double row = 4 * (double)(dim + 2 * options->size + floats) + 2; /* present, counted */
    const double tiles = select_is_map(options->method)
                             ? 8.0 * omp_get_max_threads() * TILE * (double)(dim + options->size)
                             : 0;

    return (double)block_rows(options, n_items, dim, floats) * row + tiles;
}

cf_status select_create_reducer(const cf_dataset *dataset, const cf_selection *selection,
                                const cf_select_options *options, int64_t floats, select_reducer *r)
{
    const int64_t dim = dataset->embedding_dim, n_dims = selection->n_dims;
    cf_status status;

    *r = (select_reducer){.selection = selection, .dim = dim, .missing = options->missing};
    r->key = (cf_random){options->seed, CF_STREAM_MISSING};
    r->block_rows = block_rows(options, dataset->n_items, dim, floats);
    CF_TRY(CF_ALLOC(r->values, r->block_rows * n_dims));
    if (selection->source_dim > 0)
        CF_TRY(CF_ALLOC(r->tiles, omp_get_max_threads() * TILE * (dim + n_dims)));
done:
    return status;
}

void select_destroy_reducer(select_reducer *r)
{
    cf_free(&r->values);
    cf_free(&r->tiles);
}

/* ---- Dimensions ---- */

/* y before norm and gain, of one item. Row `at` of the block. */
static void reduce_row(const select_reducer *r, const select_block *block, int64_t at)
{
    const cf_selection *s = r->selection;
    const uint64_t item = (uint64_t)(block->first + at);
    const float *row = block->present[at] ? block->rows + at * r->dim : NULL;

    for (int64_t k = 0; k < s->n_dims; k++) {
        double x;

        if (row != NULL)
            x = (double)row[s->dims[k]];
        else if (r->missing == CF_SELECT_MISSING_RANDOM)
            x = s->mean[k] +
                s->deviation[k] * cf_random_normal(r->key, item, (uint64_t)s->dims[k], 0);
        else if (r->missing == CF_SELECT_MISSING_MEAN)
            x = s->mean[k];
        else
            x = s->shift[k]; /* gives zero */
        r->values[at * s->n_dims + k] = (x - s->shift[k]) * s->factor;
    }
}

/* ---- Maps ---- */

/* x - center. Of a missing vector 0, as if it were the mean, unless it is drawn about it. */
static void centre_row(const select_reducer *r, const select_block *block, int64_t at, double *out)
{
    const cf_selection *s = r->selection;
    const uint64_t item = (uint64_t)(block->first + at);
    const float *row = block->rows + at * r->dim;

    for (int64_t j = 0; j < r->dim; j++) {
        if (block->present[at])
            out[j] = (double)row[j] - s->center[j];
        else if (r->missing == CF_SELECT_MISSING_RANDOM)
            out[j] = s->deviation[j] * cf_random_normal(r->key, item, (uint64_t)j, 0);
        else
            out[j] = 0;
    }
}

/* The rows of one tile that are in the block; the others count as zero, and are not stored. */
static void reduce_tile(const select_reducer *r, const select_block *block, int64_t tile)
{
    const cf_selection *s = r->selection;
    const int64_t dim = r->dim, n = s->n_dims;
    double *centred = r->tiles + omp_get_thread_num() * TILE * (dim + n);
    double *product = centred + TILE * dim;

    for (int64_t t = 0; t < TILE; t++) {
        const int64_t at = tile * TILE + t - block->first;

        if (at >= 0 && at < block->count)
            centre_row(r, block, at, centred + t * dim);
        else
            for (int64_t j = 0; j < dim; j++)
                centred[t * dim + j] = 0;
    }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, TILE, (int)n, (int)dim, 1, centred,
                (int)dim, s->components, (int)n, 0, product, (int)n);
    for (int64_t t = 0; t < TILE; t++) {
        const int64_t at = tile * TILE + t - block->first;

        for (int64_t k = 0; k < n && at >= 0 && at < block->count; k++)
            r->values[at * n + k] = product[t * n + k] * s->scales[k] * s->factor;
    }
}

/* Threads take rows of dimensions, and tiles of a map: each has a tile buffer of its own. */
void select_reduce(const select_reducer *r, const select_block *block)
{
    const int64_t end = block->first + block->count;

    if (r->selection->source_dim == 0) {
#pragma omp parallel for schedule(static)
        for (int64_t at = 0; at < block->count; at++)
            reduce_row(r, block, at);
    } else if (block->count > 0) {
#pragma omp parallel for schedule(dynamic)
        for (int64_t tile = block->first / TILE; tile < cf_ceil_div(end, TILE); tile++)
            reduce_tile(r, block, tile);
    }
}

/* Summed in the order of the columns: the same bits for the gain and for the table. */
double select_norm(const select_reducer *r, int64_t at)
{
    const double *row = r->values + at * r->selection->n_dims;
    double squares = 0;

    for (int64_t k = 0; k < r->selection->n_dims; k++)
        squares += row[k] * row[k];
    return sqrt(squares);
}
