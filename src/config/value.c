/* One value of a setting: from a YAML node, in words, and compared.
 *
 * A node is a scalar, a sequence or a mapping of them; what it may be is the setting's kind. Plain
 * scalars are read by the kind, not by YAML's own rules: "1e3" is a whole number, "no" is a text
 * where a text is expected. All readers write into a value with room enough (config_read_value),
 * and leave the old value as it is on error. */
#include "internal.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Nodes ---------------------------------------------------------------------------------- */

/* ":LINE" of a node, where the origin has lines; an element of a list over several lines has its
 * own line. */
static const char *place(const config_source *source, const yaml_node_t *node, char out[24])
{
    out[0] = '\0';
    if (source->line_numbers) snprintf(out, 24, ":%zu", node->start_mark.line + 1);
    return out;
}

cf_status config_fail(const config_source *source, const yaml_node_t *node, const char *name,
                      const char *format, ...)
{
    char message[CF_LINE_SIZE], line[24];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return CF_FAIL(CF_ERR_USAGE, "%s%s: %s: %s", source->origin, place(source, node, line), name,
                   message);
}

void config_warn(const config_source *source, const yaml_node_t *node, const char *name,
                 const char *format, ...)
{
    char message[CF_LINE_SIZE], line[24];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    cf_warn("%s%s: %s: %s", source->origin, place(source, node, line), name, message);
}

