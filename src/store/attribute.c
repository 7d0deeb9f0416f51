/* Attributes of a file: single integers, real numbers and texts (fixed length, UTF-8). Every rank
 * writes the same value, as HDF5 demands of a parallel file. Attributes carry no checksums of ours;
 * HDF5's own protect them, for the object headers of its 1.8 format are checksummed.
 */
#include "internal.h"

#include <string.h>

enum { MAX_TEXT = 60 * 1024 }; /* HDF5 holds 64 KiB in an object's header */

/* Write an attribute of one element. HDF5 cannot change the size of an attribute, so an older one
 * is removed first. */
static int write_attribute(hid_t object, const char *name, hid_t type, const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR), attribute = -1;
    herr_t written = -1;

    if (H5Aexists(object, name) > 0) H5Adelete(object, name);
    attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) {
        written = H5Awrite(attribute, type, value);
        H5Aclose(attribute);
    }
    H5Sclose(space);
    return written < 0 ? -1 : 0;
}

/* Texts have a fixed length with their NUL: variable-length ones would lie in a heap. */
int store_write_text(hid_t object, const char *name, const char *value)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    int written;

    H5Tset_size(type, strlen(value) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    written = write_attribute(object, name, type, value);
    H5Tclose(type);
    return written;
}

/* Agree on the outcome of writing an attribute, and reserve the disk space that it takes. */
static cf_status end_write(cf_store *store, const char *name, int written)
{
    char reason[STORE_REASON_SIZE];
    cf_status status = CF_OK;

    if (written < 0)
        status = CF_FAIL(CF_ERR_IO, "%s: attribute %s: cannot write (%s)", store->path, name,
                         store_reason(reason));
    CF_TRY(cf_par_agree(&store->par, status));
    CF_TRY(store_reserve(store));
done:
    return status;
}

cf_status cf_store_write_int(cf_store *store, const char *name, int64_t value)
{
    return end_write(store, name, write_attribute(store->file, name, store->types[CF_I64], &value));
}

cf_status cf_store_write_real(cf_store *store, const char *name, double value)
{
    return end_write(store, name, write_attribute(store->file, name, store->types[CF_F64], &value));
}

cf_status cf_store_write_text(cf_store *store, const char *name, const char *value)
{
    CF_ASSERT(strlen(value) <= MAX_TEXT);
    return end_write(store, name, store_write_text(store->file, name, value));
}

/* Open an attribute whose type must be of `class`; its type is returned too. Local. */
static cf_status open_attribute(const cf_store *store, const char *name, H5T_class_t class,
                                hid_t *attribute, hid_t *type)
{
    const char *what = class == H5T_STRING    ? "a text"
                       : class == H5T_INTEGER ? "an integer"
                                              : "a real number";

    if (H5Aexists(store->file, name) <= 0)
        return CF_FAIL(CF_ERR_FORMAT, "%s: has no attribute %s", store->path, name);
    *attribute = H5Aopen(store->file, name, H5P_DEFAULT);
    *type = *attribute < 0 ? -1 : H5Aget_type(*attribute);
    if (*type < 0) return store_fail_read(store, "%s: cannot read attribute %s", store->path, name);
    if (H5Tget_class(*type) != class || (class == H5T_STRING && H5Tis_variable_str(*type) > 0))
        return CF_FAIL(CF_ERR_FORMAT, "%s: attribute %s is not %s", store->path, name, what);
    return CF_OK;
}

/* Close what open_attribute() opened, and agree on the outcome. */
static cf_status end_read(const cf_store *store, cf_status status, hid_t attribute, hid_t type)
{
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    return cf_par_agree(&store->par, status);
}

/* Read a number as int64 or float64; HDF5 converts from the width in the file. */
static cf_status read_number(const cf_store *store, const char *name, cf_type to, void *value)
{
    hid_t attribute = -1, type = -1;
    cf_status status;

    CF_TRY(open_attribute(store, name, to == CF_I64 ? H5T_INTEGER : H5T_FLOAT, &attribute, &type));
    if (H5Aread(attribute, store->types[to], value) < 0)
        status = store_fail_read(store, "%s: cannot read attribute %s", store->path, name);
done:
    return end_read(store, status, attribute, type);
}

cf_status cf_store_read_int(cf_store *store, const char *name, int64_t *value)
{
    int64_t number = 0;
    cf_status status = read_number(store, name, CF_I64, &number);

    if (status == CF_OK) *value = number;
    return status;
}

cf_status cf_store_read_real(cf_store *store, const char *name, double *value)
{
    double number = 0; /* `*value` stays as it is on failure */
    cf_status status = read_number(store, name, CF_F64, &number);

    if (status == CF_OK) *value = number;
    return status;
}

