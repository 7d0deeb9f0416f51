/*
 * The training loop of llminit, for SimGrid's SMPI: the program's own modules from par to optim,
 * and its own batches; only the data come from a plain file (lists.h). Steps on a grid, as
 * simulated:
 *
 *     simulate_loop LISTS ROWSxCOLUMNS STEPS CORES NETWORK [NAME=VALUE]...
 *
 * does a first step, STEPS that are measured, and one that is timed (clock.h), and prints one JSON
 * object: of the last its seconds, in all and by phases, and the share in MPI calls; of all of
 * them bytes and loss, which is that of the same steps of `llminit train` from noise, and a
 * checksum of the tables that does not depend on the grid. ranks_a_node=N ranks share memory;
 * delay_seed=N holds up the ranks at random (clock.h). CORES: clock.h; NETWORK: network.h.
 */
#include "clock.h"
#include "lists.h"
#include "network.h"

#include "train/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const cf_setting own_settings[] = {
    {.name = "embedding_size", .kind = CF_SETTING_INT, .initial = "64", .min = 1, .max = 65536},
    {.name = "train_batch_size", .kind = CF_SETTING_INT, .initial = "2048", .min = 1, .max = 1e9},
    {.name = "seed", .kind = CF_SETTING_INT, .initial = "2020", .min = 0, .max = 1e9},
    {.name = "neg_exclude",
     .kind = CF_SETTING_CHOICE,
     .initial = "train",
     .choices = "train|current"},
    {.name = "neg_distribution",
     .kind = CF_SETTING_CHOICE,
     .initial = "uniform",
     .choices = "uniform|popularity"},
    {.name = "neg_sample_num", .kind = CF_SETTING_INT, .initial = "1", .min = 1, .max = 33554431},
    {.name = "ranks_a_node", .kind = CF_SETTING_INT, .initial = "32", .min = 1, .max = 1e9},
    {.name = "delay_seed", .kind = CF_SETTING_INT, .initial = "0", .min = 0, .max = 1e9},
    {0},
};
static const cf_setting *const tables[] = {own_settings, cf_model_settings, cf_optim_settings};

/* ---- Data ---- */

/* The file, mapped: all ranks of the simulation are one process and read the same pages. */
typedef struct lists {
    lists_header size;
    cf_lists train, train_by_item;
    int64_t *leaf_start[2]; /* as in cf_leaves */
    uint8_t *cold;          /* of all items; NULL: none is cold */
} lists;

static cf_status map_lists(const char *path, lists *out)
{
    const int file = open(path, O_RDONLY);
    struct stat found;
    int64_t *at;

    if (file < 0 || fstat(file, &found) != 0) return CF_FAIL(CF_ERR_IO, "%s: cannot read", path);
    at = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    (void)close(file);
    if (at == MAP_FAILED) return CF_FAIL(CF_ERR_MEMORY, "%s: cannot map", path);
    memcpy(&out->size, at, sizeof out->size);
    at += sizeof out->size / sizeof *at;
    out->train =
        (cf_lists){.count = out->size.n_users, .start = at, .index = at + out->size.n_users + 1};
    at = out->train.index + out->size.n_train;
    out->train_by_item =
        (cf_lists){.count = out->size.n_items, .start = at, .index = at + out->size.n_items + 1};
    at = out->train_by_item.index + out->size.n_train;
    for (int side = 0; side < 2 && out->size.n_leaves > 0; side++, at += out->size.n_leaves + 1)
        out->leaf_start[side] = at;
    if (out->size.n_cold > 0) out->cold = (uint8_t *)at;
    return CF_OK;
}

/* The work before each leaf, and all of it: none of these data are appended. */
static cf_status find_leaf_work(const cf_lists *all, const int64_t *leaf_start, int64_t n_leaves,
                                int64_t **out)
{
    cf_status status = CF_ALLOC(*out, n_leaves + 1);

    for (int64_t k = 0; status == CF_OK && k <= n_leaves; k++)
        (*out)[k] = all->start[leaf_start[k]] + CF_ROW_WORK * leaf_start[k];
    return status;
}

