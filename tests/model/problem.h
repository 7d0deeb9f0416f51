/** A model on a grid with its batches, for the tests of model. */
#pragma once

#include "cf/model.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <stdlib.h>
#include <string.h>

/* embedding_size belongs to a module that model does not know. */
static const cf_setting size_settings[] = {{.name = "embedding_size",
                                            .kind = CF_SETTING_INT,
                                            .initial = "16",
                                            .min = 1,
                                            .max = 4096,
                                            .help = "numbers per user and item"},
                                           {0}};

/** What all grids share. */
typedef struct problem {
    cf_test_graph graph;
    int64_t dim, batch_size;
    const char *settings[8]; /* "name=value", up to a NULL */
} problem;

/** One of a batch; global numbers. */
typedef struct sample {
    int64_t user, positive, negative;
} sample;

/** The problem on one grid; `model`, `shard` and `grid` are those of this rank. */
typedef struct setup {
    const problem *problem;
    const cf_grid *grid; /* borrowed */
    cf_shard shard;
    cf_config *config;
    cf_model_options options; /* of the config */
    cf_model *model;
    cf_table *table[2]; /* the model's */
    cf_batch batch;
} setup;

static inline int64_t problem_segments(const problem *p)
{
    return (p->dim + CF_LANES - 1) / CF_LANES;
}

static inline int64_t problem_rows(const problem *p, int side)
{
    return side == CF_USERS ? p->graph.n_users : p->graph.n_items;
}

/** `more`: the settings of another module, or NULL. */
static inline cf_config *setup_config(const problem *p, const cf_setting *more)
{
    const cf_setting *const tables[] = {cf_model_settings, size_settings, more};
    char size[64];
    cf_config *config = NULL;

    assert_int_equal(cf_config_create(tables, more ? 3 : 2, &config), CF_OK);
    snprintf(size, sizeof size, "embedding_size=%lld", (long long)p->dim);
    assert_int_equal(cf_config_set(config, size), CF_OK);
    for (int k = 0; p->settings[k]; k++)
        assert_int_equal(cf_config_set(config, p->settings[k]), CF_OK);
    return config;
}

/** Fills *s in place: the model borrows the shard in it. */
static inline void setup_open(setup *s, const problem *p, const cf_grid *grid,
                              const cf_setting *more)
{
    const cf_model_place place = {grid, &s->shard, p->batch_size};

    *s = (setup){.problem = p, .grid = grid, .config = setup_config(p, more)};
    s->shard = cf_test_graph_cut(&p->graph, grid);
    cf_model_read_options(s->config, &s->options);
    assert_int_equal(cf_model_create(&s->options, &place, &s->model), CF_OK);
    for (int side = 0; side < 2; side++)
        s->table[side] = cf_model_table(s->model, (cf_side)side);
    assert_int_equal(CF_ALLOC(s->batch.position, p->batch_size), CF_OK);
    assert_int_equal(CF_ALLOC(s->batch.user, p->batch_size), CF_OK);
    assert_int_equal(CF_ALLOC(s->batch.positive, p->batch_size), CF_OK);
    assert_int_equal(CF_ALLOC(s->batch.negative, p->batch_size), CF_OK);
}

static inline void setup_close(setup *s)
{
    cf_model_destroy(&s->model);
    cf_config_destroy(&s->config);
    cf_test_shard_destroy(&s->shard);
    cf_free(&s->batch.position);
    cf_free(&s->batch.user);
    cf_free(&s->batch.positive);
    cf_free(&s->batch.negative);
}

/** Samples of the whole batch; this rank keeps those of its users. */
static inline const cf_batch *setup_batch(setup *s, const sample *samples, int64_t size)
{
    cf_batch *b = &s->batch;

    b->size = size;
    b->count = 0;
    for (int64_t t = 0; t < size; t++) {
        const int64_t user = samples[t].user - s->shard.first_user;

        if (user < 0 || user >= s->shard.n_users) continue;
        b->position[b->count] = (int32_t)t;
        b->user[b->count] = (int32_t)user;
        b->positive[b->count] = samples[t].positive;
        b->negative[b->count++] = samples[t].negative;
    }
    return b;
}

/** Copies gradients, and counts how often each row was passed. */
typedef struct recorder {
    cf_table *gradient[2];
    int32_t *times[2];
} recorder;

static inline void record_rows(void *context, cf_side side, const int32_t *rows, int count,
                               const float *gradient)
{
    recorder *c = context;
    const int64_t width = c->gradient[side]->width;

    for (int k = 0; k < count; k++) {
        c->times[side][rows[k]]++;
        memcpy(c->gradient[side]->data + rows[k] * width, gradient + k * width,
               (size_t)width * sizeof *gradient);
    }
}

static inline recorder recorder_open(const setup *s)
{
    recorder c = {0};

    for (int side = 0; side < 2; side++) {
        assert_int_equal(cf_table_create(s->grid, side ? &s->shard.items : &s->shard.users,
                                         s->problem->dim, &c.gradient[side]),
                         CF_OK);
        assert_int_equal(CF_ALLOC(c.times[side], c.gradient[side]->local_rows), CF_OK);
    }
    return c;
}

static inline void recorder_close(recorder *c)
{
    for (int side = 0; side < 2; side++) {
        cf_table_destroy(&c->gradient[side]);
        cf_free(&c->times[side]);
    }
}

/** Step once, check that each row was passed once, and leave the gradients in `c`. */
static inline cf_loss recorder_step(recorder *c, setup *s, const sample *samples, int64_t size)
{
    const cf_gradient_consumer consumer = {record_rows, c};
    cf_loss loss;

    for (int side = 0; side < 2; side++)
        memset(c->times[side], 0, (size_t)c->gradient[side]->local_rows * sizeof(int32_t));
    assert_int_equal(cf_model_step(s->model, setup_batch(s, samples, size), &consumer, &loss),
                     CF_OK);
    for (int side = 0; side < 2; side++) {
        for (int64_t row = 0; row < c->gradient[side]->local_rows; row++)
            assert_int_equal(c->times[side][row], 1);
        cf_test_table_check_padding(c->gradient[side]);
    }
    return loss;
}

/** Fail unless the whole table is within tolerance x (its largest entry) of `want`. */
static inline void check_table(const cf_table *table, const double *want, double tolerance)
{
    const int64_t count = table->n_rows * table->dim;
    float *got = cf_test_table_get(table);
    double largest = 0;

    for (int64_t k = 0; k < count; k++) {
        const double size = want[k] < 0 ? -want[k] : want[k];

        if (size > largest) largest = size;
    }
    cf_test_close_f32(got, want, count, tolerance, largest);
    free(got);
}
