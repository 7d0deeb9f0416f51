/**
 * config: the settings of a run. Each module lists its own in one table; a cf_config is the union
 * of the tables given to it. The tables serve the YAML file, --set, the help, the page of settings
 * (configs/README.md) and the copy kept with every run. Everything is Local.
 */
#pragma once

#include "cf/core.h"

#include <stdio.h>

typedef enum cf_setting_kind {
    CF_SETTING_INT,  /* whole number in [min, max] */
    CF_SETTING_REAL, /* number in [min, max] */
    CF_SETTING_BOOL, /* true or false, as YAML 1.1 writes them (yes, no, on, off too) */
    /* one of `choices`; case does not matter, the spelling of the table is kept */
    CF_SETTING_CHOICE,
    CF_SETTING_TEXT,      /* any text */
    CF_SETTING_INT_LIST,  /* [10, 20]; a single number is a list of one */
    CF_SETTING_REAL_LIST, /* [0.8, 0.1, 0.1] */
    CF_SETTING_TEXT_LIST, /* [2022-03-01, 2022-04-01] */
    /* one level of {key: text}, as RecBole's val_interval: {rating: "[3,inf)"} */
    CF_SETTING_MAP
} cf_setting_kind;

/** One setting. A table is an array of these that ends with a NULL name. */
typedef struct cf_setting {
    const char *name;
    cf_setting_kind kind;
    const char *initial; /* the default, as in a file; "" for an empty text, list or map */
    double min, max;     /* range of numbers and of list elements, both ends allowed */
    const char *choices; /* CHOICE: "uni|rand|var"; else NULL */
    const char *help;    /* one line, lower case, no full stop; units where any */
    /* What may differ when a run is resumed; these two flags are the only list of it. */
    bool machine;    /* how the ranks do the work (grid, memory): never changes the trained model */
    bool changeable; /* how long the run goes and what it reports (epochs) */
    /* What is made of a trained model (the map of cold items): may be given for it once more. */
    bool afterwards;
} cf_setting;

/** The flags of a setting, as bits. */
enum { CF_SETTING_MACHINE = 1, CF_SETTING_CHANGEABLE = 2, CF_SETTING_AFTERWARDS = 4 };

/** Settings of every command that has any. */
extern const cf_setting cf_config_settings[];

/** The settings of a run: for each row of its tables a value, and whether it was given. */
typedef struct cf_config cf_config;

/** All settings of `tables[0..n_tables)` at their defaults. The tables are borrowed. Errors:
 * MEMORY. A default that its own row refuses is a bug. */
cf_status cf_config_create(const cf_setting *const *tables, int n_tables, cf_config **out);
/** NULL is fine. */
void cf_config_destroy(cf_config **config);
/** Pass over the names of `table` in files: they are settings of another command. A line of the log
 * names them. The table is borrowed; at most 16 of them. */
void cf_config_ignore(cf_config *config, const cf_setting *table);

/**
 * Read the values of a YAML file (one mapping) into the config: those of a later file count. Null
 * (`~`, empty) is "not set": the default. RecBole's keys are understood: eval_args as split,
 * split_ratios and order; train_neg_sample_args as neg_distribution and neg_sample_num; repeatable
 * as mask_history and neg_exclude; USER_ID_FIELD as user_field (ITEM_ID, RATING, TIME alike). Of
 * its other keys a value that would give other numbers is an error, or a warning that says what is
 * done instead; values that are not its defaults of what has no meaning here (gpu_id, worker, ...)
 * are listed in one warning. All other names are an error that suggests the nearest. On error
 * nothing has changed. Errors: IO (cannot read), USAGE ("FILE:LINE: name: "abc" is not a whole
 * number from 1 to ..."), MEMORY.
 */
cf_status cf_config_load(cf_config *config, const char *path);
/** The two halves of it: the bytes of the file, new, freed with cf_free(), for one rank to read and
 * tell; and their values. Errors: the same. A pipe without anything to read for 5 seconds is an
 * error (IO); over 1 MiB, 16 lists within each other or 20,000 names and values are too (USAGE). */
