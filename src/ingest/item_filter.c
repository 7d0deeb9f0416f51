/* Which items stay, by the item file and the vectors.
 *
 * The owner of an item knows its line in the item file and whether it has a vector. What it decides
 * is fetched by the ranks that have interactions of the item. With keep_items: all the owner also
 * adds the items of its lines that no interaction has. */
#include "filter.h"

#include <string.h>

/* ---- Interactions ---------------------------------------------------------------------------- */

bool ingest_filters_items(const cf_ingest_options *options, const ingest_catalogue *catalogue)
{
    return (catalogue->items->path != NULL &&
            (options->drops_unknown || catalogue->items->filters)) ||
           (catalogue->rows != NULL && options->drops_missing);
}

/* Why an item leaves; 0: it stays. */
static uint8_t judge_item(const cf_ingest_options *options, const ingest_catalogue *catalogue,
                          const char *id)
{
    const ingest_items *items = catalogue->items;

    if (items->path != NULL) {
        const int64_t line = ingest_find_id(&items->ids, id, (int64_t)strlen(id));

        if (line < 0 && options->drops_unknown) return INGEST_ITEM_UNKNOWN;
        if (line >= 0 && items->filters && items->outside[line]) return INGEST_ITEM_OUTSIDE;
    }
    if (catalogue->rows != NULL && options->drops_missing &&
        ingest_find_vector(catalogue->vectors, catalogue->rows, id) < 0)
        return INGEST_ITEM_NO_VECTOR;
    return 0;
}

/* `fate`: of the listed items. */
static void drop_by_fate(const uint64_t *fate, ingest_interactions *inter)
{
    int64_t kept = 0;

    for (int64_t e = 0; e < inter->count; e++) {
        const uint64_t why = fate[ingest_item(inter->pairs[e])];

        inter->n_filtered += why == INGEST_ITEM_OUTSIDE;
        inter->n_unknown += why == INGEST_ITEM_UNKNOWN;
        inter->n_no_vector += why == INGEST_ITEM_NO_VECTOR;
        if (why == 0) ingest_copy_interaction(inter, e, inter, kept++);
    }
    inter->count = kept;
}

cf_status ingest_filter_items(const cf_ingest_options *options, const ingest_catalogue *catalogue,
                              ingest_counts *counts, ingest_interactions *inter)
{
    const cf_strings *ids = &inter->items.ids;
    uint64_t *mine = NULL, *listed = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(inter->index.world, CF_ALLOC(mine, ids->count)));
    for (int64_t k = 0; k < ids->count; k++)
        mine[k] = counts->fate[k] = judge_item(options, catalogue, ids->bytes + ids->start[k]);
    CF_TRY(ingest_fetch_item_values(&inter->index, mine, &listed));
    drop_by_fate(listed, inter);
done:
    cf_free(&mine);
    cf_free(&listed);
    return status;
}

/* ---- Items without interactions -------------------------------------------------------------- */

/* Strings that grow. */
typedef struct id_list {
    cf_strings ids;
    int64_t *n_uses;
    int64_t start_capacity, byte_capacity, use_capacity;
} id_list;

static cf_status append_id(id_list *list, const char *id, int64_t n_uses)
{
    cf_strings *ids = &list->ids;
    const int64_t size = (int64_t)strlen(id) + 1, end = ids->count > 0 ? ids->start[ids->count] : 0;
    cf_status status;

    CF_TRY(CF_GROW(ids->start, list->start_capacity, ids->count + 2));
    CF_TRY(CF_GROW(ids->bytes, list->byte_capacity, end + size));
    CF_TRY(CF_GROW(list->n_uses, list->use_capacity, ids->count + 1));
    ids->start[0] = 0;
    memcpy(ids->bytes + end, id, (size_t)size);
    list->n_uses[ids->count] = n_uses;
    ids->start[++ids->count] = end + size;
done:
    return status;
}

/* True if an item is in the item file, or has a vector. */
static bool is_in_catalogue(const ingest_catalogue *catalogue, const char *id)
{
    if (catalogue->items->path != NULL &&
        ingest_find_id(&catalogue->items->ids, id, (int64_t)strlen(id)) >= 0)
        return true;
    return catalogue->rows != NULL &&
           ingest_find_vector(catalogue->vectors, catalogue->rows, id) >= 0;
}

/* Append the items of one file's lines that are not in my block, hence were in no interaction. */
static cf_status append_lines(const cf_ingest_options *options, const ingest_catalogue *catalogue,
                              const ingest_items *lines, const cf_strings *block, id_list *list)
{
    const cf_strings ids = ingest_id_strings(&lines->ids);
    uint8_t *is_known = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(is_known, ids.count));
    for (int64_t k = 0; k < block->count; k++) {
        const char *id = block->bytes + block->start[k];
        const int64_t line = ingest_find_id(&lines->ids, id, (int64_t)strlen(id));

        if (line >= 0) is_known[line] = 1;
    }
    for (int64_t k = 0; k < ids.count; k++) {
        const char *id = ids.bytes + ids.start[k];

        if (!is_known[k] && judge_item(options, catalogue, id) == 0) CF_TRY(append_id(list, id, 1));
    }
done:
    cf_free(&is_known);
    return status;
}

/* An item may be appended twice, once for each file: the partition takes it once. */
cf_status ingest_list_items(const cf_ingest_options *options, const ingest_catalogue *catalogue,
                            const ingest_counts *counts, const cf_strings *block, cf_strings *ids,
                            int64_t **n_uses)
{
    id_list list = {0};
    cf_status status = CF_OK;

    for (int64_t k = 0; k < block->count; k++) {
        const char *id = block->bytes + block->start[k];
        const bool is_kept = options->keeps_all && !(counts->fate[k] & INGEST_ITEM_LEAVES) &&
                             is_in_catalogue(catalogue, id);

        CF_TRY(append_id(&list, id, cf_max(counts->my_items[k], is_kept)));
    }
    if (options->keeps_all && catalogue->items->path != NULL)
        CF_TRY(append_lines(options, catalogue, catalogue->items, block, &list));
    if (options->keeps_all && catalogue->rows != NULL && catalogue->rows != catalogue->items)
        CF_TRY(append_lines(options, catalogue, catalogue->rows, block, &list));
    *ids = list.ids;
    *n_uses = list.n_uses;
    list = (id_list){0};
done:
    cf_dataset_destroy_strings(&list.ids);
    cf_free(&list.n_uses);
    return status;
}
