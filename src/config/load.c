/* Settings from YAML: documents, files, and --set.
 *
 * libyaml parses the text into a document, which must be one mapping. Each of its entries goes to a
 * setting, to RecBole's translation (recbole.c), or to the list of unknown names (unknown.c).
 * One "name=value" of --set becomes a document of one line, so that it is read like a file.
 *
 * libyaml takes time quadratic in the depth of its input, and names are compared with each other,
 * so the events of a text are counted, and deep or long ones refused, before it is loaded. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is larger is no text of settings: bytes, lists within lists, and values, names and ends of
 * lists. */
enum { MAX_FILE_BYTES = 1 << 20, MAX_DEPTH = 16, MAX_EVENTS = 20000 };
enum { PIPE_SECONDS = 5 }; /* that a pipe may leave its reader without anything to read */

/* ---- A document ----------------------------------------------------------------------------- */

/* A setting's own name comes before RecBole's meaning of it. */
static cf_status read_entry(config_update *update, const yaml_node_t *key, const yaml_node_t *node)
{
    const char *name = config_scalar(key);
    bool known = false;
    cf_status status;

    if (name == NULL)
        return config_fail(&update->source, key, "key", "expected the name of a setting");
    if (config_find(update->config, name) >= 0)
        return strcmp(name, "model") == 0 ? config_recbole_model(update, node)
                                          : config_update_value(update, name, node);
    if (config_is_ignored(update->config, name) && !update->source.line_numbers)
        return config_fail(&update->source, key, name, "a setting of another command");
    if (config_is_ignored(update->config, name)) return config_append_name(&update->others, name);
    CF_TRY(config_recbole_read(update, name, node, &known));
    if (!known) CF_TRY(config_note_unknown(update, key));
done:
    return status;
}

/* The entries of the document, in order, until a value is refused; then all unknown names. */
static cf_status read_mapping(config_update *update, const yaml_node_t *root)
{
    cf_status status = CF_OK;

    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(update->source.document, pair->key);
        yaml_node_t *node = yaml_document_get_node(update->source.document, pair->value);

        CF_TRY(read_entry(update, key, node));
    }
    CF_TRY(config_check_unknown(update));
done:
    return status;
}

/* A text with a zero byte would be cut silently wherever it is used as a C string. All texts of the
 * document are looked at: names, values, and those in lists and mappings. */
static cf_status check_texts(const config_source *source)
{
    char excerpt[80];

    for (const yaml_node_t *node = source->document->nodes.start;
         node < source->document->nodes.top; node++) {
        const char *text = config_scalar(node);

        if (text != NULL && strlen(text) != node->data.scalar.length)
            return config_fail(source, node, config_excerpt(text, excerpt),
                               "the text has a zero byte");
    }
    return CF_OK;
}

/* Read all of the document, then change `config`; on error nothing has changed. */
static cf_status read_document(cf_config *config, const config_source *source)
{
    config_update update = {.config = config, .source = *source, .llminit = config->llminit};
    const yaml_node_t *root = yaml_document_get_root_node(source->document);
    cf_status status = CF_OK;

    CF_TRY(check_texts(source));
    if (root == NULL || config_is_null(root)) return CF_OK; /* an empty file gives no values */
    if (root->type != YAML_MAPPING_NODE)
        return config_fail(source, root, "not a file of settings",
                           "expected lines of \"name: value\"");
    CF_TRY(CF_ALLOC(update.values, config->count));
    CF_TRY(CF_ALLOC(update.line, config->count));
    CF_TRY(read_mapping(&update, root));
    config_update_apply(&update, config);
    if (update.others.length > 0)
        cf_log("%s: settings of another command: %s", source->origin, update.others.text);
    if (update.ignored.length > 0)
        cf_warn("%s: ignored, without a meaning here: %s", source->origin, update.ignored.text);
done:
    config_update_clear(&update);
    return status;
}

/* ---- YAML ----------------------------------------------------------------------------------- */

/* The parser's own error, with its line. An error of encoding has a byte offset and no line, so the
 * newlines before it are counted. */
