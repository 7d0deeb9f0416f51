/*
 * Rows that the nodes of a machine need of each other in a sum over the graph of a dataset:
 *
 *     crossings DATA.h5 NODES RANKS_A_NODE
 *
 * cuts users and items as the program does for a grid of NODES x RANKS_A_NODE blocks, and prints
 * one JSON object. `per_rank`: rows that the ranks receive if each receives what it needs of other
 * nodes; `once`: if a node receives each row once, as the program does. `cover`: if a node may also
 * send partial sums in place of rows. An edge between user u of node a and item i of node b lets b
 * send either i, or the sum of u over its items; so what b sends to a for users is a set of
 * vertices that covers the edges between users of a and items of b. The least has as many as their
 * largest matching has edges (Koenig), and serves for what a sends to b for items too.
 *
 * All pairs of nodes are matched in one graph. Its left vertices are (user, node of items), its
 * right ones (item, node of users): runs of the lists, which ascend as the nodes do.
 */
#include "matching.h"

#include "dataset/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A dataset on one rank, and its blocks. */
typedef struct problem {
    int n_nodes, ranks_a_node;
    cf_dataset *dataset;
    cf_shard *shard;
    cf_blocks ranks[2], nodes[2]; /* of users, of items */
} problem;

typedef struct figures {
    int64_t edges, per_rank, once, once_worst, cover, cover_worst; /* worst: of one node */
} figures;

/* ---- Blocks ---- */

static cf_status read_problem(const cf_par *world, const char *path, problem *p)
{
    const int n_blocks = p->n_nodes * p->ranks_a_node;
    cf_grid *grid = NULL;
    cf_store *store = NULL;
    int64_t n[2];
    cf_status status;

    CF_TRY(cf_par_create_grid(world, 1, 1, &grid));
    CF_TRY(cf_dataset_open(world, path, &p->dataset));
    n[0] = p->dataset->n_users;
    n[1] = p->dataset->n_items;
    CF_REQUIRE(n_blocks <= n[0] && n_blocks <= n[1], CF_ERR_USAGE,
               "%s: %" PRId64 " users and %" PRId64 " items cannot be cut into %d blocks", path,
               n[0], n[1], n_blocks);
    CF_REQUIRE(p->dataset->n_train <= INT32_MAX, CF_ERR_USAGE,
               "%s: %" PRId64 " train interactions, expected at most %d", path, p->dataset->n_train,
               INT32_MAX);
    CF_TRY(cf_dataset_load_shard(p->dataset, grid, &p->shard));
    for (int side = 0; side < 2; side++) {
        CF_TRY(cf_par_create_blocks(n[side], n_blocks, &p->ranks[side]));
        CF_TRY(cf_par_create_blocks(n[side], p->n_nodes, &p->nodes[side]));
    }
    CF_TRY(cf_store_open(world, path, "dataset", &store));
    CF_TRY(dataset_cut_blocks(p->dataset, store, &p->ranks[0], &p->ranks[1]));
    for (int side = 0; side < 2; side++)
        for (int node = 0; node < p->n_nodes; node++)
            p->nodes[side].start[node] = p->ranks[side].start[node * p->ranks_a_node];
done:
    cf_store_close(&store);
    cf_par_destroy_grid(&grid);
    return status;
}

static void destroy_problem(problem *p)
{
    for (int side = 0; side < 2; side++) {
        cf_par_destroy_blocks(&p->ranks[side]);
        cf_par_destroy_blocks(&p->nodes[side]);
    }
    cf_dataset_destroy_shard(&p->shard);
    cf_dataset_close(&p->dataset);
}

static const cf_lists *lists_of(const problem *p, int side)
{
    return side == 0 ? &p->shard->train : &p->shard->train_by_item;
}

/* ---- Rows ---- */

/* Add to received[node] the rows of `side` that `others`, blocks of the other side, need: those of
 * other nodes, once a block. Every node has `per_node` of these blocks. */
static void count_rows(const problem *p, int side, const cf_blocks *others, int per_node,
                       int64_t *received)
{
    const cf_lists *lists = lists_of(p, side);

    for (int64_t row = 0; row < lists->count; row++) {
        const int own = cf_par_block_of(&p->nodes[side], row);
        int last = -1;

        for (int64_t e = lists->start[row]; e < lists->start[row + 1]; e++) {
            if (last >= 0 && lists->index[e] < others->start[last + 1]) continue;
            last = cf_par_block_of(others, lists->index[e]);
            if (last / per_node != own) received[last / per_node]++;
        }
    }
}

/* The sum over all nodes, and the most of one. */
static int64_t sum_up(const int64_t *received, int n_nodes, int64_t *worst)
{
    int64_t sum = 0;

    *worst = 0;
    for (int node = 0; node < n_nodes; node++) {
        sum += received[node];
        if (received[node] > *worst) *worst = received[node];
    }
    return sum;
}

static cf_status count_halo(const problem *p, figures *found)
{
    int64_t *received[2] = {NULL, NULL}, ignored;
    cf_status status;

    CF_TRY(CF_ALLOC(received[0], p->n_nodes));
    CF_TRY(CF_ALLOC(received[1], p->n_nodes));
    for (int side = 0; side < 2; side++) {
        count_rows(p, side, &p->ranks[1 - side], p->ranks_a_node, received[0]);
        count_rows(p, side, &p->nodes[1 - side], 1, received[1]);
    }
    found->per_rank = sum_up(received[0], p->n_nodes, &ignored);
    found->once = sum_up(received[1], p->n_nodes, &found->once_worst);
done:
    cf_free(&received[0]);
    cf_free(&received[1]);
    return status;
}

