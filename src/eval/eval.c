/* The settings, and the two consumers of a ranking: metrics and recommendations.
 *
 * A user's metrics depend on its positives and its `longest` best items, which eval_rank() finds. A
 * mean over users is an exact sum (math/exact.c), so that neither the thread nor the rank that
 * ranked a user changes a bit of it. The definitions are RecBole's (Zhao et al. 2021); NDCG is by
 * Jarvelin and Kekalainen (2002). tests/eval compares with golden numbers and with a plain loop
 * that sorts all items of each user. */
#include "cf/eval.h"

#include "ranking.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const cf_setting cf_eval_settings[] = {
    {.name = "topk",
     .kind = CF_SETTING_INT_LIST,
     .initial = "[10, 20]",
     .min = 1,
     .max = 1000,
     .help = "lengths of the ranked lists of the metrics"},
    {.name = "valid_metric",
     .kind = CF_SETTING_TEXT,
     .initial = "MRR@10",
     .help = "metric of the valid part that selects the best epoch: "
             "recall, ndcg, mrr, hit, precision or map, @k with a k of topk"},
    {.name = "mask_history",
     .kind = CF_SETTING_BOOL,
     .initial = "true",
     .help = "do not rank items that the user has in train (for test: in valid too)"},
    {.name = "eval_memory",
     .kind = CF_SETTING_INT,
     .initial = "256",
     .min = 1,
     .max = 1048576,
     .help = "memory of a rank for ranking, in MiB",
     .machine = true},
    {.name = NULL},
};

const char *const cf_eval_metric_names[CF_N_METRICS] = {
    [CF_RECALL] = "recall", [CF_NDCG] = "ndcg",           [CF_MRR] = "mrr",
    [CF_HIT] = "hit",       [CF_PRECISION] = "precision", [CF_MAP] = "map",
};

cf_status cf_eval_read_options(const cf_config *config, cf_eval_options *out)
{
    int count = 0;
    const int64_t *topk = cf_config_ints(config, "topk", &count);

    if (count < 1 || count > CF_MAX_TOPK)
        return CF_FAIL(CF_ERR_USAGE, "topk: %d numbers, expected 1 to %d", count, CF_MAX_TOPK);
    *out = (cf_eval_options){.n_topk = count,
                             .valid_metric = cf_config_text(config, "valid_metric"),
                             .mask_history = cf_config_bool(config, "mask_history"),
                             .memory = cf_config_int(config, "eval_memory") << 20};
    memcpy(out->topk, topk, (size_t)count * sizeof *topk);
    return CF_OK;
}

/* Metrics of no user yet at the lengths of the options. */
static cf_metrics empty_metrics(const cf_eval_options *options)
{
    cf_metrics metrics = {.n_topk = options->n_topk};

    memcpy(metrics.topk, options->topk, (size_t)options->n_topk * sizeof *options->topk);
    return metrics;
}

cf_status cf_eval_check_metric(const cf_eval_options *options)
{
    const cf_metrics metrics = empty_metrics(options);
    double value;

    if (cf_eval_metric(&metrics, options->valid_metric, &value) == CF_OK) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE, "valid_metric: %s", cf_error_message());
}

/* ---- Metrics ---- */

/* Sums of the metrics of the users that a thread has ranked. */
typedef struct metric_sums {
    cf_exact metric[CF_N_METRICS][CF_MAX_TOPK];
} metric_sums;

/* An evaluation in progress. */
typedef struct evaluation {
    const cf_lists *positives; /* of the block's users */
    const cf_lists *train;     /* of the block's users */
    const cf_metrics *out;     /* its topk */
    int64_t longest;           /* largest topk */
    int64_t n_users;           /* this rank's part of the users with a positive */
    int64_t *users;            /* n_users: local numbers */
    double *discount;          /* longest: 1 / log2(rank + 1), rank from 1 */
    double *ideal;             /* longest + 1: sums of the first discounts */
    metric_sums *sums;         /* n_threads */
    int n_threads;
} evaluation;

/* The arrays of an evaluation and the counts that they depend on. */
enum { COUNT_THREADS, COUNT_LONGEST, COUNT_USERS };
static const cf_array evaluation_arrays[] = {
    CF_ARRAY(evaluation, sums, COUNT_THREADS, 1),
    CF_ARRAY(evaluation, discount, COUNT_LONGEST, 1),
    CF_ARRAY_MORE(evaluation, ideal, COUNT_LONGEST, 1, 1),
    CF_ARRAY(evaluation, users, COUNT_USERS, 1),
};
enum { N_EVALUATION_ARRAYS = sizeof evaluation_arrays / sizeof *evaluation_arrays };

