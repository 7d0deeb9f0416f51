/* Whole rows of a table, which is dealt out in slices: some at a time they are gathered, changed,
 * and kept again, each rank its slice, or the columns of another table's rows; and the choice of a
 * row's largest numbers. The ranks of a grid row change the same rows, and find the same. */
#include "internal.h"

#include <string.h>

enum { ROWS_PER_PASS = CLOSED_ROWS_PER_PASS };

/* Rows of a pass. */
typedef struct pass {
    int64_t *numbers; /* ROWS_PER_PASS: local numbers of rows */
    float *rows;      /* ROWS_PER_PASS x full_width */
} pass;

static cf_status create_pass(const cf_table *table, pass *p)
{
    cf_status status;

    CF_TRY(CF_ALLOC(p->numbers, ROWS_PER_PASS));
    CF_TRY(CF_ALLOC(p->rows, ROWS_PER_PASS * table->full_width));
done:
    return status;
}

/* My rows from local number `first` on, as many as a pass has. Collective. */
static cf_status visit_pass(const cf_table *table, int64_t first, const pass *p,
                            closed_change *visit, void *context)
{
    const int64_t count = cf_max(0, cf_min(ROWS_PER_PASS, table->local_rows - first));
    cf_status status;

    for (int64_t r = 0; r < count; r++)
        p->numbers[r] = first + r;
    CF_TRY(cf_table_gather_own(table, p->numbers, count, p->rows));
    for (int64_t r = 0; r < count; r++)
        visit(context, table->first_row + first + r, p->rows + r * table->full_width);
done:
    return status;
}

/* Give all whole rows to `visit`. All ranks make as many passes as the largest block has.
 * Collective. */
static cf_status visit_rows(const cf_table *table, closed_change *visit, void *context)
{
    const cf_blocks *blocks = &table->blocks;
    int64_t most = 0;
    pass p = {0};
    cf_status status;

    for (int b = 0; b < blocks->count; b++)
        most = cf_max(most, blocks->start[b + 1] - blocks->start[b]);
    CF_TRY(cf_par_agree(&table->grid->world, create_pass(table, &p)));
    for (int64_t first = 0; first < most; first += ROWS_PER_PASS)
        CF_TRY(visit_pass(table, first, &p, visit, context));
done:
    cf_free(&p.numbers);
    cf_free(&p.rows);
    return status;
}

/* A row that is changed, and kept. */
typedef struct changing {
    cf_table *table;
    closed_change *change;
    void *context;
} changing;

static void change_row(void *context, int64_t row, float *values)
{
    const changing *c = context;
    cf_table *table = c->table;

    c->change(c->context, row, values);
    memcpy(table->data + (row - table->first_row) * table->width, values + table->first_dim,
           (size_t)table->local_dim * sizeof *values);
}

cf_status closed_change_rows(cf_table *table, closed_change *change, void *context)
{
    return visit_rows(table, change_row, &(changing){table, change, context});
}

/* Where a row's columns go. */
typedef struct putting {
    cf_table *table;
    int64_t first, end; /* its columns */
} putting;

static void put_row(void *context, int64_t row, float *values)
{
    const putting *p = context;
    cf_table *table = p->table;
    const int64_t first = cf_max(p->first, table->first_dim),
                  end = cf_min(p->end, table->first_dim + table->local_dim);

    if (first < end)
        memcpy(table->data + (row - table->first_row) * table->width + first - table->first_dim,
               values + first - p->first, (size_t)(end - first) * sizeof *values);
}

cf_status closed_put_columns(const cf_table *part, int64_t first, cf_table *table)
{
    return visit_rows(part, put_row, &(putting){table, first, first + part->dim});
}

/* ---- The largest numbers of a row ---- */

closed_limit closed_find_limit(uint64_t *keys, uint64_t *scratch, int64_t n_keys, int64_t k)
{
    closed_limit limit = {.least = 1};

    k = cf_min(k, n_keys);
    cf_sort_u64(keys, scratch, n_keys);
    if (k > 0) limit.least = keys[n_keys - k];
    for (int64_t m = n_keys - k; m < n_keys && keys[m] == limit.least; m++)
        limit.n_equal++;
    return limit;
}
