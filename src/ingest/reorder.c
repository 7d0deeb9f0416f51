/* New numbers for users and items, once interactions are split, so that those that interact are
 * near each other: sums over neighbours then find more rows in the cache, and blocks of the grid
 * need fewer rows of each other.
 *
 *   gather   the train interactions of all users on rank 0
 *   bisect   the leaf of each user and item (bisect.c); its number is its place by (leaf, old
 *            number)
 *   scatter  the new numbers to the owners of the rows; items in lists get theirs
 *   move     ids, marks, titles, places of vectors and lists (move_rows.c), to ranks that have
 *            whole leaves
 *
 * All of it goes by the old numbers, which do not depend on the ranks, so the new ones do not
 * either. */
#include "reorder.h"

#include "split.h"

#include <inttypes.h>

/* A renumbering in progress. */
typedef struct reordering {
    const cf_par *world;
    const ingest_rows *rows;
    ingest_bipartite graph;   /* rank 0 has the arrays; all ranks the counts */
    uint32_t *all_numbers[2]; /* rank 0: the new number of each user, of each item */
    uint32_t *numbers[2];     /* of those of my blocks */
    cf_blocks blocks[2];      /* which rank has which new numbers */
    cf_leaves leaves;
} reordering;

static void free_reordering(reordering *r)
{
    for (int side = 0; side < 2; side++) {
        cf_free(&r->all_numbers[side]);
        cf_free(&r->numbers[side]);
        cf_par_destroy_blocks(&r->blocks[side]);
    }
    cf_free(&r->graph.length);
    cf_free(&r->graph.item);
    cf_dataset_destroy_leaves(&r->leaves);
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

/* Count all rows and train interactions, and refuse what takes more memory than it may. The choice
 * depends on data and settings alone. Collective. */
static cf_status count_graph(const cf_ingest_options *options, reordering *r)
{
    const cf_lists *train = &r->rows->parts[INGEST_TRAIN];
    int64_t before, n_rows, n_edges;
    double gib;
    cf_status status = CF_OK;

    for (int side = 0; side < 2; side++)
        r->graph.n_rows[side] = old_blocks(r, side)->start[r->world->size];
    cf_par_exscan(r->world, train->start[train->count], &before, &n_edges);
    r->graph.n_edges = n_edges;
    n_rows = r->graph.n_rows[INGEST_USERS] + r->graph.n_rows[INGEST_ITEMS];
    gib = ingest_bisect_bytes(n_rows, n_edges) / 0x1p30;
    CF_REQUIRE(gib <= options->reorder_memory, CF_ERR_USAGE,
               "reorder: bisect takes up to %.3g GiB on one rank for %" PRId64
               " users and items and %" PRId64
               " train interactions, and reorder_memory is %g: raise it, or set reorder: none",
               gib, n_rows, n_edges, options->reorder_memory);
    CF_REQUIRE(ingest_can_bisect(n_rows, n_edges), CF_ERR_USAGE,
               "reorder: bisect cannot take %" PRId64 " users and items and %" PRId64
               " train interactions, for METIS counts in 32 bits: set reorder: none",
               n_rows, n_edges);
done:
    return status;
}

/* Send `count` numbers to rank 0; `*out` is new. Collective. */
static cf_status send_to_root(const cf_par *world, const uint32_t *numbers, int64_t count,
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
    CF_TRY(send_to_root(r->world, length, train->count, &r->graph.length));
    CF_TRY(send_to_root(r->world, item, n_edges, &r->graph.item));
done:
    cf_free(&length);
    cf_free(&item);
    return status;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* Number n rows by (leaf, old number): a counting sort. Local. */
static cf_status number_rows(const uint32_t *leaf, int64_t n, int64_t n_leaves, int64_t **start,
                             uint32_t **numbers)
{
    int64_t *next = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(next, n_leaves + 2));
    CF_TRY(CF_ALLOC(*numbers, n));
    for (int64_t row = 0; row < n; row++)
        next[leaf[row] + 2]++;
    for (int64_t k = 1; k <= n_leaves; k++)
        next[k + 1] += next[k];
    for (int64_t row = 0; row < n; row++)
        (*numbers)[row] = (uint32_t)next[leaf[row] + 1]++;
    *start = next; /* what was the next number of leaf k is where leaf k + 1 begins */
    next = NULL;
done:
    cf_free(&next);
    return status;
}

/* Local, on rank 0. The time limit is far above what METIS takes. */
static cf_status number_all(reordering *r)
{
    uint32_t *leaf[2] = {NULL, NULL};
    cf_status status = CF_OK;

    for (int side = 0; side < 2; side++)
        CF_TRY(CF_ALLOC(leaf[side], r->graph.n_rows[side]));
    cf_par_expect(1e-4 * (double)(r->graph.n_edges + r->graph.n_rows[0] + r->graph.n_rows[1]));
    status = ingest_bisect(&r->graph, &r->leaves.count, leaf);
    cf_par_expect(0);
    if (status == CF_OK) status = ingest_count_crossing(&r->graph, leaf, &r->leaves);
    for (int side = 0; side < 2 && status == CF_OK; side++)
        status = number_rows(leaf[side], r->graph.n_rows[side], r->leaves.count,
                             &r->leaves.start[side], &r->all_numbers[side]);
done:
    cf_free(&leaf[0]);
    cf_free(&leaf[1]);
    return status;
}

/* Each owner gets the numbers of its rows from rank 0. Collective. */
static cf_status scatter_numbers(reordering *r, int side)
{
    const cf_par *world = r->world;
    const cf_blocks *blocks = old_blocks(r, side);
    int64_t *sizes = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(sizes, 2 * (int64_t)world->size)));
    for (int p = 0; p < world->size && world->rank == 0; p++)
        sizes[p] = blocks->start[p + 1] - blocks->start[p];
    CF_TRY(cf_par_exchange(world, sizeof **r->numbers, sizes, r->all_numbers[side],
                           sizes + world->size, &r->numbers[side]));
    cf_free(&r->all_numbers[side]);
