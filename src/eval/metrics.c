/* The metrics of one ranked list, and their names.
 *
 * A user has `count` positives P, and a list whose j-th item, j from 1, is a hit if it is in P. The
 * definitions are RecBole's (Zhao et al. 2021); NDCG is by Jarvelin and Kekalainen (2002).
 * tests/eval compares with golden numbers and with a plain loop that sorts all items of each user.
 */
#include "metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *const cf_eval_metric_names[CF_N_METRICS] = {
    [CF_RECALL] = "recall", [CF_NDCG] = "ndcg",           [CF_MRR] = "mrr",
    [CF_HIT] = "hit",       [CF_PRECISION] = "precision", [CF_MAP] = "map",
};

const char *const cf_eval_candidate_names[CF_N_CANDIDATES] = {
    [CF_WARM] = "warm",
    [CF_COLD] = "cold",
    [CF_ALL] = "all",
};

const char *const cf_eval_catalogue_names[CF_N_CATALOGUE] = {
    [CF_ITEM_COVERAGE] = "itemcoverage",
    [CF_GINI_INDEX] = "giniindex",
    [CF_AVERAGE_POPULARITY] = "averagepopularity",
};

/* ---- One list ---- */

void eval_fill_gains(int64_t longest, double *discount, double *ideal)
{
    for (int64_t k = 0; k < longest; k++) {
        discount[k] = 1.0 / log2((double)(k + 2));
        ideal[k + 1] = ideal[k] + discount[k];
    }
}

/*
 * DCG is the sum of 1 / log2(rank + 1) over the hits; NDCG divides it by that of min(|P|, k) hits
 * at the top. MRR is 1 / rank of the first hit, 0 without a hit. MAP is the sum of the precisions
 * at the ranks of the hits, divided by min(|P|, k).
 */
bool eval_measure_list(const eval_list *list, int64_t topk, double out[CF_N_METRICS])
{
    int64_t hits = 0, first_hit = 0;
    double gain = 0, precisions = 0;

    for (int64_t k = 0; k < topk && list->items[k] >= 0; k++) {
        if (!cf_contains_i64(list->positives, list->count, list->items[k])) continue;
        if (hits++ == 0) first_hit = k + 1;
        gain += list->discount[k];
        precisions += (double)hits / (double)(k + 1);
    }
    if (hits == 0) return false;
    out[CF_RECALL] = (double)hits / (double)list->count;
    out[CF_NDCG] = gain / list->ideal[cf_min(list->count, topk)];
    out[CF_MRR] = 1.0 / (double)first_hit;
    out[CF_HIT] = 1.0;
    out[CF_PRECISION] = (double)hits / (double)topk;
    out[CF_MAP] = precisions / (double)cf_min(list->count, topk);
    return true;
}

/* ---- Names ---- */

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

cf_metrics eval_empty_metrics(const cf_eval_options *options)
{
    cf_metrics metrics = {.n_topk = options->n_topk};

    memcpy(metrics.topk, options->topk, (size_t)options->n_topk * sizeof *options->topk);
    return metrics;
}

cf_status cf_eval_check_metric(const cf_eval_options *options)
{
    const cf_metrics metrics = eval_empty_metrics(options);
    double value;

    if (cf_eval_metric(&metrics, options->valid_metric, &value) == CF_OK) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE, "valid_metric: %s", cf_error_message());
}