static cf_status fail_yaml(const yaml_parser_t *parser, const config_source *source)
{
    const char *problem = parser->problem != NULL ? parser->problem : "cannot be read";
    size_t line = parser->problem_mark.line;

    if (parser->error == YAML_READER_ERROR) {
        line = 0;
        for (size_t k = 0; k < parser->problem_offset; k++)
            line += source->bytes[k] == '\n';
    }
    if (parser->error == YAML_MEMORY_ERROR)
        return CF_FAIL(CF_ERR_MEMORY, "%s: out of memory", source->origin);
    if (!source->line_numbers)
        return CF_FAIL(CF_ERR_USAGE, "%s: not valid YAML: %s", source->origin, problem);
    return CF_FAIL(CF_ERR_USAGE, "%s:%zu: not valid YAML: %s%s%s", source->origin, line + 1,
                   problem, parser->context != NULL ? ", " : "",
                   parser->context != NULL ? parser->context : "");
}

/* Nothing may follow the first document: it would be ignored without a word. */
static cf_status check_end(yaml_parser_t *parser, const config_source *source)
{
    yaml_document_t second;
    const yaml_node_t *root;
    cf_status status = CF_OK;

    if (!yaml_parser_load(parser, &second)) return fail_yaml(parser, source);
    root = yaml_document_get_root_node(&second);
    if (root != NULL)
        status = config_fail(source, root, "second document", "expected one document");
    yaml_document_delete(&second);
    return status;
}

/* Refuse a text that would take long to load. What is no YAML is left for the loader to tell. */
static cf_status check_size(const config_source *source, size_t size)
{
    yaml_parser_t parser;
    yaml_event_t event;
    int depth = 0;
    bool ends = false;
    cf_status status = CF_OK;

    if (!yaml_parser_initialize(&parser))
        return CF_FAIL(CF_ERR_MEMORY, "%s: out of memory", source->origin);
    yaml_parser_set_input_string(&parser, (const unsigned char *)source->bytes, size);
    for (int n = 0; status == CF_OK && !ends && yaml_parser_parse(&parser, &event); n++) {
        const yaml_node_t here = {.start_mark = event.start_mark};

        depth += event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
        depth -= event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        ends = event.type == YAML_STREAM_END_EVENT;
        if (depth > MAX_DEPTH)
            status = config_fail(source, &here, "not a text of settings",
                                 "lists within lists, deeper than %d", MAX_DEPTH);
        else if (n >= MAX_EVENTS)
            status = config_fail(source, &here, "not a text of settings",
                                 "more than %d names and values", MAX_EVENTS);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return status;
}

/* Parse the first document, check that it is the only one, then read it. libyaml's own buffers are
 * beyond cf_alloc(), so it frees them itself. */
static cf_status load_bytes(cf_config *config, const char *bytes, size_t size,
                            config_source *source)
{
    yaml_parser_t parser;
    yaml_document_t document;
    bool loaded = false;
    cf_status status;

    source->bytes = bytes;
    status = check_size(source, size);
    if (status != CF_OK) return status;
    if (!yaml_parser_initialize(&parser))
        return CF_FAIL(CF_ERR_MEMORY, "%s: out of memory", source->origin);
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, size);
    loaded = yaml_parser_load(&parser, &document);
    if (!loaded) CF_TRY(fail_yaml(&parser, source));
    if (yaml_document_get_root_node(&document) != NULL) CF_TRY(check_end(&parser, source));
    source->document = &document;
    CF_TRY(read_document(config, source));
done:
    if (loaded) yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return status;
}

cf_status cf_config_load_text(cf_config *config, const char *text, const char *origin)
{
    return cf_config_load_bytes(config, text, (int64_t)strlen(text), origin);
}

/* ---- Files ---------------------------------------------------------------------------------- */

/* Read on until the end, or until `size` bytes are full. O_NONBLOCK: poll() waits, but not for ever
 * as open() and read() would for a pipe that nobody writes to. */
