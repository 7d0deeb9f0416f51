/* train: a run, from the start or from its last checkpoint.
 *
 * cf_train_run() does the work and writes the run's folder; here its settings are read and its
 * result is printed. */
#include "cli.h"

#include "cf/store.h"

#include <string.h>

/* "test" is there only if the dataset has a test part and the run was completed. */
static json_t *result_json(const cf_train_result *result)
{
    const cf_run_progress *progress = &result->progress;
    json_t *object = CF_JSON_OBJECT({"epochs", json_integer(progress->epoch)},
                                    {"best_epoch", json_integer(progress->best_epoch)},
                                    {"best_value", json_real(progress->best_value)},
                                    {"seconds", json_real(progress->seconds)});

    if (result->has_test)
        cf_train_json_set(&object, "test", cf_train_metrics_json(&result->test.table[CF_ALL]));
    if (result->test.is_marked)
        cf_train_json_set(&object, "cold", cf_train_cold_json(&result->test));
    return object;
}

/* "N epochs in ...", or for a closed form "solved in ...", and the metrics of the test part. */
static void print_result(const cf_train_result *result, const cf_config *config)
{
    const cf_run_progress *progress = &result->progress;

    if (cf_closed_is(config))
        printf("solved in %.1f s", progress->seconds);
    else
        printf("%lld epochs in %.1f s", (long long)progress->epoch, progress->seconds);
    if (cf_closed_is(config) && progress->best_epoch > 0)
        printf(" (%s %.4f)", cf_config_text(config, "valid_metric"), progress->best_value);
    else if (progress->best_epoch > 0)
        printf(", best epoch %lld (%s %.4f)", (long long)progress->best_epoch,
               cf_config_text(config, "valid_metric"), progress->best_value);
    printf("\n");
    if (result->has_test) cli_print_result(&result->test, "test");
}

/* --resume auto|no; without it, no. */
static cf_status read_resume(const cli_arguments *arguments, bool *resume)
{
    const char *text = cli_value(arguments, "resume");

    *resume = text != NULL && strcmp(text, "auto") == 0;
    if (text == NULL || *resume || strcmp(text, "no") == 0) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE, "train: --resume: \"%.60s\" is not auto or no", text);
}

/* The dataset gives the old run's rows their ids. */
static cf_status read_from(const cli_arguments *arguments, cf_train_job *job)
{
    job->from = cli_value(arguments, "from");
    job->from_data = cli_value(arguments, "from-data");
    if ((job->from == NULL) == (job->from_data == NULL)) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE,
                   "train: --%s is missing: --from OLD.h5 needs --from-data, the "
                   "dataset that it was trained on",
                   job->from == NULL ? "from" : "from-data");
}

/* A run that stops for a signal or the time limit ends in CF_STOPPED, without a result. */
static cf_status run_train(const cf_par *world, const cli_arguments *arguments)
{
    cf_train_job job = {.data = cli_value(arguments, "data"),
                        .out = cli_value(arguments, "out"),
                        .profile = cli_value(arguments, "profile")};
    cf_train_result result = {0};
    cf_config *config = NULL;
    cf_status status;

    CF_TRY(read_resume(arguments, &job.resume));
    CF_TRY(read_from(arguments, &job));
    CF_TRY(cli_duration(arguments, "time-limit", &job.time_limit));
    CF_TRY(cli_create_config(world, arguments, &config));
    /* the log names the versions that wrote the checkpoints */
    cf_log("llminit %s, commit %s, %s", CF_VERSION, cf_build_facts().commit, cf_store_library());
    CF_TRY(cf_train_run(world, config, &job, &result));
    if (arguments->json)
        CF_TRY(cli_print_json(world, world->rank == 0 ? result_json(&result) : NULL));
    else if (world->rank == 0)
        print_result(&result, config);
done:
    cf_config_destroy(&config);
    return status;
}

static const cli_option train_options[] = {
    {"data", "DATA.h5", "the dataset", true, CLI_INPUT},
    {"out", "FOLDER", "folder for settings.yaml, log.jsonl, latest.h5 and best.h5", true,
     CLI_FOLDER},
    {"resume", "auto|no", "auto: resume the run in FOLDER if there is one; default no", false,
     CLI_VALUE},
    {"from", "OLD.h5", "start from the tables of this checkpoint, matched by id", false, CLI_INPUT},
    {"from-data", "OLD_DATA.h5", "the dataset that OLD.h5 was trained on", false, CLI_INPUT},
    {"time-limit", "DURATION", "stop in time with a checkpoint: 90s, 1h30m, [DAYS-]HH:MM:SS", false,
     CLI_VALUE},
    {"profile", "FILE.json", "write seconds and bytes sent of each rank, by phase", false,
     CLI_OUTPUT},
    {0}};

const cli_command cli_train = {
    .name = "train",
    .summary = "train a model",
    .operand = "[SETTINGS.yaml]...",
    .operand_kind = CLI_SETTINGS_FILE,
    .files = cf_train_files,
    .remarks = "SIGTERM, SIGINT, SIGUSR1 and --time-limit stop the run between two steps, after a "
               "checkpoint,\n"
               "with exit status 75. The same command with --resume auto resumes it, on any number "
               "of ranks.\n"
               "At least one step is done before. A second SIGTERM or SIGINT, three seconds after "
               "the first\n"
               "or later, ends the run at once; the last checkpoint stays.",
    .settings = CLI_SETTINGS_TRAIN,
    .has_json = true,
    .catches_signals = true,
    .options = train_options,
    .uses_blas = true,
    .run = run_train,
};
