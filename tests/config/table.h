/** Two tables with settings of every kind, and what the tests of config share. */
#pragma once

#include "cf/config.h"
#include "cf_test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const cf_setting model_table[] = {
    {.name = "embedding_size",
     .kind = CF_SETTING_INT,
     .initial = "64",
     .min = 1,
     .max = 4096,
     .help = "numbers per user and item"},
    {.name = "learning_rate",
     .kind = CF_SETTING_REAL,
     .initial = "0.001",
     .min = 0,
     .max = 10,
     .help = "step size"},
    {.name = "require_pow", .kind = CF_SETTING_BOOL, .initial = "false", .help = "squared norms"},
    {.name = "emb_selection",
     .kind = CF_SETTING_CHOICE,
     .initial = "var",
     .choices = "uni|rand|var|full|False",
     .help = "rule"},
    {.name = "topk",
     .kind = CF_SETTING_INT_LIST,
     .initial = "[10, 20]",
     .min = 1,
     .max = 1000,
     .help = "cut-offs"},
    {.name = "valid_metric",
     .kind = CF_SETTING_TEXT,
     .initial = "NDCG@10",
     .help = "what early stop watches"},
    {.name = "seed",
     .kind = CF_SETTING_INT,
     .initial = "2020",
     .min = 0,
     .max = 9e18,
     .help = "seed"},
    {.name = "epochs",
     .kind = CF_SETTING_INT,
     .initial = "300",
     .min = 0,
     .max = 1e9,
     .help = "epochs",
     .changeable = true},
    {.name = "model",
     .kind = CF_SETTING_CHOICE,
     .initial = "LightGCN",
     .choices = "BPR|LightGCN|SGL|SGCL",
     .help = "model"},
    {.name = "mask_history", .kind = CF_SETTING_BOOL, .initial = "true", .help = "masked"},
    {.name = "neg_exclude",
     .kind = CF_SETTING_CHOICE,
     .initial = "train",
     .choices = "train|current",
     .help = "what negatives avoid"},
    {.name = "neg_distribution",
     .kind = CF_SETTING_CHOICE,
     .initial = "uniform",
     .choices = "uniform|popularity",
     .help = "how negatives are drawn"},
    {.name = "neg_sample_num",
     .kind = CF_SETTING_INT,
     .initial = "1",
     .min = 1,
     .max = 100,
     .help = "negatives of a positive"},
    {0},
};
static const cf_setting data_table[] = {
    {.name = "split",
     .kind = CF_SETTING_CHOICE,
     .initial = "RS",
     .choices = "RS|LS|TS",
     .help = "how interactions are split"},
    {.name = "split_ratios",
     .kind = CF_SETTING_REAL_LIST,
     .initial = "[0.8, 0.1, 0.1]",
     .min = 0,
     .max = 1,
     .help = "parts"},
    {.name = "split_times", .kind = CF_SETTING_TEXT_LIST, .initial = "", .help = "TS: times"},
    {.name = "order",
     .kind = CF_SETTING_CHOICE,
     .initial = "random",
     .choices = "random|time",
     .help = "order of a split"},
    {.name = "val_interval", .kind = CF_SETTING_MAP, .initial = "", .help = "rating intervals"},
    {.name = "field_separator",
     .kind = CF_SETTING_TEXT,
     .initial = "\"\\t\"",
     .help = "between columns"},
    {.name = "title_field", .kind = CF_SETTING_TEXT, .initial = "title", .help = "column"},
    {.name = "embedding_field", .kind = CF_SETTING_TEXT, .initial = "", .help = "column"},
    {.name = "time_field",
     .kind = CF_SETTING_TEXT,
     .initial = "timestamp",
     .help = "column of times"},
    {.name = "limit",
     .kind = CF_SETTING_REAL,
     .initial = ".inf",
     .min = -1e300,
     .max = INFINITY,
     .help = "a number without an end"},
    {.name = "grid",
     .kind = CF_SETTING_TEXT,
     .initial = "auto",
     .help = "shape of the grid",
     .machine = true},
    {0},
};
static const cf_setting *const tables[] = {model_table, data_table};
enum { N_TABLES = 2 };

static inline cf_config *new_config(void)
{
    cf_config *config = NULL;

    assert_int_equal(cf_config_create(tables, N_TABLES, &config), CF_OK);
    return config;
}

/* The value of a setting as it would be saved. */
static inline void assert_saved(const cf_config *config, const char *name, const char *value)
{
    char *yaml = NULL, line[200];

    assert_int_equal(cf_config_to_yaml(config, &yaml), CF_OK);
    snprintf(line, sizeof line, "%s: %s\n", name, value);
    if (!strstr(yaml, line)) fail_msg("\"%s\" is not in\n%s", line, yaml);
    cf_free(&yaml);
}
