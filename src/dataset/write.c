/* Writing a dataset file. Every rank has consecutive users and items; the parts follow one another
 * in the arrays, at positions found by prefix sums over the ranks, so that the file has the same
 * bytes whatever the parts. Lists and names are offsets (count + 1) and elements. Vectors come from
 * a function in blocks of 8 MiB and are never held whole.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { VECTOR_BLOCK = 8 << 20 }; /* bytes of vectors in memory at once */

typedef struct writer {
    const cf_par *world;
    cf_store *store;
    const cf_dataset_content *content; /* this rank's part */
    cf_lists by_item;                  /* my items: users of train, ascending */
} writer;

/* Bytes of all strings, with their NULs. */
static int64_t string_bytes(const cf_strings *strings)
{
    return strings->count > 0 ? strings->start[strings->count] : 0;
}

/* ---- Arrays ---- */

/* A 1-D array: the ranks' parts one after another, `count` elements here. Collective. */
static cf_status write_array(const writer *out, const char *name, cf_type type, int64_t count,
                             const void *data)
{
    const char *dims = strstr(name, "_ptr") || strstr(name, "_start") ? "offsets" : "entries";
    int64_t before, total;
    cf_status status;

    cf_par_exscan(out->world, count, &before, &total);
    CF_TRY(cf_store_add(out->store, name, type, (int64_t[2]){total, 1}, dims));
    CF_TRY(cf_store_write(out->store, name, &(cf_slab){before, count, 0, 1, 1}, data));
done:
    return status;
}

/* Offsets of lists or strings: `start` (count + 1) within this rank's part, written as offsets in
 * the whole array. Each rank leaves its end to the next rank's first offset; the last one writes
 * it. Collective. */
static cf_status write_offsets(const writer *out, const char *name, int64_t count,
                               const int64_t *start)
{
    const int64_t rows = count + (out->world->rank == out->world->size - 1);
    int64_t *global = NULL, before, total;
    cf_status status;

    CF_TRY(cf_par_agree(out->world, CF_ALLOC(global, rows)));
    cf_par_exscan(out->world, count > 0 ? start[count] : 0, &before, &total);
    for (int64_t k = 0; k < rows; k++)
        global[k] = before + (count > 0 ? start[k] : 0);
    CF_TRY(write_array(out, name, CF_I64, rows, global));
done:
    cf_free(&global);
    return status;
}

/* Offsets first, then the bytes, each string with its NUL. Collective. */
static cf_status write_strings(const writer *out, const char *starts, const char *bytes,
                               const cf_strings *strings)
{
    cf_status status = write_offsets(out, starts, strings->count, strings->start);

    if (status != CF_OK) return status;
    return write_array(out, bytes, CF_U8, string_bytes(strings), strings->bytes);
}

/* Offsets first, then the elements. Collective. */
static cf_status write_lists(const writer *out, const char *starts, const char *index,
                             const cf_lists *lists)
{
    cf_status status = write_offsets(out, starts, lists->count, lists->start);

    if (status != CF_OK) return status;
    return write_array(out, index, CF_I64, dataset_list_size(lists), lists->index);
}

/* The weights of lists, which a rank with entries has. Collective. */
static cf_status write_weights(const writer *out, const char *name, const cf_lists *lists)
{
    const int64_t size = dataset_list_size(lists);

    CF_ASSERT(size == 0 || lists->weight != NULL);
    return write_array(out, name, CF_F32, size, lists->weight);
}

/* Train interactions from both sides, with their weights if there are any. Collective. */
static cf_status write_train(writer *out)
{
    const cf_lists *train = &out->content->train;
    const bool weighted =
        cf_par_any(out->world, train->weight != NULL && dataset_list_size(train) > 0);
    cf_status status;

    CF_TRY(dataset_transpose(out->world, out->content, &out->by_item));
    CF_TRY(write_lists(out, "/train/user_ptr", "/train/item", train));
    CF_TRY(write_lists(out, "/train/item_ptr", "/train/user", &out->by_item));
    if (!weighted) goto done;
    CF_TRY(write_weights(out, DATASET_WEIGHTS, train));
    CF_TRY(write_weights(out, DATASET_WEIGHTS_BY_ITEM, &out->by_item));
done:
    return status;
}

