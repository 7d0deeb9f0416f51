/* The grid of a run, and the memory that it needs.
 *
 * A rank is predicted to hold its share of the lists of interactions (1 / rows), of the tables,
 * moments and starts (1 / rows / columns), and what the model or the closed form says of itself.
 * `grid: auto` takes slices of one segment of 16 dimensions or more on different nodes, blocks
 * inside the nodes, by the predicted time (src/model/cost.c) of what fits. tests/train/profile.c
 * compares predicted with counted memory. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Segments in a row of the narrowest table. */
static int64_t segments_of(const cf_dataset *dataset, const run_options *options)
{
    return options->is_closed ? cf_closed_segments(&options->closed, dataset->n_items)
                              : cf_table_segments(options->model.dim);
}

/* Sweeps have no batches. */
static cf_model_size size_of(const cf_dataset *dataset, const run_options *options, int n_nodes,
                             int n_rows, int n_columns)
{
    return (cf_model_size){.n_users = dataset->n_users,
                           .n_items = dataset->n_items,
                           .n_train = dataset->n_train,
                           .source_dim = dataset->embedding_dim,
                           .max_batch =
                               cf_model_sweeps(options->model.name)
                                   ? 1
                                   : sampler_batch_size(&options->sampler, dataset->n_train),
                           .n_rows = n_rows,
                           .n_columns = n_columns,
                           .node_ranks = n_rows * n_columns / n_nodes,
                           .leaves = &dataset->leaves};
}

/* The tables of the model are its own to predict; those of the optimizer are as large. Sweeps have
 * no optimizer. */
static double predict_steps(const cf_dataset *dataset, const run_options *options,
                            const cf_model_size *size)
{
    const int64_t rows[2] = {dataset->n_users, dataset->n_items};
    double kept = 0; /* rows of the optimizer's tables */
    const double width = CF_LANES * (double)segments_of(dataset, options);

    if (cf_model_sweeps(options->model.name)) return cf_model_predict_memory(&options->model, size);
    for (int k = 0; k < 2 * CF_N_KEPT; k++)
        if (cf_optim_keeps(&options->optim, (cf_side)(k / CF_N_KEPT), (cf_kept)(k % CF_N_KEPT)))
            kept += (double)rows[k / CF_N_KEPT];
    return cf_model_predict_memory(&options->model, size) +
           4 * kept * width / size->n_rows / size->n_columns +
           sampler_bytes(&options->sampler, dataset->n_train, size->n_rows);
}

/* Lists: train from both sides, valid, test, and their starts, 8 bytes a number; weights of train
 * from both sides, 4 bytes each. */
double grid_predict_bytes(const cf_dataset *dataset, const run_options *options, int n_nodes,
                          int n_rows, int n_columns)
{
    const double lists = 8 * (double)(2 * dataset->n_train + dataset->n_valid + dataset->n_test +
                                      3 * dataset->n_users + dataset->n_items) +
                         (dataset->has_weights ? 8 * (double)dataset->n_train : 0);
    const cf_closed_grid grid = {n_rows, n_columns, n_rows * n_columns / n_nodes};
    cf_model_size size;

    if (options->is_closed)
        return lists / n_rows + cf_closed_predict_memory(&options->closed, dataset, &grid);
    size = size_of(dataset, options, n_nodes, n_rows, n_columns);
    return lists / n_rows + predict_steps(dataset, options, &size);
}

/* A rank's part of the physical memory of its node, the least of all ranks. Collective. */
static double memory_of_rank(const cf_par *world)
{
    cf_par node;
    double bytes;

    cf_par_split_node(world, &node);
    MPI_Comm_free(&node.comm);
    bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / node.size;
    MPI_Allreduce(MPI_IN_PLACE, &bytes, 1, MPI_DOUBLE, MPI_MIN, world->comm);
    return bytes;
}

/* Only a closed form is refused: its matrices are all held at once, while a prediction for steps is
 * on the high side with blocks. */
cf_status grid_check_memory(const cf_dataset *dataset, const run_options *options,
                            const cf_grid *grid, double needed)
{
    double available;
    bool of_pairs; /* a matrix of all pairs of items, which may be in float32 */

    if (!options->is_closed) return CF_OK;
    of_pairs = cf_closed_dim(&options->closed, dataset->n_items) == dataset->n_items;
    available = memory_of_rank(&grid->world);
    if (needed <= available) return CF_OK;
    return CF_FAIL(
        CF_ERR_MEMORY,
        "model: %s of %lld items needs about %.0f MiB on each of %d ranks, which have "
        "%.0f MiB each: more nodes%s, or fewer items (prepare's item_inter_num_interval)",
        options->closed.name, (long long)dataset->n_items, needed / 1048576, grid->world.size,
        available / 1048576,
        of_pairs && options->closed.precision == CF_F64 ? ", solve_precision: float32" : "");
}

/* Of users and items: as many blocks as there may be. */
static int64_t fewest_rows(const cf_dataset *dataset)
{
    return cf_min(dataset->n_users, dataset->n_items);
}

/* Does the number of columns divide the ranks, so that no block is empty? */
static bool is_grid(int size, int n_columns, int64_t fewest)
{
    return size % n_columns == 0 && size / n_columns <= fewest;
}

