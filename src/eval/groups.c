/* Groups of users and of items by their train interactions, and how the recommended items are
 * spread over the catalogue.
 *
 * A user belongs to one group. A positive belongs to a group by the number of train interactions of
 * its item, and to the head or the tail by the place of its item in the order of popularity: the
 * head is the first fifth. Each rank knows the counts of all items (counts.c), and so the groups.
 *
 * Of n items, item i is in f(i) lists of length k, and has c(i) train interactions; F = sum f. In
 * RecBole's names (Zhao et al. 2021), with f(1) <= ... <= f(n) for the index by Gini (1912):
 *
 *     itemcoverage       |{i: f(i) > 0}| / n
 *     giniindex          sum_i (2 i - n - 1) f(i) / (n F)
 *     averagepopularity  sum_i f(i) c(i) / F
 *
 * f is a sum of whole numbers over threads and ranks; the other sums are exact (math/exact.c). */
#include "groups.h"

#include "counts.h"

#include <string.h>

const cf_eval_group cf_eval_groups[CF_EVAL_GROUPS] = {
    {"users", "0", 0, 0},
    {"users", "1-3", 1, 3},
    {"users", "4-7", 4, 7},
    {"users", "8-15", 8, 15},
    {"users", "16-31", 16, 31},
    {"users", ">=32", 32, INT64_MAX},
    {"items", "0", 0, 0},
    {"items", "1-4", 1, 4},
    {"items", "5-9", 5, 9},
    {"items", "10-19", 10, 19},
    {"items", ">=20", 20, INT64_MAX},
    {"popularity", "head", 0, INT64_MAX},
    {"popularity", "tail", 0, INT64_MAX},
};

enum { FIRST_ITEM_GROUP = CF_EVAL_USER_GROUPS, HEAD = CF_EVAL_GROUPS - 2, TAIL, HEAD_SHARE = 5 };

/* ---- Who belongs where ---- */

static bool is_in_group(int g, int64_t count)
{
    return count >= cf_eval_groups[g].least && count <= cf_eval_groups[g].most;
}

int eval_user_group(int64_t n_train)
{
    int g = 0;

    while (!is_in_group(g, n_train))
        g++;
    return g;
}

static uint8_t bit_of(int g)
{
    return (uint8_t)(1 << (g - FIRST_ITEM_GROUP));
}

/* The least popular item of the head has `limit` interactions; `n_at_limit` of the items that have
 * as many belong to it, the first by number. Local. */
static cf_status find_head(const eval_groups *groups, int64_t *limit, int64_t *n_at_limit)
{
    const int64_t n = groups->n_items, n_head = n / HEAD_SHARE;
    uint64_t *sorted = NULL, *scratch = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(sorted, n));
    CF_TRY(CF_ALLOC(scratch, n));
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (uint64_t)groups->item_counts[i];
    cf_sort_u64(sorted, scratch, n);
    *limit = n_head > 0 ? (int64_t)sorted[n - n_head] : INT64_MAX;
    *n_at_limit = 0;
    for (int64_t i = n - n_head; i < n && (int64_t)sorted[i] == *limit; i++)
        (*n_at_limit)++;
done:
    cf_free(&sorted);
    cf_free(&scratch);
    return status;
}

/* Local. */
static cf_status assign_items(eval_groups *groups)
{
    int64_t limit, n_at_limit;
    cf_status status;

    CF_TRY(find_head(groups, &limit, &n_at_limit));
    for (int64_t i = 0; i < groups->n_items; i++) {
        const int64_t count = groups->item_counts[i];
        const bool in_head = count > limit || (count == limit && n_at_limit-- > 0);

        groups->item_groups[i] = bit_of(in_head ? HEAD : TAIL);
        for (int g = FIRST_ITEM_GROUP; g < HEAD; g++)
            if (is_in_group(g, count)) groups->item_groups[i] |= bit_of(g);
    }
done:
    return status;
}

/* Local. */
static cf_status create_arrays(eval_groups *groups)
{
    cf_status status;

    CF_TRY(CF_ALLOC(groups->item_groups, groups->n_items));
    CF_TRY(CF_ALLOC(groups->frequency, groups->n_topk * groups->n_items));
    CF_TRY(assign_items(groups));
done:
    return status;
}