/* As cf_dataset_load_shard() cuts. */
static cf_status cut(const lists *in, int n_rows, cf_blocks *users, cf_blocks *items)
{
    const cf_lists *all[2] = {&in->train, &in->train_by_item};
    cf_blocks *blocks[2] = {users, items};
    int64_t *target[2] = {NULL, NULL}, *work[2] = {NULL, NULL};
    cf_status status = CF_OK;

    for (int side = 0; side < 2; side++) {
        CF_TRY(cf_par_create_blocks(all[side]->count, n_rows, blocks[side]));
        CF_TRY(CF_ALLOC(target[side], n_rows));
        if (in->size.n_leaves == 0)
            cf_dataset_even_targets(in->size.n_train, all[side]->count, n_rows, target[side]);
        else
            CF_TRY(find_leaf_work(all[side], in->leaf_start[side], in->size.n_leaves, &work[side]));
    }
    if (in->size.n_leaves > 0) cf_dataset_find_targets(work, in->size.n_leaves, n_rows, target);
    for (int side = 0; side < 2; side++)
        for (int b = 1; b < n_rows; b++)
            blocks[side]->start[b] =
                cf_dataset_find_work(all[side]->start, 0, all[side]->count + 1, target[side][b]);
done:
    for (int side = 0; side < 2; side++) {
        cf_free(&target[side]);
        cf_free(&work[side]);
    }
    return status;
}

/* The lists of a block: pointers of its own, numbers where they are. */
static cf_status take(const cf_lists *all, const cf_blocks *blocks, int block, cf_lists *out)
{
    const int64_t first = blocks->start[block], count = blocks->start[block + 1] - first;
    const int64_t begin = all->start[first];
    cf_status status;

    CF_TRY(CF_ALLOC(out->start, count + 1));
    for (int64_t k = 0; k <= count; k++)
        out->start[k] = all->start[first + k] - begin;
    out->index = all->index + begin;
    out->count = count;
done:
    return status;
}

static cf_status make_shard(const lists *in, const cf_grid *grid, cf_shard *out)
{
    const int row = grid->my_row;
    cf_status status;

    CF_TRY(cut(in, grid->n_rows, &out->users, &out->items));
    CF_TRY(take(&in->train, &out->users, row, &out->train));
    CF_TRY(take(&in->train_by_item, &out->items, row, &out->train_by_item));
    out->first_user = out->users.start[row];
    out->n_users = out->train.count;
    out->first_item = out->items.start[row];
    out->n_items = out->train_by_item.count;
    out->cold = in->cold;
    out->first_interaction = in->train.start[out->first_user];
done:
    return status;
}

/* ---- The loop ---- */

typedef struct loop {
    cf_config *config;
    lists lists;
    cf_grid *grid;
    cf_shard shard;
    sampler sampler;
    cf_model *model;
    cf_optim *optim;
} loop;

