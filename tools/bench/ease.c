/**
 * Speed of the distributed linear algebra: EASE's Gram matrix and its inverse, in both precisions,
 * and the covariance of wide vectors and its leading eigenvectors; against gemm on one rank's own
 * matrices, all ranks at once, in the same run. tools/bench/ease runs it on several numbers of
 * ranks.
 *
 *     mpirun -n P bench_ease [ITEMS DIM BLOCK RUNS]        default: 12101 4096 0 3; DIM 0: no PCA
 *
 * An inverse counts as n^3 floating-point operations (a third for the factor), eigenvalues with
 * vectors as 9 n^3 (Demmel, Applied Numerical Linear Algebra, section 5.3.3). BLOCK 0: what
 * the program takes.
 */
#include "bench.h"

#include "cf/blas.h"
#include "cf/closed.h"
#include "cf/linalg.h"

#include <math.h>
#include <sys/resource.h>

enum { MOST_RUNS = 32, PER_USER = 7, GEMM = 1536, CHECKED = 333, COMPONENTS = 128 };

typedef struct bench {
    cf_par world;
    cf_mesh *mesh;
    int64_t items, dim, block;
    int runs;
} bench;

/* What was measured, the slowest rank's. */
typedef struct measure {
    double first, second; /* seconds */
    double gemm;          /* GFLOP/s of a rank */
} measure;

static double peak_mib(const cf_par *world)
{
    struct rusage usage;
    double mib;

    getrusage(RUSAGE_SELF, &usage);
    mib = (double)usage.ru_maxrss / 1024;
    MPI_Allreduce(MPI_IN_PLACE, &mib, 1, MPI_DOUBLE, MPI_MAX, world->comm);
    return mib;
}

/* Wait for all, and give the seconds of the slowest since `from`. */
static double lap(const cf_par *world, double from)
{
    double seconds = cf_clock_now() - from;

    MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, world->comm);
    return seconds;
}

/* GFLOP/s of the slowest rank while all multiply. */
static cf_status measure_gemm(const bench *b, cf_type type, double *out)
{
    const int n = GEMM;
    void *m[3] = {NULL, NULL, NULL};
    double started = 0, seconds;
    cf_status status = CF_OK;

    for (int k = 0; k < 3 && status == CF_OK; k++)
        status = cf_alloc(&m[k], (int64_t)n * n, cf_store_type_size(type));
    CF_TRY(cf_par_agree(&b->world, status));
    for (int run = -1; run < 3; run++) {
        if (run == 0) { /* the one before was to warm up */
            MPI_Barrier(b->world.comm);
            started = cf_clock_now();
        }
        if (type == CF_F64)
            cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, m[0], n, m[1], n, 0,
                        m[2], n);
        else
            cblas_sgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, m[0], n, m[1], n, 0,
                        m[2], n);
    }
    seconds = lap(&b->world, started);
    *out = 3 * 2e-9 * n * (double)n * n / seconds;
done:
    for (int k = 0; k < 3; k++)
        cf_free(&m[k]);
    return status;
}

/* Users with a few items each, drawn alike on every rank. */
static cf_status add_users(const bench *b, cf_cyclic *gram)
{
    const int64_t n = gram->n_rows, users = 2 * n;
    int64_t *start = NULL, *index = NULL;
    cf_status status = CF_ALLOC(start, users + 1);

    if (status == CF_OK) status = CF_ALLOC(index, users * PER_USER);
    for (int64_t k = 0; status == CF_OK && k < users * PER_USER; k++) {
        const int64_t first = k % PER_USER * n / PER_USER, end = (k % PER_USER + 1) * n / PER_USER;
        index[k] =
            first + cf_random_below((cf_random){1, CF_STREAM_TEST}, (uint64_t)k, 0, 0, end - first);
    }
    for (int64_t u = 0; status == CF_OK && u <= users; u++)
        start[u] = u * PER_USER;
    if (status == CF_OK) status = cf_linalg_add_pairs(gram, start, index, NULL, users);
    CF_TRY(cf_par_agree(&b->world, status));
    cf_linalg_add_diagonal(gram, 100);
done:
    cf_free(&start);
    cf_free(&index);
    return status;
}

