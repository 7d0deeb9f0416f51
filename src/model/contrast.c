#include "contrast.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <string.h>

enum { ROWS = CONTRAST_ROWS, COLUMNS = CONTRAST_COLUMNS, TILE = ROWS * COLUMNS };

static int64_t tiles_of(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

static const int64_t tile_bytes = TILE * (int64_t)sizeof(float);

/* Bytes beside the tiles that are kept. */
static int64_t fixed_memory(int64_t width)
{
    const int64_t a_thread =
        tile_bytes +
        ROWS * (width * (int64_t)(sizeof(float) + sizeof(int64_t)) + (int64_t)sizeof(cf_exact));

    return omp_get_max_threads() * a_thread +
           ROWS * (width * (int64_t)sizeof(float) + (int64_t)sizeof(double));
}

double contrast_memory(int64_t width, int64_t memory, double n_tiles)
{
    const int64_t fixed = fixed_memory(width), room = (memory - fixed) / tile_bytes;

    if (memory < fixed) return 0;
    return (double)fixed + (double)tile_bytes * (n_tiles < (double)room ? n_tiles : (double)room);
}

cf_status contrast_create(const cf_par *world, int64_t width, double tau, int64_t memory,
                          int64_t n_tiles, contrast *out)
{
    const int64_t threads = omp_get_max_threads(), fixed = fixed_memory(width);
    cf_status status;

    *out = (contrast){.world = world, .width = width, .tau = tau, .n_threads = (int)threads};
    if (memory < fixed)
        return CF_FAIL(CF_ERR_USAGE,
                       "contrast_memory: %lld bytes are too few for one tile of scores a thread: "
                       "expected at least %lld (%lld threads, %lld dimensions)",
                       (long long)memory, (long long)fixed, (long long)threads, (long long)width);
    out->n_kept = (memory - fixed) / tile_bytes;
    if (out->n_kept > n_tiles) out->n_kept = n_tiles;
    CF_TRY(CF_ALLOC(out->kept, out->n_kept * TILE));
    CF_TRY(CF_ALLOC(out->tile, threads * TILE));
    CF_TRY(CF_ALLOC(out->part, threads * ROWS * width));
    CF_TRY(CF_ALLOC(out->sum, threads * ROWS * width));
    CF_TRY(CF_ALLOC(out->total, threads * ROWS));
    CF_TRY(CF_ALLOC(out->scaled, ROWS * width));
    CF_TRY(CF_ALLOC(out->log_total, ROWS));
done:
    return status;
}

void contrast_destroy(contrast *c)
{
    cf_free(&c->kept);
    cf_free(&c->tile);
    cf_free(&c->part);
    cf_free(&c->sum);
    cf_free(&c->total);
    cf_free(&c->scaled);
    cf_free(&c->log_total);
}

/* ---- Rows ---- */

static float dot(const float *a, const float *b, int64_t width)
{
    cf_lanes sum = {0};

    for (int64_t k = 0; k < width; k += CF_LANES)
        sum = cf_lanes_fma(cf_lanes_load(a + k), cf_lanes_load(b + k), sum);
    return cf_lanes_sum(sum);
}

/* out = a + factor b */
static void add_scaled(float *out, const float *a, float factor, const float *b, int64_t width)
{
    for (int64_t k = 0; k < width; k += CF_LANES)
        cf_lanes_store(out + k, cf_lanes_fma(cf_lanes_all(factor), cf_lanes_load(b + k),
                                             cf_lanes_load(a + k)));
}

static void scale(float *out, const float *a, float factor, int64_t width)
{
    for (int64_t k = 0; k < width; k += CF_LANES)
        cf_lanes_store(out + k, cf_lanes_load(a + k) * cf_lanes_all(factor));
}

void contrast_normalize(float *rows, int64_t count, int64_t width, float *length)
{
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < count; k++) {
        float *row = rows + k * width;

        length[k] = sqrtf(dot(row, row, width));
        if (length[k] > 0) scale(row, row, 1.0f / length[k], width);
    }
}

void contrast_through_norm(float *gradient, const float *unit, float length, int64_t width)
{
    const float along = dot(gradient, unit, width), factor = length > 0 ? 1.0f / length : 0.0f;

    add_scaled(gradient, gradient, -along, unit, width);
    scale(gradient, gradient, factor, width);
}

/* ---- Tiles ---- */

