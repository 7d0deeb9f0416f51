/* The plan of the settings, and the interactions of users. */
#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const cf_setting cf_synth_settings[] = {
    {.name = "n_users",
     .kind = CF_SETTING_INT,
     .initial = "10000",
     .min = 1,
     .max = 4294967294.0,
     .help = "users"},
    {.name = "n_items",
     .kind = CF_SETTING_INT,
     .initial = "5000",
     .min = CF_SYNTH_LEAST,
     .max = 4294967294.0,
     .help = "items"},
    {.name = "n_interactions",
     .kind = CF_SETTING_INT,
     .initial = "200000",
     .min = 1,
     .max = 9007199254740992.0,
     .help = "distinct pairs of user and item: at least 3 a user"},
    {.name = "user_exponent",
     .kind = CF_SETTING_REAL,
     .initial = "2.5",
     .min = 1.7,
     .max = 1000,
     .help = "users with n interactions are as many as n^-user_exponent, for large n"},
    {.name = "item_exponent",
     .kind = CF_SETTING_REAL,
     .initial = "2",
     .min = 1.7,
     .max = 1000,
     .help = "the same of items"},
    {.name = "n_clusters",
     .kind = CF_SETTING_INT,
     .initial = "50",
     .min = 1,
     .max = 65536,
     .help = "clusters of items; each user has the taste of one"},
    {.name = "cluster_share",
     .kind = CF_SETTING_REAL,
     .initial = "0.8",
     .min = 0,
     .max = 1,
     .help =
         "share of a user's interactions that are drawn from the own cluster, the others from all"},
    {.name = "embedding_dim",
     .kind = CF_SETTING_INT,
     .initial = "64",
     .min = 0,
     .max = 65536,
     .help = "numbers of an item's vector (0: no vectors)"},
    {.name = "embedding_type",
     .kind = CF_SETTING_CHOICE,
     .initial = "float16",
     .choices = "float16|float32",
     .help = "type of the vectors"},
    {.name = "embedding_noise",
     .kind = CF_SETTING_REAL,
     .initial = "1",
     .min = 0,
     .max = 1000,
     .help = "standard deviation of vectors within a cluster, over that of the clusters"},
    {.name = "titles",
     .kind = CF_SETTING_BOOL,
     .initial = "false",
     .help = "titles of items, with their clusters"},
    {.name = "seed",
     .kind = CF_SETTING_INT,
     .initial = "2020",
     .min = 0,
     .max = 9007199254740992.0,
     .help = "of everything random"},
    {0}};

cf_random synth_random(const synth_plan *plan, synth_purpose purpose)
{
    return (cf_random){plan->seed, (uint64_t)CF_STREAM_SYNTH << 32 | (uint64_t)purpose};
}

static cf_status check_numbers(const synth_plan *plan)
{
    /* rounded up: the number of pairs may be more than 64 bits hold */
    if ((plan->n_interactions - 1) / plan->n_users + 1 > plan->n_items)
        return CF_FAIL(CF_ERR_USAGE,
                       "n_interactions: %" PRId64 " is more than there are pairs of %" PRId64
                       " users and %" PRId64 " items",
                       plan->n_interactions, plan->n_users, plan->n_items);
    if (plan->n_interactions < CF_SYNTH_LEAST * plan->n_users)
        return CF_FAIL(CF_ERR_USAGE,
                       "n_interactions: %" PRId64 " is less than %d for each of %" PRId64 " users",
                       plan->n_interactions, CF_SYNTH_LEAST, plan->n_users);
    if (plan->n_clusters > plan->n_items)
        return CF_FAIL(CF_ERR_USAGE, "n_clusters: %" PRId64 " is more than %" PRId64 " items",
                       plan->n_clusters, plan->n_items);
    return CF_OK;
}

cf_status synth_make_plan(const cf_config *config, synth_plan *out)
{
    synth_plan plan = {.n_users = cf_config_int(config, "n_users"),
                       .n_items = cf_config_int(config, "n_items"),
                       .n_interactions = cf_config_int(config, "n_interactions"),
                       .n_clusters = cf_config_int(config, "n_clusters"),
                       .dim = cf_config_int(config, "embedding_dim"),
                       .cluster_share = cf_config_real(config, "cluster_share"),
                       .noise = cf_config_real(config, "embedding_noise"),
                       .type = cf_config_is(config, "embedding_type", "float16") ? CF_F16 : CF_F32,
                       .titles = cf_config_bool(config, "titles"),
                       .seed = (uint64_t)cf_config_int(config, "seed")};
    const cf_random items = synth_random(&plan, SYNTH_ITEM_ORDER);
    int64_t most;
    cf_status status = check_numbers(&plan);

    if (status != CF_OK) return status;
    most = 2 * (plan.n_interactions / plan.n_users + 1);
    if (most < plan.n_items / 8) most = plan.n_items / 8;
    if (most > plan.n_items) most = plan.n_items;
    plan.sizes = synth_make_sizes(cf_config_real(config, "user_exponent"), plan.n_users,
                                  plan.n_interactions - CF_SYNTH_LEAST * plan.n_users,
                                  most - CF_SYNTH_LEAST);
    cf_permutation_create(&plan.user_order, synth_random(&plan, SYNTH_USER_ORDER), 0, plan.n_users);
    for (int k = 0; k < 2; k++) {
        const int64_t n = plan.n_items / plan.n_clusters + (k == 0);

        plan.popularity[k] = synth_make_law(cf_config_real(config, "item_exponent"), n);
        cf_permutation_create(&plan.item_order[k], items, (uint64_t)k, n);
    }
    *out = plan;
    return CF_OK;
}

