/* The settings of train, the options read from them, and the list of all tables that make the
 * settings of a run. */
#include "internal.h"

const cf_setting cf_train_settings[] = {
    {.name = "seed",
     .kind = CF_SETTING_INT,
     .initial = "2020",
     .min = 0,
     .max = 9007199254740992.0,
     .help = "seed of all random numbers"},
    {.name = "epochs",
     .kind = CF_SETTING_INT,
     .initial = "300",
     .min = 0,
     .max = 1e9,
     .help = "maximum number of epochs",
     .changeable = true},
    {.name = "train_batch_size",
     .kind = CF_SETTING_INT,
     .initial = "2048",
     .min = 1,
     .max = 33554431,
     .help = "samples in a batch, over all ranks"},
    {.name = "neg_exclude",
     .kind = CF_SETTING_CHOICE,
     .initial = "train",
     .choices = "train|current",
     .help = "negatives avoid all train items of the user, or only the positive of the sample"},
    {.name = "neg_distribution",
     .kind = CF_SETTING_CHOICE,
     .initial = "uniform",
     .choices = "uniform|popularity",
     .help = "negatives are drawn uniformly, or by their number of train interactions"},
    {.name = "neg_sample_num",
     .kind = CF_SETTING_INT,
     .initial = "1",
     .min = 1,
     .max = 33554431,
     .help = "samples of each positive in an epoch, each with a negative of its own"},
    {.name = "eval_step",
     .kind = CF_SETTING_INT,
     .initial = "1",
     .min = 0,
     .max = 1e9,
     .help = "epochs between evaluations of the valid part (0: none)",
     .changeable = true},
    {.name = "collapse_every",
     .kind = CF_SETTING_INT,
     .initial = "10",
     .min = 0,
     .max = 1e9,
     .help = "evaluations between two measurements of the tables' singular values, for log.jsonl; "
             "the last is of the best epoch (0: none)",
     .changeable = true},
    {.name = "stopping_step",
     .kind = CF_SETTING_INT,
     .initial = "10",
     .min = 0,
     .max = 1e9,
     .help = "stop after more than this many evaluations without a better valid_metric",
     .changeable = true},
    {.name = "checkpoint_interval",
     .kind = CF_SETTING_REAL,
     .initial = "60",
     .min = 0,
     .max = 1e9,
     .help = "seconds between checkpoints, at least 20 times what one takes (0: after every epoch)",
     .machine = true},
    {.name = "grid",
     .kind = CF_SETTING_TEXT,
     .initial = "auto",
     .help = "auto, or ROWSxCOLUMNS: blocks of users and items x slices of dimensions",
     .machine = true},
    {0},
};

cf_status run_read_options(const cf_config *config, run_options *out)
{
    *out = (run_options){
        .epochs = cf_config_int(config, "epochs"),
        .eval_step = cf_config_int(config, "eval_step"),
        .stopping_step = cf_config_int(config, "stopping_step"),
        .collapse_every = cf_config_int(config, "collapse_every"),
        .checkpoint_interval = cf_config_real(config, "checkpoint_interval"),
        .grid = cf_config_text(config, "grid"),
        .is_closed = cf_closed_is(config),
    };
    if (out->is_closed) {
        cf_closed_read_options(config, &out->closed);
        return cf_cold_read_options(config, &out->cold);
    }
    cf_model_read_options(config, &out->model);
    cf_optim_read_options(config, &out->optim);
    cf_select_read_options(config, &out->select);
    sampler_read_options(config, &out->sampler);
    return cf_cold_read_options(config, &out->cold);
}

cf_status run_warn_unused(const cf_config *config, const char *model, const char *uses)
{
    char used[1024], *others = NULL;
    cf_status status;

    snprintf(used, sizeof used,
             "model,interaction_weights,seed,eval_step,topk,valid_metric,valid_candidates,mask_"
             "history,cold_map,"
             "cold_neighbors,cold_reg,cold_gains,calibrate_share,calibrate_users,%s",
             uses);
    CF_TRY(cf_config_changed(config, used, &others));
    if (*others != '\0') cf_warn("without meaning for %s: %s", model, others);
done:
    cf_free(&others);
    return status;
}

const cf_setting *const cf_train_tables[] = {
    cf_model_settings, cf_closed_settings, cf_select_settings, cf_train_settings,
    cf_optim_settings, cf_eval_settings,   cf_cold_settings,   cf_config_settings};
const int cf_train_n_tables = sizeof cf_train_tables / sizeof cf_train_tables[0];
