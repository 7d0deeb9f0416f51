/* The n elements of smallest keys over all ranks, found without sorting: by bisection for the key
 * that the n-th of them has, with one Allreduce a step, at most 64 of them. Elements of that very
 * key are taken in their order until there are n, which an Exscan of their number decides.
 * tests/par/first.c counts what is before each element. */
#include "cf/par.h"

/* Elements of all ranks whose key is `most` or smaller. Collective. */
static int64_t count_up_to(const cf_par *par, const uint64_t *keys, int64_t count, uint64_t most)
{
    int64_t n = 0;

    for (int64_t k = 0; k < count; k++)
        n += keys[k] <= most;
    MPI_Allreduce(MPI_IN_PLACE, &n, 1, MPI_INT64_T, MPI_SUM, par->comm);
    return n;
}

/* The smallest key that n elements do not exceed, of those that there are. Collective. */
static uint64_t find_threshold(const cf_par *par, const uint64_t *keys, int64_t count, int64_t n)
{
    uint64_t ends[2] = {0, 0}, low, high; /* the largest of ~key and of key */

    for (int64_t k = 0; k < count; k++) {
        if (~keys[k] > ends[0]) ends[0] = ~keys[k];
        if (keys[k] > ends[1]) ends[1] = keys[k];
    }
    cf_par_max_unsigned(par, ends, 2);
    low = ~ends[0];
    high = ends[1];
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;

        if (count_up_to(par, keys, count, middle) >= n)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void cf_par_mark_first(const cf_par *par, const uint64_t *keys, int64_t count, int64_t n,
                       uint8_t *marks)
{
    const uint64_t threshold = find_threshold(par, keys, count, n);
    int64_t here[2] = {0, 0}, before, total, left; /* elements below the threshold, and at it */

    for (int64_t k = 0; k < count; k++) {
        here[0] += keys[k] < threshold;
        here[1] += keys[k] == threshold;
    }
    cf_par_exscan(par, here[0], &before, &total);
    left = n - total;
    cf_par_exscan(par, here[1], &before, &total);
    left -= before;
    for (int64_t k = 0; k < count; k++)
        marks[k] = keys[k] < threshold || (keys[k] == threshold && left-- > 0);
}
