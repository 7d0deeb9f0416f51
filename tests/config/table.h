/** A table of settings with one of every kind, for the tests of config. */
#pragma once

#include "cf/config.h"

#include <math.h>

static const cf_setting model_table[] = {
    {"embedding_size", CF_SETTING_INT, "64", 1, 4096, NULL, "numbers per user and item", false},
    {"learning_rate", CF_SETTING_REAL, "0.001", 0, 10, NULL, "step size", false},
    {"require_pow", CF_SETTING_BOOL, "false", 0, 0, NULL, "squared norms", false},
    {"emb_selection", CF_SETTING_CHOICE, "var", 0, 0, "uni|rand|var|full|False", "rule", false},
    {"topk", CF_SETTING_INT_LIST, "[10, 20]", 1, 1000, NULL, "cut-offs", false},
    {"valid_metric", CF_SETTING_TEXT, "NDCG@10", 0, 0, NULL, "what early stop watches", false},
    {"seed", CF_SETTING_INT, "2020", 0, 9e18, NULL, "seed", false},
    {NULL, CF_SETTING_INT, NULL, 0, 0, NULL, NULL, false},
};
static const cf_setting data_table[] = {
    {"split", CF_SETTING_CHOICE, "RS", 0, 0, "RS|LS", "how interactions are split", false},
    {"split_ratios", CF_SETTING_REAL_LIST, "[0.8, 0.1, 0.1]", 0, 1, NULL, "parts", false},
    {"order", CF_SETTING_CHOICE, "random", 0, 0, "random|time", "order of a split", false},
    {"val_interval", CF_SETTING_MAP, "", 0, 0, NULL, "rating intervals", false},
    {"field_separator", CF_SETTING_TEXT, "\"\\t\"", 0, 0, NULL, "between columns", false},
    {"time_field", CF_SETTING_TEXT, "timestamp", 0, 0, NULL, "column of times", false},
    {"limit", CF_SETTING_REAL, ".inf", -1e300, INFINITY, NULL, "a number without an end", false},
    {"grid", CF_SETTING_TEXT, "auto", 0, 0, NULL, "shape of the grid", true},
    {NULL, CF_SETTING_INT, NULL, 0, 0, NULL, NULL, false},
};
static const cf_setting *const tables[] = {model_table, data_table};
enum { N_TABLES = 2 };
