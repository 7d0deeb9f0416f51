/* Metrics over users: means of all, of groups of users, of groups of positives; and each user's.
 *
 * A user's metrics depend on its positives and its `longest` best items. A mean over users is an
 * exact sum (math/exact.c), so that neither the thread nor the rank that has a user changes a bit
 * of it. A group of users has the means over its users. A group of items has the means that there
 * are if the other positives were none: over the users with a positive in the group, whose lists
 * stay as they are. */
#include "measure.h"

#include <omp.h>
#include <string.h>

/* The arrays of a measurement and the counts that they depend on. */
enum { COUNT_SUMS, COUNT_LONGEST, COUNT_USERS, COUNT_VALUES };
static const cf_array measure_arrays[] = {
    CF_ARRAY(eval_measure, sums, COUNT_SUMS, 1),
    CF_ARRAY(eval_measure, discount, COUNT_LONGEST, 1),
    CF_ARRAY_MORE(eval_measure, ideal, COUNT_LONGEST, 1, 1),
    CF_ARRAY(eval_measure, users, COUNT_USERS, 1),
    CF_ARRAY(eval_measure, values, COUNT_VALUES, CF_N_METRICS),
};
enum { N_MEASURE_ARRAYS = sizeof measure_arrays / sizeof *measure_arrays };

static int64_t length_of(const cf_lists *lists, int64_t user)
{
    return lists->start[user + 1] - lists->start[user];
}

/* ---- Begin ---- */

/* Allocate, and choose the users. Local. */
static cf_status create_arrays(eval_measure *m, bool keeps_values)
{
    int64_t with_positive = 0, first, end, seen = 0;
    cf_status status;

    for (int64_t u = 0; u < m->shard->n_users; u++)
        with_positive += length_of(m->positives, u) > 0;
    first = cf_par_even_start(with_positive, m->grid->n_columns, m->grid->my_column);
    end = cf_par_even_start(with_positive, m->grid->n_columns, m->grid->my_column + 1);
    CF_TRY(cf_arrays_create(
        m, measure_arrays, N_MEASURE_ARRAYS,
        (int64_t[]){[COUNT_SUMS] = (int64_t)m->n_threads * m->n_sums,
                    [COUNT_LONGEST] = m->longest,
                    [COUNT_USERS] = end - first,
                    [COUNT_VALUES] = keeps_values ? (end - first) * m->lengths.n_topk : 0}));
    if (!keeps_values) cf_free(&m->values);
    eval_fill_gains(m->longest, m->discount, m->ideal);
    for (int64_t u = 0; u < m->shard->n_users && seen < end; u++)
        if (length_of(m->positives, u) > 0 && seen++ >= first) m->users[m->n_users++] = u;
done:
    return status;
}

cf_status eval_measure_begin(const eval_measure_plan *plan, eval_measure *out)
{
    const cf_shard *shard = plan->shard;
    const bool has_groups = plan->detail != NULL && plan->detail->groups;
    const bool keeps_values = plan->detail != NULL && plan->detail->per_user;
    cf_status status;

    *out = (eval_measure){.grid = plan->grid,
                          .shard = shard,
                          .positives = plan->split == CF_SPLIT_TEST ? &shard->test : &shard->valid,
                          .lengths = eval_empty_metrics(plan->options),
                          .n_threads = omp_get_max_threads(),
                          .has_groups = has_groups,
                          .n_sums = has_groups ? 1 + CF_EVAL_GROUPS : 1};
    for (int t = 0; t < out->lengths.n_topk; t++)
        out->longest = cf_max(out->longest, out->lengths.topk[t]);
    CF_TRY(cf_par_agree(&plan->grid->world, create_arrays(out, keeps_values)));
    if (has_groups)
        CF_TRY(eval_create_groups(plan->grid, shard, out->positives, out->lengths.n_topk,
                                  &out->groups));
done:
    return status;
}

void eval_measure_destroy(eval_measure *m)
{
    eval_destroy_groups(&m->groups);
    cf_arrays_destroy(m, measure_arrays, N_MEASURE_ARRAYS);
}

/* ---- A user ---- */

/* A user's metrics at each length; those of a list without a hit are 0. */
typedef struct user_metrics {
    double value[CF_MAX_TOPK][CF_N_METRICS];
    bool has_hit[CF_MAX_TOPK];
} user_metrics;

static void measure_lengths(const eval_measure *m, const eval_list *list, user_metrics *out)
{
    for (int t = 0; t < m->lengths.n_topk; t++)
        out->has_hit[t] = eval_measure_list(list, m->lengths.topk[t], out->value[t]);
}

