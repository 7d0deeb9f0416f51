/* New numbers for users and items, once interactions are split, so that those that interact are
 * near each other: sums over neighbours then find more rows in the cache, and blocks of the grid
 * need fewer rows of each other.
 *
 *   bisect   the leaf of each user and item: on rank 0, which gathers the train interactions of all
 *            users (bisect.c), or by all ranks, where one has not the memory for it (multilevel.c)
 *   scatter  the leaves to the owners of the rows
 *   number   the new number is the place by (leaf, old number); items in lists get theirs
 *   move     ids, marks, titles, places of vectors and lists (move_rows.c), to ranks that have
 *            whole leaves
 *
 * All of it goes by the old numbers, which do not depend on the ranks, so the new ones do not
 * either. */
#include "multilevel.h"
#include "split.h"

#include <inttypes.h>

/* A renumbering in progress. */
typedef struct reordering {
    const cf_par *world;
    const ingest_rows *rows;
    ingest_bipartite graph;     /* rank 0 may have the arrays; all ranks the counts */
    ingest_spread_leaves found; /* where they were found */
    uint32_t *leaf[2];          /* of the users, of the items of my blocks */
    uint32_t *numbers[2];       /* the new ones of these */
    cf_blocks blocks[2];        /* which rank has which new numbers */
    cf_leaves leaves;
} reordering;

static void free_reordering(reordering *r)
{
    for (int side = 0; side < 2; side++) {
        cf_free(&r->leaf[side]);
        cf_free(&r->numbers[side]);
        cf_par_destroy_blocks(&r->blocks[side]);
    }
    cf_free(&r->graph.length);
    cf_free(&r->graph.item);
    ingest_destroy_spread_leaves(&r->found);
    cf_dataset_destroy_leaves(&r->leaves);
}

void ingest_destroy_spread_leaves(ingest_spread_leaves *leaves)
{
    cf_par_destroy_blocks(&leaves->blocks);
    cf_free(&leaves->leaf);
    *leaves = (ingest_spread_leaves){0};
}

static const cf_blocks *old_blocks(const reordering *r, int side)
{
    return side == INGEST_USERS ? &r->rows->inter->users.blocks : &r->rows->inter->items.blocks;
}

static cf_strings *ids_of(const reordering *r, int side)
{
    return side == INGEST_USERS ? &r->rows->inter->users.ids : &r->rows->inter->items.ids;
}

/* ---- Gather ---------------------------------------------------------------------------------- */

/* Count all rows and train interactions; METIS must be able to. Collective. */
static cf_status count_graph(reordering *r)
{
    const cf_lists *train = &r->rows->parts[INGEST_TRAIN];
    int64_t before, n_rows;
    cf_status status = CF_OK;

    for (int side = 0; side < 2; side++)
        r->graph.n_rows[side] = old_blocks(r, side)->start[r->world->size];
    cf_par_exscan(r->world, train->start[train->count], &before, &r->graph.n_edges);
    n_rows = r->graph.n_rows[INGEST_USERS] + r->graph.n_rows[INGEST_ITEMS];
    CF_REQUIRE(ingest_can_bisect(n_rows, r->graph.n_edges), CF_ERR_USAGE,
               "reorder: bisect cannot take %" PRId64 " users and items and %" PRId64
               " train interactions, for METIS counts in 32 bits: set reorder: none",
               n_rows, r->graph.n_edges);
done:
    return status;
}

cf_status ingest_send_to_root(const cf_par *world, const uint32_t *numbers, int64_t count,
                              uint32_t **out)
{
    int64_t *sizes = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(sizes, 2 * (int64_t)world->size)));
    sizes[0] = count;
    CF_TRY(cf_par_exchange(world, sizeof *numbers, sizes, numbers, sizes + world->size, out));
done:
    cf_free(&sizes);
    return status;
}

