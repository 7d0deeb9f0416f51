#include "internal.h"

#include <math.h>
#include <string.h>

static const float *wanted_row(const batch_rows *rows, int64_t occurrence_place)
{
    const float *final = rows->column->size == 1 ? rows->final[CF_ITEMS] : rows->wanted_final;

    return final + rows->item_slot[occurrence_place] * rows->width;
}

/* For each of my samples and local segments: u . (i - j) over the segment's 16 dimensions. out:
 * count x segments. */
static void score_segments(const batch_rows *rows, int64_t count, float *out)
{
    const int64_t segments = rows->width / CF_LANES;

#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < count; n++) {
        const float *user = rows->final[CF_USERS] + rows->user_slot[n] * rows->width;
        const float *positive = wanted_row(rows, 2 * n), *negative = wanted_row(rows, 2 * n + 1);

        for (int64_t s = 0; s < segments; s++) {
            const cf_lanes difference =
                cf_lanes_load(positive + s * CF_LANES) - cf_lanes_load(negative + s * CF_LANES);

            out[n * segments + s] = cf_lanes_sum(cf_lanes_load(user + s * CF_LANES) * difference);
        }
    }
}

/* Segments of all slices, side by side by rank of the grid row. Returns the array to read; volume:
 * count x segments floats to each rank. */
static const float *join_slices(cf_model *model, int64_t count)
{
    const cf_par *row = &model->grid->row;
    const int64_t dim = model->table[CF_USERS]->dim;
    float *mine = model->segment_scores;
    float *all = mine + model->rows.capacity / 2 * (model->rows.width / CF_LANES);

    if (row->size == 1) return mine;
    for (int c = 0; c < row->size; c++)
        model->row_counts[c] = cf_par_count(count * (cf_table_slice_start(dim, row->size, c + 1) -
                                                     cf_table_slice_start(dim, row->size, c)));
    cf_par_displacements(model->row_counts, model->row_starts, row->size);
    MPI_Allgatherv(mine, model->row_counts[row->rank], MPI_FLOAT, all, model->row_counts,
                   model->row_starts, MPI_FLOAT, row->comm);
    return all;
}

/* x_n = u . (i - j): segments added in their global order. */
static double join_score(const cf_model *model, const float *segments, int64_t count, int64_t n)
{
    const int64_t dim = model->table[CF_USERS]->dim;
    const int slices = model->grid->row.size;
    double score = 0;

    for (int c = 0; c < slices; c++) {
        const int64_t here =
            cf_table_slice_start(dim, slices, c + 1) - cf_table_slice_start(dim, slices, c);

        for (int64_t s = 0; s < here; s++)
            score += (double)segments[n * here + s];
        segments += count * here;
    }
    return score;
}

/* Loss of each sample into `loss`, its derivative into `coefficient`. */
static void differentiate(cf_model *model, const cf_batch *batch, const float *segments,
                          cf_exact *loss)
{
    for (int64_t n = 0; n < batch->count; n++) {
        const double x = join_score(model, segments, batch->count, n);
        const double p = 1.0 / (1.0 + exp(-x));

        if (model->kind->sums) { /* -log sigmoid(x) */
            model->coefficient[n] = (float)(p - 1.0);
            cf_exact_add(loss, x > 0 ? log1p(exp(-x)) : log1p(exp(x)) - x);
        } else { /* -log(1e-10 + sigmoid(x)) / batch size */
            model->coefficient[n] = (float)(-p * (1.0 - p) / (1e-10 + p) / (double)batch->size);
            cf_exact_add(loss, -log(1e-10 + p));
        }
    }
}

/* ---- Regularization ---- */

/* How often item row k stands in the batch as positive (0) and as negative (1). */
static void count_roles(const batch_rows *rows, int64_t k, int64_t count[2])
{
    count[0] = count[1] = 0;
    for (int64_t e = rows->item_start[k]; e < rows->item_start[k + 1]; e++)
        count[rows->came[rows->came_order[e]].order % 2]++;
}

/* Raw row of the batch's row k. They lie scattered: one further on is sent for. */
static const float *raw_row(const cf_model *model, cf_side side, int64_t k)
{
    const batch_rows *rows = &model->rows;
    const float *table = model->table[side]->data;
    const int64_t further = k + 8 < rows->n_rows[side] ? k + 8 : k;

    cf_lanes_prefetch(table + rows->rows[side][further] * rows->width, rows->width);
    return table + rows->rows[side][k] * rows->width;
}

