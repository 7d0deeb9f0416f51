/* Ranges of the file's 1-D arrays, and the checks of offsets, which every reader of lists and of
 * names shares, and of weights. An offset outside of its array would make a reader leave its
 * memory, so offsets are checked before their use, for a file with right checksums may still have
 * wrong content. Arrays that all ranks together read once are verified as a whole, others block by
 * block.
 */
#include "internal.h"

#include <inttypes.h>
#include <math.h>

cf_status dataset_read_part(cf_store *store, const char *name, cf_type type, int64_t first,
                            int64_t count, void *data)
{
    const cf_slab slab = {first, count, 0, 1, 1};

    return cf_store_read(store, name, type, &slab, data);
}

cf_status dataset_read_verified(cf_store *store, const char *name, cf_type type, int64_t first,
                                int64_t count, void *data)
{
    const cf_slab slab = {first, count, 0, 1, 1};

    return cf_store_read_verified(store, name, type, &slab, data);
}

cf_status dataset_check_offsets(cf_store *store, const char *name, const int64_t *values,
                                int64_t count, const int64_t bounds[2])
{
    int64_t low = bounds[0];

    for (int64_t k = 0; k < count; k++) {
        if (values[k] < low || values[k] > bounds[1])
            return CF_FAIL(CF_ERR_FORMAT,
                           "%s: %s is damaged: %" PRId64 " is not between %" PRId64 " and %" PRId64,
                           cf_store_path(store), name, values[k], low, bounds[1]);
        low = values[k];
    }
    return CF_OK;
}

cf_status dataset_check_weights(cf_store *store, const char *name, const float *weights,
                                int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        if (!(weights[k] > 0 && isfinite(weights[k])))
            return CF_FAIL(CF_ERR_FORMAT, "%s: %s is damaged: %g is not a number above 0",
                           cf_store_path(store), name, (double)weights[k]);
    return CF_OK;
}
