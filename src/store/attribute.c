/* Attributes of a file: single integers, real numbers and texts (fixed length, UTF-8). Every rank
 * writes the same value, as HDF5 demands of a parallel file. Attributes carry no checksums of ours;
 * HDF5's own protect them, for the object headers of its 1.8 format are checksummed. HDF5 reads as
 * many elements as the file says, so their number and size are checked before each read.
 */
#include "internal.h"

#include <string.h>

enum { MAX_TEXT = 60 * 1024 }; /* HDF5 holds 64 KiB in an object's header */

/* Write an attribute of one element. HDF5 cannot change the size of an attribute, so an older one
 * is removed first. */
static int write_attribute(hid_t object, const char *name, hid_t type, const void *value)
{
    hid_t space, attribute;
    herr_t written = -1;
    htri_t exists;

    exists = H5Aexists(object, name);
    if (exists < 0 || (exists > 0 && H5Adelete(object, name) < 0)) return -1;
    space = H5Screate(H5S_SCALAR);
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

/* An attribute that is being read. */
typedef struct open_attribute {
    const char *name;
    hid_t id, type; /* negative: not open */
} open_attribute;

/* What an attribute holds, if it is one element: a number of any width up to 64 bits, which HDF5
 * converts, or a text of fixed length. */
static cf_attribute_type type_of(const open_attribute *in)
{
    hid_t space = H5Aget_space(in->id);
    const bool one = H5Sget_simple_extent_npoints(space) == 1;
    const size_t size = H5Tget_size(in->type);
    const H5T_class_t class = H5Tget_class(in->type);

    H5Sclose(space);
    if (one && class == H5T_INTEGER && size <= sizeof(int64_t)) return CF_ATTRIBUTE_INT;
    if (one && class == H5T_FLOAT && size <= sizeof(double)) return CF_ATTRIBUTE_REAL;
    if (one && class == H5T_STRING && size <= MAX_TEXT + 1 && H5Tis_variable_str(in->type) == 0)
        return CF_ATTRIBUTE_TEXT;
    return CF_ATTRIBUTE_OTHER;
}

/* Rank 0's answer counts, as that of cf_store_has() does. */
cf_status cf_store_has_attribute(cf_store *store, const char *name, bool *out)
{
    char reason[STORE_REASON_SIZE];
    const htri_t exists = H5Aexists(store->file, name);
    bool found = exists > 0;
    cf_status status = CF_OK;

    if (exists < 0)
        status = store_fail_read(store->io, "%s: cannot tell whether it has attribute %s (%s)",
                                 store->path, name, store_reason(reason));
    CF_TRY(cf_par_agree(&store->par, status));
    cf_par_broadcast(&store->par, &found, sizeof found, 0);
    *out = found;
done:
    return status;
}

/* Open an attribute of the file, which has it. Local. */
static cf_status open_existing(const cf_store *store, open_attribute *in)
{
    char reason[STORE_REASON_SIZE];

    in->id = H5Aopen(store->file, in->name, H5P_DEFAULT);
    if (in->id >= 0) in->type = H5Aget_type(in->id);
    if (in->type >= 0) return CF_OK;
    return store_fail_read(store->io, "%s: cannot read attribute %s (%s)", store->path, in->name,
                           store_reason(reason));
}

/* Open an attribute of the file, which must be as expected. Local. */
static cf_status begin_read(const cf_store *store, open_attribute *in, cf_attribute_type expected)
{
    static const char *const what[] = {"an integer", "a real number", "a text"};
    char reason[STORE_REASON_SIZE];
    const htri_t exists = H5Aexists(store->file, in->name);

    cf_status status;

    if (exists < 0)
        return store_fail_read(store->io, "%s: cannot read attribute %s (%s)", store->path,
                               in->name, store_reason(reason));
    CF_REQUIRE(exists > 0, CF_ERR_FORMAT, "%s: has no attribute %s", store->path, in->name);
    CF_TRY(open_existing(store, in));
    CF_REQUIRE(type_of(in) == expected, CF_ERR_FORMAT, "%s: attribute %s is not %s, a single one",
               store->path, in->name, what[expected]);
done:
    return status;
}

/* The value of an open attribute, as `type` in memory. Local. */
static cf_status read_value(const cf_store *store, const open_attribute *in, hid_t type,
                            void *value)
{
    char reason[STORE_REASON_SIZE];

    if (H5Aread(in->id, type, value) >= 0) return CF_OK;
    return store_fail_read(store->io, "%s: cannot read attribute %s (%s)", store->path, in->name,
                           store_reason(reason));
}

/* A text of fixed length as a new C string, whether or not it has a NUL at its end. Local. */
static cf_status read_text(const cf_store *store, const open_attribute *in, char **out)
{
    char *text = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(text, (int64_t)H5Tget_size(in->type) + 1));
    CF_TRY(read_value(store, in, in->type, text));
    *out = text;
    text = NULL;
done:
    cf_free(&text);
    return status;
}

