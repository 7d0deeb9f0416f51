#include "internal.h"

#include <math.h>
#include <omp.h>

__extension__ typedef __int128 wide;

/*
 * Nearly all numbers of language-model vectors are multiples of 2^-40 below 2^8 in magnitude. As
 * integers m = x 2^40 < 2^48 they are summed in one addition, their squares too, and 2^31 of them
 * cannot overflow 128 bits. The few others go to the exact sums one by one. Both ways are exact, so
 * it does not matter which a number takes.
 */
enum { FIXED_BITS = 40 };
static const double fixed_scale = 0x1p40, fixed_limit = 0x1p48;

typedef struct fixed {
    wide sum;     /* of m */
    wide squares; /* of m^2 */
} fixed;

/** The rows of one kind that this rank has met: the sums are fixed + exact. */
typedef struct tally {
    int64_t count;
    fixed *fixed;
    select_moments *exact;
} tally;

typedef struct pass {
    select_survey *survey;
    tally popular, rest;
    float *rows;               /* block_rows x D */
    uint8_t *present, *marked; /* of the block; of my whole share */
    int64_t block_rows;
} pass;

static cf_status create_moments(select_moments *moments, int64_t dim)
{
    cf_status status;

    CF_TRY(CF_ALLOC(moments->sum, dim));
    CF_TRY(CF_ALLOC(moments->squares, dim));
done:
    return status;
}

static cf_status create_pass(pass *p, int64_t share)
{
    select_survey *survey = p->survey;
    cf_status status;

    CF_TRY(create_moments(&survey->popular, survey->dim));
    CF_TRY(CF_ALLOC(p->popular.fixed, survey->dim));
    if (survey->whole) {
        CF_TRY(create_moments(&survey->all, survey->dim));
        CF_TRY(CF_ALLOC(p->rest.fixed, survey->dim));
        CF_TRY(CF_ALLOC(survey->low, survey->dim));
        CF_TRY(CF_ALLOC(survey->high, survey->dim));
        for (int64_t k = 0; k < survey->dim; k++) {
            survey->low[k] = INFINITY;
            survey->high[k] = -INFINITY;
        }
    }
    CF_TRY(CF_ALLOC(p->rows, p->block_rows * survey->dim));
    CF_TRY(CF_ALLOC(p->present, p->block_rows));
    CF_TRY(CF_ALLOC(p->marked, share));
    p->popular.exact = &survey->popular;
    p->rest.exact = &survey->all;
done:
    return status;
}

static void destroy_pass(pass *p)
{
    cf_free(&p->popular.fixed);
    cf_free(&p->rest.fixed);
    cf_free(&p->rows);
    cf_free(&p->present);
    cf_free(&p->marked);
}

/** Add dimensions first .. last - 1 of a row. */
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

static void widen(const select_survey *survey, const float *row, int64_t first, int64_t last)
{
    for (int64_t k = first; k < last; k++) {
        survey->low[k] = row[k] < survey->low[k] ? row[k] : survey->low[k];
        survey->high[k] = row[k] > survey->high[k] ? row[k] : survey->high[k];
    }
}

/** Add the rows of a block; the threads share the dimensions. */
static void add_block(pass *p, const uint8_t *marked, int64_t count)
{
    const select_survey *survey = p->survey;
    const int64_t segments = cf_table_segments(survey->dim);

#pragma omp parallel
    {
        int n = omp_get_num_threads(), me = omp_get_thread_num();
        int64_t first = cf_par_even_start(segments, n, me) * CF_LANES;
        int64_t last = cf_par_even_start(segments, n, me + 1) * CF_LANES;

        if (last > survey->dim) last = survey->dim;
        for (int64_t r = 0; r < count; r++) {
            const float *row = p->rows + r * survey->dim;
            if (!p->present[r] || !(marked[r] || survey->whole)) continue;
            add_row(marked[r] ? &p->popular : &p->rest, row, first, last);
            if (survey->whole) widen(survey, row, first, last);
        }
    }
    for (int64_t r = 0; r < count; r++) {
        p->popular.count += p->present[r] && marked[r];
        p->rest.count += p->present[r] && !marked[r];
    }
}

/** sum += value * 2^exponent, by 32 bits at a time. */
static void add_wide(cf_exact *sum, wide value, int exponent)
{
    wide magnitude = value < 0 ? -value : value;

    for (; magnitude; magnitude >>= 32, exponent += 32) {
        double part = ldexp((double)(uint32_t)magnitude, exponent);
        cf_exact_add(sum, value < 0 ? -part : part);
    }
}

/** Join a tally over the ranks: the same words on any number of them. Collective. */
static void join(const cf_par *par, const tally *from, int64_t dim)
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

static void join_all(const cf_par *par, const pass *p)
{
    select_survey *survey = p->survey;

    join(par, &p->popular, survey->dim);
    if (!survey->whole) return;
    join(par, &p->rest, survey->dim);
    survey->all.count += survey->popular.count; /* till here it was the rest */
    for (int64_t k = 0; k < survey->dim; k++) {
        cf_exact_merge(&survey->all.sum[k], &survey->popular.sum[k]);
        cf_exact_merge(&survey->all.squares[k], &survey->popular.squares[k]);
    }
    MPI_Allreduce(MPI_IN_PLACE, survey->low, cf_par_count(survey->dim), MPI_FLOAT, MPI_MIN,
                  par->comm);
    MPI_Allreduce(MPI_IN_PLACE, survey->high, cf_par_count(survey->dim), MPI_FLOAT, MPI_MAX,
                  par->comm);
}

int64_t select_block_rows(const cf_config *config, int64_t floats)
{
    int64_t rows =
        (cf_config_int(config, "select_memory") << 20) / (floats * (int64_t)sizeof(float));

    return rows > 1 ? rows : 1;
}

cf_status select_survey_take(const cf_dataset *dataset, const cf_config *config, int64_t n_popular,
                             select_survey *survey)
{
    const cf_par *par = dataset->world;
    const int64_t first = cf_par_even_start(dataset->n_items, par->size, par->rank);
    const int64_t share = cf_par_even_start(dataset->n_items, par->size, par->rank + 1) - first;
    const int64_t most = cf_par_even_start(dataset->n_items, par->size, 1); /* no share is larger */
    pass p = {.survey = survey, .block_rows = select_block_rows(config, survey->dim)};
    cf_status status;

    CF_ASSERT(most <= INT32_MAX); /* what the sums hold without overflow */
    if (p.block_rows > most) p.block_rows = most;
    CF_TRY(cf_par_agree(par, create_pass(&p, share)));
    CF_TRY(select_mark_popular(dataset, first, share, n_popular, p.marked));
    for (int64_t at = 0; at < most; at += p.block_rows) {
        int64_t from = at < share ? at : share;
        int64_t count = share - from < p.block_rows ? share - from : p.block_rows;
        CF_TRY(cf_dataset_read_embedding(dataset, first + from, count, p.rows, p.present));
        add_block(&p, p.marked + from, count);
    }
    CF_TRY(cf_dataset_verify_embedding(dataset));
    join_all(par, &p);
done:
    destroy_pass(&p);
    return status;
}

void select_survey_destroy(select_survey *survey)
{
    cf_free(&survey->popular.sum);
    cf_free(&survey->popular.squares);
    cf_free(&survey->all.sum);
    cf_free(&survey->all.squares);
    cf_free(&survey->low);
    cf_free(&survey->high);
}
