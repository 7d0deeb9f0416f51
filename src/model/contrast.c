/* Contrastive terms: softmax over many columns, forward and backward, tile by tile.
 *
 * With normalised rows x_b and columns y_k (width floats each), weights
 *     w_bk = exp((x_b . y_k - 1) / tau)
 * and totals Z_b = sum_k w_bk, a term is log Z_b + (1 - x_b . y_b) / tau, and its gradients are
 *     with respect to x_b: (sum_k w_bk / Z_b y_k - y_b) / tau,
 *     with respect to y_k: (sum_b w_bk / Z_b x_b - x_k [k is some row's own column]) / tau,
 * then through the normalisation. Both products are sgemm on tiles of ROWS x COLUMNS weights. Pass
 * one computes the totals, pass two the gradients; weights that fit in `memory` are kept between
 * them, others computed again, to the same bits.
 *
 * Which tiles a rank or thread has must not show in the result. Tiles lie at fixed offsets, one
 * sgemm is one tile, and what is summed over tiles is exact: totals in cf_exact, gradients in
 * fixed point. The tests compute the terms in plain doubles, for several temperatures, with and
 * without kept tiles, on every grid. */
#include "contrast.h"

#include "cf/blas.h"
#include "row.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { ROWS = CONTRAST_ROWS, COLUMNS = CONTRAST_COLUMNS, TILE = ROWS * COLUMNS };

static const int64_t tile_bytes = TILE * (int64_t)sizeof(float);

enum { KEPT_TILES, THREADS, THREAD_FLOATS, FLOATS, ONE, N_SIZES }; /* of the table of arrays */

static const cf_array arrays[] = {
    CF_ARRAY(contrast, kept, KEPT_TILES, TILE),        CF_ARRAY(contrast, tile, THREADS, TILE),
    CF_ARRAY(contrast, tile_sum, THREAD_FLOATS, ROWS), CF_ARRAY(contrast, sum, THREAD_FLOATS, ROWS),
    CF_ARRAY(contrast, total, THREADS, ROWS),          CF_ARRAY(contrast, scaled, FLOATS, ROWS),
    CF_ARRAY(contrast, log_total, ONE, ROWS),
};
enum { N_ARRAYS = sizeof arrays / sizeof *arrays };

/* Bytes of everything but the tiles that are kept. */
static int64_t fixed_memory(int64_t width)
{
    const double threads = omp_get_max_threads(), floats = (double)width;

    return (int64_t)cf_arrays_bytes(arrays, N_ARRAYS,
                                    (double[N_SIZES]){0, threads, threads * floats, floats, 1});
}

/* Follows contrast_create(). */
double contrast_memory(int64_t width, int64_t memory, double n_tiles)
{
    const int64_t fixed = fixed_memory(width), room = (memory - fixed) / tile_bytes;

    if (memory < fixed) return 0;
    return (double)fixed + (double)tile_bytes * fmin(n_tiles, (double)room);
}

cf_status contrast_create(const cf_par *world, int64_t width, double tau, int64_t memory,
                          int64_t n_tiles, contrast *out)
{
    const int64_t threads = omp_get_max_threads(), fixed = fixed_memory(width);
    cf_status status;

    *out = (contrast){.world = world, .width = width, .tau = tau, .n_threads = (int)threads};
    CF_REQUIRE(memory >= fixed, CF_ERR_USAGE,
               "contrast_memory: %lld bytes are too few for one tile of scores a thread: expected "
               "at least %lld (%lld threads, %lld dimensions)",
               (long long)memory, (long long)fixed, (long long)threads, (long long)width);
    out->n_kept = cf_min((memory - fixed) / tile_bytes, n_tiles);
    CF_TRY(cf_arrays_create(out, arrays, N_ARRAYS,
                            (int64_t[N_SIZES]){out->n_kept, threads, threads * width, width, 1}));
done:
    return status;
}

void contrast_destroy(contrast *c)
{
    cf_arrays_destroy(c, arrays, N_ARRAYS);
}

/* ---- Rows ---- */

void contrast_normalize(float *rows, int64_t count, int64_t width, float *length)
{
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < count; k++) {
        float *row = rows + k * width;

        length[k] = sqrtf(row_dot(row, row, width));
        if (length[k] > 0) row_scale(row, row, 1.0f / length[k], width);
    }
}

void contrast_through_norm(float *gradient, const float *unit, float length, int64_t width)
{
    const float along = row_dot(gradient, unit, width), factor = length > 0 ? 1.0f / length : 0.0f;

    row_add_scaled(gradient, gradient, -along, unit, width);
    row_scale(gradient, gradient, factor, width);
}

