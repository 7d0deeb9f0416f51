/**
 * Support for tests of graph, optim, model and train: graphs as plain lists of pairs, cut into the
 * shards of any grid, and tables as plain arrays of doubles. Nothing here calls the modules that it
 * serves. Failures end the test.
 */
#pragma once

#include "cf/dataset.h"
#include "cf/table.h"

/** A bipartite graph that every rank holds whole. */
typedef struct cf_test_graph {
    int64_t n_users, n_items, n_pairs;
    int64_t (*pairs)[2]; /* user, item; ascending and distinct */
} cf_test_graph;

/**
 * About `density` of all pairs, drawn with the seed. User 3 k + 1 and item 5 k + 2 have none; the
 * last user and the last item have all others that have any. Free with cf_test_graph_destroy().
 */
cf_test_graph cf_test_graph_random(int64_t n_users, int64_t n_items, double density, uint64_t seed);
/** The pairs of a .npy file (pairs x 2, any order). */
cf_test_graph cf_test_graph_load(const char *path, int64_t n_users, int64_t n_items);
void cf_test_graph_destroy(cf_test_graph *graph);

/** This rank's part of the graph, in blocks of very different size: the first is empty if there are
 * fewer than (grid rows)^2 rows. Free with cf_test_shard_destroy(). */
cf_shard cf_test_graph_cut(const cf_test_graph *graph, const cf_grid *grid);
void cf_test_shard_destroy(cf_shard *shard);
/** The weight of the pair of a user and an item. */
typedef float cf_test_weight(int64_t user, int64_t item);
/** Give weights to a shard's train interactions, from both sides. */
void cf_test_shard_weigh(cf_shard *shard, cf_test_weight *weight);

/**
 * All grids of `par` with at most max_columns columns, one after the other, starting with *k = 0:
 * false after the last. Destroys the one of before. Collective.
 */
bool cf_test_next_grid(const cf_par *par, int64_t max_columns, int *k, cf_grid **grid);
/** The same, and each grid on all pretended nodes: all ranks on one, then nodes of 1, 2, .. ranks.
 */
bool cf_test_next_nodes(const cf_par *par, int64_t max_columns, int *k, cf_grid **grid);

/** Fill a table from n_rows x dim numbers. Local. */
void cf_test_table_set(cf_table *table, const double *values);
/** The whole table, n_rows x dim, on every rank, bit for bit. Collective. Free with free(). */
float *cf_test_table_get(const cf_table *table);
/** Fail unless the numbers behind the last dimension are all zero. Local. */
void cf_test_table_check_padding(const cf_table *table);

/** Fail unless two arrays of floats have the same bits; names the first that differs. */
void cf_test_same_bits(const float *got, const float *want, int64_t count, const char *what);

/** Uniform in [-1, 1), a function of the arguments. */
double cf_test_noise(uint64_t seed, int64_t a, int64_t b);
