/*
 * The sum over neighbours of the whole graph, which every layer of propagation is made of, against
 * the gather limit of the machine: the same rows of the same size, fetched in the same order, with
 * nothing else done.
 *
 *     mpirun -n 1 build/tools/bench/bench_sum DATA.h5 [WIDTH]
 */
#include "bench.h"

#include "cf/dataset.h"
#include "cf/graph.h"

#include <math.h>
#include <string.h>

typedef struct bench {
    const cf_shard *shard;
    cf_graph *graph;
    cf_field in, out;
    int32_t *column[2];
    float sink;
} bench;

static void keep_sums(void *context, const cf_rows *visit)
{
    bench *b = context;
    const int64_t width = b->in.kind.width;

    for (int k = 0; k < visit->count; k++)
        memcpy(b->out.rows[visit->side] + visit->rows[k] * width, visit->sums + k * width,
               (size_t)width * sizeof(float));
}

static void sum_all(void *context)
{
    bench *b = context;

    cf_graph_sum(b->graph, b->in, keep_sums, b);
}

/* All rows that the sums read, in their order, added into eight registers: no lists, no results. */
static void gather_all(void *context)
{
    bench *b = context;
    const int64_t width = b->in.kind.width;
    float total = 0;

    for (int side = 0; side < 2; side++) {
        const float *in = b->in.rows[1 - side];
        const int32_t *column = b->column[side];
        const int64_t n = cf_graph_edges(b->graph, (cf_side)side);

#pragma omp parallel for schedule(static) reduction(+ : total)
        for (int64_t first = 0; first < n; first += 4096) {
            const int64_t end = first + 4096 < n ? first + 4096 : n;
            cf_lanes sum[8] = {0};

            for (int64_t e = first; e < end; e++)
                for (int64_t d = 0; d < width; d += CF_LANES) {
                    __builtin_prefetch(in + column[e + 8] * width + d);
                    sum[d / CF_LANES % 8] += cf_lanes_load(in + column[e] * width + d);
                }
            for (int s = 0; s < 8; s++)
                total += cf_lanes_sum(sum[s]);
        }
    }
    b->sink = total;
}

/* Largest difference between the sums of one dimension and a plain loop in double. */
static double check(const bench *b)
{
    const int64_t width = b->in.kind.width;
    double worst = 0;

    for (int side = 0; side < 2; side++) {
        const cf_lists *lists = side == CF_USERS ? &b->shard->train : &b->shard->train_by_item;

        for (int64_t row = 0; row < lists->count; row++) {
            double sum = 0, size = 1e-30;

            for (int64_t e = lists->start[row]; e < lists->start[row + 1]; e++) {
                const double x =
                    (double)b->in.rows[1 - side][lists->index[e] * width + row % width];

                sum += x;
                size += fabs(x);
            }
            worst = fmax(worst,
                         fabs(sum - (double)b->out.rows[side][row * width + row % width]) / size);
        }
    }
    return worst;
}

static cf_status prepare(bench *b, int64_t width)
{
    cf_status status;

    CF_TRY(cf_graph_create_field(b->graph, (cf_row_kind){width, CF_FLOAT32}, &b->in));
    CF_TRY(cf_graph_create_field(b->graph, (cf_row_kind){width, CF_FLOAT32}, &b->out));
    for (int side = 0; side < 2; side++) {
        const cf_lists *lists = side == CF_USERS ? &b->shard->train : &b->shard->train_by_item;
        const int64_t n = lists->start[lists->count];

        for (int64_t k = 0; k < cf_graph_rows(b->graph, (cf_side)side) * width; k++)
            b->in.rows[side][k] = (float)cf_random_normal((cf_random){1, CF_STREAM_TEST},
                                                          (uint64_t)side, (uint64_t)k, 0);
        CF_TRY(CF_ALLOC(b->column[side], n + 8));
        for (int64_t e = 0; e < n; e++)
            b->column[side][e] = (int32_t)lists->index[e];
    }
done:
    return status;
}

int main(int argc, char **argv)
{
    cf_par world;
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;
    bench b = {0};
    double seconds, limit, bytes;
    cf_status status;

    cf_par_init(&argc, &argv, &world);
    if (argc < 2) CF_TRY(CF_FAIL(CF_ERR_USAGE, "usage: bench_sum DATA.h5 [WIDTH]"));
    CF_TRY(cf_dataset_open(&world, argv[1], &dataset));
    CF_TRY(cf_par_create_grid(&world, 1, world.size, &grid));
    CF_TRY(cf_dataset_load_shard(dataset, grid, &shard));
    CF_TRY(cf_graph_create(grid, shard, &b.graph));
    b.shard = shard;
    CF_TRY(prepare(&b, argc > 2 ? atoi(argv[2]) : 64));
    seconds = bench_time(&world, sum_all, &b);
    limit = bench_time(&world, gather_all, &b);
    bytes = 4.0 * (double)b.in.kind.width * 2 * (double)dataset->n_train;
    if (world.rank == 0)
        printf("{\"benchmark\": \"sum\", \"ranks\": %d, \"threads\": %d, \"edges\": %lld, "
               "\"width\": %lld, \"seconds\": %.6f, "
               "\"gigabytes_per_second\": %.2f, \"gather_seconds\": %.6f, "
               "\"share_of_gather_limit\": %.3f, \"worst_difference\": %.2e}\n",
               world.size, omp_get_max_threads(), 2 * (long long)dataset->n_train,
               (long long)b.in.kind.width, seconds, bytes / seconds / 1e9, limit, limit / seconds,
               check(&b));
done:
    if (status != CF_OK && world.rank == 0) fprintf(stderr, "bench_sum: %s\n", cf_error_message());
    cf_free(&b.column[0]);
    cf_free(&b.column[1]);
    cf_graph_destroy_field(&b.in);
    cf_graph_destroy_field(&b.out);
    cf_graph_destroy(&b.graph);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
    cf_par_finalize();
    return (int)status;
}
