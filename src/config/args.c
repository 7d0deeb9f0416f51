/* RecBole's keys that hold several values (its documentation, "Config Introduction"), each entry of
 * which becomes a setting or is checked to be the one that is built: eval_args,
 * train_neg_sample_args, metrics.
 *
 * An entry that the running command does not have is that of another one, and not looked at. An
 * entry that RecBole does not have is an error: a misspelt `oder` would change the split silently.
 */
#include "internal.h"

#include <string.h>
#include <strings.h>

/* ---- Nodes ---------------------------------------------------------------------------------- */

bool config_says(const yaml_node_t *node, const char *words)
{
    const char *text = config_scalar(node);
    int64_t truth, other;
    char word[64];

    while (text != NULL && *words != '\0') {
        const size_t length = strcspn(words, "|");

        CF_ASSERT(length < sizeof word);
        memcpy(word, words, length);
        word[length] = '\0';
        if (strcasecmp(text, word) == 0) return true;
        if (config_parse_bool(text, &truth) && config_parse_bool(word, &other) && truth == other)
            return true;
        words += length + (words[length] == '|');
    }
    return false;
}

/* Entry `index` of a mapping: its name ("" if that is no text) and value; false past the last. */
static bool next_entry(const config_update *update, const yaml_node_t *map, int index,
                       const char **name, const yaml_node_t **value)
{
    const yaml_node_pair_t *pair = map->data.mapping.pairs.start + index;

    if (pair >= map->data.mapping.pairs.top) return false;
    *name = config_scalar(yaml_document_get_node(update->source.document, pair->key));
    *value = yaml_document_get_node(update->source.document, pair->value);
    if (*name == NULL) *name = "";
    return true;
}

/* True if the running command has the setting. */
static bool has(const config_update *update, const char *setting)
{
    return config_find(update->config, setting) >= 0;
}

/* ---- Mappings of named entries -------------------------------------------------------------- */

/* An entry, and what reads its value. */
typedef struct entry {
    const char *name;
    config_reader *read;
} entry;

/* The entries that a key may have. */
typedef struct entries {
    const char *key, *names; /* the key; the names in words */
    const entry *entry;      /* count */
    int count;
} entries;

/* Refuse an entry that is not in the table. */
static cf_status check_names(config_update *update, const yaml_node_t *node, const entries *all)
{
    const yaml_node_t *value;
    const char *name;

    for (int k = 0; next_entry(update, node, k, &name, &value); k++) {
        int e = 0;

        while (e < all->count && strcmp(all->entry[e].name, name) != 0)
            e++;
        if (e == all->count)
            return config_fail(&update->source, value, all->key, "expected only %s", all->names);
    }
    return CF_OK;
}

/* The values in the order of the table, whatever that of the file. */
static cf_status read_entries(config_update *update, const yaml_node_t *node, const entries *all)
{
    const yaml_node_t *value;
    const char *name;
    cf_status status;

    if (node->type != YAML_MAPPING_NODE)
        return config_fail(&update->source, node, all->key, "expected a mapping of %s", all->names);
    CF_TRY(check_names(update, node, all));
    for (int e = 0; e < all->count; e++)
        for (int k = 0; next_entry(update, node, k, &name, &value); k++)
            if (strcmp(all->entry[e].name, name) == 0) CF_TRY(all->entry[e].read(update, value));
done:
    return status;
}

/* ---- eval_args ------------------------------------------------------------------------------ */

/* `{TS: [t1, t2]}`: two times. RecBole's newest versions give three ratios of a rule of their own.
 */
static cf_status read_times(config_update *update, const yaml_node_t *times)
{
    if (times->type != YAML_SEQUENCE_NODE ||
        times->data.sequence.items.top - times->data.sequence.items.start != 2)
        return config_fail(&update->source, times, "eval_args: split: TS",
                           "expected two times, [t1, t2]: train before t1, test from t2 on");
    return config_update_value(update, "split_times", times);
}

/* `split: {RS: [0.8, 0.1, 0.1]}` becomes split and split_ratios, `{TS: [t1, t2]}` split and
 * split_times, `{LS: valid_and_test}` split alone. */
static cf_status read_split(config_update *update, const yaml_node_t *node)
{
    const yaml_node_t *part = NULL;
    const char *kind = NULL;
    cf_status status = CF_OK;

    if (!has(update, "split")) return CF_OK;
    if (node->type != YAML_MAPPING_NODE ||
        node->data.mapping.pairs.top - node->data.mapping.pairs.start != 1 ||
        !next_entry(update, node, 0, &kind, &part))
        return config_fail(&update->source, node, "eval_args: split",
                           "expected {RS: [0.8, 0.1, 0.1]}, {TS: [t1, t2]} or "
                           "{LS: valid_and_test}");
    if (strcmp(kind, "LS") == 0 && !config_says(part, "valid_and_test"))
        return config_fail(&update->source, part, "eval_args: split: LS",
                           "expected valid_and_test");
    if (strcmp(kind, "RS") == 0) CF_TRY(config_update_value(update, "split_ratios", part));
    if (strcmp(kind, "TS") == 0) CF_TRY(read_times(update, part));
    status = config_update_value(
        update, "split",
        yaml_document_get_node(update->source.document, node->data.mapping.pairs.start->key));
done:
    return status;
}

/* RO and TO become random and time. */
static cf_status read_order(config_update *update, const yaml_node_t *node)
{
    const char *text = config_scalar(node);

    if (!has(update, "order")) return CF_OK;
    if (text == NULL || (strcmp(text, "RO") != 0 && strcmp(text, "TO") != 0))
        return config_fail(&update->source, node, "eval_args: order", "expected RO or TO");
    return config_update_text(update, "order", node, text[0] == 'R' ? "random" : "time");
}

