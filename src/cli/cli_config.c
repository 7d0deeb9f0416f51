/* Settings of a command: from its files, then from --set, on every rank alike.
 *
 * Rank 0 reads the files and tells the others their bytes, so that all have the same settings. */
#include "cli.h"

#include "cf/ingest.h"
#include "cf/synth.h"

#include <string.h>
#include <strings.h>

/* Tables of the settings that a command takes: those of train unless they are its own. */
const cf_setting *const *cli_tables(cli_settings settings, int *count)
{
    static const cf_setting *const prepare[] = {cf_ingest_settings, cf_config_settings};
    static const cf_setting *const append[] = {cf_ingest_append_settings, cf_config_settings};
    static const cf_setting *const synthesize[] = {cf_synth_settings, cf_config_settings};

    *count = 2;
    if (settings == CLI_SETTINGS_PREPARE) return prepare;
    if (settings == CLI_SETTINGS_APPEND) return append;
    if (settings == CLI_SETTINGS_SYNTHESIZE) return synthesize;
    *count = cf_train_n_tables;
    return cf_train_tables;
}

static void ignore(cf_config *config, cli_settings settings)
{
    int n = 0;
    const cf_setting *const *tables = cli_tables(settings, &n);

    for (int t = 0; t < n; t++)
        cf_config_ignore(config, tables[t]);
}

/* One file may hold the settings of prepare and of train: each command ignores the other's, and
 * append, which has some of prepare's, both. */
static void ignore_others(cf_config *config, cli_settings settings)
{
    if (settings != CLI_SETTINGS_PREPARE) ignore(config, CLI_SETTINGS_PREPARE);
    if (settings == CLI_SETTINGS_PREPARE || settings == CLI_SETTINGS_APPEND)
        ignore(config, CLI_SETTINGS_TRAIN);
}

/* The bytes of a file of settings. */
typedef struct settings_file {
    const char *path;
    char *bytes;
    int64_t size;
} settings_file;

/* Collective. */
static cf_status read_file(const cf_par *world, settings_file *file)
{
    cf_status status = CF_OK;

    if (world->rank == 0) status = cf_config_read_file(file->path, &file->bytes, &file->size);
    CF_TRY(cf_par_agree_on_input(world, status));
    cf_par_broadcast(world, &file->size, sizeof file->size, 0);
    if (world->rank != 0) status = CF_ALLOC(file->bytes, file->size);
    CF_TRY(cf_par_agree(world, status));
    cf_par_broadcast(world, file->bytes, file->size, 0);
done:
    return status;
}

/* RecBole's file of a model is named after it and does not say so within: another model would be
 * trained with its settings. */
static void check_model(const cf_config *config, const char *path)
{
    const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    const char *model;
    char stem[64];

    snprintf(stem, sizeof stem, "%s", base);
    stem[strcspn(stem, ".")] = '\0';
    model = cf_config_model_name(config, stem);
    if (model != NULL && !cf_config_given(config, "model") &&
        strcasecmp(model, cf_config_text(config, "model")) != 0)
        cf_warn("%s: model is not set, %s is trained; for the model of the file's name add --set "
                "model=%s",
                path, cf_config_text(config, "model"), stem);
}

/* Local. What depends on several settings comes last (LLMInit's names, defaults of a model's own):
 * it must see what was given. */
static cf_status create_config(const cli_arguments *arguments, const settings_file *files,
                               cf_config **out)
{
    cli_settings settings = arguments->command->settings;
    const bool trains = settings == CLI_SETTINGS_TRAIN || settings == CLI_SETTINGS_MACHINE;
    cf_config *config = NULL;
    int n = 0;
    const cf_setting *const *tables = cli_tables(settings, &n);
    cf_status status = CF_OK;

    CF_TRY(cf_config_create(tables, n, &config));
    ignore_others(config, settings);
    for (int k = 0; k < arguments->n_files; k++)
        CF_TRY(cf_config_load_bytes(config, files[k].bytes, files[k].size, files[k].path));
    for (int k = 0; k < arguments->n_sets; k++)
        CF_TRY(cf_config_set(config, arguments->sets[k]));
    CF_TRY(cf_config_settle(config));
    for (int k = 0; k < arguments->n_files && trains; k++)
        check_model(config, files[k].path);
    if (trains) CF_TRY(cf_closed_set_defaults(config));
    if (trains) CF_TRY(cf_model_set_defaults(config));
    *out = config;
    config = NULL;
done:
    cf_config_destroy(&config);
    return status;
}

cf_status cli_create_config(const cf_par *world, const cli_arguments *arguments, cf_config **out)
{
    settings_file *files = NULL;
    cf_config *config = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(files, arguments->n_files)));
    for (int k = 0; k < arguments->n_files; k++) {
        files[k].path = arguments->files[k];
        CF_TRY(read_file(world, &files[k]));
    }
    CF_TRY(cf_par_agree(world, create_config(arguments, files, &config)));
    cf_par_set_hang_timeout((double)cf_config_int(config, "hang_timeout"));
    *out = config;
    config = NULL;
done:
    for (int k = 0; k < arguments->n_files && files != NULL; k++)
        cf_free(&files[k].bytes);
    cf_free(&files);
    cf_config_destroy(&config);
    return status;
}

/* The config is made only to be printed: its rows, with their defaults. */
cf_status cli_print_tables(cli_settings settings, FILE *stream, bool markdown)
{
    int n = 0;
    const cf_setting *const *tables = cli_tables(settings, &n);
    cf_config *config = NULL;
    cf_status status = CF_OK;

    CF_TRY(cf_config_create(tables, n, &config));
    cf_config_print(config, stream, markdown);
done:
    cf_config_destroy(&config);
    return status;
}

/* The flags of the tables, so that this help cannot differ from what cf_train_load() accepts. */
cf_status cli_print_machine_settings(FILE *stream)
{
    cf_config *config = NULL;
    char *names = NULL;
    cf_status status;

    CF_TRY(cf_config_create(cf_train_tables, cf_train_n_tables, &config));
    CF_TRY(cf_config_list(config, CF_SETTING_MACHINE | CF_SETTING_AFTERWARDS, &names));
    fputs(names, stream);
done:
    cf_free(&names);
    cf_config_destroy(&config);
    return status;
}

/* A trained model has the settings of its run; only --set can add to them. Collective. */
static cf_status load(const cf_par *world, const cli_arguments *arguments, int64_t n_kept,
                      cf_trained **out)
{
    const cf_train_source source = {.checkpoint = arguments->positional[0],
                                    .data = cli_value(arguments, "data"),
                                    .sets = arguments->sets,
                                    .n_sets = arguments->n_sets,
                                    .n_kept = n_kept};

    return cf_train_load(world, &source, out);
}

cf_status cli_load(const cf_par *world, const cli_arguments *arguments, cf_trained **out)
{
    return load(world, arguments, 0, out);
}

cf_status cli_load_sparse(const cf_par *world, const cli_arguments *arguments, cf_trained **out)
{
    int64_t n_kept = 0;
    cf_status status;

    CF_TRY(cli_integer(arguments, "sparse", CLI_MAX_KEPT, &n_kept));
    CF_TRY(load(world, arguments, n_kept, out));
done:
    return status;
}