static int64_t ease_block(const bench *b)
{
    return b->block > 0 ? b->block : CF_CLOSED_BLOCK;
}

static cf_status new_matrix(const bench *b, cf_type type, int64_t n, int64_t block, cf_cyclic **out)
{
    return cf_linalg_create_cyclic(b->mesh, type, (const int64_t[]){n, n}, block, out);
}

/* The Gram matrix times its inverse is the identity. */
static cf_status check(const bench *b)
{
    cf_cyclic *gram = NULL, *inverse = NULL, *product = NULL;
    double *diagonal = NULL;
    cf_status status;

    CF_TRY(new_matrix(b, CF_F64, CHECKED, ease_block(b), &gram));
    CF_TRY(new_matrix(b, CF_F64, CHECKED, ease_block(b), &inverse));
    CF_TRY(new_matrix(b, CF_F64, CHECKED, ease_block(b), &product));
    CF_TRY(cf_par_agree(&b->world, CF_ALLOC(diagonal, CHECKED)));
    CF_TRY(add_users(b, gram));
    CF_TRY(add_users(b, inverse));
    CF_TRY(cf_linalg_invert(inverse));
    CF_TRY(cf_linalg_add_product(gram, inverse, 1, product));
    cf_linalg_get_diagonal(product, diagonal);
    for (int64_t i = 0; i < CHECKED; i++)
        if (!(fabs(diagonal[i] - 1) < 1e-12))
            CF_TRY(CF_FAIL(CF_ERR_NUMERIC, "row %lld of the matrix times its inverse: %g, not 1",
                           (long long)i, diagonal[i]));
done:
    cf_linalg_destroy_cyclic(&gram);
    cf_linalg_destroy_cyclic(&inverse);
    cf_linalg_destroy_cyclic(&product);
    cf_free(&diagonal);
    return status;
}

/* first: counting pairs; second: the inverse */
static cf_status time_ease(const bench *b, cf_type type, measure *out)
{
    double first[MOST_RUNS], second[MOST_RUNS];
    cf_status status = CF_OK;

    for (int run = 0; run < b->runs && status == CF_OK; run++) {
        cf_cyclic *gram = NULL;
        double started = cf_clock_now();

        status = new_matrix(b, type, b->items, ease_block(b), &gram);
        if (status == CF_OK) status = add_users(b, gram);
        first[run] = lap(&b->world, started);
        started = cf_clock_now();
        if (status == CF_OK) status = cf_linalg_invert(gram);
        second[run] = lap(&b->world, started);
        cf_linalg_destroy_cyclic(&gram);
    }
    CF_TRY(status);
    CF_TRY(measure_gemm(b, type, &out->gemm));
    out->first = bench_median(first, b->runs);
    out->second = bench_median(second, b->runs);
done:
    return status;
}

/* Rows first.. of noise that is stronger in some dimensions than in others. */
static void fill_tile(const bench *b, int64_t first, double *tile)
{
    for (int64_t r = 0; r < CF_TILE_ROWS; r++)
        for (int64_t j = 0; j < b->dim; j++)
            tile[r * b->dim + j] =
                first + r >= b->items
                    ? 0
                    : (1 + 3.0 / (double)(1 + j % 97)) *
                          (cf_random_uniform((cf_random){2, CF_STREAM_TEST}, (uint64_t)(first + r),
                                             (uint64_t)j, 0) -
                           0.5);
}

/* first: the covariance of as many vectors as there are items; second: its eigenvalues and
 * COMPONENTS eigenvectors */
