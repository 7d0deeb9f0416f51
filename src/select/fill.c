/* Filling the item table (items x n_dims, in blocks and slices over the grid) with reduced vectors.
 *
 * The ranks of a grid row divide the rows of their block evenly. In each round a rank reads and
 * reduces a block of its rows, then sends every rank of the grid row the slice of them that it owns
 * (one Alltoallv), and stores what it receives: its own slice of the rows that the others read. So
 * every vector is read and reduced once. A row's numbers depend on its item alone (reduce.c), not
 * on who reads it. tests/select/fill.c computes each number by the formula of cf_selection. */
#include "internal.h"

#include <math.h>
#include <string.h>

typedef struct filling {
    cf_table *items;
    select_reducer reducer;
    float *send;  /* slice 0 of the rows that I read, then slice 1, ... */
    float *recv;  /* my slice of the rows that rank 0 of the grid row read, then of rank 1's, ... */
    cf_plan plan; /* of one round, over the grid row */
} filling;

static void destroy_filling(filling *f)
{
    select_destroy_reducer(&f->reducer);
    cf_free(&f->send);
    cf_free(&f->recv);
    cf_par_destroy_plan(&f->plan);
}

/* Local. Errors: MEMORY. */
static cf_status create_filling(filling *f, const cf_dataset *dataset,
                                const cf_selection *selection, const cf_select_options *options)
{
    const cf_table *items = f->items;
    cf_status status;

    CF_TRY(select_create_reducer(dataset, selection, options, 2 * items->full_width, &f->reducer));
    CF_TRY(CF_ALLOC(f->send, f->reducer.block_rows * items->full_width));
    CF_TRY(CF_ALLOC(f->recv, f->reducer.block_rows * items->width * items->grid->n_columns));
    CF_TRY(cf_par_create_plan(&items->grid->row, &f->plan));
done:
    return status;
}

/* The last factor of a row: the gain, over the row's length where that is to be 1. */
static double row_factor(const filling *f, int64_t r)
{
    const cf_selection *s = f->reducer.selection;
    double norm;

    if (!s->unit) return s->gain;
    norm = select_norm(&f->reducer, r);
    return norm > 0 ? s->gain / norm : 0;
}

/* Copy reduced row `r` of `count` into the send buffer, slice by slice; zeros beyond n_dims. */
static void pack_row(const filling *f, int64_t r, int64_t count)
{
    const cf_table *items = f->items;
    const double *row = f->reducer.values + r * items->dim;
    const double factor = row_factor(f, r);
    const int n = items->grid->n_columns;

    for (int c = 0; c < n; c++) {
        const int64_t begin = cf_table_slice_offset(items->dim, n, c);
        const int64_t width = cf_table_slice_width(items->dim, n, c);
        float *out = f->send + count * begin + r * width;

        for (int64_t k = 0; k < width; k++)
            out[k] = begin + k < items->dim ? (float)(row[begin + k] * factor) : 0;
    }
}

/* The rows of the block (local numbers) that rank `column` of the grid row reads in a pass. */
static select_range range_of(const filling *f, int column)
{
    const int64_t rows = f->items->local_rows, block = f->reducer.block_rows;
    const int n = f->items->grid->n_columns;

    return (select_range){cf_par_even_start(rows, n, column),
                          cf_par_even_start(rows, n, column + 1), block, block};
}

/* Those of one round: their number; `first`: the first of them. */
static int64_t rows_of_round(const filling *f, int column, int64_t round, int64_t *first)
{
    const select_range range = range_of(f, column);

    *first = cf_min(range.first + round * range.stride, range.end);
    return cf_min(range.end - *first, range.block);
}

/* Send each rank of the grid row its slice, and store mine of the rows that they read. All counts
 * follow from the blocks, so they need no message. Collective over the grid row. */
static void exchange_slices(filling *f, int64_t round)
{
    cf_table *items = f->items;
    const int n = items->grid->n_columns;
    int64_t first;
    const int64_t mine = rows_of_round(f, items->grid->my_column, round, &first);

    for (int c = 0; c < n; c++) {
        f->plan.send_count[c] = cf_par_count(mine * cf_table_slice_width(items->dim, n, c));
        f->plan.recv_count[c] = cf_par_count(rows_of_round(f, c, round, &first) * items->width);
    }
    cf_par_order_plan(&f->plan);
    cf_par_send(&f->plan, f->send, f->recv, MPI_FLOAT);
    for (int c = 0; c < n; c++) {
        const int64_t count = rows_of_round(f, c, round, &first);

        if (count > 0)
            memcpy(items->data + first * items->width, f->recv + f->plan.recv_start[c],
                   (size_t)(count * items->width) * sizeof *f->recv);
    }
}

/* The callback of the pass. A rank without rows in this round still exchanges. */
static void fill_block(void *context, const select_block *block)
{
    filling *f = context;

    select_reduce(&f->reducer, block);
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < block->count; r++)
        pack_row(f, r, block->count);
    exchange_slices(f, block->round);
}

/* `items->first_row` makes the ranges, which count within the block, numbers of items for the pass.
 * The check at the end finds a sum or product that overflowed a float. */
cf_status cf_select_fill_items(const cf_dataset *dataset, const cf_selection *selection,
                               const cf_select_options *options, cf_table *items)
{
    const bool mean = options->missing == CF_SELECT_MISSING_MEAN;
    const bool random = options->missing == CF_SELECT_MISSING_RANDOM;
    filling f = {.items = items};
    select_range range;
    cf_status status;

    CF_ASSERT(items->dim == selection->n_dims && items->n_rows == dataset->n_items);
    CF_ASSERT(dataset->n_missing == 0 || !random || selection->deviation != NULL);
    CF_ASSERT(dataset->n_missing == 0 || !mean || selection->mean != NULL ||
              selection->center != NULL);
    CF_TRY(cf_par_agree(dataset->world, create_filling(&f, dataset, selection, options)));
    range = range_of(&f, items->grid->my_column);
    range.first += items->first_row;
    range.end += items->first_row;
    CF_TRY(select_each_block(dataset, &range, fill_block, &f));
    CF_TRY(cf_table_check_finite(items, "starting item vectors"));
done:
    destroy_filling(&f);
    return status;
}

/* ---- Memory ---- */

/* A map of principal components takes a sum of products, and rank 0 alone or all of them its
 * eigenvectors. Then every rank holds the map, and fills. */
double cf_select_predict_memory(const cf_select_options *options, int64_t n_items, int64_t dim,
                                int n_ranks)
{
    const int64_t full = CF_LANES * cf_table_segments(options->size);
    const bool is_map = select_is_map(options->method),
               decomposes = is_map && options->method != CF_SELECT_PROJECTION;
    const double map = is_map ? 8 * (double)dim * (double)(options->size + 2) : 0;
    const double eigen = dim <= options->one_rank_dim ? cf_linalg_predict_eigen_one(dim)
                                                      : 4 * 8 * (double)dim * (double)dim;
    const double decompose = decomposes ? cf_linalg_predict_sum(dim, n_ranks) + eigen / n_ranks : 0;

    return map + fmax(decompose, select_predict_reducer(options, n_items, dim, 2 * full));
}
