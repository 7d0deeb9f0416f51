#include "predict.h"

#include <math.h>
#include <string.h>

/*
 * Expected bytes of a step. The halo is known from the graph. What depends on the batch is taken as
 * if each sample were drawn anew: an interaction is a sample's with chance 1 / n_train, an item its
 * negative with chance 1 / n_items. (A batch has no interaction twice, and negatives avoid the
 * user's own items: in a batch that is a small part of the interactions it is nearly the same.)
 */

double forecast_allreduce(const cf_par *par, double bytes)
{
    return floor(2 * bytes * (par->size - 1) / par->size);
}

/* Chance that none of `n` things that are in a batch with chance `each` is in it. */
static double none_of(double n, double each)
{
    return each < 1 ? exp(n * log1p(-each)) : n > 0 ? 0.0 : 1.0;
}

/* Chance that none of `samples` has an item as its negative. */
static double no_negative(const forecast *f, double samples)
{
    return f->model->kind->negatives ? none_of(samples, 1.0 / (double)f->model->table[1]->n_rows)
                                     : 1.0;
}

/* ---- Halo ---- */

/* The log of the chance that a row is not within some steps of the batch, in the first number of
 * its row in a field. Chances of sure things are left a little of doubt, so that logs can be added.
 */
typedef struct nearness {
    const forecast *f;
    propagation p; /* a copy, whose fields are scratch: current and before */
    int step;
    double negative; /* of an item, as a sample's negative */
} nearness;

static double log_none(double each)
{
    return each < 1 ? log1p(-each) : -100;
}

static void begin_nearness(nearness *n)
{
    const cf_graph *graph = n->p.graph;

    n->step = 0;
    n->negative = n->f->model->kind->negatives
                      ? n->f->size * log_none(1.0 / (double)n->p.table[CF_ITEMS]->n_rows)
                      : 0;
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < cf_graph_rows(graph, (cf_side)side); row++)
            n->p.field[0].rows[side][row * n->p.field[0].width] =
                (float)((double)cf_graph_degree(graph, (cf_side)side, row) * log_none(n->f->share) +
                        (side == CF_ITEMS ? n->negative : 0));
}

/* What is within k steps of a row is within k - 1 of its neighbours, and all of these have what is
 * within k - 2 of the row itself in common. (What they have in common beside is counted more than
 * once.) One step: all samples with a neighbour, and the row as a negative. */
static void visit_nearness(void *context, const cf_rows *visit)
{
    const nearness *n = context;
    const int64_t width = n->p.field[0].width;

    for (int k = 0; k < visit->count; k++) {
        const int64_t row = visit->rows[k];
        float *out = n->p.field[1].rows[visit->side] + row * width;
        const double others = (double)cf_graph_degree(n->p.graph, visit->side, row) - 1;
        const double own = visit->side == CF_ITEMS ? n->negative : 0;

        *out = (float)fmin(0, (double)visit->sums[k * width] +
                                  (n->step == 1 ? own : -others * (double)*out));
    }
}

static double chance_of(const nearness *n, int side, int64_t row)
{
    return -expm1((double)n->p.field[0].rows[side][row * n->p.field[0].width]);
}

/* Expected share of all edges that rows within so many steps have. Collective. */
static double share_of_edges(const nearness *n)
{
    double edges[2] = {0, 0};

    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < cf_graph_rows(n->p.graph, (cf_side)side); row++) {
            const double degree = (double)cf_graph_degree(n->p.graph, (cf_side)side, row);

            edges[0] += degree * chance_of(n, side, row);
            edges[1] += degree;
        }
    MPI_Allreduce(MPI_IN_PLACE, edges, 2, MPI_DOUBLE, MPI_SUM, n->f->model->grid->column.comm);
    return edges[1] > 0 ? edges[0] / edges[1] : 0;
}

/* Rows that a halo exchange sends, of those within so many steps. */
static double count_sent(const nearness *n)
{
    double sum = 0;

    for (int side = 0; side < 2; side++) {
        int64_t n_sent;
        const int32_t *sent = cf_graph_sent(n->p.graph, (cf_side)side, &n_sent);

        for (int64_t k = 0; k < n_sent; k++)
            sum += chance_of(n, side, sent[k]);
    }
    return sum;
}

/* As cf_graph_find_hops() does: sent[k], rows that are sent of those within k steps, for as many
 * steps as are returned; `tried`: the steps tried. Collective. */