/* ---- Tiles ---- */

/* The weights exp(x.y / tau - 1 / tau) of a tile, ROWS x COLUMNS; x: ROWS x width, y: COLUMNS x
 * width. */
static void exp_scores(const contrast *c, const float *x, const float *y, float *tile)
{
    const cf_vector top = cf_vector_all((float)(1.0 / c->tau));
    const int width = (int)c->width;

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ROWS, COLUMNS, width,
                (float)(1.0 / c->tau), x, width, y, width, 0.0f, tile, COLUMNS);
    for (int64_t k = 0; k < TILE; k += CF_VECTOR)
        cf_vector_store(tile + k, cf_vector_exp(cf_vector_load(tile + k) - top));
}

/* The tile numbered `index`, kept or in this thread's own memory. It is computed, unless it is kept
 * and `have` says that it was computed before. */
static float *tile_at(contrast *c, int64_t index, const float *x, const float *y, bool have)
{
    float *tile =
        index < c->n_kept ? c->kept + index * TILE : c->tile + (int64_t)omp_get_thread_num() * TILE;

    if (!have || index >= c->n_kept) exp_scores(c, x, y, tile);
    return tile;
}

/* ---- InfoNCE ---- */

/* A sum in fixed point does not depend on the order of its terms. The terms of one sum add up to at
 * most 1 in magnitude, so 2^40 units of 1 leave room. A term that is not finite is left out: the
 * total of its row's weights is not finite either, so the loss shows it. */
static const float fixed_one = 0x1p40f, fixed_most = 0x1p41f;
typedef int64_t fixed_lanes __attribute__((vector_size(CF_VECTOR * sizeof(int64_t))));
typedef int32_t mask_lanes __attribute__((vector_size(sizeof(cf_vector))));

/* sum += factor * part, in fixed point. */
static void add_fixed(int64_t *sum, const float *part, float factor, int64_t width)
{
    const cf_vector most = cf_vector_all(fixed_most);

    for (int64_t k = 0; k < width; k += CF_VECTOR) {
        const cf_vector term = cf_vector_load(part + k) * cf_vector_all(factor);
        const mask_lanes finite = (mask_lanes)(term <= most) & (mask_lanes)(term >= -most);
        fixed_lanes *at = (fixed_lanes *)(void *)(sum + k);

        *at += __builtin_convertvector((cf_vector)((mask_lanes)term & finite), fixed_lanes);
    }
}

/* Sum of the first `n` weights of a tile's row. */
static float sum_weights(const float *weights, int64_t n)
{
    cf_lanes sum = {0};
    float rest = 0;
    int64_t k = 0;

    for (; k + CF_LANES <= n; k += CF_LANES)
        sum += cf_lanes_load(weights + k);
    for (; k < n; k++)
        rest += weights[k];
    return cf_lanes_sum(sum) + rest;
}

/* Columns in tile t: the last tile of all may be shorter. */
static int64_t columns_of(const infonce *term, int64_t t)
{
    return cf_min(term->tiles->count - t * COLUMNS, COLUMNS);
}

/* The weights of tile t of the columns; those of cold columns are 0, so that they are in no sum and
 * get no gradient. */
static const float *weights_of(contrast *c, const infonce *term, int64_t t, const float *x,
                               bool have)
{
    float *tile = tile_at(c, t, x, term->columns + t * COLUMNS * c->width, have);
    const int64_t first = term->tiles->first_row + t * COLUMNS;

    for (int64_t k = 0; k < columns_of(term, t) && term->cold != NULL; k++)
        for (int64_t b = 0; b < ROWS && term->cold[first + k]; b++)
            tile[b * COLUMNS + k] = 0;
    return tile;
}

/* For a tile of n rows: log_total[b] = log Z_b, over all ranks' columns, and scaled_b = times_b x_b
 * / Z_b. */
