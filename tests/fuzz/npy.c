/* Matrices in NumPy's format. An input is the file. Required: what is accepted has as many bytes as
 * its shape says, and all of them can be read; written anew, with a header as NumPy writes it, it
 * is accepted with the same type, shape and numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "ingest/vectors.h"

static char *read_all(const ingest_matrix *matrix, int64_t *size)
{
    char *rows;

    *size = matrix->n_rows * matrix->dim * (int64_t)cf_store_type_size(matrix->type);
    rows = malloc((size_t)*size); /* exact, so that a sanitizer sees a write beyond it */
    FUZZ_REQUIRE(rows != NULL);
    FUZZ_REQUIRE(ingest_read_matrix(matrix, 0, matrix->n_rows, rows) == CF_OK);
    return rows;
}

/* A file of format version 1, whose header ends at a multiple of 64 bytes. */
static const char *write_file(const ingest_matrix *matrix, const char *rows, int64_t size)
{
    static const char *const type[] = {[CF_F16] = "<f2", [CF_F32] = "<f4", [CF_F64] = "<f8"};
    enum { HEADER = 128 };
    char *bytes = malloc((size_t)(HEADER + size));
    const char *path;
    int n;

    FUZZ_REQUIRE(bytes != NULL);
    memset(bytes, ' ', HEADER);
    memcpy(bytes, "\x93NUMPY\1\0\x76\0", 10); /* 118 bytes of header follow */
    n = sprintf(bytes + 10, "{'descr': '%s', 'fortran_order': False, 'shape': (%lld, %lld), }",
                type[matrix->type], (long long)matrix->n_rows, (long long)matrix->dim);
    bytes[10 + n] = ' ';
    bytes[HEADER - 1] = '\n';
    memcpy(bytes + HEADER, rows, (size_t)size);
    path = fuzz_file(1, bytes, (size_t)(HEADER + size));
    free(bytes);
    return path;
}

static void check_copy(const ingest_matrix *matrix, const char *rows, int64_t size)
{
    ingest_matrix back = {.fd = -1};
    int64_t back_size;
    char *back_rows;

    FUZZ_REQUIRE(ingest_open_npy(write_file(matrix, rows, size), &back) == CF_OK);
    FUZZ_REQUIRE(back.n_rows == matrix->n_rows && back.dim == matrix->dim);
    FUZZ_REQUIRE(back.type == matrix->type);
    back_rows = read_all(&back, &back_size);
    FUZZ_REQUIRE(back_size == size && memcmp(back_rows, rows, (size_t)size) == 0);
    free(back_rows);
    ingest_close_matrix(&back);
}

void fuzz_input(const uint8_t *data, size_t size)
{
    ingest_matrix matrix = {.fd = -1};
    const char *path = fuzz_file(0, data, size);
    const cf_status status = ingest_open_npy(path, &matrix);
    int64_t n_bytes;
    char *rows;

    if (status != CF_OK) {
        fuzz_check_error(status);
    } else {
        rows = read_all(&matrix, &n_bytes);
        FUZZ_REQUIRE(matrix.n_rows > 0 && matrix.dim > 0 && matrix.dim <= INGEST_MAX_DIM);
        FUZZ_REQUIRE(matrix.offset + n_bytes == (int64_t)size);
        FUZZ_REQUIRE(memcmp(rows, data + matrix.offset, (size_t)n_bytes) == 0);
        check_copy(&matrix, rows, n_bytes);
        free(rows);
    }
    ingest_close_matrix(&matrix);
}
