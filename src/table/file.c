/* Tables in files: each rank writes and reads its own block and slice of the array (n_rows x dim,
 * float32) in one collective call. Apart from table.c, so that programs without HDF5 can have
 * tables. tests/table/table.c writes on one grid and reads on another. */
#include "cf/table.h"

/* This rank's part of the array in the file, and how it lies in memory. */
static cf_slab local_slab(const cf_table *table)
{
    return (cf_slab){.first_row = table->first_row,
                     .n_rows = table->local_rows,
                     .first_column = table->first_dim,
                     .n_columns = table->local_dim,
                     .stride = table->width};
}

cf_status cf_table_write(const cf_table *table, cf_store *store, const char *name, const char *dims)
{
    const int64_t shape[2] = {table->n_rows, table->dim};
    const cf_slab slab = local_slab(table);
    cf_status status;

    CF_TRY(cf_store_add(store, name, CF_F32, shape, dims));
    CF_TRY(cf_store_write(store, name, &slab, table->data));
done:
    return status;
}

cf_status cf_table_read(cf_table *table, int64_t n_rows, cf_store *store, const char *name)
{
    cf_slab slab = local_slab(table);
    char *what = NULL;
    int64_t shape[2];
    cf_type type;
    cf_status status;

    n_rows = cf_min(n_rows, table->n_rows);
    slab.first_row = cf_min(slab.first_row, n_rows);
    slab.n_rows = cf_min(slab.n_rows, n_rows - slab.first_row);
    CF_TRY(cf_store_shape(store, name, &type, shape));
    CF_REQUIRE(shape[0] == n_rows && shape[1] == table->dim, CF_ERR_FORMAT,
               "%s: %s is %lld x %lld, expected %lld x %lld", cf_store_path(store), name,
               (long long)shape[0], (long long)shape[1], (long long)n_rows, (long long)table->dim);
    CF_TRY(cf_store_read(store, name, CF_F32, &slab, table->data));
    CF_TRY(cf_store_verify(store, name)); /* before the numbers are judged: damage comes first */
    CF_TRY(cf_par_agree(&table->grid->world,
                        cf_text_format(&what, "%s: %s", cf_store_path(store), name)));
    CF_TRY(cf_table_check_finite(table, what));
done:
    cf_free(&what);
    return status;
}
