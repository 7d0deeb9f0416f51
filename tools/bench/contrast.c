/*
 * The contrast of a batch's rows with all rows (SGL), forward and backward together, against the
 * FLOP rate of sgemm on one of its tiles in the same run. Counted are the products that the
 * mathematics need, 3 x rows x columns x dim multiply-adds: scores, and the two sides of the
 * gradient; scores that memory did not keep are computed again, and not counted. First a small
 * problem is held to a plain loop.
 *
 *     [mpirun -n RANKS] build/tools/bench/bench_contrast [ROWS [COLUMNS [DIM [MEMORY_MIB]]]]
 */
#include "bench.h"

#include "cf/blas.h"
#include "model/contrast.h"

#include <math.h>
#include <string.h>

typedef struct bench {
    cf_grid *grid;
    cf_tiles *tiles;
    infonce term;
    contrast contrast;
    int64_t *id;
    int32_t *times;
    int64_t dim;
    double loss;
    int64_t scratch; /* bytes that the contrast holds beside its input and output */
} bench;

static float noise(int64_t a, int64_t b)
{
    return (float)cf_random_uniform((cf_random){1, CF_STREAM_TEST}, (uint64_t)a, (uint64_t)b, 0) -
           0.5f;
}

/* Rows and columns of noise: the term leaves other things in their place. */
static void fill(bench *b)
{
    const int64_t width = b->tiles->full_width;

#pragma omp parallel for
    for (int64_t k = 0; k < b->tiles->count; k++)
        for (int64_t d = 0; d < b->dim; d++)
            b->term.columns[k * width + d] = noise(b->tiles->first_row + k, d);
    for (int64_t k = 0; k < b->term.n_rows; k++)
        for (int64_t d = 0; d < b->dim; d++)
            b->term.rows[k * width + d] = noise(-1 - k, d);
}

static void run_term(void *context)
{
    bench *b = context;
    cf_exact loss = {{0}, 0};

    contrast_infonce(&b->contrast, &b->term, &loss);
    cf_par_sum_exact(&b->grid->world, &loss, 1);
    b->loss = cf_exact_value(&loss);
}

static cf_status create(const cf_par *world, int64_t rows, int64_t columns, int64_t dim,
                        int64_t memory, bench *b)
{
    const int64_t padded = (rows + CONTRAST_ROWS - 1) / CONTRAST_ROWS * CONTRAST_ROWS;
    cf_blocks blocks = {0};
    cf_table *table = NULL;
    int64_t before;
    cf_status status;

    CF_TRY(cf_par_create_grid(world, world->size, 1, &b->grid));
    CF_TRY(cf_par_create_blocks(columns, world->size, &blocks));
    CF_TRY(cf_table_create(b->grid, &blocks, dim, &table));
    CF_TRY(cf_table_create_tiles(table, CONTRAST_COLUMNS, &b->tiles));
    cf_table_destroy(&table);
    CF_TRY(CF_ALLOC(b->id, rows));
    CF_TRY(CF_ALLOC(b->times, rows));
    CF_TRY(CF_ALLOC(b->term.rows, padded * b->tiles->full_width));
    CF_TRY(CF_ALLOC(b->term.columns, b->tiles->capacity * b->tiles->full_width));
    CF_TRY(CF_ALLOC(b->term.gradient, b->tiles->capacity * b->tiles->full_width));
    CF_TRY(CF_ALLOC(b->term.row_length, rows));
    CF_TRY(CF_ALLOC(b->term.column_length, b->tiles->count));
    for (int64_t k = 0; k < rows; k++) {
        b->id[k] = k * columns / rows;
        b->times[k] = 1;
    }
    b->dim = dim;
    b->term.n_rows = rows;
    b->term.id = b->id;
    b->term.times = b->times;
    b->term.tiles = b->tiles;
    b->term.weight = 1;
    before = cf_alloc_peak(); /* all that is held: nothing larger has been freed */
    CF_TRY(contrast_create(world, b->tiles->full_width, 0.2, memory,
                           b->tiles->capacity / CONTRAST_COLUMNS, &b->contrast));
    fill(b);
    b->scratch = cf_alloc_peak() - before;
done:
    cf_table_destroy(&table);
    cf_par_destroy_blocks(&blocks);
    return status;
}

static void destroy(bench *b)
{
    cf_free(&b->id);
    cf_free(&b->times);
    cf_free(&b->term.rows);
    cf_free(&b->term.columns);
    cf_free(&b->term.gradient);
    cf_free(&b->term.row_length);
    cf_free(&b->term.column_length);
    contrast_destroy(&b->contrast);
    cf_table_destroy_tiles(&b->tiles);
    cf_par_destroy_grid(&b->grid);
}

