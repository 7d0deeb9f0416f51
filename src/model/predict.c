/* The expected bytes that a rank sends in a step, by phase.
 *
 * The halo is known from the graph. What depends on the batch is computed as if each sample were
 * drawn independently: an interaction is a sample's with chance 1 / n_train, an item its negative
 * with chance 1 / n_warm, if it is a warm one. (In truth a batch has no interaction twice, and
 * negatives avoid the user's own items; for a batch that is a small fraction of the interactions
 * the difference is small.) A row needed by n samples of chance p each is then in the batch with
 * chance 1 - (1 - p)^n, and expectations add up over rows. Messages are those of the files that
 * send them: requests.c, occurrences.c, pairwise.c, global_batch.c, and of graph. The tests compare
 * with counted bytes. */
#include "predict.h"

#include "pairwise.h"

#include <math.h>
#include <string.h>

double forecast_allreduce(const cf_par *par, double bytes)
{
    return floor(2 * bytes * (par->size - 1) / par->size);
}

/* Chance that none of `n` independent events of chance `each` happens. */
static double none_of(double n, double each)
{
    return each < 1 ? exp(n * log1p(-each)) : n > 0 ? 0.0 : 1.0;
}

/* Chance that none of `samples` samples has a certain warm item as its negative. */
static double no_negative(const forecast *f, double samples)
{
    return f->model->ops->negatives ? none_of(samples, 1.0 / (double)f->n_warm) : 1.0;
}

/* ---- Halo ---- */

/* Chances that rows are near the batch: hop by hop, the log of the chance that a row is *not*
 * within `hop` hops of it. They are summed over neighbours in the model's own fields, which are
 * scratch between two steps: the first THIRDS numbers of a row add up to its log. */
typedef struct nearness {
    const forecast *f;
    propagation *p;
    int hop;
    double log_no_negative;        /* of an item: that it is no sample's negative */
    float *log[2], *log_before[2]; /* owned rows: within `hop` hops, within hop - 1; borrowed */
} nearness;

/* log(1 - each), kept finite for certain events, so that logs can be added. */
static double log_none(double each)
{
    return each < 1 ? log1p(-each) : -100;
}

/* Hop 0: a row is in the batch if one of its interactions is, or if it is a negative. (The row of a
 * cold item has no edge, so nothing that is counted here depends on it.) */
static void begin_nearness(nearness *n)
{
    const cf_graph *graph = n->p->graph;

    n->hop = 0;
    n->log_no_negative =
        n->f->model->ops->negatives ? n->f->size * log_none(1.0 / (double)n->f->n_warm) : 0;
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < cf_graph_rows(graph, (cf_side)side); row++)
            n->log[side][row] = (float)((double)cf_graph_degree(graph, (cf_side)side, row) *
                                            log_none(n->f->fraction) +
                                        (side == CF_ITEMS ? n->log_no_negative : 0));
}

/* The bits of a float are cut into three that bfloat16 holds exactly, of 8 each. */
enum { THIRDS = 3 };

static void fill_field(const nearness *n)
{
    const cf_field *field = &n->p->field[0];
    float *row = cf_graph_scratch(n->p->graph);

    memset(row, 0, (size_t)field->kind.width * sizeof *row);
    for (int side = 0; side < 2; side++)
        for (int64_t k = 0; k < cf_graph_rows(n->p->graph, (cf_side)side); k++) {
            float rest = n->log[side][k];

            for (int third = 0; third < THIRDS; third++) {
                uint32_t bits;

                memcpy(&bits, &rest, sizeof bits);
                bits &= 0xffff0000;
                memcpy(&row[third], &bits, sizeof bits);
                rest -= row[third];
            }
            cf_graph_store_row(field->kind, field->rows[side] + k * field->stride, row, 1);
        }
}

/* A row is within k hops if a neighbour is within k - 1. The misses of its neighbours are nearly
 * independent but for what is within k - 2 hops of the row itself, which they all share: it counts
 * once, not once a neighbour. (What else they share is counted more than once.) For the first hop,
 * that is: all samples of a neighbour, and the row itself as a negative. */
static void nearness_layer(void *context, const cf_rows *rows)
{
    const nearness *n = context;

    for (int k = 0; k < rows->count; k++) {
        const int64_t row = rows->rows[k];
        const float *sums = rows->sums + k * n->p->field[0].kind.width;
        float *out = &n->log_before[rows->side][row];
        const double others = (double)cf_graph_degree(n->p->graph, rows->side, row) - 1;
        const double negative = rows->side == CF_ITEMS ? n->log_no_negative : 0;
        double sum = n->hop == 1 ? negative : -others * (double)*out;

        for (int third = 0; third < THIRDS; third++)
            sum += (double)sums[third];
        *out = (float)fmin(0, sum);
    }
}

