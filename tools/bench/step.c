/*
 * Steps of training with all rows in every layer (reach_share 0), and with the rows near the batch
 * alone, in turn: first the same gradient twice, bit by bit, then median seconds of each. `halo`:
 * rows that nodes need of others, over all rows; with ranks_a_node=1 each rank is taken for a node.
 *
 *     mpirun -n 1 build/tools/bench/bench_step DATA.h5 [ROWSxCOLUMNS [NAME=VALUE]...]
 */
#include "bench.h"

#include "model/internal.h"
#include "train/internal.h"

#include <string.h>

typedef struct bench {
    cf_config *config;
    cf_dataset *dataset;
    cf_grid *grid;
    cf_shard *shard;
    sampler sampler;
    cf_model *model;
    cf_optim *optim;
    int64_t index;
    uint64_t checksum;
} bench;

/* Whatever the order of rows, and whoever has them. */
static void add_row_bits(void *context, cf_side side, const int32_t *rows, int count,
                         const float *values)
{
    bench *b = context;
    const cf_table *table = b->model->table[side];
    uint64_t sum = 0;

    for (int k = 0; k < count; k++)
        for (int64_t d = 0; d < table->width; d++) {
            const uint64_t place = (uint64_t)((table->first_row + rows[k]) * table->width + d);
            uint32_t bits;

            memcpy(&bits, &values[k * table->width + d], sizeof bits);
            sum += bits * (2 * place + 1);
        }
#pragma omp atomic
    b->checksum += sum;
}

static void take_step(bench *b)
{
    const cf_gradient_consumer sink = {cf_optim_update, b->optim};
    cf_loss loss;

    cf_optim_begin(b->optim);
    (void)cf_model_step(b->model, sampler_draw(&b->sampler, b->index++), &sink, &loss);
}

/* Median seconds of steps of each kind, in turn, so that what disturbs one disturbs the other. */
static void time_steps(const cf_par *world, bench *b, const double share[2], double seconds[2])
{
    double taken[2][BENCH_RUNS];

    for (int k = -1; k < BENCH_RUNS; k++) /* one to warm up */
        for (int way = 0; way < 2; way++) {
            double one;

            b->model->propagation.max_edge_fraction = share[way];
            MPI_Barrier(world->comm);
            one = cf_clock_now();
            take_step(b);
            one = cf_clock_now() - one;
            MPI_Allreduce(MPI_IN_PLACE, &one, 1, MPI_DOUBLE, MPI_MAX, world->comm);
            if (k >= 0) taken[way][k] = one;
        }
    for (int way = 0; way < 2; way++) {
        qsort(taken[way], BENCH_RUNS, sizeof taken[way][0], bench_compare);
        seconds[way] = taken[way][BENCH_RUNS / 2];
    }
}

static uint64_t gradient_bits(bench *b, double share)
{
    const cf_gradient_consumer sink = {add_row_bits, b};
    cf_loss loss;

    b->checksum = 0;
    b->model->propagation.max_edge_fraction = share;
    (void)cf_model_step(b->model, sampler_draw(&b->sampler, b->index), &sink, &loss);
    MPI_Allreduce(MPI_IN_PLACE, &b->checksum, 1, MPI_UINT64_T, MPI_SUM, b->grid->world.comm);
    return b->checksum;
}

static const cf_setting own_settings[] = {
    {.name = "ranks_a_node", .kind = CF_SETTING_INT, .initial = "0", .min = 0, .max = 1e9},
    {0},
};

