/* The settings of select, and whether they fit. */
#include "internal.h"

#include <inttypes.h>

const cf_setting cf_select_settings[] = {
    {.name = "emb_selection",
     .kind = CF_SETTING_CHOICE,
     .initial = "var",
     .choices = "uni|rand|var|qr|full|pca|whiten|projection|False",
     .help = "which dimensions of the language-model vectors, or which map of them, start the item "
             "table; False: noise"},
    {.name = "embedding_size",
     .kind = CF_SETTING_INT,
     .initial = "64",
     .min = 1,
     .max = 65536,
     .help = "dimensions of the model"},
    {.name = "popular_ratio",
     .kind = CF_SETTING_REAL,
     .initial = "0.2",
     .min = 0,
     .max = 1,
     .help = "share of the items, the most interacted, over which var takes the variance"},
    {.name = "rand_replacement",
     .kind = CF_SETTING_BOOL,
     .initial = "false",
     .help = "rand draws with replacement, so that a dimension may come twice"},
    {.name = "whiten_power",
     .kind = CF_SETTING_REAL,
     .initial = "1",
     .min = 0,
     .max = 1,
     .help = "whiten: divide each direction by its standard deviation to this power (0: as pca)"},
    {.name = "pca_one_rank",
     .kind = CF_SETTING_INT,
     .initial = "2048",
     .min = 0,
     .max = 32000,
     .help = "pca and whiten of vectors, and spectra of tables, up to so wide: one rank finds "
             "them, with "
             "the same bits on any number of ranks; of wider ones all ranks do"},
    {.name = "emb_scale",
     .kind = CF_SETTING_CHOICE,
     .initial = "none",
     .choices = "none|center|minmax|l2",
     .help = "map of the result: minus the means (a map does it anyway), to [0, 1], or each row to "
             "length 1"},
    {.name = "emb_gain",
     .kind = CF_SETTING_REAL,
     .initial = "1",
     .min = 1e-6,
     .max = 1e6,
     .help = "factor on the starting item vectors"},
    {.name = "emb_norm",
     .kind = CF_SETTING_REAL,
     .initial = "0",
     .min = 0,
     .max = 1e6,
     .help = "mean length of the starting item vectors, instead of emb_gain (0: off)"},
    {.name = "missing_embedding",
     .kind = CF_SETTING_CHOICE,
     .initial = "error",
     .choices = "error|zero|mean|random",
     .help = "what stands for the vector of an item without one"},
    {.name = "select_memory",
     .kind = CF_SETTING_INT,
     .initial = "64",
     .min = 1,
     .max = 1048576,
     .help = "buffer of a rank for reading the vectors, MiB",
     .machine = true},
    {.name = NULL},
};

bool select_is_map(const cf_config *config)
{
    return cf_config_is(config, "emb_selection", "pca") ||
           cf_config_is(config, "emb_selection", "whiten") ||
           cf_config_is(config, "emb_selection", "projection");
}

cf_status select_check_settings(const cf_dataset *dataset, const cf_config *config,
                                int64_t n_popular)
{
    const char *path = cf_dataset_path(dataset);
    const int64_t size = cf_config_int(config, "embedding_size"), dim = dataset->embedding_dim;

    if (dim == 0)
        return CF_FAIL(CF_ERR_USAGE,
                       "%s: has no language-model vectors, which emb_selection: %s "
                       "needs; emb_selection: False starts from noise",
                       path, cf_config_text(config, "emb_selection"));
    if (size > dim)
        return CF_FAIL(CF_ERR_USAGE,
                       "embedding_size is %" PRId64 ", but the vectors of %s have %" PRId64
                       " dimensions",
                       size, path, dim);
    if (cf_config_is(config, "emb_selection", "full") && size != dim)
        return CF_FAIL(CF_ERR_USAGE,
                       "embedding_size is %" PRId64 ", but emb_selection: full takes all %" PRId64
                       " dimensions of %s",
                       size, dim, path);
    if (cf_config_is(config, "emb_selection", "var") && n_popular < 2)
        return CF_FAIL(CF_ERR_USAGE,
                       "popular_ratio %g of %" PRId64 " items is %" PRId64
                       ", but a variance needs at least 2 items",
                       cf_config_real(config, "popular_ratio"), dataset->n_items, n_popular);
    if (select_is_map(config) && cf_config_is(config, "emb_scale", "minmax"))
        return CF_FAIL(CF_ERR_USAGE,
                       "emb_scale: minmax is for dimensions, not for emb_selection: %s",
                       cf_config_text(config, "emb_selection"));
    if (cf_config_real(config, "emb_norm") > 0 && cf_config_real(config, "emb_gain") != 1)
        return CF_FAIL(CF_ERR_USAGE, "emb_norm and emb_gain both set the length of the starting "
                                     "vectors: give one of them");
    return CF_OK;
}
