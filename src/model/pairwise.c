/* The pairwise loss on final rows, forward and backward.
 *
 * Sample n has a user u, a positive item i and a negative item j, with score x_n = u . (i - j)
 * (Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback", section 4). A
 * batch of B samples has the loss
 *
 *     1/B sum_n -log(1e-10 + sigmoid(x_n)),    or, if ops->sums,    sum_n -log sigmoid(x_n),
 *
 * and with c_n = dloss / dx_n the gradients  dloss/du += c_n (i - j),  dloss/di += c_n u,
 * dloss/dj -= c_n u. Users' sums are taken where the samples are, items' where the items are, both
 * in order of positions in the batch.
 *
 * Rows are `width` floats, a rank's slice: a score is summed from segments of 16 dimensions, which
 * the ranks of a grid row gather and add in their global order. Losses are exact sums. So neither
 * depends on the grid. The tests compute all of it in plain doubles, and central differences. */
#include "pairwise.h"

#include "memory.h"

#include <math.h>
#include <string.h>

enum { SAMPLES, SLICE_SEGMENTS, ALL_SEGMENTS, COLUMNS, N_SIZES }; /* of the table of arrays */

static const cf_array arrays[] = {
    CF_ARRAY(pairwise, segment_scores, SLICE_SEGMENTS, 1),
    CF_ARRAY(pairwise, all_scores, ALL_SEGMENTS, 1),
    CF_ARRAY(pairwise, segment_count, COLUMNS, 1),
    CF_ARRAY(pairwise, segment_start, COLUMNS, 1),
    CF_ARRAY(pairwise, coefficient, SAMPLES, 1),
};
enum { N_ARRAYS = sizeof arrays / sizeof *arrays };

/* The three structs lend each other what they share: the order here is that of their dependence. */
cf_status pairwise_create(const cf_model *model, row_sort *sort, int64_t max_batch, pairwise *out)
{
    const cf_table *users = model->table[CF_USERS];
    const batch_layout layout = {.column = &model->grid->column,
                                 .item_blocks = &model->shard->items,
                                 .width = users->width,
                                 .max_batch = max_batch};
    const int64_t sizes[N_SIZES] = {[SAMPLES] = max_batch,
                                    [SLICE_SEGMENTS] = max_batch * (users->width / CF_LANES),
                                    [ALL_SEGMENTS] = max_batch * cf_table_segments(users->dim),
                                    [COLUMNS] = model->grid->n_columns};
    cf_status status;

    CF_TRY(batch_index_create(sort, max_batch, &out->index));
    CF_TRY(item_requests_create(&layout, &out->index, &out->requests));
    CF_TRY(occurrences_create(&layout, &out->requests, &out->occurrences));
    CF_TRY(cf_arrays_create(out, arrays, N_ARRAYS, sizes));
done:
    return status;
}

void pairwise_destroy(pairwise *p)
{
    batch_index_destroy(&p->index);
    item_requests_destroy(&p->requests);
    occurrences_destroy(&p->occurrences);
    cf_arrays_destroy(p, arrays, N_ARRAYS);
}

double pairwise_bytes(const memory_shape *m)
{
    const bool alone = m->n_rows == 1;
    const double sizes[N_SIZES] = {[SAMPLES] = m->batch,
                                   [SLICE_SEGMENTS] = m->batch * m->width / CF_LANES,
                                   [ALL_SEGMENTS] = m->batch * m->full_width / CF_LANES,
                                   [COLUMNS] = m->n_columns};

    return batch_index_bytes(m->batch) + item_requests_bytes(m->batch, m->width, alone) +
           occurrences_bytes(m->batch, m->width, alone) + cf_arrays_bytes(arrays, N_ARRAYS, sizes);
}

/* ---- Scores ---- */

/* Final row of the item of local occurrence 2 n (positive of sample n) or 2 n + 1 (negative). */
static const float *item_row(const pairwise *p, int64_t local)
{
    return p->requests.item_rows + p->index.item_index[local] * p->requests.width;
}

/* For each of my samples and segments of my slice: u . (i - j) over the segment's 16 dimensions.
 * segment_scores: count x segments. */
