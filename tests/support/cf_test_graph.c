#include "cf_test_graph.h"

#include "cf_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double cf_test_noise(uint64_t seed, int64_t a, int64_t b)
{
    return 2 * cf_random_uniform((cf_random){seed, CF_STREAM_TEST}, (uint64_t)a, (uint64_t)b, 0) -
           1;
}

/* ---- Graphs --------------------------------------------------------------------------------- */

static cf_test_graph new_graph(int64_t n_users, int64_t n_items, int64_t capacity)
{
    cf_test_graph graph = {.n_users = n_users, .n_items = n_items};

    graph.pairs = malloc((size_t)(capacity ? capacity : 1) * sizeof *graph.pairs);
    assert_non_null(graph.pairs);
    return graph;
}

cf_test_graph cf_test_graph_random(int64_t n_users, int64_t n_items, double density, uint64_t seed)
{
    cf_test_graph graph = new_graph(n_users, n_items, n_users * n_items);

    for (int64_t u = 0; u < n_users; u++)
        for (int64_t i = 0; i < n_items; i++) {
            const bool hub = u == n_users - 1 || i == n_items - 1;

            if (u % 3 == 1 || i % 5 == 2) continue;
            if (!hub && cf_test_noise(seed, u, i) >= 2 * density - 1) continue;
            graph.pairs[graph.n_pairs][0] = u;
            graph.pairs[graph.n_pairs++][1] = i;
        }
    return graph;
}

static int compare_pairs(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    if (x[0] != y[0]) return x[0] < y[0] ? -1 : 1;
    return (x[1] > y[1]) - (x[1] < y[1]);
}

cf_test_graph cf_test_graph_load(const char *path, int64_t n_users, int64_t n_items)
{
    int64_t dims[2];
    double *values = cf_test_npy(path, dims);
    cf_test_graph graph = new_graph(n_users, n_items, dims[0]);

    assert_int_equal(dims[1], 2);
    graph.n_pairs = dims[0];
    for (int64_t e = 0; e < dims[0]; e++) {
        graph.pairs[e][0] = (int64_t)values[2 * e];
        graph.pairs[e][1] = (int64_t)values[2 * e + 1];
    }
    qsort(graph.pairs, (size_t)graph.n_pairs, sizeof *graph.pairs, compare_pairs);
    free(values);
    return graph;
}

void cf_test_graph_destroy(cf_test_graph *graph)
{
    free(graph->pairs);
    *graph = (cf_test_graph){0};
}

/* ---- Shards --------------------------------------------------------------------------------- */

static cf_blocks cut_blocks(int64_t n, int count)
{
    cf_blocks blocks;

    assert_int_equal(cf_par_create_blocks(n, count, &blocks), CF_OK);
    for (int b = 1; b < count; b++)
        blocks.start[b] = n * b * b / (count * count);
    return blocks;
}

/* The lists of rows first .. first + count - 1 of one end of the pairs; the others come ascending.
 */
static cf_lists cut_lists(const cf_test_graph *graph, int end, int64_t first, int64_t count)
{
    cf_lists lists = {.count = count};
    int64_t *next = NULL;

    assert_int_equal(CF_ALLOC(lists.start, count + 1), CF_OK);
    assert_int_equal(CF_ALLOC(lists.index, graph->n_pairs), CF_OK);
    assert_int_equal(CF_ALLOC(next, count + 1), CF_OK);
    for (int64_t e = 0; e < graph->n_pairs; e++) {
        const int64_t row = graph->pairs[e][end] - first;

        if (row >= 0 && row < count) lists.start[row + 1]++;
    }
    for (int64_t row = 0; row < count; row++)
        next[row + 1] = lists.start[row + 1] += lists.start[row];
    for (int64_t e = 0; e < graph->n_pairs; e++) {
        const int64_t row = graph->pairs[e][end] - first;

        if (row >= 0 && row < count) lists.index[next[row]++] = graph->pairs[e][1 - end];
    }
    cf_free(&next);
    return lists;
}

cf_shard cf_test_graph_cut(const cf_test_graph *graph, const cf_grid *grid)
{
    cf_shard s = {.users = cut_blocks(graph->n_users, grid->n_rows),
                  .items = cut_blocks(graph->n_items, grid->n_rows)};

    s.first_user = s.users.start[grid->my_row];
    s.n_users = s.users.start[grid->my_row + 1] - s.first_user;
    s.first_item = s.items.start[grid->my_row];
    s.n_items = s.items.start[grid->my_row + 1] - s.first_item;
    s.n_base_items = graph->n_items;
    while (s.first_interaction < graph->n_pairs &&
           graph->pairs[s.first_interaction][0] < s.first_user)
        s.first_interaction++;
    s.train = cut_lists(graph, 0, s.first_user, s.n_users);
    s.train_by_item = cut_lists(graph, 1, s.first_item, s.n_items);
    return s;
}