/* Add a user to sums. A list without a hit adds 0 to each metric, so nothing. */
static void add_user(const eval_measure *m, eval_sums *sums, int64_t n_positives,
                     const user_metrics *user)
{
    sums->n_users++;
    sums->n_positives += n_positives;
    for (int t = 0; t < m->lengths.n_topk; t++)
        for (int k = 0; k < CF_N_METRICS && user->has_hit[t]; k++)
            cf_exact_add(&sums->metric[k][t], user->value[t][k]);
}

/* Add a user to its group, and to the groups of its positives. `sums`: by group. */
static void add_to_groups(const eval_measure *m, eval_sums *sums, int64_t user,
                          const eval_list *list, const user_metrics *all)
{
    eval_count_items(&m->groups, list->items, &m->lengths);
    add_user(m, &sums[eval_user_group(length_of(&m->shard->train, user))], list->count, all);
    for (int g = 0; g < CF_EVAL_ITEM_GROUPS; g++) {
        eval_list part = *list;
        user_metrics metrics = {0};

        part.count = eval_choose_positives(&m->groups, list, g, &part.positives);
        if (part.count == 0) continue;
        measure_lengths(m, &part, &metrics);
        add_user(m, &sums[CF_EVAL_USER_GROUPS + g], part.count, &metrics);
    }
}

void eval_measure_user(void *context, int64_t k, const int64_t *items, const float *scores)
{
    const eval_measure *m = context;
    const int64_t user = m->users[k], n_topk = m->lengths.n_topk;
    const eval_list list = {.items = items,
                            .positives = m->positives->index + m->positives->start[user],
                            .count = length_of(m->positives, user),
                            .discount = m->discount,
                            .ideal = m->ideal};
    eval_sums *sums = m->sums + (int64_t)omp_get_thread_num() * m->n_sums;
    user_metrics metrics = {0};

    (void)scores;
    measure_lengths(m, &list, &metrics);
    add_user(m, &sums[0], list.count, &metrics);
    if (m->has_groups) add_to_groups(m, sums + 1, user, &list, &metrics);
    for (int64_t v = 0; v < CF_N_METRICS * n_topk && m->values != NULL; v++)
        m->values[k * CF_N_METRICS * n_topk + v] = metrics.value[v % n_topk][v / n_topk];
}

/* ---- End ---- */

/* Merge the sums of all threads and ranks and divide by the users. Collective. */
static void find_means(const eval_measure *m, int set, cf_metrics *out)
{
    const cf_par *world = &m->grid->world;
    eval_sums *all = &m->sums[set];
    int64_t counts[2];

    for (int thread = 1; thread < m->n_threads; thread++) {
        const eval_sums *other = &m->sums[thread * m->n_sums + set];

        all->n_users += other->n_users;
        all->n_positives += other->n_positives;
        for (int k = 0; k < CF_N_METRICS; k++)
            for (int t = 0; t < m->lengths.n_topk; t++)
                cf_exact_merge(&all->metric[k][t], &other->metric[k][t]);
    }
    cf_par_sum_exact(world, &all->metric[0][0], CF_N_METRICS * CF_MAX_TOPK);
    memcpy(counts, (int64_t[]){all->n_users, all->n_positives}, sizeof counts);
    MPI_Allreduce(MPI_IN_PLACE, counts, 2, MPI_INT64_T, MPI_SUM, world->comm);
    *out = m->lengths;
    out->n_users = counts[0];
    out->n_positives = counts[1];
    for (int k = 0; k < CF_N_METRICS; k++)
        for (int t = 0; t < out->n_topk && out->n_users > 0; t++)
            out->mean[k][t] = cf_exact_value(&all->metric[k][t]) / (double)out->n_users;
}

/* Users of whom no model knows anything, of all ranks. Collective. */
static int64_t count_cold(const eval_measure *m)
{
    int64_t n_cold = 0;

    for (int64_t k = 0; k < m->n_users; k++)
        n_cold += !cf_dataset_knows_user(m->shard, m->users[k]);
    MPI_Allreduce(MPI_IN_PLACE, &n_cold, 1, MPI_INT64_T, MPI_SUM, m->grid->world.comm);
    return n_cold;
}

cf_status eval_measure_end(eval_measure *m, cf_eval_detail *detail, cf_metrics *out)
{
    cf_status status = CF_OK;

    if (m->has_groups)
        CF_TRY(eval_measure_catalogue(&m->groups, &m->grid->world, detail->catalogue));
    for (int g = 0; g < CF_EVAL_GROUPS && m->has_groups; g++)
        find_means(m, 1 + g, &detail->group[g]);
    find_means(m, 0, out);
    out->n_cold = count_cold(m);
    if (m->values != NULL) {
        detail->n_users = m->n_users;
        detail->users = m->users;
        detail->values = m->values;
        for (int64_t k = 0; k < m->n_users; k++)
            m->users[k] += m->shard->first_user;
        m->users = NULL;
        m->values = NULL;
    }
done:
    return status;
}
