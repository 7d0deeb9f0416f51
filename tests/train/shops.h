/** A shop on two days, for tests of runs that start from another run: today it has other users and
 * items than yesterday, and those of yesterday under other numbers. */
#pragma once

#include "run.h"

/* The item that yesterday marked as cold, and today's items without a vector: one of yesterday's
 * (which is number 31 there), and a new one. */
enum { NEW_USERS = 70, NEW_ITEMS = 55, COLD_ITEM = 11, NO_VECTOR_OLD = 2, NO_VECTOR_NEW = 54 };
static const int64_t new_rows[2] = {NEW_USERS, NEW_ITEMS};

/* Yesterday's number of today's k-th user or item; -1: it is new. */
static inline int64_t old_user(int64_t k)
{
    return k < USERS && k % 5 != 4 ? (k * 17 + 3) % USERS : -1;
}

static inline int64_t old_item(int64_t k)
{
    return k < ITEMS && k % 7 != 6 ? (k * 13 + 5) % ITEMS : -1;
}

/* A row of yesterday's tables that training made. */
static inline bool has_row(int64_t k)
{
    return old_item(k) >= 0 && old_item(k) != COLD_ITEM;
}

static inline float new_value(int64_t item, int64_t d)
{
    return (float)((double)(1 + d % 5) * cf_test_noise(53, item, d));
}

static inline bool has_vector(int64_t item)
{
    return item != NO_VECTOR_OLD && item != NO_VECTOR_NEW;
}

static inline cf_status new_vectors(void *context, int64_t first, int64_t count, void *rows,
                                    uint8_t *present)
{
    (void)context;
    for (int64_t k = 0; k < count; k++) {
        present[k] = has_vector(first + k);
        for (int64_t d = 0; d < LLM_DIM; d++)
            ((float *)rows)[k * LLM_DIM + d] = present[k] ? new_value(first + k, d) : 0;
    }
    return CF_OK;
}

/* "u3" of yesterday's user 3, "new-u66" of a user that yesterday did not have. */
static inline cf_strings make_ids(char letter, int64_t count, int64_t (*old)(int64_t k))
{
    cf_strings ids = {.count = count};

    assert_int_equal(CF_ALLOC(ids.start, count + 1), CF_OK);
    assert_int_equal(CF_ALLOC(ids.bytes, count * 32), CF_OK);
    for (int64_t k = 0; k < count; k++) {
        char *to = ids.bytes + ids.start[k];
        const int64_t number = old != NULL ? old(k) : k;

        ids.start[k + 1] = ids.start[k] + 1 +
                           (number >= 0 ? sprintf(to, "%c%lld", letter, (long long)number)
                                        : sprintf(to, "new-%c%lld", letter, (long long)k));
    }
    return ids;
}

/* The pairs of a part by user, but none of item `without`, and none of the last user. */
static inline cf_lists lists_of(const cf_test_graph *pairs, int64_t n_users, int part,
                                int64_t without)
{
    cf_lists lists = {.count = n_users};

    assert_int_equal(CF_ALLOC(lists.start, n_users + 1), CF_OK);
    assert_int_equal(CF_ALLOC(lists.index, pairs->n_pairs), CF_OK);
    for (int64_t u = 0, e = 0; u < n_users; u++) {
        lists.start[u + 1] = lists.start[u];
        for (; e < pairs->n_pairs && pairs->pairs[e][0] == u; e++)
            if (part_of(pairs->pairs[e], true) == part && pairs->pairs[e][1] != without &&
                u < n_users - 1)
                lists.index[lists.start[u + 1]++] = pairs->pairs[e][1];
    }
    return lists;
}

static inline cf_test_graph new_pairs(void)
{
    return cf_test_graph_random(NEW_USERS, NEW_ITEMS, 0.25, 19);
}

/* Write today's shop, with or without vectors, or yesterday's. Collective. */
typedef enum shop { YESTERDAY, TODAY, TODAY_WITHOUT_VECTORS } shop;
static inline void write_shop(const char *name, shop which)
{
    const bool is_old = which == YESTERDAY;
    const int64_t n_users = is_old ? USERS : NEW_USERS, n_items = is_old ? ITEMS : NEW_ITEMS;
    cf_test_graph pairs = is_old ? all_pairs() : new_pairs();
    uint8_t cold[ITEMS] = {[COLD_ITEM] = CF_COLD_TEST};
    cf_dataset_content content = {.user_ids = make_ids('u', n_users, is_old ? NULL : old_user),
                                  .item_ids = make_ids('i', n_items, is_old ? NULL : old_item),
                                  .train = lists_of(&pairs, n_users, 0, is_old ? COLD_ITEM : -1),
                                  .valid = lists_of(&pairs, n_users, 1, is_old ? COLD_ITEM : -1),
                                  .test = lists_of(&pairs, n_users, 2, -1),
                                  .cold = is_old ? cold : NULL,
                                  .n_missing = is_old ? 0 : 2,
                                  .embedding_dim = which == TODAY_WITHOUT_VECTORS ? 0 : LLM_DIM,
                                  .embedding_type = CF_F32,
                                  .read_vectors = is_old ? make_vectors : new_vectors,
                                  .source = "",
                                  .filters = "",
                                  .split = "",
                                  .embedding_model = ""};
    cf_lists *const parts[] = {&content.train, &content.valid, &content.test};

    if (content.embedding_dim == 0) content.n_missing = 0;
    assert_ok(cf_dataset_write(&world, cf_test_scratch(name), world.rank == 0 ? &content : NULL));
    cf_dataset_destroy_strings(&content.user_ids);
    cf_dataset_destroy_strings(&content.item_ids);
    for (int k = 0; k < 3; k++) {
        cf_free(&parts[k]->start);
        cf_free(&parts[k]->index);
    }
    cf_test_graph_destroy(&pairs);
}
