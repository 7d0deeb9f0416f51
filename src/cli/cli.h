/** Inside cli: the table of subcommands, and what they share.
 *
 * Files, each of which calls only those above it:
 *   cli_arguments  a command line, parsed by the table of its command
 *   cli_files      outputs that would replace inputs
 *   cli_config     settings of a command, from file and --set
 *   cli_output     results on stdout: JSON, tables of metrics
 *   cli_groups     metrics of groups
 *   cli_per_user   metrics of each user
 *   cli_ids        lists of ids that people write
 *   cli_lines      lines of a text, on every rank
 *   cli_recs       recommendations that somebody made
 *   cli_new_users  users who are not in the dataset
 *   cli_lists      ranked lists of items, as text
 *   selftest       the checks of selftest (selftest.h)
 *   cli_COMMAND    a command
 *   cli_run        the table of commands, their help, dispatch
 */
#pragma once

#include "cf/config.h"
#include "cf/eval.h"
#include "cf/par.h"
#include "cf/train.h"

#include <jansson.h>
#include <stdio.h>

enum {
    CLI_MAX_OPTIONS = 16,                 /* of a command's own */
    CLI_MAX_LISTED = CLI_MAX_OPTIONS + 4, /* and those that commands share */
    CLI_MAX_KEPT = INT32_MAX
};
/** The option of commands that load an item-item matrix. */
#define CLI_SPARSE                                                                                 \
    {                                                                                              \
        "sparse", "K", "of EASE, L3AE, ItemKNN: use and hold the K largest weights of each item",  \
            false, CLI_VALUE                                                                       \
    }

/** What an option takes. An option without a kind is a bug: so none that reads or writes a file can
 * be forgotten when outputs are compared with inputs. */
typedef enum cli_kind {
    CLI_FLAG = 1,      /* no value */
    CLI_VALUE,         /* a number, a word */
    CLI_WORDS,         /* a word; the option may be repeated */
    CLI_INPUT,         /* a file to read, or FILE.h5:/ARRAY */
    CLI_SETTING,       /* NAME=VALUE of a setting; may be repeated */
    CLI_SETTINGS_FILE, /* a file of settings to read; may be repeated, and a later one counts */
    CLI_OUTPUT,        /* a file to write */
    CLI_FOLDER         /* a folder, in which the files of the command are written */
} cli_kind;

/** One --name. A table of these ends with a NULL name. */
typedef struct cli_option {
    const char *name;     /* without the dashes */
    const char *argument; /* its value, for the help ("FILE"); NULL: a flag */
    const char *help;     /* one line, lower case, no full stop */
    bool required;
    cli_kind kind;
} cli_option;

/** The settings that a subcommand takes by --set. */
typedef enum cli_settings {
    CLI_NO_SETTINGS,
    CLI_SETTINGS_PREPARE,
    CLI_SETTINGS_APPEND,
    CLI_SETTINGS_SYNTHESIZE,
    CLI_SETTINGS_TRAIN,  /* those of a run */
    CLI_SETTINGS_MACHINE /* of a trained model: those that cannot change it */
} cli_settings;

/** A value of an option that may be repeated. */
typedef struct cli_given_word {
    int option; /* its index in its table */
    const char *text;
} cli_given_word;

/** A parsed command line. The texts are argv's. */
typedef struct cli_arguments {
    const struct cli_command *command;
    const char *value[CLI_MAX_OPTIONS]; /* by the option's index in its table; "" for a flag; NULL
                                           if not given */
    const char *positional[1];          /* the operand, unless it is a file of settings */
    int n_positional;
    const char **files; /* n_files files of settings, in order; owned */
    int64_t files_capacity;
    int n_files;
    const char **sets; /* n_sets texts of --set, in order; owned */
    int64_t sets_capacity;
    int n_sets;
    cli_given_word *words; /* n_words of options that may be repeated, in order; owned */
    int64_t words_capacity;
    int n_words;
    bool help, json, quiet;
} cli_arguments;

/** A subcommand. `run` is Collective; it prints its results on rank 0. */
typedef struct cli_command {
    const char *name, *summary;
    const char
        *operand; /* the positional argument ("FILE.h5"), [in brackets] if optional; or NULL */
    cli_kind operand_kind;    /* CLI_INPUT or CLI_SETTINGS_FILE, if there is an operand */
    const char *const *files; /* names of what is written into a CLI_FOLDER, ended by NULL */
    const char *remarks;      /* more lines for the help; or NULL */
    cli_settings settings;
    bool has_json;        /* takes --json */
    bool uses_blas;       /* its memory is taken before anything is read */
    bool catches_signals; /* a signal is a request for a checkpoint, not the end */
    const cli_option *options;
    cf_status (*run)(const cf_par *world, const cli_arguments *arguments);
} cli_command;

