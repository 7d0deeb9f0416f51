/* The settings of models, in one table, and cf_model_options, which they are read into once: the
 * rest of the module sees numbers and no names of settings. Names are RecBole's where it has them
 * (n_layers, reg_weight, ssl_tau, ...). A setting that a model does not use is read all the same,
 * and ignored. */
#include "contrast.h"
#include "internal.h"

#include <math.h>
#include <stdio.h>

const cf_setting cf_model_settings[] = {
    {.name = "model",
     .kind = CF_SETTING_CHOICE,
     .initial = "LightGCN",
     .choices = "BPR|LightGCN|SGL|SGCL|iALS|EASE|L3AE|ItemKNN|Pop|ChebyCF|GF-CF",
     .help = "model to train; EASE, L3AE, ItemKNN, Pop, ChebyCF and GF-CF are computed at once, "
             "without epochs; an epoch of iALS is a sweep over all users and items"},
    {.name = "n_layers",
     .kind = CF_SETTING_INT,
     .initial = "2",
     .min = 0,
     .max = 64,
     .help = "LightGCN, SGL, SGCL: number of propagation layers"},
    {.name = "propagate",
     .kind = CF_SETTING_CHOICE,
     .initial = "always",
     .choices = "always|test",
     .help = "LightGCN: propagate in training too, or train the raw tables as BPR does and "
             "propagate them to rank only"},
    {.name = "reg_weight",
     .kind = CF_SETTING_REAL,
     .initial = "1e-05",
     .min = -1e6,
     .max = 1e6,
     .help = "LightGCN, SGL: weight of the norms of the batch's raw rows; iALS: of the squares of "
             "the rows (default 0.01); EASE, L3AE: added to the diagonal of the Gram matrix "
             "(default 250 and 10), of L3AE above minus distill_weight, else at least 0"},
    {.name = "require_pow",
     .kind = CF_SETTING_BOOL,
     .initial = "false",
     .help = "regularize by half the squared norms instead of the norms"},
    {.name = "type",
     .kind = CF_SETTING_CHOICE,
     .initial = "ED",
     .choices = "ED|ND|RW",
     .help =
         "SGL: views by edge dropout, node dropout, or random walk (edge dropout in each layer)"},
    {.name = "drop_ratio",
     .kind = CF_SETTING_REAL,
     .initial = "0.1",
     .min = 0,
     .max = 1,
     .help = "SGL: fraction of the edges or nodes that a view drops"},
    {.name = "ssl_tau",
     .kind = CF_SETTING_REAL,
     .initial = "0.5",
     .min = CONTRAST_MIN_TAU,
     .max = 1e6,
     .help = "SGL: temperature of the contrastive loss"},
    {.name = "ssl_weight",
     .kind = CF_SETTING_REAL,
     .initial = "0.05",
     .min = 0,
     .max = 1e6,
     .help = "SGL: weight of the contrastive loss"},
    {.name = "temperature",
     .kind = CF_SETTING_REAL,
     .initial = "0.2",
     .min = CONTRAST_MIN_TAU,
     .max = 1e6,
     .help = "SGCL: temperature of the contrastive loss"},
    {.name = "alpha0",
     .kind = CF_SETTING_REAL,
     .initial = "0.01",
     .min = 0,
     .max = 1e6,
     .help = "iALS: weight of each pair of a user and an item, beside the weight 1 of an "
             "interaction"},
    {.name = "nu",
     .kind = CF_SETTING_REAL,
     .initial = "1",
     .min = 0,
     .max = 10,
     .help = "iALS: exponent of the frequency in a row's regularization; 0: the same for all rows, "
             "1: by their share of the loss"},
    {.name = "item_prior",
     .kind = CF_SETTING_CHOICE,
     .initial = "auto",
     .choices = "auto|none|text",
     .help = "iALS: what items are shrunk towards: zero (none), or a linear map of their "
             "language-model vectors that is learned with them (text); auto: text where the "
             "dataset has vectors"},
    {.name = "prior_reg_weight",
     .kind = CF_SETTING_REAL,
     .initial = "3",
     .min = 0,
     .max = 1e9,
     .help = "iALS with item_prior: text: regularization of the map, in units of an item's mean "
             "regularization"},
    {.name = "interaction_weights",
     .kind = CF_SETTING_CHOICE,
     .initial = "use",
     .choices = "use|none",
     .help = "where the dataset has weights of interactions (prepare's weight_field): use: iALS "
             "trains with them, other models refuse them; none: all interactions weigh the same"},
    {.name = "contrast_memory",
     .kind = CF_SETTING_INT,
     .initial = "256",
     .min = 1,
     .max = 1048576,
     .help = "SGL, SGCL: memory of a rank for contrastive scores, in MiB",
     .machine = true},
    {.name = "reach_share",
     .kind = CF_SETTING_REAL,
     .initial = "0.8",
     .min = 0,
     .max = 1,
     .help = "propagate only the rows near a batch while they have at most this fraction of all "
             "edges (0: all rows)",
     .machine = true},
    {.name = "field_precision",
     .kind = CF_SETTING_CHOICE,
     .initial = "float32",
     .choices = "float32|bfloat16",
     .help = "LightGCN, SGL, SGCL: how the layers of propagation are stored and sent; tables, sums "
             "and the optimizer are float32"},
    {.name = "init",
     .kind = CF_SETTING_CHOICE,
     .initial = "xavier",
     .choices = "xavier|normal",
     .help = "noise that the tables start from if emb_selection is False"},
    {.name = "init_std",
     .kind = CF_SETTING_REAL,
     .initial = "0.1",
     .min = 0,
     .max = 1e6,
     .help = "standard deviation of the noise of init: normal (iALS: normal by default, with 0.1 / "
             "the root of embedding_size)"},
    {0},
};

