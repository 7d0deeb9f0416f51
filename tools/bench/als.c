/*
 * Rows by their normal equations, 16 side by side, against OpenBLAS on the same equations, one
 * after the other: ssyrk of the neighbours' rows, spotrf, spotrs; and both against sgemm, the rate
 * of the machine. With few neighbours nearly all is Cholesky's factorization, with many sums of
 * products. Rows of few neighbours also by matrices of these, as a sweep solves them (short.c),
 * with the way into the basis and out of it. The solutions are compared first. One rank and one
 * thread count.
 *
 *     build/tools/bench/bench_als [SIZE ...]
 */
#include "bench.h"

#include "als/internal.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

void spotrf_(const char *uplo, const int *n, float *a, const int *lda, int *info);
void spotrs_(const char *uplo, const int *n, const int *n_sides, const float *a, const int *lda,
             float *b, const int *ldb, int *info);

enum { PLACES = 4096, GEMM = 768 };

typedef struct bench {
    int64_t dim, count; /* count: neighbours of each row */
    int64_t n_short;    /* blocks of short rows; 0: rows are long */
    als_solver solver;
    cf_field field;      /* PLACES rows */
    float *common;       /* lower triangle of blocks: the identity */
    float *ones;         /* width: its diagonal, and infinity behind the last dimension */
    float *identity;     /* width x width: a basis */
    float *turned;       /* 16 x width */
    float *values;       /* 16 x width: solutions */
    float *a, *x;        /* OpenBLAS: dim x dim; 16 x dim: solutions */
    float *near;         /* PLACES x dim: rows of the neighbours */
    int32_t *neighbours; /* 16 x count */
    als_row row[CF_LANES];
    int calls; /* in a run */
} bench;

static void solve_side_by_side(void *context)
{
    bench *b = context;

    for (int k = 0; k < b->calls; k++) {
        for (int64_t d = 0; d < CF_LANES * b->field.stride; d++)
            b->values[d] = d % b->field.stride < b->dim ? 1 : 0;
        (void)als_solve_rows(&b->solver, &b->field, b->common, b->row, CF_LANES);
    }
}

/* 16 rows get into a basis, are solved by matrices of their neighbours, and get out of it. */
static void solve_by_neighbours(void *context)
{
    bench *b = context;
    const int64_t width = b->field.stride;
    als_turn turn;

    for (int k = 0; k < b->calls; k++) {
        for (int64_t d = 0; d < CF_LANES * width; d++)
            b->values[d] = d % width < b->dim ? 1 : 0;
        for (int way = 0; way < 2; way++) {
            float *from = way == 0 ? b->values : b->turned, *to = way == 0 ? b->turned : b->values;

            if (way == 1)
                als_solve_short(&b->solver, &b->field, b->ones, b->row, CF_LANES, b->n_short);
            for (int r = 0; r < CF_LANES; r += 4) {
                for (int n = 0; n < 4; n++) {
                    turn.in[n] = from + (r + n) * width;
                    turn.out[n] = to + (r + n) * width;
                }
                als_turn_rows(b->identity, width, &turn);
            }
            for (int r = 0; r < CF_LANES; r++)
                b->row[r].values = to + r * width;
        }
    }
}

/* One row: the matrix, its factor, the solution. */
static void solve_by_blas(bench *b, int lane)
{
    const int dim = (int)b->dim, one = 1;
    const int32_t *neighbours = b->neighbours + lane * b->count;
    float *x = b->x + lane * b->dim;
    int info;

    memset(b->a, 0, (size_t)(dim * dim) * sizeof *b->a);
    for (int d = 0; d < dim; d++) {
        b->a[d * dim + d] = 1 + b->row[lane].weight;
        x[d] = b->row[lane].weight; /* shrunk towards ones */
    }
    for (int64_t n = 0; n < b->count; n++) {
        const float *h = cf_graph_row(&b->field, neighbours[n]);

        memcpy(b->near + n * dim, h, (size_t)dim * sizeof *h);
        for (int d = 0; d < dim; d++)
            x[d] += h[d];
    }
    cblas_ssyrk(CblasColMajor, CblasUpper, CblasNoTrans, dim, (int)b->count, 1, b->near, dim, 1,
                b->a, dim);
    spotrf_("U", &dim, b->a, &dim, &info);
    spotrs_("U", &dim, &one, b->a, &dim, x, &dim, &info);
}