/* Of the lists of one end of the pairs. */
static void weigh_lists(int end, int64_t first, cf_test_weight *weight, cf_lists *lists)
{
    assert_int_equal(CF_ALLOC(lists->weight, lists->start[lists->count]), CF_OK);
    for (int64_t k = 0; k < lists->count; k++)
        for (int64_t e = lists->start[k]; e < lists->start[k + 1]; e++)
            lists->weight[e] =
                end == 0 ? weight(first + k, lists->index[e]) : weight(lists->index[e], first + k);
}

void cf_test_shard_weigh(cf_shard *shard, cf_test_weight *weight)
{
    weigh_lists(0, shard->first_user, weight, &shard->train);
    weigh_lists(1, shard->first_item, weight, &shard->train_by_item);
}

void cf_test_shard_destroy(cf_shard *shard)
{
    cf_par_destroy_blocks(&shard->users);
    cf_par_destroy_blocks(&shard->items);
    cf_free(&shard->train.start);
    cf_free(&shard->train.index);
    cf_free(&shard->train.weight);
    cf_free(&shard->train_by_item.start);
    cf_free(&shard->train_by_item.index);
    cf_free(&shard->train_by_item.weight);
}

bool cf_test_next_grid(const cf_par *par, int64_t max_columns, int *k, cf_grid **grid)
{
    if (*k > 0) cf_par_destroy_grid(grid);
    while (++*k <= par->size)
        if (par->size % *k == 0 && par->size / *k <= max_columns) {
            assert_int_equal(cf_par_create_grid(par, *k, par->size / *k, grid), CF_OK);
            return true;
        }
    return false;
}

/* k counts nodes of each grid: the machine's, then of 1, 2, .. ranks, fewer than there are. */
bool cf_test_next_nodes(const cf_par *par, int64_t max_columns, int *k, cf_grid **grid)
{
    const int n = (int)cf_max(1, par->size);

    if (*k > 0) cf_par_destroy_grid(grid);
    for (int next = *k; next < n * n; next++) {
        const int n_rows = next / n + 1, nodes = next % n;

        if (par->size % n_rows != 0 || par->size / n_rows > max_columns) continue;
        if (n_rows == 1 && nodes > 0) continue; /* slices share nothing */
        *k = next + 1;
        cf_par_pretend_nodes(nodes);
        assert_int_equal(cf_par_create_grid(par, n_rows, par->size / n_rows, grid), CF_OK);
        return true;
    }
    cf_par_pretend_nodes(0);
    return false;
}

/* ---- Tables --------------------------------------------------------------------------------- */

void cf_test_table_set(cf_table *table, const double *values)
{
    for (int64_t r = 0; r < table->local_rows; r++)
        for (int64_t d = 0; d < table->local_dim; d++)
            table->data[r * table->width + d] =
                (float)values[(table->first_row + r) * table->dim + table->first_dim + d];
}

float *cf_test_table_get(const cf_table *table)
{
    const int64_t count = table->n_rows * table->dim;
    float *whole = calloc((size_t)count, sizeof *whole);

    assert_non_null(whole);
    for (int64_t r = 0; r < table->local_rows; r++)
        memcpy(whole + (table->first_row + r) * table->dim + table->first_dim,
               table->data + r * table->width, (size_t)table->local_dim * sizeof *whole);
    /* one rank brings each number, the others zero bits */
    MPI_Allreduce(MPI_IN_PLACE, whole, cf_par_count(count), MPI_UINT32_T, MPI_BOR,
                  table->grid->world.comm);
    return whole;
}

void cf_test_table_check_padding(const cf_table *table)
{
    for (int64_t r = 0; r < table->local_rows; r++)
        for (int64_t d = table->local_dim; d < table->width; d++)
            assert_true(table->data[r * table->width + d] == 0);
}

void cf_test_same_bits(const float *got, const float *want, int64_t count, const char *what)
{
    for (int64_t k = 0; k < count; k++)
        if (memcmp(got + k, want + k, sizeof *got) != 0)
            fail_msg("%s: [%lld] is %a, not %a", what, (long long)k, (double)got[k],
                     (double)want[k]);
}
