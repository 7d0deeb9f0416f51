#include "internal.h"

#include <string.h>

enum { MOST_TEXT = 60 * 1024 }; /* HDF5 holds 64 KiB in an object's header */

/* Write an attribute of one element, in place of an older one. */
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

/* How an attribute of the file was written, agreed; what it takes of the disk is reserved. */
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
    CF_ASSERT(strlen(value) <= MOST_TEXT);
    return end_write(store, name, store_write_text(store->file, name, value));
}

/* Open an attribute whose type is of `class` (`what` in words) and give that type too. Local. */
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
    if (*type < 0 || H5Tget_class(*type) != class ||
        (class == H5T_STRING && H5Tis_variable_str(*type) > 0))
        return CF_FAIL(CF_ERR_FORMAT, "%s: attribute %s is not %s", store->path, name, what);
    return CF_OK;
}

static cf_status end_read(const cf_store *store, cf_status status, hid_t attribute, hid_t type)
{
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    return cf_par_agree(&store->par, status);
}

static cf_status get_number(const cf_store *store, const char *name, cf_type wanted, void *value)
{
    hid_t attribute = -1, type = -1;
    cf_status status;

    CF_TRY(
        open_attribute(store, name, wanted == CF_I64 ? H5T_INTEGER : H5T_FLOAT, &attribute, &type));
    if (H5Aread(attribute, store->types[wanted], value) < 0)
        status = CF_FAIL(CF_ERR_FORMAT, "%s: attribute %s cannot be read", store->path, name);
done:
    return end_read(store, status, attribute, type);
}

cf_status cf_store_read_int(cf_store *store, const char *name, int64_t *value)
{
    int64_t number = 0;
    cf_status status = get_number(store, name, CF_I64, &number);

    if (status == CF_OK) *value = number;
    return status;
}

cf_status cf_store_read_real(cf_store *store, const char *name, double *value)
{
    double number = 0;
    cf_status status = get_number(store, name, CF_F64, &number);

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
        status = CF_FAIL(CF_ERR_FORMAT, "%s: attribute %s cannot be read", store->path, name);
done:
    status = end_read(store, status, attribute, type);
    if (status == CF_OK)
        *value = text;
    else
        cf_free(&text);
    return status;
}