static cf_status read_all(const char *path, int fd, char *bytes, int64_t size, int64_t *n_read)
{
    int64_t n = 0;
    ssize_t part = 1;

    while (part != 0 && n < size) {
        const int ready =
            poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1000 * PIPE_SECONDS);

        if (ready == 0)
            return CF_FAIL(CF_ERR_IO, "%s: nothing to read within %d seconds", path, PIPE_SECONDS);
        part = ready < 0 ? -1 : read(fd, bytes + n, (size_t)(size - n));
        if (part < 0 && errno != EINTR && errno != EAGAIN)
            return CF_FAIL(CF_ERR_IO, "%s: cannot read (%s)", path, strerror(errno));
        if (part > 0) n += part;
    }
    *n_read = n;
    return CF_OK;
}

/* It may be a pipe: its size is not known beforehand. One byte more shows that a file is too large.
 */
cf_status cf_config_read_file(const char *path, char **bytes, int64_t *size)
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    char *content = NULL;
    int64_t n = 0;
    cf_status status = CF_OK;

    if (fd < 0) return CF_FAIL(CF_ERR_IO, "%s: cannot open (%s)", path, strerror(errno));
    CF_TRY(CF_ALLOC(content, MAX_FILE_BYTES + 1));
    CF_TRY(read_all(path, fd, content, MAX_FILE_BYTES + 1, &n));
    CF_REQUIRE(n <= MAX_FILE_BYTES, CF_ERR_USAGE, "%s:1: not a file of settings: over 1 MiB", path);
    *bytes = content;
    *size = n;
    content = NULL;
done:
    cf_free(&content);
    close(fd);
    return status;
}

cf_status cf_config_load_bytes(cf_config *config, const char *bytes, int64_t size,
                               const char *origin)
{
    return load_bytes(config, bytes, (size_t)size,
                      &(config_source){.origin = origin, .line_numbers = true});
}

/* A missing file and a malformed one have different statuses (IO, USAGE), so the bytes are read
 * before anything is parsed. */
cf_status cf_config_load(cf_config *config, const char *path)
{
    char *bytes = NULL;
    int64_t size = 0;
    cf_status status = CF_OK;

    CF_TRY(cf_config_read_file(path, &bytes, &size));
    CF_TRY(cf_config_load_bytes(config, bytes, size, path));
done:
    cf_free(&bytes);
    return status;
}

/* ---- The command line ----------------------------------------------------------------------- */

/* `value` as its kind is written in YAML, so that the shell's quotes are enough: texts are quoted
 * unless they are already, lists get brackets. */
static cf_status append_assigned(config_buffer *text, const cf_setting *row, const char *value)
{
    size_t length = strlen(value);
    bool quoted = length > 1 && (*value == '"' || *value == '\'') && value[length - 1] == *value;

    if (row == NULL || row->kind == CF_SETTING_MAP || (row->kind == CF_SETTING_TEXT && quoted))
        return config_append(text, "%s\n", value);
    if (config_is_list(row)) return config_append(text, *value == '[' ? "%s\n" : "[%s]\n", value);
    return config_append_quoted(text, value);
}

/* The name is checked before the text is put together: a name with YAML in it ("a: 1, b") would
 * make a document of several settings. An unknown name is reported by the reader, with the nearest
 * one. */
cf_status cf_config_set(cf_config *config, const char *assignment)
{
    char name[80], excerpt[80];
    const int row = config_parse_name(config, assignment, name);
    config_buffer text = {0};
    cf_status status = CF_OK;

    CF_REQUIRE(name[0] != '\0', CF_ERR_USAGE, "--set %s: expected name=value",
               config_excerpt(assignment, excerpt));
    CF_TRY(config_append(&text, "%s: ", name));
    CF_TRY(append_assigned(&text, row < 0 ? NULL : config->rows[row], strchr(assignment, '=') + 1));
    CF_TRY(load_bytes(config, text.text, (size_t)text.length, &(config_source){.origin = "--set"}));
done:
    cf_free(&text.text);
    return status;
}