/* Weights exp(x.y / tau - 1 / tau) of a tile; x: ROWS x width, y: COLUMNS x width. */
static void weigh(const contrast *c, const float *x, const float *y, float *tile)
{
    const cf_lanes top = cf_lanes_all((float)(1.0 / c->tau));
    const int width = (int)c->width;

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ROWS, COLUMNS, width,
                (float)(1.0 / c->tau), x, width, y, width, 0.0f, tile, COLUMNS);
    for (int64_t k = 0; k < TILE; k += CF_LANES)
        cf_lanes_store(tile + k, cf_lanes_exp(cf_lanes_load(tile + k) - top));
}

/* The tile numbered `index`, kept or in this thread's own memory; computed unless `have` says that
 * a kept one is there. */
static float *tile_at(contrast *c, int64_t index, const float *x, const float *y, bool have)
{
    float *tile =
        index < c->n_kept ? c->kept + index * TILE : c->tile + (int64_t)omp_get_thread_num() * TILE;

    if (!have || index >= c->n_kept) weigh(c, x, y, tile);
    return tile;
}

/* ---- InfoNCE ---- */

/* Sums are in fixed point, as their terms are at most 1 in all: whose order does not matter. A term
 * that is not finite is left out: its row's sum of weights is not finite either, so the loss tells.
 */
static const float fixed_one = 0x1p40f, fixed_most = 0x1p41f;
typedef int64_t fixed_lanes __attribute__((vector_size(CF_LANES * sizeof(int64_t))));
typedef int32_t mask_lanes __attribute__((vector_size(sizeof(cf_lanes))));

static void add_fixed(int64_t *sum, const float *part, float factor, int64_t width)
{
    const cf_lanes most = cf_lanes_all(fixed_most);

    for (int64_t k = 0; k < width; k += CF_LANES) {
        const cf_lanes term = cf_lanes_load(part + k) * cf_lanes_all(factor);
        const mask_lanes finite = (mask_lanes)(term <= most) & (mask_lanes)(term >= -most);
        fixed_lanes *at = (fixed_lanes *)(void *)(sum + k);

        *at += __builtin_convertvector((cf_lanes)((mask_lanes)term & finite), fixed_lanes);
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

/* Columns of tile t that are there. */
static int64_t columns_of(const infonce *term, int64_t t)
{
    const int64_t left = term->tiles->count - t * COLUMNS;

    return left < COLUMNS ? left : COLUMNS;
}

/* log sum_k exp(x_b.y_k / tau) - 1 / tau into log_total, and scaled = times x / sum, for a tile of
 * rows. */
static void sum_rows(contrast *c, const infonce *term, int64_t first, int64_t n)
{
    const float *x = term->rows + first * c->width;
    const int64_t n_tiles = tiles_of(term->tiles->count, COLUMNS);

    memset(c->total, 0, (size_t)(c->n_threads * ROWS) * sizeof *c->total);
#pragma omp parallel for schedule(dynamic)
    for (int64_t t = 0; t < n_tiles; t++) {
        const float *tile = tile_at(c, t, x, term->columns + t * COLUMNS * c->width, false);
        cf_exact *total = c->total + (int64_t)omp_get_thread_num() * ROWS;

        for (int64_t b = 0; b < n; b++)
            cf_exact_add(&total[b], (double)sum_weights(tile + b * COLUMNS, columns_of(term, t)));
    }
    for (int thread = 1; thread < c->n_threads; thread++)
        for (int64_t b = 0; b < n; b++)
            cf_exact_merge(&c->total[b], &c->total[thread * ROWS + b]);
    cf_par_sum_exact(c->world, c->total, n);
    for (int64_t b = 0; b < n; b++) {
        const double total = cf_exact_value(&c->total[b]);

        c->log_total[b] = log(total);
        scale(c->scaled + b * c->width, x + b * c->width,
              (float)((double)term->times[first + b] / total), c->width);
    }
    memset(c->scaled + n * c->width, 0, (size_t)((ROWS - n) * c->width) * sizeof(float));
}

/* sum += sum_k p_bk y_k with p = w / total, and the gradient of columns += w' scaled. */
static void spread(contrast *c, const infonce *term, int64_t first, int64_t n)
{
    const float *x = term->rows + first * c->width;
    const int64_t n_tiles = tiles_of(term->tiles->count, COLUMNS);
    const int width = (int)c->width;

    memset(c->sum, 0, (size_t)(c->n_threads * ROWS * c->width) * sizeof *c->sum);
#pragma omp parallel for schedule(dynamic)
    for (int64_t t = 0; t < n_tiles; t++) {
        const int64_t mine = (int64_t)omp_get_thread_num() * ROWS * c->width;
        const float *y = term->columns + t * COLUMNS * c->width;
        const float *tile = tile_at(c, t, x, y, true);

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, ROWS, width, COLUMNS, 1.0f, tile,
                    COLUMNS, y, width, 0.0f, c->part + mine, width);
        for (int64_t b = 0; b < n; b++)
            add_fixed(c->sum + mine + b * c->width, c->part + mine + b * c->width,
                      fixed_one * (float)exp(-c->log_total[b]), c->width);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, COLUMNS, width, ROWS, 1.0f, tile,
                    COLUMNS, c->scaled, width, 1.0f, term->gradient + t * COLUMNS * c->width,
                    width);
    }
    for (int thread = 1; thread < c->n_threads; thread++)
        for (int64_t k = 0; k < n * c->width; k++)
            c->sum[k] += c->sum[thread * ROWS * c->width + k];
}