static void close_attribute(open_attribute *in)
{
    if (in->type >= 0) H5Tclose(in->type);
    if (in->id >= 0) H5Aclose(in->id);
}

/* Close what begin_read() opened, and agree on the outcome. Collective. */
static cf_status end_read(const cf_store *store, open_attribute *in, cf_status status)
{
    close_attribute(in);
    return cf_par_agree(&store->par, status);
}

cf_status cf_store_read_int(cf_store *store, const char *name, int64_t *value)
{
    open_attribute in = {name, -1, -1};
    int64_t number = 0; /* `*value` stays as it is on failure */
    cf_status status;

    CF_TRY(begin_read(store, &in, CF_ATTRIBUTE_INT));
    CF_TRY(read_value(store, &in, H5T_NATIVE_INT64, &number));
done:
    status = end_read(store, &in, status);
    if (status == CF_OK) *value = number;
    return status;
}

cf_status cf_store_read_real(cf_store *store, const char *name, double *value)
{
    open_attribute in = {name, -1, -1};
    double number = 0;
    cf_status status;

    CF_TRY(begin_read(store, &in, CF_ATTRIBUTE_REAL));
    CF_TRY(read_value(store, &in, H5T_NATIVE_DOUBLE, &number));
done:
    status = end_read(store, &in, status);
    if (status == CF_OK) *value = number;
    return status;
}

/* A text has its NUL as the last of its bytes, and no other. */
cf_status cf_store_read_text(cf_store *store, const char *name, char **value)
{
    open_attribute in = {name, -1, -1};
    char *text = NULL;
    cf_status status;

    CF_TRY(begin_read(store, &in, CF_ATTRIBUTE_TEXT));
    CF_TRY(read_text(store, &in, &text));
    CF_REQUIRE(strlen(text) + 1 == H5Tget_size(in.type), CF_ERR_FORMAT,
               "%s: attribute %s is not a text", store->path, name);
done:
    status = end_read(store, &in, status);
    if (status == CF_OK)
        *value = text;
    else
        cf_free(&text);
    return status;
}

/* ---- All attributes ---- */

/* What visit_attribute() fills: HDF5 calls it for one attribute after the other. */
typedef struct attribute_list {
    const cf_store *store;
    cf_attribute *attributes;
    int64_t count, capacity;
    cf_status status;
} attribute_list;

/* The value of one attribute in the form that its type has. */
static cf_status read_any(const cf_store *store, const open_attribute *in, cf_attribute *out)
{
    out->type = type_of(in);
    if (out->type == CF_ATTRIBUTE_INT)
        return read_value(store, in, H5T_NATIVE_INT64, &out->integer);
    if (out->type == CF_ATTRIBUTE_REAL) return read_value(store, in, H5T_NATIVE_DOUBLE, &out->real);
    if (out->type == CF_ATTRIBUTE_TEXT) return read_text(store, in, &out->text);
    return CF_OK;
}

/* Append one attribute of the file to the list. Local. */
static cf_status append_attribute(attribute_list *list, open_attribute *in)
{
    cf_attribute *next;
    cf_status status;

    CF_TRY(CF_GROW(list->attributes, list->capacity, list->count + 1));
    next = &list->attributes[list->count++];
    *next = (cf_attribute){.type = CF_ATTRIBUTE_OTHER};
    CF_TRY(cf_text_format(&next->name, "%s", in->name));
    CF_TRY(open_existing(list->store, in));
    CF_TRY(read_any(list->store, in, next));
done:
    return status;
}

/* H5Aiterate2()'s callback; -1 ends the iteration. */
static herr_t visit_attribute(hid_t file, const char *name, const H5A_info_t *info, void *context)
{
    attribute_list *list = context;
    open_attribute in = {name, -1, -1};

    (void)file;
    (void)info;
    list->status = append_attribute(list, &in);
    close_attribute(&in);
    return list->status == CF_OK ? 0 : -1;
}

/* HDF5 visits in order of the names. An attribute that cannot be read ends the iteration with the
 * status in the list; any other end is HDF5's own. */
cf_status cf_store_attributes(const cf_store *store, cf_attribute **out, int64_t *count)
{
    char reason[STORE_REASON_SIZE];
    attribute_list list = {.store = store};
    hsize_t position = 0;
    cf_status status;

    if (H5Aiterate2(store->file, H5_INDEX_NAME, H5_ITER_INC, &position, visit_attribute, &list) <
            0 &&
        list.status == CF_OK)
        list.status = store_fail_read(store->io, "%s: cannot read the attributes (%s)", store->path,
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