static cf_status set_up(loop *l, const cf_par *world, char **argv, int argc)
{
    cf_dataset dataset = {0};
    cf_model_options options;
    cf_optim_options optim_options;
    sampler_options draws;
    cf_model_place place;
    int n_rows, n_columns;
    cf_status status;

    if (argc < 6 || sscanf(argv[2], "%dx%d", &n_rows, &n_columns) != 2)
        return CF_FAIL(
            CF_ERR_USAGE,
            "usage: simulate_loop LISTS ROWSxCOLUMNS STEPS CORES NETWORK [NAME=VALUE]...");
    CF_TRY(clock_set_cores(argv[4]));
    CF_TRY(network_start(world, argv[5]));
    CF_TRY(cf_config_create(tables, 3, &l->config));
    for (int k = 6; k < argc; k++)
        CF_TRY(cf_config_set(l->config, argv[k]));
    CF_REQUIRE(cf_model_is_trained(cf_config_text(l->config, "model")) &&
                   !cf_model_sweeps(cf_config_text(l->config, "model")),
               CF_ERR_USAGE, "model: %s has no steps to simulate",
               cf_config_text(l->config, "model"));
    if (cf_config_int(l->config, "delay_seed") > 0)
        clock_hold_up((uint64_t)cf_config_int(l->config, "delay_seed"), world->rank);
    CF_TRY(map_lists(argv[1], &l->lists));
    cf_par_pretend_nodes((int)cf_config_int(l->config, "ranks_a_node"));
    CF_TRY(cf_par_create_grid(world, n_rows, n_columns, &l->grid));
    CF_TRY(make_shard(&l->lists, l->grid, &l->shard));
    dataset.n_users = l->lists.size.n_users;
    dataset.n_items = l->lists.size.n_items;
    dataset.n_train = l->lists.size.n_train;
    dataset.n_cold = l->lists.size.n_cold;
    cf_model_read_options(l->config, &options);
    sampler_read_options(l->config, &draws);
    CF_TRY(sampler_create(&draws, cf_model_needs_negatives(&options),
                          &(sampler_place){&dataset, &l->shard, &l->grid->column}, &l->sampler));
    place = (cf_model_place){l->grid, &l->shard, l->sampler.options.batch_size};
    CF_TRY(cf_model_create(&options, &place, &l->model));
    cf_optim_read_options(l->config, &optim_options);
    CF_TRY(cf_optim_create(
        &optim_options,
        (cf_table *[]){cf_model_table(l->model, CF_USERS), cf_model_table(l->model, CF_ITEMS)},
        &l->optim));
    cf_model_fill_noise(l->model, l->sampler.options.seed);
    cf_optim_keep_start(l->optim);
    sampler_start_epoch(&l->sampler, 0);
    cf_model_start_epoch(l->model, l->sampler.options.seed, 0);
done:
    return status;
}

/* As train/steps.c does it, with what the ranks agree on before it. */
static cf_status step(loop *l, int64_t index, double *loss_sum)
{
    const cf_gradient_consumer consumer = {cf_optim_update, l->optim};
    int duty[2] = {0, 0};
    const cf_batch *batch;
    cf_phase before;
    cf_loss loss;
    cf_status status;

    clock_begin_step();
    MPI_Allreduce(MPI_IN_PLACE, duty, 2, MPI_INT, MPI_MAX, l->grid->world.comm);
    before = cf_par_set_phase(CF_PHASE_OTHER); /* a span of all threads, unlike what the model does
                                                  in CF_PHASE_BATCH */
    batch = sampler_draw(&l->sampler, index % sampler_n_batches(&l->sampler));
    cf_par_restore_phase(before);
    cf_optim_begin(l->optim);
    status = cf_model_step(l->model, batch, &consumer, &loss);
    if (status == CF_OK) *loss_sum += loss.total;
    cf_par_move_seconds(CF_PHASE_PROPAGATION, CF_PHASE_OPTIMIZER, cf_optim_seconds(l->optim));
    return status;
}

/* Of one rank, or sums over all. */
typedef struct figures {
    double seconds;
    struct {
        double seconds, mpi_seconds, messages;
    } phase[CF_N_PHASES];    /* like seconds, of the step that is timed */
    double step_bytes, loss; /* means over two steps */
    double held;
} figures;
enum { N_FIGURES = sizeof(figures) / sizeof(double) };

/* In all steps so far, without what the ranks agree on between two of them. */
static double count_bytes(void)
{
    const cf_profile profile = cf_par_read_profile();
    double bytes = 0;

    for (int phase = 0; phase < CF_N_PHASES; phase++)
        if (phase != CF_PHASE_OTHER) bytes += (double)profile.phase[phase].bytes;
    return bytes;
}

/* Add all phases so far, `sign` times. */
static void add_phases(double sign, figures *found)
{
    const cf_profile profile = cf_par_read_profile();

    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        found->phase[phase].seconds += sign * profile.phase[phase].seconds;
        found->phase[phase].mpi_seconds += sign * profile.phase[phase].mpi_seconds;
        found->phase[phase].messages += sign * (double)profile.phase[phase].messages;
    }
}

/* Two steps touch all memory and tell losses and bytes. The second one's batch is then taken again:
 * a step of another may send to other ranks, and has other spans. */
