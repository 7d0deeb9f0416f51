/* The interactions of users: for each user, distinct items by popularity and cluster.
 *
 * A user's number of items comes from the plan. Each item is drawn in two steps: a cluster, then a
 * position in the cluster's Zipf law. The cluster is the user's own with probability cluster_share.
 * Else the draw climbs from it: at each level of a binary tree it stays with that probability, at
 * the root in any case, and takes a uniform cluster below. Every random number is a function of
 * (seed, purpose, user, draw, attempt), so any rank draws the same lists. Output: train, valid and
 * test lists of the rank's users, items ascending.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- A user's items -------------------------------------------------------------------------- */

/* An item of the cluster by its law, from a uniform `u`. Each cluster rotates its order of
 * popularity by another shift; otherwise the most popular items of all clusters would have adjacent
 * numbers. */
static int64_t draw_item(const synth_plan *plan, int64_t cluster, double u)
{
    const int64_t n_clusters = plan->options.n_clusters;
    const int size = cluster < plan->options.n_items % n_clusters ? 0 : 1;
    const synth_law *law = &plan->popularity[size];
    const int64_t shift =
        cf_random_below(synth_random(plan, SYNTH_ITEM_ORDER), (uint64_t)cluster, 0, 1, law->n);
    const int64_t index =
        cf_permutation_at(&plan->item_order[size], synth_draw_position(law, u)) + shift;

    return index % law->n * n_clusters + cluster;
}

/* How many levels a draw climbs, from a uniform `u`: l with probability share (1 - share)^l, and
 * cluster_depth with what is left. */
static int draw_level(const cf_synth_options *o, double u)
{
    double leaves = 1 - o->cluster_share, below = o->cluster_share;
    int level = 0;

    for (; level < o->cluster_depth && u >= below; level++) {
        below += leaves * o->cluster_share;
        leaves *= 1 - o->cluster_share;
    }
    return level;
}

/* The clusters below the node that is `level` levels, at least one, above a cluster: `count` from
 * `first` on. The nodes of a level divide all clusters evenly; the root is at cluster_depth. */
static void find_subtree(const cf_synth_options *o, int64_t cluster, int level, int64_t *first,
                         int64_t *count)
{
    const int64_t n_nodes = (int64_t)1 << (o->cluster_depth - level);
    const int64_t node = ((cluster + 1) * n_nodes - 1) / o->n_clusters;

    *first = node * o->n_clusters / n_nodes;
    *count = (node + 1) * o->n_clusters / n_nodes - *first;
}

/* The cluster of draw k of a user, by the numbers `at` (level) and at + 1 (cluster) of its counter.
 */
static int64_t draw_cluster(const synth_plan *plan, uint64_t user, int64_t own, uint64_t k,
                            uint64_t at)
{
    const cf_random random = synth_random(plan, SYNTH_ITEM);
    const int level = draw_level(&plan->options, cf_random_uniform(random, user, k, at));
    int64_t first, count;

    if (level == 0) return own;
    find_subtree(&plan->options, own, level, &first, &count);
    return first + cf_random_below(random, user, k, at + 1, count);
}

/* The items drawn so far: a hash set with open addressing, at most half full; -1: a free slot. */
typedef struct item_set {
    int64_t *slots, capacity, n_slots;
} item_set;

/* Empty the set and make room for `count` items. */
static cf_status clear_item_set(item_set *set, int64_t count)
{
    cf_status status;

    set->n_slots = 8;
    while (set->n_slots < 2 * count)
        set->n_slots *= 2;
    status = CF_GROW(set->slots, set->capacity, set->n_slots);
    if (status == CF_OK) memset(set->slots, -1, (size_t)set->n_slots * sizeof *set->slots);
    return status;
}

/* Insert an item; false if the set already has it. Fibonacci hashing with linear probing. */
static bool insert_item(item_set *set, int64_t item)
{
    const uint64_t mask = (uint64_t)set->n_slots - 1;
    uint64_t at = (uint64_t)item * 0x9e3779b97f4a7c15u >> 32 & mask; /* 2^64 / golden ratio */

    for (; set->slots[at] >= 0; at = (at + 1) & mask)
        if (set->slots[at] == item) return false;
    set->slots[at] = item;
    return true;
}