done:
    cf_free(&sizes);
    return status;
}

/* The leaves on all ranks, and which rank has which of them: as many each. Collective. */
static cf_status share_leaves(reordering *r, int side)
{
    const int64_t count = r->leaves.count;
    cf_status status = CF_OK;

    if (r->world->rank > 0) status = CF_ALLOC(r->leaves.start[side], count + 1);
    if (status == CF_OK) status = cf_par_create_blocks(0, r->world->size, &r->blocks[side]);
    CF_TRY(cf_par_agree(r->world, status));
    cf_par_broadcast(r->world, r->leaves.start[side],
                     (count + 1) * (int64_t)sizeof *r->leaves.start[side], 0);
    for (int p = 0; p <= r->world->size; p++)
        r->blocks[side].start[p] =
            r->leaves.start[side][cf_par_even_start(count, r->world->size, p)];
done:
    return status;
}

/* Collective. */
static cf_status find_numbers(reordering *r)
{
    cf_status status;

    CF_TRY(gather_graph(r));
    CF_TRY(cf_par_agree(r->world, r->world->rank == 0 ? number_all(r) : CF_OK));
    cf_free(&r->graph.length);
    cf_free(&r->graph.item);
    cf_par_broadcast(r->world, &r->leaves.count, sizeof r->leaves.count, 0);
    for (int side = 0; side < 2; side++) {
        CF_TRY(scatter_numbers(r, side));
        CF_TRY(share_leaves(r, side));
    }
done:
    return status;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

/* The items of my users' lists get their new numbers, and ascend by them. Collective. */
static cf_status renumber_lists(const reordering *r)
{
    const ingest_item_index *index = &r->rows->inter->index;
    const int64_t n_items = ids_of(r, INGEST_ITEMS)->count;
    uint64_t *wide = NULL, *fetched = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(r->world, CF_ALLOC(wide, n_items)));
    for (int64_t k = 0; k < n_items; k++)
        wide[k] = r->numbers[INGEST_ITEMS][k];
    CF_TRY(ingest_fetch_item_values(index, wide, &fetched));
    for (int part = 0; part < 3; part++) {
        const cf_lists *lists = &r->rows->parts[part];

        for (int64_t e = 0; e < lists->start[lists->count]; e++)
            lists->index[e] = (int64_t)fetched[ingest_local_item(index, (uint32_t)lists->index[e])];
        for (int64_t u = 0; u < lists->count; u++)
            ingest_sort_list(lists->index + lists->start[u], lists->start[u + 1] - lists->start[u]);
    }
done:
    cf_free(&wide);
    cf_free(&fetched);
    return status;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static cf_status move_strings(ingest_move *move, cf_strings *strings)
{
    const cf_status status = ingest_move_lists(move, 1, &strings->start, &strings->bytes);

    if (status == CF_OK) strings->count = move->n_received;
    return status;
}

/* Ids and lists. Collective. */
static cf_status move_users(const reordering *r, ingest_move *move)
{
    cf_status status;

    CF_TRY(move_strings(move, ids_of(r, INGEST_USERS)));
    for (int part = 0; part < 3; part++) {
        cf_lists *lists = &r->rows->parts[part];

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
                         const ingest_rows *rows, cf_leaves *leaves)
{
    reordering r = {.world = world, .rows = rows};
    cf_status status;

    CF_TRY(count_graph(options, &r));
    CF_TRY(find_numbers(&r));
    CF_TRY(renumber_lists(&r));
    CF_TRY(move_side(&r, INGEST_USERS));
    CF_TRY(move_side(&r, INGEST_ITEMS));
    *leaves = r.leaves;
    r.leaves = (cf_leaves){0};
done:
    free_reordering(&r);
    return status;
}
