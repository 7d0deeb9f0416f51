/* What every file of store needs of HDF5: the types of elements as they lie in a file, and the
 * reason of the last failure. Numbers are little-endian, which is the machine's own order (f16.c
 * asserts it), so that HDF5 moves them without a conversion. HDF5's own printing of errors is
 * switched off where a file is opened; its error stack is read here for the program's message.
 */
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const size_t type_sizes[STORE_N_TYPES] = {
    [CF_F16] = 2, [CF_F32] = 4, [CF_F64] = 8, [CF_I32] = 4, [CF_I64] = 8, [CF_U8] = 1};
static const char *const type_names[STORE_N_TYPES] = {
    [CF_F16] = "float16", [CF_F32] = "float32", [CF_F64] = "float64",
    [CF_I32] = "int32",   [CF_I64] = "int64",   [CF_U8] = "uint8"};

const char store_signature[8] = "\211HDF\r\n\032\n";

size_t cf_store_type_size(cf_type type)
{
    return type_sizes[type];
}

const char *cf_store_type_name(cf_type type)
{
    return type_names[type];
}

const char *cf_store_library(void)
{
    static char name[48];
    unsigned major = 0, minor = 0, release = 0;

    (void)H5get_libversion(&major, &minor, &release);
    snprintf(name, sizeof name, "HDF5 %u.%u.%u", major, minor, release);
    return name;
}

/* The fields of binary16, set on a copy of binary32. */
hid_t store_create_half(void)
{
    hid_t half = H5Tcopy(H5T_IEEE_F32LE);

    H5Tset_fields(half, 15, 10, 5, 0, 10); /* then size and bias: HDF5 accepts no other order */
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    return half;
}

void store_create_types(hid_t types[static STORE_N_TYPES])
{
    types[CF_F16] = store_create_half();
    types[CF_F32] = H5Tcopy(H5T_IEEE_F32LE);
    types[CF_F64] = H5Tcopy(H5T_IEEE_F64LE);
    types[CF_I32] = H5Tcopy(H5T_STD_I32LE);
    types[CF_I64] = H5Tcopy(H5T_STD_I64LE);
    types[CF_U8] = H5Tcopy(H5T_STD_U8LE);
}

void store_destroy_types(hid_t types[static STORE_N_TYPES])
{
    for (int k = 0; k < STORE_N_TYPES; k++)
        if (types[k] > 0) H5Tclose(types[k]);
}

/* ---- Errors ---- */

/* HDF5's callback for each entry of the error stack; entry 0 is the innermost. */
static herr_t keep_innermost(unsigned n, const H5E_error2_t *error, void *reason)
{
    if (n == 0) {
        strncpy(reason, error->desc, STORE_REASON_SIZE - 1);
        ((char *)reason)[STORE_REASON_SIZE - 1] = '\0';
    }
    return 0;
}

const char *store_reason(char reason[static STORE_REASON_SIZE])
{
    strcpy(reason, "HDF5 gives no reason");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, reason);
    return reason;
}

/* HDF5's callback: does an entry say that memory ran out? */
static herr_t find_lack_of_memory(unsigned n, const H5E_error2_t *error, void *found)
{
    (void)n;
    if (error->maj_num == H5E_RESOURCE && error->min_num == H5E_NOSPACE) *(bool *)found = true;
    return 0;
}

cf_status store_fail_io(store_io *io, const char *what)
{
    const int error = io->error;

    if (error == ENOMEM) return CF_FAIL(CF_ERR_MEMORY, "%s: out of memory", io->name);
    return CF_FAIL(CF_ERR_IO, "%s: cannot %s (%s)", io->name, what, strerror(error));
}

/* The note is cleared: the next read may succeed. */
cf_status store_fail_read(store_io *io, const char *format, ...)
{
    bool no_memory = false;
    char message[CF_LINE_SIZE];
    va_list arguments;

    if (io->error != 0) {
        const cf_status status = store_fail_io(io, "read");

        io->error = 0;
        return status;
    }
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, find_lack_of_memory, &no_memory);
    if (no_memory) return CF_FAIL(CF_ERR_MEMORY, "%s: out of memory", io->name);
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return CF_FAIL(CF_ERR_FORMAT, "%s", message);
}