/** An exit status of the program, for the help. */
typedef struct cli_exit {
    int status;
    const char *meaning;
} cli_exit;

extern const cli_command cli_prepare, cli_append, cli_synthesize, cli_select, cli_train,
    cli_evaluate, cli_recommend, cli_export, cli_spectrum, cli_info, cli_print_settings,
    cli_selftest;

/** All subcommands, ended by NULL. */
extern const cli_command *const cli_commands[];
/** What the program does, for the help. */
extern const char cli_summary[];
/** All exit statuses, ended by a NULL meaning. */
extern const cli_exit cli_exits[];

/* cli_run.c */
/** Run the program. Collective; argv is the whole command line. Errors: all there are. */
cf_status cli_run(const cf_par *world, int argc, char **argv);
/** The subcommand that argv names; NULL if none. Local. */
const cli_command *cli_find_command(int argc, char **argv);

/* cli_arguments.c */
/** Parse argv[1..] (argv[0] is the subcommand). Local, with the same result on all ranks. Free with
 * cli_free_arguments(). Errors: USAGE, MEMORY. */
cf_status cli_parse(const cli_command *command, int argc, char **argv, cli_arguments *out);
void cli_free_arguments(cli_arguments *arguments);
/** All options that a command takes: its own, then those that commands share. Returns their number.
 */
int cli_list_options(const cli_command *command, const cli_option *out[CLI_MAX_LISTED]);
/** The value of an option; NULL if it was not given. */
const char *cli_value(const cli_arguments *arguments, const char *name);
/** The n-th value, from 0, of an option that may be repeated; NULL behind the last. */
const char *cli_word(const cli_arguments *arguments, const char *name, int n);
/** The value as a whole number in [1, max]; `value` is untouched if it was not given. Errors:
 * USAGE. */
cf_status cli_integer(const cli_arguments *arguments, const char *name, int64_t max,
                      int64_t *value);
/** The value as a duration, in whole seconds from 1: 90, 90s, 1h30m, MM:SS or [DAYS-]HH:MM:SS;
 * `seconds` is untouched if it was not given. Errors: USAGE. */
cf_status cli_duration(const cli_arguments *arguments, const char *name, double *seconds);

/* cli_files.c */
/** Refuse an output that is one of the inputs, or another output: by device and inode, or by folder
 * and name. Collective, before any file is opened. Errors: USAGE, MEMORY. */
cf_status cli_check_files(const cf_par *world, const cli_arguments *arguments);

/* cli_config.c */
/** Settings from the files of the command line, and then --set. Collective. Errors: those of
 * config. */
cf_status cli_create_config(const cf_par *world, const cli_arguments *arguments, cf_config **out);
/** The tables of settings. */
const cf_setting *const *cli_tables(cli_settings settings, int *count);
/** Print the table of settings as plain text or Markdown; nothing on error. Local. Errors: MEMORY.
 */
cf_status cli_print_tables(cli_settings settings, FILE *stream, bool markdown);
/** Print the names of the settings of the machine, ", " between them. Local. Errors: MEMORY. */
cf_status cli_print_machine_settings(FILE *stream);
/** Load the checkpoint that is the operand and --data, with --set; of a command with CLI_SPARSE,
 * with --sparse too. Collective. */
cf_status cli_load(const cf_par *world, const cli_arguments *arguments, cf_trained **out);
cf_status cli_load_sparse(const cf_par *world, const cli_arguments *arguments, cf_trained **out);

/* cli_output.c */
/** Print one JSON object on stdout and free it. Collective; `object` is rank 0's, NULL on the
 * others. Errors: IO, MEMORY. */
cf_status cli_print_json(const cf_par *world, json_t *object);
/** Collective. Errors: MEMORY (rank 0 has no object: jansson had no memory for all of it). */
cf_status cli_check_json(const cf_par *world, const json_t *object);
/** Print one line of a result on stdout, shown by cf_text_show(). On rank 0. */
void cli_print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Metrics as a table on stdout, below `title`; where items are marked the tables of warm, cold and
 * all candidates side by side. On rank 0. */
void cli_print_result(const cf_cold_metrics *metrics, const char *title);

/** Write an id or title as it is, with blanks for the characters that separate columns and lines.
 */
void cli_write_name(FILE *file, const char *name);

/* cli_groups.c: of a detail with `groups`. Local; JSON as cf_train_json_object(). */
void cli_print_groups(const cf_eval_detail *detail);
/** {"users": {"1-3": {"users": ..., "positives": ..., "recall@10": ...}, ...}, "items": ...,
 * "popularity": ...}. */
json_t *cli_groups_json(const cf_eval_detail *detail);
/** {"itemcoverage@10": ..., ...}. */
json_t *cli_catalogue_json(const cf_eval_detail *detail);

