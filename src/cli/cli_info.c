/* info: what a dataset or checkpoint holds: its kind, digest, attributes, and the type and shape of
 * each array. Both outputs are made from one JSON object. */
#include "cli.h"

#include <math.h>
#include <string.h>

/* ---- Attributes ----------------------------------------------------------------------------- */

/* A text; a JSON object, as `build` is, becomes that. */
static json_t *text_json(const char *text)
{
    json_t *object = NULL;

    if (text[0] == '{' && cf_train_json_parse(text, strlen(text), &object) != CF_OK) return NULL;
    return object != NULL ? object : cf_train_json_text(text);
}

/* A value; null for one that JSON cannot hold. */
static json_t *value_json(const cf_attribute *a)
{
    switch (a->type) {
    case CF_ATTRIBUTE_INT:
        return json_integer(a->integer);
    case CF_ATTRIBUTE_REAL:
        return isfinite(a->real) ? json_real(a->real) : json_null();
    case CF_ATTRIBUTE_TEXT:
        return text_json(a->text);
    case CF_ATTRIBUTE_OTHER:
        break;
    }
    return json_null();
}

/* Set a key that may be no UTF-8. */
static void set_named(json_t **object, const char *key, json_t *value)
{
    json_t *name = cf_train_json_text(key);

    cf_train_json_set(object, json_string_value(name), value);
    json_decref(name);
}

/* {"name": value}, on rank 0. Collective. */
static cf_status read_attributes(const cf_par *world, const cf_store *store, json_t **out)
{
    cf_attribute *attributes = NULL;
    int64_t count = 0;
    cf_status status;

    CF_TRY(cf_store_attributes(store, &attributes, &count));
    if (world->rank == 0) *out = json_object();
    for (int64_t k = 0; world->rank == 0 && k < count; k++)
        set_named(out, attributes[k].name, value_json(&attributes[k]));
done:
    cf_store_destroy_attributes(&attributes, count);
    return status;
}

/* ---- Arrays --------------------------------------------------------------------------------- */

/* {"/name": {"type": "int64", "shape": [3, 4]}}: on rank 0. Collective. */
static cf_status read_arrays(const cf_par *world, cf_store *store, json_t **out)
{
    json_t *arrays = world->rank == 0 ? json_object() : NULL;
    char *list = NULL, *rest = NULL;
    cf_status status;

    CF_TRY(cf_store_list(store, &list));
    for (char *name = strtok_r(list, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
        int64_t shape[2];
        cf_type type;
        json_t *sizes = NULL;

        CF_TRY(cf_store_shape(store, name, &type, shape));
        if (world->rank != 0) continue;
        sizes = shape[1] == 1 ? json_pack("[I]", (json_int_t)shape[0])
                              : json_pack("[I, I]", (json_int_t)shape[0], (json_int_t)shape[1]);
        set_named(
            &arrays, name,
            CF_JSON_OBJECT({"type", json_string(cf_store_type_name(type))}, {"shape", sizes}));
    }
    *out = arrays;
    arrays = NULL;
done:
    json_decref(arrays);
    cf_free(&list);
    return status;
}

/* ---- Printing ------------------------------------------------------------------------------- */

/* A line for each member that is a text. */
static void print_object(const char *name, json_t *object)
{
    const char *member;
    json_t *value;

    json_object_foreach(object, member, value)
    {
        char whole[CF_LINE_SIZE];

        snprintf(whole, sizeof whole, "%s.%s", name, member);
        if (json_is_string(value)) cli_print_line("  %-24s %s", whole, json_string_value(value));
    }
}

/* A line each; texts of several lines (settings) would drown the rest, so only their size is
 * printed. The kind is in the first line already. */
static void print_attributes(json_t *attributes)
{
    const char *name;
    json_t *value;

    json_object_foreach(attributes, name, value)
    {
        if (strcmp(name, "kind") == 0) continue;
        if (json_is_object(value))
            print_object(name, value);
        else if (json_is_string(value) && strchr(json_string_value(value), '\n'))
            cli_print_line("  %-24s text of %zu bytes", name, json_string_length(value));
        else if (json_is_string(value))
            cli_print_line("  %-24s %s", name, json_string_value(value));
        else if (json_is_integer(value))
            cli_print_line("  %-24s %lld", name, (long long)json_integer_value(value));
        else if (json_is_real(value))
            cli_print_line("  %-24s %.10g", name, json_real_value(value));
        else
            cli_print_line("  %-24s of another type", name);
    }
}

/* Name, type, rows, and columns if it is 2-D. */
static void print_arrays(json_t *arrays)
{
    const char *name;
    json_t *value;

    json_object_foreach(arrays, name, value)
    {
        const json_t *shape = json_object_get(value, "shape");
        const char *type = json_string_value(json_object_get(value, "type"));
        const long long rows = json_integer_value(json_array_get(shape, 0));

        if (json_array_size(shape) > 1)
            cli_print_line("  %-24s %s %lld x %lld", name, type, rows,
                           (long long)json_integer_value(json_array_get(shape, 1)));
        else
            cli_print_line("  %-24s %s %lld", name, type, rows);
    }
}

/* The JSON object as text. */
static void print_info(const json_t *info)
{
    json_t *attributes = json_object_get(info, "attributes");

    cli_print_line("%s: %s", json_string_value(json_object_get(info, "file")),
                   json_string_value(json_object_get(attributes, "kind")));
    cli_print_line("  %-24s %s", "digest", json_string_value(json_object_get(info, "digest")));
    print_attributes(attributes);
    print_arrays(json_object_get(info, "arrays"));
}

/* Only headers and checksums are read, never an array: a file of any size takes milliseconds. */
static cf_status run_info(const cf_par *world, const cli_arguments *arguments)
{
    const char *path = arguments->positional[0];
    cf_store *store = NULL;
    json_t *attributes = NULL, *arrays = NULL, *info = NULL;
    char digest[24];
    uint64_t number;
    cf_status status;

    CF_TRY(cf_store_open(world, path, NULL, &store));
    CF_TRY(cf_store_digest(store, &number));
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)number);
    CF_TRY(read_attributes(world, store, &attributes));
    CF_TRY(read_arrays(world, store, &arrays));
    /* nothing more is read; rank 0 alone has the JSON objects */
    cf_store_close(&store);
    if (world->rank == 0) {
        info = CF_JSON_OBJECT({"file", cf_train_json_text(path)}, {"digest", json_string(digest)},
                              {"attributes", attributes}, {"arrays", arrays});
        attributes = arrays = NULL;
    }
    CF_TRY(cli_check_json(world, info));
    if (arguments->json)
        CF_TRY(cli_print_json(world, json_incref(info)));
    else if (info != NULL)
        print_info(info);
done:
    json_decref(info);
    json_decref(attributes);
    json_decref(arrays);
    cf_store_close(&store);
    return status;
}

static const cli_option info_options[] = {{0}};

const cli_command cli_info = {
    .name = "info",
    .summary = "print what a dataset or checkpoint holds",
    .operand = "FILE.h5",
    .operand_kind = CLI_INPUT,
    .has_json = true,
    .options = info_options,
    .run = run_info,
};