/* What is a row's own column's, on the rank that has it. */
static void add_own(contrast *c, const infonce *term, int64_t first, int64_t n, cf_exact *loss)
{
    for (int64_t b = 0; b < n; b++) {
        const int64_t column = term->id[first + b] - term->tiles->first_row;
        const double times = (double)term->times[first + b];
        const float *x = term->rows + (first + b) * c->width;
        const float *y = term->columns + column * c->width;
        float *gradient = term->gradient + column * c->width;

        if (column < 0 || column >= term->tiles->count) continue;
        cf_exact_add(loss, term->weight * times *
                               (c->log_total[b] + (1.0 - (double)dot(x, y, c->width)) / c->tau));
        add_fixed(c->sum + b * c->width, y, -fixed_one, c->width);
        add_scaled(gradient, gradient, -(float)times, x, c->width);
    }
}

/* The sums of a tile of rows become its gradient, in its place. */
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

static void finish_columns(contrast *c, infonce *term)
{
    const float factor = (float)(term->weight / c->tau);

#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < term->tiles->count; k++) {
        float *gradient = term->gradient + k * c->width;

        scale(gradient, gradient, factor, c->width);
        contrast_through_norm(gradient, term->columns + k * c->width, term->column_length[k],
                              c->width);
    }
}

void contrast_infonce(contrast *c, infonce *term, cf_exact *loss)
{
    const int64_t capacity = term->tiles->capacity * c->width;

    contrast_normalize(term->rows, term->n_rows, c->width, term->row_length);
    contrast_normalize(term->columns, term->tiles->count, c->width, term->column_length);
    memset(term->gradient, 0, (size_t)capacity * sizeof(float));
    for (int64_t first = 0; first < term->n_rows; first += ROWS) {
        const int64_t n = term->n_rows - first < ROWS ? term->n_rows - first : ROWS;

        sum_rows(c, term, first, n);
        spread(c, term, first, n);
        add_own(c, term, first, n, loss);
        finish_rows(c, term, first, n);
    }
    finish_columns(c, term);
}

/* ---- A batch against itself ---- */

/* Tiles of rows that are mine: of all, an even part. */
typedef struct share {
    int64_t begin, end;
} share;

static share my_share(const contrast *c, int64_t count, int rank)
{
    const int64_t n = tiles_of(count, ROWS);

    return (share){cf_par_even_start(n, c->world->size, rank),
                   cf_par_even_start(n, c->world->size, rank + 1)};
}

/* Which kept tile is that of row tile i and column tile t: the sides' one after the other. */
static int64_t index_of(const contrast *c, const batch_contrast *term, int side, int64_t i,
                        int64_t t)
{
    const share users = my_share(c, term->count[CF_USERS], c->world->rank);
    const int64_t n_tiles = tiles_of(term->count[side], COLUMNS);

    if (side == CF_USERS) return (i - users.begin) * n_tiles + t;
    return (users.end - users.begin) * tiles_of(term->count[CF_USERS], COLUMNS) +
           (i - my_share(c, term->count[CF_ITEMS], c->world->rank).begin) * n_tiles + t;
}

/* sum_c times_c w_c of a tile's row. */
static float sum_repeats(const float *weights, const float *repeats)
{
    cf_lanes sum = {0};

    for (int64_t k = 0; k < COLUMNS; k += CF_LANES)
        sum = cf_lanes_fma(cf_lanes_load(weights + k), cf_lanes_load(repeats + k), sum);
    return cf_lanes_sum(sum);
}

/* total[side] of all rows. */
static void sum_totals(contrast *c, batch_contrast *term, int side)
{
    const share mine = my_share(c, term->count[side], c->world->rank);
    const int64_t n_tiles = tiles_of(term->count[side], COLUMNS), count = term->count[side];
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
    /* each number is one rank's, and zero on the others */
    MPI_Allreduce(MPI_IN_PLACE, total, cf_par_count(count), MPI_DOUBLE, MPI_SUM, c->world->comm);
}

