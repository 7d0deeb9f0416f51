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
             "recall, ndcg, mrr, hit or precision, @k with a k of topk"},
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
    [CF_HIT] = "hit",       [CF_PRECISION] = "precision",
};

/* ---- Metrics ---- */

typedef struct sums {
    cf_exact metric[CF_N_METRICS][CF_MAX_TOPK];
} sums;

/* An evaluation in progress: the users that have a positive, and their metrics summed. */
typedef struct evaluation {
    const cf_lists *positives; /* of the block's users */
    int64_t *users;            /* local numbers: this rank's share of them */
    int64_t n_users;
    int64_t longest;  /* largest topk */
    double *discount; /* longest: 1 / log2(rank + 1), rank from 1 */
    double *ideal;    /* longest + 1: sums of the first discounts */
    sums *sums;       /* one a thread; exact, so that it does not matter whose */
    int n_threads;
    const cf_metrics *out; /* its topk */
} evaluation;

static void destroy(evaluation *e)
{
    cf_free(&e->users);
    cf_free(&e->discount);
    cf_free(&e->ideal);
    cf_free(&e->sums);
}

/*
 * Metrics of one user at one k, by RecBole's definitions: DCG sums 1 / log2(rank + 1) over the hits
 * and is divided by that of min(|positives|, k) hits at the top (Jarvelin and Kekalainen 2002); MRR
 * is 1 / rank of the first hit within k.
 */
static void add_user(void *context, int64_t user, const int64_t *items, const float *scores)
{
    const evaluation *e = context;
    const cf_lists *lists = e->positives;
    const int64_t *positives = lists->index + lists->start[e->users[user]];
    int64_t count = lists->start[e->users[user] + 1] - lists->start[e->users[user]];
    sums *mine = &e->sums[omp_get_thread_num()];

    (void)scores;
    for (int t = 0; t < e->out->n_topk; t++) {
        int64_t topk = e->out->topk[t], hits = 0, first_hit = 0;
        double gain = 0;

        for (int64_t k = 0; k < topk && items[k] >= 0; k++) {
            if (!cf_contains_i64(positives, count, items[k])) continue;
            if (hits++ == 0) first_hit = k + 1;
            gain += e->discount[k];
        }
        if (hits == 0) continue;
        cf_exact_add(&mine->metric[CF_RECALL][t], (double)hits / (double)count);
        cf_exact_add(&mine->metric[CF_NDCG][t], gain / e->ideal[count < topk ? count : topk]);
        cf_exact_add(&mine->metric[CF_MRR][t], 1.0 / (double)first_hit);
        cf_exact_add(&mine->metric[CF_HIT][t], 1.0);
        cf_exact_add(&mine->metric[CF_PRECISION][t], (double)hits / (double)topk);
    }
}

static bool has_positive(const cf_lists *lists, int64_t user)
{
    return lists->start[user + 1] > lists->start[user];
}

/* The ranks of a grid row share the users of its block that have a positive: even parts in order of
 * number. */
static cf_status choose_users(evaluation *e, const cf_grid *grid, int64_t n_block)
{
    int64_t count = 0, first, end, seen = 0;
    cf_status status = CF_OK;

    for (int64_t u = 0; u < n_block; u++)
        count += has_positive(e->positives, u);
    first = cf_par_even_start(count, grid->n_columns, grid->my_column);
    end = cf_par_even_start(count, grid->n_columns, grid->my_column + 1);
    CF_TRY(CF_ALLOC(e->users, end - first));
    for (int64_t u = 0; u < n_block && seen < end; u++)
        if (has_positive(e->positives, u) && seen++ >= first) e->users[e->n_users++] = u;
done:
    return status;
}

static cf_status create(evaluation *e, const cf_grid *grid, int64_t n_block)
{
    cf_status status = CF_OK;

    e->n_threads = omp_get_max_threads();
    for (int t = 0; t < e->out->n_topk; t++)
        if (e->out->topk[t] > e->longest) e->longest = e->out->topk[t];
    CF_TRY(CF_ALLOC(e->sums, e->n_threads));
    CF_TRY(CF_ALLOC(e->discount, e->longest));
    CF_TRY(CF_ALLOC(e->ideal, e->longest + 1));
    for (int64_t k = 0; k < e->longest; k++) {
        e->discount[k] = 1.0 / log2((double)(k + 2));
        e->ideal[k + 1] = e->ideal[k] + e->discount[k];
    }
    CF_TRY(choose_users(e, grid, n_block));
done:
    return status;
}