/* ---- A user's items -------------------------------------------------------------------------- */

/* Each cluster begins its order of popularity elsewhere, or the most popular items of all clusters
 * would lie side by side. */
static int64_t draw_item(const synth_plan *plan, int64_t cluster, double u)
{
    const int size = cluster < plan->n_items % plan->n_clusters ? 0 : 1;
    const synth_law *law = &plan->popularity[size];
    const int64_t shift =
        cf_random_below(synth_random(plan, SYNTH_ITEM_ORDER), (uint64_t)cluster, 0, 1, law->n);
    const int64_t place =
        cf_permutation_at(&plan->item_order[size], synth_draw_rank(law, u)) + shift;

    return place % law->n * plan->n_clusters + cluster;
}

/* Numbers that were drawn: open addressing, at most half full; -1: free. */
typedef struct drawn {
    int64_t *slots, capacity, n_slots;
} drawn;

/* Make room for `count` numbers, and forget all. */
static cf_status clear(drawn *set, int64_t count)
{
    cf_status status;

    set->n_slots = 8;
    while (set->n_slots < 2 * count)
        set->n_slots *= 2;
    status = CF_GROW(set->slots, set->capacity, set->n_slots);
    if (status == CF_OK) memset(set->slots, -1, (size_t)set->n_slots * sizeof *set->slots);
    return status;
}

/* False if the number is there already. */
static bool add(drawn *set, int64_t number)
{
    const uint64_t mask = (uint64_t)set->n_slots - 1;
    uint64_t at = (uint64_t)number * 0x9e3779b97f4a7c15u >> 32 & mask; /* 2^64 / golden ratio */

    for (; set->slots[at] >= 0; at = (at + 1) & mask)
        if (set->slots[at] == number) return false;
    set->slots[at] = number;
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

enum { TRIES = 16 }; /* for an item that the user does not have yet */

/* Draw `count` distinct items of a user into `out`, ascending. */
static cf_status draw_items(const synth_plan *plan, int64_t user, drawn *set, int64_t count,
                            int64_t *out)
{
    const cf_random random = synth_random(plan, SYNTH_ITEM);
    const uint64_t u = (uint64_t)user;
    const int64_t own =
        cf_random_below(synth_random(plan, SYNTH_USER_CLUSTER), u, 0, 0, plan->n_clusters);
    cf_status status = clear(set, count);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < count; k++) {
        int64_t item = 0;
        bool fresh = false;

        for (uint64_t t = 0; t < TRIES && !fresh; t++) {
            const bool at_home =
                cf_random_uniform(random, u, (uint64_t)k, 3 * t) < plan->cluster_share;
            const int64_t cluster =
                at_home ? own
                        : cf_random_below(random, u, (uint64_t)k, 3 * t + 1, plan->n_clusters);

            item = draw_item(plan, cluster, cf_random_uniform(random, u, (uint64_t)k, 3 * t + 2));
            fresh = add(set, item);
        }
        while (!fresh) {
            item = item + 1 < plan->n_items ? item + 1 : 0;
            fresh = add(set, item);
        }
        out[k] = item;
    }
    qsort(out, (size_t)count, sizeof *out, compare_numbers);
    return CF_OK;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static int64_t count_items(const synth_plan *plan, int64_t user)
{
    const int64_t size = synth_size(&plan->sizes, cf_permutation_at(&plan->user_order, user));

    CF_ASSERT(size >= 0);
    return CF_SYNTH_LEAST + size;
}

/* Room for all lists; `*most`: the most items of a user. */
static cf_status make_room(const synth_plan *plan, int64_t first, cf_lists *const parts[3],
                           int64_t *most)
{
    cf_status status = CF_OK;

    *most = 0;
    for (int k = 0; k < 3; k++)
        CF_TRY(CF_ALLOC(parts[k]->start, parts[k]->count + 1));
    for (int64_t u = 0; u < parts[0]->count; u++) {
        const int64_t n = count_items(plan, first + u);

        if (n > *most) *most = n;
        parts[0]->start[u + 1] = parts[0]->start[u] + n - 2;
        parts[1]->start[u + 1] = parts[2]->start[u + 1] = u + 1;
    }
    for (int k = 0; k < 3; k++)
        CF_TRY(CF_ALLOC(parts[k]->index, parts[k]->start[parts[k]->count]));
done:
    return status;
}

/* Deal out a user's items: one to test, one to valid, drawn, and the others to train. */
static void split(const synth_plan *plan, int64_t user, const int64_t *items, int64_t count,
                  int64_t *const out[3])
{
    const cf_random random = synth_random(plan, SYNTH_SPLIT);
    const int64_t test = cf_random_below(random, (uint64_t)user, 0, 0, count);
    int64_t valid = cf_random_below(random, (uint64_t)user, 1, 0, count - 1), n = 0;

    valid += valid >= test;
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
    drawn set = {0};
    int64_t *items = NULL, most;
    cf_progress progress;
    cf_status status;

    cf_progress_begin(&progress, "interactions", "users", train->count);
    CF_TRY(make_room(plan, first, parts, &most));
    CF_TRY(CF_ALLOC(items, most));
    for (int64_t u = 0; u < train->count; u++) {
        const int64_t count = train->start[u + 1] - train->start[u] + 2;

        CF_TRY(draw_items(plan, first + u, &set, count, items));
        split(plan, first + u, items, count,
              (int64_t *[3]){train->index + train->start[u], valid->index + u, test->index + u});
        if (u % 1024 == 0) cf_progress_update(&progress, u, NULL);
    }
done:
    cf_progress_end(&progress);
    cf_free(&set.slots);
    cf_free(&items);
    return status;
}
