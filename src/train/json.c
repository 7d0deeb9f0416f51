/* Results as JSON: the same objects in log.jsonl, in profiles and on the standard output of
 * commands. Keys stand beside their values, so that no format string has to be counted. */
#include "internal.h"

#include <stdio.h>

const char *const cf_train_table_names[CF_TRAIN_N_TABLES] = {CF_CKPT_USER_TABLE, CF_CKPT_ITEM_TABLE,
                                                             "user_final", "item_final"};

/* All values are taken in any case: json_object_set_new() frees those that it cannot set. */
json_t *cf_train_json_object(const cf_json_field *fields)
{
    json_t *object = json_object();
    bool complete = true;

    for (; fields->key != NULL; fields++)
        complete = json_object_set_new(object, fields->key, fields->value) == 0 && complete;
    if (complete) return object;
    json_decref(object);
    return NULL;
}

json_t *cf_train_metrics_json(const cf_metrics *metrics)
{
    json_t *object = json_object();

    for (int m = 0; m < CF_N_METRICS; m++)
        for (int k = 0; k < metrics->n_topk; k++) {
            char key[64];

            snprintf(key, sizeof key, "%s@%lld", cf_eval_metric_names[m],
                     (long long)metrics->topk[k]);
            json_object_set_new(object, key, json_real(metrics->mean[m][k]));
        }
    return object;
}

/* In a table of `dim` dimensions the `dim` largest values hold all: such counts say nothing. */
json_t *cf_train_spectrum_json(const cf_spectrum *spectrum, int64_t dim)
{
    json_t *fractions = json_object();

    for (int t = 0; t < CF_SPECTRUM_TOPS && cf_spectrum_top[t] < dim; t++) {
        char key[16];

        snprintf(key, sizeof key, "%d", cf_spectrum_top[t]);
        json_object_set_new(fractions, key, json_real(spectrum->fraction[t]));
    }
    return CF_JSON_OBJECT({"effective_rank", json_real(spectrum->effective_rank)},
                          {"participation_ratio", json_real(spectrum->participation_ratio)},
                          {"information_abundance", json_real(spectrum->information_abundance)},
                          {"shares", fractions});
}