/* One hop further. Collective over the grid column. */
static void add_hop(nearness *n)
{
    n->hop++;
    fill_field(n);
    cf_graph_sum(n->p->graph, n->p->field[0], nearness_layer, n);
    for (int side = 0; side < 2; side++) {
        float *const before = n->log[side];

        n->log[side] = n->log_before[side];
        n->log_before[side] = before;
    }
}

/* Chance that a row is within the hops so far. */
static double chance_of(const nearness *n, int side, int64_t row)
{
    return -expm1((double)n->log[side][row]);
}

/* Expected fraction of all edges that the rows within the hops so far have. Collective over the
 * grid column. */
static double edge_fraction(const nearness *n)
{
    double edges[2] = {0, 0};

    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < cf_graph_rows(n->p->graph, (cf_side)side); row++) {
            const double degree = (double)cf_graph_degree(n->p->graph, (cf_side)side, row);

            edges[0] += degree * chance_of(n, side, row);
            edges[1] += degree;
        }
    MPI_Allreduce(MPI_IN_PLACE, edges, 2, MPI_DOUBLE, MPI_SUM, n->f->model->grid->column.comm);
    return edges[1] > 0 ? edges[0] / edges[1] : 0;
}

/* Expected rows that a halo exchange sends, of those within the hops so far. */
static double count_sent(const nearness *n)
{
    const int64_t n_users = cf_graph_rows(n->p->graph, CF_USERS);
    int64_t n_sent;
    const int32_t *sent = cf_graph_requested(n->p->graph, &n_sent);
    double sum = 0;

    for (int64_t k = 0; k < n_sent; k++)
        sum += sent[k] < n_users ? chance_of(n, CF_USERS, sent[k])
                                 : chance_of(n, CF_ITEMS, sent[k] - n_users);
    return sum;
}

/* Expected rows that the last sum forward sends, after the first hop: to each other node the rows
 * that have a neighbour there which is in the batch. The neighbours of a row are taken to have like
 * chances. */
static double count_touched(const nearness *n, cf_side side)
{
    const cf_shard *shard = n->f->model->shard;
    const cf_lists *lists = side == CF_USERS ? &shard->train : &shard->train_by_item;
    const cf_blocks *blocks = side == CF_USERS ? &shard->items : &shard->users;
    const int *node_of = n->f->node_of, here = node_of[n->f->model->grid->my_row];
    double sum = 0;

    for (int64_t row = 0; row < lists->count; row++) {
        const int64_t end = lists->start[row + 1];
        const double each =
            ((double)n->log[side][row] - (side == CF_ITEMS ? n->log_no_negative : 0)) /
            (double)(end - lists->start[row]);

        for (int64_t e = lists->start[row], next; e < end; e = next) {
            const int node = node_of[cf_par_block_of(blocks, lists->index[e])];

            for (next = e + 1; next < end; next++)
                if (node_of[cf_par_block_of(blocks, lists->index[next])] != node) break;
            if (node != here) sum -= expm1((double)(next - e) * each);
        }
    }
    return sum;
}

/* Rows within hops, as far as they were tried, and what exchanges of them send. */
typedef struct hop_forecast {
    int n_hops, tried;
    double sent[CF_MAX_HOPS + 1]; /* rows within k hops */
    double touched;               /* rows that the last sum needs; where a hop was tried */
} hop_forecast;

/* Follows cf_graph_find_hops(). Collective over the grid column. */
static void predict_hops(const forecast *f, hop_forecast *out)
{
    propagation *p = &f->model->propagation;
    nearness n = {.f = f, .p = p};
    double fraction;

    for (int side = 0; side < 2; side++) {
        n.log[side] = f->log[side];
        n.log_before[side] = f->log[side] + cf_graph_rows(p->graph, (cf_side)side);
    }
    begin_nearness(&n);
    *out = (hop_forecast){.sent = {count_sent(&n)}};
    fraction = edge_fraction(&n);
    while (out->tried < p->hops.max_hops && p->max_edge_fraction > 0 &&
           fraction <= p->max_edge_fraction / 2) {
        add_hop(&n);
        if (++out->tried == 1)
            out->touched = count_touched(&n, CF_USERS) + count_touched(&n, CF_ITEMS);
        fraction = edge_fraction(&n);
        if (fraction > p->max_edge_fraction) return;
        out->n_hops = out->tried;
        out->sent[out->tried] = count_sent(&n);
    }
}

/* Rows that all halo exchanges of a step send. Layer k exchanges the rows within k hops, forward
 * and, but for the last layer, backward; all of the halo if the neighbourhood has fewer hops. The
 * last sum forward is sent the neighbours of the batch alone, if they are known. The two views of
 * SGL are propagated over all rows, forward and backward. */
