/* The rows that a map fills, apart from the table until their gain is known.
 *
 * Which items they are, every rank knows, in ascending order: so those of my block are consecutive
 * among them, as those of any other part of the items are. Of each row a rank has its slice. */
#include "internal.h"

static int64_t count_chosen(const uint8_t *chosen, int64_t n)
{
    int64_t count = 0;

    for (int64_t i = 0; i < n; i++)
        count += chosen[i] != 0;
    return count;
}

cf_status cold_create_rows(const cf_table *like, const uint8_t *chosen, cold_rows *out)
{
    cf_status status;

    *out = (cold_rows){.count = count_chosen(chosen, like->n_rows),
                       .first = count_chosen(chosen, like->first_row),
                       .n_mine = count_chosen(chosen + like->first_row, like->local_rows)};
    status = CF_ALLOC(out->items, out->count);
    if (status == CF_OK) status = CF_ALLOC(out->rows, out->n_mine * like->width);
    CF_TRY(cf_par_agree(&like->grid->world, status));
    for (int64_t i = 0, at = 0; i < like->n_rows; i++)
        if (chosen[i]) out->items[at++] = i;
done:
    return status;
}

void cold_destroy_rows(cold_rows *rows)
{
    cf_free(&rows->items);
    cf_free(&rows->rows);
}

/* Numbers beyond the last dimension are zero, and stay so. */
void cold_put_rows(const cold_rows *rows, double gain, cf_table *to)
{
    for (int64_t r = 0; r < rows->n_mine; r++) {
        float *row = to->data + (rows->items[rows->first + r] - to->first_row) * to->width;

        for (int64_t k = 0; k < to->width; k++)
            row[k] = (float)(gain * (double)rows->rows[r * to->width + k]);
    }
}