/* ---- The plain loss -------------------------------------------------------------------------- */

static double cosine(int64_t a, int64_t b, int64_t dim)
{
    double ab = 0, aa = 0, bb = 0;

    for (int64_t d = 0; d < dim; d++) {
        const double x = (double)noise(a, d), y = (double)noise(b, d);

        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return ab / sqrt(aa * bb);
}

/* Relative difference of the loss of a small problem. */
static cf_status check(const cf_par *world, double *out)
{
    enum { ROWS = 200, COLUMNS = 1100, DIM = 40 };
    bench b = {0};
    double want = 0;
    cf_status status;

    CF_TRY(create(world, ROWS, COLUMNS, DIM, 64 << 20, &b));
    run_term(&b);
    for (int64_t r = 0; r < ROWS; r++) {
        double sum = 0;

        for (int64_t k = 0; k < COLUMNS; k++)
            sum += exp(cosine(-1 - r, k, DIM) / 0.2);
        want += log(sum) - cosine(-1 - r, b.id[r], DIM) / 0.2;
    }
    *out = fabs(b.loss - want) / want;
done:
    destroy(&b);
    return status;
}

/* ---- The limit ------------------------------------------------------------------------------- */

enum { TILES_AT_ONCE = 64 };

typedef struct tile_product {
    const bench *bench;
    float *scores; /* a tile a thread */
} tile_product;

/* The scores of one tile, again and again. */
static void multiply_tiles(void *context)
{
    const tile_product *p = context;
    const int width = (int)p->bench->tiles->full_width;

#pragma omp parallel for schedule(static)
    for (int k = 0; k < TILES_AT_ONCE; k++)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, CONTRAST_ROWS, CONTRAST_COLUMNS, width,
                    1.0f, p->bench->term.rows, width, p->bench->term.columns, width, 0.0f,
                    p->scores + omp_get_thread_num() * CONTRAST_ROWS * CONTRAST_COLUMNS,
                    CONTRAST_COLUMNS);
}

static cf_status measure(const cf_par *world, const int64_t size[4])
{
    const double tile = 2.0 * CONTRAST_ROWS * CONTRAST_COLUMNS * (double)size[2];
    const double flops = 6.0 * (double)size[0] * (double)size[1] * (double)size[2];
    bench b = {0};
    tile_product product = {.bench = &b};
    double seconds, limit, difference;
    cf_status status;

    CF_TRY(check(world, &difference));
    CF_TRY(create(world, size[0], size[1], size[2], size[3] << 20, &b));
    CF_TRY(CF_ALLOC(product.scores,
                    (int64_t)omp_get_max_threads() * CONTRAST_ROWS * CONTRAST_COLUMNS));
    limit = TILES_AT_ONCE * tile * world->size / bench_time(world, multiply_tiles, &product);
    seconds = bench_time(world, run_term, &b);
    if (world->rank == 0)
        printf("{\"benchmark\": \"contrast\", \"ranks\": %d, \"threads\": %d, \"rows\": %lld, "
               "\"columns\": %lld, \"dim\": %lld, \"seconds\": %.4f, \"gflops\": %.1f, "
               "\"tile_gflops\": %.1f, \"share_of_tile\": %.3f, \"memory_mib\": %lld, "
               "\"scratch_mib\": %.1f, \"kept_tiles\": %lld, \"loss_difference\": %.1e}\n",
               world->size, omp_get_max_threads(), (long long)size[0], (long long)size[1],
               (long long)size[2], seconds, flops / seconds / 1e9, limit / 1e9,
               flops / seconds / limit, (long long)size[3], (double)b.scratch / 1048576,
               (long long)b.contrast.n_kept, difference);
done:
    cf_free(&product.scores);
    destroy(&b);
    return status;
}

int main(int argc, char **argv)
{
    int64_t size[4] = {2048, 22363, 128, 256}; /* Amazon Beauty's users */
    cf_par world;
    cf_status status;

    cf_par_init(&argc, &argv, &world);
    for (int k = 0; k < 4 && k + 1 < argc; k++)
        size[k] = atoll(argv[k + 1]);
    status = measure(&world, size);
    if (status != CF_OK && world.rank == 0)
        fprintf(stderr, "bench_contrast: %s\n", cf_error_message());
    cf_par_finalize();
    return (int)status;
}
