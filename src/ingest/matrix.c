/* Vectors as the rows of a matrix in a file: NumPy's format, or HDF5.
 *
 * Each rank opens the file by itself and reads the rows that it needs. A source is FILE, or
 * FILE:/DATASET for HDF5. The first bytes of the file tell the format; its name does not matter. */
#include "vectors.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

cf_status ingest_read_bytes(const char *path, int fd, void *out, const int64_t range[2])
{
    const int64_t n = cf_file_read(fd, out, range[1], range[0]);

    if (n < 0) return CF_FAIL(CF_ERR_IO, "%s: %s", path, strerror(errno));
    if (n < range[1]) return CF_FAIL(CF_ERR_FORMAT, "%s: truncated while it was read", path);
    return CF_OK;
}

/* ---- FILE or FILE:/DATASET ------------------------------------------------------------------- */

static bool path_exists(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0;
}

/* A path may itself contain ":/". A source that exists as a whole is a file; else the cut is at the
 * first ":/" with an existing file before it. */
cf_status cf_ingest_split_source(const char *source, char **file, const char **dataset)
{
    const int64_t size = (int64_t)strlen(source) + 1;
    char *copy = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(copy, size));
    memcpy(copy, source, (size_t)size);
    *dataset = NULL;
    for (char *at = copy;
         *dataset == NULL && !path_exists(source) && (at = strstr(at, ":/")) != NULL; at++) {
        *at = 0;
        if (path_exists(copy)) *dataset = source + (at + 1 - copy);
        if (*dataset == NULL) *at = ':';
    }
    *file = copy;
done:
    return status;
}

/* ---- Opening and reading --------------------------------------------------------------------- */

/* Without a dataset's name, the store takes the only matrix in the file. */
static cf_status open_hdf5(const char *file, const char *dataset, ingest_matrix *out)
{
    int64_t shape[2];
    cf_status status;

    CF_TRY(cf_store_open_external(file, dataset, &out->external, &out->type, shape));
    out->name = cf_store_external_name(out->external);
    out->n_rows = shape[0];
    out->dim = shape[1];
    CF_REQUIRE(out->dim <= INGEST_MAX_DIM, CF_ERR_FORMAT,
               "%s: rows of %" PRId64 " numbers, expected at most %d", out->name, out->dim,
               INGEST_MAX_DIM);
done:
    return status;
}

/* A name of a dataset is an error for a .npy file, rather than ignored. */
cf_status ingest_open_matrix(const char *source, ingest_matrix *out)
{
    const char *dataset;
    char *file = NULL;
    bool hdf5 = false;
    cf_status status;

    *out = (ingest_matrix){.name = source, .fd = -1};
    CF_TRY(cf_ingest_split_source(source, &file, &dataset));
    CF_TRY(cf_store_is_hdf5(file, &hdf5));
    if (hdf5)
        CF_TRY(open_hdf5(file, dataset, out));
    else if (dataset != NULL)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: not an HDF5 file, expected one with a dataset %s", file,
                       dataset));
    else
        CF_TRY(ingest_open_npy(source, out));
done:
    cf_free(&file);
    return status;
}

cf_status ingest_read_matrix(const ingest_matrix *matrix, int64_t first, int64_t count, void *rows)
{
    const int64_t row_bytes = matrix->dim * (int64_t)cf_store_type_size(matrix->type);

    if (matrix->external != NULL)
        return cf_store_read_external(matrix->external, first, count, rows);
    return ingest_read_bytes(matrix->name, matrix->fd, rows,
                             (int64_t[2]){matrix->offset + first * row_bytes, count * row_bytes});
}

void ingest_close_matrix(ingest_matrix *matrix)
{
    if (matrix->fd >= 0) close(matrix->fd);
    matrix->fd = -1;
    cf_store_close_external(&matrix->external);
}
