/* Writing a dataset file: rank 0 has the content, all ranks take part. */
#include "internal.h"

#include <string.h>

enum { VECTOR_BLOCK = 8 << 20 }; /* bytes of vectors in memory at once */

/* The sizes of a content, the same on all ranks. Whole numbers only, so that it is sent as such. */
typedef struct sizes {
    int64_t n_users, n_items, n_train, n_valid, n_test;
    int64_t user_bytes, item_bytes, title_bytes, has_titles;
    int64_t dim, type, n_missing, seed;
} sizes;

typedef struct writer {
    const cf_par *world;
    cf_store *store;
    const cf_dataset_content *content; /* used on rank 0 only */
    sizes n;
    cf_lists by_item; /* the transpose of train, on rank 0 */
} writer;

static int64_t string_bytes(const cf_strings *strings)
{
    return strings->count > 0 ? strings->start[strings->count] : 0;
}

static sizes measure(const cf_dataset_content *content)
{
    return (sizes){.n_users = content->user_ids.count,
                   .n_items = content->item_ids.count,
                   .n_train = content->train.start[content->train.count],
                   .n_valid = content->valid.start[content->valid.count],
                   .n_test = content->test.start[content->test.count],
                   .user_bytes = string_bytes(&content->user_ids),
                   .item_bytes = string_bytes(&content->item_ids),
                   .title_bytes = string_bytes(&content->titles),
                   .has_titles = content->titles.count > 0,
                   .dim = content->embedding_dim,
                   .type = content->embedding_type,
                   .n_missing = content->n_missing,
                   .seed = content->seed};
}

/* Local: lists by item from lists by user; users ascend because they are met in that order. */
static cf_status transpose(const cf_lists *train, int64_t n_items, cf_lists *out)
{
    const int64_t nnz = train->start[train->count];
    cf_lists lists = {.count = n_items};
    cf_status status;

    CF_TRY(CF_ALLOC(lists.start, n_items + 2));
    CF_TRY(CF_ALLOC(lists.index, nnz));
    /* start[i + 2] counts item i; after the sums start[i + 1] is where its next user goes. */
    for (int64_t e = 0; e < nnz; e++)
        lists.start[train->index[e] + 2]++;
    for (int64_t k = 2; k <= n_items + 1; k++)
        lists.start[k] += lists.start[k - 1];
    for (int64_t u = 0; u < train->count; u++)
        for (int64_t e = train->start[u]; e < train->start[u + 1]; e++)
            lists.index[lists.start[train->index[e] + 1]++] = u;
    *out = lists;
    lists = (cf_lists){0};
done:
    cf_free(&lists.start);
    cf_free(&lists.index);
    return status;
}

/* A whole 1-D array that rank 0 holds. */
static cf_status put(writer *out, const char *name, cf_type type, int64_t count, const void *data)
{
    const int64_t shape[2] = {count, 1};
    const cf_slab slab = {0, out->world->rank == 0 ? count : 0, 0, 1, 1};
    const char *dims = strstr(name, "_ptr") || strstr(name, "_start") ? "offsets" : "entries";
    cf_status status = cf_store_add(out->store, name, type, shape, dims);

    if (status != CF_OK) return status;
    return cf_store_write(out->store, name, &slab, data);
}

static cf_status put_names(writer *out)
{
    static const cf_dataset_content nothing;
    const cf_dataset_content *from = out->content ? out->content : &nothing;
    cf_status status;

    CF_TRY(put(out, "/users/id_start", CF_I64, out->n.n_users + 1, from->user_ids.start));
    CF_TRY(put(out, "/users/id", CF_U8, out->n.user_bytes, from->user_ids.bytes));
    CF_TRY(put(out, "/items/id_start", CF_I64, out->n.n_items + 1, from->item_ids.start));
    CF_TRY(put(out, "/items/id", CF_U8, out->n.item_bytes, from->item_ids.bytes));
    if (!out->n.has_titles) goto done;
    CF_TRY(put(out, "/items/title_start", CF_I64, out->n.n_items + 1, from->titles.start));
    CF_TRY(put(out, "/items/title", CF_U8, out->n.title_bytes, from->titles.bytes));
done:
    return status;
}