cf_status eval_create_groups(const cf_grid *grid, const cf_shard *shard, int n_topk,
                             eval_groups *out)
{
    cf_status status;

    out->n_items = shard->items.start[shard->items.count];
    out->n_topk = n_topk;
    CF_TRY(eval_gather_item_counts(grid, shard, &out->item_counts));
    CF_TRY(cf_par_agree(&grid->world, create_arrays(out)));
done:
    return status;
}

void eval_destroy_groups(eval_groups *groups)
{
    cf_free(&groups->item_counts);
    cf_free(&groups->item_groups);
    cf_free(&groups->frequency);
}

int64_t eval_choose_positives(const eval_groups *groups, const eval_list *list, int g,
                              int64_t *chosen)
{
    int64_t count = 0;

    for (int64_t k = 0; k < list->count; k++)
        if (groups->item_groups[list->positives[k]] >> g & 1) chosen[count++] = list->positives[k];
    return count;
}

/* ---- The catalogue ---- */

void eval_count_items(const eval_groups *groups, const int64_t *items, const cf_metrics *lengths)
{
    for (int t = 0; t < lengths->n_topk; t++)
        for (int64_t k = 0; k < lengths->topk[t] && items[k] >= 0; k++) {
            if (items[k] >= groups->n_items) continue; /* CF_EVAL_UNKNOWN_ITEM */
#pragma omp atomic
            groups->frequency[t * groups->n_items + items[k]]++;
        }
}

/* Sum a_i b_i exactly, over `n` items, divided by `by`. */
static double mean_product(const int64_t *a, const int64_t *b, int64_t n, double by)
{
    cf_exact sum = {0};

    for (int64_t i = 0; i < n; i++)
        if (a[i] != 0) cf_exact_add(&sum, (double)a[i] * (double)b[i]);
    return cf_exact_value(&sum) / by;
}

/* One length of list. `sorted`, `weight`: room for n_items each. */
static void measure_length(const eval_groups *groups, const int64_t *frequency, int64_t *sorted,
                           int64_t *weight, double out[CF_N_CATALOGUE])
{
    const int64_t n = groups->n_items;
    int64_t total = 0, n_listed = 0;

    for (int64_t i = 0; i < n; i++) {
        total += frequency[i];
        n_listed += frequency[i] > 0;
    }
    if (total == 0) return; /* zeros */
    out[CF_ITEM_COVERAGE] = (double)n_listed / (double)n;
    out[CF_AVERAGE_POPULARITY] = mean_product(frequency, groups->item_counts, n, (double)total);
    memcpy(sorted, frequency, (size_t)n * sizeof *sorted);
    cf_sort_u64((uint64_t *)sorted, (uint64_t *)weight, n);
    for (int64_t i = 0; i < n; i++)
        weight[i] = 2 * (i + 1) - n - 1;
    out[CF_GINI_INDEX] = mean_product(sorted, weight, n, (double)n * (double)total);
}

cf_status eval_measure_catalogue(const eval_groups *groups, const cf_par *world,
                                 double out[CF_N_CATALOGUE][CF_MAX_TOPK])
{
    int64_t *sorted = NULL, *weight = NULL;
    cf_status status = CF_ALLOC(sorted, groups->n_items);

    if (status == CF_OK) status = CF_ALLOC(weight, groups->n_items);
    CF_TRY(cf_par_agree(world, status));
    for (int t = 0; t < groups->n_topk; t++) {
        int64_t *frequency = groups->frequency + t * groups->n_items;
        double values[CF_N_CATALOGUE] = {0};

        MPI_Allreduce(MPI_IN_PLACE, frequency, cf_par_count(groups->n_items), MPI_INT64_T, MPI_SUM,
                      world->comm);
        measure_length(groups, frequency, sorted, weight, values);
        for (int m = 0; m < CF_N_CATALOGUE; m++)
            out[m][t] = values[m];
    }
done:
    cf_free(&sorted);
    cf_free(&weight);
    return status;
}
