/* Means and variances of columns from exact sums. A column's sum and its sum of squares have no
 * rounding (math/exact.c), so that the two functions below, which round once each, give the same
 * bits however the rows lie on the ranks. */
#include "internal.h"

cf_status select_create_moments(int64_t n, select_moments *out)
{
    cf_status status;

    *out = (select_moments){0};
    CF_TRY(CF_ALLOC(out->sum, n));
    CF_TRY(CF_ALLOC(out->squares, n));
done:
    return status;
}

void select_destroy_moments(select_moments *moments)
{
    cf_free(&moments->sum);
    cf_free(&moments->squares);
}

/* Of the exact sum, rounded to double once, then divided. */
double select_mean(const select_moments *moments, int64_t column)
{
    if (moments->count == 0) return 0;
    return cf_exact_value(&moments->sum[column]) / (double)moments->count;
}

/* cf_exact_variance() forms n * squares - sum^2 in integers: no cancellation. */
double select_variance(const select_moments *moments, int64_t column)
{
    return cf_exact_variance(&moments->sum[column], &moments->squares[column], moments->count);
}
