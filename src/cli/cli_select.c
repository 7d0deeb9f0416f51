/* select: which dimensions of the language model's vectors a run would start from. */
#include "cli.h"

static json_t *selection_json(const cf_selection *selection)
{
    json_t *dims = json_array(), *variances = json_array();

    for (int64_t k = 0; k < selection->n_dims; k++) {
        json_array_append_new(dims, json_integer((json_int_t)selection->dims[k]));
        json_array_append_new(variances, json_real(selection->variances[k]));
    }
    return json_pack("{s:o, s:o, s:I}", "dims", dims, "variances", variances, "popular_items",
                     (json_int_t)selection->n_popular);
}

static cf_status run(const cf_par *world, const cli_arguments *arguments)
{
    cf_config *config = NULL;
    cf_dataset *dataset = NULL;
    cf_selection *selection = NULL;
    cf_status status;

    CF_TRY(cli_create_config(world, arguments, cli_value(arguments, "settings"), &config));
    if (cf_config_is(config, "emb_selection", "False"))
        CF_TRY(CF_FAIL(CF_ERR_USAGE, "select: emb_selection is False: there is nothing to select"));
    CF_TRY(cf_dataset_open(world, arguments->positional[0], &dataset));
    CF_TRY(cf_select_dims(dataset, config, &selection));
    CF_TRY(cli_print_json(world, world->rank == 0 ? selection_json(selection) : NULL));
done:
    cf_select_destroy(&selection);
    cf_dataset_close(&dataset);
    cf_config_destroy(&config);
    return status;
}

static const cli_option options[] = {{"settings", "FILE.yaml", "settings, as for --set", false},
                                     {0}};

const cli_command cli_select = {
    .name = "select",
    .summary = "print the dimensions that are selected, and their variances, as JSON",
    .operand = "DATA.h5",
    .settings = CLI_SETTINGS_TRAIN,
    .has_json = true,
    .options = options,
    .run = run,
};
