/* The n most interacted items, whose vectors var takes the variance of. Each rank has the counts of
 * consecutive items. The threshold that n items reach is found by bisection, with one Allreduce a
 * step; items at the threshold are taken in their order until there are n, which an Exscan of their
 * numbers decides. tests/select/dims.c sorts all counts instead. */
#include "internal.h"

/* Number of all items that have `threshold` interactions or more. Collective. */
static int64_t count_at_least(const cf_par *par, const int64_t *counts, int64_t count,
                              int64_t threshold)
{
    int64_t n = 0;

    for (int64_t i = 0; i < count; i++)
        n += counts[i] >= threshold;
    MPI_Allreduce(MPI_IN_PLACE, &n, 1, MPI_INT64_T, MPI_SUM, par->comm);
    return n;
}

/* The largest threshold that `n_popular` items reach. Bisection, because a histogram would have as
 * many entries as the largest count. Collective. */
static int64_t find_threshold(const cf_par *par, const int64_t *counts, int64_t count,
                              int64_t n_popular)
{
    int64_t low = 0, high = 0;

    for (int64_t i = 0; i < count; i++)
        high = cf_max(high, counts[i]);
    MPI_Allreduce(MPI_IN_PLACE, &high, 1, MPI_INT64_T, MPI_MAX, par->comm);
    high++;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (count_at_least(par, counts, count, middle) >= n_popular)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* All items above the threshold, and of those at it as many as are missing to n_popular: the ranks
 * before this one have lower items, which come first. Collective. */
static void mark_items(const cf_par *par, const int64_t *counts, int64_t count, int64_t n_popular,
                       uint8_t *popular)
{
    int64_t threshold = find_threshold(par, counts, count, n_popular);
    int64_t left = n_popular - count_at_least(par, counts, count, threshold + 1);
    int64_t equal = 0, before = 0;

    for (int64_t i = 0; i < count; i++)
        equal += counts[i] == threshold;
    MPI_Exscan(&equal, &before, 1, MPI_INT64_T, MPI_SUM, par->comm);
    if (par->rank == 0) before = 0; /* MPI leaves it undefined there */
    left -= before;
    for (int64_t i = 0; i < count; i++)
        popular[i] = counts[i] > threshold || (counts[i] == threshold && left-- > 0);
}

/* Counts are read from the dataset's pointers by item: no interaction is read. */
cf_status select_mark_popular(const cf_dataset *dataset, int64_t first, int64_t count,
                              int64_t n_popular, uint8_t *popular)
{
    int64_t *counts = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(dataset->world, CF_ALLOC(counts, count)));
    CF_TRY(cf_dataset_read_item_counts(dataset, first, count, counts));
    mark_items(dataset->world, counts, count, n_popular, popular);
done:
    cf_free(&counts);
    return status;
}
