#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 20 }; /* bytes; what is larger is not a file of settings */

/* ---- A document ----------------------------------------------------------------------------- */

cf_status cf_config_take(cf_config_batch *batch, const char *name, const yaml_node_t *node)
{
    int k = cf_config_find(batch->config, name);

    CF_ASSERT(k >= 0);
    if (batch->line[k] > 0)
        return batch->source.line_numbers
                   ? cf_config_fail(&batch->source, node, name, "given twice, first on line %d",
                                    batch->line[k])
                   : cf_config_fail(&batch->source, node, name, "given twice");
    batch->line[k] = (int)node->start_mark.line + 1;
    return cf_config_take_value(&batch->source, node, batch->config->rows[k], &batch->fresh[k]);
}

/* True for the settings of another command. */
static bool is_passed_over(const cf_config *config, const char *name)
{
    for (int t = 0; t < config->n_passed; t++)
        for (const cf_setting *row = config->passed[t]; row->name; row++)
            if (strcmp(row->name, name) == 0) return true;
    return false;
}

static cf_status fail_unknown(cf_config_batch *batch, const char *name, const yaml_node_t *key)
{
    const cf_config *config = batch->config;
    const char **names = NULL;
    int64_t capacity = 0;
    int count = 0;
    char hint[120], got[80];
    cf_status status = CF_OK;

    for (int t = -1; t < config->n_passed; t++)
        for (int k = 0; t < 0 ? k < config->count : config->passed[t][k].name != NULL; k++) {
            CF_TRY(CF_GROW(names, capacity, count + 1));
            names[count++] = t < 0 ? config->rows[k]->name : config->passed[t][k].name;
        }
    status = cf_config_fail(&batch->source, key, cf_config_excerpt(name, got), "unknown setting%s",
                            cf_config_hint(name, names, count, hint));
done:
    cf_free(&names);
    return status;
}

static cf_status take_entry(cf_config_batch *batch, const yaml_node_t *key, const yaml_node_t *node)
{
    const char *name = cf_config_scalar(key), *field;

    if (!name) return cf_config_fail(&batch->source, key, "key", "expected the name of a setting");
    field = cf_config_recbole_field(name);
    if (cf_config_find(batch->config, name) >= 0) return cf_config_take(batch, name, node);
    if (field && cf_config_find(batch->config, field) >= 0)
        return cf_config_take(batch, field, node);
    if (strcmp(name, "eval_args") == 0 && cf_config_find(batch->config, "split") >= 0)
        return cf_config_recbole_eval_args(batch, node);
    if (cf_config_recbole_ignores(name) || is_passed_over(batch->config, name))
        return cf_config_append(&batch->ignored, "%s%s", batch->ignored.length ? ", " : "", name);
    return fail_unknown(batch, name, key);
}

static cf_status take_mapping(cf_config_batch *batch, const yaml_node_t *root)
{
    cf_status status = CF_OK;

    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(batch->source.document, pair->key);
        yaml_node_t *node = yaml_document_get_node(batch->source.document, pair->value);

        CF_TRY(take_entry(batch, key, node));
    }
done:
    return status;
}

/* Read all of `document`, then change `config`; on error nothing has changed. */
static cf_status take_document(cf_config *config, const cf_config_source *source)
{
    cf_config_batch batch = {.config = config, .source = *source};
    const yaml_node_t *root = yaml_document_get_root_node(source->document);
    cf_status status = CF_OK;

    if (!root || cf_config_is_null(root)) return CF_OK; /* an empty file: all defaults */
    if (root->type != YAML_MAPPING_NODE)
        return cf_config_fail(source, root, "not a file of settings",
                              "expected lines of \"name: value\"");
    CF_TRY(CF_ALLOC(batch.fresh, config->count));
    CF_TRY(CF_ALLOC(batch.line, config->count));
    CF_TRY(take_mapping(&batch, root));

    for (int k = 0; k < config->count; k++)
        if (batch.line[k] > 0) {
            cf_config_value old = config->values[k];

            config->values[k] = batch.fresh[k];
            batch.fresh[k] = old;
        }
    if (batch.ignored.length)
        cf_warn("%s: without meaning here: %s", source->origin, batch.ignored.text);
done:
    for (int k = 0; k < config->count && batch.fresh; k++)
        cf_config_clear_value(&batch.fresh[k]);
    cf_free(&batch.fresh);
    cf_free(&batch.line);
    cf_free(&batch.ignored.text);
    return status;
}

/* ---- YAML ----------------------------------------------------------------------------------- */

static cf_status fail_yaml(const yaml_parser_t *parser, const cf_config_source *source)
{
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    size_t line = parser->problem_mark.line;

    if (parser->error == YAML_READER_ERROR) { /* what is no text has an offset, not a line */
        line = 0;
        for (size_t k = 0; k < parser->problem_offset; k++)
            line += source->bytes[k] == '\n';
    }
    if (parser->error == YAML_MEMORY_ERROR)
        return CF_FAIL(CF_ERR_MEMORY, "%s: out of memory", source->origin);
    if (!source->line_numbers)
        return CF_FAIL(CF_ERR_USAGE, "%s: not valid YAML: %s", source->origin, problem);
    return CF_FAIL(CF_ERR_USAGE, "%s:%zu: not valid YAML: %s%s%s", source->origin, line + 1,
                   problem, parser->context ? ", " : "", parser->context ? parser->context : "");
}