static int foresee_reach(const forecast *f, double sent[CF_MAX_HOPS + 1], int *tried)
{
    nearness n = {.f = f, .p = f->model->propagation};
    double share;

    begin_nearness(&n);
    sent[0] = count_sent(&n);
    *tried = 0;
    share = share_of_edges(&n);
    while (*tried < n.p.reach.most && n.p.share > 0 && share <= n.p.share / 2) {
        n.step = ++*tried;
        cf_graph_sum(n.p.graph, n.p.field[0], visit_nearness, &n);
        propagation_swap(&n.p);
        share = share_of_edges(&n);
        if (share > n.p.share) return *tried - 1;
        sent[*tried] = count_sent(&n);
    }
    return *tried;
}

/* Rows within k steps for G_k, there and, but for the last, back; all of the halo where the reach
 * ends before, and for views; those of the batch for the first sum back. Marks of the reach. */
static void add_halo(forecast *f)
{
    const cf_model *model = f->model;
    const int layers = model->propagation.layers, others = model->grid->n_rows - 1;
    const double row_bytes = 4.0 * (double)model->table[0]->width;
    double sent[CF_MAX_HOPS + 1], rows, all = 0, halo = 0;
    int tried, depth;

    if (layers == 0 || others == 0) return;
    depth = foresee_reach(f, sent, &tried);
    for (int side = 0; side < 2; side++) {
        int64_t n_sent;

        (void)cf_graph_sent(model->graph, (cf_side)side, &n_sent);
        all += (double)n_sent;
        halo += (double)cf_graph_halo(model->graph, (cf_side)side);
    }
    rows = model->kind->views ? 4 * layers * all : 0;
    for (int k = 1; k <= layers; k++)
        rows += (k < layers ? 2 : 1) * (k > depth ? all : sent[k]);
    f->bytes[CF_PHASE_HALO] += rows * row_bytes + sent[0] * (4 + row_bytes) +
                               2 * 4 * others /* counts */ + tried * (all + halo);
    if (model->propagation.share > 0)
        f->bytes[CF_PHASE_HALO] += (tried + 1) * forecast_allreduce(&model->grid->column, 8);
}

/* ---- Rows of the batch ---- */

/* wanted[p]: distinct items of block p that my samples have. `items`: of all my edges to other
 * blocks, ascending. */
static void count_wanted(forecast *f, const int64_t *items, int64_t n)
{
    const cf_blocks *blocks = &f->model->shard->items;
    const double by_chance = 1 - no_negative(f, f->mine); /* an item that none of my users has */

    for (int p = 0; p < blocks->count; p++)
        f->wanted[p] = p == f->model->grid->my_row
                           ? 0
                           : by_chance * (double)(blocks->start[p + 1] - blocks->start[p]);
    for (int64_t k = 0, next; k < n; k = next) {
        for (next = k + 1; next < n && items[next] == items[k]; next++)
            continue;
        f->wanted[cf_par_block_of(blocks, items[k])] +=
            (1 - by_chance) * (1 - none_of((double)(next - k), f->share));
    }
}

/* Users whose row goes to each owner of other blocks' items: owners of a positive or a negative. */
static double count_user_rows(const forecast *f)
{
    const cf_shard *shard = f->model->shard;
    const int me = f->model->grid->my_row;
    double sum = 0;

    for (int64_t u = 0; u < shard->n_users; u++) {
        const int64_t *item = shard->train.index + shard->train.start[u],
                      *end = shard->train.index + shard->train.start[u + 1];
        const double degree = (double)(end - item);

        for (int p = 0; p < shard->items.count; p++) {
            const int64_t first = shard->items.start[p], last = shard->items.start[p + 1];
            const double in_block =
                (double)(last - first) / (double)shard->items.start[shard->items.count];
            int64_t there = 0;

            for (; item < end && *item < last; item++)
                there++;
            if (p != me)
                sum += 1 - none_of((double)there, f->share) *
                               none_of(degree - (double)there, f->share * in_block);
        }
    }
    return sum;
}

/* Items wanted and asked for, their rows, scores, and gradients on their way back. `crossing`:
 * edges to other blocks. */
static void add_rows(forecast *f, int64_t crossing)
{
    const cf_grid *grid = f->model->grid;
    const cf_shard *shard = f->model->shard;
    const cf_table *table = f->model->table[0];
    const double row_bytes = 4.0 * (double)table->width, others = grid->n_rows - 1;
    double wanted = 0, asked = 0, occurrences;

    for (int p = 0; p < grid->n_rows; p++) {
        wanted += f->wanted[p];
        asked += f->asked[p];
    }
    f->bytes[CF_PHASE_BATCH] += 4 * others + 8 * wanted;
    if (!f->model->kind->negatives) return; /* rows are gathered whole */
    occurrences = f->share * (double)crossing +
                  f->mine * (1 - (double)shard->n_items / (double)f->model->table[1]->n_rows);
    f->bytes[CF_PHASE_SCORES] +=
        asked * row_bytes +
        f->mine * 4 * (double)(table->width / CF_LANES) * (grid->n_columns - 1) +
        forecast_allreduce(&grid->world, PAIRWISE_SUMS * (double)sizeof(cf_exact));
    f->bytes[CF_PHASE_GRADIENT] += 2 * 4 * others + occurrences * (double)sizeof(occurrence);
    if (others > 0) f->bytes[CF_PHASE_GRADIENT] += count_user_rows(f) * row_bytes;
}

