/* A pass over the language-model vectors (items x D, float32), block by block, in bounded memory.
 *
 * Reading is collective, so all ranks make the same number of rounds: as many as the rank with most
 * blocks needs. A rank without a block left reads 0 rows and still enters the callback, which may
 * communicate. At the end every item has been read exactly once, which is what the file's checksum
 * is verified over. All passes of this folder go through here: the statistics, the covariance, the
 * measures of reduced vectors, and the filling of the table. The last one takes every item; the
 * others count warm items with a vector alone, so that no cold item shapes the start. */
#include "internal.h"

int64_t select_block_rows(int64_t memory, int64_t floats)
{
    return cf_max(1, memory / (floats * (int64_t)sizeof(float)));
}

/* No block is larger than the largest part: select_memory may exceed what there is to read. */
select_range select_even_range(const cf_dataset *dataset, int64_t block)
{
    const cf_par *par = dataset->world;
    const int64_t most = cf_par_even_start(dataset->n_items, par->size, 1); /* the largest part */
    const int64_t rows = cf_min(block, cf_max(1, most));

    return (select_range){
        .first = cf_par_even_start(dataset->n_items, par->size, par->rank),
        .end = cf_par_even_start(dataset->n_items, par->size, par->rank + 1),
        .block = rows,
        .stride = rows,
    };
}

/* Flag the rows that are counted. */
static void flag_counted(const cf_dataset *dataset, const select_block *block)
{
    for (int64_t r = 0; r < block->count; r++)
        block->counted[r] = block->present[r] && !cf_is_cold(dataset->cold, block->first + r);
}

/* The number of rounds is agreed on by one Allreduce, so that ranges of any kind may be passed:
 * even parts, parts of a block, or tiles in turn. An empty block has first 0, which is valid in any
 * file.
 */
cf_status select_each_block(const cf_dataset *dataset, const select_range *range,
                            select_block_fn *fn, void *context)
{
    const int64_t length = cf_max(0, range->end - range->first);
    int64_t rounds = cf_ceil_div(length, range->stride);
    select_block block = {0};
    cf_status status = CF_ALLOC(block.rows, range->block * dataset->embedding_dim);

    if (status == CF_OK) status = CF_ALLOC(block.present, range->block);
    if (status == CF_OK) status = CF_ALLOC(block.counted, range->block);
    CF_TRY(cf_par_agree(dataset->world, status));
    MPI_Allreduce(MPI_IN_PLACE, &rounds, 1, MPI_INT64_T, MPI_MAX, dataset->world->comm);
    for (; block.round < rounds; block.round++) {
        const int64_t first = range->first + block.round * range->stride;

        block.count = cf_max(0, cf_min(range->block, range->end - first));
        block.first = block.count > 0 ? first : 0;
        CF_TRY(cf_dataset_read_embedding(dataset, block.first, block.count, block.rows,
                                         block.present));
        flag_counted(dataset, &block);
        fn(context, &block);
    }
    CF_TRY(cf_dataset_verify_embedding(dataset));
done:
    cf_free(&block.rows);
    cf_free(&block.present);
    cf_free(&block.counted);
    return status;
}