static void solve_one_by_one(void *context)
{
    bench *b = context;

    for (int k = 0; k < b->calls; k++)
        for (int lane = 0; lane < CF_LANES; lane++)
            solve_by_blas(b, lane);
}

/* Largest difference of the solutions, over the largest number. */
static double compare(const bench *b)
{
    double worst = 0, largest = 0;

    for (int lane = 0; lane < CF_LANES; lane++)
        for (int64_t d = 0; d < b->dim; d++) {
            const double got = b->row[lane].values[d], want = b->x[lane * b->dim + d];

            worst = fmax(worst, fabs(got - want));
            largest = fmax(largest, fabs(want));
        }
    return worst / largest;
}

/* ---- The rate of the machine ---- */

typedef struct product {
    float *a, *b, *c;
} product;

static void multiply(void *context)
{
    const product *p = context;

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, GEMM, GEMM, GEMM, 1, p->a, GEMM, p->b,
                GEMM, 0, p->c, GEMM);
}

static cf_status time_gemm(const cf_par *world, double *gflops)
{
    product p = {NULL, NULL, NULL};
    cf_status status;

    CF_TRY(CF_ALLOC(p.a, GEMM * GEMM));
    CF_TRY(CF_ALLOC(p.b, GEMM * GEMM));
    CF_TRY(CF_ALLOC(p.c, GEMM * GEMM));
    for (int k = 0; k < GEMM * GEMM; k++)
        p.a[k] = p.b[k] = (float)(k % 7) - 3;
    *gflops = 2.0 * GEMM * GEMM * GEMM / bench_time(world, multiply, &p) / 1e9;
done:
    cf_free(&p.a);
    cf_free(&p.b);
    cf_free(&p.c);
    return status;
}

/* ---- A size ---- */

static cf_status prepare(bench *b)
{
    const int64_t width = CF_LANES * cf_table_segments(b->dim);
    float *rows = NULL;
    cf_status status;

    CF_TRY(als_create_solver(b->dim, &b->solver));
    CF_TRY(CF_ALLOC(rows, PLACES * width));
    b->field = (cf_field){.kind = {width, CF_FLOAT32}, .stride = width, .places.data = rows};
    CF_TRY(CF_ALLOC(b->common, als_triangle(width / CF_LANES) * BLOCK_FLOATS));
    CF_TRY(CF_ALLOC(b->values, CF_LANES * width));
    CF_TRY(CF_ALLOC(b->turned, CF_LANES * width));
    CF_TRY(CF_ALLOC(b->ones, width));
    CF_TRY(CF_ALLOC(b->identity, width * width));
    CF_TRY(CF_ALLOC(b->a, b->dim * b->dim));
    CF_TRY(CF_ALLOC(b->x, CF_LANES * b->dim));
    CF_TRY(CF_ALLOC(b->near, PLACES * b->dim));
    CF_TRY(CF_ALLOC(b->neighbours, CF_LANES * PLACES));
    for (int64_t p = 0; p < PLACES; p++)
        for (int64_t d = 0; d < b->dim; d++)
            rows[p * width + d] = 0.1f * (float)cf_random_normal((cf_random){1, CF_STREAM_TEST},
                                                                 (uint64_t)p, (uint64_t)d, 0);
    for (int64_t d = 0; d < width; d++) {
        b->ones[d] = d < b->dim ? 1 : INFINITY;
        b->identity[d * width + d] = 1;
    }
    for (int64_t d = 0; d < b->dim; d++)
        b->common[als_block_at(d / CF_LANES, d / CF_LANES) + d % CF_LANES * (CF_LANES + 1)] = 1;
done:
    return status;
}

