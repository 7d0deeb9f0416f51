/* The keys of RecBole (its documentation, "Config Introduction") and of LLMInit, so that the file
 * of an experiment there is used as it is.
 *
 * A key is another name of a setting, or has a reader of its own, or a rule: which values say what
 * is done here anyway, and what happens to others. A value that would give other numbers is an
 * error, or a warning that says what is done instead; one of how RecBole runs is listed in one
 * warning. A key of a command that is not running is passed over: that command reads it. */
#include "internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- Other names of settings ---------------------------------------------------------------- */

static const char *const aliases[][2] = {
    {"USER_ID_FIELD", "user_field"},  {"ITEM_ID_FIELD", "item_field"},
    {"RATING_FIELD", "rating_field"}, {"TIME_FIELD", "time_field"},
    {"LABEL_FIELD", "label_field"},   {"title", "title_field"},
    {"emb_init", "embedding_field"}, /* LLMInit's */
};

static const char *find_alias(const char *name)
{
    for (size_t k = 0; k < sizeof aliases / sizeof *aliases; k++)
        if (strcmp(aliases[k][0], name) == 0) return aliases[k][1];
    return NULL;
}

/* ---- Keys with a reader --------------------------------------------------------------------- */

/* In a repeatable scene an item may come again: no history is masked, and a negative is any item
 * but the positive. */
static cf_status read_repeatable(config_update *update, const yaml_node_t *node)
{
    const char *text = config_scalar(node);
    int64_t truth;
    cf_status status;

    if (text == NULL || !config_parse_bool(text, &truth))
        return config_fail(&update->source, node, "repeatable", "expected true or false");
    CF_TRY(config_update_text(update, "mask_history", node, truth ? "false" : "true"));
    CF_TRY(config_update_text(update, "neg_exclude", node, truth ? "current" : "train"));
done:
    return status;
}

/* The width of the vectors is the dataset's; this one says that the file is LLMInit's. */
static cf_status read_width(config_update *update, const yaml_node_t *node)
{
    const char *text = config_scalar(node);
    int64_t width;

    if (text == NULL || !config_parse_int(text, &width) || width < 1)
        return config_fail(&update->source, node, "llm_embedding_size",
                           "expected a whole number of at least 1");
    update->llminit.width = width;
    return CF_OK;
}

/* `of`: a setting of the commands that the key concerns; NULL: all commands. */
static const struct {
    const char *name, *of;
    config_reader *read;
} readers[] = {
    {"eval_args", NULL, config_read_eval_args},
    {"train_neg_sample_args", "neg_distribution", config_read_negatives},
    {"training_neg_sample_args", "neg_distribution", config_read_negatives},
    {"neg_sampling", "neg_distribution", config_read_old_negatives},
    {"repeatable", "mask_history", read_repeatable},
    {"metrics", "mask_history", config_read_metrics},
    {"llm_embedding_size", "emb_selection", read_width},
};

/* ---- Keys with a rule ----------------------------------------------------------------------- */

typedef enum otherwise {
    LISTED, /* without a meaning here */
    WARNED, /* `why` says what is done */
    REFUSED /* `why` says what to do */
} otherwise;

/* What a value does. */
typedef struct key_rule {
    const char *name;
    const char *of;      /* as above */
    const char *fine;    /* values that need no word, "|" between them; "": null alone; NULL: all */
    otherwise otherwise; /* what happens to others */
    const char *why;
} key_rule;

