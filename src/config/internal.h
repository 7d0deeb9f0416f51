/** Inside config: how values are held, and how a YAML node becomes one.
 *
 * Files, each of which calls only those above it:
 *   text     text that grows, quoted scalars, excerpts for messages
 *   nearest  the nearest name, for "did you mean"
 *   value    one value: from a YAML node, copies, equality, what a setting may be
 *   lookup   rows and values by name
 *   update   values on their way into a config: all of a document, or none of it
 *   args     RecBole's keys that hold several values
 *   recbole  RecBole's and LLMInit's names
 *   unknown  names that are neither
 *   load     documents, files, --set
 *   config   create and destroy
 *   write    a config as YAML text
 *   compare  two configs; what may change at resume
 *   print    the table for people
 */
#pragma once

#include "cf/config.h"

#include <yaml.h>

/**
 * The value of one setting. By kind: INT and BOOL in ints[0], REAL in reals[0], TEXT and CHOICE in
 * texts[0], the lists in ints, reals or texts [0..count), a MAP in texts[2 k] (key) and
 * texts[2 k + 1] (text) for k in 0..count-1.
 */
typedef struct config_value {
    int64_t *ints;
    double *reals;
    char **texts;
    int count;   /* elements of a list, entries of a MAP; else 1 */
    int n_texts; /* length of `texts`; pointers that are not used are NULL */
    bool given;  /* by a file or --set */
} config_value;

enum { CONFIG_MAX_IGNORED = 16 };

/** What LLMInit's files say that is no setting: with either, its emb_selection: False is `full`. */
typedef struct config_llminit {
    const char *model; /* ContGCN, ContSGL or ContSGCL, where one of them was given; else NULL */
    int64_t width;     /* llm_embedding_size, where it was given; else 0 */
} config_llminit;

struct cf_config {
    const cf_setting **rows; /* count rows of the tables; borrowed */
    config_value *values;    /* count */
    config_value *initial;   /* count: the defaults; NULL while they are read */
    int count;
    config_llminit llminit;
    const cf_setting *ignored[CONFIG_MAX_IGNORED]; /* tables of other commands; borrowed */
    int n_ignored;
};

/** Text that grows at its end. Starts zeroed; `text` is NULL until something was added, and is the
 * caller's to free. */
typedef struct config_buffer {
    char *text;
    int64_t length, capacity; /* bytes, without and with the final zero */
} config_buffer;

/** Where values come from, for messages. */
typedef struct config_source {
    const char *origin;        /* file name, or "--set" */
    bool line_numbers;         /* false for the command line */
    const char *bytes;         /* the whole text */
    yaml_document_t *document; /* the same, parsed */
} config_source;

/** Values on their way into a config: all of a document, or none of it. */
typedef struct config_update {
    const cf_config *config;
    config_source source;
    config_value *values; /* one per setting; valid if line[k] > 0 */
    int *line;            /* from 1: where the setting is given; 0: it is not */
    config_llminit llminit;
    config_buffer ignored; /* names without a meaning here, ", " between them */
    config_buffer others;  /* names of settings of another command */
    config_buffer unknown; /* the first names that are neither, with lines and nearest names */
    const yaml_node_t *first_unknown;
    int n_unknown;
} config_update;

