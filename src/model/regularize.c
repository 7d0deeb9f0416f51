/* Regularization by the raw rows of the batch (He et al. 2020, eq. 15, on the batch's rows alone):
 *
 *     reg_weight / B (|U| + |P| + |N|),    or, with require_pow,    reg_weight / 2B (|U|^2 + ...),
 *
 * where B is the size of the batch, and U, P and N are the raw rows of all users, positives and
 * negatives, stacked, repeats counted. The gradient with respect to a raw row r that stands t times
 * in U is t r / |U| (or t r) times reg_weight / B: a coefficient times the row. The tests compute
 * it in plain doubles. */
#include "pairwise.h"

#include <math.h>

/* How often item row k stands in the batch as positive (0) and as negative (1). */
static void count_roles(const occurrences *o, int64_t k, int64_t count[2])
{
    count[0] = count[1] = 0;
    for (int64_t e = o->item_start[k]; e < o->item_start[k + 1]; e++)
        count[o->recv[o->by_item[e]].order % 2]++;
}

/* Raw row of the batch's row k. The rows lie scattered, so one further on is prefetched. */
static const float *raw_row(const cf_model *model, cf_side side, int64_t k)
{
    const batch_rows *rows = &model->rows;
    const float *table = model->table[side]->data;
    const int64_t further = k + 8 < rows->count[side] ? k + 8 : k;

    cf_lanes_prefetch(table + rows->local[side][further] * rows->width, rows->width);
    return table + rows->local[side][k] * rows->width;
}

/* sum += times |raw|^2, by segments. */
static void add_norm(cf_exact *sum, const float *raw, int64_t width, int64_t times)
{
    if (times == 0) return;
    for (int64_t k = 0; k < width; k += CF_LANES) {
        const cf_lanes x = cf_lanes_load(raw + k);

        cf_exact_add(sum, (double)times * (double)cf_lanes_sum(x * x));
    }
}

/* Each segment of 16 dimensions is squared and summed by itself and enters an exact sum, so that
 * blocks and slices add up alike. */
void regularize_add_norms(const cf_model *model, cf_exact sums[PAIRWISE_SUMS])
{
    const batch_rows *rows = &model->rows;
    const pairwise *p = model->pairwise;
    const int64_t width = rows->width;

#pragma omp parallel
    {
        cf_exact mine[PAIRWISE_SUMS] = {0};

#pragma omp for schedule(static) nowait
        for (int64_t k = 0; k < rows->count[CF_USERS]; k++)
            add_norm(&mine[SUM_USERS], raw_row(model, CF_USERS, k), width,
                     p->index.user_start[k + 1] - p->index.user_start[k]);
#pragma omp for schedule(static) nowait
        for (int64_t k = 0; k < rows->count[CF_ITEMS]; k++) {
            const float *raw = raw_row(model, CF_ITEMS, k);
            int64_t count[2];

            count_roles(&p->occurrences, k, count);
            add_norm(&mine[SUM_POSITIVES], raw, width, count[0]);
            add_norm(&mine[SUM_NEGATIVES], raw, width, count[1]);
        }
#pragma omp critical
        for (int k = SUM_USERS; k <= SUM_NEGATIVES; k++)
            cf_exact_merge(&sums[k], &mine[k]);
    }
}

double regularize_loss(const cf_model *model, const double squares[PAIRWISE_SUMS], int64_t size)
{
    double sum = 0;

    for (int k = SUM_USERS; k <= SUM_NEGATIVES; k++)
        sum += model->options.require_pow ? squares[k] / 2 : sqrt(squares[k]);
    return model->reg_weight * sum / (double)size;
}

/* Coefficient of a raw row that stands times[k] times in the stack whose squared norm is
 * squares[k], for n stacks. A stack of norm 0 has gradient 0. */
static float coefficient_of(const cf_model *model, const int64_t *times, const double *squares,
                            int n, int64_t size)
{
    double sum = 0;

    for (int k = 0; k < n; k++) {
        if (model->options.require_pow)
            sum += (double)times[k];
        else if (squares[k] > 0)
            sum += (double)times[k] / sqrt(squares[k]);
    }
    return (float)(model->reg_weight * sum / (double)size);
}

/* An item row may be a positive of some samples and a negative of others: it stands in two stacks,
 * whose coefficients add up. */
void regularize_set_coefficients(cf_model *model, const double squares[PAIRWISE_SUMS], int64_t size)
{
    const batch_rows *rows = &model->rows;
    const pairwise *p = model->pairwise;

    for (int64_t k = 0; k < rows->count[CF_USERS]; k++) {
        const int64_t times = p->index.user_start[k + 1] - p->index.user_start[k];

        model->gradient.reg_coefficient[CF_USERS][k] =
            coefficient_of(model, &times, &squares[SUM_USERS], 1, size);
    }
    for (int64_t k = 0; k < rows->count[CF_ITEMS]; k++) {
        int64_t count[2];

        count_roles(&p->occurrences, k, count);
        model->gradient.reg_coefficient[CF_ITEMS][k] =
            coefficient_of(model, count, &squares[SUM_POSITIVES], 2, size);
    }
}
