/* Checks of the paths on the command line, before any file is opened: which combinations make
 * sense. */
#include "paths.h"

cf_status ingest_check_paths(const cf_ingest_paths *paths, const cf_ingest_options *options)
{
    const bool has_column = options->embedding_field[0] != 0;
    cf_status status = CF_OK;

    CF_REQUIRE(paths->out != NULL, CF_ERR_USAGE, "prepare: --out is missing");
    CF_REQUIRE((paths->inter == NULL) != (paths->train == NULL), CF_ERR_USAGE,
               "prepare: expected either --inter FILE or --train FILE");
    CF_REQUIRE(paths->inter == NULL || (paths->valid == NULL && paths->test == NULL), CF_ERR_USAGE,
               "prepare: --valid and --test go with --train, not with --inter");
    CF_REQUIRE(paths->inter != NULL || options->cold_share == 0, CF_ERR_USAGE,
               "prepare: cold_share goes with --inter; with --train the files make items cold");
    CF_REQUIRE(paths->inter != NULL || options->max_train_items == 0 || !options->by_time,
               CF_ERR_USAGE,
               "prepare: max_train_items with --train takes items in random order, since times are "
               "read with --inter alone: leave out order: time");
    CF_REQUIRE(!has_column || paths->embedding == NULL, CF_ERR_USAGE,
               "prepare: expected vectors either in --embedding or in embedding_field, not both");
    CF_REQUIRE(!has_column || paths->item != NULL, CF_ERR_USAGE,
               "prepare: embedding_field needs --item");
    CF_REQUIRE(paths->embedding_ids == NULL || paths->embedding != NULL, CF_ERR_USAGE,
               "prepare: --embedding-ids needs --embedding");
    CF_REQUIRE(!options->keeps_all || paths->item != NULL || paths->embedding != NULL, CF_ERR_USAGE,
               "prepare: keep_items: all needs --item or --embedding");
done:
    return status;
}
