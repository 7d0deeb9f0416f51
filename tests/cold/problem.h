/** Problems for the map of cold items: datasets with marks, tables on any grid, and rows of a map.
 */
#pragma once

#include "cf/cold.h"
#include "cf_test.h"
#include "cf_test_dataset.h"
#include "cf_test_graph.h"

#include <math.h>
#include <stdlib.h>

/* ---- Datasets ------------------------------------------------------------------------------- */

/** What a dataset is made of, whole on every rank. */
typedef struct problem {
    int64_t n_users, n_items, dim;
    const double *vectors; /* n_items x dim */
    uint8_t *cold;         /* n_items: marks; NULL: none */
    uint8_t *present;      /* n_items: has a vector */
    uint8_t *parts;        /* n_users x n_items: 1 train, 2 valid */
    cf_dataset *file;
} problem;

static inline void *take(int64_t count, size_t size)
{
    void *block = calloc((size_t)(count + 1), size);

    assert_non_null(block);
    return block;
}

static inline cf_status give_vectors(void *context, int64_t first, int64_t count, void *rows,
                                     uint8_t *present)
{
    const problem *p = context;

    for (int64_t k = 0; k < count * p->dim; k++)
        ((float *)rows)[k] =
            p->present[first + k / p->dim] ? (float)p->vectors[first * p->dim + k] : 0;
    memcpy(present, p->present + first, (size_t)count);
    return CF_OK;
}

static inline cf_lists lists_of_part(const problem *p, int part)
{
    cf_lists lists = {.count = p->n_users};

    lists.start = take(p->n_users + 1, sizeof *lists.start);
    lists.index = take(p->n_users * p->n_items, sizeof *lists.index);
    for (int64_t u = 0; u < p->n_users; u++) {
        lists.start[u + 1] = lists.start[u];
        for (int64_t i = 0; i < p->n_items; i++)
            if (p->parts[u * p->n_items + i] == part) lists.index[lists.start[u + 1]++] = i;
    }
    return lists;
}

/** Write the dataset and open it. Collective. */
static inline void open_problem(problem *p, const char *name)
{
    cf_lists train = lists_of_part(p, 1), valid = lists_of_part(p, 2);
    cf_dataset_content content = {.train = train,
                                  .valid = valid,
                                  .cold = p->cold,
                                  .embedding_dim = p->dim,
                                  .read_vectors = give_vectors,
                                  .context = p};

    for (int64_t i = 0; i < p->n_items && p->dim > 0; i++)
        content.n_missing += !p->present[i];
    cf_dataset_close(&p->file);
    cf_test_dataset_write(cf_test_scratch(name), p->n_items, &content);
    assert_ok(cf_dataset_open(&world, cf_test_scratch(name), &p->file));
    free(train.start);
    free(train.index);
    free(valid.start);
    free(valid.index);
}

static inline void close_problem(problem *p)
{
    cf_dataset_close(&p->file);
    free(p->cold);
    free(p->present);
    free(p->parts);
}

static inline problem new_problem(int64_t n_users, int64_t n_items, int64_t dim,
                                  const double *vectors)
{
    problem p = {.n_users = n_users, .n_items = n_items, .dim = dim, .vectors = vectors};

    p.cold = take(n_items, 1);
    p.present = take(n_items, 1);
    p.parts = take(n_users * n_items, 1);
    memset(p.present, 1, (size_t)n_items);
    return p;
}

/* ---- On a grid ------------------------------------------------------------------------------ */

/** A dataset and final tables on a grid, and what is made of them. */
typedef struct setting {
    const problem *p;
    cf_grid *grid;
    cf_shard *shard;
    cf_table *users, *items;
    cf_cold_place place;
    cf_cold_options options;
    cf_cold_map *map;
    uint8_t *hidden; /* n_items */
} setting;

static inline void destroy_setting(setting *s)
{
    cf_cold_destroy(&s->map);
    cf_table_destroy(&s->users);
    cf_table_destroy(&s->items);
    cf_dataset_destroy_shard(&s->shard);
    free(s->hidden);
    *s = (setting){0};
}

/** `users` (n_users x dim) may be NULL: `items` (n_items x dim) is then an item-item matrix. The
 * options are the defaults, to be changed. */
static inline setting new_setting(const problem *p, cf_grid *grid, const double *users,
                                  const double *items, int64_t dim)
{
    static const cf_setting seed[] = {
        {.name = "seed", .kind = CF_SETTING_INT, .initial = "2020", .max = 1e9}, {0}};
    setting s = {.p = p, .grid = grid, .hidden = take(p->n_items, 1)};
    cf_config *config = NULL;

    assert_ok(cf_config_create((const cf_setting *const[]){cf_cold_settings, seed}, 2, &config));
    assert_ok(cf_cold_read_options(config, &s.options));
    cf_config_destroy(&config);
    assert_ok(cf_dataset_load_shard(p->file, grid, &s.shard));
    if (users != NULL) {
        assert_ok(cf_table_create(grid, &s.shard->users, dim, &s.users));
        cf_test_table_set(s.users, users);
    }
    assert_ok(cf_table_create(grid, &s.shard->items, dim, &s.items));
    cf_test_table_set(s.items, items);
    s.place = (cf_cold_place){p->file, grid, s.shard, s.users, s.items, NULL, 64 << 20};
    return s;
}

/** Fit and apply, into the setting. */
static inline cf_status fit_and_apply(void *context)
{
    setting *s = context;
    cf_status status = cf_cold_fit(&s->options, &s->place, &s->map);

    if (status == CF_OK) status = cf_cold_apply(s->map, &s->place, s->items, s->hidden);
    return status;
}
