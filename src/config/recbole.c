/* RecBole's configuration (its documentation, "Config Introduction"): the keys that are translated,
 * and those that are ignored because they concern RecBole's own machinery. A file of a RecBole
 * experiment can thus be used as it is; what cannot be honoured (sampled negatives, splits over all
 * users together) is an error and not ignored. */
#include "internal.h"

#include <string.h>
#include <strings.h>

/* Keys of how RecBole runs, and of its columns. Settings of the modules are looked up before this
 * list, so a key may stand here and be a setting of one command (val_interval). */
static const char *const without_meaning[] = {
    /* devices and processes */
    "gpu_id",
    "use_gpu",
    "device",
    "worker",
    "nproc",
    "nnodes",
    "node_rank",
    "world_size",
    "local_rank",
    "offset",
    "ip",
    "port",
    "group_offset",
    "enable_amp",
    "enable_scaler",
    "single_spec",
    /* log, files and folders */
    "state",
    "encoding",
    "reproducibility",
    "data_path",
    "dataset",
    "checkpoint_dir",
    "config_files",
    "show_progress",
    "save_dataset",
    "dataset_save_path",
    "save_dataloaders",
    "dataloaders_save_path",
    "log_wandb",
    "wandb_project",
    "shuffle",
    "benchmark_filename",
    "transform",
    /* reading of its files */
    "field_separator",
    "seq_separator",
    "load_col",
    "unload_col",
    "unused_col",
    "additional_feat_suffix",
    "alias_of_user_id",
    "alias_of_item_id",
    "alias_of_entity_id",
    "alias_of_relation_id",
    "preload_weight",
    "numerical_features",
    "discretization",
    "MAX_ITEM_LIST_LENGTH",
    "seq_len",
    /* filters and splits: settings of prepare, or translated */
    "val_interval",
    "user_inter_num_interval",
    "item_inter_num_interval",
    "filter_inter_by_user_or_item",
    "rm_dup_inter",
    "repeatable",
    "eval_args",
    /* metrics and negative samples: all metrics are computed, and the whole catalogue is ranked */
    "eval_batch_size",
    "metrics",
    "valid_metric_bigger",
    "loss_decimal_place",
    "metric_decimal_place",
    "train_neg_sample_args",
    "training_neg_sample_args",
    "training_neg_sample_num",
    "neg_sampling",
    "eval_neg_sample_args",
    /* kinds of models, searches */
    "require_training",
    "eval_type",
    "MODEL_TYPE",
    "MODEL_INPUT_TYPE",
    "hyper_results",
    "tensorboard_dir",
};

/* True only if something stands before the end: "_FIELD" alone is no key of RecBole. */
static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

/* Besides the list: names of columns (HEAD_ENTITY_ID_FIELD, NEG_PREFIX, ITEM_LIST_LENGTH_FIELD,
 * ...). */
bool config_recbole_ignores(const char *name)
{
    for (size_t k = 0; k < sizeof without_meaning / sizeof *without_meaning; k++)
        if (strcmp(without_meaning[k], name) == 0) return true;
    return ends_with(name, "_FIELD") || ends_with(name, "_SUFFIX") || ends_with(name, "_PREFIX");
}

/* The columns that prepare reads have settings of their own here. */
const char *config_recbole_field(const char *name)
{
    static const char *const fields[][2] = {{"USER_ID_FIELD", "user_field"},
                                            {"ITEM_ID_FIELD", "item_field"},
                                            {"RATING_FIELD", "rating_field"},
                                            {"LABEL_FIELD", "label_field"},
                                            {"TIME_FIELD", "time_field"}};

    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
        if (strcmp(fields[k][0], name) == 0) return fields[k][1];
    return NULL;
}

/* ---- eval_args ------------------------------------------------------------------------------ */

/* `split: {RS: [0.8, 0.1, 0.1]}` becomes split and split_ratios, `{LS: valid_and_test}` split
 * alone. */
