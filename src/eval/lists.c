/* Metrics of lists that are given, such as another program's recommendations.
 *
 * They are measured as the lists of a ranking are (measure.c). What a ranking would not have had is
 * taken out of a list first, and those behind move up: items of the history where it is masked, and
 * cold items that are no candidates of the part. A user without a list has an empty one. tests/eval
 * gives back the lists of a ranking. */
#include "measure.h"

/* The history of one user, and whose candidates there are. */
typedef struct user_history {
    const cf_lists *parts[3]; /* NULL: not masked */
    int64_t user;             /* local number */
    const cf_shard *shard;
    cf_split split;
} user_history;

static bool is_barred(const user_history *of, int64_t item)
{
    const uint8_t *cold = of->shard->cold;

    return cold != NULL && item != CF_EVAL_UNKNOWN_ITEM &&
           !eval_is_candidate(CF_ALL, of->split, cold[item]);
}

static bool is_masked(const user_history *history, int64_t item)
{
    for (int part = 0; part < 3; part++) {
        const cf_lists *lists = history->parts[part];

        if (lists == NULL) continue;
        const int64_t start = lists->start[history->user];
        if (cf_contains_i64(lists->index + start, lists->start[history->user + 1] - start, item))
            return true;
    }
    return false;
}

/* The first `longest` items of a list that a ranking could have, -1 behind the last. */
static void take_list(const cf_lists *items, const user_history *history, int64_t longest,
                      int64_t *out, cf_eval_detail *detail)
{
    const int64_t end = items->start[history->user + 1];
    int64_t count = 0;

    for (int64_t k = items->start[history->user]; k < end && count < longest; k++) {
        const bool masked = is_masked(history, items->index[k]);
        const bool barred = is_barred(history, items->index[k]);

        detail->n_masked += masked;
        detail->n_barred += barred;
        if (!masked && !barred) out[count++] = items->index[k];
    }
    detail->n_missing += items->start[history->user] == end;
    detail->longest_list = cf_max(detail->longest_list, count);
    for (; count < longest; count++)
        out[count] = -1;
}

/* What was found on all ranks. Collective. */
static void sum_findings(const cf_par *world, cf_eval_detail *detail)
{
    int64_t sums[3] = {detail->n_masked, detail->n_missing, detail->n_barred};

    MPI_Allreduce(MPI_IN_PLACE, sums, 3, MPI_INT64_T, MPI_SUM, world->comm);
    MPI_Allreduce(MPI_IN_PLACE, &detail->longest_list, 1, MPI_INT64_T, MPI_MAX, world->comm);
    detail->n_masked = sums[0];
    detail->n_missing = sums[1];
    detail->n_barred = sums[2];
}

cf_status cf_eval_run_lists(const cf_eval_lists *from, cf_split split,
                            const cf_eval_options *options, cf_eval_detail *detail,
                            cf_cold_metrics *out)
{
    const cf_par *world = &from->grid->world;
    const bool mask = options->mask_history;
    user_history history = {.parts = {mask ? &from->shard->train : NULL,
                                      mask ? &from->shard->added : NULL,
                                      mask && split == CF_SPLIT_TEST ? &from->shard->valid : NULL},
                            .shard = from->shard,
                            .split = split};
    int64_t *list = NULL;
    eval_measure m;
    cf_status status;

    CF_TRY(eval_measure_begin(&(eval_measure_plan){.grid = from->grid,
                                                   .shard = from->shard,
                                                   .split = split,
                                                   .tables = 1U << CF_ALL,
                                                   .options = options,
                                                   .detail = detail},
                              &m));
    CF_TRY(cf_par_agree(world, CF_ALLOC(list, m.longest)));
    for (int64_t k = 0; k < m.n_users; k++) {
        history.user = m.users[k];
        take_list(from->items, &history, m.longest, list, detail);
        eval_measure_user(&m, k, list, NULL);
    }
    sum_findings(world, detail);
    CF_TRY(eval_measure_end(&m, detail, out));
done:
    cf_free(&list);
    eval_measure_destroy(&m);
    return status;
}