cf_status cf_store_read_text(cf_store *store, const char *name, char **value)
{
    hid_t attribute = -1, type = -1;
    char *text = NULL;
    cf_status status;

    CF_TRY(open_attribute(store, name, H5T_STRING, &attribute, &type));
    CF_TRY(CF_ALLOC(text, (int64_t)H5Tget_size(type) + 1));
    if (H5Aread(attribute, type, text) < 0)
        status = store_fail_read(store, "%s: cannot read attribute %s", store->path, name);
done:
    status = end_read(store, status, attribute, type);
    if (status == CF_OK)
        *value = text;
    else
        cf_free(&text);
    return status;
}

/* ---- All attributes ---- */

/* What read_next() fills: HDF5 calls it for one attribute after the other. */
typedef struct attribute_list {
    cf_attribute *attributes;
    int64_t count, capacity;
    cf_status status;
} attribute_list;

/* A text of fixed or variable length, as a new C string. Anything that HDF5 cannot convert is
 * "". */
static cf_status read_any_text(hid_t attribute, hid_t type, char **out)
{
    const bool variable = H5Tis_variable_str(type) > 0;
    const size_t size = variable ? H5T_VARIABLE : H5Tget_size(type) + 1;
    hid_t memory = H5Tcopy(H5T_C_S1);
    char *text = NULL;
    cf_status status = CF_OK;

    H5Tset_size(memory, size);
    H5Tset_cset(memory, H5Tget_cset(type));
    if (variable) {
        if (H5Aread(attribute, memory, &text) < 0) text = NULL;
        status = store_copy_text(text != NULL ? text : "", out);
        if (text != NULL) H5free_memory(text);
    } else {
        status = CF_ALLOC(text, (int64_t)size);
        if (status == CF_OK && H5Aread(attribute, memory, text) < 0) text[0] = '\0';
        if (status == CF_OK) *out = text;
    }
    H5Tclose(memory);
    return status;
}

/* The value of one attribute in the form that its type has. */
static cf_status read_any(hid_t attribute, cf_attribute *out)
{
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    H5T_class_t class = H5Tget_class(type);
    cf_status status = CF_OK;

    if (H5Sget_simple_extent_npoints(space) != 1)
        out->type = CF_ATTRIBUTE_OTHER;
    else if (class == H5T_INTEGER && H5Aread(attribute, H5T_NATIVE_INT64, &out->integer) >= 0)
        out->type = CF_ATTRIBUTE_INT;
    else if (class == H5T_FLOAT && H5Aread(attribute, H5T_NATIVE_DOUBLE, &out->real) >= 0)
        out->type = CF_ATTRIBUTE_REAL;
    else if (class == H5T_STRING) {
        out->type = CF_ATTRIBUTE_TEXT;
        status = read_any_text(attribute, type, &out->text);
    }
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

/* HDF5's callback: append one attribute to the list behind `context`; -1 ends the iteration. */
static herr_t read_next(hid_t file, const char *name, const H5A_info_t *info, void *context)
{
    attribute_list *list = context;
    cf_attribute *next;
    hid_t attribute;

    (void)info;
    list->status = CF_GROW(list->attributes, list->capacity, list->count + 1);
    if (list->status != CF_OK) return -1;
    next = &list->attributes[list->count++];
    *next = (cf_attribute){.type = CF_ATTRIBUTE_OTHER};
    list->status = store_copy_text(name, &next->name);
    attribute = H5Aopen(file, name, H5P_DEFAULT);
    if (list->status == CF_OK && attribute >= 0) list->status = read_any(attribute, next);
    if (attribute >= 0) H5Aclose(attribute);
    return list->status == CF_OK ? 0 : -1;
}

/* HDF5 calls read_next() in order of the names. Memory that ran out ends the iteration with the
 * status in the list; any other end is HDF5's own. */
cf_status cf_store_attributes(const cf_store *store, cf_attribute **out, int64_t *count)
{
    char reason[STORE_REASON_SIZE];
    attribute_list list = {.status = CF_OK};
    hsize_t position = 0;
    cf_status status;

    if (H5Aiterate2(store->file, H5_INDEX_NAME, H5_ITER_INC, &position, read_next, &list) < 0 &&
        list.status == CF_OK)
        list.status = store_fail_read(store, "%s: cannot read the attributes (%s)", store->path,
                                      store_reason(reason));
    CF_TRY(cf_par_agree(&store->par, list.status));
    *out = list.attributes;
    *count = list.count;
    return CF_OK;
done:
    cf_store_destroy_attributes(&list.attributes, list.count);
    return status;
}

void cf_store_destroy_attributes(cf_attribute **attributes, int64_t count)
{
    for (int64_t k = 0; k < count; k++) {
        cf_free(&(*attributes)[k].name);
        cf_free(&(*attributes)[k].text);
    }
    cf_free(attributes);
}
