/* The header of a .npy file: versions 1, 2 and 3, little-endian floating-point numbers, C order,
 * two dimensions.
 *
 * A file is "\x93NUMPY", the version (2 bytes), the header's length (2 or 4 bytes, little-endian),
 * the header, and the numbers. The header is a Python dictionary with the keys 'descr',
 * 'fortran_order' and 'shape', each once, and nothing else. The file must have exactly as many
 * bytes as the shape says. Source: NumPy Enhancement Proposal 1. */
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

/* ---- The dictionary ---- */

/* A header that is being parsed. The functions below return NULL, or what is wrong. */
typedef struct npy_header {
    const char *at; /* what is left of the text */
    bool has_type, has_order, has_shape;
    cf_type type;
    int64_t n_rows, dim;
} npy_header;

static const char not_2d[] = "its shape is not that of a 2-D array";

/* Step over spaces and the token, if it is next. */
static bool take(npy_header *h, const char *token)
{
    const size_t length = strlen(token);

    h->at += strspn(h->at, " \t\r\n");
    if (strncmp(h->at, token, length) != 0) return false;
    h->at += length;
    return true;
}

/* A string of Python, in either kind of quotes, without escapes. */
static bool take_string(npy_header *h, char *out, size_t size)
{
    const char *quote = take(h, "'") ? "'" : take(h, "\"") ? "\"" : NULL;
    const size_t length = quote != NULL ? strcspn(h->at, quote) : size;

    if (length >= size || h->at[length] == '\0') return false;
    memcpy(out, h->at, length);
    out[length] = '\0';
    h->at += length + 1;
    return true;
}

/* Digits alone, 1 to 2^63 - 1. */
static bool take_number(npy_header *h, int64_t *out)
{
    char *end = NULL;

    (void)take(h, "");
    if (*h->at < '0' || *h->at > '9') return false;
    errno = 0;
    *out = strtoll(h->at, &end, 10);
    h->at = end;
    return errno == 0 && *out >= 1;
}

/* 'descr', such as "<f4": byte order, kind, bytes of a number. */
static const char *parse_type(npy_header *h)
{
    char type[8] = "";

    if (!take_string(h, type, sizeof type)) return "its numbers have another type";
    if (strncmp(type, ">f", 2) == 0) return "its numbers are big-endian";
    if (strcmp(type, "<f2") == 0)
        h->type = CF_F16;
    else if (strcmp(type, "<f4") == 0)
        h->type = CF_F32;
    else if (strcmp(type, "<f8") == 0)
        h->type = CF_F64;
    else
        return "its numbers have another type";
    return NULL;
}

static const char *parse_order(npy_header *h)
{
    if (take(h, "False")) return NULL;
    return take(h, "True") ? "it is in Fortran order" : "its order is neither True nor False";
}

/* "(rows, dim)", perhaps with a comma at the end. */
static const char *parse_shape(npy_header *h)
{
    if (!take(h, "(") || !take_number(h, &h->n_rows) || !take(h, ",") || !take_number(h, &h->dim))
        return not_2d;
    (void)take(h, ",");
    return take(h, ")") && h->dim <= INGEST_MAX_DIM ? NULL : not_2d;
}

/* A key and its value; each of the three keys once. */
static const char *parse_pair(npy_header *h)
{
    char key[16] = "";
    const bool is_pair = take_string(h, key, sizeof key) && take(h, ":");
    const struct {
        const char *name;
        bool *seen;
        const char *(*parse)(npy_header *);
    } keys[] = {{"descr", &h->has_type, parse_type},
                {"fortran_order", &h->has_order, parse_order},
                {"shape", &h->has_shape, parse_shape}};

    for (size_t k = 0; is_pair && k < sizeof keys / sizeof *keys; k++) {
        if (strcmp(key, keys[k].name) != 0) continue;
        if (*keys[k].seen) return "a key occurs twice in its header";
        *keys[k].seen = true;
        return keys[k].parse(h);
    }
    return "its header has something else than 'descr', 'fortran_order' and 'shape'";
}

/* The whole text, `size` bytes with a NUL after them: nothing may follow the dictionary. */
static const char *parse_header(npy_header *h, int64_t size)
{
    const char *end = h->at + size, *wrong = NULL;
    bool more = take(h, "{");

    if (!more) return "its header is not a dictionary";
    while (more && wrong == NULL && !take(h, "}")) {
        wrong = parse_pair(h);
        more = wrong == NULL && take(h, ",");
        if (wrong == NULL && !more && !take(h, "}")) wrong = "its header is not a dictionary";
    }
    if (wrong != NULL) return wrong;
    if (!h->has_type) return "no 'descr' in the header";
    if (!h->has_order) return "no 'fortran_order' in the header";
    if (!h->has_shape) return "no 'shape' in the header";
    (void)take(h, "");
    return h->at == end ? NULL : "its header goes on after the dictionary";
}

/* ---- The file ---- */

/* Read and parse the header; out->offset is where it ends. `length`: of the file. */
static cf_status read_header(const char *path, int64_t length, ingest_matrix *out)
{
    unsigned char start[12];
    char *text = NULL;
    const char *wrong;
    npy_header header = {0};
    int64_t size, skip;
    cf_status status = CF_OK;

    if (length >= (int64_t)sizeof start)
        CF_TRY(ingest_read_bytes(path, out->fd, start, (int64_t[2]){0, sizeof start}));
    if (length < (int64_t)sizeof start || memcmp(start, "\x93NUMPY", 6) != 0)
        return refuse_npy(path, "it begins neither as a .npy file nor as an HDF5 file");
    if (start[6] < 1 || start[6] > 3)
        return refuse_npy(path, "its format version is not 1, 2 or 3");
    skip = start[6] == 1 ? 10 : 12;
    size = start[8] | start[9] << 8; /* version 1 has 16 bits of length, later ones 32 */
    if (skip == 12) size |= (int64_t)start[10] << 16 | (int64_t)start[11] << 24;
    if (size > MAX_HEADER) return refuse_npy(path, "its header is longer than 64 KiB");
    if (size > length - skip) return refuse_npy(path, "it ends inside its header");
    CF_TRY(CF_ALLOC(text, size + 1));
    CF_TRY(ingest_read_bytes(path, out->fd, text, (int64_t[2]){skip, size}));
    header.at = text;
    wrong = parse_header(&header, size);
    if (wrong != NULL) CF_TRY(refuse_npy(path, wrong));
    out->type = header.type;
    out->n_rows = header.n_rows;
    out->dim = header.dim;
    out->offset = skip + size;
done:
    cf_free(&text);
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
    status = read_header(path, about.st_size, out);
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