/* The scale of iALS's weight is another than that of a batch's norms; and its noise is that of
 * Rendle et al. A value that the user gave is kept. */
cf_status cf_model_set_defaults(cf_config *config)
{
    char noise[64];
    cf_status status = CF_OK;

    if (!cf_model_sweeps(cf_config_text(config, "model"))) return CF_OK;
    if (!cf_config_given(config, "reg_weight")) CF_TRY(cf_config_set(config, "reg_weight=0.01"));
    if (cf_config_given(config, "init") || cf_config_given(config, "init_std")) goto done;
    snprintf(noise, sizeof noise, "init_std=%.9g",
             0.1 / sqrt((double)cf_config_int(config, "embedding_size")));
    CF_TRY(cf_config_set(config, "init=normal"));
    CF_TRY(cf_config_set(config, noise));
done:
    return status;
}

static cf_view_type read_view_type(const cf_config *config)
{
    if (cf_config_is(config, "type", "ND")) return CF_VIEWS_NODES;
    return cf_config_is(config, "type", "RW") ? CF_VIEWS_WALKS : CF_VIEWS_EDGES;
}

static cf_prior read_prior(const cf_config *config)
{
    if (cf_config_is(config, "item_prior", "none")) return CF_PRIOR_NONE;
    return cf_config_is(config, "item_prior", "text") ? CF_PRIOR_TEXT : CF_PRIOR_AUTO;
}

/* Memory is given in MiB and counted in bytes. */
void cf_model_read_options(const cf_config *config, cf_model_options *out)
{
    *out = (cf_model_options){
        .name = cf_config_text(config, "model"),
        .dim = cf_config_int(config, "embedding_size"),
        .n_layers = (int)cf_config_int(config, "n_layers"),
        .ranking_only = cf_config_is(config, "propagate", "test"),
        .max_edge_fraction = cf_config_real(config, "reach_share"),
        .field_precision =
            cf_config_is(config, "field_precision", "bfloat16") ? CF_BFLOAT16 : CF_FLOAT32,
        .reg_weight = cf_config_real(config, "reg_weight"),
        .require_pow = cf_config_bool(config, "require_pow"),
        .view_type = read_view_type(config),
        .drop_ratio = cf_config_real(config, "drop_ratio"),
        .ssl_tau = cf_config_real(config, "ssl_tau"),
        .ssl_weight = cf_config_real(config, "ssl_weight"),
        .temperature = cf_config_real(config, "temperature"),
        .als = {.alpha0 = cf_config_real(config, "alpha0"),
                .reg_weight = cf_config_real(config, "reg_weight"),
                .nu = cf_config_real(config, "nu")},
        .prior = read_prior(config),
        .prior_reg_weight = cf_config_real(config, "prior_reg_weight"),
        .weighs = cf_config_is(config, "interaction_weights", "use"),
        .contrast_memory = cf_config_int(config, "contrast_memory") << 20,
        .init_xavier = cf_config_is(config, "init", "xavier"),
        .init_std = cf_config_real(config, "init_std"),
    };
}
