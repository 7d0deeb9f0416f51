/* Scores of tables and a filter, on every grid: the sums of the products and of what the filter
 * gives, whatever the memory, so that users come in several rounds. */
#include "cf/eval.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <stdlib.h>
#include <string.h>

/* More users and items than one tile has. */
enum { USERS = 300, ITEMS = 530, DIM = 20 };

typedef struct place {
    cf_test_graph pairs;
    cf_grid *grid;
    cf_shard shard;
    cf_graph *graph;
    cf_filter *filter;
    cf_table *table[2];
    int64_t count, *users; /* of this rank: its part of the block's */
} place;

static double *noise(int64_t n_rows, uint64_t seed)
{
    double *out = calloc((size_t)(n_rows * DIM), sizeof *out);

    assert_non_null(out);
    for (int64_t k = 0; k < n_rows * DIM; k++)
        out[k] = (double)(float)cf_test_noise(seed, k / DIM, k % DIM);
    return out;
}

/* The ranks of a grid row divide its users; the last rank of each asks for none. */
static void choose_users(place *p)
{
    const int n_parts = (int)cf_max(1, p->grid->n_columns - 1);

    assert_ok(CF_ALLOC(p->users, p->shard.n_users));
    for (int64_t u = 0; u < p->shard.n_users; u++)
        if (u % n_parts == p->grid->my_column) p->users[p->count++] = u;
}

static void set_up(place *p)
{
    const cf_filter_options options = {.degree = 2, .coefficient = {0.3, -0.7, 0.2}, .power = 0.4};
    const int64_t rows[2] = {USERS, ITEMS};

    p->shard = cf_test_graph_cut(&p->pairs, p->grid);
    assert_ok(CF_ALLOC(p->shard.added.start, p->shard.n_users + 1));
    assert_ok(CF_ALLOC(p->shard.valid.start, p->shard.n_users + 1));
    assert_ok(cf_graph_create(p->grid, &p->shard, &p->graph));
    assert_ok(cf_filter_create(&options, p->grid, &p->shard, p->graph, &p->filter));
    for (int side = 0; side < 2; side++) {
        double *values = noise(rows[side], (uint64_t)side);

        assert_ok(cf_table_create(p->grid, side == CF_USERS ? &p->shard.users : &p->shard.items,
                                  DIM, &p->table[side]));
        cf_test_table_set(p->table[side], values);
        free(values);
    }
    p->count = 0;
    choose_users(p);
}

static void clean_up(place *p)
{
    cf_free(&p->users);
    for (int side = 0; side < 2; side++)
        cf_table_destroy(&p->table[side]);
    cf_filter_destroy(&p->filter);
    cf_graph_destroy(&p->graph);
    cf_free(&p->shard.added.start);
    cf_free(&p->shard.valid.start);
    cf_test_shard_destroy(&p->shard);
}

/* What the filter gives my users, count x ITEMS. Collective. */
static float *filter_users(const place *p)
{
    float *rows = calloc((size_t)(p->count * ITEMS + 1), sizeof *rows);

    assert_non_null(rows);
    assert_ok(
        cf_filter_apply(p->filter, &p->shard, p->users, p->count, &(cf_filter_rows){rows, ITEMS}));
    return rows;
}

/* Ranked lists of all items for my users, count x ITEMS. Collective. */
static void rank_users(const place *p, int64_t memory, int64_t *items, float *scores)
{
    const cf_eval_scorer scorer =
        cf_eval_tables(p->table[CF_USERS], p->table[CF_ITEMS], &p->shard, p->filter);

    assert_ok(cf_eval_topk(
        &scorer,
        &(cf_eval_request){.users = p->users, .count = p->count, .k = ITEMS, .memory = memory},
        items, scores));
}

static double multiply(const double *x, const double *y)
{
    double sum = 0;

    for (int k = 0; k < DIM; k++)
        sum += x[k] * y[k];
    return sum;
}

static void check_lists(const place *p, const int64_t *items, const float *scores)
{
    double *users = noise(USERS, CF_USERS), *of_items = noise(ITEMS, CF_ITEMS);
    float *filtered = filter_users(p);

    for (int64_t k = 0; k < p->count; k++) {
        const int64_t user = p->shard.first_user + p->users[k];
        bool has[ITEMS] = {false};

        if (!cf_dataset_knows_user(&p->shard, p->users[k])) continue;
        for (int64_t n = 0; n < ITEMS; n++) {
            const int64_t item = items[k * ITEMS + n];

            assert_true(item >= 0 && item < ITEMS && !has[item]);
            has[item] = true;
            assert_close(scores[k * ITEMS + n],
                         multiply(users + user * DIM, of_items + item * DIM) +
                             (double)filtered[k * ITEMS + item],
                         1e-5);
            if (n > 0) assert_true(scores[k * ITEMS + n] <= scores[k * ITEMS + n - 1]);
        }
    }
    free(users);
    free(of_items);
    free(filtered);
}

static void scores_are_products_and_what_the_filter_gives(void **state)
{
    static const int64_t memory[] = {64 << 20, 3 << 20};
    place p = {.pairs = cf_test_graph_random(USERS, ITEMS, 0.03, 4)};

    (void)state;
    for (int k = 0; cf_test_next_grid(&world, 2, &k, &p.grid);) {
        int64_t *items[2];
        float *scores[2];

        set_up(&p);
        for (int m = 0; m < 2; m++) {
            items[m] = calloc((size_t)(p.count * ITEMS + 1), sizeof *items[m]);
            scores[m] = calloc((size_t)(p.count * ITEMS + 1), sizeof *scores[m]);
            rank_users(&p, memory[m], items[m], scores[m]);
        }
        check_lists(&p, items[0], scores[0]);
        cf_test_same_bits(scores[0], scores[1], p.count * ITEMS, "scores");
        assert_memory_equal(items[0], items[1], (size_t)(p.count * ITEMS) * sizeof *items[0]);
        for (int m = 0; m < 2; m++) {
            free(items[m]);
            free(scores[m]);
        }
        clean_up(&p);
    }
    cf_test_graph_destroy(&p.pairs);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(scores_are_products_and_what_the_filter_gives),
};
CF_TEST_MAIN(tests)