/*
 * Add the metrics of one user at each length k. DCG is the sum of 1 / log2(rank + 1) over the hits;
 * NDCG divides it by that of min(|positives|, k) hits at the top. MRR is 1 / rank of the first hit,
 * 0 without a hit. MAP is the sum of the precisions at the ranks of the hits, divided by
 * min(|positives|, k). A user without a hit adds 0 to each metric, so nothing.
 */
static void add_user_metrics(void *context, int64_t user, const int64_t *items, const float *scores)
{
    const evaluation *e = context;
    const cf_lists *lists = e->positives;
    const int64_t *positives = lists->index + lists->start[e->users[user]];
    int64_t count = lists->start[e->users[user] + 1] - lists->start[e->users[user]];
    metric_sums *sums = &e->sums[omp_get_thread_num()];

    (void)scores;
    for (int t = 0; t < e->out->n_topk; t++) {
        int64_t topk = e->out->topk[t], hits = 0, first_hit = 0;
        double gain = 0, precisions = 0;

        for (int64_t k = 0; k < topk && items[k] >= 0; k++) {
            if (!cf_contains_i64(positives, count, items[k])) continue;
            if (hits++ == 0) first_hit = k + 1;
            gain += e->discount[k];
            precisions += (double)hits / (double)(k + 1);
        }
        if (hits == 0) continue;
        cf_exact_add(&sums->metric[CF_RECALL][t], (double)hits / (double)count);
        cf_exact_add(&sums->metric[CF_NDCG][t], gain / e->ideal[cf_min(count, topk)]);
        cf_exact_add(&sums->metric[CF_MRR][t], 1.0 / (double)first_hit);
        cf_exact_add(&sums->metric[CF_HIT][t], 1.0);
        cf_exact_add(&sums->metric[CF_PRECISION][t], (double)hits / (double)topk);
        cf_exact_add(&sums->metric[CF_MAP][t], precisions / (double)cf_min(count, topk));
    }
}

static bool has_any(const cf_lists *lists, int64_t user)
{
    return lists->start[user + 1] > lists->start[user];
}

/* Allocate, compute the discounts and choose the users of this rank: those of the block with a
 * positive are divided evenly among the ranks of the grid row, in order of number. Local. */
static cf_status evaluation_create(evaluation *e, const cf_grid *grid, int64_t n_block)
{
    int64_t with_positive = 0, first, end, seen = 0;
    cf_status status = CF_OK;

    e->n_threads = omp_get_max_threads();
    for (int t = 0; t < e->out->n_topk; t++)
        e->longest = cf_max(e->longest, e->out->topk[t]);
    for (int64_t u = 0; u < n_block; u++)
        with_positive += has_any(e->positives, u);
    first = cf_par_even_start(with_positive, grid->n_columns, grid->my_column);
    end = cf_par_even_start(with_positive, grid->n_columns, grid->my_column + 1);
    CF_TRY(cf_arrays_create(e, evaluation_arrays, N_EVALUATION_ARRAYS,
                            (int64_t[]){[COUNT_THREADS] = e->n_threads,
                                        [COUNT_LONGEST] = e->longest,
                                        [COUNT_USERS] = end - first}));
    for (int64_t k = 0; k < e->longest; k++) {
        e->discount[k] = 1.0 / log2((double)(k + 2));
        e->ideal[k + 1] = e->ideal[k] + e->discount[k];
    }
    for (int64_t u = 0; u < n_block && seen < end; u++)
        if (has_any(e->positives, u) && seen++ >= first) e->users[e->n_users++] = u;
done:
    return status;
}