/* Collective. */
static cf_status gather_graph(reordering *r)
{
    const cf_lists *train = &r->rows->parts[INGEST_TRAIN];
    const int64_t n_edges = train->start[train->count];
    uint32_t *length = NULL, *item = NULL;
    cf_status status = CF_ALLOC(length, train->count);

    if (status == CF_OK) status = CF_ALLOC(item, n_edges);
    CF_TRY(cf_par_agree(r->world, status));
    for (int64_t u = 0; u < train->count; u++)
        length[u] = (uint32_t)(train->start[u + 1] - train->start[u]);
    for (int64_t e = 0; e < n_edges; e++)
        item[e] = (uint32_t)train->index[e];
    CF_TRY(ingest_send_to_root(r->world, length, train->count, &r->graph.length));
    CF_TRY(ingest_send_to_root(r->world, item, n_edges, &r->graph.item));
done:
    cf_free(&length);
    cf_free(&item);
    return status;
}

/* ---- Leaves ---------------------------------------------------------------------------------- */

/* Of all rows. Local, on rank 0. */
static cf_status bisect(reordering *r)
{
    const int64_t n_users = r->graph.n_rows[INGEST_USERS], n_items = r->graph.n_rows[INGEST_ITEMS];
    const cf_status status = CF_ALLOC(r->found.leaf, n_users + n_items);

    if (status != CF_OK) return status;
    return ingest_bisect(&r->graph, &r->found.n_leaves,
                         (uint32_t *[2]){r->found.leaf, r->found.leaf + n_users});
}

/* Rank 0 finds all leaves, and all are in its block. Collective. */
static cf_status bisect_on_root(reordering *r)
{
    const int64_t n_rows = r->graph.n_rows[INGEST_USERS] + r->graph.n_rows[INGEST_ITEMS];
    cf_status status;

    CF_TRY(gather_graph(r));
    status = cf_par_create_blocks(0, r->world->size, &r->found.blocks);
    if (status == CF_OK && r->world->rank == 0) status = bisect(r);
    CF_TRY(cf_par_agree(r->world, status));
    for (int p = 1; p <= r->world->size; p++)
        r->found.blocks.start[p] = n_rows;
    r->found.n_parts = 1;
    cf_par_broadcast(r->world, &r->found.n_leaves, sizeof r->found.n_leaves, 0);
done:
    cf_free(&r->graph.length);
    cf_free(&r->graph.item);
    return status;
}

/* The way depends on data and settings alone. Collective. */
static cf_status find_leaves(const cf_ingest_options *options, reordering *r)
{
    const ingest_bipartite *graph = &r->graph;
    const int64_t n_rows = graph->n_rows[INGEST_USERS] + graph->n_rows[INGEST_ITEMS];

    if (ingest_bisect_bytes(n_rows, graph->n_edges) <= options->reorder_memory * 0x1p30)
        return bisect_on_root(r);
    return ingest_bisect_spread(r->world, &r->rows->parts[INGEST_TRAIN], graph->n_rows,
                                options->reorder_memory, &r->found);
}

/* Each owner gets the leaves of its rows from the ranks that have them. Collective. */
static cf_status scatter_leaves(reordering *r, int side)
{
    const cf_par *world = r->world;
    const cf_blocks *blocks = old_blocks(r, side);
    const int64_t offset = side == INGEST_USERS ? 0 : r->graph.n_rows[INGEST_USERS];
    const int64_t begin = r->found.blocks.start[world->rank] - offset;
    const int64_t end = r->found.blocks.start[world->rank + 1] - offset;
    const uint32_t *mine = r->found.leaf;
    int64_t *sizes = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(sizes, 2 * (int64_t)world->size)));
    for (int p = 0; p < world->size; p++)
        sizes[p] = cf_max(0, cf_min(end, blocks->start[p + 1]) - cf_max(begin, blocks->start[p]));
    if (mine != NULL && begin < 0) mine += cf_min(-begin, end - begin);
    CF_TRY(cf_par_exchange(world, sizeof *mine, sizes, mine, sizes + world->size, &r->leaf[side]));
