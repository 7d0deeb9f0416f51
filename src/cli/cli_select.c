/* select: the dimensions of the language model's vectors that a run would start from, or the map.
 *
 * What train would do at its start, without training: the dimensions with their variances, or the
 * variances and scales of the principal components, as JSON. --out keeps the selection in a file.
 */
#include "cli.h"

/* values / divisor; zeros if the divisor is 0 (vectors that are all equal have no variance). */
static json_t *reals_json(const double *values, int64_t count, double divisor)
{
    json_t *array = json_array();

    for (int64_t k = 0; k < count; k++)
        cf_train_json_append(&array, json_real(divisor > 0 ? values[k] / divisor : 0));
    return array;
}

/* A selection of dimensions: their indices, and their variances over the popular items. */
static json_t *dims_json(const cf_selection *selection)
{
    json_t *dims = json_array();

    for (int64_t k = 0; k < selection->n_dims; k++)
        cf_train_json_append(&dims, json_integer((json_int_t)selection->dims[k]));
    return CF_JSON_OBJECT({"dims", dims},
                          {"variances", reals_json(selection->variances, selection->n_dims, 1)},
                          {"popular_items", json_integer(selection->n_popular)});
}

/* A map: variances of the components, their fractions of the total, and factors. The components
 * themselves are too large for JSON; --out writes them. */
static json_t *map_json(const cf_selection *selection)
{
    const cf_selection *s = selection;

    return CF_JSON_OBJECT({"variances", reals_json(s->variances, s->n_dims, 1)},
                          {"shares", reals_json(s->variances, s->n_dims, s->total_variance)},
                          {"total_variance", json_real(s->total_variance)},
                          {"scales", reals_json(s->scales, s->n_dims, 1)},
                          {"gain", json_real(s->gain)});
}

/* The selection as an HDF5 file of its own kind. Collective. */
static cf_status write_file(const cf_par *world, const char *path, const cf_selection *selection)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(cf_store_create(world, path, "selection", &store));
    CF_TRY(cf_select_write(world, selection, store));
    CF_TRY(cf_store_commit(&store));
done:
    cf_store_close(&store);
    return status;
}

/* The result is JSON with or without --json. */
static cf_status run_select(const cf_par *world, const cli_arguments *arguments)
{
    const char *out = cli_value(arguments, "out");
    cf_config *config = NULL;
    cf_dataset *dataset = NULL;
    cf_selection *selection = NULL;
    json_t *json = NULL;
    cf_select_options select;
    cf_status status;

    CF_TRY(cli_create_config(world, arguments, &config));
    cf_select_read_options(config, &select);
    CF_REQUIRE(select.method != CF_SELECT_NOISE, CF_ERR_USAGE,
               "select: emb_selection is False: there is nothing to select");
    CF_TRY(cf_dataset_open(world, arguments->positional[0], &dataset));
    CF_TRY(cf_select_create(dataset, &select, &selection));
    if (out) CF_TRY(write_file(world, out, selection));
    if (world->rank == 0)
        json = selection->source_dim > 0 ? map_json(selection) : dims_json(selection);
    CF_TRY(cli_print_json(world, json));
done:
    cf_select_destroy(&selection);
    cf_dataset_close(&dataset);
    cf_config_destroy(&config);
    return status;
}

static const cli_option select_options[] = {
    {"settings", "FILE.yaml", "settings of train; may be repeated, a later file counts", false,
     CLI_SETTINGS_FILE},
    {"out", "FILE.h5", "write the dimensions, or the map (mean, components, scales)", false,
     CLI_OUTPUT},
    {0}};

const cli_command cli_select = {
    .name = "select",
    .summary = "print the selected dimensions, or the variances of a map, as JSON",
    .operand = "DATA.h5",
    .operand_kind = CLI_INPUT,
    .settings = CLI_SETTINGS_TRAIN,
    .has_json = true,
    .options = select_options,
    .uses_blas = true,
    .run = run_select,
};
