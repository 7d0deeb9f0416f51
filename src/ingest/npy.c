/* The header of a .npy file: versions 1, 2 and 3, little-endian floating-point numbers, C order,
 * two dimensions.
 *
 * A file is "\x93NUMPY", the version (2 bytes), the header's length (2 or 4 bytes, little-endian),
 * the header, and the numbers. The header is a Python dictionary with the keys 'descr',
 * 'fortran_order' and 'shape'. The file must have exactly as many bytes as the shape says. Source:
 * NumPy Enhancement Proposal 1. */
#include "vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_HEADER = 65536 }; /* bytes */

/* Note an error, with what would have been accepted. */
static cf_status refuse_npy(const char *path, const char *why)
{
    return CF_FAIL(
        CF_ERR_FORMAT,
        "%s: %s, expected a .npy file of a 2-D array of little-endian float16, float32 or "
        "float64 in C order, or an HDF5 file",
        path, why);
}

/* The text after "'key':" in the header's dictionary; NULL if it has no such key. */
static const char *find_value(const char *header, const char *key)
{
    const char *at = strstr(header, key);

    if (at == NULL) return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    if (*at != ':') return NULL;
    at++;
    return at + strspn(at, " ");
}

/* Parse 'descr', such as "<f4": byte order, kind, bytes of a number. */
static cf_status parse_type(const char *path, const char *header, cf_type *out)
{
    const char *type = find_value(header, "'descr'");

    if (type == NULL) return refuse_npy(path, "no 'descr' in the header");
    if (strncmp(type, "'>f", 3) == 0) return refuse_npy(path, "its numbers are big-endian");
    if (strncmp(type, "'<f2'", 5) == 0)
        *out = CF_F16;
    else if (strncmp(type, "'<f4'", 5) == 0)
        *out = CF_F32;
    else if (strncmp(type, "'<f8'", 5) == 0)
        *out = CF_F64;
    else
        return refuse_npy(path, "its numbers have another type");
    return CF_OK;
}

/* Parse the dictionary into type and shape, "(rows, dim)". */
static cf_status parse_header(const char *path, const char *header, ingest_matrix *out)
{
    const char *order = find_value(header, "'fortran_order'"),
               *shape = find_value(header, "'shape'");
    char *end = NULL;
    cf_status status = parse_type(path, header, &out->type);

    if (status != CF_OK) return status;
    if (order == NULL || strncmp(order, "False", 5) != 0)
        return refuse_npy(path, "it is in Fortran order");
    if (shape == NULL || *shape != '(') return refuse_npy(path, "no 'shape' in the header");
    errno = 0;
    /* "(rows, dim)", perhaps with a comma at the end; a third number or a single one is refused. */
    out->n_rows = strtoll(shape + 1, &end, 10);
    if (end == shape + 1 || *end != ',')
        return refuse_npy(path, "its shape is not that of a 2-D array");
    shape = end + 1;
    out->dim = strtoll(shape, &end, 10);
    end += strspn(end, " ,");
    if (errno != 0 || *end != ')' || out->n_rows < 1 || out->dim < 1 || out->dim > INGEST_MAX_DIM)
        return refuse_npy(path, "its shape is not that of a 2-D array");
    return CF_OK;
}

/* Read and parse the header; out->offset is where it ends. */
static cf_status read_header(const char *path, int fd, ingest_matrix *out)
{
    unsigned char start[12];
    char *header = NULL;
    int64_t size, skip;
    cf_status status = CF_OK;

    if (pread(fd, start, sizeof start, 0) != sizeof start || memcmp(start, "\x93NUMPY", 6) != 0)
        return refuse_npy(path, "it begins neither as a .npy file nor as an HDF5 file");
    if (start[6] < 1 || start[6] > 3)
        return refuse_npy(path, "its format version is not 1, 2 or 3");
    skip = start[6] == 1 ? 10 : 12;
    size = start[8] | start[9] << 8; /* version 1 has 16 bits of length, later ones 32 */
    if (skip == 12) size |= (int64_t)start[10] << 16 | (int64_t)start[11] << 24;
    if (size > MAX_HEADER) return refuse_npy(path, "its header is longer than 64 KiB");
    CF_TRY(CF_ALLOC(header, size + 1));
    if (pread(fd, header, (size_t)size, skip) != size)
        CF_TRY(refuse_npy(path, "it ends inside its header"));
    CF_TRY(parse_header(path, header, out));
    out->offset = skip + size;
done:
    cf_free(&header);
    return status;
}

/* The size of the file is checked here, so that no later read can end too early. */
cf_status ingest_open_npy(const char *path, ingest_matrix *out)
{
    struct stat about;
    int64_t row, have;
    cf_status status;

    out->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (out->fd < 0 || fstat(out->fd, &about) != 0)
        return CF_FAIL(CF_ERR_IO, "%s: %s", path, strerror(errno));
    status = read_header(path, out->fd, out);
    if (status != CF_OK) return status;
    /* Divide first: rows times bytes of a forged header may overflow. */
    row = out->dim * (int64_t)cf_store_type_size(out->type);
    have = (about.st_size - out->offset) / row;
    if (have < out->n_rows || about.st_size - out->offset != out->n_rows * row)
        return CF_FAIL(CF_ERR_FORMAT, "%s: %s: %" PRId64 " bytes for %" PRId64 " rows of %" PRId64,
                       path, have < out->n_rows ? "truncated" : "bytes after the last row",
                       (int64_t)about.st_size - out->offset, out->n_rows, row);
    return CF_OK;
}
