/** A graph on a grid, a field of noise, and its sums as a serial loop makes them: for tests of
 * sums. */
#pragma once

#include "cf/graph.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { MAX_COLUMNS = 4 };

typedef struct setup {
    cf_test_graph pairs;
    cf_grid *grid;
    cf_shard shard;
    cf_graph *graph;
    int64_t width, first[2], n_rows[2];
    float *value[2]; /* n_rows x width: of this rank's slice */
    float *want[2];  /* their sums over neighbours, pairs in ascending order */
    float *got[2];   /* what the visitor saw; as `want` */
    int *visits[2];  /* of each row */
    const int32_t *list[2];
    bool misplaced; /* a visit was not of the place in the list that it said */
} setup;

static inline float *new_rows(int64_t count, int64_t width)
{
    float *rows = NULL;

    assert_int_equal(CF_ALLOC(rows, count * width), CF_OK);
    return rows;
}

/** Values of many sizes, so that the order of a sum shows in its bits. */
static inline float value_of(int side, int64_t row, int64_t d)
{
    const uint64_t bits =
        cf_random_bits((cf_random){7, CF_STREAM_TEST}, (uint64_t)side, (uint64_t)row, (uint64_t)d);

    return ldexpf((float)(int32_t)bits, (int)(bits >> 61) - 31);
}

static inline void sum_pairs(setup *s)
{
    for (int64_t e = 0; e < s->pairs.n_pairs; e++) {
        const int64_t u = s->pairs.pairs[e][0] * s->width, i = s->pairs.pairs[e][1] * s->width;

        for (int64_t d = 0; d < s->width; d++) {
            s->want[CF_USERS][u + d] += s->value[CF_ITEMS][i + d];
            s->want[CF_ITEMS][i + d] += s->value[CF_USERS][u + d];
        }
    }
}

/** `kept`: NULL, or which rows of each side are not zero. */
static inline void set_width(setup *s, int64_t width, bool *const kept[2])
{
    s->width = width;
    for (int side = 0; side < 2; side++) {
        s->value[side] = new_rows(s->n_rows[side], width);
        s->want[side] = new_rows(s->n_rows[side], width);
        s->got[side] = new_rows(s->n_rows[side], width);
        assert_int_equal(CF_ALLOC(s->visits[side], s->n_rows[side]), CF_OK);
        for (int64_t row = 0; row < s->n_rows[side]; row++)
            for (int64_t d = 0; d < width; d++)
                if (!kept || kept[side][row])
                    s->value[side][row * width + d] =
                        value_of(side, row, s->grid->my_column * width + d);
    }
    sum_pairs(s);
}

static inline void drop_width(setup *s)
{
    for (int side = 0; side < 2; side++) {
        cf_free(&s->value[side]);
        cf_free(&s->want[side]);
        cf_free(&s->got[side]);
        cf_free(&s->visits[side]);
    }
}

/** A graph on s->grid. */
static inline void make_setup(setup *s, cf_test_graph (*make)(void), int threads)
{
    s->pairs = make();
    s->n_rows[CF_USERS] = s->pairs.n_users;
    s->n_rows[CF_ITEMS] = s->pairs.n_items;
    s->shard = cf_test_graph_cut(&s->pairs, s->grid);
    s->first[CF_USERS] = s->shard.first_user;
    s->first[CF_ITEMS] = s->shard.first_item;
    omp_set_num_threads(threads); /** a graph makes scratch for as many as there are */
    assert_int_equal(cf_graph_create(s->grid, &s->shard, &s->graph), CF_OK);
}

static inline void drop_setup(setup *s)
{
    cf_graph_destroy(&s->graph);
    cf_test_shard_destroy(&s->shard);
    cf_test_graph_destroy(&s->pairs);
}

/** The next grid, starting with *k = 0; false after the last. `make`: the graph. */
static inline bool next_setup(setup *s, cf_test_graph (*make)(void), int threads, int *k)
{
    if (*k > 0) drop_setup(s);
    if (!cf_test_next_nodes(&world, MAX_COLUMNS, k, &s->grid)) return false;
    make_setup(s, make, threads);
    return true;
}

static inline cf_field new_field(setup *s)
{
    cf_field field = {0};

    assert_int_equal(cf_graph_create_field(s->graph, (cf_row_kind){s->width, CF_FLOAT32}, &field),
                     CF_OK);
    for (int side = 0; side < 2; side++)
        memcpy(field.rows[side], s->value[side] + s->first[side] * s->width,
               (size_t)(cf_graph_rows(s->graph, (cf_side)side) * s->width) * sizeof(float));
    return field;
}

/** Runs on any thread: notes what is wrong, and leaves it to check_rows() to fail. */
static inline void keep(void *context, const cf_rows *sums)
{
    setup *s = context;

    for (int k = 0; k < sums->count; k++) {
        const int64_t row = s->first[sums->side] + sums->rows[k];

        memcpy(s->got[sums->side] + row * s->width, sums->sums + k * s->width,
               (size_t)s->width * sizeof(float));
        s->visits[sums->side][row]++;
        if (s->list[sums->side] && s->list[sums->side][sums->entries[k]] != sums->rows[k])
            s->misplaced = true;
    }
    memset(sums->sums, 0xff, (size_t)(sums->count * s->width) * sizeof(float)); /** scratch */
}

/** Rows that `listed` (NULL: all of mine) has were visited once with their sums, the others not. */
static inline void check_rows(const setup *s, bool *const listed[2])
{
    assert_false(s->misplaced);
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < s->n_rows[side]; row++) {
            const int64_t local = row - s->first[side];
            const bool mine = local >= 0 && local < cf_graph_rows(s->graph, (cf_side)side);

            assert_int_equal(s->visits[side][row], mine && (!listed || listed[side][row]));
            if (s->visits[side][row])
                cf_test_same_bits(s->got[side] + row * s->width, s->want[side] + row * s->width,
                                  s->width, side ? "item" : "user");
        }
}

/** A sparse field of the owned rows among those kept, open. */
static inline void open_sparse(const setup *s, bool *const kept[2], int32_t *const rows[2],
                               cf_sparse *out)
{
    for (int side = 0; side < 2; side++) {
        out->count[side] = 0;
        out->rows[side] = rows[side];
        for (int64_t row = 0; row < cf_graph_rows(s->graph, (cf_side)side); row++)
            if (kept[side][s->first[side] + row]) rows[side][out->count[side]++] = (int32_t)row;
    }
    cf_graph_open_sparse(s->graph, out);
    for (int side = 0; side < 2; side++)
        for (int64_t k = 0; k < out->count[side]; k++)
            memcpy(out->values[side] + k * s->width,
                   s->value[side] + (s->first[side] + rows[side][k]) * s->width,
                   (size_t)s->width * sizeof(float));
}
