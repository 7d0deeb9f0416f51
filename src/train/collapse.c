/* The spectra of the tables while they are trained: do they collapse? */
#include "internal.h"

#include <stdio.h>

bool collapse_is_due(const cf_config *config, int64_t epoch)
{
    const int64_t step =
        cf_config_int(config, "eval_step") * cf_config_int(config, "collapse_every");

    return step > 0 && epoch % step == 0;
}

static cf_status measure(const cf_table *table, const char *name, int64_t one_rank, collapse *out)
{
    double *singular = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(&table->grid->world, CF_ALLOC(singular, table->dim)));
    CF_TRY(cf_linalg_singular(table, one_rank, singular));
    out->table[out->count++] =
        (collapse_table){name, table->dim, cf_linalg_measure_spectrum(singular, table->dim)};
done:
    cf_free(&singular);
    return status;
}

cf_status collapse_measure(cf_model *model, const cf_config *config, collapse *out)
{
    static const char *const names[2][2] = {{CF_CKPT_USER_TABLE, CF_CKPT_ITEM_TABLE},
                                            {"user_final", "item_final"}};
    const int64_t one_rank = cf_config_int(config, "pca_one_rank");
    const double started = cf_clock_now();
    const cf_table *final[2];
    collapse found = {0};
    cf_status status = CF_OK;

    cf_model_final(model, final);
    for (int side = 0; side < 2; side++)
        CF_TRY(measure(cf_model_table(model, side), names[0][side], one_rank, &found));
    for (int side = 0; side < 2 && cf_model_propagates(model); side++)
        CF_TRY(measure(final[side], names[1][side], one_rank, &found));
    found.seconds = cf_clock_now() - started;
    *out = found;
done:
    return status;
}

void collapse_describe(const collapse *c, char *text, size_t size)
{
    const collapse_table *last = &c->table[c->count - 2];

    snprintf(text, size, ", effective rank %.1f, %.1f of %lld", last[0].spectrum.effective_rank,
             last[1].spectrum.effective_rank, (long long)last[0].dim);
}
