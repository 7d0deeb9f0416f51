#include "cf/graph.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <string.h>

/* Rows of a side that other nodes own and those of this one have for neighbours, counted in the
 * plain list of pairs. */
static int64_t count_halo(const cf_test_graph *graph, const cf_shard *shard, const cf_grid *grid,
                          cf_side side)
{
    const int64_t n = side == CF_USERS ? graph->n_users : graph->n_items;
    const int from = grid->my_row - grid->node.rank, to = from + grid->node.size;
    const int64_t first[2] = {shard->users.start[from], shard->items.start[from]};
    const int64_t end[2] = {shard->users.start[to], shard->items.start[to]};
    int64_t count = 0;

    for (int64_t row = 0; row < n; row++) {
        bool needed = false;

        if (row >= first[side] && row < end[side]) continue;
        for (int64_t e = 0; e < graph->n_pairs; e++) {
            const int64_t other = graph->pairs[e][1 - side];

            needed |=
                graph->pairs[e][side] == row && other >= first[1 - side] && other < end[1 - side];
        }
        count += needed;
    }
    return count;
}

static void a_node_has_each_needed_row_once(void **state)
{
    cf_test_graph pairs = cf_test_graph_random(30, 24, 0.2, 5);
    cf_grid *grid = NULL;

    (void)state;
    for (int k = 0; cf_test_next_nodes(&world, 4, &k, &grid);) {
        cf_shard shard = cf_test_graph_cut(&pairs, grid);
        const int64_t count =
            count_halo(&pairs, &shard, grid, CF_USERS) + count_halo(&pairs, &shard, grid, CF_ITEMS);
        cf_graph *graph = NULL;

        assert_int_equal(cf_graph_create(grid, &shard, &graph), CF_OK);
        assert_int_equal(cf_graph_halo(graph),
                         cf_par_even_start(count, grid->node.size, grid->node.rank + 1) -
                             cf_par_even_start(count, grid->node.size, grid->node.rank));
        cf_graph_destroy(&graph);
        cf_test_shard_destroy(&shard);
    }
    cf_test_graph_destroy(&pairs);
}

static void count_sums(void *context, const cf_rows *sums)
{
    int64_t *sum = context;

    for (int k = 0; k < sums->count; k++)
#pragma omp atomic
        *sum += (int64_t)sums->sums[k * CF_LANES];
}

/* Three users and items on up to four ranks: some have no rows, with one grid row all. */
static void a_rank_without_rows_takes_part(void **state)
{
    int64_t list[][2] = {{0, 0}, {0, 2}, {2, 0}, {2, 1}, {2, 2}};
    cf_test_graph pairs = {.n_users = 3, .n_items = 3, .n_pairs = 5, .pairs = list};
    cf_grid *grid = NULL;

    (void)state;
    for (int k = 0; cf_test_next_nodes(&world, 4, &k, &grid);) {
        cf_shard shard = cf_test_graph_cut(&pairs, grid);
        cf_graph *graph = NULL;
        cf_field field = {0};
        int64_t sum = 0;

        assert_int_equal(cf_graph_create(grid, &shard, &graph), CF_OK);
        assert_int_equal(cf_graph_create_field(graph, (cf_row_kind){CF_LANES, CF_FLOAT32}, &field),
                         CF_OK);
        for (int side = 0; side < 2; side++)
            for (int64_t row = 0; row < cf_graph_rows(graph, (cf_side)side); row++)
                field.rows[side][row * CF_LANES] = 1;
        cf_graph_sum(graph, field, count_sums, &sum);
        MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_INT64_T, MPI_SUM, grid->column.comm);
        assert_int_equal(sum, 2 * pairs.n_pairs);
        cf_graph_destroy_field(&field);
        cf_graph_destroy(&graph);
        cf_test_shard_destroy(&shard);
    }
}

/* A graph created again and again. */
typedef struct creation {
    const cf_grid *grid;
    cf_shard shard;
    cf_graph *graph;
} creation;

static cf_status create_graph(void *context)
{
    creation *c = context;
    cf_status status = cf_graph_create(c->grid, &c->shard, &c->graph);

    if (status != CF_OK) assert_null(c->graph);
    return status;
}

static void destroy_graph(void *context)
{
    cf_graph_destroy(&((creation *)context)->graph);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = create_graph, .clean_up = destroy_graph};
    cf_test_graph pairs = cf_test_graph_random(12, 9, 0.3, 5);
    cf_grid *grid = NULL;

    (void)state;
    for (int k = 0; cf_test_next_nodes(&world, 4, &k, &grid);) {
        creation c = {.grid = grid, .shard = cf_test_graph_cut(&pairs, grid)};

        assert_true(cf_test_every_allocation(&trial, &c) > 20);
        cf_test_shard_destroy(&c.shard);
    }
    cf_test_graph_destroy(&pairs);
}

static void a_field_without_memory_frees_what_it_had(void **state)
{
    cf_test_graph pairs = cf_test_graph_random(12, 9, 0.3, 5);
    cf_grid *grid = NULL;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    cf_shard shard = cf_test_graph_cut(&pairs, grid);
    cf_graph *graph = NULL;
    assert_int_equal(cf_graph_create(grid, &shard, &graph), CF_OK);
    for (int n = 1; n <= 5; n++) {
        cf_field field = {0};
        cf_sparse sparse = {0};
        int64_t live = cf_alloc_live();

        if (n <= 3) { /* places, send buffer, scratch */
            cf_alloc_fail_at(n);
            assert_int_equal(cf_graph_create_field(graph, (cf_row_kind){32, CF_FLOAT32}, &field),
                             CF_ERR_MEMORY);
        }
        cf_alloc_fail_at(n);
        assert_int_equal(cf_graph_create_sparse(graph, 4, (cf_row_kind){32, CF_FLOAT32}, &sparse),
                         CF_ERR_MEMORY);
        assert_int_equal(cf_alloc_live(), live);
    }
    cf_alloc_fail_at(0);
    cf_graph_destroy(&graph);
    cf_test_shard_destroy(&shard);
    cf_test_graph_destroy(&pairs);
    cf_par_destroy_grid(&grid);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_node_has_each_needed_row_once),
    cmocka_unit_test(a_rank_without_rows_takes_part),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(a_field_without_memory_frees_what_it_had),
};
CF_TEST_MAIN(tests)
