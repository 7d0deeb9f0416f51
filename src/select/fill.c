#include "internal.h"

/* Buffers for filling a table; with C grid columns the rows of a block are shared out, and slices
 * change hands. */
typedef struct filling {
    const cf_dataset *dataset;
    cf_table *items;
    select_reducer reducer;
    float *send; /* C packed slices of the rows that I read */
    float
        *receive; /* C packed parts of my slice, of the rows that each rank of the grid row reads */
    int *counts;  /* 4 x C: sent, sent_at, received, received_at */
} filling;

static void destroy_filling(filling *f)
{
    select_reducer_destroy(&f->reducer);
    cf_free(&f->send);
    cf_free(&f->receive);
    cf_free(&f->counts);
}

static cf_status create_filling(filling *f, const cf_selection *selection, const cf_config *config)
{
    const int64_t n_columns = f->items->grid->n_columns;
    cf_status status;

    CF_TRY(select_reducer_create(f->dataset, selection, config, 2 * f->items->full_width,
                                 &f->reducer));
    CF_TRY(CF_ALLOC(f->send, f->reducer.block_rows * f->items->full_width));
    CF_TRY(CF_ALLOC(f->receive, f->reducer.block_rows * f->items->width * n_columns));
    CF_TRY(CF_ALLOC(f->counts, 4 * n_columns));
done:
    return status;
}

/** What a row is multiplied by at last: the gain, by the row's length where that is to be 1. */
static double multiplier(const filling *f, int64_t r)
{
    const cf_selection *s = f->reducer.selection;
    double norm;

    if (!s->unit) return s->gain;
    norm = select_norm(&f->reducer, r);
    return norm > 0 ? s->gain / norm : 0;
}

/** Put each slice of row `r` of the `count` that were reduced where it is sent from. */
static void place_row(const filling *f, int64_t r, int64_t count)
{
    const cf_table *items = f->items;
    const double *row = f->reducer.values + r * items->dim;
    double times = multiplier(f, r);

    for (int c = 0; c < items->grid->n_columns; c++) {
        int64_t begin = cf_table_slice_start(items->dim, items->grid->n_columns, c) * CF_LANES;
        int64_t end = cf_table_slice_start(items->dim, items->grid->n_columns, c + 1) * CF_LANES;
        float *out = f->send + count * begin + r * (end - begin);

        for (int64_t k = begin; k < end; k++)
            out[k - begin] = k < items->dim ? (float)(row[k] * times) : 0;
    }
}

/** Rows of the block (local numbers) that rank `column` of the grid row reads in the round that
 * begins at `at` of its share. */
static void rows_of_round(const filling *f, int column, int64_t at, int64_t *first, int64_t *count)
{
    const int64_t rows = f->items->local_rows;
    const int n = f->items->grid->n_columns;
    int64_t end = cf_par_even_start(rows, n, column + 1);

    *first = cf_par_even_start(rows, n, column) + at;
    if (*first > end) *first = end;
    *count = end - *first < f->reducer.block_rows ? end - *first : f->reducer.block_rows;
}

/** Give each rank of the grid row its slice of the rows I read; put mine, of the rows that it read,
 * into the table. */
static void exchange(const filling *f, int64_t at)
{
    cf_table *items = f->items;
    const cf_grid *grid = items->grid;
    const int n = grid->n_columns;
    int *sent = f->counts, *sent_at = sent + n, *received = sent + 2 * n,
        *received_at = sent + 3 * n;
    int64_t first, count, mine, total = 0;

    rows_of_round(f, grid->my_column, at, &first, &mine);
    for (int c = 0; c < n; c++) {
        int64_t begin = cf_table_slice_start(items->dim, n, c) * CF_LANES;
        int64_t end = cf_table_slice_start(items->dim, n, c + 1) * CF_LANES;
        rows_of_round(f, c, at, &first, &count);
        sent[c] = cf_par_count(mine * (end - begin));
        sent_at[c] = cf_par_count(mine * begin);
        received[c] = cf_par_count(count * items->width);
        received_at[c] = cf_par_count(total);
        total += received[c];
    }
    MPI_Alltoallv(f->send, sent, sent_at, MPI_FLOAT, f->receive, received, received_at, MPI_FLOAT,
                  grid->row.comm);
    for (int c = 0; c < n; c++) {
        rows_of_round(f, c, at, &first, &count);
        for (int64_t k = 0; k < count * items->width; k++)
            items->data[first * items->width + k] = f->receive[received_at[c] + k];
    }
}

/** Read, reduce and place all rows. Collective. */
static cf_status fill(const filling *f)
{
    const cf_table *items = f->items;
    int64_t most = cf_par_even_start(items->local_rows, items->grid->n_columns, 1);
    cf_status status = CF_OK;

    MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT64_T, MPI_MAX, items->grid->world.comm);
    for (int64_t at = 0; at < most; at += f->reducer.block_rows) {
        int64_t first, count;

        rows_of_round(f, items->grid->my_column, at, &first, &count);
        first += items->first_row;
        CF_TRY(cf_dataset_read_embedding(f->dataset, first, count, f->reducer.rows,
                                         f->reducer.present));
        select_reduce(&f->reducer, first, count);
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < count; r++)
            place_row(f, r, count);
        exchange(f, at);
    }
    CF_TRY(cf_dataset_verify_embedding(f->dataset));
done:
    return status;
}

cf_status cf_select_fill_items(const cf_dataset *dataset, const cf_selection *selection,
                               const cf_config *config, cf_table *items)
{
    const bool stand_in = cf_config_is(config, "missing_embedding", "mean");
    const bool random = cf_config_is(config, "missing_embedding", "random");
    filling f = {.dataset = dataset, .items = items};
    cf_status status;

    CF_ASSERT(items->dim == selection->n_dims && items->n_rows == dataset->n_items);
    CF_ASSERT(dataset->n_missing == 0 || !random || selection->deviation);
    CF_ASSERT(dataset->n_missing == 0 || !stand_in || selection->mean || selection->center);
    CF_TRY(cf_par_agree(dataset->world, create_filling(&f, selection, config)));
    CF_TRY(fill(&f));
    CF_TRY(cf_table_check_finite(items, "starting item vectors"));
done:
    destroy_filling(&f);
    return status;
}