static double count_halo_rows(const cf_model *model, const hop_forecast *hops, double all)
{
    const int n_layers = model->propagation.n_layers;
    double rows = model->ops->views ? 4 * n_layers * all : 0;

    for (int k = 1; k <= n_layers; k++) {
        const double within = k > hops->n_hops ? all : hops->sent[k];

        rows += k == 1 && hops->tried > 0 ? hops->touched : within;
        if (k < n_layers) rows += within;
    }
    return rows;
}

/* The halo exchanges, the exchange of the sparse gradient (its rows, their indices, and counts),
 * and what finding the neighbourhood sends: a byte a halo row there and back for each hop, and
 * sums. */
static void add_halo(forecast *f)
{
    const cf_model *model = f->model;
    const cf_grid *grid = model->grid;
    const int others = grid->n_rows - 1;
    const bool crosses = grid->node.size < grid->n_rows; /* the column has other nodes */
    const double row_bytes = 4.0 * (double)model->propagation.field[0].stride;
    hop_forecast hops;
    double all, halo;
    int64_t n_sent;

    if (model->in_steps->n_layers == 0 || others == 0) return;
    predict_hops(f, &hops);
    (void)cf_graph_requested(model->graph, &n_sent);
    all = (double)n_sent;
    halo = (double)cf_graph_halo(model->graph);
    f->bytes[CF_PHASE_HALO] += count_halo_rows(model, &hops, all) * row_bytes +
                               hops.sent[0] * (4 + row_bytes) + hops.tried * (all + halo);
    if (crosses) f->bytes[CF_PHASE_HALO] += 4 * others;
    if (model->propagation.max_edge_fraction > 0)
        f->bytes[CF_PHASE_HALO] += (hops.tried + 1) * forecast_allreduce(&model->grid->column, 8);
}

/* ---- Rows of the batch ---- */

/* requests[p]: distinct items of block p in my samples, as a positive or a negative; my own block
 * costs nothing. `items`: those of all my edges to other blocks, ascending. */
static void count_requests(forecast *f, const int64_t *items, int64_t n)
{
    const cf_blocks *blocks = &f->model->shard->items;
    const double by_chance = 1 - no_negative(f, f->mine); /* an item that none of my users has */

    for (int p = 0; p < blocks->count; p++)
        f->requests[p] = p == f->model->grid->my_row ? 0 : by_chance * (double)f->warm[p];
    for (int64_t k = 0, next; k < n; k = next) {
        for (next = k + 1; next < n && items[next] == items[k]; next++)
            continue;
        f->requests[cf_par_block_of(blocks, items[k])] +=
            (1 - by_chance) * (1 - none_of((double)(next - k), f->fraction));
    }
}

/* User rows that occurrences.c sends: a user's row goes to each rank that owns a positive or a
 * negative of one of its samples. */
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
            const int64_t last = shard->items.start[p + 1];
            const double in_block = (double)f->warm[p] / (double)f->n_warm;
            int64_t there = 0;

            for (; item < end && *item < last; item++)
                there++;
            if (p != me)
                sum += 1 - none_of((double)there, f->fraction) *
                               none_of(degree - (double)there, f->fraction * in_block);
        }
    }
    return sum;
}

/* A pairwise loss: requests for items, their rows, segments of scores, and occurrences with the
 * user rows they need. n_crossing: edges to other blocks. */
static void add_pairwise(forecast *f, int64_t n_crossing)
{
    const cf_grid *grid = f->model->grid;
    const cf_table *table = f->model->table[0];
    const double row_bytes = 4.0 * (double)table->width, others = grid->n_rows - 1;
    double requests = 0, replies = 0, n_occurrences;

    for (int p = 0; p < grid->n_rows; p++) {
        requests += f->requests[p];
        replies += f->replies[p];
    }
    n_occurrences = f->fraction * (double)n_crossing +
                    f->mine * (1 - (double)f->warm[grid->my_row] / (double)f->n_warm);
    f->bytes[CF_PHASE_BATCH] += 4 * others + 8 * requests;
    f->bytes[CF_PHASE_SCORES] +=
        replies * row_bytes +
        f->mine * 4 * (double)(table->width / CF_LANES) * (grid->n_columns - 1) +
        forecast_allreduce(&grid->world, PAIRWISE_SUMS * (double)sizeof(cf_exact));
    f->bytes[CF_PHASE_GRADIENT] += 2 * 4 * others + n_occurrences * (double)sizeof(occurrence);
    if (others > 0) f->bytes[CF_PHASE_GRADIENT] += count_user_rows(f) * row_bytes;
}

void forecast_global_batch(forecast *f)
{
    const cf_grid *grid = f->model->grid;
    const double row_bytes = 4.0 * (double)f->model->table[0]->width;

    f->bytes[CF_PHASE_BATCH] += (grid->n_rows - 1) * (4 + 24 * f->mine);
    for (int side = 0; side < 2; side++)
        f->bytes[CF_PHASE_CONTRAST] += (grid->world.size - 1) * row_bytes * f->my_distinct[side];
}

