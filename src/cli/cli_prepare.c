/* prepare: from files people have to a dataset file. */
#include "cli.h"

#include "cf/ingest.h"

#include <string.h>

static json_t *report_json(const cf_ingest_report *r)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "lines",
                     (json_int_t)r->lines, "duplicates", (json_int_t)r->duplicates, "filtered",
                     (json_int_t)r->filtered, "users", (json_int_t)r->n_users, "items",
                     (json_int_t)r->n_items, "train", (json_int_t)r->n_train, "valid",
                     (json_int_t)r->n_valid, "test", (json_int_t)r->n_test, "embedding_dim",
                     (json_int_t)r->embedding_dim, "missing_vectors", (json_int_t)r->n_missing,
                     "unused_vectors", (json_int_t)r->unused_vectors, "seconds", r->seconds);
}

static void print_report(const cf_ingest_report *r, const char *path)
{
    printf("%s: %lld users, %lld items; %lld train, %lld valid, %lld test interactions\n", path,
           (long long)r->n_users, (long long)r->n_items, (long long)r->n_train,
           (long long)r->n_valid, (long long)r->n_test);
    printf("read %lld interactions: %lld repeats and %lld filtered out\n", (long long)r->lines,
           (long long)r->duplicates, (long long)r->filtered);
    if (r->embedding_dim > 0)
        printf("vectors of %lld numbers; %lld items without one, %lld vectors not used\n",
               (long long)r->embedding_dim, (long long)r->n_missing, (long long)r->unused_vectors);
    printf("%.2f s, %.1f MB/s\n", r->seconds, r->seconds > 0 ? r->bytes / r->seconds / 1e6 : 0.0);
}

static cf_status run(const cf_par *world, const cli_arguments *arguments)
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

    CF_TRY(cli_create_config(world, arguments, cli_value(arguments, "settings"), &config));
    CF_TRY(cf_ingest_read_options(config, &options));
    CF_TRY(cf_ingest_prepare(world, &options, &paths, &report));
    if (arguments->json)
        CF_TRY(cli_print_json(world, world->rank == 0 ? report_json(&report) : NULL));
    else if (world->rank == 0)
        print_report(&report, paths.out);
done:
    cf_config_destroy(&config);
    return status;
}

static const cli_option options[] = {
    {"out", "FILE.h5", "the dataset to write", true},
    {"inter", "FILE", "interactions to be split: RecBole .inter, or user item a line", false},
    {"train", "FILE", "interactions that are split already, also LightGCN's train.txt", false},
    {"valid", "FILE", "with --train", false},
    {"test", "FILE", "with --train", false},
    {"item", "FILE", "RecBole .item: ids, titles, perhaps vectors", false},
    {"embedding", "FILE",
     "vectors of --item or --embedding-ids, in that order: .npy, HDF5, or "
     "HDF5.h5:/DATASET",
     false},
    {"embedding-ids", "FILE", "one item id a line, in the order of the vectors", false},
    {"settings", "FILE.yaml", "settings, as for --set", false},
    {0}};

const cli_command cli_prepare = {
    .name = "prepare",
    .summary = "make a dataset of interactions and vectors",
    .settings = CLI_SETTINGS_PREPARE,
    .has_json = true,
    .options = options,
    .run = run,
};