cf_status cf_config_read_file(const char *path, char **bytes, int64_t *size);
cf_status cf_config_load_bytes(cf_config *config, const char *bytes, int64_t size,
                               const char *origin);
/** The same from YAML text; `origin` takes the place of the file name in messages. */
cf_status cf_config_load_text(cf_config *config, const char *text, const char *origin);
/** Read one "name=value" of the command line; "model.name=value" is accepted too. Errors: USAGE,
 * MEMORY. */
cf_status cf_config_set(cf_config *config, const char *assignment);

/** After the last file and --set: what depends on several of them. LLMInit's emb_selection: False
 * becomes `full` (model: ContGCN, ContSGL or ContSGCL, or llm_embedding_size, says that it is
 * LLMInit's). Errors: USAGE, MEMORY. */
cf_status cf_config_settle(cf_config *config);

/**
 * Values. An unknown name or another kind is a bug (CF_ASSERT). Texts and lists are owned by the
 * config, valid until it changes. A module reads its settings once, into a struct of options, and
 * hands on the struct: only its cf_<module>_read_options() calls these.
 */
int64_t cf_config_int(const cf_config *config, const char *name);
double cf_config_real(const cf_config *config, const char *name);
bool cf_config_bool(const cf_config *config, const char *name);
const char *cf_config_text(const cf_config *config, const char *name); /* TEXT and CHOICE */
/** True if the CHOICE has the value `choice`; one that its row does not list is a bug. */
bool cf_config_is(const cf_config *config, const char *name, const char *choice);
/** Lists: `*count` elements. */
const int64_t *cf_config_ints(const cf_config *config, const char *name, int *count);
const double *cf_config_reals(const cf_config *config, const char *name, int *count);
const char *const *cf_config_texts(const cf_config *config, const char *name, int *count);
/** Entry `index` of a MAP; false past the last. */
bool cf_config_entry(const cf_config *config, const char *name, int index, const char **key,
                     const char **value);
/** The model that RecBole or LLMInit calls `name`, as the setting `model` spells it; NULL if the
 * setting is not there or does not list it. */
const char *cf_config_model_name(const cf_config *config, const char *name);
/** True if a file or --set gave the value (it is not the default). */
bool cf_config_given(const cf_config *config, const char *name);

/** All settings as YAML text that cf_config_load() takes back with the same values. Errors: MEMORY.
 * Free with cf_free(). */
cf_status cf_config_to_yaml(const cf_config *config, char **out);
/** Compare with the settings of the run that is resumed, of the same tables: the name of the first
 * one that differs and is neither `machine` nor `changeable`; NULL if none. */
const char *cf_config_differs(const cf_config *config, const cf_config *other);
/** The names, ", " between them, of the settings with one of `flags` (CF_SETTING_MACHINE |
 * CF_SETTING_CHANGEABLE | CF_SETTING_AFTERWARDS). Errors: MEMORY. New text, freed with cf_free().
 */
cf_status cf_config_list(const cf_config *config, int flags, char **out);
/** True if `assignment` ("name=value", as for cf_config_set) names a setting with one of `flags`.
 */
bool cf_config_sets(const cf_config *config, const char *assignment, int flags);
/** The names, ", " between them, of the settings that are not `machine`, `afterwards` or at their
 * default;
 * "" if none. Names in `except` (comma separated) are skipped. Errors: MEMORY. New text, freed with
 * cf_free(). */
cf_status cf_config_changed(const cf_config *config, const char *except, char **out);
/** Print the table of settings: name, what it may be, default, help, and whether it may differ at
 * resume. Plain text for --help, or a Markdown table. */
void cf_config_print(const cf_config *config, FILE *stream, bool markdown);

/** The index of the text in `names[0..n)` nearest to `name` (Levenshtein, case ignored), or -1 if
 * none is near enough to suggest. */
int cf_config_nearest(const char *name, const char *const *names, int n);