static const key_rule rules[] = {
    /* devices and processes */
    {"gpu_id", NULL, "0", LISTED, NULL},
    {"use_gpu", NULL, "True", LISTED, NULL},
    {"device", NULL, "", LISTED, NULL},
    {"worker", NULL, "0", LISTED, NULL},
    {"nproc", NULL, "1", LISTED, NULL},
    {"nnodes", NULL, "1", LISTED, NULL},
    {"node_rank", NULL, "0", LISTED, NULL},
    {"world_size", NULL, "1|-1", LISTED, NULL},
    {"local_rank", NULL, "0", LISTED, NULL},
    {"offset", NULL, "0", LISTED, NULL},
    {"ip", NULL, "localhost", LISTED, NULL},
    {"port", NULL, "5678", LISTED, NULL},
    {"group_offset", NULL, "0", LISTED, NULL},
    {"single_spec", NULL, "True", LISTED, NULL},
    {"enable_amp", "epochs", "False", WARNED, "numbers are float32, and sums float64"},
    {"enable_scaler", "epochs", "False", LISTED, NULL},
    /* log, files and folders */
    {"state", NULL, "INFO", LISTED, NULL},
    {"reproducibility", NULL, "True", LISTED, NULL},
    {"data_path", NULL, "dataset/", LISTED, NULL},
    {"dataset", NULL, NULL, LISTED, NULL},
    {"checkpoint_dir", NULL, "saved", LISTED, NULL},
    {"config_files", NULL, NULL, LISTED, NULL},
    {"show_progress", NULL, "True", LISTED, NULL},
    {"save_dataset", NULL, "False", LISTED, NULL},
    {"dataset_save_path", NULL, "", LISTED, NULL},
    {"save_dataloaders", NULL, "False", LISTED, NULL},
    {"dataloaders_save_path", NULL, "", LISTED, NULL},
    {"log_wandb", NULL, "False", LISTED, NULL},
    {"wandb_project", NULL, "recbole", LISTED, NULL},
    {"tensorboard_dir", NULL, "", LISTED, NULL},
    {"hyper_results", NULL, "", LISTED, NULL},
    {"loss_decimal_place", NULL, NULL, LISTED, NULL},
    {"metric_decimal_place", NULL, NULL, LISTED, NULL},
    /* columns: those that are needed are read, whatever else there is */
    {"load_col", NULL, NULL, LISTED, NULL},
    {"unload_col", NULL, NULL, LISTED, NULL},
    {"unused_col", NULL, NULL, LISTED, NULL},
    {"additional_feat_suffix", NULL, NULL, LISTED, NULL},
    {"numerical_features", NULL, NULL, LISTED, NULL},
    {"discretization", NULL, NULL, LISTED, NULL},
    {"MAX_ITEM_LIST_LENGTH", NULL, NULL, LISTED, NULL},
    {"normalize_all", NULL, NULL, LISTED, NULL}, /* of columns of numbers, which no model reads */
    {"normalize_field", "split", "", WARNED,
     "columns are taken as they are; emb_scale: minmax maps the starting vectors to [0, 1]"},
    {"seq_len", "split", "", WARNED, "sequences and vectors are not cut"},
    {"encoding", "split", "utf-8|utf8", WARNED, "texts are taken as UTF-8"},
    {"threshold", "split", "", WARNED,
     "interactions have no labels; val_interval keeps those within an interval"},
    {"preload_weight", "split", "", REFUSED,
     "vectors of items are given by embedding_field, or by --embedding"},
    {"benchmark_filename", "split", "", WARNED,
     "the parts of a split are given by --train, --valid and --test"},
    /* ids and graphs that the models here do not have */
    {"alias_of_user_id", "split", "", WARNED, "ids of other columns are not added to the users"},
    {"alias_of_item_id", "split", "", WARNED, "ids of other columns are not added to the items"},
    {"alias_of_entity_id", NULL, NULL, LISTED, NULL},
    {"alias_of_relation_id", NULL, NULL, LISTED, NULL},
    {"kg_reverse_r", NULL, NULL, LISTED, NULL},
    {"entity_kg_num_interval", NULL, NULL, LISTED, NULL},
    {"relation_kg_num_interval", NULL, NULL, LISTED, NULL},
    /* training */
    {"shuffle", "epochs", "True", WARNED, "each epoch has a random order of its own"},
    {"clip_grad_norm", "epochs", "", REFUSED, "gradients are not clipped: leave it empty"},
    {"transform", "epochs", "", REFUSED, "batches are not transformed: leave it empty"},
    {"training_neg_sample_num", "epochs", "1", REFUSED,
     "write train_neg_sample_args: {distribution: uniform, sample_num: 1}"},
    {"knn_method", "epochs", "item", REFUSED, "expected item: the neighbours are those of items"},
    {"require_training", NULL, NULL, LISTED, NULL},
    /* evaluation: the whole catalogue is ranked, and a larger metric is better */
    {"eval_batch_size", NULL, NULL, LISTED, NULL},
    {"valid_metric_bigger", NULL, NULL, LISTED, NULL},
    {"eval_neg_sample_args", NULL, NULL, LISTED, NULL},
    {"eval_type", NULL, NULL, LISTED, NULL},
    {"MODEL_TYPE", NULL, NULL, LISTED, NULL},
    {"MODEL_INPUT_TYPE", NULL, NULL, LISTED, NULL},
    {"context", NULL, NULL, LISTED, NULL}, /* LLMInit's, which reads it nowhere */
};

/* True only if something stands before the end: "_FIELD" alone is no key of RecBole. */
static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

/* Besides the table: names of columns (HEAD_ENTITY_ID_FIELD, NEG_PREFIX, ...), which are taken as
 * they are. */