static void sum_rows(contrast *c, const infonce *term, int64_t first, int64_t n)
{
    const float *x = term->rows + first * c->width;
    const int64_t n_tiles = cf_ceil_div(term->tiles->count, COLUMNS);

    memset(c->total, 0, (size_t)(c->n_threads * ROWS) * sizeof *c->total);
#pragma omp parallel for schedule(dynamic)
    for (int64_t t = 0; t < n_tiles; t++) {
        const float *tile = weights_of(c, term, t, x, false);
        cf_exact *total = c->total + (int64_t)omp_get_thread_num() * ROWS;

        for (int64_t b = 0; b < n; b++)
            cf_exact_add(&total[b], (double)sum_weights(tile + b * COLUMNS, columns_of(term, t)));
    }
    /* which thread had which tile does not matter to an exact sum */
    for (int thread = 1; thread < c->n_threads; thread++)
        for (int64_t b = 0; b < n; b++)
            cf_exact_merge(&c->total[b], &c->total[thread * ROWS + b]);
    cf_par_sum_exact(c->world, c->total, n);
    for (int64_t b = 0; b < n; b++) {
        const double total = cf_exact_value(&c->total[b]);

        c->log_total[b] = log(total);
        row_scale(c->scaled + b * c->width, x + b * c->width,
                  (float)((double)term->times[first + b] / total), c->width);
    }
    /* rows behind the last must not reach the columns' gradient */
    memset(c->scaled + n * c->width, 0, (size_t)((ROWS - n) * c->width) * sizeof(float));
}

/* For a tile of n rows: sum_b = sum_k w_bk / Z_b y_k over my columns, and gradient_k += sum_b w_bk
 * scaled_b. A tile of columns is one thread's, so its gradient needs no lock, and gets its rows'
 * terms in ascending order. */
static void accumulate_gradients(contrast *c, const infonce *term, int64_t first, int64_t n)
{
    const float *x = term->rows + first * c->width;
    const int64_t n_tiles = cf_ceil_div(term->tiles->count, COLUMNS);
    const int width = (int)c->width;

    memset(c->sum, 0, (size_t)(c->n_threads * ROWS * c->width) * sizeof *c->sum);
#pragma omp parallel for schedule(dynamic)
    for (int64_t t = 0; t < n_tiles; t++) {
        const int64_t mine = (int64_t)omp_get_thread_num() * ROWS * c->width;
        const float *y = term->columns + t * COLUMNS * c->width;
        const float *tile = weights_of(c, term, t, x, true);

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, ROWS, width, COLUMNS, 1.0f, tile,
                    COLUMNS, y, width, 0.0f, c->tile_sum + mine, width);
        for (int64_t b = 0; b < n; b++)
            add_fixed(c->sum + mine + b * c->width, c->tile_sum + mine + b * c->width,
                      fixed_one * (float)exp(-c->log_total[b]), c->width);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, COLUMNS, width, ROWS, 1.0f, tile,
                    COLUMNS, c->scaled, width, 1.0f, term->gradient + t * COLUMNS * c->width,
                    width);
    }
    for (int thread = 1; thread < c->n_threads; thread++)
        for (int64_t k = 0; k < n * c->width; k++)
            c->sum[k] += c->sum[thread * ROWS * c->width + k];
}

/* The terms of a row's own column y_b, on the rank that has it: the loss, and -y_b and -x_b in the
 * gradients. */
static void add_own(contrast *c, const infonce *term, int64_t first, int64_t n, cf_exact *loss)
{
    for (int64_t b = 0; b < n; b++) {
        const int64_t column = term->id[first + b] - term->tiles->first_row;
        const double times = (double)term->times[first + b];
        const float *x = term->rows + (first + b) * c->width;
        const float *y = term->columns + column * c->width;
        float *gradient = term->gradient + column * c->width;

        if (column < 0 || column >= term->tiles->count) continue;
        cf_exact_add(loss,
                     term->weight * times *
                         (c->log_total[b] + (1.0 - (double)row_dot(x, y, c->width)) / c->tau));
        add_fixed(c->sum + b * c->width, y, -fixed_one, c->width);
        row_add_scaled(gradient, gradient, -(float)times, x, c->width);
    }
}

/* The sums of a tile of rows, over all ranks, become the rows' gradient, in the place of the rows.
 */
static void finish_rows(contrast *c, infonce *term, int64_t first, int64_t n)
{
    MPI_Allreduce(MPI_IN_PLACE, c->sum, cf_par_count(n * c->width), MPI_INT64_T, MPI_SUM,
                  c->world->comm);
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < n; b++) {
        const double factor = term->weight * (double)term->times[first + b] / c->tau;
        float *x = term->rows + (first + b) * c->width, *gradient = c->scaled + b * c->width;

        for (int64_t k = 0; k < c->width; k++)
            gradient[k] = (float)(factor * (double)c->sum[b * c->width + k] / (double)fixed_one);
        contrast_through_norm(gradient, x, term->row_length[first + b], c->width);
        memcpy(x, gradient, (size_t)c->width * sizeof(float));
    }
}

