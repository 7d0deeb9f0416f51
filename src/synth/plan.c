/* The plan of a made-up dataset: everything that follows from the options alone.
 *
 * The plan holds laws and permutations in closed form, so its size does not depend on the numbers
 * of users and items. Any rank can evaluate any user or item from it, and all ranks agree on the
 * dataset without communication. */
#include "internal.h"

#include <inttypes.h>

/* The purpose is the lower half of the stream: streams of synth never meet those of other modules.
 */
cf_random synth_random(const synth_plan *plan, synth_purpose purpose)
{
    return (cf_random){plan->options.seed, (uint64_t)CF_STREAM_SYNTH << 32 | (uint64_t)purpose};
}

/* Refuse numbers that contradict each other; each alone is in the range of its setting. */
static cf_status check_options(const cf_synth_options *o)
{
    cf_status status = CF_OK;

    /* Divide and round up: the number of pairs may exceed 64 bits. */
    CF_REQUIRE((o->n_interactions - 1) / o->n_users + 1 <= o->n_items, CF_ERR_USAGE,
               "n_interactions: %" PRId64 " is more than there are pairs of %" PRId64
               " users and %" PRId64 " items",
               o->n_interactions, o->n_users, o->n_items);
    CF_REQUIRE(o->n_interactions >= CF_SYNTH_MIN_PER_USER * o->n_users, CF_ERR_USAGE,
               "n_interactions: %" PRId64 " is less than %d for each of %" PRId64 " users",
               o->n_interactions, CF_SYNTH_MIN_PER_USER, o->n_users);
    CF_REQUIRE(o->n_clusters <= o->n_items, CF_ERR_USAGE,
               "n_clusters: %" PRId64 " is more than %" PRId64 " items", o->n_clusters, o->n_items);
    CF_REQUIRE((int64_t)1 << (o->cluster_depth - 1) <= o->n_clusters, CF_ERR_USAGE,
               "cluster_depth: a tree of depth %d has at least %" PRId64
               " clusters; n_clusters is %" PRId64,
               o->cluster_depth, (int64_t)1 << (o->cluster_depth - 1), o->n_clusters);
done:
    return status;
}

/* The most interactions of a user. An eighth of the items keeps the draws of distinct items cheap;
 * twice the mean leaves room for a law where the mean itself is near n_items. */
static int64_t largest_size(const cf_synth_options *o)
{
    const int64_t twice_the_mean = 2 * (o->n_interactions / o->n_users + 1);

    return cf_min(cf_max(twice_the_mean, o->n_items / 8), o->n_items);
}

/* Both sizes of clusters have a law and an order of their own. */
cf_status synth_make_plan(const cf_synth_options *options, synth_plan *out)
{
    const cf_synth_options *o = options;
    synth_plan plan = {.options = *options};
    const cf_random items = synth_random(&plan, SYNTH_ITEM_ORDER);
    cf_status status = check_options(options);

    if (status != CF_OK) return status;
    plan.sizes = synth_make_sizes(o->user_exponent, o->n_users,
                                  o->n_interactions - CF_SYNTH_MIN_PER_USER * o->n_users,
                                  largest_size(o) - CF_SYNTH_MIN_PER_USER);
    cf_permutation_create(&plan.user_order, synth_random(&plan, SYNTH_USER_ORDER), 0, o->n_users);
    for (int k = 0; k < 2; k++) {
        const int64_t n = o->n_items / o->n_clusters + (k == 0);

        plan.popularity[k] = synth_make_law(o->item_exponent, n);
        cf_permutation_create(&plan.item_order[k], items, (uint64_t)k, n);
    }
    *out = plan;
    return CF_OK;
}