static void add_norm(cf_exact *sum, const float *raw, int64_t width, int64_t times)
{
    if (times == 0) return;
    for (int64_t k = 0; k < width; k += CF_LANES) {
        const cf_lanes x = cf_lanes_load(raw + k);

        cf_exact_add(sum, (double)times * (double)cf_lanes_sum(x * x));
    }
}

/* Squared norms of the batch's raw rows, repeats counted: exact sums of the segments', so that
 * blocks and slices add up alike. */
static void add_norms(const cf_model *model, cf_exact sums[PAIRWISE_SUMS])
{
    const batch_rows *rows = &model->rows;
    const int64_t width = rows->width;

#pragma omp parallel
    {
        cf_exact mine[PAIRWISE_SUMS] = {0};

#pragma omp for schedule(static) nowait
        for (int64_t k = 0; k < rows->n_rows[CF_USERS]; k++)
            add_norm(&mine[SUM_USERS], raw_row(model, CF_USERS, k), width,
                     rows->user_start[k + 1] - rows->user_start[k]);
#pragma omp for schedule(static) nowait
        for (int64_t k = 0; k < rows->n_rows[CF_ITEMS]; k++) {
            const float *raw = raw_row(model, CF_ITEMS, k);
            int64_t count[2];

            count_roles(rows, k, count);
            add_norm(&mine[SUM_POSITIVES], raw, width, count[0]);
            add_norm(&mine[SUM_NEGATIVES], raw, width, count[1]);
        }
#pragma omp critical
        for (int k = SUM_USERS; k <= SUM_NEGATIVES; k++)
            cf_exact_merge(&sums[k], &mine[k]);
    }
}

/* Weight of a raw row in its own gradient: times[k] occurrences under squared norm squares[k]. */
static float decay_of(const cf_model *model, const int64_t *times, const double *squares, int n,
                      int64_t batch_size)
{
    double sum = 0;

    for (int k = 0; k < n; k++) {
        if (model->require_pow)
            sum += (double)times[k];
        else if (squares[k] > 0)
            sum += (double)times[k] / sqrt(squares[k]);
    }
    return (float)(model->reg_weight * sum / (double)batch_size);
}

static void set_decay(cf_model *model, const double squares[PAIRWISE_SUMS], int64_t batch_size)
{
    const batch_rows *rows = &model->rows;

    for (int64_t k = 0; k < rows->n_rows[CF_USERS]; k++) {
        const int64_t times = rows->user_start[k + 1] - rows->user_start[k];

        model->gradient.decay[CF_USERS][k] =
            decay_of(model, &times, &squares[SUM_USERS], 1, batch_size);
    }
    for (int64_t k = 0; k < rows->n_rows[CF_ITEMS]; k++) {
        int64_t count[2];

        count_roles(rows, k, count);
        model->gradient.decay[CF_ITEMS][k] =
            decay_of(model, count, &squares[SUM_POSITIVES], 2, batch_size);
    }
}

static double regularization(const cf_model *model, const double squares[PAIRWISE_SUMS],
                             int64_t batch_size)
{
    double sum = 0;

    for (int k = SUM_USERS; k <= SUM_NEGATIVES; k++)
        sum += model->require_pow ? squares[k] / 2 : sqrt(squares[k]);
    return model->reg_weight * sum / (double)batch_size;
}

/* ---- Gradient of final rows ---- */

void gradient_scale_row(cf_model *model, cf_side side, int64_t k)
{
    const int64_t width = model->rows.width;
    const cf_lanes scale =
        cf_lanes_all(cf_graph_scale(model->graph, side)[model->rows.rows[side][k]]);
    const float *value = model->gradient.values[side] + k * width;
    float *scaled = model->gradient.scaled.values[side] + k * width;

    for (int64_t d = 0; d < width; d += CF_LANES)
        cf_lanes_store(scaled + d, cf_lanes_load(value + d) * scale);
}

/* User k: sum over its samples, in order of place, of c (i - j). */
static void user_gradient(cf_model *model, int64_t k)
{
    const batch_rows *rows = &model->rows;
    float *out = model->gradient.values[CF_USERS] + k * rows->width;

    for (int64_t d = 0; d < rows->width; d += CF_LANES) {
        cf_lanes sum = {0};

        for (int64_t e = rows->user_start[k]; e < rows->user_start[k + 1]; e++) {
            const int64_t n = rows->by_user[e];

            sum = cf_lanes_fma(cf_lanes_all(model->coefficient[n]),
                               cf_lanes_load(wanted_row(rows, 2 * n) + d) -
                                   cf_lanes_load(wanted_row(rows, 2 * n + 1) + d),
                               sum);
        }
        cf_lanes_store(out + d, sum);
    }
}

