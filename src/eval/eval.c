/* The settings, and the two consumers of a ranking: metrics (measure.c) and recommendations.
 *
 * A user's metrics depend on its positives and its `longest` best items, which eval_rank() finds.
 */
#include "measure.h"
#include "ranking.h"

#include <string.h>

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
    {.name = "valid_candidates",
     .kind = CF_SETTING_CHOICE,
     .initial = "warm",
     .choices = "warm|all",
     .help = "candidates of valid_metric where the dataset marks cold items: warm items alone, or "
             "also the cold items of the valid part"},
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

cf_status cf_eval_read_options(const cf_config *config, cf_eval_options *out)
{
    int count = 0;
    const int64_t *topk = cf_config_ints(config, "topk", &count);

    if (count < 1 || count > CF_MAX_TOPK)
        return CF_FAIL(CF_ERR_USAGE, "topk: %d numbers, expected 1 to %d", count, CF_MAX_TOPK);
    *out = (cf_eval_options){
        .n_topk = count,
        .valid_metric = cf_config_text(config, "valid_metric"),
        .valid_candidates =
            strcmp(cf_config_text(config, "valid_candidates"), "all") == 0 ? CF_ALL : CF_WARM,
        .mask_history = cf_config_bool(config, "mask_history"),
        .memory = cf_config_int(config, "eval_memory") << 20};
    memcpy(out->topk, topk, (size_t)count * sizeof *topk);
    return CF_OK;
}

/* ---- Metrics ---- */

/* What is measured. */
typedef struct measurement {
    const cf_eval_scorer *scorer;
    cf_split split;
    const cf_eval_options *options;
    unsigned tables;        /* bits of cf_candidates */
    cf_eval_detail *detail; /* of CF_ALL; NULL: means alone */
} measurement;

/* Rank the users of `m`, and measure their lists. Collective. */
static cf_status rank_users(const measurement *of, eval_measure *m)
{
    const bool mask = of->options->mask_history;
    eval_candidates candidates = {0};
    cf_status status;

    CF_TRY(cf_par_agree(&m->grid->world,
                        eval_bar_marked(of->scorer, of->split, of->tables, &candidates)));
    CF_TRY(eval_rank(of->scorer,
                     &(cf_eval_request){.users = m->users,
                                        .count = m->n_users,
                                        .k = m->longest,
                                        .mask_train = mask,
                                        .mask_valid = mask && of->split == CF_SPLIT_TEST,
                                        .memory = of->options->memory},
                     &candidates, eval_measure_user, m));
done:
    eval_destroy_candidates(&candidates);
    return status;
}

static cf_status run(const measurement *of, cf_cold_metrics *out)
{
    eval_measure m;
    cf_status status;

    CF_TRY(eval_measure_begin(&(eval_measure_plan){.grid = of->scorer->items->grid,
                                                   .shard = of->scorer->shard,
                                                   .split = of->split,
                                                   .tables = of->tables,
                                                   .options = of->options,
                                                   .detail = of->detail},
                              &m));
    CF_TRY(rank_users(of, &m));
    CF_TRY(eval_measure_end(&m, of->detail, out));
done:
    eval_measure_destroy(&m);
    return status;
}

cf_status cf_eval_run(const cf_eval_scorer *scorer, cf_split split, const cf_eval_options *options,
                      cf_metrics *out)
{
    return cf_eval_run_detailed(scorer, split, options, NULL, out);
}

cf_status cf_eval_run_detailed(const cf_eval_scorer *scorer, cf_split split,
                               const cf_eval_options *options, cf_eval_detail *detail,
                               cf_metrics *out)
{
    const measurement of = {scorer, split, options, 1U << CF_ALL, detail};
    cf_cold_metrics found;
    cf_status status;

    CF_TRY(run(&of, &found));
    *out = found.table[CF_ALL];
done:
    return status;
}

cf_status cf_eval_run_warm(const cf_eval_scorer *scorer, cf_split split,
                           const cf_eval_options *options, cf_metrics *out)
{
    const measurement of = {scorer, split, options, 1U << CF_WARM, NULL};
    cf_cold_metrics found;
    cf_status status;

    CF_TRY(run(&of, &found));
    *out = found.table[found.has[CF_WARM] ? CF_WARM : CF_ALL];
done:
    return status;
}

cf_status cf_eval_run_cold(const cf_eval_scorer *scorer, cf_split split,
                           const cf_eval_options *options, cf_eval_detail *detail,
                           cf_cold_metrics *out)
{
    const unsigned tables = 1U << CF_WARM | 1U << CF_COLD | 1U << CF_ALL;

    return run(&(measurement){scorer, split, options, tables, detail}, out);
}

cf_status cf_eval_check_candidates(const cf_grid *grid, const cf_shard *shard,
                                   const cf_eval_options *options)
{
    const cf_lists *valid = &shard->valid;
    bool any = shard->cold == NULL;

    for (int64_t k = 0; k < valid->start[valid->count] && !any; k++)
        any = eval_is_candidate(options->valid_candidates, CF_SPLIT_VALID,
                                shard->cold[valid->index[k]]);
    if (cf_par_any(&grid->world, any)) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE,
                   "valid_candidates: %s: no user has such an item in the valid part: set "
                   "valid_candidates to all, or eval_step to 0",
                   cf_eval_candidate_names[options->valid_candidates]);
}

void cf_eval_destroy_detail(cf_eval_detail *detail)
{
    cf_free(&detail->users);
    cf_free(&detail->values);
}

void cf_eval_warn_cold(int64_t n_cold, int64_t n_users)
{
    if (n_cold > 0)
        cf_warn("%lld of %lld users have no train items: they get the most popular items",
                (long long)n_cold, (long long)n_users);
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
    eval_candidates candidates = {0};
    cf_status status;

    CF_TRY(cf_par_agree(&scorer->items->grid->world,
                        eval_bar_excluded(scorer, request->excluded, &candidates)));
    CF_TRY(eval_rank(scorer, request, &candidates, store_user_topk, &out));
done:
    eval_destroy_candidates(&candidates);
    return status;
}
