/* The attributes that tell people how a dataset was made. */
#include "internal.h"

cf_status cf_dataset_read_origin(const cf_dataset *dataset, cf_dataset_origin *out)
{
    cf_store *store = dataset->store;
    cf_status status;

    *out = (cf_dataset_origin){0};
    CF_TRY(cf_store_read_text(store, "source", &out->source));
    CF_TRY(cf_store_read_text(store, "filters", &out->filters));
    CF_TRY(cf_store_read_text(store, "split", &out->split));
    CF_TRY(cf_store_read_text(store, "embedding_model", &out->embedding_model));
    CF_TRY(cf_store_read_int(store, "seed", &out->seed));
done:
    return status;
}

void cf_dataset_destroy_origin(cf_dataset_origin *origin)
{
    cf_free(&origin->source);
    cf_free(&origin->filters);
    cf_free(&origin->split);
    cf_free(&origin->embedding_model);
}