static const key_rule *find_rule(const char *name)
{
    static const key_rule column = {.name = "column"};

    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++)
        if (strcmp(rules[k].name, name) == 0) return &rules[k];
    return ends_with(name, "_FIELD") || ends_with(name, "_SUFFIX") || ends_with(name, "_PREFIX")
               ? &column
               : NULL;
}

static cf_status apply_rule(config_update *update, const key_rule *rule, const yaml_node_t *node)
{
    if (rule->fine == NULL || config_says(node, rule->fine)) return CF_OK;
    if (rule->otherwise == LISTED) return config_append_name(&update->ignored, rule->name);
    if (rule->otherwise == REFUSED)
        return config_fail(&update->source, node, rule->name, "%s", rule->why);
    config_warn(&update->source, node, rule->name, "%s", rule->why);
    return CF_OK;
}

/* ---- An entry ------------------------------------------------------------------------------- */

/* True if the running command has the setting. */
static bool concerns(const config_update *update, const char *of)
{
    return of == NULL || config_find(update->config, of) >= 0;
}

/* Null is "not set", so only the name of such an entry counts. */
cf_status config_recbole_read(config_update *update, const char *name, const yaml_node_t *node,
                              bool *known)
{
    const char *setting = find_alias(name);
    const key_rule *rule = find_rule(name);

    *known = true;
    if (setting != NULL)
        return concerns(update, setting) ? config_update_value(update, setting, node) : CF_OK;
    for (size_t k = 0; k < sizeof readers / sizeof *readers; k++)
        if (strcmp(readers[k].name, name) == 0)
            return config_is_null(node) || !concerns(update, readers[k].of)
                       ? CF_OK
                       : readers[k].read(update, node);
    *known = rule != NULL;
    return rule == NULL || config_is_null(node) || !concerns(update, rule->of)
               ? CF_OK
               : apply_rule(update, rule, node);
}

/* ---- LLMInit's models ----------------------------------------------------------------------- */

/* LLMInit gives a model that starts from the vectors a name of its own. */
static const char *const llminit_models[][2] = {
    {"ContGCN", "LightGCN"}, {"ContSGL", "SGL"}, {"ContSGCL", "SGCL"}};

static const char *const *find_llminit(const char *name)
{
    for (size_t k = 0; k < sizeof llminit_models / sizeof *llminit_models; k++)
        if (strcasecmp(llminit_models[k][0], name) == 0) return llminit_models[k];
    return NULL;
}

/* The spelling is the table's, which lives as long as the program. */
const char *cf_config_model_name(const cf_config *config, const char *name)
{
    const char *const *pair = find_llminit(name);
    const int row = config_find(config, "model");
    char choice[64];

    if (row < 0) return NULL;
    if (pair != NULL) return pair[1];
    for (int k = 0; config_choice(config->rows[row], k, choice) != NULL; k++)
        if (strcasecmp(choice, name) == 0) return name;
    return NULL;
}

cf_status config_recbole_model(config_update *update, const yaml_node_t *node)
{
    const char *text = config_scalar(node);
    const char *const *pair = text != NULL ? find_llminit(text) : NULL;

    update->llminit.model = pair != NULL ? pair[0] : NULL;
    return pair != NULL ? config_update_text(update, "model", node, pair[1])
                        : config_update_value(update, "model", node);
}

/* In LLMInit `emb_selection: False` is the whole vector, and the width of the model is then that of
 * the vectors, whatever embedding_size says. */
cf_status cf_config_settle(cf_config *config)
{
    const config_llminit *llminit = &config->llminit;
    const int row = config_find(config, "emb_selection");
    bool whole = row >= 0 && config->values[row].given &&
                 strcmp(config->values[row].texts[0], "False") == 0 &&
                 (llminit->model != NULL || llminit->width > 0);
    char told[80] = "", size[64] = "";
    cf_status status = CF_OK;

    if (llminit->model != NULL)
        snprintf(told, sizeof told, "model: %s is %s", llminit->model,
                 find_llminit(llminit->model)[1]);
    if (whole) {
        CF_TRY(cf_config_set(config, "emb_selection=full"));
        if (llminit->width > 0)
            snprintf(size, sizeof size, "embedding_size=%lld", (long long)llminit->width);
        if (llminit->width > 0) CF_TRY(cf_config_set(config, size));
    }
    if (whole || llminit->model != NULL)
        cf_log("as in LLMInit: %s%s%s", told, whole && llminit->model != NULL ? ", " : "",
               whole ? "emb_selection: False is full, the whole vector" : "");
done:
    return status;
}
