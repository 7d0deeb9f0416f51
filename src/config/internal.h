/** Inside config: how values are held, and how a YAML node becomes one. */
#pragma once

#include "cf/config.h"

#include <yaml.h>

/**
 * The value of one setting. By kind: INT and BOOL in ints[0], REAL in reals[0], TEXT and CHOICE in
 * texts[0], the lists in ints or reals [0..count), a MAP in texts[2 k] (key) and texts[2 k + 1]
 * (text) for k in 0..count-1.
 */
typedef struct cf_config_value {
    int64_t *ints;
    double *reals;
    char **texts;
    int count;
    int n_texts;
    bool given; /* by a file or --set */
} cf_config_value;

enum { CF_CONFIG_MAX_PASSED = 8 };

struct cf_config {
    const cf_setting **rows;
    cf_config_value *values;
    int count;
    const cf_setting *passed[CF_CONFIG_MAX_PASSED]; /* tables of other commands */
    int n_passed;
};

/** Text that grows at its end. Starts zeroed; `text` is NULL until something was added, and is the
 * caller's to free. */
typedef struct cf_config_buffer {
    char *text;
    int64_t length, capacity;
} cf_config_buffer;

/** Where values come from. `line_numbers` is false for the command line. */
typedef struct cf_config_source {
    const char *origin;
    bool line_numbers;
    const char *bytes; /* all of the text */
    yaml_document_t *document;
} cf_config_source;

/** Values on their way into a config: all of a document, or none of it. */
typedef struct cf_config_batch {
    const cf_config *config;
    cf_config_source source;
    cf_config_value *fresh; /* one per setting; taken if line[k] > 0 */
    int *line;              /* 1.. : where a setting was given */
    cf_config_buffer ignored;
} cf_config_batch;

/* text.c */
cf_status cf_config_append(cf_config_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** Append `text` as a YAML double-quoted scalar: ASCII only, whatever is not ASCII or not printable
 * is escaped. */
cf_status cf_config_append_quoted(cf_config_buffer *buffer, const char *text);
cf_status cf_config_copy_text(const char *text, char **out);
/** `text` made fit for a message: one line, cut after some 60 bytes. */
const char *cf_config_excerpt(const char *text, char out[80]);

/* config.c */
int cf_config_find(const cf_config *config, const char *name); /* index of its row, or -1 */
cf_status cf_config_create_like(const cf_config *config, cf_config **out);
/** A hint like ` (did you mean "x"?)`, or "". `out` has 120 bytes. */
const char *cf_config_hint(const char *name, const char *const *names, int n, char *out);

/* value.c */
/** Take the value of `node` for the setting `row`. Errors: USAGE, MEMORY; then `value` is as it
 * was. */
cf_status cf_config_take_value(const cf_config_source *source, const yaml_node_t *node,
                               const cf_setting *row, cf_config_value *value);
void cf_config_clear_value(cf_config_value *value);
bool cf_config_equal_values(const cf_setting *row, const cf_config_value *a,
                            const cf_config_value *b);
/** What the setting may be: "a whole number from 1 to 9", "one of a, b". `out` has 400 bytes. */
const char *cf_config_describe(const cf_setting *row, char *out);
/** Choice number `index` of a row, copied to `out` (64 bytes); NULL past the last. */
const char *cf_config_choice(const cf_setting *row, int index, char *out);
/** The text of a scalar node, NULL for a list or a mapping. */
const char *cf_config_scalar(const yaml_node_t *node);
/** True for what YAML reads as null: an empty plain scalar, ~, null. */
bool cf_config_is_null(const yaml_node_t *node);
/** Note a USAGE error "FILE:LINE: name: ...". */
cf_status cf_config_fail(const cf_config_source *source, const yaml_node_t *node, const char *name,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

/* load.c */
/** Take the value of `node` for the setting `name`, which exists. Errors: USAGE (also: given
 * twice), MEMORY. */
cf_status cf_config_take(cf_config_batch *batch, const char *name, const yaml_node_t *node);

/** The row of the setting that `assignment` ("name=value") names, and that name without its module;
 * -1 if there is none, with an empty name if the assignment is malformed. */
int cf_config_assigned(const cf_config *config, const char *assignment, char name[80]);

/* recbole.c */
/** True for keys of RecBole that have no meaning here. */
bool cf_config_recbole_ignores(const char *name);
/** The setting that a column's key of RecBole stands for ("user_field" for USER_ID_FIELD); NULL if
 * none. */
const char *cf_config_recbole_field(const char *name);
/** Translate RecBole's `eval_args`. */
cf_status cf_config_recbole_eval_args(cf_config_batch *batch, const yaml_node_t *node);
