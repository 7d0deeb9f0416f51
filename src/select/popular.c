/* The n most interacted warm items, whose vectors var takes the variance of: those of the smallest
 * keys, where a key falls as the count rises (cf_par_mark_first). Cold items have the largest key
 * of all. Each rank has the counts of consecutive items. tests/select/dims.c takes the largest
 * counts one by one instead. */
#include "internal.h"

/* Counts are read from the dataset's pointers by item: no interaction is read. */
cf_status select_mark_popular(const cf_dataset *dataset, int64_t first, int64_t count,
                              int64_t n_popular, uint8_t *popular)
{
    int64_t *counts = NULL;
    uint64_t *keys = NULL;
    cf_status status = CF_ALLOC(counts, count);

    if (status == CF_OK) status = CF_ALLOC(keys, count);
    CF_TRY(cf_par_agree(dataset->world, status));
    CF_TRY(cf_dataset_read_item_counts(dataset, first, count, counts));
    for (int64_t i = 0; i < count; i++)
        keys[i] = cf_is_cold(dataset->cold, first + i) ? UINT64_MAX
                                                       : UINT64_MAX - 1 - (uint64_t)counts[i];
    cf_par_mark_first(dataset->world, keys, count, n_popular, popular);
done:
    cf_free(&counts);
    cf_free(&keys);
    return status;
}
