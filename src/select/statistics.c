/* First-pass statistics of the vectors of warm items (items x D): for each of D dimensions the
 * exact sum and sum of squares over the popular items, and, where needed, over all items, with the
 * smallest and the largest value. Sums are exact, so neither the order of the items nor the number
 * of ranks changes a bit.
 *
 * Nearly all numbers of language-model vectors are multiples of 2^-40 below 2^8 in magnitude. As
 * integers m = x 2^40 < 2^48 they are summed in one addition, their squares too, and 2^31 of them
 * cannot overflow 128 bits. The few others are added to the exact sums one by one. Both ways are
 * exact, so it does not matter which a number takes. tests/select/dims.c computes the same with one
 * exact addition a number. */
#include "internal.h"

#include <math.h>
#include <omp.h>

__extension__ typedef __int128 wide;

enum { FIXED_BITS = 40 };
/* m = x 2^40, and the bound 2^48 of its magnitude. */
static const double fixed_scale = 0x1p40, fixed_limit = 0x1p48;

typedef struct fixed {
    wide sum;     /* of m */
    wide squares; /* of m^2 */
} fixed;

/* The rows that this rank has added of one set of items: the sums are fixed + exact. */
typedef struct tally {
    int64_t count;
    fixed *fixed; /* D */
    select_moments *exact;
} tally;

/* Popular items and the rest are counted apart, so that each row is added once; `all` holds the
 * rest until sum_statistics() adds the popular ones. */
typedef struct pass {
    select_statistics *statistics;
    int64_t first;   /* the first item of this rank */
    uint8_t *marked; /* items of this rank: popular */
    tally popular, rest;
} pass;

/* The results and the sums in 128 bits. Local. */
static cf_status create_pass(pass *p, int64_t n_items)
{
    select_statistics *s = p->statistics;
    cf_status status;

    CF_TRY(select_create_moments(s->dim, &s->popular));
    CF_TRY(CF_ALLOC(p->popular.fixed, s->dim));
    if (s->all_items) {
        CF_TRY(select_create_moments(s->dim, &s->all));
        CF_TRY(CF_ALLOC(p->rest.fixed, s->dim));
        CF_TRY(CF_ALLOC(s->low, s->dim));
        CF_TRY(CF_ALLOC(s->high, s->dim));
        for (int64_t k = 0; k < s->dim; k++) {
            s->low[k] = INFINITY;
            s->high[k] = -INFINITY;
        }
    }
    CF_TRY(CF_ALLOC(p->marked, n_items));
    p->popular.exact = &s->popular;
    p->rest.exact = &s->all;
done:
    return status;
}

static void destroy_pass(pass *p)
{
    cf_free(&p->popular.fixed);
    cf_free(&p->rest.fixed);
    cf_free(&p->marked);
}

/* Add dimensions first .. last - 1 of a row: as an integer if x 2^40 is one, else exactly. */
static void add_row(const tally *to, const float *row, int64_t first, int64_t last)
{
    for (int64_t k = first; k < last; k++) {
        double x = (double)row[k], scaled = x * fixed_scale;
        int64_t m = fabs(scaled) < fixed_limit ? (int64_t)scaled : 0;

        if ((double)m == scaled) {
            to->fixed[k].sum += m;
            to->fixed[k].squares += (wide)m * m;
        } else {
            cf_exact_add(&to->exact->sum[k], x);
            cf_exact_add(&to->exact->squares[k], x * x); /* 48 bits: exact */
        }
    }
}

/* Widen low .. high of dimensions first .. last - 1 by a row. */
static void widen_range(const select_statistics *s, const float *row, int64_t first, int64_t last)
{
    for (int64_t k = first; k < last; k++) {
        s->low[k] = row[k] < s->low[k] ? row[k] : s->low[k];
        s->high[k] = row[k] > s->high[k] ? row[k] : s->high[k];
    }
}

/* Add the rows of a block. The threads divide the dimensions among them rather than the rows, so
 * that no two write the same sums. */
