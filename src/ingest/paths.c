/* Checks of the paths on the command line, before any file is opened: which combinations make
 * sense, and whether the output would overwrite an input. */
#include "paths.h"

#include "vectors.h"

#include <sys/stat.h>

/* True if both paths name one file, perhaps by different names or links. */
static bool is_same_file(const char *path, const char *other)
{
    struct stat one, two;

    return path != NULL && stat(path, &one) == 0 && stat(other, &two) == 0 &&
           one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

/* The output replaces a file of its name; if that is an input, the input would be lost. */
static cf_status check_output(const cf_ingest_paths *paths)
{
    const char *inputs[] = {paths->inter, paths->train, paths->valid,        paths->test,
                            paths->item,  NULL,         paths->embedding_ids};
    const char *dataset;
    char *embedding = NULL;
    cf_status status = CF_OK;

    if (paths->embedding != NULL)
        CF_TRY(ingest_split_source(paths->embedding, &embedding, &dataset));
    inputs[5] = embedding;
    for (size_t k = 0; k < sizeof inputs / sizeof *inputs; k++)
        CF_REQUIRE(!is_same_file(inputs[k], paths->out), CF_ERR_USAGE,
                   "prepare: --out is one of the files to read: %s", paths->out);
done:
    cf_free(&embedding);
    return status;
}

cf_status ingest_check_paths(const cf_ingest_paths *paths, const cf_ingest_options *options)
{
    const bool has_column = options->embedding_field[0] != 0;
    cf_status status;

    CF_REQUIRE(paths->out != NULL, CF_ERR_USAGE, "prepare: --out is missing");
    CF_REQUIRE((paths->inter == NULL) != (paths->train == NULL), CF_ERR_USAGE,
               "prepare: expected either --inter FILE or --train FILE");
    CF_REQUIRE(paths->inter == NULL || (paths->valid == NULL && paths->test == NULL), CF_ERR_USAGE,
               "prepare: --valid and --test go with --train, not with --inter");
    CF_REQUIRE(!has_column || paths->embedding == NULL, CF_ERR_USAGE,
               "prepare: expected vectors either in --embedding or in embedding_field, not both");
    CF_REQUIRE(!has_column || paths->item != NULL, CF_ERR_USAGE,
               "prepare: embedding_field needs --item");
    CF_REQUIRE(paths->embedding_ids == NULL || paths->embedding != NULL, CF_ERR_USAGE,
               "prepare: --embedding-ids needs --embedding");
    CF_TRY(check_output(paths));
done:
    return status;
}
