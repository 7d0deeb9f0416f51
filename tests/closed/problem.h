/** Problems for closed forms, their solution on any grid, and what the plain ways begin with. */
#pragma once

#include "cf/closed.h"
#include "cf_test.h"
#include "cf_test_dataset.h"
#include "cf_test_graph.h"

#include <stdlib.h>
#include <string.h>

/* Settings of modules that closed does not call. */
static const cf_setting other_settings[] = {
    {.name = "model",
     .kind = CF_SETTING_CHOICE,
     .initial = "EASE",
     .choices = "BPR|EASE|L3AE|ItemKNN|Pop|ChebyCF|GF-CF"},
    {.name = "reg_weight", .kind = CF_SETTING_REAL, .initial = "1e-05", .min = -1e6, .max = 1e6},
    {.name = "cold_map", .kind = CF_SETTING_CHOICE, .initial = "auto", .choices = "auto|none"},
    {.name = "seed", .kind = CF_SETTING_INT, .initial = "1", .min = 0, .max = 1e9},
    {0}};

static inline cf_config *create_config(void)
{
    const cf_setting *const tables[] = {cf_closed_settings, cf_select_settings, other_settings};
    cf_config *config = NULL;

    assert_int_equal(cf_config_create(tables, 3, &config), CF_OK);
    return config;
}

/* ---- Problems ------------------------------------------------------------------------------- */

/** Interactions and vectors that every rank holds whole, and the dataset of them. */
typedef struct data {
    cf_test_graph graph;
    int64_t dim;
    double *vectors; /* items x dim */
    int64_t missing; /* the item without a vector; -1: none */
    uint8_t *cold;   /* items: cf_cold_mark; NULL: none is cold */
    cf_dataset *file;
} data;

static inline cf_status give_vectors(void *context, int64_t first, int64_t count, void *rows,
                                     uint8_t *present)
{
    const data *d = context;

    for (int64_t k = 0; k < count; k++) {
        present[k] = first + k != d->missing;
        for (int64_t j = 0; j < d->dim; j++)
            ((float *)rows)[k * d->dim + j] =
                present[k] ? (float)d->vectors[(first + k) * d->dim + j] : 0;
    }
    return CF_OK;
}

/* Write the dataset and open it. Collective. */
static inline void open_file(data *d)
{
    cf_lists train = {.count = d->graph.n_users};

    assert_int_equal(CF_ALLOC(train.start, train.count + 1), CF_OK);
    assert_int_equal(CF_ALLOC(train.index, d->graph.n_pairs), CF_OK);
    for (int64_t u = 0, e = 0; u < train.count; u++) {
        for (; e < d->graph.n_pairs && d->graph.pairs[e][0] == u; e++)
            train.index[e] = d->graph.pairs[e][1];
        train.start[u + 1] = e;
    }
    cf_test_dataset_write(cf_test_scratch("data.h5"), d->graph.n_items,
                          &(cf_dataset_content){.train = train,
                                                .cold = d->cold,
                                                .embedding_dim = d->dim,
                                                .n_missing = d->missing >= 0,
                                                .read_vectors = give_vectors,
                                                .context = d});
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &d->file), CF_OK);
    cf_free(&train.start);
    cf_free(&train.index);
}

/* A pass over its vectors that was cut short cannot be verified. Collective. */
static inline void reopen_file(data *d)
{
    cf_dataset_close(&d->file);
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &d->file), CF_OK);
}

static inline void give_noise(data *d)
{
    d->vectors = calloc((size_t)(d->graph.n_items * d->dim + 1), sizeof *d->vectors);
    assert_non_null(d->vectors);
    for (int64_t k = 0; k < d->graph.n_items * d->dim; k++)
        d->vectors[k] = (float)cf_test_noise(7, k / d->dim, k % d->dim);
}

/* Wider than a block of the matrices; user and item numbers without any partner are in it. */
static inline data new_data(int64_t n_items, int64_t dim, int64_t missing)
{
    data d = {.graph = cf_test_graph_random(90, n_items, 0.1, 5), .dim = dim, .missing = missing};

    give_noise(&d);
    open_file(&d);
    return d;
}