/* The factor weight / tau, and the normalisation, of the columns' gradient. */
static void finish_columns(contrast *c, infonce *term)
{
    const float factor = (float)(term->weight / c->tau);

#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < term->tiles->count; k++) {
        float *gradient = term->gradient + k * c->width;

        row_scale(gradient, gradient, factor, c->width);
        contrast_through_norm(gradient, term->columns + k * c->width, term->column_length[k],
                              c->width);
    }
}

/* A tile of rows at a time: its weights against all my columns are what `kept` has room for. */
void contrast_infonce(contrast *c, infonce *term, cf_exact *loss)
{
    const int64_t capacity = term->tiles->capacity * c->width;

    contrast_normalize(term->rows, term->n_rows, c->width, term->row_length);
    contrast_normalize(term->columns, term->tiles->count, c->width, term->column_length);
    memset(term->gradient, 0, (size_t)capacity * sizeof(float));
    for (int64_t first = 0; first < term->n_rows; first += ROWS) {
        const int64_t n = cf_min(term->n_rows - first, ROWS);

        sum_rows(c, term, first, n);
        accumulate_gradients(c, term, first, n);
        add_own(c, term, first, n, loss);
        finish_rows(c, term, first, n);
    }
    finish_columns(c, term);
}

/* ---- A batch against itself ---- */

/* A range of tiles of rows: each rank has an even part of all. */
typedef struct tile_range {
    int64_t begin, end;
} tile_range;

static tile_range tiles_of_rank(const contrast *c, int64_t count, int rank)
{
    const int64_t n = cf_ceil_div(count, ROWS);

    return (tile_range){cf_par_even_start(n, c->world->size, rank),
                        cf_par_even_start(n, c->world->size, rank + 1)};
}

/* The number of the tile of row tile i and column tile t among all that this rank computes, those
 * of the users first. */
static int64_t index_of(const contrast *c, const batch_contrast *term, int side, int64_t i,
                        int64_t t)
{
    const tile_range users = tiles_of_rank(c, term->count[CF_USERS], c->world->rank);
    const int64_t n_tiles = cf_ceil_div(term->count[side], COLUMNS);

    if (side == CF_USERS) return (i - users.begin) * n_tiles + t;
    return (users.end - users.begin) * cf_ceil_div(term->count[CF_USERS], COLUMNS) +
           (i - tiles_of_rank(c, term->count[CF_ITEMS], c->world->rank).begin) * n_tiles + t;
}

/* sum_c times_c w_c over one row of a tile. */
static float sum_repeats(const float *weights, const float *repeats)
{
    cf_lanes sum = {0};

    for (int64_t k = 0; k < COLUMNS; k += CF_LANES)
        sum = cf_lanes_fma(cf_lanes_load(weights + k), cf_lanes_load(repeats + k), sum);
    return cf_lanes_sum(sum);
}

/* total[side][r] = sum_c times_c w_rc, of all rows, on all ranks. */
static void sum_totals(contrast *c, batch_contrast *term, int side)
{
    const tile_range mine = tiles_of_rank(c, term->count[side], c->world->rank);
    const int64_t n_tiles = cf_ceil_div(term->count[side], COLUMNS), count = term->count[side];
    double *total = term->total[side];

    memset(total, 0, (size_t)count * sizeof *total);
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = mine.begin; i < mine.end; i++)
        for (int64_t t = 0; t < n_tiles; t++) {
            const float *tile =
                tile_at(c, index_of(c, term, side, i, t), term->rows[side] + i * ROWS * c->width,
                        term->rows[side] + t * COLUMNS * c->width, false);

            for (int64_t b = 0; b < ROWS && i * ROWS + b < count; b++)
                total[i * ROWS + b] +=
                    (double)sum_repeats(tile + b * COLUMNS, term->repeats[side] + t * COLUMNS);
        }
    /* each total is computed by one rank, and zero on the others: the sum is exact */
    MPI_Allreduce(MPI_IN_PLACE, total, cf_par_count(count), MPI_DOUBLE, MPI_SUM, c->world->comm);
}

/* The loss, and inverse[side][r] = sum of 1 / Z_b over the samples b of row r. Every rank computes
 * all of it, in order of the samples: it is size x width work, and needs no message. */
