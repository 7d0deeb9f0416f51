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
    return 2 * bytes * (par->size - 1) / par->size;
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

/* Chance that an owned row is in the batch at all. */
static double row_chance(const forecast *f, cf_side side, int64_t row)
{
    const double none = none_of((double)cf_graph_degree(f->model->graph, side, row), f->share);

    return 1 - (side == CF_ITEMS ? none * no_negative(f, f->size) : none);
}

/* ---- Halo ---- */

/* All rows of the halo, for each sum over the whole graph; those of the batch for the first one
 * back. */
static void add_halo(forecast *f)
{
    const cf_model *model = f->model;
    const int layers = model->propagation.layers, others = model->grid->n_rows - 1;
    const int n_sums = 2 * layers - 1 + (model->kind->views ? 4 * layers : 0);
    const double row_bytes = 4.0 * (double)model->table[0]->width;

    if (layers == 0 || others == 0) return;
    for (int side = 0; side < 2; side++) {
        int64_t n_sent;
        const int32_t *sent = cf_graph_sent(model->graph, (cf_side)side, &n_sent);
        double in_batch = 0;

        for (int64_t k = 0; k < n_sent; k++)
            in_batch += row_chance(f, (cf_side)side, sent[k]);
        f->bytes[CF_PHASE_HALO] += n_sums * (double)n_sent * row_bytes +
                                   in_batch * (4 + row_bytes) + 4 * others; /* counts */
    }
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
    const cf_dense *table = f->model->table[0];
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
