/* prepare: a dataset file from files of interactions, items and vectors.
 *
 * cf_ingest_prepare() does the work and checks that the paths go together; here they are taken from
 * the options, and its report is printed. */
#include "cli.h"

#include "cf/ingest.h"

/* The object of --json. */
static json_t *report_json(const cf_ingest_report *r)
{
    return CF_JSON_OBJECT(
        {"lines", json_integer(r->lines)}, {"duplicates", json_integer(r->duplicates)},
        {"filtered", json_integer(r->filtered)}, {"users", json_integer(r->n_users)},
        {"items", json_integer(r->n_items)}, {"train", json_integer(r->n_train)},
        {"valid", json_integer(r->n_valid)}, {"test", json_integer(r->n_test)},
        {"embedding_dim", json_integer(r->embedding_dim)},
        {"not_in_item_file", json_integer(r->unknown)},
        {"without_vector", json_integer(r->no_vector)},
        {"items_without_interactions", json_integer(r->n_no_interactions)},
        {"cold_items", json_integer(r->cold.n_items)},
        {"cold_valid_items", json_integer(r->cold.n_candidates[0])},
        {"cold_test_items", json_integer(r->cold.n_candidates[1])},
        {"cold_valid", json_integer(r->cold.n_interactions[0])},
        {"cold_test", json_integer(r->cold.n_interactions[1])},
        {"users_without_train", json_integer(r->n_no_train)},
        {"above_max_train_items", json_integer(r->n_above_most)},
        {"missing_vectors", json_integer(r->n_missing)},
        {"unused_vectors", json_integer(r->unused_vectors)}, {"leaves", json_integer(r->n_leaves)},
        {"leaf_parts", json_integer(r->n_leaf_parts)}, {"mean_weight", json_real(r->mean_weight)},
        {"seconds", json_real(r->seconds)});
}

/* What train lacks: cold items, users without any item, and what was dropped of it. */
static void print_cold(const cf_ingest_report *r)
{
    const cf_ingest_cold *cold = &r->cold;

    if (r->n_above_most > 0)
        printf("dropped %lld train interactions (max_train_items)\n", (long long)r->n_above_most);
    if (cold->n_items > 0)
        printf("%lld items are cold: %lld are candidates in valid, with %lld interactions; %lld in "
               "test, with %lld\n",
               (long long)cold->n_items, (long long)cold->n_candidates[0],
               (long long)cold->n_interactions[0], (long long)cold->n_candidates[1],
               (long long)cold->n_interactions[1]);
    if (r->n_no_train > 0)
        printf("%lld users have no train interactions\n", (long long)r->n_no_train);
}

/* Counts of the dataset, of what was read and dropped, and the speed of reading. */
static void print_prepared(const cf_ingest_report *r, const char *path)
{
    cli_print_line("%s: %lld users, %lld items; %lld train, %lld valid, %lld test interactions",
                   path, (long long)r->n_users, (long long)r->n_items, (long long)r->n_train,
                   (long long)r->n_valid, (long long)r->n_test);
    printf("read %lld interactions: %lld repeats and %lld filtered out\n", (long long)r->lines,
           (long long)r->duplicates, (long long)r->filtered);
    if (r->unknown > 0)
        printf("dropped %lld interactions of items that the item file lacks "
               "(filter_inter_by_user_or_item)\n",
               (long long)r->unknown);
    if (r->no_vector > 0)
        printf("dropped %lld interactions of items without a vector\n", (long long)r->no_vector);
    if (r->n_no_interactions > 0)
        printf("%lld items have no interactions\n", (long long)r->n_no_interactions);
    print_cold(r);
    if (r->embedding_dim > 0)
        printf("vectors of %lld numbers; %lld items without one, %lld vectors not used\n",
               (long long)r->embedding_dim, (long long)r->n_missing, (long long)r->unused_vectors);
    if (r->mean_weight > 0)
        printf("train interactions have weights, %g in the mean\n", r->mean_weight);
    if (r->n_leaves > 0)
        printf("users and items are numbered by %lld leaves, found %s (reorder)\n",
               (long long)r->n_leaves,
               r->n_leaf_parts > 1 ? "by all ranks, part by part" : "by one rank");
    printf("%.2f s, %.1f MB/s\n", r->seconds, r->seconds > 0 ? r->bytes / r->seconds / 1e6 : 0.0);
}

/* The settings are read before any input, so that a misspelt one costs no time. */
static cf_status run_prepare(const cf_par *world, const cli_arguments *arguments)
{
    const cf_ingest_paths paths = {
        .inter = cli_value(arguments, "inter"),
        .train = cli_value(arguments, "train"),
        .valid = cli_value(arguments, "valid"),
        .test = cli_value(arguments, "test"),
        .item = cli_value(arguments, "item"),
        .embedding = cli_value(arguments, "embedding"),
        .embedding_ids = cli_value(arguments, "embedding-ids"),
        .out = cli_value(arguments, "out"),
    };
    cf_ingest_options options;
    cf_ingest_report report = {0};
    cf_config *config = NULL;
    cf_status status;

    CF_TRY(cli_create_config(world, arguments, &config));
    CF_TRY(cf_ingest_read_options(config, &options));
    CF_TRY(cf_ingest_prepare(world, &options, &paths, &report));
    if (arguments->json)
        CF_TRY(cli_print_json(world, world->rank == 0 ? report_json(&report) : NULL));
    else if (world->rank == 0)
        print_prepared(&report, paths.out);
done:
    cf_config_destroy(&config);
    return status;
}

static const cli_option prepare_options[] = {
    {"out", "FILE.h5", "the dataset to write", true, CLI_OUTPUT},
    {"inter", "FILE",
     "interactions to split: RecBole .inter, or user, item, rating, time on each line; also .gz, "
     "or -",
     false, CLI_INPUT},
    {"train", "FILE", "train part of a split that exists, e.g. LightGCN's train.txt", false,
     CLI_INPUT},
    {"valid", "FILE", "valid part, with --train", false, CLI_INPUT},
    {"test", "FILE", "test part, with --train", false, CLI_INPUT},
    {"item", "FILE", "RecBole .item: ids, and titles or vectors", false, CLI_INPUT},
    {"embedding", "FILE",
     "vectors, in the order of --item or --embedding-ids: .npy, HDF5, or FILE.h5:/DATASET", false,
     CLI_INPUT},
    {"embedding-ids", "FILE", "item ids of the vectors, one a line", false, CLI_INPUT},
    {"settings", "FILE.yaml", "settings of prepare; may be repeated, a later file counts", false,
     CLI_SETTINGS_FILE},
    {0}};

const cli_command cli_prepare = {
    .name = "prepare",
    .summary = "make a dataset from interactions and vectors",
    .settings = CLI_SETTINGS_PREPARE,
    .has_json = true,
    .options = prepare_options,
    .run = run_prepare,
};
