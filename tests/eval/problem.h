/**
 * A small synthetic ranking problem on any grid. Every number of it is a function of global row
 * numbers.
 */
#pragma once

#include "cf_test.h"

#include "cf/eval.h"

#include <stdlib.h>

enum { IN_TRAIN = 1, IN_VALID = 2, IN_TEST = 4, IN_ADDED = 8 };

typedef struct shape {
    int64_t n_users, n_items, dim;
    float (*value)(bool is_item, int64_t row, int64_t k);
    int (*parts)(int64_t user, int64_t item); /* of the data: IN_... */
    bool history; /* scored by item sums: `value` of a user is 1 at its train items, else 0 */
} shape;

typedef struct problem {
    cf_grid *grid;
    cf_table *users, *items;
    cf_shard shard;
    cf_eval_scorer scorer;
} problem;

/* With more than one block, the last has no rows. */
static inline void create_uneven_blocks(int64_t n, int count, cf_blocks *out)
{
    int used = count > 1 ? count - 1 : 1;

    assert_int_equal(cf_par_create_blocks(n, count, out), CF_OK);
    for (int b = 0; b <= count; b++)
        out->start[b] = b >= used ? n : cf_par_even_start(n, used, b);
}

static inline void fill_table(const shape *of, bool is_item, cf_table *table)
{
    for (int64_t r = 0; r < table->local_rows; r++)
        for (int64_t k = 0; k < table->local_dim; k++)
            table->data[r * table->width + k] =
                of->value(is_item, table->first_row + r, table->first_dim + k);
}

static inline void fill_lists(const shape *of, cf_shard *shard)
{
    cf_lists *lists[] = {&shard->train, &shard->valid, &shard->test, &shard->added};
    int64_t capacity[4] = {0};

    for (int k = 0; k < 4; k++) {
        lists[k]->count = shard->n_users;
        assert_int_equal(CF_ALLOC(lists[k]->start, shard->n_users + 1), CF_OK);
    }
    for (int64_t u = 0; u < shard->n_users; u++) {
        for (int k = 0; k < 4; k++)
            lists[k]->start[u + 1] = lists[k]->start[u];
        for (int64_t i = 0; i < of->n_items; i++) {
            int parts = of->parts(shard->first_user + u, i);

            for (int k = 0; k < 4; k++) {
                if (!(parts >> k & 1)) continue;
                int64_t at = lists[k]->start[u + 1]++;
                assert_int_equal(CF_GROW(lists[k]->index, capacity[k], at + 1), CF_OK);
                lists[k]->index[at] = i;
            }
        }
    }
}

/* The users of this rank's items in train. */
static inline void fill_lists_by_item(const shape *of, cf_shard *shard)
{
    cf_lists *list = &shard->train_by_item;
    int64_t capacity = 0;

    list->count = shard->n_items;
    assert_int_equal(CF_ALLOC(list->start, shard->n_items + 1), CF_OK);
    for (int64_t i = 0; i < shard->n_items; i++) {
        list->start[i + 1] = list->start[i];
        for (int64_t u = 0; u < of->n_users; u++) {
            if (!(of->parts(u, shard->first_item + i) & IN_TRAIN)) continue;
            int64_t at = list->start[i + 1]++;
            assert_int_equal(CF_GROW(list->index, capacity, at + 1), CF_OK);
            list->index[at] = u;
        }
    }
}

static inline void create_problem(const shape *of, const cf_par *par, int n_rows, problem *p)
{
    cf_shard *shard = &p->shard;

    *p = (problem){0};
    assert_int_equal(cf_par_create_grid(par, n_rows, par->size / n_rows, &p->grid), CF_OK);
    create_uneven_blocks(of->n_users, n_rows, &shard->users);
    create_uneven_blocks(of->n_items, n_rows, &shard->items);
    shard->first_user = shard->users.start[p->grid->my_row];
    shard->n_users = shard->users.start[p->grid->my_row + 1] - shard->first_user;
    shard->first_item = shard->items.start[p->grid->my_row];
    shard->n_items = shard->items.start[p->grid->my_row + 1] - shard->first_item;
    shard->n_base_items = of->history ? of->dim : of->n_items;
    fill_lists(of, shard);
    fill_lists_by_item(of, shard);
    assert_int_equal(cf_table_create(p->grid, &shard->users, of->dim, &p->users), CF_OK);
    assert_int_equal(cf_table_create(p->grid, &shard->items, of->dim, &p->items), CF_OK);
    fill_table(of, false, p->users);
    fill_table(of, true, p->items);
    p->scorer = of->history ? cf_eval_item_sums(p->items, shard)
                            : cf_eval_products(p->users, p->items, shard);
}