done:
    cf_free(&sizes);
    return status;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* Number the rows of a side by (leaf, old number): a counting sort over the ranks. Collective. */
static cf_status number_rows(reordering *r, int side)
{
    const int64_t n = ids_of(r, side)->count, n_leaves = r->leaves.count;
    int64_t *count = NULL, *next = NULL, *start;
    cf_status status = CF_ALLOC(count, n_leaves);

    if (status == CF_OK) status = CF_ALLOC(next, n_leaves);
    if (status == CF_OK) status = CF_ALLOC(r->leaves.start[side], n_leaves + 1);
    if (status == CF_OK) status = CF_ALLOC(r->numbers[side], n);
    CF_TRY(cf_par_agree(r->world, status));
    start = r->leaves.start[side];
    for (int64_t row = 0; row < n; row++)
        count[r->leaf[side][row]]++;
    MPI_Exscan(count, next, cf_par_count(n_leaves), MPI_INT64_T, MPI_SUM, r->world->comm);
    MPI_Allreduce(count, start + 1, cf_par_count(n_leaves), MPI_INT64_T, MPI_SUM, r->world->comm);
    for (int64_t k = 0; k < n_leaves; k++) {
        next[k] = start[k] + (r->world->rank > 0 ? next[k] : 0);
        start[k + 1] += start[k];
    }
    for (int64_t row = 0; row < n; row++)
        r->numbers[side][row] = (uint32_t)next[r->leaf[side][row]]++;
done:
    cf_free(&count);
    cf_free(&next);
    return status;
}

/* Which rank has which leaves: as many each. Collective. */
static cf_status share_leaves(reordering *r, int side)
{
    const int64_t count = r->leaves.count;
    cf_status status = cf_par_create_blocks(0, r->world->size, &r->blocks[side]);

    CF_TRY(cf_par_agree(r->world, status));
    for (int p = 0; p <= r->world->size; p++)
        r->blocks[side].start[p] =
            r->leaves.start[side][cf_par_even_start(count, r->world->size, p)];
done:
    return status;
}

/* Collective. */
static cf_status find_numbers(const cf_ingest_options *options, reordering *r)
{
    cf_status status;

    CF_TRY(find_leaves(options, r));
    r->leaves.count = r->found.n_leaves;
    for (int side = 0; side < 2; side++) {
        CF_TRY(scatter_leaves(r, side));
        CF_TRY(number_rows(r, side));
        CF_TRY(share_leaves(r, side));
    }
    CF_TRY(ingest_count_crossing(&r->rows->inter->index, &r->rows->parts[INGEST_TRAIN], r->leaf,
                                 ids_of(r, INGEST_ITEMS)->count, &r->leaves));
done:
    return status;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

/* Each list ascends. `scratch`: as many as the longest list has, if there are weights. */
static void sort_lists(const cf_lists *lists, ingest_weighted *scratch)
{
    for (int64_t u = 0; u < lists->count; u++) {
        const int64_t first = lists->start[u], count = lists->start[u + 1] - first;

        if (lists->weight != NULL)
            ingest_sort_weighted(lists->index + first, lists->weight + first, count, scratch);
        else
            ingest_sort_list(lists->index + first, count);
    }
}

/* Entries of the longest train list. */
static int64_t longest_list(const reordering *r)
{
    const cf_lists *train = &r->rows->parts[INGEST_TRAIN];
    int64_t most = 0;

    for (int64_t u = 0; u < train->count; u++)
        most = cf_max(most, train->start[u + 1] - train->start[u]);
    return most;
}

/* The items of my users' lists get their new numbers, and ascend by them. Collective. */
static cf_status renumber_lists(const reordering *r)
{
    const ingest_item_index *index = &r->rows->inter->index;
    uint32_t *fetched = NULL;
    ingest_weighted *scratch = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(r->world, CF_ALLOC(scratch, longest_list(r))));
    CF_TRY(ingest_fetch_item_numbers(index, r->numbers[INGEST_ITEMS], &fetched));
    for (int part = 0; part < 3; part++) {
        const cf_lists *lists = &r->rows->parts[part];

        for (int64_t e = 0; e < lists->start[lists->count]; e++)
            lists->index[e] = fetched[ingest_local_item(index, (uint32_t)lists->index[e])];
        sort_lists(lists, scratch);
    }
done:
    cf_free(&fetched);
    cf_free(&scratch);
    return status;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static cf_status move_strings(ingest_move *move, cf_strings *strings)
{
    const cf_status status = ingest_move_lists(move, 1, &strings->start, &strings->bytes);

    if (status == CF_OK) strings->count = move->n_received;
    return status;
}

/* The weights of train lists, whose starts are not changed. Collective. */
static cf_status move_weights(const reordering *r, ingest_move *move, cf_lists *lists)
{
    const size_t bytes = ((size_t)lists->count + 1) * sizeof *lists->start;
    int64_t *start = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(r->world, CF_ALLOC(start, lists->count + 1)));
    memcpy(start, lists->start, bytes);
    CF_TRY(ingest_move_lists(move, sizeof *lists->weight, &start, &lists->weight));
done:
    cf_free(&start);
    return status;
}