/* The marks of cold items, unless no rank has one. Collective. */
static cf_status write_marks(const writer *out)
{
    const int64_t count = out->content->item_ids.count;
    uint8_t *marks = NULL;
    bool any = false;
    cf_status status;

    for (int64_t k = 0; k < count && out->content->cold != NULL && !any; k++)
        any = out->content->cold[k] != 0;
    if (!cf_par_any(out->world, any)) return CF_OK;
    CF_TRY(cf_par_agree(out->world, CF_ALLOC(marks, count)));
    if (out->content->cold != NULL) memcpy(marks, out->content->cold, (size_t)count);
    CF_TRY(write_array(out, "/items/cold", CF_U8, count, marks));
done:
    cf_free(&marks);
    return status;
}

/* All arrays but the vectors. Titles are left out where no rank has any, added items where there is
 * no base. Collective. */
static cf_status write_arrays(writer *out, bool has_base)
{
    const cf_dataset_content *from = out->content;
    int64_t before, n_titles;
    cf_status status;

    cf_par_exscan(out->world, from->titles.count, &before, &n_titles);
    CF_TRY(write_strings(out, "/users/id_start", "/users/id", &from->user_ids));
    CF_TRY(write_strings(out, "/items/id_start", "/items/id", &from->item_ids));
    if (n_titles > 0)
        CF_TRY(write_strings(out, "/items/title_start", "/items/title", &from->titles));
    CF_TRY(write_train(out));
    CF_TRY(write_lists(out, "/valid/user_ptr", "/valid/item", &from->valid));
    CF_TRY(write_lists(out, "/test/user_ptr", "/test/item", &from->test));
    if (has_base) CF_TRY(write_lists(out, "/added/user_ptr", "/added/item", &from->added));
    CF_TRY(write_marks(out));
    CF_TRY(dataset_write_leaves(out->world, out->store, &from->leaves));
done:
    return status;
}

/* ---- Vectors ---- */

/* A block of vectors on their way to the file. */
typedef struct vector_block {
    int64_t rows;     /* at most */
    uint8_t *vectors; /* rows x dim, of the type in the file */
    uint8_t *present; /* rows: 0 where an item has none */
} vector_block;

/* The vectors of items first .. first + count - 1 of this rank, from the content's function.
 * Local. */
static cf_status read_block(const writer *out, int64_t first, int64_t count, const vector_block *to)
{
    if (count == 0) return CF_OK;
    return out->content->read_vectors(out->content->context, first, count, to->vectors,
                                      to->present);
}

/* After a block could not be read on some rank: report the first bad item of the whole dataset. It
 * may be in a block that a lower rank has not read yet, so every rank reads on until its own first
 * bad vector. Collective. */
static cf_status find_first_bad(const writer *out, int64_t next, cf_status mine,
                                const vector_block *to)
{
    const int64_t n = out->content->item_ids.count;

    for (; mine == CF_OK && next < n; next += to->rows)
        mine = read_block(out, next, cf_min(n - next, to->rows), to);
    return cf_par_agree_on_input(out->world, mine);
}

/* Each rank writes its own items, a block at a time; ranks with fewer items take part with empty
 * blocks until the last rank is done. Collective. */
static cf_status write_vectors(const writer *out, int64_t dim, cf_type type)
{
    const int64_t row_bytes = dim * (int64_t)cf_store_type_size(type);
    const int64_t n = out->content->item_ids.count;
    vector_block to = {.rows = cf_max(VECTOR_BLOCK / row_bytes, 1)};
    int64_t before, total, most = n;
    cf_status status = CF_ALLOC(to.vectors, cf_min(n, to.rows) * row_bytes);

    if (status == CF_OK) status = CF_ALLOC(to.present, to.rows);
    CF_TRY(cf_par_agree(out->world, status));
    cf_par_exscan(out->world, n, &before, &total);
    MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT64_T, MPI_MAX, out->world->comm);
    CF_TRY(cf_store_add(out->store, "/items/embedding", type, (int64_t[2]){total, dim},
                        "items, embedding"));
    CF_TRY(cf_store_add(out->store, "/items/embedding_present", CF_U8, (int64_t[2]){total, 1},
                        "items"));
    for (int64_t at = 0; at < most; at += to.rows) {
        const int64_t first = cf_min(at, n), count = cf_min(n - first, to.rows);
        const cf_status mine = read_block(out, first, count, &to);

        if (cf_par_agree_on_input(out->world, mine) != CF_OK)
            CF_TRY(find_first_bad(out, at + to.rows, mine, &to));
        CF_TRY(cf_store_write(out->store, "/items/embedding",
                              &(cf_slab){before + first, count, 0, dim, dim}, to.vectors));
        CF_TRY(cf_store_write(out->store, "/items/embedding_present",
                              &(cf_slab){before + first, count, 0, 1, 1}, to.present));
    }