/* The loss, and inverse[side]. Every rank does it all, in order of the samples. */
static double sum_samples(const contrast *c, batch_contrast *term)
{
    double loss = 0;

    for (int side = 0; side < 2; side++)
        memset(term->inverse[side], 0,
               (size_t)(tiles_of(term->count[side], COLUMNS) * COLUMNS) * sizeof(float));
    for (int64_t t = 0; t < term->size; t++) {
        const int32_t a = term->slot[CF_USERS][t], p = term->slot[CF_ITEMS][t];
        const double z = term->total[CF_USERS][a] + term->total[CF_ITEMS][p];
        const double score = (double)dot(term->rows[CF_USERS] + a * c->width,
                                         term->rows[CF_ITEMS] + p * c->width, c->width);

        loss += log(z) + (1.0 - score) / c->tau;
        term->inverse[CF_USERS][a] += (float)(1.0 / z);
        term->inverse[CF_ITEMS][p] += (float)(1.0 / z);
    }
    return loss;
}

/* w_rc (inverse_r times_c + times_r inverse_c), in place: how much x_c there is in the gradient of
 * x_r. */
static void weigh_gradient(float *tile, const batch_contrast *term, int side, int64_t i, int64_t t)
{
    const float *inverse = term->inverse[side], *repeats = term->repeats[side];

    for (int64_t b = 0; b < ROWS; b++) {
        const cf_lanes mine = cf_lanes_all(inverse[i * ROWS + b]),
                       times = cf_lanes_all(repeats[i * ROWS + b]);

        for (int64_t k = 0; k < COLUMNS; k += CF_LANES) {
            float *w = tile + b * COLUMNS + k;
            const int64_t column = t * COLUMNS + k;

            cf_lanes_store(w,
                           cf_lanes_load(w) * cf_lanes_fma(times, cf_lanes_load(inverse + column),
                                                           mine * cf_lanes_load(repeats + column)));
        }
    }
}

/* gradient[side] of my rows, but for what a row has from its samples' other side. */
static void spread_batch(contrast *c, batch_contrast *term, int side)
{
    const share mine = my_share(c, term->count[side], c->world->rank);
    const int64_t n_tiles = tiles_of(term->count[side], COLUMNS);
    const int width = (int)c->width;

#pragma omp parallel for schedule(dynamic)
    for (int64_t i = mine.begin; i < mine.end; i++)
        for (int64_t t = 0; t < n_tiles; t++) {
            const float *y = term->rows[side] + t * COLUMNS * c->width;
            float *tile = tile_at(c, index_of(c, term, side, i, t),
                                  term->rows[side] + i * ROWS * c->width, y, true);

            weigh_gradient(tile, term, side, i, t);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, ROWS, width, COLUMNS, 1.0f, tile,
                        COLUMNS, y, width, t > 0 ? 1.0f : 0.0f,
                        term->gradient[side] + i * ROWS * c->width, width);
        }
}

/* Rows of all ranks to all ranks, through the norm, in the place of the rows. */
static void finish_batch(contrast *c, batch_contrast *term, int side)
{
    float *gradient = term->gradient[side];

    for (int rank = 0; rank < c->world->size && c->world->size > 1; rank++) {
        const share theirs = my_share(c, term->count[side], rank);
        const int64_t first = theirs.begin * ROWS * c->width;

        if (theirs.begin == theirs.end) continue;
        MPI_Bcast(gradient + first, cf_par_count((theirs.end - theirs.begin) * ROWS * c->width),
                  MPI_FLOAT, rank, c->world->comm);
    }
    for (int64_t t = 0; t < term->size; t++)
        add_scaled(gradient + term->slot[side][t] * c->width,
                   gradient + term->slot[side][t] * c->width, -1.0f,
                   term->rows[!side] + term->slot[!side][t] * c->width, c->width);
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < term->count[side]; k++) {
        float *row = gradient + k * c->width;

        scale(row, row, (float)(1.0 / c->tau), c->width);
        contrast_through_norm(row, term->rows[side] + k * c->width, term->length[side][k],
                              c->width);
    }
}

double contrast_batch(contrast *c, batch_contrast *term)
{
    double loss;

    for (int side = 0; side < 2; side++) {
        contrast_normalize(term->rows[side], term->count[side], c->width, term->length[side]);
        for (int64_t k = 0; k < tiles_of(term->count[side], COLUMNS) * COLUMNS; k++)
            term->repeats[side][k] = k < term->count[side] ? (float)term->times[side][k] : 0.0f;
        sum_totals(c, term, side);
    }
    loss = sum_samples(c, term);
    for (int side = 0; side < 2; side++)
        spread_batch(c, term, side);
    for (int side = 0; side < 2; side++)
        finish_batch(c, term, side);
    return loss;
}