/* ---- All of it ---- */

/* Expected distinct users and positives of the batch: mine, and all. Collective over the grid
 * column. */
static void count_distinct(forecast *f)
{
    for (int side = 0; side < 2; side++) {
        const int64_t n = cf_graph_rows(f->model->graph, (cf_side)side);

        f->my_distinct[side] = 0;
        for (int64_t row = 0; row < n; row++)
            f->my_distinct[side] +=
                1 -
                none_of((double)cf_graph_degree(f->model->graph, (cf_side)side, row), f->fraction);
        f->distinct[side] = f->my_distinct[side];
    }
    MPI_Allreduce(MPI_IN_PLACE, f->distinct, 2, MPI_DOUBLE, MPI_SUM, f->model->grid->column.comm);
}

/* Add what a batch of `size` samples sends, times `weight`. Collective over the grid column. */
static void add_batch(forecast *f, double size, double weight, const int64_t *items, int64_t n)
{
    const cf_lists *train = &f->model->shard->train;
    double *const out = f->bytes;
    double bytes[CF_N_PHASES] = {0};

    f->bytes = bytes;
    f->size = size;
    f->fraction = size / (double)f->model->n_train;
    f->mine = f->fraction * (double)train->start[train->count];
    count_distinct(f);
    count_requests(f, items, n);
    MPI_Alltoall(f->requests, 1, MPI_DOUBLE, f->replies, 1, MPI_DOUBLE,
                 f->model->grid->column.comm);
    add_halo(f);
    if (f->model->ops->negatives) add_pairwise(f, n);
    if (f->model->ops->predict != NULL) f->model->ops->predict(f);
    f->bytes = out;
    for (int p = 0; p < CF_N_PHASES; p++)
        out[p] += weight * bytes[p];
}

/* Items of my edges to other blocks, ascending, with repeats; a new array. */
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

/* The items of each block that may be negatives. */
static void count_warm(forecast *f)
{
    const cf_shard *shard = f->model->shard;

    for (int p = 0; p < shard->items.count; p++) {
        for (int64_t i = shard->items.start[p]; i < shard->items.start[p + 1]; i++)
            f->warm[p] += !cf_is_cold(shard->cold, i);
        f->n_warm += f->warm[p];
    }
}

/* The ranks of a node are consecutive in the column. Collective over the grid column. */
static void find_nodes(forecast *f)
{
    const cf_grid *grid = f->model->grid;
    const int first = grid->my_row - grid->node.rank;

    MPI_Allgather(&first, 1, MPI_INT, f->node_of, 1, MPI_INT, grid->column.comm);
}

/* The last batch of an epoch is smaller; the mean weighs both sizes. */
static cf_status predict_batches(cf_model *model, int64_t batch_size, double bytes[CF_N_PHASES])
{
    const double n_full = (double)(model->n_train / batch_size),
                 rest = (double)(model->n_train % batch_size), n_batches = n_full + (rest > 0);
    double found[CF_N_PHASES] = {0};
    forecast f = {.model = model, .bytes = found};
    int64_t *items = NULL, n = 0;
    cf_status status = collect_crossing(model, &items, &n);

    if (status == CF_OK) status = CF_ALLOC(f.requests, model->grid->n_rows);
    if (status == CF_OK) status = CF_ALLOC(f.replies, model->grid->n_rows);
    if (status == CF_OK) status = CF_ALLOC(f.warm, model->grid->n_rows);
    if (status == CF_OK) status = CF_ALLOC(f.node_of, model->grid->n_rows);
    for (int side = 0; side < 2 && status == CF_OK; side++)
        status = CF_ALLOC(f.log[side], 2 * model->table[side]->local_rows);
    CF_TRY(cf_par_agree(&model->grid->world, status));
    count_warm(&f);
    find_nodes(&f);
    add_batch(&f, (double)batch_size, n_full / n_batches, items, n);
    if (rest > 0) add_batch(&f, rest, 1 / n_batches, items, n);
    memcpy(bytes, found, sizeof found);
done:
    cf_free(&items);
    cf_free(&f.requests);
    cf_free(&f.replies);
    cf_free(&f.warm);
    cf_free(&f.node_of);
    cf_free(&f.log[CF_USERS]);
    cf_free(&f.log[CF_ITEMS]);
    return status;
}

cf_status cf_model_predict_step(cf_model *model, int64_t batch_size, double bytes[CF_N_PHASES])
{
    if (model->ops->sweep == NULL) return predict_batches(model, batch_size, bytes);
    memset(bytes, 0, CF_N_PHASES * sizeof *bytes);
    model->ops->predict_sweep(model, bytes);
    return CF_OK;
}