static cf_status run_steps(loop *l, const cf_par *world, int64_t n_measured, figures *found)
{
    double ignored = 0;
    cf_status status;

    CF_TRY(step(l, 0, &found->loss));
    CF_TRY(step(l, 1, &found->loss));
    found->step_bytes = count_bytes() / 2;
    for (int64_t k = 0; k < n_measured; k++) {
        CF_TRY(cf_par_agree(world, clock_measure()));
        CF_TRY(step(l, 1, &ignored));
    }
    CF_TRY(cf_par_agree(world, clock_replay()));
    MPI_Barrier(world->comm);
    add_phases(-1, found);
    found->seconds = -clock_now();
    CF_TRY(step(l, 1, &ignored));
    MPI_Barrier(world->comm);
    found->seconds += clock_now();
    add_phases(1, found);
    found->loss /= 2;
    found->held = (double)cf_alloc_held();
done:
    return status;
}

/* Of this rank's part of both tables: a sum, modulo 2^64, over row, dimension and bits of each
 * number. */
static uint64_t table_sum(const loop *l)
{
    uint64_t sum = 0;

    for (int side = 0; side < 2; side++) {
        const cf_table *table = cf_model_table(l->model, (cf_side)side);

        for (int64_t row = 0; row < table->local_rows; row++) {
            for (int64_t k = 0; k < table->local_dim; k++) {
                uint32_t bits;

                memcpy(&bits, &table->data[row * table->width + k], sizeof bits);
                sum += cf_random_bits((cf_random){(uint64_t)side, CF_STREAM_TEST},
                                      (uint64_t)(table->first_row + row),
                                      (uint64_t)(table->first_dim + k), bits);
            }
        }
    }
    return sum;
}

/* `sum` over all ranks, as means of one. */
static void print_figures(const loop *l, const figures *sum, uint64_t tables, int n_ranks)
{
    double mpi_seconds = 0;

    printf("{\"phases\": {");
    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        mpi_seconds += sum->phase[phase].mpi_seconds;
        printf("%s\"%s\": {\"seconds\": %.6g, \"mpi_seconds\": %.6g, \"messages\": %.6g}",
               phase > 0 ? ", " : "", cf_phase_names[phase], sum->phase[phase].seconds / n_ranks,
               sum->phase[phase].mpi_seconds / n_ranks, sum->phase[phase].messages / n_ranks);
    }
    printf("}, \"step_seconds\": %.9g, \"mpi_share\": %.6g, \"step_bytes\": %.17g, "
           "\"held\": %.10g, \"loss\": %.17g, \"tables\": \"%016llx\", "
           "\"steps_an_epoch\": %lld, \"train\": %lld}\n",
           sum->seconds / n_ranks, mpi_seconds / sum->seconds, sum->step_bytes / n_ranks,
           sum->held / n_ranks, sum->loss / n_ranks, (unsigned long long)tables,
           (long long)sampler_n_batches(&l->sampler), (long long)l->lists.size.n_train);
}

static cf_status run(const cf_par *world, int argc, char **argv)
{
    loop l = {0};
    figures sum = {0};
    uint64_t tables;
    cf_status status = set_up(&l, world, argv, argc);
    const int64_t n_measured = status == CF_OK ? strtoll(argv[3], NULL, 10) : 0;

    CF_TRY(cf_par_agree(world, status));
    cf_par_start_profile();
    CF_TRY(run_steps(&l, world, n_measured, &sum));
    MPI_Allreduce(MPI_IN_PLACE, &sum, N_FIGURES, MPI_DOUBLE, MPI_SUM, world->comm);
    tables = table_sum(&l);
    MPI_Allreduce(MPI_IN_PLACE, &tables, 1, MPI_UINT64_T, MPI_SUM, world->comm);
    if (world->rank == 0) print_figures(&l, &sum, tables, world->size);
done:
    return status; /* the end of the process frees all */
}

int main(int argc, char **argv)
{
    cf_status status;
    cf_par world;

    MPI_Init(&argc, &argv); /* SMPI has no threads; there is one to a rank */
    world.comm = MPI_COMM_WORLD;
    MPI_Comm_rank(world.comm, &world.rank);
    MPI_Comm_size(world.comm, &world.size);
    cf_log_enable(false, true);
    status = run(&world, argc, argv);
    if (status != CF_OK && world.rank == 0)
        fprintf(stderr, "llminit: error: %s\n", cf_error_message());
    MPI_Finalize();
    return (int)status;
}
