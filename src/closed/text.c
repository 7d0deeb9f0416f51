/* The filter of the items' text, after MM-GF (Roh et al. 2025, "Training-free adjustable polynomial
 * graph filtering for ultra-fast multimodal recommendation"): of the linear graph YY' between
 * items, where row i of Y is what emb_selection makes of the vector of item i, a history s gets the
 * scores
 *
 *     text_weight YY' s / lambda,    lambda: the largest eigenvalue of YY'
 *
 * so that the largest gain is text_weight, as that of the singular vectors is ideal_weight. No
 * matrix of items x items is made: the table is Z = sqrt(text_weight / lambda) Y, and a user has
 * the sum of its items' rows. Degrees do not count: text is not more of an item because many have
 * it. */
#include "internal.h"

#include <math.h>

int64_t closed_text_dim(const cf_closed_options *options)
{
    return options->text_weight > 0 ? options->select.size : 0;
}

/* table *= sqrt(text_weight / lambda). Collective. */
static cf_status scale(const cf_closed_options *options, cf_table *table)
{
    double *singular = NULL, times;
    cf_status status = cf_par_agree(&table->grid->world, CF_ALLOC(singular, table->dim));

    CF_TRY(status);
    CF_TRY(cf_linalg_singular(table, options->select.one_rank_dim, singular));
    CF_REQUIRE(singular[0] > 0, CF_ERR_NUMERIC,
               "text_weight: all rows that emb_selection makes of the vectors are zero");
    times = sqrt(options->text_weight) / singular[0];
    for (int64_t k = 0; k < table->local_rows * table->width; k++)
        table->data[k] = (float)(times * (double)table->data[k]);
done:
    cf_free(&singular);
    return status;
}

cf_status closed_make_text(closed_solver *s, cf_table **out)
{
    const cf_closed_options *options = &s->closed->options;
    cf_selection *selection = NULL;
    cf_status status;

    CF_TRY(cf_select_create(s->dataset, &options->select, &selection));
    CF_TRY(
        cf_table_create(s->closed->grid, &s->closed->shard->items, closed_text_dim(options), out));
    CF_TRY(cf_select_fill_items(s->dataset, selection, &options->select, *out));
    CF_TRY(scale(options, *out));
    closed_lap(s, &s->seconds.rest, "rows of the vectors made");
done:
    cf_select_destroy(&selection);
    return status;
}

double closed_predict_text(const closed_size *size)
{
    const cf_select_options *select = &size->options->select;
    const cf_spectrum_cost spectrum =
        cf_linalg_predict_singular(size->n, select->size, size->n_ranks, select->one_rank_dim);
    const double making =
        cf_select_predict_memory(select, size->n, size->dataset->embedding_dim, size->n_ranks);

    return closed_predict_table(size, select->size) + fmax(making, spectrum.bytes);
}