/* text.c */
/** Append formatted text. Errors: MEMORY. */
cf_status config_append(config_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** Append `text` as a YAML double-quoted scalar: ASCII only, every other character is escaped. */
cf_status config_append_quoted(config_buffer *buffer, const char *text);
cf_status config_copy_text(const char *text, char **out);
/** Append `name` to a list with ", " between its elements. */
cf_status config_append_name(config_buffer *list, const char *name);
/** `text` made fit for a message: one line, cut after 60 bytes. */
const char *config_excerpt(const char *text, char out[80]);

/* nearest.c */
/** A hint like ` (did you mean "x"?)`, or "". `out` has 120 bytes. */
const char *config_hint(const char *name, const char *const *names, int n, char *out);

/* value.c */
/** Read the value of `node` for the setting `row`. Errors: USAGE, MEMORY; then `value` is as it
 * was. */
cf_status config_read_value(const config_source *source, const yaml_node_t *node,
                            const cf_setting *row, config_value *value);
void config_clear_value(config_value *value);
/** A copy, as a value that was not given. Errors: MEMORY. */
cf_status config_copy_value(const config_value *value, config_value *out);
/** A whole number, however it is written (1e3, 64.0); false if the text is none. */
bool config_parse_int(const char *text, int64_t *out);
/** 0 or 1, of YAML 1.1's words; false if the text is none of them. */
bool config_parse_bool(const char *text, int64_t *out);
bool config_equal_values(const cf_setting *row, const config_value *a, const config_value *b);
/** What the setting may be: "a whole number from 1 to 9", "one of a, b". `out` has 400 bytes. */
const char *config_describe(const cf_setting *row, char *out);
/** Choice number `index` of a row, copied to `out` (64 bytes); NULL past the last. */
const char *config_choice(const cf_setting *row, int index, char *out);
/** True for a list of numbers or texts. */
bool config_is_list(const cf_setting *row);
/** The text of a scalar node, NULL for a list or a mapping. */
const char *config_scalar(const yaml_node_t *node);
/** True for what YAML reads as null: an empty plain scalar, ~, null. */
bool config_is_null(const yaml_node_t *node);
/** Note a USAGE error "FILE:LINE: name: ...". */
cf_status config_fail(const config_source *source, const yaml_node_t *node, const char *name,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

/** A warning "FILE:LINE: name: ...". */
void config_warn(const config_source *source, const yaml_node_t *node, const char *name,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* lookup.c */
int config_find(const cf_config *config, const char *name); /* index of its row, or -1 */
/** The row of the setting that `assignment` ("name=value") names, and that name without its module;
 * -1 if there is none, with an empty name if the assignment is malformed. */
int config_parse_name(const cf_config *config, const char *assignment, char name[80]);

/* update.c */
/** Read the value of `node` for the setting `name`, which exists; null is its default. Errors:
 * USAGE (also: given twice), MEMORY. */
cf_status config_update_value(config_update *update, const char *name, const yaml_node_t *node);
/** The same with `text` in place of what the scalar `node` says: an error names the file's line. */
cf_status config_update_text(config_update *update, const char *name, const yaml_node_t *node,
                             const char *text);
/** Move all values of the update into `config`, which it was made for. */
void config_update_apply(config_update *update, cf_config *config);
void config_update_clear(config_update *update);

/* args.c */
/** A reader of a key's value. Errors: USAGE, MEMORY. */
typedef cf_status config_reader(config_update *update, const yaml_node_t *node);
/** split, order, group_by and mode. */
config_reader config_read_eval_args;
/** The distribution and the number of negatives. */
config_reader config_read_negatives;
/** The same in files of RecBole 1.0: {uniform: 1}. */
config_reader config_read_old_negatives;
/** Names of metrics: a warning names those that are not computed. */
config_reader config_read_metrics;
/** True if the node is one of `words`, "|" between them; of true and false any spelling. */
bool config_says(const yaml_node_t *node, const char *words);

/* recbole.c */
/** Read an entry that is no setting by its own name but RecBole's or LLMInit's; `*known` is false
 * if it is neither, and nothing was done. Errors: USAGE, MEMORY. */
cf_status config_recbole_read(config_update *update, const char *name, const yaml_node_t *node,
                              bool *known);
/** Read the value of the setting `model`, which may be LLMInit's name of it. Errors: USAGE, MEMORY.
 */
cf_status config_recbole_model(config_update *update, const yaml_node_t *node);

/* unknown.c */
/** True for a setting of another command. */
bool config_is_ignored(const cf_config *config, const char *name);
/** Note the name of an entry that is not known. Errors: MEMORY. */
cf_status config_note_unknown(config_update *update, const yaml_node_t *key);
/** OK if none was noted; else an error that names all. Errors: USAGE. */
cf_status config_check_unknown(const config_update *update);

/* print.c */
/** What the help of a setting adds where it may differ when a run is resumed, or for its model:
 * " (may change at resume)", or "". */
const char *config_resume_mark(const cf_setting *row);