/* libyaml ends the text with a zero byte. */
const char *config_scalar(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

/* Quoted, "null" is a text. */
bool config_is_null(const yaml_node_t *node)
{
    const char *text = config_scalar(node);

    return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (strcmp(text, "") == 0 || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

/* Choices are separated by '|'. */
const char *config_choice(const cf_setting *row, int index, char *out)
{
    const char *choice = row->choices;
    size_t length;

    for (; index > 0 && choice != NULL; index--) {
        choice = strchr(choice, '|');
        if (choice != NULL) choice++;
    }
    if (choice == NULL) return NULL;
    length = strcspn(choice, "|");
    CF_ASSERT(length < 64);
    memcpy(out, choice, length);
    out[length] = '\0';
    return out;
}

/* ---- What a setting may be ------------------------------------------------------------------ */

/* A limit as it would be written. What no int64_t reaches is no limit of whole numbers. */
static bool write_limit(const cf_setting *row, double limit, char out[40])
{
    const bool whole = row->kind == CF_SETTING_INT || row->kind == CF_SETTING_INT_LIST;

    if (!isfinite(limit) || (whole && fabs(limit) > 9.2e18)) return false;
    if (whole)
        snprintf(out, 40, "%lld", (long long)limit);
    else
        snprintf(out, 40, "%.15g", limit);
    return true;
}

/* " from 1 to 9", " of at least 1", or nothing. */
static void describe_range(const cf_setting *row, char *out, size_t size)
{
    char least[40], greatest[40];
    const bool low = write_limit(row, row->min, least), high = write_limit(row, row->max, greatest);

    out[0] = '\0';
    if (low && high)
        snprintf(out, size, " from %s to %s", least, greatest);
    else if (low)
        snprintf(out, size, " of at least %s", least);
    else if (high)
        snprintf(out, size, " of at most %s", greatest);
}

/* In the words of an error ("is not a whole number from 1 to 9") and of the table of settings. */
const char *config_describe(const cf_setting *row, char *out)
{
    static const char *const kind[] = {
        [CF_SETTING_INT] = "a whole number",
        [CF_SETTING_REAL] = "a number",
        [CF_SETTING_BOOL] = "true or false",
        [CF_SETTING_CHOICE] = "one of ",
        [CF_SETTING_TEXT] = "a text",
        [CF_SETTING_INT_LIST] = "a list of whole numbers",
        [CF_SETTING_REAL_LIST] = "a list of numbers",
        [CF_SETTING_TEXT_LIST] = "a list of texts",
        [CF_SETTING_MAP] = "a mapping of names to texts",
    };
    char range[120] = "", choice[64];

    if (row->kind == CF_SETTING_INT || row->kind == CF_SETTING_REAL ||
        row->kind == CF_SETTING_INT_LIST || row->kind == CF_SETTING_REAL_LIST)
        describe_range(row, range, sizeof range);
    snprintf(out, 400, "%s%s", kind[row->kind], range);
    if (row->kind == CF_SETTING_CHOICE)
        for (int k = 0; config_choice(row, k, choice) != NULL; k++) {
            size_t used = strlen(out);
            snprintf(out + used, 400 - used, "%s%s", k > 0 ? ", " : "", choice);
        }
    return out;
}

/* ---- Scalars -------------------------------------------------------------------------------- */

/* A finite decimal number or an infinity. strtod() alone would also take hexadecimal numbers, NaN
 * and leading blanks. */
static bool parse_real(const char *text, double *out)
{
    const char *t = text + (*text == '-' || *text == '+');
    char *end;
    double value;

    if (strcasecmp(t, ".inf") == 0 || strcasecmp(t, "inf") == 0) {
        *out = *text == '-' ? -HUGE_VAL : HUGE_VAL;
        return true;
    }
    if (*t == '\0' || strspn(t, "0123456789.eE+-") != strlen(t)) return false;
    value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value)) return false;
    *out = value;
    return true;
}

/* Digits, or a whole number like 1e3 that is small enough to be exact. 010 is refused: YAML 1.1
 * reads it as octal, most people do not. */
bool config_parse_int(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    double real;

    if (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9') return false;
    if (*digits != '\0' && strspn(digits, "0123456789") == strlen(digits)) {
        long long value;

        errno = 0; /* set by strtoll() where 64 bits are too few */
        value = strtoll(text, NULL, 10);
        *out = value;
        return errno == 0;
    }
    if (!parse_real(text, &real) || fabs(real) > 9007199254740992.0 || real != floor(real))
        return false;
    *out = (int64_t)real;
    return true;
}

/* The words of YAML 1.1, in any case. */
bool config_parse_bool(const char *text, int64_t *out)
{
    static const char *const words[2][4] = {{"false", "no", "off", "n"},
                                            {"true", "yes", "on", "y"}};

    for (int truth = 0; truth < 2; truth++)
        for (int k = 0; k < 4; k++)
            if (strcasecmp(text, words[truth][k]) == 0) {
                *out = truth;
                return true;
            }
    return false;
}

/* The error of a node that is not a value of `row`. */
static cf_status fail_value(const config_source *source, const yaml_node_t *node,
                            const cf_setting *row)
{
    const char *text = config_scalar(node);
    char expected[400], excerpt[80];

    config_describe(row, expected);
    if (text == NULL)
        return config_fail(source, node, row->name, "expected %s, found a list or mapping",
                           expected);
    return config_fail(source, node, row->name, "\"%s\" is not %s", config_excerpt(text, excerpt),
                       expected);
}

/* Number `index` of a number or of a list of numbers: the scalar `node`, in range. An error in a
 * list is described as that of a single number. */
static cf_status read_number(const config_source *source, const yaml_node_t *node,
                             const cf_setting *row, config_value *value, int index)
{
    bool whole = row->kind == CF_SETTING_INT || row->kind == CF_SETTING_INT_LIST;
    const char *text = config_scalar(node);
    cf_setting one = *row; /* the row as that of a single number, for the error */
    bool fine = text != NULL;
    long double number = 0; /* counts every int64_t exactly */

    one.kind = whole ? CF_SETTING_INT : CF_SETTING_REAL;
    if (fine && whole) {
        fine = config_parse_int(text, &value->ints[index]);
        number = value->ints[index];
    } else if (fine) {
        fine = parse_real(text, &value->reals[index]);
        number = value->reals[index];
    }
    if (fine && number >= row->min && number <= row->max) return CF_OK;
    return fail_value(source, node, &one);
}

/* The spelling of the table is kept, whatever case is given. */
static cf_status read_choice(const config_source *source, const yaml_node_t *node,
                             const cf_setting *row, config_value *value)
{
    enum { MAX_CHOICES = 32 };
    const char *text = config_scalar(node);
    char choice[MAX_CHOICES][64], excerpt[80], expected[400], hint[120];
    const char *names[MAX_CHOICES];
    int n = 0;

    config_describe(row, expected);
    if (text == NULL) return config_fail(source, node, row->name, "expected %s", expected);
    for (; n < MAX_CHOICES && config_choice(row, n, choice[n]) != NULL; n++) {
        names[n] = choice[n];
        if (strcasecmp(choice[n], text) == 0) return config_copy_text(choice[n], &value->texts[0]);
    }
    return config_fail(source, node, row->name, "\"%s\" is not %s%s", config_excerpt(text, excerpt),
                       expected, config_hint(text, names, n, hint));
}

/* ---- Values --------------------------------------------------------------------------------- */

/* One value of one kind. A TEXT takes any scalar, numbers too, as it is written. */
static cf_status read_scalar(const config_source *source, const yaml_node_t *node,
                             const cf_setting *row, config_value *value)
{
    const char *text = config_scalar(node);

    value->count = 1;
    if (row->kind == CF_SETTING_INT || row->kind == CF_SETTING_REAL)
        return read_number(source, node, row, value, 0);
    if (row->kind == CF_SETTING_CHOICE) return read_choice(source, node, row, value);
    if (row->kind == CF_SETTING_BOOL && text != NULL && config_parse_bool(text, &value->ints[0]))
        return CF_OK;
    if (row->kind == CF_SETTING_TEXT && text != NULL)
        return config_copy_text(config_is_null(node) ? "" : text, &value->texts[0]);
    return fail_value(source, node, row);
}

bool config_is_list(const cf_setting *row)
{
    return row->kind == CF_SETTING_INT_LIST || row->kind == CF_SETTING_REAL_LIST ||
           row->kind == CF_SETTING_TEXT_LIST;
}

/* The next element of a list. */
static cf_status read_element(const config_source *source, const yaml_node_t *node,
                              const cf_setting *row, config_value *value)
{
    const char *text = config_scalar(node);
    cf_setting one = *row; /* the row as that of a single text, for the error */

    if (row->kind != CF_SETTING_TEXT_LIST)
        return read_number(source, node, row, value, value->count++);
    one.kind = CF_SETTING_TEXT;
    if (text == NULL) return fail_value(source, node, &one);
    return config_copy_text(text, &value->texts[value->count++]);
}

/* A sequence, or one element alone. `value` has room for all elements. */
static cf_status read_list(const config_source *source, const yaml_node_t *node,
                           const cf_setting *row, config_value *value)
{
    const yaml_node_item_t *items = node->data.sequence.items.start;
    cf_status status = CF_OK;

    if (node->type == YAML_SCALAR_NODE) {
        if (!config_is_null(node)) CF_TRY(read_element(source, node, row, value));
        goto done;
    }
    if (node->type != YAML_SEQUENCE_NODE) {
        char expected[400];
        status = config_fail(source, node, row->name, "expected %s, found a mapping",
                             config_describe(row, expected));
        goto done;
    }
    while (items + value->count < node->data.sequence.items.top)
        CF_TRY(read_element(source, yaml_document_get_node(source->document, items[value->count]),
                            row, value));
done:
    return status;
}

/* One entry of a mapping, a name that is new and its text, behind those read so far. */
static cf_status read_pair(const config_source *source, const yaml_node_t *key,
                           const yaml_node_t *entry, const cf_setting *row, config_value *value)
{
    const char *name = config_scalar(key), *text = config_scalar(entry);
    char excerpt[80];
    cf_status status = CF_OK;

    if (name == NULL || text == NULL)
        return config_fail(source, entry, row->name, "expected one text for each name");
    for (int k = 0; k < value->count; k++)
        if (strcmp(value->texts[2 * k], name) == 0)
            return config_fail(source, key, row->name, "\"%s\" is given twice",
                               config_excerpt(name, excerpt));
    CF_TRY(config_copy_text(name, &value->texts[2 * value->count]));
    CF_TRY(config_copy_text(text, &value->texts[2 * value->count + 1]));
    value->count++;
done:
    return status;
}

/* Names and texts of a mapping, in the order of the file. */
static cf_status read_map(const config_source *source, const yaml_node_t *node,
                          const cf_setting *row, config_value *value)
{
    cf_status status = CF_OK;

    if (config_is_null(node)) return CF_OK;
    if (node->type != YAML_MAPPING_NODE)
        return config_fail(source, node, row->name,
                           "expected a mapping of names to texts, {name: \"text\"}");
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++)
        CF_TRY(read_pair(source, yaml_document_get_node(source->document, pair->key),
                         yaml_document_get_node(source->document, pair->value), row, value));
done:
    return status;
}

/* All three arrays get room for as many elements as the node has: no kind needs more, and the
 * readers above then never allocate more than their texts. */
cf_status config_read_value(const config_source *source, const yaml_node_t *node,
                            const cf_setting *row, config_value *value)
{
    config_value read = {.given = true};
    int64_t capacity = 1;
    cf_status status = CF_OK;

    if (node->type == YAML_SEQUENCE_NODE)
        capacity += node->data.sequence.items.top - node->data.sequence.items.start;
    if (node->type == YAML_MAPPING_NODE)
        capacity += 2 * (node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    CF_TRY(CF_ALLOC(read.ints, capacity));
    CF_TRY(CF_ALLOC(read.reals, capacity));
    CF_TRY(CF_ALLOC(read.texts, capacity));
    read.n_texts = (int)capacity;

    if (config_is_list(row))
        status = read_list(source, node, row, &read);
    else if (row->kind == CF_SETTING_MAP)
        status = read_map(source, node, row, &read);
    else
        status = read_scalar(source, node, row, &read);
    if (status != CF_OK) goto done;

    config_clear_value(value);
    *value = read;
    read = (config_value){0};
done:
    config_clear_value(&read);
    return status;
}

/* The three arrays have one length. */
cf_status config_copy_value(const config_value *value, config_value *out)
{
    config_value copy = {.count = value->count};
    const size_t n = (size_t)value->n_texts;
    cf_status status;

    CF_TRY(CF_ALLOC(copy.ints, value->n_texts));
    CF_TRY(CF_ALLOC(copy.reals, value->n_texts));
    CF_TRY(CF_ALLOC(copy.texts, value->n_texts));
    copy.n_texts = value->n_texts;
    memcpy(copy.ints, value->ints, n * sizeof *copy.ints);
    memcpy(copy.reals, value->reals, n * sizeof *copy.reals);
    for (size_t k = 0; k < n; k++)
        if (value->texts[k] != NULL) CF_TRY(config_copy_text(value->texts[k], &copy.texts[k]));
    *out = copy;
    copy = (config_value){0};
done:
    config_clear_value(&copy);
    return status;
}

/* A value that was never read is all zero, and freed as well. */
void config_clear_value(config_value *value)
{
    for (int k = 0; k < value->n_texts && value->texts != NULL; k++)
        cf_free(&value->texts[k]);
    cf_free(&value->texts);
    cf_free(&value->reals);
    cf_free(&value->ints);
    *value = (config_value){0};
}

/* Numbers that a kind does not use are zero in both. */
bool config_equal_values(const cf_setting *row, const config_value *a, const config_value *b)
{
    bool texts = row->kind == CF_SETTING_TEXT || row->kind == CF_SETTING_CHOICE ||
                 row->kind == CF_SETTING_MAP || row->kind == CF_SETTING_TEXT_LIST;
    int n = row->kind == CF_SETTING_MAP ? 2 * a->count : a->count;

    if (a->count != b->count) return false;
    for (int k = 0; k < n; k++)
        if (texts ? strcmp(a->texts[k], b->texts[k]) != 0
                  : a->ints[k] != b->ints[k] || a->reals[k] != b->reals[k])
            return false;
    return true;
}