static cf_status read_split(config_update *update, const yaml_node_t *node)
{
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    yaml_node_t *key, *part;
    const char *kind, *text;

    if (node->type != YAML_MAPPING_NODE || node->data.mapping.pairs.top - pair != 1)
        return config_fail(&update->source, node, "eval_args: split",
                           "expected {RS: [0.8, 0.1, 0.1]} or {LS: valid_and_test}");
    key = yaml_document_get_node(update->source.document, pair->key);
    part = yaml_document_get_node(update->source.document, pair->value);
    kind = config_scalar(key);
    text = config_scalar(part);
    if (kind != NULL && strcmp(kind, "LS") == 0 &&
        (text == NULL || strcmp(text, "valid_and_test") != 0))
        return config_fail(&update->source, part, "eval_args: split: LS",
                           "expected valid_and_test");
    if (kind != NULL && strcmp(kind, "RS") == 0) {
        cf_status status = config_update_value(update, "split_ratios", part);
        if (status != CF_OK) return status;
    }
    return config_update_value(update, "split", key);
}

/* RO and TO become random and time: the value is read from a copy of the node with our word, so
 * that an error still names the line of the file. */
static cf_status read_order(config_update *update, const yaml_node_t *node)
{
    static char random[] = "random", time[] = "time";
    const char *text = config_scalar(node);
    yaml_node_t ours = *node;

    if (text == NULL || (strcmp(text, "RO") != 0 && strcmp(text, "TO") != 0))
        return config_fail(&update->source, node, "eval_args: order", "expected RO or TO");
    ours.data.scalar.value = (yaml_char_t *)(text[0] == 'R' ? random : time);
    ours.data.scalar.length = strlen((const char *)ours.data.scalar.value);
    return config_update_value(update, "order", &ours);
}

/* `mode: full` or `mode: {valid: full, test: full}`: sampled negatives are not supported. */
static cf_status check_mode(config_update *update, const yaml_node_t *node)
{
    const char *text = config_scalar(node);
    bool full = text != NULL && strcmp(text, "full") == 0;

    if (node->type == YAML_MAPPING_NODE) {
        full = true;
        for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
             pair < node->data.mapping.pairs.top; pair++) {
            text = config_scalar(yaml_document_get_node(update->source.document, pair->value));
            full = full && text != NULL && strcmp(text, "full") == 0;
        }
    }
    if (full) return CF_OK;
    return config_fail(&update->source, node, "eval_args: mode",
                       "expected full: the whole catalogue is ranked");
}

/* `group_by: user`, which is RecBole's default too. */
static cf_status check_group(config_update *update, const yaml_node_t *node)
{
    const char *text = config_scalar(node);

    if (text != NULL && strcmp(text, "user") == 0) return CF_OK;
    return config_fail(&update->source, node, "eval_args: group_by",
                       "expected user: interactions are split within each user");
}

/* Each entry becomes a setting or is checked to be the one supported value. Keys that RecBole does
 * not have are errors: a misspelt `oder` would otherwise change the split silently. */
cf_status config_recbole_eval_args(config_update *update, const yaml_node_t *node)
{
    cf_status status = CF_OK;

    if (node->type != YAML_MAPPING_NODE)
        return config_fail(&update->source, node, "eval_args",
                           "expected a mapping of split, order, group_by and mode");
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(update->source.document, pair->key);
        yaml_node_t *value = yaml_document_get_node(update->source.document, pair->value);
        const char *name = config_scalar(key) != NULL ? config_scalar(key) : "";

        if (strcmp(name, "split") == 0)
            CF_TRY(read_split(update, value));
        else if (strcmp(name, "order") == 0)
            CF_TRY(read_order(update, value));
        else if (strcmp(name, "group_by") == 0)
            CF_TRY(check_group(update, value));
        else if (strcmp(name, "mode") == 0)
            CF_TRY(check_mode(update, value));
        else
            CF_TRY(config_fail(&update->source, key, "eval_args",
                               "expected only split, order, group_by and mode"));
    }
done:
    return status;
}