static cf_status time_pca(const bench *b, measure *out)
{
    double first[MOST_RUNS] = {0}, second[MOST_RUNS];
    double *tile = NULL, *values = NULL, *components = NULL;
    cf_status status = CF_ALLOC(tile, CF_TILE_ROWS * b->dim);

    if (status == CF_OK) status = CF_ALLOC(values, b->dim);
    if (status == CF_OK) status = CF_ALLOC(components, b->dim * COMPONENTS);
    status = cf_par_agree(&b->world, status);
    for (int run = 0; run < b->runs && status == CF_OK; run++) {
        cf_panels *panels = NULL;
        double started;

        status = cf_linalg_create_panels(&b->world, b->dim, &panels);
        for (int64_t row = 0; row < b->items && status == CF_OK; row += CF_TILE_ROWS) {
            fill_tile(b, row, tile);
            started = cf_clock_now();
            cf_linalg_add_to_panels(panels, tile);
            first[run] += lap(&b->world, started);
        }
        started = cf_clock_now();
        if (status == CF_OK)
            status = cf_linalg_eigen_panels(panels, 0, COMPONENTS, values, components);
        second[run] = lap(&b->world, started);
        cf_linalg_destroy_panels(&panels);
    }
    CF_TRY(status);
    CF_TRY(measure_gemm(b, CF_F64, &out->gemm));
    out->first = bench_median(first, b->runs);
    out->second = bench_median(second, b->runs);
done:
    cf_free(&tile);
    cf_free(&values);
    cf_free(&components);
    return status;
}

static void print(const bench *b, const char *what, int64_t n, int64_t block, const measure *m,
                  double flop)
{
    const double rate = 1e-9 * flop / m->second, mib = peak_mib(&b->world);

    if (b->world.rank != 0) return;
    printf(
        "{\"benchmark\": \"%s\", \"ranks\": %d, \"mesh\": \"%dx%d\", \"n\": %lld, \"block\": %lld, "
        "\"blas\": \"%s\", \"gram_seconds\": %.3f, \"seconds\": %.3f, \"gflops\": %.1f, "
        "\"gemm_gflops_a_rank\": %.1f, \"share_of_gemm\": %.3f, \"peak_mib_a_rank\": %.0f}\n",
        what, b->world.size, b->mesh->n_rows, b->mesh->n_columns, (long long)n, (long long)block,
        cf_par_find_blas().kernels, m->first, m->second, rate, m->gemm,
        rate / (m->gemm * b->mesh->n_rows * b->mesh->n_columns), mib);
    fflush(stdout);
}

/* What takes least memory comes first, since a process's peak does not go down. */
static cf_status run(bench *b)
{
    const double n = (double)b->items, d = (double)b->dim;
    measure m;
    cf_status status;

    CF_TRY(cf_linalg_create_mesh(&b->world, 0, 0, &b->mesh));
    CF_TRY(check(b));
    if (b->dim > 0) {
        CF_TRY(time_pca(b, &m));
        print(b, "pca", b->dim, 0, &m, 9 * d * d * d);
    }
    CF_TRY(time_ease(b, CF_F32, &m));
    print(b, "ease_float32", b->items, ease_block(b), &m, n * n * n);
    CF_TRY(time_ease(b, CF_F64, &m));
    print(b, "ease_float64", b->items, ease_block(b), &m, n * n * n);
done:
    cf_linalg_destroy_mesh(&b->mesh);
    return status;
}

int main(int argc, char **argv)
{
    bench b = {.items = 12101, .dim = 4096, .runs = 3};
    cf_status status;

    cf_par_init(&argc, &argv, &b.world);
    if (argc > 4) {
        b.items = atoll(argv[1]);
        b.dim = atoll(argv[2]);
        b.block = atoll(argv[3]);
        b.runs = atoi(argv[4]);
    }
    if (argc != 1 && (argc != 5 || b.items < PER_USER || (b.dim != 0 && b.dim < COMPONENTS) ||
                      b.block < 0 || b.runs < 1 || b.runs > MOST_RUNS))
        status = CF_FAIL(CF_ERR_USAGE, "usage: bench_ease [ITEMS DIM BLOCK RUNS]");
    else
        status = run(&b);
    if (status != CF_OK && b.world.rank == 0) fprintf(stderr, "%s\n", cf_error_message());
    cf_par_finalize();
    return (int)status;
}