static cf_status put_interactions(writer *out)
{
    static const cf_dataset_content nothing;
    const cf_dataset_content *from = out->content ? out->content : &nothing;
    const sizes *n = &out->n;
    cf_status status = CF_OK;

    if (out->content) status = transpose(&out->content->train, n->n_items, &out->by_item);
    CF_TRY(cf_par_agree(out->world, status));
    CF_TRY(put(out, "/train/user_ptr", CF_I64, n->n_users + 1, from->train.start));
    CF_TRY(put(out, "/train/item", CF_I64, n->n_train, from->train.index));
    CF_TRY(put(out, "/train/item_ptr", CF_I64, n->n_items + 1, out->by_item.start));
    CF_TRY(put(out, "/train/user", CF_I64, n->n_train, out->by_item.index));
    CF_TRY(put(out, "/valid/user_ptr", CF_I64, n->n_users + 1, from->valid.start));
    CF_TRY(put(out, "/valid/item", CF_I64, n->n_valid, from->valid.index));
    CF_TRY(put(out, "/test/user_ptr", CF_I64, n->n_users + 1, from->test.start));
    CF_TRY(put(out, "/test/item", CF_I64, n->n_test, from->test.index));
done:
    return status;
}

static cf_status put_vectors(writer *out)
{
    const sizes *n = &out->n;
    const cf_type type = (cf_type)n->type;
    const int64_t row_bytes = n->dim * (int64_t)cf_store_type_size(type);
    const int64_t block = row_bytes < VECTOR_BLOCK ? VECTOR_BLOCK / row_bytes : 1;
    const int64_t shape[2] = {n->n_items, n->dim}, flags_shape[2] = {n->n_items, 1};
    uint8_t *rows = NULL, *present = NULL;
    cf_status status = CF_OK;

    if (out->content) status = CF_ALLOC(rows, block * row_bytes);
    if (out->content && status == CF_OK) status = CF_ALLOC(present, block);
    CF_TRY(cf_par_agree(out->world, status));
    CF_TRY(cf_store_add(out->store, "/items/embedding", type, shape, "items, embedding"));
    CF_TRY(cf_store_add(out->store, "/items/embedding_present", CF_U8, flags_shape, "items"));
    for (int64_t first = 0; first < n->n_items; first += block) {
        int64_t count = n->n_items - first < block ? n->n_items - first : block;
        int64_t mine = out->content ? count : 0;

        if (out->content)
            status = out->content->read_vectors(out->content->context, first, count, rows, present);
        CF_TRY(cf_par_agree(out->world, status));
        CF_TRY(cf_store_write(out->store, "/items/embedding",
                              &(cf_slab){first, mine, 0, n->dim, n->dim}, rows));
        CF_TRY(cf_store_write(out->store, "/items/embedding_present",
                              &(cf_slab){first, mine, 0, 1, 1}, present));
    }
done:
    cf_free(&rows);
    cf_free(&present);
    return status;
}

/* An attribute whose text rank 0 has. */
static cf_status put_text(writer *out, const char *name, const char *text)
{
    char *copy = NULL;
    int64_t size = text ? (int64_t)strlen(text) + 1 : 0;
    cf_status status;

    cf_par_broadcast(out->world, &size, sizeof size, 0);
    CF_TRY(cf_par_agree(out->world, CF_ALLOC(copy, size)));
    if (text) memcpy(copy, text, (size_t)size);
    cf_par_broadcast(out->world, copy, size, 0);
    CF_TRY(cf_store_set_text(out->store, name, copy));
done:
    cf_free(&copy);
    return status;
}

static cf_status put_attributes(writer *out)
{
    static const cf_dataset_content nothing;
    const cf_dataset_content *from = out->content ? out->content : &nothing;
    const sizes *n = &out->n;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"n_users", n->n_users}, {"n_items", n->n_items},  {"n_train", n->n_train},
                   {"n_valid", n->n_valid}, {"n_test", n->n_test},    {"n_missing", n->n_missing},
                   {"seed", n->seed},       {"embedding_dim", n->dim}};
    cf_status status;

    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        CF_TRY(cf_store_set_int(out->store, numbers[k].name, numbers[k].value));
    CF_TRY(put_text(out, "source", from->source));
    CF_TRY(put_text(out, "filters", from->filters));
    CF_TRY(put_text(out, "split", from->split));
    CF_TRY(put_text(out, "embedding_model", from->embedding_model));
    CF_TRY(cf_store_set_text(out->store, "program", "llminit " CF_VERSION));
done:
    return status;
}

cf_status cf_dataset_write(const cf_par *world, const char *path, const cf_dataset_content *content)
{
    writer out = {.world = world, .content = world->rank == 0 ? content : NULL};
    cf_status status;

    if (out.content) out.n = measure(out.content);
    cf_par_broadcast(world, &out.n, sizeof out.n, 0);
    CF_TRY(cf_store_create(world, path, "dataset", &out.store));
    CF_TRY(put_attributes(&out));
    CF_TRY(put_names(&out));
    CF_TRY(put_interactions(&out));
    if (out.n.dim > 0) CF_TRY(put_vectors(&out));
    CF_TRY(cf_store_publish(&out.store));
done:
    cf_store_close(&out.store);
    cf_free(&out.by_item.start);
    cf_free(&out.by_item.index);
    return status;
}
