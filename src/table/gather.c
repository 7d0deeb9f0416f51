/* Whole rows from a table that is cut into blocks and slices: a range of rows on every rank
 * (Allgatherv over the grid), or rows of one's own block by a list (Alltoallv within the grid row).
 * Both go in rounds of at most 4 million floats received, which bounds the buffers and keeps MPI's
 * counts in an int. Numbers are copied, never computed with. tests/table/gather.c compares with
 * the formula that filled the table. */
#include "cf/table.h"

#include <string.h>

/* Floats that a rank receives in one round. */
static const int64_t round_floats = (int64_t)1 << 22;

/* Whole rows that a rank receives in one round: at least one, however wide. */
static int64_t rows_per_round(const cf_table *table)
{
    return cf_max(1, round_floats / table->full_width);
}

/* Floats of slice `column` in a row. */
static int64_t slice_width(const cf_table *table, int column)
{
    return cf_table_slice_width(table->dim, table->grid->n_columns, column);
}

/* Copy `count` packed rows of slice `column` into whole rows. */
static void unpack_slice(const cf_table *table, int column, const float *packed, int64_t count,
                         float *out)
{
    const int64_t width = slice_width(table, column),
                  offset = cf_table_slice_offset(table->dim, table->grid->n_columns, column);

    for (int64_t r = 0; r < count; r++)
        memcpy(out + r * table->full_width + offset, packed + r * width,
               (size_t)width * sizeof *out);
}

/* ---- A range of rows on every rank ---- */

/* Rows first .. first + count - 1 of the table. */
typedef struct row_range {
    int64_t first, count;
} row_range;

/* Those of a range that are in block `row` of the grid. */
static row_range range_in_block(const cf_table *table, int row, row_range range)
{
    const int64_t begin = cf_max(range.first, table->blocks.start[row]);
    const int64_t end = cf_min(range.first + range.count, table->blocks.start[row + 1]);

    return (row_range){begin, cf_max(0, end - begin)};
}

/* One round. `recv_count`: 2 x ranks, the counts and after them the displacements. `packed` (NULL
 * with one grid column, where the blocks follow one another in `out` already): as many floats as
 * `out`. */
static void gather_round(const cf_table *table, row_range rows, int *recv_count, float *packed,
                         float *out)
{
    const cf_grid *grid = table->grid;
    const int size = grid->world.size;
    const row_range mine = range_in_block(table, grid->my_row, rows);
    const int64_t local = mine.count > 0 ? mine.first - table->first_row : 0;
    int *recv_start = recv_count + size;

    for (int rank = 0; rank < size; rank++) {
        const row_range part = range_in_block(table, rank / grid->n_columns, rows);
        recv_count[rank] = cf_par_count(part.count * slice_width(table, rank % grid->n_columns));
    }
    cf_par_displacements(recv_count, recv_start, size);
    /* my rows are consecutive in memory: they are sent from where they are */
    MPI_Allgatherv(table->data + local * table->width, recv_count[grid->world.rank], MPI_FLOAT,
                   packed != NULL ? packed : out, recv_count, recv_start, MPI_FLOAT,
                   grid->world.comm);
    for (int rank = 0; packed != NULL && rank < size; rank++) {
        const row_range part = range_in_block(table, rank / grid->n_columns, rows);
        if (part.count > 0)
            unpack_slice(table, rank % grid->n_columns, packed + recv_start[rank], part.count,
                         out + (part.first - rows.first) * table->full_width);
    }
}

/* With one grid column whole rows arrive in place, and need no second buffer. */
cf_status cf_table_gather(const cf_table *table, int64_t first, int64_t count, float *out)
{
    const cf_grid *grid = table->grid;
    const int64_t step = rows_per_round(table);
    int *recv_count = NULL;
    float *packed = NULL;
    cf_status status;

    CF_ASSERT(first >= 0 && count >= 0 && first + count <= table->n_rows);
    status = CF_ALLOC(recv_count, (int64_t)2 * grid->world.size);
    if (status == CF_OK && grid->n_columns > 1)
        status = CF_ALLOC(packed, cf_min(step, count) * table->full_width);
    CF_TRY(cf_par_agree(&grid->world, status));
    for (int64_t at = 0; at < count; at += step)
        gather_round(table, (row_range){first + at, cf_min(step, count - at)}, recv_count, packed,
                     out + at * table->full_width);
done:
    cf_free(&packed);
    cf_free(&recv_count);
    return status;
}

/* ---- Rows of the own block, by a list ---- */