void forecast_whole_batch(forecast *f)
{
    const cf_grid *grid = f->model->grid;
    const double row_bytes = 4.0 * (double)f->model->table[0]->width;

    f->bytes[CF_PHASE_BATCH] += (grid->n_rows - 1) * (4 + 24 * f->mine);
    for (int side = 0; side < 2; side++)
        f->bytes[CF_PHASE_CONTRAST] += (grid->world.size - 1) * row_bytes * f->my_distinct[side];
}

/* ---- All of it ---- */

static void count_distinct(forecast *f)
{
    for (int side = 0; side < 2; side++) {
        const int64_t n = cf_graph_rows(f->model->graph, (cf_side)side);

        f->my_distinct[side] = 0;
        for (int64_t row = 0; row < n; row++)
            f->my_distinct[side] +=
                1 - none_of((double)cf_graph_degree(f->model->graph, (cf_side)side, row), f->share);
        f->distinct[side] = f->my_distinct[side];
    }
    MPI_Allreduce(MPI_IN_PLACE, f->distinct, 2, MPI_DOUBLE, MPI_SUM, f->model->grid->column.comm);
}

/* A batch of `size`: what it sends, `weight` times. Collective over the grid column. */
static void add_batch(forecast *f, double size, double weight, const int64_t *items, int64_t n)
{
    const cf_lists *train = &f->model->shard->train;
    double *const out = f->bytes;
    double bytes[CF_N_PHASES] = {0};

    f->bytes = bytes;
    f->size = size;
    f->share = size / (double)f->model->n_train;
    f->mine = f->share * (double)train->start[train->count];
    count_distinct(f);
    count_wanted(f, items, n);
    MPI_Alltoall(f->wanted, 1, MPI_DOUBLE, f->asked, 1, MPI_DOUBLE, f->model->grid->column.comm);
    add_halo(f);
    add_rows(f, n);
    if (f->model->kind->forecast != NULL) f->model->kind->forecast(f);
    f->bytes = out;
    for (int p = 0; p < CF_N_PHASES; p++)
        out[p] += weight * bytes[p];
}

/* Items of my edges that are of other blocks, ascending, with repeats; new. */
static cf_status collect_crossing(const cf_model *model, int64_t **out, int64_t *n_out)
{
    const cf_shard *shard = model->shard;
    const int64_t n = shard->train.start[shard->train.count], *index = shard->train.index;
    const int64_t first = shard->first_item, end = first + shard->n_items;
    int64_t *items = NULL, *scratch = NULL, count = 0;
    cf_status status = CF_OK;

    for (int64_t e = 0; e < n; e++)
        count += index[e] < first || index[e] >= end;
    CF_TRY(CF_ALLOC(items, count));
    CF_TRY(CF_ALLOC(scratch, count));
    count = 0;
    for (int64_t e = 0; e < n; e++)
        if (index[e] < first || index[e] >= end) items[count++] = index[e];
    cf_sort_u64((uint64_t *)items, (uint64_t *)scratch, count);
    *out = items;
    *n_out = count;
    items = NULL;
done:
    cf_free(&items);
    cf_free(&scratch);
    return status;
}

cf_status cf_model_predict_step(const cf_model *model, int64_t batch_size,
                                double bytes[CF_N_PHASES])
{
    const double n_full = (double)(model->n_train / batch_size),
                 rest = (double)(model->n_train % batch_size), n_batches = n_full + (rest > 0);
    double found[CF_N_PHASES] = {0};
    forecast f = {.model = model, .bytes = found};
    int64_t *items = NULL, n = 0;
    cf_status status = collect_crossing(model, &items, &n);

    if (status == CF_OK) status = CF_ALLOC(f.wanted, model->grid->n_rows);
    if (status == CF_OK) status = CF_ALLOC(f.asked, model->grid->n_rows);
    CF_TRY(cf_par_agree(&model->grid->world, status));
    add_batch(&f, (double)batch_size, n_full / n_batches, items, n);
    if (rest > 0) add_batch(&f, rest, 1 / n_batches, items, n);
    memcpy(bytes, found, sizeof found);
done:
    cf_free(&items);
    cf_free(&f.wanted);
    cf_free(&f.asked);
    return status;
}
