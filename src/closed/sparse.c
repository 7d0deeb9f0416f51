/* Sparse item-item matrices: of each row the k numbers of largest magnitude, as a table of entries
 * (cf/table.h), 8 k bytes an item in place of 4 n.
 *
 * A row is cut whole. A matrix in memory is gathered some rows at a time. One in a file is read
 * some rows at a time, each rank those of its tiles, so that no rank ever holds more than
 * READ_BYTES of it, or one row; whole rows of entries then go from the tiles to the slices. Both
 * ways give the same bits on any grid. tests/closed/cut.c sorts each row. */
#include "internal.h"

#include <math.h>
#include <string.h>

enum { READ_BYTES = 1 << 20, TILE_ROWS = 64 };
enum { SEGMENT_ENTRIES = CF_LANES / CF_ENTRY_FLOATS };

/* ---- A row ---- */

/* What rows are cut with, and where those of a matrix in memory go. */
typedef struct cut {
    int64_t n, k;
    int64_t width;     /* floats of a row of entries */
    uint64_t *keys;    /* 2 x n: magnitudes that are not 0, as bits, and scratch to sort them */
    float *row;        /* width: a row of entries */
    cf_table *entries; /* borrowed */
} cut;

static cf_status create_cut(int64_t n, int64_t k, cf_table *entries, cut *c)
{
    cf_status status;

    *c = (cut){.n = n, .k = k, .width = entries->full_width, .entries = entries};
    CF_TRY(CF_ALLOC(c->keys, 2 * n));
    CF_TRY(CF_ALLOC(c->row, c->width));
done:
    return status;
}

static void destroy_cut(cut *c)
{
    cf_free(&c->keys);
    cf_free(&c->row);
}

/* Of floats from 0 on, the larger one has the larger bits. */
static uint64_t magnitude(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffffU;
}

/* The entries (width) of a row of the matrix (n). */
static void cut_row(const cut *c, const float *values, float *out)
{
    int64_t n_keys = 0, n_kept = 0;
    closed_limit limit;

    for (int64_t i = 0; i < c->n; i++)
        if (magnitude(values[i]) > 0) c->keys[n_keys++] = magnitude(values[i]);
    limit = closed_find_limit(c->keys, c->keys + c->n, n_keys, c->k);
    memset(out, 0, (size_t)c->width * sizeof *out);
    for (int64_t i = 0; i < c->n; i++)
        if (closed_is_kept(&limit, magnitude(values[i])))
            cf_table_set_entry(out, n_kept++, (cf_entry){values[i], (int32_t)i});
}

/* Floats of a row of k entries, or of more where there are more slices than these fill. */
static int64_t row_floats(int64_t k, int n_columns)
{
    return CF_ENTRY_FLOATS * cf_max(k, SEGMENT_ENTRIES * (int64_t)n_columns);
}

/* ---- From memory ---- */

/* The row stays as it is; the table of entries gets my slice of its entries. */
static void keep_slice(void *context, int64_t row, float *values)
{
    const cut *c = context;
    cf_table *to = c->entries;

    cut_row(c, values, c->row);
    memcpy(to->data + (row - to->first_row) * to->width, c->row + to->first_dim,
           (size_t)to->width * sizeof *c->row);
}

cf_status cf_closed_cut(cf_table *matrix, int64_t k, cf_table **out)
{
    cf_table *entries = NULL;
    cut c = {0};
    cf_status status;

    CF_ASSERT(k >= 1 && matrix->dim <= INT32_MAX);
    k = cf_min(k, matrix->dim);
    CF_TRY(cf_table_create(matrix->grid, &matrix->blocks, row_floats(k, matrix->grid->n_columns),
                           &entries));
    CF_TRY(cf_par_agree(&matrix->grid->world, create_cut(matrix->dim, k, entries, &c)));
    CF_TRY(closed_change_rows(matrix, keep_slice, &c));
    *out = entries;
    entries = NULL;
done:
    destroy_cut(&c);
    cf_table_destroy(&entries);
    return status;
}

/* ---- From a file ---- */

/* Rows of a file on their way. */
typedef struct reading {
    const cf_closed_file *file;
    cf_table *entries; /* borrowed */
    cf_tiles *tiles;   /* of the entries: the rows that I read */
    cut cut;
    int64_t pass;  /* rows that are read at once */
    float *values; /* pass x n */
    float *kept;   /* tiles->count x full_width: entries of my rows */
} reading;

/* Rows of n numbers that are read at once. */
static int64_t rows_at_once(int64_t n)
{
    return cf_max(1, READ_BYTES / (n * (int64_t)sizeof(float)));
}

