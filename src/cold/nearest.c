/* Rows that are means of the rows of the nearest items: q = (1/k) sum of Q_i over the k items i of
 * largest f'f_i that are fitted on, ties to the lower item.
 *
 * The evaluation's ranking finds them: F is the table of both its users and its items, so that a
 * rank ranks for its own part of the vectors. The lists are few and short, and every rank gets all
 * of them. Rows then travel within a grid column, where each rank has the same slice: in a round a
 * rank requests the distinct rows that the next of its own need, and adds them up in ascending
 * order of the items, in double. tests/cold compares with NumPy. */
#include "internal.h"

#include "cf/eval.h"

#include <string.h>

/* Floats that a rank requests in a round. */
enum { ROUND_FLOATS = 1 << 22 };

/* ---- Lists ---- */

/* The first of the rows whose item is at or behind `item`. */
static int64_t first_from(const cold_rows *rows, int64_t item)
{
    return cf_search_i64(rows->items, rows->count, item);
}

/* Rank for the items of my part of the vectors, which are rows `first` .. `first + count - 1`, into
 * their place in `nearest`. Collective. */
static cf_status rank_part(const cold_vectors *v, const cold_rows *rows, int64_t k, int64_t memory,
                           int64_t *nearest)
{
    const cf_shard like = {
        .items = v->blocks, .first_item = v->rows->first_row, .n_items = v->rows->local_rows};
    const int64_t first = first_from(rows, v->rows->first_row),
                  count = first_from(rows, v->rows->first_row + v->rows->local_rows) - first;
    cf_shard *shard = NULL;
    int64_t *local = NULL;
    float *scores = NULL;
    cf_eval_scorer scorer;
    cf_status status;

    CF_TRY(cf_dataset_create_item_shard(v->grid, &like, &shard));
    status = CF_ALLOC(local, count);
    if (status == CF_OK) status = CF_ALLOC(scores, count * k);
    CF_TRY(cf_par_agree(&v->grid->world, status));
    for (int64_t r = 0; r < count; r++)
        local[r] = rows->items[first + r] - v->rows->first_row;
    scorer = cf_eval_products(v->rows, v->rows, shard);
    scorer.popular = false;
    CF_TRY(cf_eval_topk(
        &scorer,
        &(cf_eval_request){
            .users = local, .count = count, .k = k, .memory = memory, .excluded = v->outside},
        nearest + first * k, scores));
done:
    cf_dataset_destroy_shard(&shard);
    cf_free(&local);
    cf_free(&scores);
    return status;
}

cf_status cold_find_nearest(const cold_vectors *v, const cold_rows *rows, int64_t k, int64_t memory,
                            int64_t **out)
{
    int64_t *nearest = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(&v->grid->world, CF_ALLOC(nearest, rows->count * k)));
    CF_TRY(rank_part(v, rows, k, memory, nearest));
    for (int b = 0; b < v->blocks.count; b++) {
        const int64_t first = first_from(rows, v->blocks.start[b]),
                      count = first_from(rows, v->blocks.start[b + 1]) - first;

        cf_par_broadcast(&v->grid->world, nearest + first * k, count * k * (int64_t)sizeof *nearest,
                         b);
    }
    *out = nearest;
    nearest = NULL;
done:
    cf_free(&nearest);
    return status;
}

/* ---- Rows ---- */

/* What the means are made of. */
typedef struct gathering {
    const cf_table *from;
    const int64_t *nearest; /* lists of `most` items */
    int64_t most, k;        /* the first k of each count */
    cf_plan plan;           /* within the grid column: a request is an item, a reply its row */
    MPI_Datatype row_type;
    int64_t step;            /* rows of mine in a round */
    uint64_t *items, *other; /* step x k: distinct items that are requested, ascending; scratch */
    int64_t n_items;
    float *rows;    /* step x k x width: their rows */
    uint64_t *list; /* k: one list, ascending */
    double *sums;   /* width */
} gathering;

/* Local. Errors: MEMORY. */
static cf_status create_gathering(gathering *g, const cold_rows *rows)
{
    const int64_t width = g->from->width;
    cf_status status;

    MPI_Type_contiguous(cf_par_count(width), MPI_FLOAT, &g->row_type);
    MPI_Type_commit(&g->row_type);
    g->step = cf_min(rows->n_mine, cf_max(1, ROUND_FLOATS / (g->k * width)));
    CF_TRY(cf_par_create_plan(&g->from->grid->column, &g->plan));
    CF_TRY(CF_ALLOC(g->items, g->step * g->k));
    CF_TRY(CF_ALLOC(g->other, g->step * g->k));
    CF_TRY(CF_ALLOC(g->rows, g->step * g->k * width));
    CF_TRY(CF_ALLOC(g->list, g->k));
    CF_TRY(CF_ALLOC(g->sums, width));
done:
    return status;
}

