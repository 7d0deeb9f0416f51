#include "cf/table.h"

#include <string.h>

/* What one exchange brings to a rank, at most: bounds the buffers, and keeps MPI's counts in an
 * int. */
static const int64_t piece_floats = (int64_t)1 << 22;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/** Rows of a whole table that one exchange takes. */
static int64_t piece_rows(const cf_table *table)
{
    return larger(1, piece_floats / table->full_width);
}

/** First float of slice `column` in a whole row. */
static int64_t slice_offset(const cf_table *table, int column)
{
    return cf_table_slice_start(table->dim, table->grid->n_columns, column) * CF_LANES;
}

static int64_t slice_width(const cf_table *table, int column)
{
    return slice_offset(table, column + 1) - slice_offset(table, column);
}

/** Copy `count` packed rows of slice `column` to their place in whole rows. */
static void place_slice(const cf_table *table, int column, const float *packed, int64_t count,
                        float *out)
{
    int64_t width = slice_width(table, column), offset = slice_offset(table, column);

    for (int64_t r = 0; r < count; r++)
        memcpy(out + r * table->full_width + offset, packed + r * width,
               (size_t)width * sizeof *out);
}

/** Rows first .. last - 1 of the table that are in block `row` of the grid. */
typedef struct part {
    int64_t first, count;
} part;

static part part_of_block(const cf_table *table, int row, int64_t first, int64_t last)
{
    int64_t from = larger(first, table->blocks.start[row]);
    int64_t to = smaller(last, table->blocks.start[row + 1]);

    return (part){from, larger(0, to - from)};
}

/** Rows first .. first + count - 1, at most a piece. `packed` (NULL with one grid column): room for
 * as many floats as `out`. */
static void gather_piece(const cf_table *table, part rows, int *counts, float *packed, float *out)
{
    const cf_grid *grid = table->grid;
    const int64_t last = rows.first + rows.count;
    part mine = part_of_block(table, grid->my_row, rows.first, last);
    int *displs = counts + grid->world.size;
    int64_t at = 0;

    for (int rank = 0; rank < grid->world.size; rank++) {
        part theirs = part_of_block(table, rank / grid->n_columns, rows.first, last);
        counts[rank] = cf_par_count(theirs.count * slice_width(table, rank % grid->n_columns));
        displs[rank] = cf_par_count(at);
        at += counts[rank];
    }
    /* my rows are consecutive in memory: they are sent from where they are */
    const float *from =
        mine.count ? table->data + (mine.first - table->first_row) * table->width : table->data;
    MPI_Allgatherv(from, counts[grid->world.rank], MPI_FLOAT, packed ? packed : out, counts, displs,
                   MPI_FLOAT, grid->world.comm);
    for (int rank = 0; packed && rank < grid->world.size; rank++) {
        part theirs = part_of_block(table, rank / grid->n_columns, rows.first, last);
        if (theirs.count)
            place_slice(table, rank % grid->n_columns, packed + displs[rank], theirs.count,
                        out + (theirs.first - rows.first) * table->full_width);
    }
}

cf_status cf_table_gather(const cf_table *table, int64_t first, int64_t count, float *out)
{
    const cf_grid *grid = table->grid;
    const int64_t step = piece_rows(table);
    int *counts = NULL;
    float *packed = NULL;
    cf_status status;

    CF_ASSERT(first >= 0 && count >= 0 && first + count <= table->n_rows);
    status = CF_ALLOC(counts, (int64_t)2 * grid->world.size);
    if (status == CF_OK && grid->n_columns > 1) /* else blocks follow one another in `out` */
        status = CF_ALLOC(packed, smaller(step, count) * table->full_width);
    CF_TRY(cf_par_agree(&grid->world, status));
    for (int64_t at = 0; at < count; at += step)
        gather_piece(table, (part){first + at, smaller(step, count - at)}, counts, packed,
                     out + at * table->full_width);
done:
    cf_free(&packed);
    cf_free(&counts);
    return status;
}

/** Buffers of an exchange of slices within the grid row; arrays of ints are n_columns each. */
typedef struct exchange {
    int *asked, *asked_at;  /* rows that each rank asks for, and where its list begins in `rows` */
    int *sent, *sent_at;    /* floats to each rank */
    int *received, *placed; /* floats from each rank */
    int64_t *rows;          /* all lists, one after the other */
    float *send, *receive;
} exchange;