/* Ids and lists. Collective. */
static cf_status move_users(const reordering *r, ingest_move *move)
{
    cf_status status;

    CF_TRY(move_strings(move, ids_of(r, INGEST_USERS)));
    for (int part = 0; part < 3; part++) {
        cf_lists *lists = &r->rows->parts[part];

        if (part == INGEST_TRAIN && r->rows->inter->has_weights)
            CF_TRY(move_weights(r, move, lists));
        CF_TRY(ingest_move_lists(move, sizeof *lists->index, &lists->start, &lists->index));
        lists->count = move->n_received;
    }
done:
    return status;
}

/* Ids, marks, titles, and where vectors are. Collective. */
static cf_status move_items(const reordering *r, ingest_move *move)
{
    ingest_vectors *vectors = r->rows->vectors;
    uint8_t **cold = &r->rows->inter->cold;
    cf_status status;

    CF_TRY(move_strings(move, ids_of(r, INGEST_ITEMS)));
    if (*cold != NULL) CF_TRY(ingest_move_array(move, sizeof **cold, cold));
    if (r->rows->titles != NULL) CF_TRY(move_strings(move, r->rows->titles));
    if (vectors == NULL) goto done;
    CF_TRY(ingest_move_array(move, sizeof *vectors->row, &vectors->row));
    if (vectors->span != NULL)
        CF_TRY(ingest_move_array(move, sizeof *vectors->span, &vectors->span));
    vectors->n_missing = 0;
    for (int64_t k = 0; k < move->n_received; k++)
        vectors->n_missing += vectors->row[k] < 0;
done:
    return status;
}

/* The rows of one side, and then the blocks say who has them. Collective. */
static cf_status move_side(reordering *r, int side)
{
    ingest_move move = {0};
    cf_status status;

    CF_TRY(ingest_create_move(r->world, r->numbers[side], ids_of(r, side)->count, &r->blocks[side],
                              &move));
    CF_TRY(side == INGEST_USERS ? move_users(r, &move) : move_items(r, &move));
done:
    ingest_destroy_move(&move);
    return status;
}

cf_status ingest_reorder(const cf_par *world, const cf_ingest_options *options,
                         const ingest_rows *rows, cf_leaves *leaves, int64_t *n_parts)
{
    reordering r = {.world = world, .rows = rows};
    cf_status status;

    CF_TRY(count_graph(&r));
    CF_TRY(find_numbers(options, &r));
    CF_TRY(renumber_lists(&r));
    CF_TRY(move_side(&r, INGEST_USERS));
    CF_TRY(move_side(&r, INGEST_ITEMS));
    *leaves = r.leaves;
    *n_parts = r.found.n_parts;
    r.leaves = (cf_leaves){0};
done:
    free_reordering(&r);
    return status;
}
