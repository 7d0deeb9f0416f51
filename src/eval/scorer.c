/* The ways to compute a tile of scores (CF_EVAL_USERS x CF_EVAL_ITEMS), from whole rows of the
 * users and items in it:
 *
 *     products    s(u, i) = <user row u, item row i>: one sgemm
 *     filtered    the same, added to the filter's score of u's history
 *     item sums   s(u, i) = sum over train and added items j of u of matrix[i][j], in double
 *     entry sums  the same of a matrix of sparse rows
 *     cosines     s(j, i) = <item row j, item row i> / (|item row j| |item row i|)
 *
 * All give a pair the same bits whatever other users are in the tile. tests/eval ranks by plain
 * loops over the same rows. */
#include "cf/blas.h"
#include "cf/eval.h"

#include <math.h>
#include <string.h>

/* Gather whole rows of the users; the context is their table. */
static cf_status prepare_products(const cf_eval_scorer *scorer, const int64_t *users, int64_t count,
                                  float *rows)
{
    return cf_table_gather_own(scorer->context, users, count, rows);
}

/* scores := keep scores + products. The shape of the sgemm is fixed, since BLAS may order its sums
 * by the shape. */
static void multiply(const cf_eval_scorer *scorer, const cf_eval_tile *tile, float keep,
                     float *scores)
{
    const int width = cf_par_count(scorer->items->full_width),
              user_width = cf_par_count(scorer->user_width);

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, CF_EVAL_USERS, CF_EVAL_ITEMS, width, 1.0f,
                tile->user_rows, user_width, tile->item_rows, width, keep, scores, CF_EVAL_ITEMS);
}

static void score_products(const cf_eval_scorer *scorer, const cf_eval_tile *tile, float *scores)
{
    multiply(scorer, tile, 0, scores);
}

cf_eval_scorer cf_eval_products(const cf_table *users, const cf_table *items, const cf_shard *shard)
{
    CF_ASSERT(users->full_width == items->full_width);
    return (cf_eval_scorer){.items = items,
                            .shard = shard,
                            .popular = true,
                            .user_width = items->full_width,
                            .context = users,
                            .prepare = prepare_products,
                            .scores = score_products};
}

/* Behind a user's row, its score of each item by the filter. Whole rows are gathered one after the
 * other, and then moved to their places, the last first. */
static cf_status prepare_filtered(const cf_eval_scorer *scorer, const int64_t *users, int64_t count,
                                  float *rows)
{
    const int64_t width = scorer->items->full_width, stride = scorer->user_width;
    cf_status status;

    CF_TRY(cf_table_gather_own(scorer->context, users, count, rows));
    for (int64_t k = count - 1; k > 0; k--)
        memmove(rows + k * stride, rows + k * width, (size_t)width * sizeof *rows);
    CF_TRY(cf_filter_apply(scorer->filter, scorer->shard, users, count,
                           &(cf_filter_rows){rows + width, stride}));
done:
    return status;
}

static void score_filtered(const cf_eval_scorer *scorer, const cf_eval_tile *tile, float *scores)
{
    const float *filtered = tile->user_rows + scorer->items->full_width + tile->first_item;
    const int64_t count = cf_min(CF_EVAL_ITEMS, scorer->items->n_rows - tile->first_item);

    for (int64_t u = 0; u < CF_EVAL_USERS; u++) {
        float *row = scores + u * CF_EVAL_ITEMS;

        memcpy(row, filtered + u * scorer->user_width, (size_t)count * sizeof *row);
        memset(row + count, 0, (size_t)(CF_EVAL_ITEMS - count) * sizeof *row);
    }
    multiply(scorer, tile, 1, scores);
}

cf_eval_scorer cf_eval_filtered(const cf_table *users, const cf_table *items, const cf_shard *shard,
                                cf_filter *filter)
{
    cf_eval_scorer scorer = cf_eval_products(users, items, shard);

    scorer.user_width += items->n_rows;
    scorer.filter = filter;
    scorer.prepare = prepare_filtered;
    scorer.scores = score_filtered;
    return scorer;
}

/* The weights of a user's items that the matrix has columns of; numbers ascend. */
static double sum_weights(const cf_lists *items, int64_t user, const float *weights, int64_t dim)
{
    double sum = 0;

    for (int64_t k = items->start[user]; k < items->start[user + 1] && items->index[k] < dim; k++)
        sum += (double)weights[items->index[k]];
    return sum;
}

