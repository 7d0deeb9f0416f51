/* The settings of cold items, and the options read from them. */
#include "cf/cold.h"

#include <string.h>

const cf_setting cf_cold_settings[] = {
    {.name = "cold_map",
     .kind = CF_SETTING_CHOICE,
     .initial = "auto",
     .choices = "auto|nearest|ridge|zero|none",
     .help = "rows of cold items: the mean of the nearest warm items, a linear map of the vector, "
             "zeros, or as the model has them; auto: ridge for item-item matrices, else nearest",
     .afterwards = true},
    {.name = "cold_neighbors",
     .kind = CF_SETTING_INT_LIST,
     .initial = "[5]",
     .min = 1,
     .max = 1000,
     .help = "cold_map: nearest: numbers of warm items to try",
     .afterwards = true},
    {.name = "cold_reg",
     .kind = CF_SETTING_REAL_LIST,
     .initial = "[0.3, 1, 3, 10]",
     .min = 0,
     .max = 1e9,
     .help = "cold_map: ridge: numbers to try, added to the diagonal of the vectors' Gram matrix",
     .afterwards = true},
    {.name = "cold_gains",
     .kind = CF_SETTING_REAL_LIST,
     .initial = "[0.5, 0.7, 1, 1.4, 2, 2.8, 4]",
     .min = 1e-6,
     .max = 1e6,
     .help = "factors of the rows of cold items to try",
     .afterwards = true},
    {.name = "calibrate_by",
     .kind = CF_SETTING_CHOICE,
     .initial = "auto",
     .choices = "auto|ndcg|norm",
     .help = "what chooses the factor: NDCG@10 of items that are held out, or the lengths of their "
             "rows; auto: ndcg for item-item matrices, norm for models that are trained by steps",
     .afterwards = true},
    {.name = "calibrate_loss",
     .kind = CF_SETTING_REAL,
     .initial = "0.08",
     .min = 0,
     .max = 1,
     .help = "calibrate_by: ndcg: share of the hits of other items that a factor may cost",
     .afterwards = true},
    {.name = "calibrate_share",
     .kind = CF_SETTING_REAL,
     .initial = "0.1",
     .min = 0,
     .max = 0.5,
     .help = "share of the warm items that is held out to choose among those numbers (0: the first "
             "of each list, and a factor of 1)",
     .afterwards = true},
    {.name = "calibrate_users",
     .kind = CF_SETTING_INT,
     .initial = "4096",
     .min = 1,
     .max = 1e9,
     .help = "users with whom they are chosen, at most",
     .afterwards = true},
    {0},
};

const char *const cf_cold_kind_names[] = {[CF_COLD_NONE] = "none",
                                          [CF_COLD_ZERO] = "zero",
                                          [CF_COLD_NEAREST] = "nearest",
                                          [CF_COLD_RIDGE] = "ridge",
                                          [CF_COLD_AUTO] = "auto"};

static cf_cold_kind read_kind(const cf_config *config)
{
    int kind = 0;

    while (!cf_config_is(config, "cold_map", cf_cold_kind_names[kind]))
        kind++;
    return (cf_cold_kind)kind;
}

static cf_status check_count(const char *name, int count)
{
    if (count >= 1 && count <= CF_COLD_MOST) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE, "%s: %d numbers, expected 1 to %d", name, count, CF_COLD_MOST);
}

static cf_status read_reals(const cf_config *config, const char *name, int *count, double *out)
{
    const double *values = cf_config_reals(config, name, count);
    const cf_status status = check_count(name, *count);

    if (status == CF_OK) memcpy(out, values, (size_t)*count * sizeof *out);
    return status;
}

cf_status cf_cold_read_options(const cf_config *config, cf_cold_options *out)
{
    cf_cold_options options = {.kind = read_kind(config),
                               .by = cf_config_is(config, "calibrate_by", "ndcg") ? CF_COLD_BY_NDCG
                                     : cf_config_is(config, "calibrate_by", "norm")
                                         ? CF_COLD_BY_NORM
                                         : CF_COLD_BY_AUTO,
                               .calibrate_loss = cf_config_real(config, "calibrate_loss"),
                               .calibrate_share = cf_config_real(config, "calibrate_share"),
                               .calibrate_users = cf_config_int(config, "calibrate_users"),
                               .seed = (uint64_t)cf_config_int(config, "seed")};
    const int64_t *neighbors = cf_config_ints(config, "cold_neighbors", &options.n_neighbors);
    cf_status status;

    CF_TRY(check_count("cold_neighbors", options.n_neighbors));
    memcpy(options.neighbors, neighbors, (size_t)options.n_neighbors * sizeof *neighbors);
    CF_TRY(read_reals(config, "cold_reg", &options.n_reg, options.reg));
    CF_TRY(read_reals(config, "cold_gains", &options.n_gains, options.gains));
    *out = options;
done:
    return status;
}