static inline void free_data(data *d)
{
    cf_dataset_close(&d->file);
    cf_test_graph_destroy(&d->graph);
    free(d->vectors);
    free(d->cold);
}

/* A closed form on a grid: what it is solved from, and its solution. */
typedef struct solution {
    data *d; /* borrowed */
    const cf_grid *grid;
    cf_closed_options options;
    cf_shard shard;
    cf_closed *closed;
} solution;

static inline cf_closed_options read_options(const char *const *sets)
{
    cf_config *config = create_config();
    cf_closed_options options;

    for (; *sets != NULL; sets++)
        assert_int_equal(cf_config_set(config, *sets), CF_OK);
    assert_true(cf_closed_is(config));
    cf_closed_read_options(config, &options);
    cf_config_destroy(&config);
    return options;
}

static inline bool inverts(const char *model)
{
    return strcmp(model, "EASE") == 0 || strcmp(model, "L3AE") == 0;
}

static inline cf_status solution_solve(void *context)
{
    solution *s = context;
    cf_closed_seconds seconds = {0};
    cf_status status = cf_closed_create(&s->options, s->grid, &s->shard, &s->closed);

    if (status == CF_OK) status = cf_closed_solve(s->closed, s->d->file, &seconds);
    if (status == CF_OK) {
        const cf_table *users = cf_closed_table(s->closed, CF_USERS);
        const bool filters = cf_closed_filter(s->closed) != NULL;

        if (users != NULL) cf_test_table_check_padding(users);
        cf_test_table_check_padding(cf_closed_table(s->closed, CF_ITEMS));
        assert_true((seconds.singular > 0) == filters);
        assert_true((seconds.gram > 0) == !filters);
        assert_true((seconds.invert > 0) == inverts(s->options.name));
        assert_true((seconds.rest > 0) == (users == NULL || filters));
    }
    return status;
}

/* Solve on a grid; the items' table on every rank, items x items or items x 1, in *out if all is
 * well. */
static inline cf_status solve_on(data *d, const cf_grid *grid, const char *const *sets, float **out)
{
    solution s = {.d = d, .grid = grid, .options = read_options(sets)};
    cf_status status;

    s.shard = cf_test_graph_cut(&d->graph, grid);
    status = solution_solve(&s);
    if (status == CF_OK) *out = cf_test_table_get(cf_closed_table(s.closed, CF_ITEMS));
    cf_closed_destroy(&s.closed);
    cf_test_shard_destroy(&s.shard);
    return status;
}

static inline void solution_prepare(void *context)
{
    reopen_file(((solution *)context)->d);
}

static inline void solution_clean_up(void *context)
{
    cf_closed_destroy(&((solution *)context)->closed);
}

/* ---- The plain way -------------------------------------------------------------------------- */

static inline double *square(int64_t n)
{
    double *a = calloc((size_t)(n * n), sizeof *a);

    assert_non_null(a);
    return a;
}

static inline double *gram_plainly(const data *d)
{
    const int64_t n = d->graph.n_items;
    double *gram = square(n);

    for (int64_t a = 0; a < d->graph.n_pairs; a++)
        for (int64_t b = 0; b < d->graph.n_pairs; b++)
            if (d->graph.pairs[a][0] == d->graph.pairs[b][0])
                gram[d->graph.pairs[a][1] * n + d->graph.pairs[b][1]]++;
    return gram;
}

/** Every allocation of a solution on the data fails in turn, on one rank; there are more than
 * `least`. Frees the data. */
static inline void check_no_memory(data d, const char *const *sets, int64_t least)
{
    const cf_test_trial trial = {.attempt = solution_solve,
                                 .prepare = solution_prepare,
                                 .clean_up = solution_clean_up,
                                 .thinning = 6,
                                 .rotate = true};
    cf_grid *grid = NULL;

    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    solution s = {.d = &d, .grid = grid, .options = read_options(sets)};
    s.shard = cf_test_graph_cut(&d.graph, grid);
    assert_true(cf_test_every_allocation(&trial, &s) > least);
    cf_test_shard_destroy(&s.shard);
    cf_par_destroy_grid(&grid);
    free_data(&d);
}
