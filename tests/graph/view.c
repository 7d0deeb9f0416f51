#include "cf/graph.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* The last user has more neighbours than one go of the sum looks at (1024). */
enum { USERS = 213, ITEMS = 1300, WIDTH = 32, MAX_COLUMNS = 2 };
static const int64_t n_rows[2] = {USERS, ITEMS};

/* Serial sums over the kept pairs, and the field they are of. */
static cf_test_graph pairs;
static float value[2][ITEMS * WIDTH], want[2][ITEMS * WIDTH];
static int64_t degree[2][ITEMS];

/* A third of the edges is left out; false also for an edge whose number is not that of its pair. */
static bool keep_some(const void *context, int64_t edge, int64_t user, int64_t item)
{
    const int64_t *leave = context;

    if (edge < 0 || edge >= pairs.n_pairs || pairs.pairs[edge][0] != user ||
        pairs.pairs[edge][1] != item)
        return false;
    return *leave == 0 || (edge * 7 + user) % *leave != 0;
}

static void sum_serially(int64_t leave)
{
    memset(want, 0, sizeof want);
    memset(degree, 0, sizeof degree);
    for (int side = 0; side < 2; side++)
        for (int64_t k = 0; k < n_rows[side] * WIDTH; k++)
            value[side][k] = (float)cf_test_noise(3, side, k);
    for (int64_t e = 0; e < pairs.n_pairs; e++) {
        const int64_t u = pairs.pairs[e][0], i = pairs.pairs[e][1];

        if (leave > 0 && (e * 7 + u) % leave == 0) continue;
        degree[CF_USERS][u]++;
        degree[CF_ITEMS][i]++;
        for (int64_t d = 0; d < WIDTH; d++) {
            want[CF_USERS][u * WIDTH + d] += value[CF_ITEMS][i * WIDTH + d];
            want[CF_ITEMS][i * WIDTH + d] += value[CF_USERS][u * WIDTH + d];
        }
    }
}

typedef struct seen {
    int64_t first[2];
    int visits[2][ITEMS];
    bool wrong;
} seen;

/* Runs on any thread: notes what is wrong. */
static void compare(void *context, const cf_rows *sums)
{
    seen *s = context;

    for (int k = 0; k < sums->count; k++) {
        const int64_t row = s->first[sums->side] + sums->rows[k];

        s->visits[sums->side][row]++;
        if (memcmp(sums->sums + k * WIDTH, want[sums->side] + row * WIDTH, WIDTH * sizeof(float)) !=
            0)
            s->wrong = true;
    }
}

static void check_view(cf_graph *graph, const cf_shard *shard, int64_t leave)
{
    seen s = {.first = {shard->first_user, shard->first_item}};
    cf_view view = {0};
    cf_field field = {0};

    sum_serially(leave);
    assert_int_equal(cf_graph_create_view(graph, &view), CF_OK);
    assert_int_equal(cf_graph_create_field(graph, (cf_row_kind){WIDTH, CF_FLOAT32}, &field), CF_OK);
    cf_graph_fill_view(graph, shard, keep_some, &leave, &view);
    for (int side = 0; side < 2; side++)
        memcpy(field.rows[side], value[side] + s.first[side] * WIDTH,
               (size_t)(cf_graph_rows(graph, (cf_side)side) * WIDTH) * sizeof(float));
    cf_graph_sum_view(graph, &view, field, compare, &s);
    assert_false(s.wrong);
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < cf_graph_rows(graph, (cf_side)side); row++) {
            const int64_t kept = degree[side][s.first[side] + row];

            assert_int_equal(s.visits[side][s.first[side] + row], 1);
            assert_close(view.scale[side][row], kept ? 1 / sqrt((double)kept) : 0, 1e-7);
        }
    cf_graph_destroy_field(&field);
    cf_graph_destroy_view(&view);
}

static void a_view_has_the_sums_and_degrees_of_its_edges(void **state)
{
    static const int64_t leave[] = {0, 3, 1}; /* none, a third, all */
    cf_grid *grid = NULL;

    (void)state;
    pairs = cf_test_graph_random(USERS, ITEMS, 0.05, 3);
    omp_set_num_threads(2);
    for (int k = 0; cf_test_next_nodes(&world, MAX_COLUMNS, &k, &grid);) {
        cf_shard shard = cf_test_graph_cut(&pairs, grid);
        cf_graph *graph = NULL;

        assert_int_equal(cf_graph_create(grid, &shard, &graph), CF_OK);
        assert_int_equal(cf_graph_number_edges(graph, &shard), CF_OK);
        for (int l = 0; l < 3; l++)
            check_view(graph, &shard, leave[l]);
        cf_graph_destroy(&graph);
        cf_test_shard_destroy(&shard);
    }
    omp_set_num_threads(1);
    cf_test_graph_destroy(&pairs);
}

/* A graph whose edges are numbered: for the first time, or once more. */
typedef struct numbering {
    cf_grid *grid;
    cf_shard shard;
    cf_graph *graph;
} numbering;

static cf_status number_edges(void *context)
{
    const numbering *n = context;

    return cf_graph_number_edges(n->graph, &n->shard);
}

static void graph_prepare(void *context)
{
    numbering *n = context;

    assert_int_equal(cf_graph_create(n->grid, &n->shard, &n->graph), CF_OK);
}

static void graph_clean_up(void *context)
{
    numbering *n = context;

    cf_graph_destroy(&n->graph);
}

static void no_memory_on_one_rank_stops_the_numbering_on_all(void **state)
{
    const cf_test_trial first = {
        .attempt = number_edges, .prepare = graph_prepare, .clean_up = graph_clean_up};
    const cf_test_trial again = {.attempt = number_edges};
    cf_grid *grid = NULL;

    (void)state;
    pairs = cf_test_graph_random(USERS, ITEMS, 0.05, 3);
    for (int k = 0; cf_test_next_nodes(&world, MAX_COLUMNS, &k, &grid);) {
        numbering n = {.grid = grid, .shard = cf_test_graph_cut(&pairs, grid)};

        assert_true(cf_test_every_allocation(&first, &n) >= 10);
        graph_prepare(&n);
        assert_int_equal(number_edges(&n), CF_OK); /* from here on numbers replace numbers */
        assert_true(cf_test_every_allocation(&again, &n) >= 10);
        graph_clean_up(&n);
        cf_test_shard_destroy(&n.shard);
    }
    cf_test_graph_destroy(&pairs);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_view_has_the_sums_and_degrees_of_its_edges),
    cmocka_unit_test(no_memory_on_one_rank_stops_the_numbering_on_all),
};
CF_TEST_MAIN(tests)