static double sum_samples(const contrast *c, batch_contrast *term)
{
    double loss = 0;

    for (int side = 0; side < 2; side++)
        memset(term->inverse[side], 0,
               (size_t)(cf_ceil_div(term->count[side], COLUMNS) * COLUMNS) * sizeof(float));
    for (int64_t t = 0; t < term->size; t++) {
        const int32_t a = term->index[CF_USERS][t], p = term->index[CF_ITEMS][t];
        const double z = term->total[CF_USERS][a] + term->total[CF_ITEMS][p];
        const double score = (double)row_dot(term->rows[CF_USERS] + a * c->width,
                                             term->rows[CF_ITEMS] + p * c->width, c->width);

        loss += log(z) + (1.0 - score) / c->tau;
        term->inverse[CF_USERS][a] += (float)(1.0 / z);
        term->inverse[CF_ITEMS][p] += (float)(1.0 / z);
    }
    return loss;
}

/* The coefficient of x_c in the gradient of x_r, in place of the weight w_rc: w_rc (inverse_r
 * times_c
 * + times_r inverse_c), since x_r stands in its own totals and in those of x_c. */
static void gradient_weights(float *tile, const batch_contrast *term, int side, int64_t i,
                             int64_t t)
{
    const float *inverse = term->inverse[side], *repeats = term->repeats[side];

    for (int64_t b = 0; b < ROWS; b++) {
        const cf_vector mine = cf_vector_all(inverse[i * ROWS + b]),
                        times = cf_vector_all(repeats[i * ROWS + b]);

        for (int64_t k = 0; k < COLUMNS; k += CF_VECTOR) {
            float *w = tile + b * COLUMNS + k;
            const int64_t column = t * COLUMNS + k;

            cf_vector_store(w, cf_vector_load(w) *
                                   cf_vector_fma(times, cf_vector_load(inverse + column),
                                                 mine * cf_vector_load(repeats + column)));
        }
    }
}

/* gradient[side] of my tiles of rows, but for the terms of the samples' other side. */
static void accumulate_batch(contrast *c, batch_contrast *term, int side)
{
    const tile_range mine = tiles_of_rank(c, term->count[side], c->world->rank);
    const int64_t n_tiles = cf_ceil_div(term->count[side], COLUMNS);
    const int width = (int)c->width;

#pragma omp parallel for schedule(dynamic)
    for (int64_t i = mine.begin; i < mine.end; i++)
        for (int64_t t = 0; t < n_tiles; t++) {
            const float *y = term->rows[side] + t * COLUMNS * c->width;
            float *tile = tile_at(c, index_of(c, term, side, i, t),
                                  term->rows[side] + i * ROWS * c->width, y, true);

            gradient_weights(tile, term, side, i, t);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, ROWS, width, COLUMNS, 1.0f, tile,
                        COLUMNS, y, width, t > 0 ? 1.0f : 0.0f,
                        term->gradient[side] + i * ROWS * c->width, width);
        }
}

/* All ranks' tiles of the gradient to all ranks; then the terms -a_b.p_b / tau, and the
 * normalisation. */
static void finish_batch(contrast *c, batch_contrast *term, int side)
{
    float *gradient = term->gradient[side];

    for (int rank = 0; rank < c->world->size && c->world->size > 1; rank++) {
        const tile_range range = tiles_of_rank(c, term->count[side], rank);
        const int64_t first = range.begin * ROWS * c->width;

        if (range.begin == range.end) continue;
        MPI_Bcast(gradient + first, cf_par_count((range.end - range.begin) * ROWS * c->width),
                  MPI_FLOAT, rank, c->world->comm);
    }
    for (int64_t t = 0; t < term->size; t++)
        row_add_scaled(gradient + term->index[side][t] * c->width,
                       gradient + term->index[side][t] * c->width, -1.0f,
                       term->rows[!side] + term->index[!side][t] * c->width, c->width);
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < term->count[side]; k++) {
        float *row = gradient + k * c->width;

        row_scale(row, row, (float)(1.0 / c->tau), c->width);
        contrast_through_norm(row, term->rows[side] + k * c->width, term->length[side][k],
                              c->width);
    }
}

/* Both sides' totals come before any sample's loss, which adds one of each; both sides' inverses
 * before any gradient. */
double contrast_batch(contrast *c, batch_contrast *term)
{
    double loss;

    for (int side = 0; side < 2; side++) {
        contrast_normalize(term->rows[side], term->count[side], c->width, term->length[side]);
        for (int64_t k = 0; k < cf_ceil_div(term->count[side], COLUMNS) * COLUMNS; k++)
            term->repeats[side][k] = k < term->count[side] ? (float)term->times[side][k] : 0.0f;
        sum_totals(c, term, side);
    }
    loss = sum_samples(c, term);
    for (int side = 0; side < 2; side++)
        accumulate_batch(c, term, side);
    for (int side = 0; side < 2; side++)
        finish_batch(c, term, side);
    return loss;
}
