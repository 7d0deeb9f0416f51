/* Which items each list of a ranking is chosen from.
 *
 * Where the dataset marks cold items, a user may get up to three lists: of the warm items, of the
 * part's cold ones, and of both. They are chosen from the same scores in one pass (ranking.c). An
 * item is barred from a list by a bit, for all users. Where nothing is barred there are no bits,
 * and a ranking costs what it costs without them. */
#include "candidates.h"

enum { ALL_LISTS = 0xff };

/* Room for whole tiles, so that one is masked at its full width (ranking.c). Nothing is barred. */
static cf_status create_bits(int64_t n_items, eval_candidates *out)
{
    return CF_ALLOC(out->barred, cf_ceil_div(n_items, CF_EVAL_ITEMS) * CF_EVAL_ITEMS);
}

cf_status eval_bar_excluded(const cf_eval_scorer *scorer, const uint8_t *excluded,
                            eval_candidates *out)
{
    const uint8_t *hidden = scorer->hidden;
    const int64_t n_items = scorer->items->n_rows;
    cf_status status = CF_OK;

    *out = (eval_candidates){.n_lists = 1};
    if (hidden == NULL && excluded == NULL) return CF_OK;
    CF_TRY(create_bits(n_items, out));
    for (int64_t i = 0; i < n_items; i++)
        if ((hidden != NULL && hidden[i]) || (excluded != NULL && excluded[i]))
            out->barred[i] = ALL_LISTS;
done:
    return status;
}

cf_status eval_bar_marked(const cf_eval_scorer *scorer, cf_split split, unsigned tables,
                          eval_candidates *out)
{
    const uint8_t *cold = scorer->shard->cold, *hidden = scorer->hidden;
    const int64_t n_items = scorer->items->n_rows;
    cf_status status = CF_OK;

    if (cold == NULL) return eval_bar_excluded(scorer, NULL, out);
    *out = (eval_candidates){0};
    CF_TRY(create_bits(n_items, out));
    for (int which = 0; which < CF_N_CANDIDATES; which++) {
        if (!(tables >> which & 1)) continue;
        for (int64_t i = 0; i < n_items; i++)
            if (!eval_is_candidate((cf_candidates)which, split, cold[i]))
                out->barred[i] |= (uint8_t)(1 << out->n_lists);
        out->n_lists++;
    }
    for (int64_t i = 0; i < n_items && hidden != NULL; i++)
        if (hidden[i]) out->barred[i] = ALL_LISTS;
done:
    return status;
}

void eval_destroy_candidates(eval_candidates *candidates)
{
    cf_free(&candidates->barred);
}