/* cli_per_user.c */
/** Write the metrics of each user of a detail with `per_user` into rank 0's output. Collective.
 * Errors: IO, FORMAT, MEMORY. */
cf_status cli_write_per_user(const cf_dataset *dataset, const cf_metrics *metrics,
                             const cf_eval_detail *detail, cf_output *output);

/* cli_ids.c */
/** Ids that a person wrote, in the order of writing. */
typedef struct cli_ids {
    const char *origin; /* the file, or the name of the option; borrowed */
    cf_strings text;
    int64_t
        *line; /* text.count: number of the line in the file, from 1; 0: a value of the option */
} cli_ids;
/** Read a file of one id a line. Local. Errors: IO, FORMAT, MEMORY. Free with cli_free_ids(). */
cf_status cli_read_ids(const char *path, cli_ids *out);
/** Read a file of pairs, out[0] of users and out[1] of items: two fields a line, with a tab or, in
 * a line without one, blanks between them; or, below a header that names user_id and item_id, these
 * two of any. Local. Errors: IO, FORMAT, MEMORY. Free both. */
cf_status cli_read_pairs(const char *path, cli_ids out[2]);
/** The values of an option that may be repeated; none if it was not given. Local. Errors: MEMORY.
 */
cf_status cli_take_words(const cli_arguments *arguments, const char *name, cli_ids *out);
/** Takes all zero bytes too. Local. */
void cli_free_ids(cli_ids *ids);
/** The numbers of ids in the dataset. Collective. `*out` is new, of ids->text.count. Errors:
 * FORMAT, or USAGE for a value of an option (names the first id that is not in the dataset, and its
 * line), IO, MEMORY. */
cf_status cli_find_ids(const cf_dataset *dataset, cf_name_kind which, const cli_ids *ids,
                       int64_t **out);
/** Errors: those of cli_find_ids() if two ids have the same number, naming one such id; MEMORY.
 * Local. */
cf_status cli_check_distinct(const cli_ids *ids, const int64_t *numbers);

/* cli_lines.c */
/** A text that rank 0 reads, once and in order, for all ranks. */
typedef struct cli_lines {
    const cf_par *world; /* borrowed, as the path */
    const char *path;
    FILE *file;  /* rank 0 */
    char *bytes; /* size: the lines of this block */
    int64_t capacity, size;
    int64_t next; /* where the next line begins */
    int64_t line; /* number of the last line handed out, from 1 */
} cli_lines;
/** Collective. Errors: IO. Close in every case. */
cf_status cli_open_lines(const cf_par *world, const char *path, cli_lines *out);
/** Read whole lines; `*more` is false at the end. Collective. Errors: IO, FORMAT (a zero byte),
 * MEMORY. */
cf_status cli_next_block(cli_lines *lines, bool *more);
/** The next line of the block without its end, valid until the next block; NULL behind the last.
 * Local. */
char *cli_next_line(cli_lines *lines);
void cli_close_lines(cli_lines *lines);

/* cli_recs.c */
/** Read recommendations: of each user of this rank's block the items, best first, distinct but for
 * CF_EVAL_UNKNOWN_ITEM. Warns, once each, of users and items that the dataset does not have, and of
 * repeats. Collective. `*out` starts zeroed; its arrays are freed with cf_free(), also on errors.
 * Errors: IO, FORMAT ("FILE:LINE: ..."), MEMORY. */
cf_status cli_read_recs(const cf_dataset *dataset, const cf_grid *grid, const cf_shard *shard,
                        const char *path, cf_lists *out);

/* cli_new_users.c */
/** Users who are not in the dataset, of --new-users or --given: their ids in the order of the file
 * ("given" for the latter), and their items. Collective; all of them on every rank. Both are new.
 * Errors: those of reading and finding ids. Warns if an id is that of a user of the dataset. */
cf_status cli_read_new_users(const cf_dataset *dataset, const cli_arguments *arguments,
                             cf_strings *names, cf_lists *items);

/* cli_lists.c */
/** Ranked lists of items to be made, one for each query. All pointers are borrowed. */
typedef struct cli_lists {
    const cf_dataset *dataset; /* has the names */
    cf_eval_scorer scorer;     /* the queries are users of its shard */
    cf_eval_request request;   /* all but users and count */
    const cf_strings *names; /* of the queries, in order of the text; NULL: all users of dataset */
    const int64_t *numbers;  /* of the queries in the shard; NULL: all, in order */
    int64_t count;           /* queries */
    const char *what;        /* they are, for people: "users" */
    const char *header;      /* the first line of the text */
    const char *path;        /* of the text; "-": standard output */
} cli_lists;
/** Rank and write, a line for each item of a list: name of the query, rank from 1, item, score,
 * title. Collective. Errors: those of cf_eval_topk(), IO. */
cf_status cli_write_lists(const cli_lists *lists);
