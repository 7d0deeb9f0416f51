/* Where blocks of equal work begin. Apart from shard.c, for the simulator of tools/simulate cuts
 * blocks without HDF5.
 */
#include "cf/dataset.h"

/* A binary search: pointers ascend, so the work before row k does. */
int64_t cf_dataset_find_work(const int64_t *ptr, int64_t first, int64_t count, int64_t target)
{
    int64_t low = 0, high = count;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if (ptr[middle] + CF_ROW_WORK * (first + middle) < target)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
