/** Inside cli: the table of subcommands, what they share, and what each of them is. */
#pragma once

#include "cf/config.h"
#include "cf/eval.h"
#include "cf/par.h"
#include "cf/train.h"

#include <jansson.h>
#include <stdio.h>

enum { CLI_MAX_OPTIONS = 16, CLI_PATH_SIZE = 4096 };

/** One --name. A table of these ends with a NULL name. */
typedef struct cli_option {
    const char *name;
    const char *argument; /* what it takes ("FILE"); NULL for a flag */
    const char *help;
    bool required;
} cli_option;

/** Whose settings a subcommand takes by --set. */
typedef enum cli_settings {
    CLI_NO_SETTINGS,
    CLI_SETTINGS_PREPARE,
    CLI_SETTINGS_SYNTHESIZE,
    CLI_SETTINGS_TRAIN,  /* those of a run */
    CLI_SETTINGS_MACHINE /* of a run that is over: what does not change the model */
} cli_settings;

/** A command line, taken apart. The texts are argv's. */
typedef struct cli_arguments {
    const struct cli_command *command;
    const char *value[CLI_MAX_OPTIONS]; /* by the option's place in its table; "" for a flag */
    const char *positional[1];
    int n_positional;
    const char **sets; /* of --set, in order */
    int64_t sets_capacity;
    int n_sets;
    bool help, json, quiet;
} cli_arguments;

/** A subcommand. `run` is Collective; it prints its results on rank 0. */
typedef struct cli_command {
    const char *name, *summary;
    const char *operand; /* the one positional argument ("FILE.h5"), [in brackets] if it may be left
                            out; or NULL */
    const char *remarks; /* more for its help; or NULL */
    cli_settings settings;
    bool has_json;        /* takes --json */
    bool catches_signals; /* goes on to a checkpoint when told to stop */
    const cli_option *options;
    cf_status (*run)(const cf_par *world, const cli_arguments *arguments);
} cli_command;

extern const cli_command cli_prepare, cli_synthesize, cli_select, cli_train, cli_evaluate,
    cli_recommend, cli_export, cli_spectrum, cli_info, cli_print_settings;

/** All subcommands, ended by NULL. */
extern const cli_command *const cli_commands[];

/* cli_run.c */
/** Run the program. Collective; argv is the whole command line. Errors: all there are. */
cf_status cli_run(const cf_par *world, int argc, char **argv);
/** The subcommand that argv names; NULL if none. Local. */
const cli_command *cli_find_command(int argc, char **argv);

/* cli_arguments.c */
/** Take argv[1..] apart (argv[0] is the subcommand). Local, alike on all ranks. Free with
 * cli_free_arguments(). Errors: USAGE, MEMORY. */
cf_status cli_parse(const cli_command *command, int argc, char **argv, cli_arguments *out);
void cli_free_arguments(cli_arguments *arguments);
/** The value of an option; NULL if it was not given. */
const char *cli_value(const cli_arguments *arguments, const char *name);
/** The value as a whole number in [1, most], `initial` if not given. Errors: USAGE. */
cf_status cli_integer(const cli_arguments *arguments, const char *name, int64_t most,
                      int64_t *value);
/** The value as a duration, in whole seconds from 1: 90, 90s, 1h30m, MM:SS or [DAYS-]HH:MM:SS;
 * `seconds` is untouched if it was not given. Errors: USAGE. */
cf_status cli_duration(const cli_arguments *arguments, const char *name, double *seconds);
/** Settings from the file `path` (may be NULL) and --set. Collective. Errors: those of config. */
cf_status cli_create_config(const cf_par *world, const cli_arguments *arguments, const char *path,
                            cf_config **out);
/** The tables of settings. */
const cf_setting *const *cli_tables(cli_settings settings, int *count);
/** Print the settings' table for people; nothing on error. Local. Errors: MEMORY. */
cf_status cli_print_tables(cli_settings settings, FILE *stream, bool markdown);
/** Load the checkpoint that is the operand and --data, with --set. Collective. */
cf_status cli_load(const cf_par *world, const cli_arguments *arguments, cf_trained **out);

/* cli_output.c */
/** Print one JSON object on stdout and free it. Collective; `object` is rank 0's, NULL on the
 * others. Errors: IO. */
cf_status cli_print_json(const cf_par *world, json_t *object);
/** {"recall@10": 0.1, ...} */
json_t *cli_metrics_json(const cf_metrics *metrics);
void cli_print_metrics(const cf_metrics *metrics, const char *title);

/** A file on its way: written under PATH.tmp, then renamed. Plain data. */
typedef struct cli_output {
    FILE *file;
    char path[CLI_PATH_SIZE], temporary[CLI_PATH_SIZE];
} cli_output;
/** All Local. `name` may be NULL: then `folder` is the whole path. Errors: IO, USAGE (too long). */
cf_status cli_output_open(cli_output *output, const char *folder, const char *name);
/** The file stands under its name, or is gone. */
cf_status cli_output_publish(cli_output *output);
/** Remove it, unless it was published. */
void cli_output_discard(cli_output *output);
/** IO if something could not be written so far. */
cf_status cli_output_check(const cli_output *output);

/* cli_users.c */
/** One id a line of a file, for recommend. Local. Errors: IO, FORMAT, MEMORY. Free with
 * cf_dataset_destroy_strings(). */
cf_status cli_read_ids(const char *path, cf_strings *out);
/** Errors: FORMAT if a number comes twice, naming its id. Local; MEMORY. */
cf_status cli_check_distinct(const char *path, const cf_strings *ids, const int64_t *numbers);
