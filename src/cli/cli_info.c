/* info: what is in a dataset or checkpoint. */
#include "cli.h"

#include <hdf5.h>
#include <string.h>

static const char *const type_names[] = {
    [CF_F16] = "float16", [CF_F32] = "float32", [CF_F64] = "float64",
    [CF_I32] = "int32",   [CF_I64] = "int64",   [CF_U8] = "uint8"};

/* ---- Attributes ----------------------------------------------------------------------------- */

/* A text of fixed or variable length. */
static json_t *read_text(hid_t attribute, hid_t type)
{
    hid_t memory = H5Tcopy(H5T_C_S1);
    json_t *value = NULL;

    if (H5Tis_variable_str(type) > 0) {
        char *text = NULL;

        H5Tset_size(memory, H5T_VARIABLE);
        H5Tset_cset(memory, H5Tget_cset(type));
        if (H5Aread(attribute, memory, &text) >= 0 && text) value = json_string(text);
        H5free_memory(text);
    } else {
        size_t size = H5Tget_size(type);
        char *text = NULL;

        H5Tset_size(memory, size + 1);
        H5Tset_cset(memory, H5Tget_cset(type));
        if (CF_ALLOC(text, (int64_t)size + 1) == CF_OK && H5Aread(attribute, memory, text) >= 0)
            value = json_string(text);
        cf_free(&text);
    }
    H5Tclose(memory);
    return value;
}

/* One attribute into the JSON object behind `context`. */
static herr_t take_attribute(hid_t file, const char *name, const H5A_info_t *info, void *context)
{
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    json_t *value = NULL;

    (void)info;
    if (H5Sget_simple_extent_npoints(space) != 1) {
        value = json_null();
    } else if (H5Tget_class(type) == H5T_INTEGER) {
        long long number = 0;
        if (H5Aread(attribute, H5T_NATIVE_LLONG, &number) >= 0) value = json_integer(number);
    } else if (H5Tget_class(type) == H5T_FLOAT) {
        double number = 0;
        if (H5Aread(attribute, H5T_NATIVE_DOUBLE, &number) >= 0) value = json_real(number);
    } else if (H5Tget_class(type) == H5T_STRING) {
        value = read_text(attribute, type);
    }
    json_object_set_new(context, name, value ? value : json_null());
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return 0;
}

/* Rank 0 alone: the file was opened by all before, so it is whole. */
static json_t *read_attributes(const char *path)
{
    json_t *object = json_object();
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hsize_t place = 0;

    if (file < 0) return object;
    H5Aiterate2(file, H5_INDEX_NAME, H5_ITER_INC, &place, take_attribute, object);
    H5Fclose(file);
    return object;
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
        json_object_set_new(arrays, name,
                            json_pack("{s:s, s:o}", "type", type_names[type], "shape", sizes));
    }
    *out = arrays;
    arrays = NULL;
done:
    json_decref(arrays);
    cf_free(&list);
    return status;
}

/* ---- Printing ------------------------------------------------------------------------------- */

static void print_text(const json_t *info)
{
    const char *name;
    json_t *value;

    printf("%s: %s\n", json_string_value(json_object_get(info, "file")),
           json_string_value(json_object_get(json_object_get(info, "attributes"), "kind")));
    printf("  %-24s %s\n", "digest", json_string_value(json_object_get(info, "digest")));
    json_object_foreach(json_object_get(info, "attributes"), name, value)
    {
        if (strcmp(name, "kind") == 0) continue;
        printf("  %-24s ", name);
        if (json_is_string(value) && strchr(json_string_value(value), '\n'))
            printf("text of %zu bytes\n", json_string_length(value));
        else if (json_is_string(value))
            printf("%s\n", json_string_value(value));
        else if (json_is_integer(value))
            printf("%lld\n", (long long)json_integer_value(value));
        else
            printf("%.10g\n", json_number_value(value));
    }
    json_object_foreach(json_object_get(info, "arrays"), name, value)
    {
        const json_t *shape = json_object_get(value, "shape");

        printf("  %-24s %s %lld", name, json_string_value(json_object_get(value, "type")),
               (long long)json_integer_value(json_array_get(shape, 0)));
        if (json_array_size(shape) > 1)
            printf(" x %lld", (long long)json_integer_value(json_array_get(shape, 1)));
        printf("\n");
    }
}

static cf_status run(const cf_par *world, const cli_arguments *arguments)
{
    const char *path = arguments->positional[0];
    cf_store *store = NULL;
    json_t *arrays = NULL, *info = NULL;
    char digest[24];
    uint64_t number;
    cf_status status;

    CF_TRY(cf_store_open(world, path, NULL, &store));
    CF_TRY(cf_store_digest(store, &number));
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)number);
    CF_TRY(read_arrays(world, store, &arrays));
    cf_store_close(&store);
    if (world->rank == 0) {
        info = json_pack("{s:s, s:s, s:o, s:o}", "file", path, "digest", digest, "attributes",
                         read_attributes(path), "arrays", arrays);
        arrays = NULL;
    }
    if (arguments->json)
        CF_TRY(cli_print_json(world, json_incref(info)));
    else if (info)
        print_text(info);
done:
    json_decref(info);
    json_decref(arrays);
    cf_store_close(&store);
    return status;
}

static const cli_option options[] = {{0}};

const cli_command cli_info = {
    .name = "info",
    .summary = "print what is in a dataset or checkpoint",
    .operand = "FILE.h5",
    .has_json = true,
    .options = options,
    .run = run,
};