static void destroy_gathering(gathering *g)
{
    cf_par_destroy_plan(&g->plan);
    MPI_Type_free(&g->row_type);
    cf_free(&g->items);
    cf_free(&g->other);
    cf_free(&g->rows);
    cf_free(&g->list);
    cf_free(&g->sums);
}

/* The distinct items that rows first .. first + count - 1 need. */
static void list_items(gathering *g, int64_t first, int64_t count)
{
    int64_t n = 0;

    for (int64_t r = first; r < first + count; r++)
        for (int64_t j = 0; j < g->k && g->nearest[r * g->most + j] >= 0; j++)
            g->items[n++] = (uint64_t)g->nearest[r * g->most + j];
    cf_sort_u64(g->items, g->other, n);
    g->n_items = 0;
    for (int64_t j = 0; j < n; j++)
        if (j == 0 || g->items[j] != g->items[j - 1]) g->items[g->n_items++] = g->items[j];
}

/* Request the listed items from the ranks that have them; they reply with their rows. The items
 * ascend and blocks are ranges: so they are grouped by owner. Collective. */
static cf_status exchange_rows(gathering *g)
{
    const cf_table *from = g->from;
    int64_t *asked = NULL;
    float *reply = NULL;
    cf_status status;

    memset(g->plan.send_count, 0, (size_t)g->plan.par->size * sizeof *g->plan.send_count);
    for (int64_t j = 0; j < g->n_items; j++)
        g->plan.send_count[cf_par_block_of(&from->blocks, (int64_t)g->items[j])]++;
    cf_par_complete_plan(&g->plan);
    status = CF_ALLOC(asked, g->plan.n_recv);
    if (status == CF_OK) status = CF_ALLOC(reply, g->plan.n_recv * from->width);
    CF_TRY(cf_par_agree(&from->grid->world, status));
    cf_par_send(&g->plan, g->items, asked, MPI_INT64_T);
    for (int64_t j = 0; j < g->plan.n_recv; j++)
        memcpy(reply + j * from->width, from->data + (asked[j] - from->first_row) * from->width,
               (size_t)from->width * sizeof *reply);
    cf_par_reply(&g->plan, reply, g->rows, g->row_type);
done:
    cf_free(&asked);
    cf_free(&reply);
    return status;
}

/* The mean over one list, in ascending order of the items. */
static void average(const gathering *g, const int64_t *nearest, float *out)
{
    const int64_t width = g->from->width;
    int64_t n = 0;

    for (; n < g->k && nearest[n] >= 0; n++)
        g->list[n] = (uint64_t)nearest[n];
    cf_sort_u64(g->list, g->other, n);
    memset(g->sums, 0, (size_t)width * sizeof *g->sums);
    for (int64_t j = 0; j < n; j++) {
        const float *row = g->rows + width * cf_search_i64((const int64_t *)g->items, g->n_items,
                                                           (int64_t)g->list[j]);

        for (int64_t c = 0; c < width; c++)
            g->sums[c] += (double)row[c];
    }
    for (int64_t c = 0; c < width && n > 0; c++)
        out[c] = (float)(g->sums[c] / (double)n);
}

cf_status cold_fill_nearest(const cf_table *from, const int64_t *nearest, int64_t most, int64_t k,
                            cold_rows *rows)
{
    const cf_par *world = &from->grid->world;
    gathering g = {.from = from, .nearest = nearest, .most = most, .k = k};
    int64_t rounds;
    cf_status status;

    CF_TRY(cf_par_agree(world, create_gathering(&g, rows)));
    rounds = g.step > 0 ? cf_ceil_div(rows->n_mine, g.step) : 0;
    MPI_Allreduce(MPI_IN_PLACE, &rounds, 1, MPI_INT64_T, MPI_MAX, world->comm);
    for (int64_t round = 0; round < rounds; round++) {
        const int64_t at = cf_min(round * g.step, rows->n_mine),
                      count = cf_min(g.step, rows->n_mine - at);

        list_items(&g, rows->first + at, count);
        CF_TRY(exchange_rows(&g));
        for (int64_t r = at; r < at + count; r++)
            average(&g, nearest + (rows->first + r) * most, rows->rows + r * from->width);
    }
done:
    destroy_gathering(&g);
    return status;
}
