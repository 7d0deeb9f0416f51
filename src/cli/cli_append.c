/* append: a dataset file from another one and new items, users and interactions.
 *
 * cf_ingest_append() does the work; here the paths are taken from the options, and its report is
 * printed. */
#include "cli.h"

#include "cf/ingest.h"

/* The object of --json. */
static json_t *report_json(const cf_ingest_append_report *r)
{
    return CF_JSON_OBJECT(
        {"users", json_integer(r->n_users)}, {"items", json_integer(r->n_items)},
        {"new_users", json_integer(r->new_users)}, {"new_items", json_integer(r->new_items)},
        {"known_items", json_integer(r->known_items)}, {"added", json_integer(r->added)},
        {"test", json_integer(r->test)}, {"moved_from_test", json_integer(r->moved)},
        {"repeats", json_integer(r->repeats)}, {"of_unknown_items", json_integer(r->unknown)},
        {"new_missing_vectors", json_integer(r->n_missing)}, {"seconds", json_real(r->seconds)});
}

/* Counts of the dataset, of what is new, and of what was left out. */
static void print_appended(const cf_ingest_append_report *r, const char *path)
{
    cli_print_line("%s: %lld users, %lld items; new: %lld users, %lld items, %lld added and %lld "
                   "test interactions",
                   path, (long long)r->n_users, (long long)r->n_items, (long long)r->new_users,
                   (long long)r->new_items, (long long)r->added, (long long)r->test);
    if (r->known_items > 0)
        printf("left out %lld items that the dataset has\n", (long long)r->known_items);
    if (r->repeats > 0)
        printf("left out %lld interactions that the dataset has, or that come twice\n",
               (long long)r->repeats);
    if (r->moved > 0)
        printf("%lld of the added interactions were in the test part, and left it\n",
               (long long)r->moved);
    if (r->unknown > 0)
        printf("dropped %lld interactions of items that neither the dataset nor --item has "
               "(filter_inter_by_user_or_item)\n",
               (long long)r->unknown);
    if (r->embedding_dim > 0 && r->n_missing > 0)
        printf("%lld new items have no vector\n", (long long)r->n_missing);
    printf("%.2f s\n", r->seconds);
}

/* The settings are read before any input, so that a misspelt one costs no time. */
static cf_status run_append(const cf_par *world, const cli_arguments *arguments)
{
    const cf_ingest_append_paths paths = {
        .data = arguments->positional[0],
        .item = cli_value(arguments, "item"),
        .embedding = cli_value(arguments, "embedding"),
        .embedding_ids = cli_value(arguments, "embedding-ids"),
        .inter = cli_value(arguments, "inter"),
        .test = cli_value(arguments, "test"),
        .out = cli_value(arguments, "out"),
    };
    cf_ingest_options options;
    cf_ingest_append_report report = {0};
    cf_config *config = NULL;
    cf_status status;

    CF_TRY(cli_create_config(world, arguments, &config));
    CF_TRY(cf_ingest_read_append_options(config, &options));
    CF_TRY(cf_ingest_append(world, &options, &paths, &report));
    if (arguments->json)
        CF_TRY(cli_print_json(world, world->rank == 0 ? report_json(&report) : NULL));
    else if (world->rank == 0)
        print_appended(&report, paths.out);
done:
    cf_config_destroy(&config);
    return status;
}

static const cli_option append_options[] = {
    {"out", "FILE.h5", "the dataset to write", true, CLI_OUTPUT},
    {"item", "FILE", "RecBole .item: new items, and titles or vectors", false, CLI_INPUT},
    {"embedding", "FILE",
     "vectors of the new items, in the order of --item or --embedding-ids: .npy, HDF5, or "
     "FILE.h5:/DATASET",
     false, CLI_INPUT},
    {"embedding-ids", "FILE", "item ids of the vectors, one a line", false, CLI_INPUT},
    {"inter", "FILE", "interactions since the training, of old and new users and items", false,
     CLI_INPUT},
    {"test", "FILE", "interactions for the test part", false, CLI_INPUT},
    {"settings", "FILE.yaml",
     "settings that say how files are read; may be repeated, a later file counts", false,
     CLI_SETTINGS_FILE},
    {0}};

const cli_command cli_append = {
    .name = "append",
    .summary = "add new items, users and interactions to a dataset",
    .operand = "DATA.h5",
    .operand_kind = CLI_INPUT,
    .remarks =
        "At least one of --item, --inter and --test. A checkpoint of a training with DATA.h5 is "
        "used with\n"
        "the new dataset: evaluate, recommend and export take it with --data.",
    .settings = CLI_SETTINGS_APPEND,
    .has_json = true,
    .options = append_options,
    .run = run_append,
};
