/* Zipf's law, in closed form, so that any rank can say what any of it is. */
#include "internal.h"

#include <math.h>

/* Mass of ranks below x: the integral of t^(q - 1) from shift to shift + x, over shift^q. */
static double mass(const synth_law *law, double x)
{
    const double log_x = log1p(x / law->shift);

    return law->q == 0 ? log_x : expm1(law->q * log_x) / law->q;
}

synth_law synth_make_law(double exponent, int64_t n)
{
    synth_law law = {.n = n, .q = 1 - 1 / (exponent - 1), .shift = 1};

    law.total = mass(&law, (double)n);
    return law;
}

int64_t synth_draw_rank(const synth_law *law, double u)
{
    const double below = u * law->total,
                 log_x = law->q == 0 ? below : log1p(law->q * below) / law->q;
    const int64_t rank = (int64_t)(law->shift * expm1(log_x));

    return rank < law->n ? rank : law->n - 1;
}

synth_sizes synth_make_sizes(double exponent, int64_t n, int64_t total, int64_t most)
{
    synth_sizes sizes = {synth_make_law(exponent, n), total, most};
    synth_law *law = &sizes.law;

    /* Where even the flattest is too steep, because all have nearly `most`, size_below() is flat.
     */
    while ((double)total * mass(law, 1) > (double)most * law->total && law->shift < 0x1p40) {
        law->shift *= 1.25;
        law->total = mass(law, (double)n);
    }
    return sizes;
}

/*
 * What the ranks below `rank` have together. The closed form is concave and `most` * rank is a
 * line, so that the lesser of them rises by at most `most`. Long double: where the law is nearly
 * flat, the numbers must still not fall.
 */
static int64_t size_below(const synth_sizes *sizes, int64_t rank)
{
    const long double q = sizes->law.q, shift = sizes->law.shift;
    const long double x = log1pl((long double)rank / shift),
                      all = log1pl((long double)sizes->law.n / shift);
    const long double share = q == 0 ? x / all : expm1l(q * x) / expm1l(q * all);
    const int64_t below = llroundl((long double)sizes->total * share);

    return below / sizes->most < rank ? below : sizes->most * rank;
}

int64_t synth_size(const synth_sizes *sizes, int64_t rank)
{
    if (sizes->total == 0) return 0;
    return size_below(sizes, rank + 1) - size_below(sizes, rank);
}
