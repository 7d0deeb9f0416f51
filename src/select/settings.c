/* The settings of select: their table, the options read from it once, and the checks that need the
 * dataset or more than one option. */
#include "internal.h"

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
     .help = "fraction of the items, the most interacted, over which var takes the variance"},
    {.name = "rand_replacement",
     .kind = CF_SETTING_BOOL,
     .initial = "false",
     .help = "rand draws with replacement, so that a dimension may repeat"},
    {.name = "whiten_power",
     .kind = CF_SETTING_REAL,
     .initial = "1",
     .min = 0,
     .max = 1,
     .help = "whiten: divide each component by its standard deviation to this power (0: as pca)"},
    {.name = "pca_one_rank",
     .kind = CF_SETTING_INT,
     .initial = "2048",
     .min = 0,
     .max = 32000,
     .help = "pca and whiten of vectors, and spectra of tables: up to this width one rank finds "
             "them, with the same bits on any number of ranks; above it all ranks do"},
    {.name = "emb_scale",
     .kind = CF_SETTING_CHOICE,
     .initial = "none",
     .choices = "none|center|minmax|l2",
     .help =
         "scaling of the result: minus the column means (maps subtract them anyway), to [0, 1], "
         "or each row to length 1"},
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
     .help =
         "items without a vector: refuse them, or start them at zero, at the mean vector, or at a "
         "random draw about it"},
    {.name = "select_memory",
     .kind = CF_SETTING_INT,
     .initial = "64",
     .min = 1,
     .max = 1048576,
     .help = "memory of a rank for reading the vectors, in MiB",
     .machine = true},
    {.name = NULL},
};

/* The choices of the table above, by enum. */
static const char *const methods[] = {[CF_SELECT_NOISE] = "False",
                                      [CF_SELECT_UNI] = "uni",
                                      [CF_SELECT_RAND] = "rand",
                                      [CF_SELECT_VAR] = "var",
                                      [CF_SELECT_QR] = "qr",
                                      [CF_SELECT_FULL] = "full",
                                      [CF_SELECT_PCA] = "pca",
                                      [CF_SELECT_WHITEN] = "whiten",
                                      [CF_SELECT_PROJECTION] = "projection"};
static const char *const scales[] = {[CF_SELECT_NO_SCALE] = "none",
                                     [CF_SELECT_CENTER] = "center",
                                     [CF_SELECT_MINMAX] = "minmax",
                                     [CF_SELECT_L2] = "l2"};
static const char *const missings[] = {[CF_SELECT_MISSING_ERROR] = "error",
                                       [CF_SELECT_MISSING_ZERO] = "zero",
                                       [CF_SELECT_MISSING_MEAN] = "mean",
                                       [CF_SELECT_MISSING_RANDOM] = "random"};

const char *select_method_name(cf_select_method method)
{
    return methods[method];
}

/* The index of a CHOICE in `names`, which has all of its choices. */
static int read_choice(const cf_config *config, const char *setting, const char *const *names)
{
    int index = 0;

    while (!cf_config_is(config, setting, names[index]))
        index++;
    return index;
}

/* The one place of this module that knows the settings by name. */
void cf_select_read_options(const cf_config *config, cf_select_options *out)
{
    *out = (cf_select_options){
        .method = (cf_select_method)read_choice(config, "emb_selection", methods),
        .size = cf_config_int(config, "embedding_size"),
        .popular_ratio = cf_config_real(config, "popular_ratio"),
        .replacement = cf_config_bool(config, "rand_replacement"),
        .whiten_power = cf_config_real(config, "whiten_power"),
        .one_rank_dim = cf_config_int(config, "pca_one_rank"),
        .scale = (cf_select_scale)read_choice(config, "emb_scale", scales),
        .gain = cf_config_real(config, "emb_gain"),
        .norm = cf_config_real(config, "emb_norm"),
        .missing = (cf_select_missing)read_choice(config, "missing_embedding", missings),
        .memory = cf_config_int(config, "select_memory") << 20,
        .seed = (uint64_t)cf_config_int(config, "seed"),
    };
}

/* embedding_size against D. */
static cf_status check_size(const cf_dataset *dataset, const cf_select_options *options)
{
    const char *path = cf_dataset_path(dataset);
    const int64_t dim = dataset->embedding_dim;

    if (dim == 0)
        return CF_FAIL(CF_ERR_USAGE,
                       "%s: has no language-model vectors, which emb_selection: %s needs; "
                       "emb_selection: False starts from noise",
                       path, methods[options->method]);
    if (options->size > dim)
        return CF_FAIL(CF_ERR_USAGE,
                       "embedding_size is %lld, but the vectors of %s have %lld dimensions",
                       (long long)options->size, path, (long long)dim);
    if (options->method == CF_SELECT_FULL && options->size != dim)
        return CF_FAIL(CF_ERR_USAGE,
                       "embedding_size is %lld, but emb_selection: full takes all %lld dimensions "
                       "of %s",
                       (long long)options->size, (long long)dim, path);
    return CF_OK;
}

/* What one setting's row in the table cannot say: two settings that exclude each other, and sizes
 * that depend on the dataset. The first that fails is reported. */
cf_status select_check_options(const cf_dataset *dataset, const cf_select_options *options,
                               int64_t n_popular)
{
    cf_status status;

    CF_TRY(check_size(dataset, options));
    CF_REQUIRE(options->method != CF_SELECT_VAR || n_popular >= 2, CF_ERR_USAGE,
               "popular_ratio %g of %lld items is %lld, but a variance needs at least 2 items",
               options->popular_ratio, (long long)cf_dataset_warm_items(dataset),
               (long long)n_popular);
    CF_REQUIRE(!select_is_map(options->method) || options->scale != CF_SELECT_MINMAX, CF_ERR_USAGE,
               "emb_scale: minmax is for dimensions, not for emb_selection: %s",
               methods[options->method]);
    CF_REQUIRE(options->norm == 0 || options->gain == 1, CF_ERR_USAGE,
               "emb_norm and emb_gain both set the length of the starting vectors: give one of "
               "them");
done:
    return status;
}