static void exchange_destroy(exchange *buffers)
{
    cf_free(&buffers->asked);
    cf_free(&buffers->rows);
    cf_free(&buffers->send);
    cf_free(&buffers->receive);
}

static cf_status exchange_create(const cf_table *table, int64_t step, exchange *buffers)
{
    const int64_t n_columns = table->grid->n_columns;
    cf_status status;

    CF_TRY(CF_ALLOC(buffers->asked, 6 * n_columns));
    buffers->asked_at = buffers->asked + n_columns;
    buffers->sent = buffers->asked + 2 * n_columns;
    buffers->sent_at = buffers->asked + 3 * n_columns;
    buffers->received = buffers->asked + 4 * n_columns;
    buffers->placed = buffers->asked + 5 * n_columns;
    CF_TRY(CF_ALLOC(buffers->rows, step * n_columns));
    CF_TRY(CF_ALLOC(buffers->send, step * n_columns * table->width));
    CF_TRY(CF_ALLOC(buffers->receive, step * table->full_width));
done:
    return status;
}

/** Tell the grid row which rows I want, and hear theirs. */
static void exchange_lists(const cf_table *table, exchange *buffers, const int64_t *rows,
                           int64_t count)
{
    const cf_par *par = &table->grid->row;
    int mine = cf_par_count(count), at = 0;

    MPI_Allgather(&mine, 1, MPI_INT, buffers->asked, 1, MPI_INT, par->comm);
    for (int c = 0; c < par->size; c++) {
        buffers->asked_at[c] = at;
        at += buffers->asked[c];
    }
    MPI_Allgatherv(rows, mine, MPI_INT64_T, buffers->rows, buffers->asked, buffers->asked_at,
                   MPI_INT64_T, par->comm);
}

/** One round: at most a piece of rows for each rank of the grid row. */
static void exchange_rows(const cf_table *table, exchange *buffers, const int64_t *rows,
                          int64_t count, float *out)
{
    const cf_par *par = &table->grid->row;
    const int64_t width = table->width;
    int64_t total = 0;

    exchange_lists(table, buffers, rows, count);
    for (int c = 0; c < par->size; c++) {
        buffers->sent[c] = cf_par_count(buffers->asked[c] * width);
        buffers->sent_at[c] = cf_par_count(buffers->asked_at[c] * width);
        buffers->received[c] = cf_par_count(count * slice_width(table, c));
        buffers->placed[c] = cf_par_count(count * slice_offset(table, c));
        total += buffers->asked[c];
    }
    for (int64_t k = 0; k < total; k++)
        memcpy(buffers->send + k * width, table->data + buffers->rows[k] * width,
               (size_t)width * sizeof *out);
    MPI_Alltoallv(buffers->send, buffers->sent, buffers->sent_at, MPI_FLOAT, buffers->receive,
                  buffers->received, buffers->placed, MPI_FLOAT, par->comm);
    for (int c = 0; c < par->size; c++)
        place_slice(table, c, buffers->receive + buffers->placed[c], count, out);
}

cf_status cf_table_gather_own(const cf_table *table, const int64_t *rows, int64_t count, float *out)
{
    const cf_par *par = &table->grid->row;
    exchange buffers = {0};
    int64_t most = count, step;
    cf_status status;

    for (int64_t k = 0; k < count; k++)
        CF_ASSERT(rows[k] >= 0 && rows[k] < table->local_rows);
    if (par->size == 1) {
        for (int64_t k = 0; k < count; k++)
            memcpy(out + k * table->full_width, table->data + rows[k] * table->width,
                   (size_t)table->full_width * sizeof *out);
        return CF_OK;
    }
    MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT64_T, MPI_MAX, par->comm);
    step = smaller(piece_rows(table), most);
    CF_TRY(cf_par_agree(par, exchange_create(table, step, &buffers)));
    for (int64_t at = 0; at < most; at += step) {
        int64_t n = larger(0, smaller(step, count - at));
        exchange_rows(table, &buffers, n ? rows + at : rows, n,
                      n ? out + at * table->full_width : out);
    }
done:
    exchange_destroy(&buffers);
    return status;
}
