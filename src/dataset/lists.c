/* Lists and blocks that are made and freed in several places, and the end of a shard, which are
 * lists and blocks. */
#include "internal.h"

#include <string.h>

cf_status dataset_empty_lists(int64_t count, cf_lists *out)
{
    out->count = count;
    return CF_ALLOC(out->start, count + 1);
}

void dataset_destroy_lists(cf_lists *lists)
{
    cf_free(&lists->start);
    cf_free(&lists->index);
    cf_free(&lists->weight);
}

cf_status dataset_copy_blocks(const cf_blocks *from, cf_blocks *out)
{
    const cf_status status = cf_par_create_blocks(0, from->count, out);

    if (status == CF_OK)
        memcpy(out->start, from->start, ((size_t)from->count + 1) * sizeof *from->start);
    return status;
}

void cf_dataset_destroy_shard(cf_shard **shard)
{
    if (*shard == NULL) return;
    cf_par_destroy_blocks(&(*shard)->users);
    cf_par_destroy_blocks(&(*shard)->items);
    dataset_destroy_lists(&(*shard)->train);
    dataset_destroy_lists(&(*shard)->train_by_item);
    dataset_destroy_lists(&(*shard)->valid);
    dataset_destroy_lists(&(*shard)->test);
    dataset_destroy_lists(&(*shard)->added);
    cf_free(&(*shard)->cold);
    cf_free(shard);
}