/* `mode: full` or `mode: {valid: full, test: full}`. With sampled negatives the metrics are others.
 */
static cf_status check_mode(config_update *update, const yaml_node_t *node)
{
    bool full = config_says(node, "full");
    const yaml_node_t *mode;
    const char *phase;

    if (node->type == YAML_MAPPING_NODE) {
        full = true;
        for (int k = 0; next_entry(update, node, k, &phase, &mode); k++)
            full = full && config_says(mode, "full");
    }
    if (full) return CF_OK;
    return config_fail(&update->source, node, "eval_args: mode",
                       "expected full: the whole catalogue is ranked, and no metric is computed on "
                       "a sample of items (uni100, pop100) or on labels");
}

/* `group_by: user`, which is RecBole's default too. */
static cf_status check_group(config_update *update, const yaml_node_t *node)
{
    if (!has(update, "split") || config_says(node, "user")) return CF_OK;
    return config_fail(&update->source, node, "eval_args: group_by",
                       "expected user: interactions are split within each user");
}

static const entry eval_entries[] = {
    {"split", read_split}, {"order", read_order}, {"group_by", check_group}, {"mode", check_mode}};

cf_status config_read_eval_args(config_update *update, const yaml_node_t *node)
{
    return read_entries(
        update, node, &(entries){"eval_args", "split, order, group_by and mode", eval_entries, 4});
}

/* ---- Negatives ------------------------------------------------------------------------------ */

static cf_status read_distribution(config_update *update, const yaml_node_t *node)
{
    return config_update_value(update, "neg_distribution", node);
}

static cf_status read_number(config_update *update, const yaml_node_t *node)
{
    return config_update_value(update, "neg_sample_num", node);
}

/* The power of the popularity; with uniform negatives no value of it has an effect. */
static cf_status check_power(config_update *update, const yaml_node_t *node)
{
    const int row = config_find(update->config, "neg_distribution");
    const config_value *value = update->line[row] > 0 ? &update->values[row] : NULL;

    if (config_says(node, "1|1.0") || value == NULL || strcmp(value->texts[0], "uniform") == 0)
        return CF_OK;
    return config_fail(&update->source, node, "train_neg_sample_args: alpha",
                       "expected 1.0: popularity is the number of train interactions itself");
}

static cf_status check_dynamic(config_update *update, const yaml_node_t *node)
{
    if (config_says(node, "False")) return CF_OK;
    return config_fail(&update->source, node, "train_neg_sample_args: dynamic",
                       "expected False: negatives are drawn without a look at their scores");
}

/* Of dynamic negatives alone. */
static cf_status pass(config_update *update, const yaml_node_t *node)
{
    (void)update;
    (void)node;
    return CF_OK;
}

/* The distribution stands before the power, which depends on it. */
static const entry negative_entries[] = {{"distribution", read_distribution},
                                         {"sample_num", read_number},
                                         {"alpha", check_power},
                                         {"dynamic", check_dynamic},
                                         {"candidate_num", pass}};

cf_status config_read_negatives(config_update *update, const yaml_node_t *node)
{
    return read_entries(update, node,
                        &(entries){"train_neg_sample_args",
                                   "distribution, sample_num, alpha, dynamic and candidate_num",
                                   negative_entries, 5});
}

/* `{uniform: 1}`: the name of the distribution, and the number. */
cf_status config_read_old_negatives(config_update *update, const yaml_node_t *node)
{
    const yaml_node_t *number = NULL;
    const char *distribution = NULL;
    cf_status status;

    if (node->type != YAML_MAPPING_NODE ||
        node->data.mapping.pairs.top - node->data.mapping.pairs.start != 1 ||
        !next_entry(update, node, 0, &distribution, &number))
        return config_fail(&update->source, node, "neg_sampling", "expected {uniform: 1}");
    CF_TRY(config_update_value(
        update, "neg_distribution",
        yaml_document_get_node(update->source.document, node->data.mapping.pairs.start->key)));
    CF_TRY(config_update_value(update, "neg_sample_num", number));
done:
    return status;
}

/* ---- Metrics -------------------------------------------------------------------------------- */

/* Append the metric to `missing` if it is not one of those that every evaluation computes. */
static cf_status check_metric(const yaml_node_t *node, config_buffer *missing)
{
    char excerpt[80];

    if (config_says(node, "Recall|NDCG|MRR|Hit|Precision|MAP")) return CF_OK;
    return config_append_name(
        missing, config_scalar(node) != NULL ? config_excerpt(config_scalar(node), excerpt) : "?");
}

/* One name, or a list of them. */
cf_status config_read_metrics(config_update *update, const yaml_node_t *node)
{
    const bool one = node->type != YAML_SEQUENCE_NODE;
    config_buffer missing = {0};
    cf_status status = CF_OK;

    if (one)
        CF_TRY(check_metric(node, &missing));
    else
        for (const yaml_node_item_t *item = node->data.sequence.items.start;
             item < node->data.sequence.items.top; item++)
            CF_TRY(check_metric(yaml_document_get_node(update->source.document, *item), &missing));
    if (missing.length > 0)
        config_warn(&update->source, node, "metrics",
                    "not computed: %s; Recall, NDCG, MRR, Hit, Precision and MAP always are",
                    missing.text);
done:
    cf_free(&missing.text);
    return status;
}