static inline void destroy_problem(problem *p)
{
    cf_lists *lists[] = {&p->shard.train, &p->shard.train_by_item, &p->shard.valid, &p->shard.test,
                         &p->shard.added};

    for (int k = 0; k < 5; k++) {
        cf_free(&lists[k]->start);
        cf_free(&lists[k]->index);
    }
    cf_table_destroy(&p->users);
    cf_table_destroy(&p->items);
    cf_par_destroy_blocks(&p->shard.users);
    cf_par_destroy_blocks(&p->shard.items);
    cf_par_destroy_grid(&p->grid);
}

/** The next number of grid rows that divides the ranks, after `n_rows`; 0 past the last. */
static inline int next_grid(int n_rows)
{
    do
        n_rows++;
    while (n_rows <= world.size && world.size % n_rows != 0);
    return n_rows <= world.size ? n_rows : 0;
}

typedef struct ranked {
    double score;
    int64_t item;
} ranked;

static inline int by_score_then_item(const void *left, const void *right)
{
    const ranked *a = left, *b = right;

    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->item < b->item ? -1 : a->item > b->item;
}

static inline bool has_train_items(const shape *of, int64_t user)
{
    bool has = false;

    for (int64_t i = 0; i < of->n_items && !has; i++)
        has = of->parts(user, i) & IN_TRAIN;
    return has;
}

/* How many users have trained on the item. */
static inline double count_train_users(const shape *of, int64_t item)
{
    int64_t count = 0;

    for (int64_t u = 0; u < of->n_users; u++)
        count += of->parts(u, item) & IN_TRAIN;
    return (double)count;
}

/** The items of `user` that are in no part of `masked`, best first, by a full sort; returns
 * their number. A user without train items gets the most popular ones. */
static inline int64_t rank_plainly(const shape *of, int64_t user, int masked, ranked *out)
{
    bool cold = !has_train_items(of, user);
    int64_t count = 0;

    for (int64_t i = 0; i < of->n_items; i++) {
        double score = cold ? count_train_users(of, i) : 0;

        if (of->parts(user, i) & masked) continue;
        for (int64_t k = 0; k < of->dim && !cold; k++)
            score += (double)of->value(false, user, k) * (double)of->value(true, i, k);
        out[count++] = (ranked){score, i};
    }
    qsort(out, (size_t)count, sizeof *out, by_score_then_item);
    return count;
}

/* ---- What most tests rank ---- */

/* 64 bits of a hash (the finalizer of SplitMix64): plain loops need too many of them
 * for cf_random_bits(). */
static inline uint64_t scrambled(uint64_t what, int64_t a, int64_t b)
{
    uint64_t x = ((what << 24 ^ (uint64_t)a) << 24 ^ (uint64_t)b) * 0x9e3779b97f4a7c15U;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    return x ^ x >> 31;
}

/* Small whole numbers: scores are exact in any order of the sum, and many are equal. */
static inline float whole(bool is_item, int64_t row, int64_t k)
{
    return (float)(int)(scrambled(is_item, row, k) % 5) - 2;
}

static inline float real(bool is_item, int64_t row, int64_t k)
{
    return (float)(scrambled(is_item, row, k) >> 40) * 0x1p-24F - 0.5F;
}

enum { ALL_MASKED = 3, FEW_LEFT = 5, NO_POSITIVE = 7, COLD = 41 };

/* Every item in one part or none; user 3 has trained on all items, user 5 on all but two, each
 * seventh user has no positive, each 41st one no train item. */
static inline int some_parts(int64_t user, int64_t item)
{
    int64_t draw = (int64_t)(scrambled(2, user, item) % 1000);
    int positive = draw < 5 ? IN_VALID : draw < 10 ? IN_TEST : 0;

    if (user == ALL_MASKED) return IN_TRAIN | (item % 97 == 0 ? IN_VALID | IN_TEST : 0);
    if (user == FEW_LEFT) return item % 600 == 599 ? IN_TEST : IN_TRAIN;
    if (user % NO_POSITIVE == 0) positive = 0;
    return positive != 0 ? positive : draw < 60 && user % COLD != COLD - 1 ? IN_TRAIN : 0;
}

/* As of a closed form: an item's row has an element for each item; a user's is its train items as
 * zeros and ones. */
static inline float whole_or_history(bool is_item, int64_t row, int64_t k)
{
    return is_item ? whole(true, row, k) : (float)(some_parts(row, k) & IN_TRAIN);
}

static inline float real_or_history(bool is_item, int64_t row, int64_t k)
{
    return is_item ? real(true, row, k) : (float)(some_parts(row, k) & IN_TRAIN);
}
