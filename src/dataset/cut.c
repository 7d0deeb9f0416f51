/* Where the blocks of a grid begin. The work before row k of a side is ptr[k] + CF_ROW_WORK k.
 *
 * Without leaves each side is cut by itself, where the work before a row reaches an even multiple
 * of total / blocks. With leaves both sides are cut at the same leaves (balance.c), so that a block
 * has the items of its users. Every rank searches its even part of the pointers for all boundaries;
 * the lowest row that any rank found is the boundary.
 */
#include "internal.h"

/* The users, or the items. */
typedef struct side {
    const char *name;
    int64_t n;            /* rows; there are n + 1 pointers */
    int64_t first, count; /* of the pointers, those that this rank has */
    int64_t *ptr;         /* count */
    int64_t *work;        /* leaves + 2: before each leaf, behind the last, and all of it */
    int64_t *target;      /* blocks: the work before each */
} side;

/* Read this rank's part of the pointers. Collective. */
static cf_status read_side(const cf_dataset *dataset, cf_store *store, int n_blocks, side *s)
{
    const cf_par *world = dataset->world;
    const int64_t bounds[2] = {0, dataset->n_train};
    cf_status status;

    s->first = cf_par_even_start(s->n + 1, world->size, world->rank);
    s->count = cf_par_even_start(s->n + 1, world->size, world->rank + 1) - s->first;
    status = CF_ALLOC(s->ptr, s->count);
    if (status == CF_OK) status = CF_ALLOC(s->work, dataset->leaves.count + 2);
    if (status == CF_OK) status = CF_ALLOC(s->target, n_blocks);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(dataset_read_part(store, s->name, CF_I64, s->first, s->count, s->ptr));
    CF_TRY(cf_par_agree(world, dataset_check_offsets(store, s->name, s->ptr, s->count, bounds)));
    CF_TRY(cf_store_verify(store, s->name));
done:
    return status;
}

/* The work before leaves: each pointer is on one rank. Collective. */
static void find_leaf_work(const cf_dataset *dataset, const int64_t *leaf_start, side *s)
{
    const int64_t n = dataset->leaves.count + 2;

    for (int64_t k = 0; k < n; k++) {
        const int64_t row = k < n - 1 ? leaf_start[k] : s->n;

        s->work[k] = row >= s->first && row < s->first + s->count
                         ? s->ptr[row - s->first] + CF_ROW_WORK * row
                         : 0;
    }
    MPI_Allreduce(MPI_IN_PLACE, s->work, cf_par_count(n), MPI_INT64_T, MPI_SUM,
                  dataset->world->comm);
}

/* Collective. */
static void find_boundaries(const cf_par *world, const side *s, cf_blocks *blocks)
{
    for (int b = 1; b < blocks->count; b++) {
        const int64_t k = cf_dataset_find_work(s->ptr, s->first, s->count, s->target[b]);

        blocks->start[b] = k < s->count ? s->first + k : s->n;
    }
    blocks->start[0] = 0;
    blocks->start[blocks->count] = s->n;
    MPI_Allreduce(MPI_IN_PLACE, blocks->start, cf_par_count(blocks->count + 1), MPI_INT64_T,
                  MPI_MIN, world->comm);
}

cf_status dataset_cut_blocks(const cf_dataset *dataset, cf_store *store, cf_blocks *users,
                             cf_blocks *items)
{
    side sides[2] = {{.name = "/train/user_ptr", .n = dataset->n_users},
                     {.name = "/train/item_ptr", .n = dataset->n_items}};
    cf_status status;

    for (int k = 0; k < 2; k++) {
        CF_TRY(read_side(dataset, store, users->count, &sides[k]));
        if (dataset->leaves.count == 0)
            cf_dataset_even_targets(dataset->n_train, sides[k].n, users->count, sides[k].target);
        else
            find_leaf_work(dataset, dataset->leaves.start[k], &sides[k]);
    }
    if (dataset->leaves.count > 0)
        cf_dataset_find_targets((int64_t *[2]){sides[0].work, sides[1].work},
                                dataset->leaves.count + 1, users->count,
                                (int64_t *[2]){sides[0].target, sides[1].target});
    find_boundaries(dataset->world, &sides[0], users);
    find_boundaries(dataset->world, &sides[1], items);
done:
    for (int k = 0; k < 2; k++) {
        cf_free(&sides[k].ptr);
        cf_free(&sides[k].work);
        cf_free(&sides[k].target);
    }
    return status;
}