/* Item k: sum over its occurrences, in their order, of +-c u. */
static void item_gradient(cf_model *model, int64_t k)
{
    const batch_rows *rows = &model->rows;
    const float *users = rows->column->size == 1 ? rows->final[CF_USERS] : rows->user_rows;
    float *out = model->gradient.values[CF_ITEMS] + k * rows->width;

    for (int64_t d = 0; d < rows->width; d += CF_LANES) {
        cf_lanes sum = {0};

        for (int64_t e = rows->item_start[k]; e < rows->item_start[k + 1]; e++) {
            const occurrence *o = &rows->came[rows->came_order[e]];

            sum = cf_lanes_fma(cf_lanes_all(o->coefficient),
                               cf_lanes_load(users + o->user * rows->width + d), sum);
        }
        cf_lanes_store(out + d, sum);
    }
}

static void fill_gradient(cf_model *model)
{
    const batch_rows *rows = &model->rows;

    for (int side = 0; side < 2; side++) {
        model->gradient.scaled.count[side] = rows->n_rows[side];
        model->gradient.scaled.rows[side] = rows->rows[side];
#pragma omp parallel for schedule(static, 8)
        for (int64_t k = 0; k < rows->n_rows[side]; k++) {
            if (side == CF_USERS)
                user_gradient(model, k);
            else
                item_gradient(model, k);
            gradient_scale_row(model, (cf_side)side, k);
        }
    }
}

/* ---- Step ---- */

void pairwise_forward(cf_model *model, const cf_batch *batch, cf_exact sums[PAIRWISE_SUMS])
{
    batch_rows *rows = &model->rows;
    const cf_phase before = cf_par_set_phase(CF_PHASE_BATCH);

    memset(sums, 0, PAIRWISE_SUMS * sizeof *sums);
    batch_rows_find(rows, batch);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_rows(&model->propagation, rows->rows, rows->n_rows, rows->final);
    cf_par_set_phase(CF_PHASE_SCORES);
    batch_rows_fetch(rows);
    score_segments(rows, batch->count, model->segment_scores);
    differentiate(model, batch, join_slices(model, batch->count), &sums[SUM_LOSS]);
    cf_par_set_phase(CF_PHASE_GRADIENT);
    batch_rows_return(rows, batch, model->coefficient);
    cf_par_set_phase(CF_PHASE_SCORES);
    if (model->reg_weight > 0) add_norms(model, sums);
    cf_par_restore_phase(before);
    /* a grid row's ranks all have the same losses: one of them brings them */
    if (model->grid->my_column != 0) sums[SUM_LOSS] = (cf_exact){0};
}

cf_status pairwise_loss(cf_model *model, const cf_batch *batch, cf_exact sums[PAIRWISE_SUMS],
                        cf_loss *loss)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_SCORES);
    double value[PAIRWISE_SUMS];
    cf_loss found;

    cf_par_sum_exact(&model->grid->world, sums, PAIRWISE_SUMS);
    cf_par_restore_phase(before);
    for (int k = 0; k < PAIRWISE_SUMS; k++)
        value[k] = cf_exact_value(&sums[k]);
    found.ranking = value[SUM_LOSS] / (model->kind->sums ? 1.0 : (double)batch->size);
    found.regularization = model->reg_weight > 0 ? regularization(model, value, batch->size) : 0;
    found.contrast = value[SUM_CONTRAST];
    found.total = found.ranking + found.regularization + found.contrast;
    if (!isfinite(found.total))
        return CF_FAIL(CF_ERR_NUMERIC,
                       "the loss is not finite (ranking %g, regularization %g, contrast %g)",
                       found.ranking, found.regularization, found.contrast);
    set_decay(model, value, batch->size);
    *loss = found;
    return CF_OK;
}

void pairwise_backward(cf_model *model, const cf_gradient_consumer *sink)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_GRADIENT);

    fill_gradient(model);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_back(&model->propagation, &model->gradient, sink);
    cf_par_restore_phase(before);
}

cf_status pairwise_step(cf_model *model, const cf_batch *batch, const cf_gradient_consumer *sink, cf_loss *loss)
{
    cf_exact sums[PAIRWISE_SUMS];
    cf_status status;

    pairwise_forward(model, batch, sums);
    CF_TRY(pairwise_loss(model, batch, sums, loss));
    pairwise_backward(model, sink);
done:
    return status;
}