/* Buffers of one round within the grid row. The lists are the requests; the rows travel as replies,
 * whose counts are the lists' lengths times a width. */
typedef struct exchange {
    cf_plan lists, replies; /* elements: row numbers; floats of rows */
    int64_t *requests;      /* the lists of all ranks, one after the other */
    float *send, *recv;     /* rows x width for all lists; my rows, slice after slice */
} exchange;

static void exchange_destroy(exchange *e)
{
    cf_par_destroy_plan(&e->lists);
    cf_par_destroy_plan(&e->replies);
    cf_free(&e->requests);
    cf_free(&e->send);
    cf_free(&e->recv);
}

/* `step`: rows of one rank in a round. Local. Errors: MEMORY. */
static cf_status exchange_create(const cf_table *table, int64_t step, exchange *e)
{
    const int64_t n_columns = table->grid->n_columns;
    cf_status status;

    CF_TRY(cf_par_create_plan(&table->grid->row, &e->lists));
    CF_TRY(cf_par_create_plan(&table->grid->row, &e->replies));
    CF_TRY(CF_ALLOC(e->requests, step * n_columns));
    CF_TRY(CF_ALLOC(e->send, step * n_columns * table->width));
    CF_TRY(CF_ALLOC(e->recv, step * table->full_width));
done:
    return status;
}

/* Every rank of the grid row gets every list: each of them has a slice of each row. */
static void exchange_lists(const cf_table *table, exchange *e, const int64_t *rows, int64_t count)
{
    const cf_par *par = &table->grid->row;
    const int mine = cf_par_count(count);

    MPI_Allgather(&mine, 1, MPI_INT, e->lists.recv_count, 1, MPI_INT, par->comm);
    cf_par_order_plan(&e->lists);
    MPI_Allgatherv(rows, mine, MPI_INT64_T, e->requests, e->lists.recv_count, e->lists.recv_start,
                   MPI_INT64_T, par->comm);
}

/* One round: the lists, then my slice of the rows on each list. */
static void exchange_rows(const cf_table *table, exchange *e, const int64_t *rows, int64_t count,
                          float *out)
{
    const cf_par *par = &table->grid->row;
    const int64_t width = table->width;

    exchange_lists(table, e, rows, count);
    for (int c = 0; c < par->size; c++) {
        e->replies.send_count[c] = cf_par_count(e->lists.recv_count[c] * width);
        e->replies.recv_count[c] = cf_par_count(count * slice_width(table, c));
    }
    cf_par_order_plan(&e->replies);
    for (int64_t k = 0; k < e->lists.n_recv; k++)
        memcpy(e->send + k * width, table->data + e->requests[k] * width,
               (size_t)width * sizeof *out);
    cf_par_send(&e->replies, e->send, e->recv, MPI_FLOAT);
    for (int c = 0; c < par->size; c++)
        unpack_slice(table, c, e->recv + e->replies.recv_start[c], count, out);
}

/* Rows travel within the grid row; the whole grid agrees before they do. With one grid column rows
 * are whole already. */
cf_status cf_table_gather_own(const cf_table *table, const int64_t *rows, int64_t count, float *out)
{
    const cf_par *par = &table->grid->row;
    exchange e = {0};
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
    /* lists differ in length: a grid row makes the rounds that its longest one needs */
    MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT64_T, MPI_MAX, par->comm);
    step = cf_min(rows_per_round(table), most);
    CF_TRY(cf_par_agree(&table->grid->world, exchange_create(table, step, &e)));
    for (int64_t at = 0; at < most; at += step) {
        const int64_t n = cf_max(0, cf_min(step, count - at));
        exchange_rows(table, &e, n > 0 ? rows + at : rows, n,
                      n > 0 ? out + at * table->full_width : out);
    }
done:
    exchange_destroy(&e);
    return status;
}

cf_status cf_table_repeat_row(cf_table *table, int64_t first, const cf_table *from, int64_t row)
{
    float *whole = NULL;
    cf_status status;

    CF_ASSERT(table->full_width == from->full_width);
    CF_TRY(cf_par_agree(&table->grid->world, CF_ALLOC(whole, from->full_width)));
    CF_TRY(cf_table_gather(from, row, 1, whole));
    for (int64_t n = cf_max(first - table->first_row, 0); n < table->local_rows; n++)
        memcpy(table->data + n * table->width, whole + table->first_dim,
               (size_t)table->width * sizeof *whole);
done:
    cf_free(&whole);
    return status;
}