static cf_status set_up(const cf_par *world, int argc, char **argv, bench *b)
{
    static const cf_setting *const tables[] = {own_settings, cf_model_settings, cf_select_settings,
                                               cf_optim_settings, cf_train_settings};
    int rows = 1, columns = world->size;
    cf_model_options options;
    cf_optim_options optim_options;
    sampler_options draws;
    cf_model_place place;
    cf_status status;

    if (argc < 2 || (argc > 2 && sscanf(argv[2], "%dx%d", &rows, &columns) != 2))
        return CF_FAIL(CF_ERR_USAGE, "usage: bench_step DATA.h5 [ROWSxCOLUMNS [NAME=VALUE]...]");
    CF_TRY(cf_config_create(tables, 5, &b->config));
    for (int k = 3; k < argc; k++)
        CF_TRY(cf_config_set(b->config, argv[k]));
    cf_par_pretend_nodes((int)cf_config_int(b->config, "ranks_a_node"));
    CF_TRY(cf_dataset_open(world, argv[1], &b->dataset));
    CF_TRY(cf_par_create_grid(world, rows, columns, &b->grid));
    CF_TRY(cf_dataset_load_shard(b->dataset, b->grid, &b->shard));
    cf_model_read_options(b->config, &options);
    sampler_read_options(b->config, &draws);
    CF_TRY(sampler_create(&draws, cf_model_needs_negatives(&options),
                          &(sampler_place){b->dataset, b->shard, &b->grid->column}, &b->sampler));
    place = (cf_model_place){b->grid, b->shard, b->sampler.options.batch_size};
    CF_TRY(cf_model_create(&options, &place, &b->model));
    cf_optim_read_options(b->config, &optim_options);
    CF_TRY(cf_optim_create(&optim_options, b->model->table, &b->optim));
    cf_model_fill_noise(b->model, b->sampler.options.seed);
    sampler_start_epoch(&b->sampler, 0);
    cf_model_start_epoch(b->model, b->sampler.options.seed, 0);
done:
    return status;
}

static double fraction_reached(const bench *b)
{
    const cf_hops *hops = &b->model->propagation.hops;
    int64_t n[2] = {0, 0}; /* near, all */

    for (int side = 0; side < 2; side++) {
        n[0] += hops->count[side][hops->n_hops];
        n[1] += b->model->table[side]->local_rows;
    }
    return (double)n[0] / (double)n[1];
}

/* Rows that nodes need of other nodes, all nodes together, over all rows. Collective. */
static double halo_share(const bench *b)
{
    int64_t halo = b->model->graph != NULL ? cf_graph_halo(b->model->graph) : 0;

    MPI_Allreduce(MPI_IN_PLACE, &halo, 1, MPI_INT64_T, MPI_SUM, b->grid->column.comm);
    return (double)halo / (double)(b->dataset->n_users + b->dataset->n_items);
}

int main(int argc, char **argv)
{
    cf_par world;
    bench b = {0};
    double share[2] = {0, 0}, seconds[2], halo;
    cf_status status;

    cf_par_init(&argc, &argv, &world);
    CF_TRY(set_up(&world, argc, argv, &b));
    share[1] = b.model->propagation.max_edge_fraction;
    if (gradient_bits(&b, share[0]) != gradient_bits(&b, share[1]))
        CF_TRY(CF_FAIL(CF_ERR_NUMERIC, "gradients differ"));
    time_steps(&world, &b, share, seconds);
    halo = halo_share(&b);
    if (world.rank == 0)
        printf("{\"benchmark\": \"step\", \"ranks\": %d, \"grid\": \"%dx%d\", \"threads\": %d, "
               "\"halo\": %.3f, \"hops_reached\": %d, \"rows_reached\": %.3f, "
               "\"seconds_all_rows\": %.4f, "
               "\"seconds\": %.4f}\n",
               world.size, b.grid->n_rows, b.grid->n_columns, omp_get_max_threads(), halo,
               b.model->propagation.hops.n_hops, fraction_reached(&b), seconds[0], seconds[1]);
done:
    if (status != CF_OK && world.rank == 0) fprintf(stderr, "bench_step: %s\n", cf_error_message());
    cf_optim_destroy(&b.optim);
    cf_model_destroy(&b.model);
    sampler_destroy(&b.sampler);
    cf_dataset_destroy_shard(&b.shard);
    cf_par_destroy_grid(&b.grid);
    cf_dataset_close(&b.dataset);
    cf_config_destroy(&b.config);
    cf_par_finalize();
    return (int)status;
}