static void add_block(void *context, const select_block *block)
{
    pass *p = context;
    const select_statistics *s = p->statistics;
    const uint8_t *marked = block->count > 0 ? p->marked + (block->first - p->first) : NULL;
    const int64_t segments = cf_table_segments(s->dim);

#pragma omp parallel
    {
        const int n = omp_get_num_threads(), me = omp_get_thread_num();
        const int64_t first = cf_par_even_start(segments, n, me) * CF_LANES;
        const int64_t last = cf_min(cf_par_even_start(segments, n, me + 1) * CF_LANES, s->dim);

        for (int64_t r = 0; r < block->count; r++) {
            const float *row = block->rows + r * s->dim;
            if (!block->counted[r] || !(marked[r] || s->all_items)) continue;
            add_row(marked[r] ? &p->popular : &p->rest, row, first, last);
            if (s->all_items) widen_range(s, row, first, last);
        }
    }
    for (int64_t r = 0; r < block->count; r++) {
        p->popular.count += block->counted[r] && marked[r];
        p->rest.count += block->counted[r] && !marked[r];
    }
}

/* sum += value * 2^exponent, by 32 bits at a time: a double holds each part exactly. */
static void add_wide(cf_exact *sum, wide value, int exponent)
{
    wide magnitude = value < 0 ? -value : value;

    for (; magnitude != 0; magnitude >>= 32, exponent += 32) {
        const double part = ldexp((double)(uint32_t)magnitude, exponent);
        cf_exact_add(sum, value < 0 ? -part : part);
    }
}

/* Sum a tally over the ranks: the same words on any number of them. Collective. */
static void sum_tally(const cf_par *par, const tally *from, int64_t dim)
{
    select_moments *to = from->exact;

    for (int64_t k = 0; k < dim; k++) {
        add_wide(&to->sum[k], from->fixed[k].sum, -FIXED_BITS);
        add_wide(&to->squares[k], from->fixed[k].squares, -2 * FIXED_BITS);
    }
    to->count = from->count;
    MPI_Allreduce(MPI_IN_PLACE, &to->count, 1, MPI_INT64_T, MPI_SUM, par->comm);
    cf_par_sum_exact(par, to->sum, dim);
    cf_par_sum_exact(par, to->squares, dim);
}

/* The statistics of all ranks' rows. Collective. */
static void sum_statistics(const cf_par *par, const pass *p)
{
    select_statistics *s = p->statistics;

    sum_tally(par, &p->popular, s->dim);
    if (!s->all_items) return;
    sum_tally(par, &p->rest, s->dim);
    s->all.count += s->popular.count;
    for (int64_t k = 0; k < s->dim; k++) {
        cf_exact_merge(&s->all.sum[k], &s->popular.sum[k]);
        cf_exact_merge(&s->all.squares[k], &s->popular.squares[k]);
    }
    MPI_Allreduce(MPI_IN_PLACE, s->low, cf_par_count(s->dim), MPI_FLOAT, MPI_MIN, par->comm);
    MPI_Allreduce(MPI_IN_PLACE, s->high, cf_par_count(s->dim), MPI_FLOAT, MPI_MAX, par->comm);
}

/* Popular items are marked first, from the interactions alone; then one pass over the vectors. The
 * assertion bounds the additions to a 128-bit sum by 2^31. */
cf_status select_create_statistics(const cf_dataset *dataset, const cf_select_options *options,
                                   int64_t n_popular, bool all_items, select_statistics *out)
{
    const int64_t dim = dataset->embedding_dim;
    const select_range range = select_even_range(dataset, select_block_rows(options->memory, dim));
    const int64_t n_items = range.end - range.first;
    pass p = {.statistics = out, .first = range.first};
    cf_status status;

    *out = (select_statistics){.dim = dim, .all_items = all_items};
    CF_ASSERT(dataset->n_items / dataset->world->size < INT32_MAX); /* no sum can overflow */
    CF_TRY(cf_par_agree(dataset->world, create_pass(&p, n_items)));
    CF_TRY(select_mark_popular(dataset, range.first, n_items, n_popular, p.marked));
    CF_TRY(select_each_block(dataset, &range, add_block, &p));
    sum_statistics(dataset->world, &p);
done:
    destroy_pass(&p);
    return status;
}

void select_destroy_statistics(select_statistics *statistics)
{
    select_destroy_moments(&statistics->popular);
    select_destroy_moments(&statistics->all);
    cf_free(&statistics->low);
    cf_free(&statistics->high);
}
