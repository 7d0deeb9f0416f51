/* Writing a dataset file: every rank brings a part. */
#include "internal.h"

#include <string.h>

enum { VECTOR_BLOCK = 8 << 20 }; /* bytes of vectors in memory at once */

typedef struct writer {
    const cf_par *world;
    cf_store *store;
    const cf_dataset_content *content; /* this rank's part */
    cf_lists by_item;                  /* my items: users of train */
} writer;

static int64_t list_size(const cf_lists *lists)
{
    return lists->count > 0 ? lists->start[lists->count] : 0;
}

static int64_t string_bytes(const cf_strings *strings)
{
    return strings->count > 0 ? strings->start[strings->count] : 0;
}

/* ---- Lists by item --------------------------------------------------------------------------- */

/*
 * Interactions travel to the rank that has the item as one word: the item's place among those of
 * the receiver in the upper half, the user's among those of the sender in the lower.
 */
typedef struct transposer {
    const cf_par *world;
    const cf_lists *train;
    cf_blocks users, items; /* of all ranks */
    int64_t *n_got;         /* from each rank */
    uint64_t *got;          /* of the other ranks, one after the other */
} transposer;

/* The blocks that ranks have, `count` on this one. */
static cf_status gather_blocks(const cf_par *world, int64_t count, cf_blocks *out)
{
    int64_t before, total;
    cf_status status;

    CF_TRY(cf_par_agree(world, cf_par_create_blocks(0, world->size, out)));
    CF_ASSERT(count < UINT32_MAX);
    cf_par_exscan(world, count, &before, &total);
    MPI_Allgather(&before, 1, MPI_INT64_T, out->start, 1, MPI_INT64_T, world->comm);
    out->start[world->size] = total;
done:
    return status;
}

/* The interactions of my users that other ranks are to have, grouped by rank; `count`: of each. */
static cf_status group_by_owner(const transposer *t, int64_t *count, uint64_t **out)
{
    const cf_lists *train = t->train;
    int64_t *next = NULL, sum = 0;
    uint64_t *pairs = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(next, t->world->size));
    for (int64_t e = 0; e < list_size(train); e++)
        count[cf_par_block_of(&t->items, train->index[e])]++;
    count[t->world->rank] = 0;
    for (int p = 0; p < t->world->size; p++) {
        next[p] = sum;
        sum += count[p];
    }
    CF_TRY(CF_ALLOC(pairs, sum));
    for (int64_t u = 0; sum > 0 && u < train->count; u++)
        for (int64_t e = train->start[u]; e < train->start[u + 1]; e++) {
            const int owner = cf_par_block_of(&t->items, train->index[e]);

            if (owner != t->world->rank)
                pairs[next[owner]++] =
                    (uint64_t)(train->index[e] - t->items.start[owner]) << 32 | (uint64_t)u;
        }
    *out = pairs;
    pairs = NULL;
done:
    cf_free(&next);
    cf_free(&pairs);
    return status;
}

static void place_user(int64_t *next, int64_t *index, int64_t item, int64_t user)
{
    const int64_t place = next[item + 1]++;

    if (index) index[place] = user;
}

/*
 * Put the users of my items to where next[item + 1] says: those that one rank has, then those of
 * the next, so that they ascend. With `index` NULL they are only counted there.
 */
static void place_users(const transposer *t, int64_t *next, int64_t *index)
{
    const int me = t->world->rank;
    const int64_t first = t->items.start[me], end = t->items.start[me + 1];
    const uint64_t *got = t->got;

    for (int from = 0; from < t->world->size; from++) {
        const int64_t first_user = t->users.start[from];

        for (int64_t k = 0; k < t->n_got[from]; k++, got++)
            place_user(next, index, (int64_t)(*got >> 32),
                       first_user + (int64_t)(*got & UINT32_MAX));
        for (int64_t u = 0; from == me && u < t->train->count; u++)
            for (int64_t e = t->train->start[u]; e < t->train->start[u + 1]; e++)
                if (t->train->index[e] >= first && t->train->index[e] < end)
                    place_user(next, index, t->train->index[e] - first, first_user + u);
    }
}

/* Local: the lists of my items from what was sent. */
static cf_status make_lists(const transposer *t, cf_lists *out)
{
    const int64_t n = t->items.start[t->world->rank + 1] - t->items.start[t->world->rank];
    cf_lists lists = {.count = n};
    cf_status status;

    CF_TRY(CF_ALLOC(lists.start, n + 2));
    /* start[i + 2] counts item i; after the sums start[i + 1] is where its next user goes. */
    place_users(t, lists.start + 1, NULL);
    for (int64_t k = 2; k <= n + 1; k++)
        lists.start[k] += lists.start[k - 1];
    CF_TRY(CF_ALLOC(lists.index, lists.start[n + 1]));
    place_users(t, lists.start, lists.index);
    *out = lists;
    lists = (cf_lists){0};
done:
    cf_free(&lists.start);
    cf_free(&lists.index);
    return status;
}

