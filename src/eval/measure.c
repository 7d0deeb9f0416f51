/* Metrics over users: means of each table, of groups of users, of groups of positives; and each
 * user's.
 *
 * A user's metrics depend on its positives and its `longest` best items. A mean over users is an
 * exact sum (math/exact.c), so that neither the thread nor the rank that has a user changes a bit
 * of it. A group of users has the means over its users. A group of items has the means that there
 * are if the other positives were none: over the users with a positive in the group, whose lists
 * stay as they are. So has the table of warm or of cold items, from lists of these items alone. */
#include "measure.h"

#include <omp.h>
#include <string.h>

/* The arrays of a measurement and the counts that they depend on. */
enum { COUNT_SUMS, COUNT_THREADS, COUNT_CHOSEN, COUNT_LONGEST, COUNT_USERS, COUNT_VALUES };
static const cf_array measure_arrays[] = {
    CF_ARRAY(eval_measure, sums, COUNT_SUMS, 1),
    CF_ARRAY(eval_measure, targets, COUNT_THREADS, 1),
    CF_ARRAY(eval_measure, chosen, COUNT_CHOSEN, 1),
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

    for (int64_t u = 0; u < m->shard->n_users; u++) {
        with_positive += length_of(m->positives, u) > 0;
        m->most_positives = cf_max(m->most_positives, length_of(m->positives, u));
    }
    first = cf_par_even_start(with_positive, m->grid->n_columns, m->grid->my_column);
    end = cf_par_even_start(with_positive, m->grid->n_columns, m->grid->my_column + 1);
    CF_TRY(cf_arrays_create(
        m, measure_arrays, N_MEASURE_ARRAYS,
        (int64_t[]){[COUNT_SUMS] = (int64_t)m->n_threads * m->n_sums,
                    [COUNT_THREADS] = m->n_threads,
                    [COUNT_CHOSEN] = m->n_threads * m->most_positives,
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
                          .split = plan->split,
                          .tables = shard->cold != NULL ? plan->tables : 1U << CF_ALL,
                          .positives = plan->split == CF_SPLIT_TEST ? &shard->test : &shard->valid,
                          .lengths = eval_empty_metrics(plan->options),
                          .n_threads = omp_get_max_threads(),
                          .has_groups = has_groups,
                          .n_sums = CF_N_CANDIDATES + (has_groups ? CF_EVAL_GROUPS : 0)};
    for (int t = 0; t < out->lengths.n_topk; t++)
        out->longest = cf_max(out->longest, out->lengths.topk[t]);
    CF_TRY(cf_par_agree(&plan->grid->world, create_arrays(out, keeps_values)));
    if (has_groups)
        CF_TRY(eval_create_groups(plan->grid, shard, out->lengths.n_topk, &out->groups));
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
static void add_user(const eval_measure *m, eval_sums *sums, int64_t user, int64_t n_positives,
                     const user_metrics *metrics)
{
    sums->n_users++;
    sums->n_cold += !cf_dataset_knows_user(m->shard, user);
    sums->n_positives += n_positives;
    for (int t = 0; t < m->lengths.n_topk; t++)
        for (int k = 0; k < CF_N_METRICS && metrics->has_hit[t]; k++)
            cf_exact_add(&sums->metric[k][t], metrics->value[t][k]);
}

/* Where the calling thread chooses positives. */
static int64_t *room_to_choose(const eval_measure *m)
{
    return m->chosen + omp_get_thread_num() * m->most_positives;
}

/* The same of the first `count` positives that were chosen; nothing if there are none. */
static void add_chosen(const eval_measure *m, eval_sums *sums, int64_t user, int64_t count,
                       const eval_list *list)
{
    eval_list part = *list;
    user_metrics metrics = {0};

    if (count == 0) return;
    part.positives = room_to_choose(m);
    part.count = count;
    measure_lengths(m, &part, &metrics);
    add_user(m, sums, user, count, &metrics);
}

/* Add a user to its group, and to the groups of its positives. `sums`: by group. */
static void add_to_groups(const eval_measure *m, eval_sums *sums, int64_t user,
                          const eval_list *list, const user_metrics *all)
{
    eval_count_items(&m->groups, list->items, &m->lengths);
    add_user(m, &sums[eval_user_group(length_of(&m->shard->train, user))], user, list->count, all);
    for (int g = 0; g < CF_EVAL_ITEM_GROUPS; g++)
        add_chosen(m, &sums[CF_EVAL_USER_GROUPS + g], user,
                   eval_choose_positives(&m->groups, list, g, room_to_choose(m)), list);
}

/* Add the positives of a user, and those in its list, as warm or cold ones. */
static void add_targets(const eval_measure *m, const eval_list *list)
{
    eval_targets *targets = &m->targets[omp_get_thread_num()];
    const uint8_t *cold = m->shard->cold;

    for (int64_t k = 0; k < list->count; k++)
        targets->count[cold[list->positives[k]] != 0 ? CF_COLD : CF_WARM]++;
    for (int64_t k = 0; k < m->longest && list->items[k] >= 0; k++) {
        if (!cf_contains_i64(list->positives, list->count, list->items[k])) continue;
        for (int t = 0; t < m->lengths.n_topk; t++)
            targets->hits[cold[list->items[k]] != 0 ? CF_COLD : CF_WARM][t] +=
                k < m->lengths.topk[t];
    }
}

/* The table of warm or of cold items: a user with a positive among them, of whom for cold items a
 * model knows something. */
static void add_to_class(const eval_measure *m, cf_candidates which, int64_t user,
                         const eval_list *list)
{
    eval_sums *sums = m->sums + (int64_t)omp_get_thread_num() * m->n_sums;
    int64_t *chosen = room_to_choose(m), count = 0;

    for (int64_t k = 0; k < list->count; k++)
        if (eval_is_candidate(which, m->split, m->shard->cold[list->positives[k]]))
            chosen[count++] = list->positives[k];
    if (which == CF_COLD && count > 0 && !cf_dataset_knows_user(m->shard, user))
        m->targets[omp_get_thread_num()].n_left_out++;
    else
        add_chosen(m, &sums[which], user, count, list);
}

/* The table of all candidates, and what is told beside it. */
static void add_to_all(const eval_measure *m, int64_t k, const eval_list *list)
{
    eval_sums *sums = m->sums + (int64_t)omp_get_thread_num() * m->n_sums;
    const int64_t user = m->users[k], n_topk = m->lengths.n_topk;
    user_metrics metrics = {0};

    measure_lengths(m, list, &metrics);
    add_user(m, &sums[CF_ALL], user, list->count, &metrics);
    if (m->has_groups) add_to_groups(m, sums + CF_N_CANDIDATES, user, list, &metrics);
    if (m->shard->cold != NULL) add_targets(m, list);
    for (int64_t v = 0; v < CF_N_METRICS * n_topk && m->values != NULL; v++)
        m->values[k * CF_N_METRICS * n_topk + v] = metrics.value[v % n_topk][v / n_topk];
}

static bool is_measured(const eval_measure *m, int which)
{
    return m->tables >> which & 1;
}

void eval_measure_user(void *context, int64_t k, const int64_t *items, const float *scores)
{
    const eval_measure *m = context;
    const int64_t user = m->users[k];
    eval_list list = {.items = items,
                      .positives = m->positives->index + m->positives->start[user],
                      .count = length_of(m->positives, user),
                      .discount = m->discount,
                      .ideal = m->ideal};

    (void)scores;
    for (int which = 0; which < CF_N_CANDIDATES; which++) {
        if (!is_measured(m, which)) continue;
        if (which == CF_ALL)
            add_to_all(m, k, &list);
        else
            add_to_class(m, (cf_candidates)which, user, &list);
        list.items += m->longest;
    }
}

/* ---- End ---- */

/* Merge the sums of all threads and ranks and divide by the users. Collective. */
static void find_means(const eval_measure *m, int set, cf_metrics *out)
{
    const cf_par *world = &m->grid->world;
    eval_sums *all = &m->sums[set];
    int64_t counts[3];

    for (int thread = 1; thread < m->n_threads; thread++) {
        const eval_sums *other = &m->sums[thread * m->n_sums + set];

        all->n_users += other->n_users;
        all->n_cold += other->n_cold;
        all->n_positives += other->n_positives;
        for (int k = 0; k < CF_N_METRICS; k++)
            for (int t = 0; t < m->lengths.n_topk; t++)
                cf_exact_merge(&all->metric[k][t], &other->metric[k][t]);
    }
    cf_par_sum_exact(world, &all->metric[0][0], CF_N_METRICS * CF_MAX_TOPK);
    memcpy(counts, (int64_t[]){all->n_users, all->n_cold, all->n_positives}, sizeof counts);
    MPI_Allreduce(MPI_IN_PLACE, counts, 3, MPI_INT64_T, MPI_SUM, world->comm);
    *out = m->lengths;
    out->n_users = counts[0];
    out->n_cold = counts[1];
    out->n_positives = counts[2];
    for (int k = 0; k < CF_N_METRICS; k++)
        for (int t = 0; t < out->n_topk && out->n_users > 0; t++)
            out->mean[k][t] = cf_exact_value(&all->metric[k][t]) / (double)out->n_users;
}

/* What shares there are of warm and of cold targets. Collective. */
static void find_shares(const eval_measure *m, cf_cold_metrics *out)
{
    enum { N = sizeof(eval_targets) / sizeof(int64_t) };
    int64_t *all = (int64_t *)m->targets; /* n_threads x N */

    for (int64_t k = N; k < N * m->n_threads; k++)
        all[k % N] += all[k];
    MPI_Allreduce(MPI_IN_PLACE, all, N, MPI_INT64_T, MPI_SUM, m->grid->world.comm);
    out->is_marked = true;
    out->n_left_out = m->targets->n_left_out;
    for (int c = CF_WARM; c <= CF_COLD; c++) {
        const int64_t count = m->targets->count[c];

        out->n_targets[c] = count;
        for (int t = 0; t < m->lengths.n_topk && count > 0; t++)
            out->hit[c][t] = (double)m->targets->hits[c][t] / (double)count;
    }
}

cf_status eval_measure_end(eval_measure *m, cf_eval_detail *detail, cf_cold_metrics *out)
{
    cf_status status = CF_OK;

    if (m->has_groups)
        CF_TRY(eval_measure_catalogue(&m->groups, &m->grid->world, detail->catalogue));
    for (int g = 0; g < CF_EVAL_GROUPS && m->has_groups; g++)
        find_means(m, CF_N_CANDIDATES + g, &detail->group[g]);
    *out = (cf_cold_metrics){0};
    for (int which = 0; which < CF_N_CANDIDATES; which++) {
        out->has[which] = is_measured(m, which);
        if (out->has[which]) find_means(m, which, &out->table[which]);
    }
    if (m->shard->cold != NULL && out->has[CF_ALL]) find_shares(m, out);
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