done:
    cf_free(&to.vectors);
    cf_free(&to.present);
    return status;
}

/* ---- Attributes ---- */

/* An attribute with rank 0's text: HDF5 demands the same value on all ranks. Collective. */
static cf_status write_text(const writer *out, const char *name, const char *text)
{
    const bool root = out->world->rank == 0;
    char *copy = NULL;
    int64_t size = root ? (int64_t)strlen(text) + 1 : 0;
    cf_status status;

    cf_par_broadcast(out->world, &size, sizeof size, 0);
    CF_TRY(cf_par_agree(out->world, CF_ALLOC(copy, size)));
    if (root) memcpy(copy, text, (size_t)size);
    cf_par_broadcast(out->world, copy, size, 0);
    CF_TRY(cf_store_write_text(out->store, name, copy));
done:
    cf_free(&copy);
    return status;
}

/* Rank 0's numbers, broadcast to all: other ranks may have no content. */
typedef struct facts {
    int64_t dim, type, seed;
    cf_dataset_base base;
} facts;

/* What the dataset is appended to, if it is. Collective. */
static cf_status write_base(const writer *out, const cf_dataset_base *base)
{
    char digest[DATASET_DIGEST_DIGITS + 1];
    int64_t before, n_added;
    cf_status status;

    snprintf(digest, sizeof digest, "%016" PRIx64, base->digest);
    cf_par_exscan(out->world, dataset_list_size(&out->content->added), &before, &n_added);
    CF_TRY(cf_store_write_text(out->store, "base_digest", digest));
    CF_TRY(cf_store_write_int(out->store, "base_users", base->n_users));
    CF_TRY(cf_store_write_int(out->store, "base_items", base->n_items));
    CF_TRY(cf_store_write_int(out->store, "n_added", n_added));
done:
    return status;
}

/* Counts are sums over the ranks; everything else is rank 0's. Collective. */
static cf_status write_attributes(const writer *out, const facts *given)
{
    const cf_dataset_content *from = out->content;
    struct {
        const char *name;
        int64_t mine;
    } counts[] = {{"n_users", from->user_ids.count},
                  {"n_items", from->item_ids.count},
                  {"n_train", dataset_list_size(&from->train)},
                  {"n_valid", dataset_list_size(&from->valid)},
                  {"n_test", dataset_list_size(&from->test)},
                  {"n_missing", from->n_missing}};
    cf_status status;

    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        int64_t before, total;

        cf_par_exscan(out->world, counts[k].mine, &before, &total);
        CF_TRY(cf_store_write_int(out->store, counts[k].name, total));
    }
    CF_TRY(cf_store_write_int(out->store, "seed", given->seed));
    CF_TRY(cf_store_write_int(out->store, "embedding_dim", given->dim));
    CF_TRY(write_text(out, "source", from->source));
    CF_TRY(write_text(out, "filters", from->filters));
    CF_TRY(write_text(out, "split", from->split));
    CF_TRY(write_text(out, "embedding_model", from->embedding_model));
    CF_TRY(cf_store_write_text(out->store, "program", "llminit " CF_VERSION));
    if (given->base.n_items > 0) CF_TRY(write_base(out, &given->base));
done:
    return status;
}

/* The arrays are added in a fixed order, which is their order in the file. */
cf_status cf_dataset_write(const cf_par *world, const char *path, const cf_dataset_content *content)
{
    static const cf_dataset_content nothing;
    writer out = {.world = world, .content = content != NULL ? content : &nothing};
    facts given = {out.content->embedding_dim, out.content->embedding_type, out.content->seed,
                   out.content->base};
    cf_status status;

    cf_par_broadcast(world, &given, sizeof given, 0);
    CF_TRY(cf_store_create(world, path, "dataset", &out.store));
    CF_TRY(write_attributes(&out, &given));
    CF_TRY(write_arrays(&out, given.base.n_items > 0));
    if (given.dim > 0) CF_TRY(write_vectors(&out, given.dim, (cf_type)given.type));
    CF_TRY(cf_store_commit(&out.store));
done:
    cf_store_close(&out.store);
    dataset_destroy_lists(&out.by_item);
    return status;
}
