/* Directions of vectors: what L3AE and the map of cold items compare. The center is the mean over
 * warm items alone, so that a new item changes nothing of the others. */
#include "cf/dataset.h"

#include <math.h>

cf_status cf_dataset_find_center(const cf_par *world, const cf_vector_rows *vectors,
                                 const uint8_t *cold, double *center)
{
    int64_t mine = 0, before, n;
    cf_exact *sums = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(sums, vectors->dim)));
    for (int64_t r = 0; r < vectors->count; r++) {
        if (!vectors->present[r] || cf_is_cold(cold, vectors->first + r)) continue;
        mine++;
        for (int64_t k = 0; k < vectors->dim; k++)
            cf_exact_add(&sums[k], (double)vectors->rows[r * vectors->stride + k]);
    }
    cf_par_exscan(world, mine, &before, &n);
    cf_par_sum_exact(world, sums, vectors->dim);
    for (int64_t k = 0; k < vectors->dim; k++)
        center[k] = n > 0 ? cf_exact_value(&sums[k]) / (double)n : 0;
done:
    cf_free(&sums);
    return status;
}

void cf_dataset_make_directions(const cf_vector_rows *vectors, const double *center)
{
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < vectors->count; r++) {
        float *row = vectors->rows + r * vectors->stride;
        double squares = 0, factor;

        for (int64_t k = 0; k < vectors->dim && vectors->present[r]; k++) {
            row[k] = (float)((double)row[k] - center[k]);
            squares += (double)row[k] * (double)row[k];
        }
        factor = squares > 0 ? 1 / sqrt(squares) : 0;
        for (int64_t k = 0; k < vectors->dim; k++)
            row[k] = (float)((double)row[k] * factor);
    }
}
