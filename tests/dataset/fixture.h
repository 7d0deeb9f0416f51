/** A small dataset made from a formula, so that every rank can say what any part of it must be. */
#pragma once

#include "cf/dataset.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_USERS = 37, N_ITEMS = 23, DIM = 20 };

/** 0: no interaction; 1, 2, 3: train, valid, test. User 5 has all items in train, user 36 and item
 * 0 have none. */
static int part_of(int64_t user, int64_t item)
{
    uint64_t bits =
        cf_random_bits((cf_random){7, CF_STREAM_TEST}, (uint64_t)user, (uint64_t)item, 0);

    if (user == N_USERS - 1 || item == 0) return 0;
    if (user == 5) return 1;
    return bits % 10 < 6 ? 0 : bits % 10 < 8 ? 1 : (int)(bits % 10) - 6;
}

/** Lists of `part`: of rows first .. first + count - 1, which are users, or items if `by_item`. */
static cf_lists make_lists(int part, bool by_item, int64_t first, int64_t count)
{
    const int64_t n = by_item ? N_USERS : N_ITEMS;
    cf_lists lists = {.count = count};

    assert_int_equal(CF_ALLOC(lists.start, count + 1), CF_OK);
    assert_int_equal(CF_ALLOC(lists.index, count * n), CF_OK);
    for (int64_t k = 0; k < count; k++) {
        lists.start[k + 1] = lists.start[k];
        for (int64_t j = 0; j < n; j++)
            if (part_of(by_item ? j : first + k, by_item ? first + k : j) == part)
                lists.index[lists.start[k + 1]++] = j;
    }
    return lists;
}

static void free_lists(cf_lists *lists)
{
    cf_free(&lists->start);
    cf_free(&lists->index);
    cf_free(&lists->weight);
}

static inline float make_weight(int64_t user, int64_t item)
{
    return 0.25f * (float)(1 + (user * 7 + item * 3) % 11);
}

/** Give weights to the lists of rows from `first` on, as make_lists() has them. */
static inline void add_weights(cf_lists *lists, bool by_item, int64_t first)
{
    assert_int_equal(CF_ALLOC(lists->weight, lists->start[lists->count]), CF_OK);
    for (int64_t k = 0; k < lists->count; k++)
        for (int64_t e = lists->start[k]; e < lists->start[k + 1]; e++)
            lists->weight[e] = by_item ? make_weight(lists->index[e], first + k)
                                       : make_weight(first + k, lists->index[e]);
}

static const char *make_name(char kind, int64_t number)
{
    static char name[64];

    if (kind == 't') /* a title: of any length, also none */
        snprintf(name, sizeof name, "%.*s", (int)(number % 12), "caf\xc3\xa9 title x");
    else
        snprintf(name, sizeof name, "%c%lld", kind, 1000 + 7 * (long long)number);
    return name;
}

/** Names first .. first + count - 1. */
static cf_strings make_strings(char kind, int64_t first, int64_t count)
{
    cf_strings strings = {.count = count};

    assert_int_equal(CF_ALLOC(strings.start, count + 1), CF_OK);
    assert_int_equal(CF_ALLOC(strings.bytes, count * 64), CF_OK);
    for (int64_t k = 0; k < count; k++) {
        const char *name = make_name(kind, first + k);

        strcpy(strings.bytes + strings.start[k], name);
        strings.start[k + 1] = strings.start[k] + (int64_t)strlen(name) + 1;
    }
    return strings;
}

/** Exact in float16; item 3 has no vector. */
static float make_value(int64_t item, int64_t column)
{
    return item == 3 ? 0 : (float)(item * 32 - column) / 64;
}

/** What a rank has of n users or items: an even part for every rank but the last, which has none.
 */
static void my_range(int64_t n, int64_t *first, int64_t *count)
{
    const int parts = world.size > 1 ? world.size - 1 : 1;
    const int mine = world.rank < parts ? world.rank : parts;

    *first = cf_par_even_start(n, parts, mine);
    *count = mine < parts ? cf_par_even_start(n, parts, mine + 1) - *first : 0;
}

/** Where the vectors of a content come from. */
typedef struct formula {
    cf_type type;
    int64_t first_item;
} formula;

static cf_status make_vectors(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present)
{
    const formula *from = context;

    for (int64_t k = 0; k < count; k++) {
        const int64_t item = from->first_item + first + k;

        present[k] = item != 3;
        for (int64_t j = 0; j < DIM; j++) {
            float value = make_value(item, j);

            if (from->type == CF_F32)
                ((float *)rows)[k * DIM + j] = value;
            else
                cf_store_f32_to_f16(&value, (uint16_t *)rows + k * DIM + j, 1);
        }
    }
    return CF_OK;
}

/** The part of `n_users` and `n_items` from the given ones on; `from` is filled. */
static cf_dataset_content make_part(const int64_t users[2], const int64_t items[2], cf_type type,
                                    formula *from)
{
    *from = (formula){type, items[0]};
    return (cf_dataset_content){.user_ids = make_strings('u', users[0], users[1]),
                                .item_ids = make_strings('i', items[0], items[1]),
                                .titles = make_strings('t', items[0], items[1]),
                                .train = make_lists(1, false, users[0], users[1]),
                                .valid = make_lists(2, false, users[0], users[1]),
                                .test = make_lists(3, false, users[0], users[1]),
                                .embedding_dim = DIM,
                                .embedding_type = type,
                                .n_missing = items[0] <= 3 && 3 < items[0] + items[1],
                                .read_vectors = make_vectors,
                                .context = from,
                                .source = "a formula",
                                .filters = "",
                                .split = "LS",
                                .embedding_model = "none",
                                .seed = 7};
}

/** This rank's part, as my_range() cuts. */
static cf_dataset_content make_content(cf_type type, formula *from)
{
    int64_t users[2], items[2];

    my_range(N_USERS, &users[0], &users[1]);
    my_range(N_ITEMS, &items[0], &items[1]);
    return make_part(users, items, type, from);
}

static void free_content(cf_dataset_content *content)
{
    cf_dataset_destroy_strings(&content->user_ids);
    cf_dataset_destroy_strings(&content->item_ids);
    cf_dataset_destroy_strings(&content->titles);
    free_lists(&content->train);
    free_lists(&content->valid);
    free_lists(&content->test);
}

/** Write the dataset of the formula. Collective. */
static cf_status write_dataset(const char *path, cf_type type)
{
    formula from;
    cf_dataset_content content = make_content(type, &from);
    cf_status status = cf_dataset_write(&world, path, &content);

    free_content(&content);
    return status;
}