/* A column of scores, by the item's row of the matrix. */
static void sum_column(const cf_shard *shard, const cf_eval_tile *tile, const float *weights,
                       float *column)
{
    const int64_t dim = shard->n_base_items;

    for (int64_t u = 0; u < CF_EVAL_USERS; u++) {
        const int64_t user = tile->users[u];

        column[u * CF_EVAL_ITEMS] = (float)(sum_weights(&shard->train, user, weights, dim) +
                                            sum_weights(&shard->added, user, weights, dim));
    }
}

/* The outer loop is over items: an item's row stays in cache for all users of the tile. */
static void score_item_sums(const cf_eval_scorer *scorer, const cf_eval_tile *tile, float *scores)
{
    for (int64_t i = 0; i < CF_EVAL_ITEMS; i++)
        sum_column(scorer->shard, tile, tile->item_rows + i * scorer->items->full_width,
                   scores + i);
}

cf_eval_scorer cf_eval_item_sums(const cf_table *matrix, const cf_shard *shard)
{
    CF_ASSERT(matrix->dim == shard->n_base_items);
    return (cf_eval_scorer){
        .items = matrix, .shard = shard, .popular = true, .scores = score_item_sums};
}

/* Write the entries of a row where its columns are, or zeros again. */
static void spread_entries(const float *row, int64_t width, bool clears, float *weights)
{
    for (int64_t k = 0; k < width / CF_ENTRY_FLOATS; k++) {
        const cf_entry entry = cf_table_entry(row, k);

        if (entry.value == 0) return;
        weights[entry.column] = clears ? 0 : entry.value;
    }
}

static void score_entry_sums(const cf_eval_scorer *scorer, const cf_eval_tile *tile, float *scores)
{
    const int64_t width = scorer->items->full_width;

    for (int64_t i = 0; i < CF_EVAL_ITEMS; i++) {
        const float *row = tile->item_rows + i * width;

        spread_entries(row, width, false, tile->scratch);
        sum_column(scorer->shard, tile, tile->scratch, scores + i);
        spread_entries(row, width, true, tile->scratch);
    }
}

cf_eval_scorer cf_eval_entry_sums(const cf_table *entries, const cf_shard *shard)
{
    return (cf_eval_scorer){.items = entries,
                            .shard = shard,
                            .popular = true,
                            .scratch_width = shard->n_base_items,
                            .scores = score_entry_sums};
}

cf_eval_scorer cf_eval_tables(const cf_table *users, const cf_table *items, const cf_shard *shard,
                              cf_filter *filter)
{
    if (users == NULL) return cf_eval_item_sums(items, shard);
    return filter != NULL ? cf_eval_filtered(users, items, shard, filter)
                          : cf_eval_products(users, items, shard);
}

/* 1 / length of a row, 0 of a row of zeros. */
static double inverse_length(const float *row, int64_t width)
{
    double sum = 0;

    for (int64_t k = 0; k < width; k++)
        sum += (double)row[k] * (double)row[k];
    return sum > 0 ? 1 / sqrt(sum) : 0;
}

/* Whole rows of items of the block, of length 1. */
static cf_status prepare_cosines(const cf_eval_scorer *scorer, const int64_t *items, int64_t count,
                                 float *rows)
{
    const int64_t width = scorer->items->full_width;
    cf_status status;

    CF_TRY(cf_table_gather_own(scorer->items, items, count, rows));
    for (int64_t n = 0; n < count; n++) {
        const double factor = inverse_length(rows + n * width, width);

        for (int64_t k = 0; k < width; k++)
            rows[n * width + k] = (float)((double)rows[n * width + k] * factor);
    }
done:
    return status;
}

/* Only the products' rows are of length 1: the other table is not copied, but its lengths are found
 * tile by tile. */
static void score_cosines(const cf_eval_scorer *scorer, const cf_eval_tile *tile, float *scores)
{
    const int64_t width = scorer->items->full_width;

    score_products(scorer, tile, scores);
    for (int64_t i = 0; i < CF_EVAL_ITEMS; i++) {
        const double factor = inverse_length(tile->item_rows + i * width, width);

        for (int64_t u = 0; u < CF_EVAL_USERS; u++)
            scores[u * CF_EVAL_ITEMS + i] = (float)((double)scores[u * CF_EVAL_ITEMS + i] * factor);
    }
}

cf_eval_scorer cf_eval_cosines(const cf_table *items, const cf_shard *shard)
{
    CF_ASSERT(items->n_rows == shard->users.start[shard->users.count]);
    return (cf_eval_scorer){.items = items,
                            .shard = shard,
                            .user_width = items->full_width,
                            .prepare = prepare_cosines,
                            .scores = score_cosines};
}
