/* Results as JSON: the same objects in log.jsonl, in profiles and on the standard output of
 * commands. Keys stand beside their values, so that no format string has to be counted. */
#include "internal.h"

#include <stdio.h>

const char *const cf_train_table_names[CF_TRAIN_N_TABLES] = {CF_CKPT_USER_TABLE, CF_CKPT_ITEM_TABLE,
                                                             "user_final", "item_final"};

static bool lacked_memory; /* jansson has asked for memory in vain */

/* jansson's memory is that of the program, so that tests can make it fail. */
static void *take(size_t size)
{
    char *block = NULL;

    if (CF_ALLOC(block, (int64_t)size) != CF_OK) lacked_memory = true;
    return block;
}

static void give(void *block)
{
    cf_free(&block);
}

/* Before main(), since jansson may not change its memory once it has some. */
__attribute__((constructor)) static void set_memory(void)
{
    json_set_alloc_funcs(take, give);
}

/* jansson calls it a syntax error where its parser has no memory. */
cf_status cf_train_json_parse(const char *text, size_t length, json_t **out)
{
    lacked_memory = false;
    *out = json_loadb(text, length, 0, NULL);
    if (*out == NULL && lacked_memory) return CF_FAIL(CF_ERR_MEMORY, "%s", cf_error_message());
    return CF_OK;
}

static void keep_if(bool complete, json_t **json)
{
    if (complete) return;
    json_decref(*json);
    *json = NULL;
}

/* The value is taken in any case: jansson frees what it cannot set. */
void cf_train_json_set(json_t **object, const char *key, json_t *value)
{
    keep_if(json_object_set_new(*object, key, value) == 0, object);
}

void cf_train_json_append(json_t **array, json_t *value)
{
    keep_if(json_array_append_new(*array, value) == 0, array);
}

json_t *cf_train_json_object(const cf_json_field *fields)
{
    json_t *object = json_object();

    for (; fields->key != NULL; fields++)
        cf_train_json_set(&object, fields->key, fields->value);
    return object;
}

json_t *cf_train_json_text(const char *text)
{
    char *utf8 = NULL;
    json_t *json;

    if (cf_text_to_utf8(text, &utf8) != CF_OK) return NULL;
    json = json_string(utf8);
    cf_free(&utf8);
    return json;
}

json_t *cf_train_metrics_json(const cf_metrics *metrics)
{
    json_t *object = json_object();

    for (int m = 0; m < CF_N_METRICS; m++)
        for (int k = 0; k < metrics->n_topk; k++) {
            char key[64];

            snprintf(key, sizeof key, "%s@%lld", cf_eval_metric_names[m],
                     (long long)metrics->topk[k]);
            cf_train_json_set(&object, key, json_real(metrics->mean[m][k]));
        }
    return object;
}

json_t *cf_train_counted_json(const cf_metrics *metrics)
{
    json_t *object = CF_JSON_OBJECT({"users", json_integer((json_int_t)metrics->n_users)},
                                    {"positives", json_integer((json_int_t)metrics->n_positives)});
    json_t *values = cf_train_metrics_json(metrics);

    keep_if(values != NULL && json_object_update(object, values) == 0, &object);
    json_decref(values);
    return object;
}

/* "warm" or "cold": how many targets there are, and the shares of them in the lists. */
static void set_targets(const cf_cold_metrics *metrics, int which, json_t **object)
{
    const cf_metrics *lengths = &metrics->table[CF_ALL];
    char key[64];

    snprintf(key, sizeof key, "%s_targets", cf_eval_candidate_names[which]);
    cf_train_json_set(object, key, json_integer((json_int_t)metrics->n_targets[which]));
    for (int t = 0; t < lengths->n_topk; t++) {
        snprintf(key, sizeof key, "%s_hit@%lld", cf_eval_candidate_names[which],
                 (long long)lengths->topk[t]);
        cf_train_json_set(object, key, json_real(metrics->hit[which][t]));
    }
}

json_t *cf_train_cold_json(const cf_cold_metrics *metrics)
{
    json_t *object = json_object();

    for (int which = 0; which < CF_N_CANDIDATES; which++)
        if (metrics->has[which])
            cf_train_json_set(&object, cf_eval_candidate_names[which],
                              cf_train_counted_json(&metrics->table[which]));
    set_targets(metrics, CF_WARM, &object);
    set_targets(metrics, CF_COLD, &object);
    cf_train_json_set(&object, "left_out", json_integer((json_int_t)metrics->n_left_out));
    return object;
}

json_t *cf_train_map_json(const cf_cold_map *map)
{
    json_t *points = json_array();

    for (int64_t k = 0; k < map->n_points; k++) {
        const cf_cold_point *p = &map->points[k];

        cf_train_json_append(&points, CF_JSON_OBJECT({"parameter", json_real(p->parameter)},
                                                     {"gain", json_real(p->gain)},
                                                     {"ndcg@10", json_real(p->ndcg)},
                                                     {"warm_hit@10", json_real(p->warm_hit)},
                                                     {"cold_hit@10", json_real(p->cold_hit)}));
    }
    return CF_JSON_OBJECT({"kind", json_string(cf_cold_kind_names[map->kind])},
                          {"parameter", json_real(map->parameter)}, {"gain", json_real(map->gain)},
                          {"points", points});
}

/* In a table of `dim` dimensions the `dim` largest values hold all: such counts say nothing. */
json_t *cf_train_spectrum_json(const cf_spectrum *spectrum, int64_t dim)
{
    json_t *fractions = json_object();

    for (int t = 0; t < CF_SPECTRUM_TOPS && cf_spectrum_top[t] < dim; t++) {
        char key[16];

        snprintf(key, sizeof key, "%d", cf_spectrum_top[t]);
        cf_train_json_set(&fractions, key, json_real(spectrum->fraction[t]));
    }
    return CF_JSON_OBJECT({"effective_rank", json_real(spectrum->effective_rank)},
                          {"participation_ratio", json_real(spectrum->participation_ratio)},
                          {"information_abundance", json_real(spectrum->information_abundance)},
                          {"shares", fractions});
}