/* Merge the sums of all threads and ranks and divide by the users. Collective. */
static void evaluation_means(const evaluation *e, const cf_par *world, cf_metrics *out)
{
    metric_sums *all = &e->sums[0];
    int64_t users[2] = {e->n_users, 0}; /* with a positive; of these, without train items */

    for (int thread = 1; thread < e->n_threads; thread++)
        for (int m = 0; m < CF_N_METRICS; m++)
            for (int t = 0; t < out->n_topk; t++)
                cf_exact_merge(&all->metric[m][t], &e->sums[thread].metric[m][t]);
    cf_par_sum_exact(world, &all->metric[0][0], CF_N_METRICS * CF_MAX_TOPK);
    for (int64_t k = 0; k < e->n_users; k++)
        users[1] += !has_any(e->train, e->users[k]);
    MPI_Allreduce(MPI_IN_PLACE, users, 2, MPI_INT64_T, MPI_SUM, world->comm);
    out->n_users = users[0];
    out->n_cold = users[1];
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int t = 0; t < out->n_topk && out->n_users > 0; t++)
            out->mean[m][t] = cf_exact_value(&all->metric[m][t]) / (double)out->n_users;
}

cf_status cf_eval_run(const cf_eval_scorer *scorer, cf_split split, const cf_eval_options *options,
                      cf_metrics *out)
{
    const cf_grid *grid = scorer->items->grid;
    const cf_shard *shard = scorer->shard;
    cf_metrics metrics = empty_metrics(options);
    evaluation e = {.positives = split == CF_SPLIT_TEST ? &shard->test : &shard->valid,
                    .train = &shard->train,
                    .out = &metrics};
    cf_eval_request request = {.mask_train = options->mask_history,
                               .mask_valid = options->mask_history && split == CF_SPLIT_TEST,
                               .memory = options->memory};
    cf_status status;

    CF_TRY(cf_par_agree(&grid->world, evaluation_create(&e, grid, shard->n_users)));
    request.users = e.users;
    request.count = e.n_users;
    request.k = e.longest;
    CF_TRY(eval_rank(scorer, &request, add_user_metrics, &e));
    evaluation_means(&e, &grid->world, &metrics);
    *out = metrics;
done:
    cf_arrays_destroy(&e, evaluation_arrays, N_EVALUATION_ARRAYS);
    return status;
}

void cf_eval_warn_cold(int64_t n_cold, int64_t n_users)
{
    if (n_cold > 0)
        cf_warn("%lld of %lld users have no train items: they get the most popular items",
                (long long)n_cold, (long long)n_users);
}

/* ---- Names of metrics ---- */

/* The error of a name that is not one of these metrics; it lists the lengths in topk. */
static cf_status unknown_metric(const cf_metrics *metrics, const char *name)
{
    char known[256] = "";
    size_t used = 0;

    for (int t = 0; t < metrics->n_topk && used < sizeof known; t++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%lld", t > 0 ? ", " : "",
                                 (long long)metrics->topk[t]);
    return CF_FAIL(CF_ERR_USAGE,
                   "metric \"%s\" is not one of recall, ndcg, mrr, hit, precision, map "
                   "followed by @k with k in topk (%s)",
                   name, known);
}

/* RecBole writes names of metrics in any case. */
cf_status cf_eval_metric(const cf_metrics *metrics, const char *name, double *out)
{
    const char *at = strchr(name, '@');
    char *end = NULL;
    long long topk = at != NULL ? strtoll(at + 1, &end, 10) : 0;

    if (at == NULL || end == at + 1 || *end != '\0') return unknown_metric(metrics, name);
    for (int m = 0; m < CF_N_METRICS; m++) {
        const char *known = cf_eval_metric_names[m];

        if (strlen(known) != (size_t)(at - name)) continue;
        if (strncasecmp(known, name, strlen(known)) != 0) continue;
        for (int t = 0; t < metrics->n_topk; t++) {
            if (metrics->topk[t] != topk) continue;
            *out = metrics->mean[m][t];
            return CF_OK;
        }
    }
    return unknown_metric(metrics, name);
}

/* ---- Recommendations ---- */

/* Where cf_eval_topk() writes the best items of its users. */
typedef struct topk_lists {
    int64_t k;
    int64_t *items; /* users x k */
    float *scores;  /* users x k */
} topk_lists;

static void store_user_topk(void *context, int64_t user, const int64_t *items, const float *scores)
{
    const topk_lists *out = context;

    memcpy(out->items + user * out->k, items, (size_t)out->k * sizeof *items);
    memcpy(out->scores + user * out->k, scores, (size_t)out->k * sizeof *scores);
}

cf_status cf_eval_topk(const cf_eval_scorer *scorer, const cf_eval_request *request, int64_t *items,
                       float *scores)
{
    topk_lists out = {request->k, items, scores};

    return eval_rank(scorer, request, store_user_topk, &out);
}