/* Nothing may follow the first document. */
static cf_status check_end(yaml_parser_t *parser, const cf_config_source *source)
{
    yaml_document_t second;
    const yaml_node_t *root;
    cf_status status = CF_OK;

    if (!yaml_parser_load(parser, &second)) return fail_yaml(parser, source);
    root = yaml_document_get_root_node(&second);
    if (root) status = cf_config_fail(source, root, "second document", "expected one document");
    yaml_document_delete(&second);
    return status;
}

static cf_status load_bytes(cf_config *config, const char *bytes, size_t size,
                            cf_config_source *source)
{
    yaml_parser_t parser;
    yaml_document_t document;
    bool loaded = false;
    cf_status status = CF_OK;

    if (!yaml_parser_initialize(&parser))
        return CF_FAIL(CF_ERR_MEMORY, "%s: out of memory", source->origin);
    source->bytes = bytes;
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, size);
    loaded = yaml_parser_load(&parser, &document);
    if (!loaded) CF_TRY(fail_yaml(&parser, source));
    if (yaml_document_get_root_node(&document)) CF_TRY(check_end(&parser, source));
    source->document = &document;
    CF_TRY(take_document(config, source));
done:
    if (loaded) yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return status;
}

cf_status cf_config_load_text(cf_config *config, const char *text, const char *origin)
{
    return load_bytes(config, text, strlen(text),
                      &(cf_config_source){.origin = origin, .line_numbers = true});
}

/* ---- Files ---------------------------------------------------------------------------------- */

static cf_status read_file(const char *path, char **bytes, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *read = NULL;
    cf_status status = CF_OK;

    if (!file) return CF_FAIL(CF_ERR_IO, "%s: cannot open (%s)", path, strerror(errno));
    CF_TRY(CF_ALLOC(read, LARGEST_FILE + 1));
    *size = fread(read, 1, LARGEST_FILE + 1, file);
    if (ferror(file)) CF_TRY(CF_FAIL(CF_ERR_IO, "%s: cannot read (%s)", path, strerror(errno)));
    if (*size > LARGEST_FILE)
        CF_TRY(CF_FAIL(CF_ERR_USAGE, "%s:1: not a file of settings: over 1 MiB", path));
    *bytes = read;
    read = NULL;
done:
    cf_free(&read);
    fclose(file);
    return status;
}

cf_status cf_config_load(cf_config *config, const char *path)
{
    char *bytes = NULL;
    size_t size = 0;
    cf_status status = CF_OK;

    CF_TRY(read_file(path, &bytes, &size));
    CF_TRY(
        load_bytes(config, bytes, size, &(cf_config_source){.origin = path, .line_numbers = true}));
done:
    cf_free(&bytes);
    return status;
}

/* ---- The command line ----------------------------------------------------------------------- */

/* `value` as the kind would be written in a file, so that the shell's quotes are all that is
 * needed. */
static cf_status append_value(cf_config_buffer *text, const cf_setting *row, const char *value)
{
    size_t length = strlen(value);
    bool quoted = length > 1 && (*value == '"' || *value == '\'') && value[length - 1] == *value;

    if (!row || row->kind == CF_SETTING_MAP || (row->kind == CF_SETTING_TEXT && quoted))
        return cf_config_append(text, "%s\n", value);
    if (row->kind == CF_SETTING_INT_LIST || row->kind == CF_SETTING_REAL_LIST)
        return cf_config_append(text, *value == '[' ? "%s\n" : "[%s]\n", value);
    return cf_config_append_quoted(text, value);
}

int cf_config_assigned(const cf_config *config, const char *assignment, char name[80])
{
    const size_t length = strcspn(assignment, "=");
    const char *dot;

    name[0] = '\0';
    if (assignment[length] == '\0' || length == 0 || length >= 80 ||
        strcspn(assignment, " \t\r\n:\"'#[]{},&*!|>%@`") < length)
        return -1;
    memcpy(name, assignment, length);
    name[length] = '\0';
    dot = strrchr(name, '.'); /* of "model.name" the module is dropped */
    if (dot && cf_config_find(config, name) < 0) memmove(name, dot + 1, strlen(dot));
    return cf_config_find(config, name);
}

cf_status cf_config_set(cf_config *config, const char *assignment)
{
    char name[80], got[80];
    const int row = cf_config_assigned(config, assignment, name);
    cf_config_buffer text = {0};
    cf_status status = CF_OK;

    CF_REQUIRE(name[0] != '\0', CF_ERR_USAGE, "--set %s: expected name=value",
               cf_config_excerpt(assignment, got));
    CF_TRY(cf_config_append(&text, "%s: ", name));
    CF_TRY(append_value(&text, row < 0 ? NULL : config->rows[row], strchr(assignment, '=') + 1));
    CF_TRY(
        load_bytes(config, text.text, (size_t)text.length, &(cf_config_source){.origin = "--set"}));
done:
    cf_free(&text.text);
    return status;
}