static int compare_items(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

enum { MAX_ATTEMPTS = 16 }; /* at an item that the user does not have yet */

/* Draw `count` distinct items of a user into `out`, ascending. A user who has nearly all popular
 * items would draw for a long time: after MAX_ATTEMPTS the next free number is taken. */
static cf_status draw_user_items(const synth_plan *plan, int64_t user, item_set *set, int64_t count,
                                 int64_t *out)
{
    const cf_synth_options *o = &plan->options;
    const cf_random random = synth_random(plan, SYNTH_ITEM);
    const uint64_t u = (uint64_t)user;
    const int64_t own =
        cf_random_below(synth_random(plan, SYNTH_USER_CLUSTER), u, 0, 0, o->n_clusters);
    cf_status status = clear_item_set(set, count);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < count; k++) {
        int64_t item = 0;
        bool is_new = false;

        /* Three numbers of the counter an attempt: which level, which cluster, which item. */
        for (uint64_t t = 0; t < MAX_ATTEMPTS && !is_new; t++) {
            const int64_t cluster = draw_cluster(plan, u, own, (uint64_t)k, 3 * t);

            item = draw_item(plan, cluster, cf_random_uniform(random, u, (uint64_t)k, 3 * t + 2));
            is_new = insert_item(set, item);
        }
        while (!is_new) {
            item = item + 1 < o->n_items ? item + 1 : 0;
            is_new = insert_item(set, item);
        }
        out[k] = item;
    }
    qsort(out, (size_t)count, sizeof *out, compare_items);
    return CF_OK;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

/* The number of items of a user: the size at the user's position in the law, beyond the minimum. */
static int64_t count_user_items(const synth_plan *plan, int64_t user)
{
    const int64_t size = synth_size(&plan->sizes, cf_permutation_at(&plan->user_order, user));

    CF_ASSERT(size >= 0);
    return CF_SYNTH_MIN_PER_USER + size;
}

/* Allocate the lists of users from `first` on, and fill their starts: one item a user in valid and
 * in test, the others in train. `*most`: the most items of a user. */
static cf_status allocate_lists(const synth_plan *plan, int64_t first, cf_lists *const parts[3],
                                int64_t *most)
{
    cf_status status = CF_OK;

    *most = 0;
    for (int k = 0; k < 3; k++)
        CF_TRY(CF_ALLOC(parts[k]->start, parts[k]->count + 1));
    for (int64_t u = 0; u < parts[0]->count; u++) {
        const int64_t n = count_user_items(plan, first + u);

        *most = cf_max(*most, n);
        parts[0]->start[u + 1] = parts[0]->start[u] + n - 2;
        parts[1]->start[u + 1] = parts[2]->start[u + 1] = u + 1;
    }
    for (int k = 0; k < 3; k++)
        CF_TRY(CF_ALLOC(parts[k]->index, parts[k]->start[parts[k]->count]));
done:
    return status;
}

/* Distribute a user's items: one random item to test (out[2]), another one to valid (out[1]), the
 * others to train (out[0]). */
static void split_user_items(const synth_plan *plan, int64_t user, const int64_t *items,
                             int64_t count, int64_t *const out[3])
{
    const cf_random random = synth_random(plan, SYNTH_SPLIT);
    const int64_t test = cf_random_below(random, (uint64_t)user, 0, 0, count);
    int64_t valid = cf_random_below(random, (uint64_t)user, 1, 0, count - 1), n = 0;

    valid += valid >= test; /* uniform over the items other than the test item */
    for (int64_t k = 0; k < count; k++)
        if (k == test)
            *out[2] = items[k];
        else if (k == valid)
            *out[1] = items[k];
        else
            out[0][n++] = items[k];
}

cf_status synth_draw_lists(const synth_plan *plan, int64_t first, cf_lists *train, cf_lists *valid,
                           cf_lists *test)
{
    cf_lists *const parts[3] = {train, valid, test};
    item_set set = {0};
    int64_t *items = NULL, most;
    cf_progress progress;
    cf_status status;

    cf_progress_begin(&progress, "interactions", "users", train->count);
    CF_TRY(allocate_lists(plan, first, parts, &most));
    CF_TRY(CF_ALLOC(items, most));
    for (int64_t u = 0; u < train->count; u++) {
        const int64_t count = train->start[u + 1] - train->start[u] + 2;

        CF_TRY(draw_user_items(plan, first + u, &set, count, items));
        split_user_items(
            plan, first + u, items, count,
            (int64_t *[3]){train->index + train->start[u], valid->index + u, test->index + u});
        if (u % 1024 == 0) cf_progress_update(&progress, u, NULL);
    }
done:
    cf_progress_end(&progress);
    cf_free(&set.slots);
    cf_free(&items);
    return status;
}
