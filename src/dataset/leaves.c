/* Where the leaves of a dataset that was numbered anew begin: two arrays, of users and of items,
 * which are small and whole on every rank; and how many rows cross between parts of them. A file
 * without them is in the order of ids. */
#include "internal.h"

#include <inttypes.h>

static const char *const names[2] = {"/users/leaf_start", "/items/leaf_start"};
static const char crossing_name[] = "/leaf_crossing";

void cf_dataset_destroy_leaves(cf_leaves *leaves)
{
    cf_free(&leaves->start[0]);
    cf_free(&leaves->start[1]);
    cf_free(&leaves->crossing);
    leaves->count = leaves->n_crossing = 0;
}

/* Rank 0 has them. Collective. */
static cf_status write_crossing(const cf_par *world, cf_store *store, const cf_leaves *leaves)
{
    int64_t count = leaves->n_crossing;
    cf_status status = CF_OK;

    cf_par_broadcast(world, &count, sizeof count, 0);
    if (count > 0) {
        const cf_slab slab = {0, world->rank == 0 ? count : 0, 0, 1, 1};

        CF_TRY(cf_store_add(store, crossing_name, CF_I64, (int64_t[2]){count, 1}, "rows"));
        CF_TRY(cf_store_write(store, crossing_name, &slab, leaves->crossing));
    }
done:
    return status;
}

cf_status dataset_write_leaves(const cf_par *world, cf_store *store, const cf_leaves *leaves)
{
    int64_t count = leaves->count;
    cf_status status = CF_OK;

    cf_par_broadcast(world, &count, sizeof count, 0);
    for (int side = 0; side < 2 && count > 0; side++) {
        const cf_slab slab = {0, world->rank == 0 ? count + 1 : 0, 0, 1, 1};

        CF_TRY(cf_store_add(store, names[side], CF_I64, (int64_t[2]){count + 1, 1}, "offsets"));
        CF_TRY(cf_store_write(store, names[side], &slab, leaves->start[side]));
    }
    if (count > 0) CF_TRY(cf_store_write_text(store, "reorder", "bisect"));
    CF_TRY(write_crossing(world, store, leaves));
done:
    return status;
}

/* The starts must ascend from 0 to the users, or the items, of the base. Local. */
static cf_status check_starts(const cf_dataset *dataset, int side, int64_t n)
{
    const int64_t *start = dataset->leaves.start[side], count = dataset->leaves.count;
    cf_status status;

    CF_TRY(
        dataset_check_offsets(dataset->store, names[side], start, count + 1, (int64_t[2]){0, n}));
    CF_REQUIRE(start[0] == 0 && start[count] == n, CF_ERR_FORMAT,
               "%s: %s is damaged: expected offsets from 0 to %" PRId64, cf_dataset_path(dataset),
               names[side], n);
done:
    return status;
}

/* Files of before they were counted have none. Collective. */
static cf_status read_crossing(cf_dataset *dataset)
{
    cf_leaves *leaves = &dataset->leaves;
    bool has;
    cf_status status;

    CF_TRY(cf_store_has(dataset->store, crossing_name, &has));
    if (has)
        CF_TRY(cf_store_read_whole(dataset->store, crossing_name, CF_I64, &leaves->n_crossing,
                                   &leaves->crossing));
    for (int64_t k = 0; k < leaves->n_crossing; k++)
        CF_REQUIRE(leaves->crossing[k] >= 0 && leaves->count >> k >= 2, CF_ERR_FORMAT,
                   "%s: %s is damaged: number %" PRId64 " is %" PRId64
                   ", expected counts of rows, for parts of whole leaves",
                   cf_dataset_path(dataset), crossing_name, k, leaves->crossing[k]);
done:
    return status;
}

cf_status dataset_read_leaves(cf_dataset *dataset)
{
    const int64_t n[2] = {dataset->base.n_users, dataset->base.n_items};
    cf_leaves *leaves = &dataset->leaves;
    int64_t count[2] = {0, 0};
    bool has[2];
    cf_status status;

    for (int side = 0; side < 2; side++) {
        CF_TRY(cf_store_has(dataset->store, names[side], &has[side]));
        if (has[side])
            CF_TRY(cf_store_read_whole(dataset->store, names[side], CF_I64, &count[side],
                                       &leaves->start[side]));
    }
    CF_REQUIRE(count[0] == count[1] && (!has[0] || count[0] >= 2), CF_ERR_FORMAT,
               "%s: %s has %" PRId64 " numbers and %s %" PRId64 ", expected as many, 2 or more",
               cf_dataset_path(dataset), names[0], count[0], names[1], count[1]);
    leaves->count = has[0] ? count[0] - 1 : 0;
    for (int side = 0; side < 2 && has[side]; side++)
        CF_TRY(check_starts(dataset, side, n[side]));
    CF_TRY(read_crossing(dataset));
done:
    return status;
}