static void release(bench *b)
{
    als_destroy_solver(&b->solver);
    cf_free(&b->field.places.data);
    cf_free(&b->common);
    cf_free(&b->values);
    cf_free(&b->turned);
    cf_free(&b->ones);
    cf_free(&b->identity);
    cf_free(&b->a);
    cf_free(&b->x);
    cf_free(&b->near);
    cf_free(&b->neighbours);
}

/* 16 rows of `count` neighbours each, in no order. */
static void set_rows(bench *b, int64_t count)
{
    b->count = count;
    b->n_short = als_short_blocks(&b->solver, count);
    for (int lane = 0; lane < CF_LANES; lane++) {
        for (int64_t n = 0; n < count; n++)
            b->neighbours[lane * count + n] = (int32_t)((lane * 331 + n * 1021) % PLACES);
        b->row[lane] = (als_row){.neighbours = b->neighbours + lane * count,
                                 .count = count,
                                 .total = (double)count,
                                 .weight = 0.5f,
                                 .values = b->values + lane * b->field.stride};
    }
}

static void measure(const cf_par *world, bench *b, int64_t count, double gemm)
{
    const double d = (double)b->dim,
                 flops = (double)count * d * (d + 1) + d * d * d / 3 + 2 * d * d;
    double seconds[2], rate[2], difference, by_neighbours = 0;

    set_rows(b, count);
    b->calls = 1;
    solve_side_by_side(b);
    solve_one_by_one(b);
    difference = compare(b);
    if (b->n_short > 0) {
        solve_by_neighbours(b);
        difference = fmax(difference, compare(b));
    }
    b->calls = (int)cf_max(1, (int64_t)(2e9 / (CF_LANES * flops)));
    seconds[0] = bench_time(world, solve_side_by_side, b) / (CF_LANES * b->calls);
    seconds[1] = bench_time(world, solve_one_by_one, b) / (CF_LANES * b->calls);
    if (b->n_short > 0)
        by_neighbours = bench_time(world, solve_by_neighbours, b) / (CF_LANES * b->calls);
    for (int k = 0; k < 2; k++)
        rate[k] = flops / seconds[k] / 1e9;
    printf("{\"benchmark\": \"als\", \"size\": %lld, \"neighbours\": %lld, "
           "\"microseconds_a_row\": %.2f, \"by_neighbours\": %.2f, \"gflops\": %.1f, "
           "\"blas_gflops\": %.1f, "
           "\"sgemm_gflops\": %.1f, \"share_of_sgemm\": %.3f, \"over_blas\": %.2f, "
           "\"difference\": %.1e}\n",
           (long long)b->dim, (long long)count, seconds[0] * 1e6, by_neighbours * 1e6, rate[0],
           rate[1], gemm, rate[0] / gemm, rate[0] / rate[1], difference);
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {"64", "128", "256", "512", "1024"};
    static const int64_t counts[] = {0, 8, 64, PLACES};
    const int n_usual = sizeof usual / sizeof *usual;
    cf_par world;
    bench b = {0};
    double gemm;
    cf_status status;

    cf_par_init(&argc, &argv, &world);
    omp_set_num_threads(1);
    CF_TRY(time_gemm(&world, &gemm));
    for (int k = 0; k < (argc > 1 ? argc - 1 : n_usual); k++) {
        b = (bench){.dim = atoll(argc > 1 ? argv[k + 1] : usual[k])};
        if (b.dim < 1 || b.dim > CF_ALS_MAX_DIM)
            CF_TRY(CF_FAIL(CF_ERR_USAGE, "sizes are from 1 to %d", CF_ALS_MAX_DIM));
        CF_TRY(prepare(&b));
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            measure(&world, &b, counts[c], gemm);
        release(&b);
    }
done:
    if (status != CF_OK) fprintf(stderr, "bench_als: %s\n", cf_error_message());
    release(&b);
    cf_par_finalize();
    return (int)status;
}