static void score_segments(pairwise *p, const float *users, int64_t count)
{
    const int64_t width = p->requests.width, segments = width / CF_LANES;
    float *out = p->segment_scores;

#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < count; n++) {
        const float *user = users + p->index.user_index[n] * width;
        const float *positive = item_row(p, 2 * n), *negative = item_row(p, 2 * n + 1);

        for (int64_t s = 0; s < segments; s++) {
            const cf_lanes difference =
                cf_lanes_load(positive + s * CF_LANES) - cf_lanes_load(negative + s * CF_LANES);

            out[n * segments + s] = cf_lanes_sum(cf_lanes_load(user + s * CF_LANES) * difference);
        }
    }
}

/* Segments of slice `column` in a row of `dim`. */
static int64_t segments_of(int64_t dim, int n_columns, int column)
{
    return cf_table_slice_width(dim, n_columns, column) / CF_LANES;
}

/* Segment scores of all slices, grouped by slice. Each rank receives count x segments floats. */
static const float *gather_segments(const cf_model *model, int64_t count)
{
    pairwise *p = model->pairwise;
    const cf_par *row = &model->grid->row;
    const int64_t dim = model->table[CF_USERS]->dim;

    if (row->size == 1) return p->segment_scores;
    for (int c = 0; c < row->size; c++)
        p->segment_count[c] = cf_par_count(count * segments_of(dim, row->size, c));
    cf_par_displacements(p->segment_count, p->segment_start, row->size);
    MPI_Allgatherv(p->segment_scores, p->segment_count[row->rank], MPI_FLOAT, p->all_scores,
                   p->segment_count, p->segment_start, MPI_FLOAT, row->comm);
    return p->all_scores;
}

/* x_n: its segments, added in their global order. */
static double sum_segments(const cf_model *model, const float *segments, int64_t count, int64_t n)
{
    const int64_t dim = model->table[CF_USERS]->dim;
    const int slices = model->grid->row.size;
    double score = 0;

    for (int c = 0; c < slices; c++) {
        const int64_t here = segments_of(dim, slices, c);

        for (int64_t s = 0; s < here; s++)
            score += (double)segments[n * here + s];
        segments += count * here;
    }
    return score;
}

/* The loss of sample n, and its derivative c_n into `coefficient`. The sum's loss is written so
 * that exp() cannot overflow. */
static double differentiate(double x, bool sums, int64_t size, float *coefficient)
{
    const double p = 1.0 / (1.0 + exp(-x));

    if (sums) { /* -log sigmoid(x) */
        *coefficient = (float)(p - 1.0);
        return x > 0 ? log1p(exp(-x)) : log1p(exp(x)) - x;
    }
    /* -log(1e-10 + sigmoid(x)) / batch size */
    *coefficient = (float)(-p * (1.0 - p) / (1e-10 + p) / (double)size);
    return -log(1e-10 + p);
}

/* The sum of losses is exact, so that threads change no bit. */
static void differentiate_all(const cf_model *model, const cf_batch *batch, const float *segments,
                              cf_exact *loss)
{
#pragma omp parallel
    {
        cf_exact mine = {0};

#pragma omp for schedule(static) nowait
        for (int64_t n = 0; n < batch->count; n++)
            cf_exact_add(&mine, differentiate(sum_segments(model, segments, batch->count, n),
                                              model->ops->sums, batch->size,
                                              &model->pairwise->coefficient[n]));
#pragma omp critical
        cf_exact_merge(loss, &mine);
    }
}

/* ---- Gradient of final rows ---- */

/* User k: sum over its samples, in order of positions, of c (i - j). */
static void user_gradient(const pairwise *p, int64_t k, float *out)
{
    for (int64_t d = 0; d < p->requests.width; d += CF_VECTOR) {
        cf_vector sum = {0};

        /* sums in a register, over samples, part by part: rows stay in the cache meanwhile */
        for (int64_t e = p->index.user_start[k]; e < p->index.user_start[k + 1]; e++) {
            const int64_t n = p->index.by_user[e];

            sum = cf_vector_fma(cf_vector_all(p->coefficient[n]),
                                cf_vector_load(item_row(p, 2 * n) + d) -
                                    cf_vector_load(item_row(p, 2 * n + 1) + d),
                                sum);
        }
        cf_vector_store(out + d, sum);
    }
}

