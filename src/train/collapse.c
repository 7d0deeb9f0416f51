/* The spectra of the tables while they are trained: do they collapse?
 *
 * A table of n rows of d dimensions has d singular values s. Measures of how many of them matter,
 * such as the effective rank exp(-sum p ln p) with p = s / sum s (Roy and Vetterli 2007), go into
 * log.jsonl: of the raw tables, and of the final ones where the model propagates. Nothing of this
 * changes a bit of the training. tests/train/collapse*.c compare runs with and without it, and
 * tests/cli/spectrum.c the log with llminit spectrum on the run's checkpoints. */
#include "internal.h"

#include <stdio.h>

bool collapse_is_due(const run_options *options, int64_t epoch)
{
    const int64_t step = options->eval_step * options->collapse_every;

    return step > 0 && epoch % step == 0;
}

/* Append the measures of one table; its singular values are not kept. Collective. */
static cf_status measure_table(const cf_table *table, cf_train_table name, int64_t one_rank_dim,
                               collapse *out)
{
    double *singular = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(&table->grid->world, CF_ALLOC(singular, table->dim)));
    CF_TRY(cf_linalg_singular(table, one_rank_dim, singular));
    out->table[out->count++] = (collapse_table){cf_train_table_names[name], table->dim,
                                                cf_linalg_measure_spectrum(singular, table->dim)};
done:
    cf_free(&singular);
    return status;
}

cf_status collapse_measure(cf_model *model, int64_t one_rank_dim, collapse *out)
{
    const double started = cf_clock_now();
    const bool propagates = cf_model_propagates(model);
    const cf_table *tables[CF_TRAIN_N_TABLES];
    collapse found = {0};
    cf_status status = CF_OK;

    tables[CF_TRAIN_USER_RAW] = cf_model_table(model, CF_USERS);
    tables[CF_TRAIN_ITEM_RAW] = cf_model_table(model, CF_ITEMS);
    cf_model_final(model, tables + CF_TRAIN_USER_FINAL);
    for (int t = 0; t < (propagates ? CF_TRAIN_N_TABLES : CF_TRAIN_USER_FINAL); t++)
        CF_TRY(measure_table(tables[t], (cf_train_table)t, one_rank_dim, &found));
    found.seconds = cf_clock_now() - started;
    *out = found;
done:
    return status;
}

/* The last two are of the final tables, or of the raw ones if these are the final ones. */
void collapse_describe(const collapse *c, char *text, size_t size)
{
    const collapse_table *final = &c->table[c->count - 2];

    snprintf(text, size, ", effective rank %.1f, %.1f of %lld", final[0].spectrum.effective_rank,
             final[1].spectrum.effective_rank, (long long) final[0].dim);
}
