#include "internal.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

cf_status cf_config_fail(const cf_config_source *source, const yaml_node_t *node, const char *name,
                         const char *format, ...)
{
    char message[700], place[24] = "";
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (source->line_numbers) snprintf(place, sizeof place, ":%zu", node->start_mark.line + 1);
    return CF_FAIL(CF_ERR_USAGE, "%s%s: %s: %s", source->origin, place, name, message);
}

const char *cf_config_scalar(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

bool cf_config_is_null(const yaml_node_t *node)
{
    const char *text = cf_config_scalar(node);

    return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (strcmp(text, "") == 0 || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

const char *cf_config_choice(const cf_setting *row, int index, char *out)
{
    const char *choice = row->choices;
    size_t length;

    for (; index > 0 && choice; index--) {
        choice = strchr(choice, '|');
        if (choice) choice++;
    }
    if (!choice) return NULL;
    length = strcspn(choice, "|");
    CF_ASSERT(length < 64);
    memcpy(out, choice, length);
    out[length] = '\0';
    return out;
}

/* ---- What a setting may be ------------------------------------------------------------------ */

/* " from 1 to 9", " of at least 1", or nothing: ends beyond what a double counts exactly are no
 * limits. */
static void describe_range(const cf_setting *row, char *out, size_t size)
{
    bool low = row->min > -9e15, high = row->max < 9e15;

    if (low && high)
        snprintf(out, size, " from %.15g to %.15g", row->min, row->max);
    else if (low)
        snprintf(out, size, " of at least %.15g", row->min);
    else if (high)
        snprintf(out, size, " of at most %.15g", row->max);
    else
        out[0] = '\0';
}

const char *cf_config_describe(const cf_setting *row, char *out)
{
    static const char *const kind[] = {
        [CF_SETTING_INT] = "a whole number",
        [CF_SETTING_REAL] = "a number",
        [CF_SETTING_BOOL] = "true or false",
        [CF_SETTING_CHOICE] = "one of ",
        [CF_SETTING_TEXT] = "a text",
        [CF_SETTING_INT_LIST] = "a list of whole numbers",
        [CF_SETTING_REAL_LIST] = "a list of numbers",
        [CF_SETTING_MAP] = "a mapping of names to texts",
    };
    char range[80] = "", choice[64];

    if (row->kind == CF_SETTING_INT || row->kind == CF_SETTING_REAL ||
        row->kind == CF_SETTING_INT_LIST || row->kind == CF_SETTING_REAL_LIST)
        describe_range(row, range, sizeof range);
    snprintf(out, 400, "%s%s", kind[row->kind], range);
    if (row->kind == CF_SETTING_CHOICE)
        for (int k = 0; cf_config_choice(row, k, choice); k++) {
            size_t used = strlen(out);
            snprintf(out + used, 400 - used, "%s%s", k > 0 ? ", " : "", choice);
        }
    return out;
}

/* ---- Scalars -------------------------------------------------------------------------------- */

/* A decimal number, or an infinity; not what else strtod() takes (hexadecimal, NaN, blanks). */
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

/* Digits, or a number like 1e3 that is whole and small enough to be exact. YAML 1.1 reads 010 as
 * octal: refused, not guessed. */
static bool parse_int(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    double real;

    if (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9') return false;
    if (*digits != '\0' && strspn(digits, "0123456789") == strlen(digits)) {
        long long value;

        errno = 0;
        value = strtoll(text, NULL, 10);
        *out = value;
        return errno == 0;
    }
    if (!parse_real(text, &real) || fabs(real) > 9007199254740992.0 || real != floor(real))
        return false;
    *out = (int64_t)real;
    return true;
}

static bool parse_bool(const char *text, int64_t *out)
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

/* The value at `node` is not what `row` takes. */
static cf_status refuse(const cf_config_source *source, const yaml_node_t *node,
                        const cf_setting *row)
{
    const char *text = cf_config_scalar(node);
    char want[400], got[80];

    cf_config_describe(row, want);
    if (!text)
        return cf_config_fail(source, node, row->name, "expected %s, found a list or mapping",
                              want);
    return cf_config_fail(source, node, row->name, "\"%s\" is not %s", cf_config_excerpt(text, got),
                          want);
}

/* Number `index` of a value of numbers: the scalar `node`, in range. */
static cf_status take_number(const cf_config_source *source, const yaml_node_t *node,
                             const cf_setting *row, cf_config_value *value, int index)
{
    bool whole = row->kind == CF_SETTING_INT || row->kind == CF_SETTING_INT_LIST;
    const char *text = cf_config_scalar(node);
    cf_setting one = *row;
    bool fine = text != NULL;
    double number = 0;

    one.kind = whole ? CF_SETTING_INT : CF_SETTING_REAL;
    if (fine && whole) {
        fine = parse_int(text, &value->ints[index]);
        number = (double)value->ints[index];
    } else if (fine) {
        fine = parse_real(text, &value->reals[index]);
        number = value->reals[index];
    }
    if (fine && number >= row->min && number <= row->max) return CF_OK;
    return refuse(source, node, &one);
}

static cf_status take_choice(const cf_config_source *source, const yaml_node_t *node,
                             const cf_setting *row, cf_config_value *value)
{
    enum { MOST = 32 };
    const char *text = cf_config_scalar(node);
    char choice[MOST][64], got[80], want[400], hint[120];
    const char *names[MOST];
    int n = 0;

    cf_config_describe(row, want);
    if (!text) return cf_config_fail(source, node, row->name, "expected %s", want);
    for (; n < MOST && cf_config_choice(row, n, choice[n]); n++) {
        names[n] = choice[n];
        if (strcasecmp(choice[n], text) == 0)
            return cf_config_copy_text(choice[n], &value->texts[0]);
    }
    return cf_config_fail(source, node, row->name, "\"%s\" is not %s%s",
                          cf_config_excerpt(text, got), want, cf_config_hint(text, names, n, hint));
}

/* ---- Nodes ---------------------------------------------------------------------------------- */

static cf_status take_scalar(const cf_config_source *source, const yaml_node_t *node,
                             const cf_setting *row, cf_config_value *value)
{
    const char *text = cf_config_scalar(node);

    value->count = 1;
    if (row->kind == CF_SETTING_INT || row->kind == CF_SETTING_REAL)
        return take_number(source, node, row, value, 0);
    if (row->kind == CF_SETTING_CHOICE) return take_choice(source, node, row, value);
    if (row->kind == CF_SETTING_BOOL && text && parse_bool(text, &value->ints[0])) return CF_OK;
    if (row->kind == CF_SETTING_TEXT && text)
        return cf_config_copy_text(cf_config_is_null(node) ? "" : text, &value->texts[0]);
    return refuse(source, node, row);
}

static cf_status take_list(const cf_config_source *source, const yaml_node_t *node,
                           const cf_setting *row, cf_config_value *value)
{
    const yaml_node_item_t *items = node->data.sequence.items.start;
    cf_status status = CF_OK;

    if (node->type == YAML_SCALAR_NODE) {
        if (!cf_config_is_null(node)) CF_TRY(take_number(source, node, row, value, value->count++));
        goto done;
    }
    if (node->type != YAML_SEQUENCE_NODE) {
        char want[400];
        status = cf_config_fail(source, node, row->name, "expected %s, found a mapping",
                                cf_config_describe(row, want));
        goto done;
    }
    while (items + value->count < node->data.sequence.items.top) {
        CF_TRY(take_number(source, yaml_document_get_node(source->document, items[value->count]),
                           row, value, value->count));
        value->count++;
    }
done:
    return status;
}

static cf_status take_map(const cf_config_source *source, const yaml_node_t *node,
                          const cf_setting *row, cf_config_value *value)
{
    cf_status status = CF_OK;

    if (cf_config_is_null(node)) goto done;
    if (node->type != YAML_MAPPING_NODE) {
        status = cf_config_fail(source, node, row->name,
                                "expected a mapping of names to texts, {name: \"text\"}");
        goto done;
    }
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(source->document, pair->key);
        yaml_node_t *entry = yaml_document_get_node(source->document, pair->value);
        char got[80];

        if (!cf_config_scalar(key) || !cf_config_scalar(entry)) {
            status = cf_config_fail(source, entry, row->name, "expected one text for each name");
            goto done;
        }
        for (int k = 0; k < value->count; k++)
            if (strcmp(value->texts[2 * k], cf_config_scalar(key)) == 0) {
                status = cf_config_fail(source, key, row->name, "\"%s\" is given twice",
                                        cf_config_excerpt(cf_config_scalar(key), got));
                goto done;
            }
        CF_TRY(cf_config_copy_text(cf_config_scalar(key), &value->texts[2 * value->count]));
        CF_TRY(cf_config_copy_text(cf_config_scalar(entry), &value->texts[2 * value->count + 1]));
        value->count++;
    }
done:
    return status;
}

/* A text with a zero byte would be cut silently wherever it is used. */
static bool has_zero_byte(const yaml_node_t *node)
{
    return cf_config_scalar(node) && strlen(cf_config_scalar(node)) != node->data.scalar.length;
}

cf_status cf_config_take_value(const cf_config_source *source, const yaml_node_t *node,
                               const cf_setting *row, cf_config_value *value)
{
    cf_config_value fresh = {.given = true};
    int64_t room = 1;
    cf_status status = CF_OK;

    if (node->type == YAML_SEQUENCE_NODE)
        room += node->data.sequence.items.top - node->data.sequence.items.start;
    if (node->type == YAML_MAPPING_NODE)
        room += 2 * (node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    CF_TRY(CF_ALLOC(fresh.ints, room));
    CF_TRY(CF_ALLOC(fresh.reals, room));
    CF_TRY(CF_ALLOC(fresh.texts, room));
    fresh.n_texts = (int)room;

    if (has_zero_byte(node))
        status = cf_config_fail(source, node, row->name, "there is a zero byte in the text");
    else if (row->kind == CF_SETTING_INT_LIST || row->kind == CF_SETTING_REAL_LIST)
        status = take_list(source, node, row, &fresh);
    else if (row->kind == CF_SETTING_MAP)
        status = take_map(source, node, row, &fresh);
    else
        status = take_scalar(source, node, row, &fresh);
    if (status != CF_OK) goto done;

    cf_config_clear_value(value);
    *value = fresh;
    fresh = (cf_config_value){0};
done:
    cf_config_clear_value(&fresh);
    return status;
}

void cf_config_clear_value(cf_config_value *value)
{
    for (int k = 0; k < value->n_texts && value->texts; k++)
        cf_free(&value->texts[k]);
    cf_free(&value->texts);
    cf_free(&value->reals);
    cf_free(&value->ints);
    *value = (cf_config_value){0};
}

bool cf_config_equal_values(const cf_setting *row, const cf_config_value *a,
                            const cf_config_value *b)
{
    bool texts = row->kind == CF_SETTING_TEXT || row->kind == CF_SETTING_CHOICE ||
                 row->kind == CF_SETTING_MAP;
    int n = row->kind == CF_SETTING_MAP ? 2 * a->count : a->count;

    if (a->count != b->count) return false;
    for (int k = 0; k < n; k++)
        if (texts ? strcmp(a->texts[k], b->texts[k]) != 0
                  : a->ints[k] != b->ints[k] || a->reals[k] != b->reals[k])
            return false;
    return true;
}