/* Item k: sum over its occurrences, in their order, of +-c u. */
static void item_gradient(const pairwise *p, int64_t k, float *out)
{
    const occurrences *o = &p->occurrences;
    const int64_t width = p->requests.width;

    for (int64_t d = 0; d < width; d += CF_VECTOR) {
        cf_vector sum = {0};

        for (int64_t e = o->item_start[k]; e < o->item_start[k + 1]; e++) {
            const occurrence *one = &o->recv[o->by_item[e]];

            sum = cf_vector_fma(cf_vector_all(one->coefficient),
                                cf_vector_load(o->user_rows + one->user * width + d), sum);
        }
        cf_vector_store(out + d, sum);
    }
}

/* A gradient_row_fn. */
static void pairwise_gradient_row(const void *context, cf_side side, int64_t k, float *out)
{
    if (side == CF_USERS)
        user_gradient(context, k, out);
    else
        item_gradient(context, k, out);
}

/* ---- Step ---- */

/* The rows of the batch, and which of them are mine. */
static void find_batch_rows(cf_model *model, const cf_batch *batch)
{
    pairwise *p = model->pairwise;

    batch_index_find(&p->index, batch);
    item_requests_send(&p->requests);
    model->rows.count[CF_USERS] = p->index.n_users;
    model->rows.local[CF_USERS] = p->index.users;
    model->rows.count[CF_ITEMS] = p->requests.n_rows;
    model->rows.local[CF_ITEMS] = p->requests.rows;
}

/* The occurrences are sent before the loss is known on all ranks, since the norms of item rows need
 * them: how often an item stands in the batch is known to its owner only then. */
void pairwise_forward(cf_model *model, const cf_batch *batch, cf_exact sums[PAIRWISE_SUMS])
{
    batch_rows *rows = &model->rows;
    pairwise *p = model->pairwise;
    const cf_phase before = cf_par_set_phase(CF_PHASE_BATCH);

    memset(sums, 0, PAIRWISE_SUMS * sizeof *sums);
    find_batch_rows(model, batch);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_rows(model->in_steps, rows->local, rows->count, rows->final);
    cf_par_set_phase(CF_PHASE_SCORES);
    item_requests_reply(&p->requests, rows->final[CF_ITEMS]);
    score_segments(p, rows->final[CF_USERS], batch->count);
    differentiate_all(model, batch, gather_segments(model, batch->count), &sums[SUM_LOSS]);
    cf_par_set_phase(CF_PHASE_GRADIENT);
    occurrences_send(&p->occurrences, batch, rows->final[CF_USERS], p->coefficient);
    cf_par_set_phase(CF_PHASE_SCORES);
    if (model->reg_weight > 0) regularize_add_norms(model, sums);
    cf_par_restore_phase(before);
    /* the ranks of a grid row all computed the same losses: one of them contributes them */
    if (model->grid->my_column != 0) sums[SUM_LOSS] = (cf_exact){0};
}

/* The sums are exact, so the loss has the same bits on all ranks and grids. It is checked before
 * any gradient is passed on: a consumer that was called has changed the tables. */
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
    found.ranking = value[SUM_LOSS] / (model->ops->sums ? 1.0 : (double)batch->size);
    found.regularization = model->reg_weight > 0 ? regularize_loss(model, value, batch->size) : 0;
    found.contrast = value[SUM_CONTRAST];
    found.total = found.ranking + found.regularization + found.contrast;
    if (!isfinite(found.total))
        return CF_FAIL(CF_ERR_NUMERIC,
                       "the loss is not finite (ranking %g, regularization %g, contrast %g)",
                       found.ranking, found.regularization, found.contrast);
    regularize_set_coefficients(model, value, batch->size);
    *loss = found;
    return CF_OK;
}

void pairwise_backward(cf_model *model, const cf_gradient_consumer *consumer)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_GRADIENT);

    gradient_fill(&model->gradient, model->graph, &model->rows, pairwise_gradient_row,
                  model->pairwise);
    cf_par_set_phase(CF_PHASE_PROPAGATION);
    propagation_backward(model->in_steps, &model->gradient, consumer);
    cf_par_restore_phase(before);
}

cf_status pairwise_step(cf_model *model, const cf_batch *batch,
                        const cf_gradient_consumer *consumer, cf_loss *loss)
{
    cf_exact sums[PAIRWISE_SUMS];
    cf_status status;

    pairwise_forward(model, batch, sums);
    CF_TRY(pairwise_loss(model, batch, sums, loss));
    pairwise_backward(model, consumer);
done:
    return status;
}