/* A closed form has no graph. */
static double predict_seconds(const cf_dataset *dataset, const run_options *options,
                              const grid_machine *machine, int n_columns, double bytes)
{
    cf_model_size size;

    if (options->is_closed) return 0;
    size = size_of(dataset, options, machine->n_nodes, machine->n_ranks / n_columns, n_columns);
    return cf_model_predict_seconds(&options->model, &size, bytes);
}

/* The most slices to think of. A closed form takes as many as it can; sweeps none, for a row's
 * equations take whole rows. */
static int most_columns(const run_options *options, const grid_machine *machine, int limit)
{
    if (options->is_closed) return limit;
    return cf_model_sweeps(options->model.name) ? 1 : (int)cf_min(limit, machine->n_nodes);
}

/* Blocks on one node share the rows of fields, and go through a part of the graph each. Blocks on
 * several nodes send rows; slices send none, but each goes through all edges of its block for rows
 * that are shorter. So there are no more slices than nodes, and as many as take the least predicted
 * time; of the same time, the most. What does not fit into 70% of the memory is left out, or, if
 * nothing fits, all but the fewest slices, for more blocks divide the graph too. More slices than
 * nodes only where blocks would be more than rows. */
void grid_choose(const cf_dataset *dataset, const run_options *options, const grid_machine *machine,
                 int *n_rows, int *n_columns)
{
    const int64_t fewest = fewest_rows(dataset);
    const int limit = (int)cf_min(segments_of(dataset, options), machine->n_ranks);
    const int most = most_columns(options, machine, limit);
    double least = INFINITY;
    int columns = 0, last = 0;

    for (int c = most; c >= 1; c--) {
        if (!is_grid(machine->n_ranks, c, fewest)) continue;
        const double bytes = grid_predict_bytes(dataset, options, machine->n_nodes,
                                                machine->n_ranks / c, c),
                     seconds = predict_seconds(dataset, options, machine, c, bytes);

        last = c;
        if (bytes >= 0.7 * machine->rank_bytes || seconds >= least) continue;
        least = seconds;
        columns = c;
    }
    if (columns == 0) columns = last;
    for (int c = most + 1; c <= limit && columns == 0; c++)
        if (is_grid(machine->n_ranks, c, fewest)) columns = c;
    *n_columns = columns;
    *n_rows = columns > 0 ? machine->n_ranks / columns : 0;
}

/* Rank 0 chooses: a prediction counts threads, of which ranks may have different numbers. Where no
 * grid will do, the caller says so of blocks. Collective. */
static void choose_grid(const cf_dataset *dataset, const run_options *options, int *n_rows,
                        int *n_columns)
{
    const cf_par *world = dataset->world;
    const grid_machine machine = {world->size, cf_par_count_nodes(world), memory_of_rank(world)};
    int chosen[2];

    grid_choose(dataset, options, &machine, &chosen[0], &chosen[1]);
    cf_par_broadcast(world, chosen, sizeof chosen, 0);
    *n_columns = chosen[1] > 0 ? chosen[1] : 1;
    *n_rows = world->size / *n_columns;
}

/* "ROWSxCOLUMNS". */
static bool parse_grid(const char *text, int *n_rows, int *n_columns)
{
    char *end;
    const long r = strtol(text, &end, 10);
    long c;

    if (end == text || (*end != 'x' && *end != 'X')) return false;
    text = end + 1;
    c = strtol(text, &end, 10);
    if (end == text || *end != '\0' || r < 1 || c < 1 || r > 1 << 20 || c > 1 << 20) return false;
    *n_rows = (int)r;
    *n_columns = (int)c;
    return true;
}

/* Every rank checks the same numbers, so all ranks fail alike. */
cf_status grid_create(const cf_dataset *dataset, const run_options *options, cf_grid **out)
{
    const char *text = options->grid;
    const int64_t segments = segments_of(dataset, options);
    const int64_t fewest = fewest_rows(dataset);
    const int size = dataset->world->size;
    int n_rows = 1, n_columns = 1;

    if (strcmp(text, "auto") == 0)
        choose_grid(dataset, options, &n_rows, &n_columns);
    else if (!parse_grid(text, &n_rows, &n_columns))
        return CF_FAIL(CF_ERR_USAGE, "grid: \"%s\" is not auto or ROWSxCOLUMNS, as 2x4", text);
    if ((int64_t)n_rows * n_columns != size)
        return CF_FAIL(CF_ERR_USAGE, "grid: %dx%d needs %lld ranks, there are %d", n_rows,
                       n_columns, (long long)n_rows * n_columns, size);
    if (n_columns > segments)
        return CF_FAIL(CF_ERR_USAGE,
                       "grid: %dx%d cuts rows into %d slices, but they have only %lld segments of "
                       "16 numbers%s",
                       n_rows, n_columns, n_columns, (long long)segments,
                       options->is_closed ? "" : " (embedding_size)");
    if (n_rows > fewest)
        return CF_FAIL(CF_ERR_USAGE,
                       "grid: %d blocks of users and items, but there are only %lld users and %lld "
                       "items: use fewer ranks",
                       n_rows, (long long)dataset->n_users, (long long)dataset->n_items);
    return cf_par_create_grid(dataset->world, n_rows, n_columns, out);
}