/* ---- The cover ---- */

typedef struct cover {
    matching_graph graph;
    int32_t *first, *last, *right; /* of the graph; right has all train interactions */
    int *nodes;                    /* 2 x n_left: of the user, of the items */
} cover;

/* The right vertex of each interaction, which is known by its place in the user's list; -1: it is
 * within a node. Items ascend, so each user's interactions come in the order of his list. */
static cf_status find_right(const problem *p, cover *c)
{
    const cf_lists *by_item = lists_of(p, 1);
    int64_t *next = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(next, p->dataset->n_users));
    for (int64_t user = 0; user < p->dataset->n_users; user++)
        next[user] = lists_of(p, 0)->start[user];
    for (int64_t item = 0; item < by_item->count; item++) {
        const int own = cf_par_block_of(&p->nodes[1], item);
        int last = -1;

        for (int64_t e = by_item->start[item]; e < by_item->start[item + 1]; e++) {
            const int64_t user = by_item->index[e];
            const int node = cf_par_block_of(&p->nodes[0], user);

            if (node != own && node != last) c->graph.n_right++;
            c->right[next[user]++] = node == own ? -1 : c->graph.n_right - 1;
            last = node;
        }
    }
done:
    cf_free(&next);
    return status;
}

/* The left vertices, and the number of edges. */
static int64_t find_left(const problem *p, cover *c)
{
    const cf_lists *by_user = lists_of(p, 0);
    int64_t edges = 0;

    for (int64_t user = 0; user < by_user->count; user++) {
        const int own = cf_par_block_of(&p->nodes[0], user);
        int last = own;

        for (int64_t e = by_user->start[user]; e < by_user->start[user + 1]; e++) {
            const int node = cf_par_block_of(&p->nodes[1], by_user->index[e]);

            if (node != own && node != last) {
                c->nodes[2 * c->graph.n_left] = own;
                c->nodes[2 * c->graph.n_left + 1] = node;
                c->first[c->graph.n_left++] = (int32_t)e;
            }
            if (node != own) {
                c->last[c->graph.n_left - 1] = (int32_t)(e + 1);
                edges++;
            }
            last = node;
        }
    }
    return edges;
}

/* A pair of nodes with a matching of n edges sends n rows or sums in each direction. */
static cf_status count_cover(const problem *p, figures *found)
{
    const int64_t n_train = p->dataset->n_train;
    cover c = {0};
    int32_t *mate = NULL;
    int64_t *received = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(c.right, n_train));
    CF_TRY(CF_ALLOC(c.first, found->once));
    CF_TRY(CF_ALLOC(c.last, found->once));
    CF_TRY(CF_ALLOC(c.nodes, 2 * found->once));
    CF_TRY(CF_ALLOC(mate, found->once));
    CF_TRY(CF_ALLOC(received, p->n_nodes));
    CF_TRY(find_right(p, &c));
    found->edges = find_left(p, &c);
    CF_ASSERT(c.graph.n_left + c.graph.n_right == found->once);
    c.graph.first = c.first;
    c.graph.last = c.last;
    c.graph.right = c.right;
    CF_TRY(matching_find(&c.graph, mate));
    for (int32_t l = 0; l < c.graph.n_left; l++)
        for (int side = 0; side < 2 && mate[l] >= 0; side++)
            received[c.nodes[2 * l + side]]++;
    found->cover = sum_up(received, p->n_nodes, &found->cover_worst);
done:
    cf_free(&c.right);
    cf_free(&c.first);
    cf_free(&c.last);
    cf_free(&c.nodes);
    cf_free(&mate);
    cf_free(&received);
    return status;
}

/* ---- The command ---- */

static cf_status run(const cf_par *world, char **argv)
{
    problem p = {.n_nodes = atoi(argv[2]), .ranks_a_node = atoi(argv[3])};
    figures found = {0};
    cf_status status;

    CF_REQUIRE(p.n_nodes > 0 && p.n_nodes <= 65536 && p.ranks_a_node > 0 && p.ranks_a_node <= 1024,
               CF_ERR_USAGE, "%s nodes of %s ranks: expected 1 to 65536 of 1 to 1024", argv[2],
               argv[3]);
    CF_TRY(read_problem(world, argv[1], &p));
    CF_TRY(count_halo(&p, &found));
    CF_TRY(count_cover(&p, &found));
    printf("{\"rows\": %" PRId64 ", \"train\": %" PRId64 ", \"edges\": %" PRId64
           ", \"per_rank\": %" PRId64 ", \"once\": %" PRId64 ", \"once_worst\": %" PRId64
           ", \"cover\": %" PRId64 ", \"cover_worst\": %" PRId64 "}\n",
           p.dataset->n_users + p.dataset->n_items, p.dataset->n_train, found.edges, found.per_rank,
           found.once, found.once_worst, found.cover, found.cover_worst);
done:
    destroy_problem(&p);
    return status;
}

int main(int argc, char **argv)
{
    cf_status status = CF_ERR_USAGE;
    cf_par world;

    cf_par_init(&argc, &argv, &world);
    if (argc == 4 && world.size == 1)
        status = run(&world, argv);
    else
        CF_FAIL(status, "usage: crossings DATA.h5 NODES RANKS_A_NODE, on one rank");
    if (status != CF_OK) fprintf(stderr, "llminit: error: %s\n", cf_error_message());
    cf_par_finalize();
    return (int)status;
}