static cf_status create_reading(reading *r, int64_t n, int64_t k)
{
    cf_status status;

    r->pass = rows_at_once(n);
    CF_TRY(create_cut(n, k, r->entries, &r->cut));
    CF_TRY(CF_ALLOC(r->values, r->pass * n));
    CF_TRY(CF_ALLOC(r->kept, r->tiles->count * r->tiles->full_width));
done:
    return status;
}

static void destroy_reading(reading *r)
{
    cf_table_destroy_tiles(&r->tiles);
    destroy_cut(&r->cut);
    cf_free(&r->values);
    cf_free(&r->kept);
}

/* Read and cut the rows of my tiles; all ranks make as many passes as the one with the most rows.
 * Collective. */
static cf_status read_rows(const reading *r)
{
    const int64_t n = r->cut.n, width = r->cut.width;
    int64_t most = r->tiles->count;
    cf_status status = CF_OK;

    MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT64_T, MPI_MAX, r->entries->grid->world.comm);
    for (int64_t first = 0; first < most; first += r->pass) {
        const int64_t at = cf_min(first, r->tiles->count);
        const cf_slab slab = {.first_row = r->tiles->first_row + at,
                              .n_rows = cf_min(r->pass, r->tiles->count - at),
                              .n_columns = n,
                              .stride = n};

        CF_TRY(cf_store_read(r->file->store, r->file->name, CF_F32, &slab, r->values));
        for (int64_t k = 0; k < slab.n_rows; k++)
            cut_row(&r->cut, r->values + k * n, r->kept + (at + k) * width);
    }
    CF_TRY(cf_store_verify(r->file->store, r->file->name));
done:
    return status;
}

/* What is not finite is of the largest magnitude, so that each row of it has an entry. Collective.
 */
static cf_status check_entries(const cf_table *entries, const cf_closed_file *file)
{
    int64_t row = entries->n_rows;

    for (int64_t r = entries->local_rows - 1; r >= 0; r--)
        for (int64_t k = 0; k < entries->width / CF_ENTRY_FLOATS; k++)
            if (!isfinite(cf_table_entry(entries->data + r * entries->width, k).value))
                row = entries->first_row + r;
    MPI_Allreduce(MPI_IN_PLACE, &row, 1, MPI_INT64_T, MPI_MIN, entries->grid->world.comm);
    if (row == entries->n_rows) return CF_OK;
    return CF_FAIL(CF_ERR_NUMERIC, "%s: %s: row %lld has a NaN or an infinity",
                   cf_store_path(file->store), file->name, (long long)row);
}

/* The matrix of a file, which is square. Collective. */
static cf_status find_size(const cf_closed_file *file, int64_t n)
{
    int64_t shape[2];
    cf_type type;
    cf_status status;

    CF_TRY(cf_store_shape(file->store, file->name, &type, shape));
    CF_REQUIRE(shape[0] == n && shape[1] == n && n <= INT32_MAX, CF_ERR_FORMAT,
               "%s: %s is %lld x %lld, expected %lld x %lld", cf_store_path(file->store),
               file->name, (long long)shape[0], (long long)shape[1], (long long)n, (long long)n);
done:
    return status;
}

cf_status cf_closed_read_cut(const cf_closed_file *file, const cf_grid *grid,
                             const cf_blocks *items, int64_t k, cf_table **out)
{
    const int64_t n = items->start[items->count];
    reading r = {.file = file};
    cf_status status;

    CF_ASSERT(k >= 1);
    k = cf_min(k, n);
    CF_TRY(find_size(file, n));
    CF_TRY(cf_table_create(grid, items, row_floats(k, grid->n_columns), &r.entries));
    CF_TRY(cf_table_create_tiles(r.entries, TILE_ROWS, &r.tiles));
    CF_TRY(cf_par_agree(&grid->world, create_reading(&r, n, k)));
    CF_TRY(read_rows(&r));
    cf_table_from_tiles(r.tiles, r.kept, r.entries->data);
    CF_TRY(check_entries(r.entries, file));
    *out = r.entries;
    r.entries = NULL;
done:
    destroy_reading(&r);
    cf_table_destroy(&r.entries);
    return status;
}

/* The entries, their tiles, and these packed on their way; rows that are read, and scratch. */
double cf_closed_predict_cut(int64_t n_items, int64_t k, const cf_closed_grid *grid)
{
    const double n = (double)n_items, n_ranks = (double)grid->n_rows * grid->n_columns;
    const int64_t floats = row_floats(cf_min(k, n_items), grid->n_columns);
    const double row = 4 * CF_LANES * (double)cf_table_segments(floats);

    return n * row / n_ranks * (n_ranks > 1 ? 3 : 2) + 4 * n * (double)rows_at_once(n_items) +
           2 * 8 * n + row;
}
