/* Tables (n_rows x dim, float32) over the grid: grid row r has block r of the rows, grid column c a
 * slice of the dimensions, in whole segments of 16 floats. A rank holds local_rows x width floats;
 * the last slice is padded with zeros, which no function changes, so that loops over rows need no
 * remainder. Noise is a function of (seed, row, dimension), the same on any grid. */
#include "cf/table.h"

#include <string.h>

int64_t cf_table_segments(int64_t dim)
{
    return cf_ceil_div(dim, CF_LANES);
}

/* Whole segments, so that sums over 16 dimensions never cross ranks. */
int64_t cf_table_slice_offset(int64_t dim, int n_columns, int column)
{
    return cf_par_even_start(cf_table_segments(dim), n_columns, column) * CF_LANES;
}

int64_t cf_table_slice_width(int64_t dim, int n_columns, int column)
{
    return cf_table_slice_offset(dim, n_columns, column + 1) -
           cf_table_slice_offset(dim, n_columns, column);
}

/* Everything of the table but its memory: it follows from the blocks and from this rank's place in
 * the grid. */
static void set_shape(cf_table *table, const cf_grid *grid, const cf_blocks *blocks, int64_t dim)
{
    table->grid = grid;
    table->n_rows = blocks->start[blocks->count];
    table->first_row = blocks->start[grid->my_row];
    table->local_rows = blocks->start[grid->my_row + 1] - table->first_row;
    table->dim = dim;
    table->first_dim = cf_table_slice_offset(dim, grid->n_columns, grid->my_column);
    table->width = cf_table_slice_width(dim, grid->n_columns, grid->my_column);
    table->local_dim = cf_min(table->width, dim - table->first_dim);
    table->full_width = cf_table_segments(dim) * CF_LANES;
}

/* Local. Errors: MEMORY. */
static cf_status allocate_table(cf_table *table, const cf_blocks *blocks)
{
    cf_status status;

    CF_TRY(CF_ALLOC(table->blocks.start, (int64_t)blocks->count + 1));
    table->blocks.count = blocks->count;
    memcpy(table->blocks.start, blocks->start, ((size_t)blocks->count + 1) * sizeof *blocks->start);
    CF_TRY(CF_ALLOC(table->data, table->local_rows * table->width));
done:
    return status;
}

/* A slice of no segments would leave a rank without work: more columns than segments are refused.
 */
cf_status cf_table_create(const cf_grid *grid, const cf_blocks *blocks, int64_t dim, cf_table **out)
{
    cf_table *table = NULL;
    cf_status status;

    CF_ASSERT(blocks->count == grid->n_rows && dim > 0);
    if (grid->n_columns > cf_table_segments(dim))
        return CF_FAIL(CF_ERR_USAGE,
                       "grid %dx%d: %lld dimensions have %lld segments of %d, so at most %lld grid "
                       "columns",
                       grid->n_rows, grid->n_columns, (long long)dim,
                       (long long)cf_table_segments(dim), CF_LANES,
                       (long long)cf_table_segments(dim));
    status = CF_ALLOC(table, 1);
    if (status == CF_OK) {
        set_shape(table, grid, blocks, dim);
        status = allocate_table(table, blocks);
    }
    CF_TRY(cf_par_agree(&grid->world, status));
    *out = table;
    table = NULL;
done:
    cf_table_destroy(&table);
    return status;
}

cf_status cf_table_copy(const cf_table *from, cf_table **out)
{
    cf_status status;

    CF_TRY(cf_table_create(from->grid, &from->blocks, from->dim, out));
    memcpy((*out)->data, from->data, (size_t)(from->local_rows * from->width) * sizeof *from->data);
done:
    return status;
}

void cf_table_destroy(cf_table **table)
{
    if (*table == NULL) return;
    cf_par_destroy_blocks(&(*table)->blocks);
    cf_free(&(*table)->data);
    cf_free(table);
}

/* Keyed by the global row and dimension. The padding beyond local_dim is not touched. */
void cf_table_fill_uniform(cf_table *table, uint64_t seed, int64_t row_offset, double limit)
{
    const cf_random key = {seed, CF_STREAM_INIT};

#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < table->local_rows; r++) {
        uint64_t row = (uint64_t)(table->first_row + r + row_offset);
        for (int64_t k = 0; k < table->local_dim; k++) {
            double u = cf_random_uniform(key, row, (uint64_t)(table->first_dim + k), 0);
            table->data[r * table->width + k] = (float)((2 * u - 1) * limit);
        }
    }
}

void cf_table_fill_normal(cf_table *table, uint64_t seed, int64_t row_offset, double std)
{
    const cf_random key = {seed, CF_STREAM_INIT};

#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < table->local_rows; r++) {
        uint64_t row = (uint64_t)(table->first_row + r + row_offset);
        for (int64_t k = 0; k < table->local_dim; k++) {
            double z = cf_random_normal(key, row, (uint64_t)(table->first_dim + k), 0);
            table->data[r * table->width + k] = (float)(std * z);
        }
    }
}

/* The first local row with a NaN or an infinity; local_rows if none. The exponent's bits are
 * tested, without branches, so that the loop over a row is vectorized. */
static int64_t find_not_finite(const cf_table *table)
{
    const uint32_t exponent = 0x7f800000; /* all ones: NaN or infinity */
    int64_t first = table->local_rows;

#pragma omp parallel for schedule(static) reduction(min : first)
    for (int64_t r = 0; r < table->local_rows; r++) {
        const float *row = table->data + r * table->width;
        uint32_t bad = 0;
        for (int64_t k = 0; k < table->width; k++) {
            uint32_t bits;
            memcpy(&bits, row + k, sizeof bits);
            bad |= (bits & exponent) == exponent;
        }
        if (bad && r < first) first = r;
    }
    return first;
}

/* The minimum over the ranks gives all of them the same row, and the same message. */
cf_status cf_table_check_finite(const cf_table *table, const char *what)
{
    int64_t row = find_not_finite(table);

    row = row < table->local_rows ? table->first_row + row : table->n_rows;
    MPI_Allreduce(MPI_IN_PLACE, &row, 1, MPI_INT64_T, MPI_MIN, table->grid->world.comm);
    if (row == table->n_rows) return CF_OK;
    return CF_FAIL(CF_ERR_NUMERIC, "%s: row %lld has a NaN or an infinity", what, (long long)row);
}
