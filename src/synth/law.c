/* Zipf's law and the Zipf-Mandelbrot law, in closed form.
 *
 * The mass of the positions below x is the integral of t^(q - 1) from `shift` to shift + x. Over
 * shift^q this is ((1 + x / shift)^q - 1) / q, or log(1 + x / shift) for q = 0. It is evaluated and
 * inverted by log1p and expm1, which are exact where q or x / shift is small. No table is stored: a
 * rank evaluates any position at constant cost. Source: Mandelbrot 1953, "An informational theory
 * of the statistical structure of language". */
#include "internal.h"

#include <math.h>

/* Mass of the positions below x, over shift^q. */
static double mass(const synth_law *law, double x)
{
    const double log_x = log1p(x / law->shift);

    return law->q == 0 ? log_x : expm1(law->q * log_x) / law->q;
}

/* The sizes k^-s of positions k, with s = 1 / (exponent - 1), are distributed as x^-exponent. */
synth_law synth_make_law(double exponent, int64_t n)
{
    synth_law law = {.n = n, .q = 1 - 1 / (exponent - 1), .shift = 1};

    law.total = mass(&law, (double)n);
    return law;
}

/* Solve mass(x) = u * total for x. Rounding may give n itself, which is no position. */
int64_t synth_draw_position(const synth_law *law, double u)
{
    const double below = u * law->total,
                 log_x = law->q == 0 ? below : log1p(law->q * below) / law->q;
    const int64_t position = (int64_t)(law->shift * expm1(log_x));

    return cf_min(position, law->n - 1);
}

/* A larger shift makes the law flatter: its first sizes fall, its tail stays. */
synth_sizes synth_make_sizes(double exponent, int64_t n, int64_t total, int64_t max)
{
    synth_sizes sizes = {synth_make_law(exponent, n), total, max};
    synth_law *law = &sizes.law;

    /* Flatten the head until the first size is at most `max`. If even the flattest law is too
     * steep, because nearly all sizes are `max`, size_below() cuts the rest. */
    while ((double)total * mass(law, 1) > (double)max * law->total && law->shift < 0x1p40) {
        law->shift *= 1.25;
        law->total = mass(law, (double)n);
    }
    return sizes;
}

/* The sum of the sizes below a position. The closed form is concave and max * position is a line,
 * so their minimum rises by at most `max` a position. Long double keeps it ascending where the law
 * is nearly flat. */
static int64_t size_below(const synth_sizes *sizes, int64_t position)
{
    const long double q = sizes->law.q, shift = sizes->law.shift;
    const long double x = log1pl((long double)position / shift),
                      all = log1pl((long double)sizes->law.n / shift);
    const long double fraction = q == 0 ? x / all : expm1l(q * x) / expm1l(q * all);
    const int64_t below = llroundl((long double)sizes->total * fraction);

    /* The division avoids max * position, which may overflow. */
    return below / sizes->max < position ? below : sizes->max * position;
}

/* A difference of cumulated sizes, so that the sizes of all positions sum to `total` exactly. */
int64_t synth_size(const synth_sizes *sizes, int64_t position)
{
    if (sizes->total == 0) return 0;
    return size_below(sizes, position + 1) - size_below(sizes, position);
}
