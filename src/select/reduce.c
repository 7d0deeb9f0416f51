/* From vectors to reduced vectors: dimensions, or a map by tiles of fixed shape. */
#include "internal.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>

/* Item i is row i % TILE of its tile, whoever has it and however many of the others: so that its
 * product has the same bits everywhere. */
enum { TILE = 64 };

cf_status select_reducer_create(const cf_dataset *dataset, const cf_selection *selection,
                                const cf_config *config, int64_t floats, select_reducer *r)
{
    const int64_t dim = dataset->embedding_dim, n_dims = selection->n_dims;
    cf_status status;

    *r = (select_reducer){.selection = selection, .dim = dim};
    r->random = cf_config_is(config, "missing_embedding", "random");
    r->stand_in = r->random || cf_config_is(config, "missing_embedding", "mean");
    if (r->random) r->key = (cf_random){(uint64_t)cf_config_int(config, "seed"), CF_STREAM_MISSING};
    r->block_rows = select_block_rows(config, dim + 2 * n_dims + floats);
    if (r->block_rows > dataset->n_items) r->block_rows = dataset->n_items;
    CF_TRY(CF_ALLOC(r->rows, r->block_rows * dim));
    CF_TRY(CF_ALLOC(r->present, r->block_rows));
    CF_TRY(CF_ALLOC(r->values, r->block_rows * n_dims));
    if (selection->source_dim > 0)
        CF_TRY(CF_ALLOC(r->tiles, omp_get_max_threads() * TILE * (dim + n_dims)));
done:
    return status;
}

void select_reducer_destroy(select_reducer *r)
{
    cf_free(&r->rows);
    cf_free(&r->present);
    cf_free(&r->values);
    cf_free(&r->tiles);
}

/* ---- Dimensions ---- */

static void reduce_row(const select_reducer *r, int64_t item, int64_t at)
{
    const cf_selection *s = r->selection;
    const float *row = r->present[at] ? r->rows + at * r->dim : NULL;

    for (int64_t k = 0; k < s->n_dims; k++) {
        double x;

        if (row)
            x = (double)row[s->dims[k]];
        else if (r->random)
            x = s->mean[k] +
                s->deviation[k] * cf_random_normal(r->key, (uint64_t)item, (uint64_t)s->dims[k], 0);
        else if (r->stand_in)
            x = s->mean[k];
        else
            x = s->shift[k]; /* gives zero */
        r->values[at * s->n_dims + k] = (x - s->shift[k]) * s->factor;
    }
}

/* ---- Maps ---- */

/* A vector minus the mean. A missing one is the mean, unless it is drawn about it. */
static void centre_row(const select_reducer *r, int64_t item, int64_t at, double *out)
{
    const cf_selection *s = r->selection;
    const float *row = r->rows + at * r->dim;

    for (int64_t j = 0; j < r->dim; j++) {
        if (r->present[at])
            out[j] = (double)row[j] - s->center[j];
        else if (r->random)
            out[j] = s->deviation[j] * cf_random_normal(r->key, (uint64_t)item, (uint64_t)j, 0);
        else
            out[j] = 0;
    }
}

/* The rows of one tile that are among first .. first + count - 1; the others count as zero. */
static void reduce_tile(const select_reducer *r, int64_t tile, int64_t first, int64_t count)
{
    const cf_selection *s = r->selection;
    const int64_t dim = r->dim, n = s->n_dims;
    double *centred = r->tiles + omp_get_thread_num() * TILE * (dim + n);
    double *product = centred + TILE * dim;

    for (int64_t t = 0; t < TILE; t++) {
        const int64_t item = tile * TILE + t, at = item - first;

        if (at >= 0 && at < count)
            centre_row(r, item, at, centred + t * dim);
        else
            for (int64_t j = 0; j < dim; j++)
                centred[t * dim + j] = 0;
    }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, TILE, (int)n, (int)dim, 1, centred,
                (int)dim, s->directions, (int)n, 0, product, (int)n);
    for (int64_t t = 0; t < TILE; t++) {
        const int64_t at = tile * TILE + t - first;

        for (int64_t k = 0; k < n && at >= 0 && at < count; k++)
            r->values[at * n + k] = product[t * n + k] * s->scales[k] * s->factor;
    }
}

void select_reduce(const select_reducer *r, int64_t first, int64_t count)
{
    if (r->selection->source_dim == 0) {
#pragma omp parallel for schedule(static)
        for (int64_t at = 0; at < count; at++)
            reduce_row(r, first + at, at);
    } else {
#pragma omp parallel for schedule(dynamic)
        for (int64_t tile = first / TILE; tile < (first + count + TILE - 1) / TILE; tile++)
            reduce_tile(r, tile, first, count);
    }
}

double select_norm(const select_reducer *r, int64_t at)
{
    const double *row = r->values + at * r->selection->n_dims;
    double squares = 0;

    for (int64_t k = 0; k < r->selection->n_dims; k++)
        squares += row[k] * row[k];
    return sqrt(squares);
}
