/* Where blocks of equal work begin: at a row of a side, or with leaves at a share of the work of
 * both sides. Apart from cut.c, for the simulator of tools/simulate cuts blocks without HDF5.
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

void cf_dataset_even_targets(int64_t n_train, int64_t n, int n_blocks, int64_t *target)
{
    for (int b = 0; b < n_blocks; b++)
        target[b] = cf_par_even_start(n_train + CF_ROW_WORK * n, n_blocks, b);
}

/* The work before part k, of both sides. */
static int64_t work_before(int64_t *const work[2], int64_t k)
{
    return work[0][k] + work[1][k];
}

/* Shares ascend, so the part that has the next share is this one or a later one. Two blocks never
 * begin with the same part: their shares are a block apart, and each may move by 1/16 of one. */
void cf_dataset_find_targets(int64_t *const work[2], int64_t n_parts, int n_blocks,
                             int64_t *const target[2])
{
    const int64_t total = work_before(work, n_parts), most = total / n_blocks / 16;
    int64_t k = 0;

    for (int b = 0; b < n_blocks; b++) {
        const int64_t share = cf_par_even_start(total, n_blocks, b);
        int64_t before, behind;

        while (k < n_parts - 1 && work_before(work, k + 1) <= share)
            k++;
        before = share - work_before(work, k);
        behind = work_before(work, k + 1) - share;
        for (int side = 0; side < 2; side++) {
            const int64_t begin = work[side][k], end = work[side][k + 1];

            if (before <= most && before <= behind)
                target[side][b] = begin;
            else if (behind <= most)
                target[side][b] = end;
            else
                target[side][b] = begin + (int64_t)((double)(end - begin) *
                                                    ((double)before / (double)(before + behind)));
        }
    }
}