static cf_status read_topk(const cf_config *config, cf_metrics *out)
{
    int count = 0;
    const int64_t *topk = cf_config_ints(config, "topk", &count);

    if (count < 1 || count > CF_MAX_TOPK)
        return CF_FAIL(CF_ERR_USAGE, "topk: %d numbers, expected 1 to %d", count, CF_MAX_TOPK);
    *out = (cf_metrics){.n_topk = count};
    memcpy(out->topk, topk, (size_t)count * sizeof *topk);
    return CF_OK;
}

static void join(const evaluation *e, const cf_par *world, cf_metrics *out)
{
    sums *all = &e->sums[0];

    for (int thread = 1; thread < e->n_threads; thread++)
        for (int m = 0; m < CF_N_METRICS; m++)
            for (int t = 0; t < out->n_topk; t++)
                cf_exact_merge(&all->metric[m][t], &e->sums[thread].metric[m][t]);
    cf_par_sum_exact(world, &all->metric[0][0], CF_N_METRICS * CF_MAX_TOPK);
    out->n_users = e->n_users;
    MPI_Allreduce(MPI_IN_PLACE, &out->n_users, 1, MPI_INT64_T, MPI_SUM, world->comm);
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int t = 0; t < out->n_topk && out->n_users > 0; t++)
            out->mean[m][t] = cf_exact_value(&all->metric[m][t]) / (double)out->n_users;
}

cf_status cf_eval_run(const cf_eval_scorer *scorer, cf_split split, bool mask,
                      const cf_config *config, cf_metrics *out)
{
    const cf_grid *grid = scorer->items->grid;
    const cf_shard *shard = scorer->shard;
    cf_metrics metrics;
    evaluation e = {.positives = split == CF_SPLIT_TEST ? &shard->test : &shard->valid,
                    .out = &metrics};
    cf_eval_request request = {.mask_train = mask,
                               .mask_valid = mask && split == CF_SPLIT_TEST,
                               .memory = cf_config_int(config, "eval_memory") << 20};
    cf_status status = CF_OK;

    CF_TRY(read_topk(config, &metrics));
    CF_TRY(cf_par_agree(&grid->world, create(&e, grid, shard->n_users)));
    request.users = e.users;
    request.count = e.n_users;
    request.k = e.longest;
    CF_TRY(eval_rank(scorer, &request, add_user, &e));
    join(&e, &grid->world, &metrics);
    *out = metrics;
done:
    destroy(&e);
    return status;
}

/* ---- Names of metrics ---- */

static cf_status unknown_metric(const cf_metrics *metrics, const char *name)
{
    char known[256] = "";
    size_t used = 0;

    for (int t = 0; t < metrics->n_topk && used < sizeof known; t++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%lld", t > 0 ? ", " : "",
                                 (long long)metrics->topk[t]);
    return CF_FAIL(CF_ERR_USAGE,
                   "metric \"%s\" is not one of recall, ndcg, mrr, hit, precision "
                   "followed by @k with k in topk (%s)",
                   name, known);
}

cf_status cf_eval_check(const cf_config *config, bool validates)
{
    const char *name = cf_config_text(config, "valid_metric");
    cf_metrics metrics;
    double value;
    cf_status status = read_topk(config, &metrics);

    if (status != CF_OK || !validates) return status;
    if (cf_eval_metric(&metrics, name, &value) == CF_OK) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE, "valid_metric: %s", cf_error_message());
}

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

typedef struct lists {
    int64_t k;
    int64_t *items;
    float *scores;
} lists;

static void store_user(void *context, int64_t user, const int64_t *items, const float *scores)
{
    const lists *out = context;

    memcpy(out->items + user * out->k, items, (size_t)out->k * sizeof *items);
    memcpy(out->scores + user * out->k, scores, (size_t)out->k * sizeof *scores);
}

cf_status cf_eval_topk(const cf_eval_scorer *scorer, const cf_eval_request *request, int64_t *items,
                       float *scores)
{
    lists out = {request->k, items, scores};

    return eval_rank(scorer, request, store_user, &out);
}
