/** Small datasets for the tests of select, and the settings to read them with. */
#pragma once

#include "cf/select.h"
#include "cf_test.h"
#include "cf_test_dataset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** A dataset as plain arrays, the same on every rank. */
typedef struct plain {
    int64_t n_users, n_items, dim;
    int64_t *user_start, *item; /* train: items of each user, ascending */
    float *vectors;             /* n_items x dim */
    uint8_t *present;           /* n_items; the vectors of 0 are zero */
    uint8_t *cold;              /* n_items: cf_cold_mark; NULL: none is cold */
} plain;

static inline void *take(int64_t count, size_t size)
{
    void *block = calloc(count > 0 ? (size_t)count : 1, size);

    assert_non_null(block);
    return block;
}

/** No interactions yet, every item present with a vector of zeros. */
static inline plain new_plain(int64_t n_users, int64_t n_items, int64_t dim)
{
    plain p = {.n_users = n_users, .n_items = n_items, .dim = dim};

    p.user_start = take(n_users + 1, sizeof *p.user_start);
    p.item = take(n_users * n_items, sizeof *p.item);
    p.vectors = take(n_items * dim, sizeof *p.vectors);
    p.present = take(n_items, 1);
    memset(p.present, 1, (size_t)n_items);
    return p;
}

static inline void free_plain(plain *p)
{
    free(p->user_start);
    free(p->item);
    free(p->vectors);
    free(p->present);
    free(p->cold);
}

static inline cf_status plain_vectors(void *context, int64_t first, int64_t count, void *rows,
                                      uint8_t *present)
{
    const plain *p = context;

    memcpy(rows, p->vectors + first * p->dim, (size_t)(count * p->dim) * sizeof *p->vectors);
    memcpy(present, p->present + first, (size_t)count);
    return CF_OK;
}

/** Write it; opened files of this name must be closed. */
static inline void write_plain(const char *path, plain *p)
{
    cf_dataset_content content = {
        .train = {.count = p->n_users, .start = p->user_start, .index = p->item},
        .cold = p->cold,
        .embedding_dim = p->dim,
        .read_vectors = plain_vectors,
        .context = p};

    for (int64_t i = 0; i < p->n_items; i++)
        content.n_missing += !p->present[i];
    cf_test_dataset_write(path, p->n_items, &content);
}

enum { MIXED_USERS = 40, MIXED_ITEMS = 57, MIXED_DIM = 37 };

static inline uint64_t mixed_bits(int64_t a, int64_t b)
{
    return cf_random_bits((cf_random){3, CF_STREAM_TEST}, (uint64_t)a, (uint64_t)b, 0);
}

/** Items 3 of 4 have the same few counts, so that most are tied; numbers have many magnitudes. */
static inline plain new_mixed(void)
{
    plain data = new_plain(MIXED_USERS, MIXED_ITEMS, MIXED_DIM);

    for (int64_t u = 0; u < MIXED_USERS; u++) {
        int64_t n = data.user_start[u];
        for (int64_t i = 0; i < MIXED_ITEMS; i++)
            if (u <= i % 4 + (i == 50 ? 30 : 0)) data.item[n++] = i;
        data.user_start[u + 1] = n;
    }
    for (int64_t i = 0; i < MIXED_ITEMS; i++)
        for (int64_t k = 0; k < MIXED_DIM; k++) {
            cf_random key = {4, CF_STREAM_TEST};
            double z = cf_random_normal(key, (uint64_t)i, (uint64_t)k, 0);
            int exponent = mixed_bits(i, k) % 8 ? 0 : (int)(mixed_bits(i, k) >> 32) % 60 - 30;
            data.vectors[i * MIXED_DIM + k] = (float)ldexp(z * (double)(1 + k % 5), exponent);
        }
    /* one dimension is all large: its squares fill 128 bits soon */
    for (int64_t i = 0; i < MIXED_ITEMS; i++)
        data.vectors[i * MIXED_DIM] = (float)ldexp(1.2 + (double)i / 128, 21);
    return data;
}

static inline void remove_vector(plain *p, int64_t i)
{
    p->present[i] = 0;
    memset(p->vectors + i * p->dim, 0, (size_t)p->dim * sizeof *p->vectors);
}

/** The options of select; `text`: "name=value name=value ...". */
static inline cf_select_options options_of(const char *text)
{
    static const cf_setting seed[] = {{.name = "seed",
                                       .kind = CF_SETTING_INT,
                                       .initial = "2020",
                                       .max = 1e9,
                                       .help = "seed of the random numbers"},
                                      {.name = NULL}};
    const cf_setting *const tables[] = {cf_select_settings, seed};
    cf_config *config = NULL;
    cf_select_options options;
    char copy[512];

    assert_int_equal(cf_config_create(tables, 2, &config), CF_OK);
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        assert_int_equal(cf_config_set(config, word), CF_OK);
    cf_select_read_options(config, &options);
    cf_config_destroy(&config);
    return options;
}

/* ---- Creation in which an allocation fails ---- */

/** A selection created again and again, for cf_test_every_allocation(): each time from a dataset
 * just opened, for a pass that was cut short cannot be verified. */
typedef struct creation {
    const cf_select_options *options;
    cf_dataset *dataset;
    cf_selection *selection;
} creation;

static inline void creation_prepare(void *context)
{
    creation *c = context;

    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &c->dataset), CF_OK);
}

static inline cf_status creation_attempt(void *context)
{
    creation *c = context;
    cf_status status = cf_select_create(c->dataset, c->options, &c->selection);

    if (status != CF_OK) assert_null(c->selection);
    return status;
}

static inline void creation_clean_up(void *context)
{
    creation *c = context;

    cf_select_destroy(&c->selection);
    cf_dataset_close(&c->dataset);
}

/** Every `step`-th allocation fails on one rank; each rank makes at least `least` of them. */
static inline void creation_fail(const cf_select_options *options, int64_t step, int64_t least)
{
    const cf_test_trial trial = {.attempt = creation_attempt,
                                 .prepare = creation_prepare,
                                 .clean_up = creation_clean_up,
                                 .step = step,
                                 .rotate = true,
                                 .least = {least, least}};

    cf_test_every_allocation(&trial, &(creation){.options = options});
}