static cf_status transpose(const writer *in, cf_lists *out)
{
    transposer t = {.world = in->world, .train = &in->content->train};
    int64_t *count = NULL;
    uint64_t *pairs = NULL;
    cf_status status;

    CF_TRY(gather_blocks(t.world, in->content->user_ids.count, &t.users));
    CF_TRY(gather_blocks(t.world, in->content->item_ids.count, &t.items));
    status = CF_ALLOC(count, t.world->size);
    if (status == CF_OK) status = CF_ALLOC(t.n_got, t.world->size);
    if (status == CF_OK) status = group_by_owner(&t, count, &pairs);
    CF_TRY(cf_par_agree(t.world, status));
    CF_TRY(cf_par_exchange(t.world, sizeof *pairs, count, pairs, t.n_got, &t.got));
    cf_free(&pairs);
    CF_TRY(cf_par_agree(t.world, make_lists(&t, out)));
done:
    cf_par_destroy_blocks(&t.users);
    cf_par_destroy_blocks(&t.items);
    cf_free(&t.n_got);
    cf_free(&t.got);
    cf_free(&count);
    cf_free(&pairs);
    return status;
}

/* ---- Arrays ---------------------------------------------------------------------------------- */

/* A 1-D array of the ranks' parts, `count` elements here. */
static cf_status put(const writer *out, const char *name, cf_type type, int64_t count,
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

/* Where lists or strings begin in the whole array: `start` has count + 1 places in this rank's
 * part. The last rank writes the end as well. */
static cf_status put_starts(const writer *out, const char *name, int64_t count,
                            const int64_t *start)
{
    const int64_t rows = count + (out->world->rank == out->world->size - 1);
    int64_t *moved = NULL, before, total;
    cf_status status;

    CF_TRY(cf_par_agree(out->world, CF_ALLOC(moved, rows)));
    cf_par_exscan(out->world, count > 0 ? start[count] : 0, &before, &total);
    for (int64_t k = 0; k < rows; k++)
        moved[k] = before + (count > 0 ? start[k] : 0);
    CF_TRY(put(out, name, CF_I64, rows, moved));
done:
    cf_free(&moved);
    return status;
}

static cf_status put_strings(const writer *out, const char *starts, const char *bytes,
                             const cf_strings *strings)
{
    cf_status status = put_starts(out, starts, strings->count, strings->start);

    if (status != CF_OK) return status;
    return put(out, bytes, CF_U8, string_bytes(strings), strings->bytes);
}

static cf_status put_lists(const writer *out, const char *starts, const char *index,
                           const cf_lists *lists)
{
    cf_status status = put_starts(out, starts, lists->count, lists->start);

    if (status != CF_OK) return status;
    return put(out, index, CF_I64, list_size(lists), lists->index);
}

static cf_status put_all(writer *out)
{
    const cf_dataset_content *from = out->content;
    int64_t before, n_titles;
    cf_status status;

    cf_par_exscan(out->world, from->titles.count, &before, &n_titles);
    CF_TRY(put_strings(out, "/users/id_start", "/users/id", &from->user_ids));
    CF_TRY(put_strings(out, "/items/id_start", "/items/id", &from->item_ids));
    if (n_titles > 0) CF_TRY(put_strings(out, "/items/title_start", "/items/title", &from->titles));
    CF_TRY(transpose(out, &out->by_item));
    CF_TRY(put_lists(out, "/train/user_ptr", "/train/item", &from->train));
    CF_TRY(put_lists(out, "/train/item_ptr", "/train/user", &out->by_item));
    CF_TRY(put_lists(out, "/valid/user_ptr", "/valid/item", &from->valid));
    CF_TRY(put_lists(out, "/test/user_ptr", "/test/item", &from->test));
done:
    return status;
}

/* ---- Vectors --------------------------------------------------------------------------------- */

/* A block of vectors to write: rows of this rank's items. */
typedef struct block {
    int64_t rows; /* at most */
    uint8_t *vectors, *present;
} block;

/* Local: the vectors of items `first`.. of this rank. */
static cf_status read_block(const writer *out, int64_t first, int64_t count, const block *to)
{
    if (count == 0) return CF_OK;
    return out->content->read_vectors(out->content->context, first, count, to->vectors,
                                      to->present);
}

/* Some rank cannot read a block. The first item of all whose vector is bad is to be told: it may be
 * in what other ranks have still to read. */
static cf_status find_first_bad(const writer *out, int64_t next, cf_status mine, const block *to)
{
    const int64_t n = out->content->item_ids.count;

    for (; mine == CF_OK && next < n; next += to->rows)
        mine = read_block(out, next, n - next < to->rows ? n - next : to->rows, to);
    return cf_par_agree_on_input(out->world, mine);
}

/* Each rank its own items, a block at a time; all of them as often as the one with most. */
static cf_status put_vectors(const writer *out, int64_t dim, cf_type type)
{
    const int64_t row_bytes = dim * (int64_t)cf_store_type_size(type);
    const int64_t n = out->content->item_ids.count;
    block to = {.rows = row_bytes < VECTOR_BLOCK ? VECTOR_BLOCK / row_bytes : 1};
    int64_t before, total, most = n;
    cf_status status = CF_ALLOC(to.vectors, (n < to.rows ? n : to.rows) * row_bytes);

    if (status == CF_OK) status = CF_ALLOC(to.present, to.rows);
    CF_TRY(cf_par_agree(out->world, status));
    cf_par_exscan(out->world, n, &before, &total);
    MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT64_T, MPI_MAX, out->world->comm);
    CF_TRY(cf_store_add(out->store, "/items/embedding", type, (int64_t[2]){total, dim},
                        "items, embedding"));
    CF_TRY(cf_store_add(out->store, "/items/embedding_present", CF_U8, (int64_t[2]){total, 1},
                        "items"));
    for (int64_t at = 0; at < most; at += to.rows) {
        const int64_t first = at < n ? at : n, count = n - first < to.rows ? n - first : to.rows;
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

/* ---- Attributes ------------------------------------------------------------------------------ */

/* An attribute whose text rank 0 has. */
static cf_status put_text(const writer *out, const char *name, const char *text)
{
    const bool has = out->world->rank == 0;
    char *copy = NULL;
    int64_t size = has ? (int64_t)strlen(text) + 1 : 0;
    cf_status status;

    cf_par_broadcast(out->world, &size, sizeof size, 0);
    CF_TRY(cf_par_agree(out->world, CF_ALLOC(copy, size)));
    if (has) memcpy(copy, text, (size_t)size);
    cf_par_broadcast(out->world, copy, size, 0);
    CF_TRY(cf_store_write_text(out->store, name, copy));
done:
    cf_free(&copy);
    return status;
}

/* Numbers that rank 0 has; the same on all ranks afterwards. */
typedef struct facts {
    int64_t dim, type, seed;
} facts;

static cf_status put_attributes(const writer *out, const facts *given)
{
    const cf_dataset_content *from = out->content;
    struct {
        const char *name;
        int64_t mine;
    } counts[] = {{"n_users", from->user_ids.count},    {"n_items", from->item_ids.count},
                  {"n_train", list_size(&from->train)}, {"n_valid", list_size(&from->valid)},
                  {"n_test", list_size(&from->test)},   {"n_missing", from->n_missing}};
    cf_status status;

    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        int64_t before, total;

        cf_par_exscan(out->world, counts[k].mine, &before, &total);
        CF_TRY(cf_store_write_int(out->store, counts[k].name, total));
    }
    CF_TRY(cf_store_write_int(out->store, "seed", given->seed));
    CF_TRY(cf_store_write_int(out->store, "embedding_dim", given->dim));
    CF_TRY(put_text(out, "source", from->source));
    CF_TRY(put_text(out, "filters", from->filters));
    CF_TRY(put_text(out, "split", from->split));
    CF_TRY(put_text(out, "embedding_model", from->embedding_model));
    CF_TRY(cf_store_write_text(out->store, "program", "llminit " CF_VERSION));
done:
    return status;
}

cf_status cf_dataset_write(const cf_par *world, const char *path, const cf_dataset_content *content)
{
    static const cf_dataset_content nothing;
    writer out = {.world = world, .content = content ? content : &nothing};
    facts given = {out.content->embedding_dim, out.content->embedding_type, out.content->seed};
    cf_status status;

    cf_par_broadcast(world, &given, sizeof given, 0);
    CF_TRY(cf_store_create(world, path, "dataset", &out.store));
    CF_TRY(put_attributes(&out, &given));
    CF_TRY(put_all(&out));
    if (given.dim > 0) CF_TRY(put_vectors(&out, given.dim, (cf_type)given.type));
    CF_TRY(cf_store_commit(&out.store));
done:
    cf_store_close(&out.store);
    cf_free(&out.by_item.start);
    cf_free(&out.by_item.index);
    return status;
}
