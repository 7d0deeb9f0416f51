/* The grid of a run, and the memory that it needs.
 *
 * A rank is predicted to hold its share of the lists of interactions (1 / rows), of the tables,
 * moments and starts (1 / rows / columns), and what the model or the closed form says of itself.
 * `grid: auto` takes a slice for each node, of one segment of 16 dimensions or more, blocks inside
 * the nodes, and more blocks where the prediction does not fit. tests/train/profile.c compares
 * predicted with counted. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Numbers in a row of the tables. */
static int64_t dim_of(const cf_dataset *dataset, const run_options *options)
{
    return options->is_closed ? cf_closed_dim(&options->closed, dataset->n_items)
                              : options->model.dim;
}

static int64_t segments_of(const cf_dataset *dataset, const run_options *options)
{
    return cf_table_segments(dim_of(dataset, options));
}

/* The tables of the model are its own to predict; those of the optimizer are as large. Sweeps have
 * neither an optimizer nor batches. */
static double predict_steps(const cf_dataset *dataset, const run_options *options, int n_nodes,
                            int n_rows, int n_columns)
{
    const bool sweeps = cf_model_sweeps(options->model.name);
    const int64_t rows[2] = {dataset->n_users, dataset->n_items};
    double kept = 0; /* rows of the optimizer's tables */
    const double width = CF_LANES * (double)segments_of(dataset, options);
    const int64_t batch = sweeps ? 1 : sampler_batch_size(&options->sampler, dataset->n_train);
    const cf_model_size size = {.n_users = dataset->n_users,
                                .n_items = dataset->n_items,
                                .n_train = dataset->n_train,
                                .max_batch = batch,
                                .n_rows = n_rows,
                                .n_columns = n_columns,
                                .node_rows = (int)cf_min(n_rows, n_rows * n_columns / n_nodes)};

    if (sweeps) return cf_model_predict_memory(&options->model, &size);
    for (int k = 0; k < 2 * CF_N_KEPT; k++)
        if (cf_optim_keeps(&options->optim, (cf_side)(k / CF_N_KEPT), (cf_kept)(k % CF_N_KEPT)))
            kept += (double)rows[k / CF_N_KEPT];
    return cf_model_predict_memory(&options->model, &size) + 4 * kept * width / n_rows / n_columns +
           sampler_bytes(&options->sampler, dataset->n_train, n_rows);
}

/* Lists: train from both sides, valid, test, and their starts, 8 bytes a number. */
double grid_predict_bytes(const cf_dataset *dataset, const run_options *options, int n_nodes,
                          int n_rows, int n_columns)
{
    const double lists = 8 * (double)(2 * dataset->n_train + dataset->n_valid + dataset->n_test +
                                      3 * dataset->n_users + dataset->n_items);
    const double model =
        options->is_closed ? cf_closed_predict_memory(&options->closed, dataset, n_rows * n_columns)
                           : predict_steps(dataset, options, n_nodes, n_rows, n_columns);

    return lists / n_rows + model;
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

    if (!options->is_closed) return CF_OK;
    available = memory_of_rank(&grid->world);
    if (needed <= available) return CF_OK;
    return CF_FAIL(
        CF_ERR_MEMORY,
        "model: %s of %lld items needs about %.0f MiB on each of %d ranks, which have "
        "%.0f MiB each: more nodes%s, or fewer items (prepare's item_inter_num_interval)",
        options->closed.name, (long long)dataset->n_items, needed / 1048576, grid->world.size,
        available / 1048576,
        options->closed.precision == CF_F64 ? ", solve_precision: float32" : "");
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

/* What rank 0 chose: a prediction counts threads, of which ranks may have different numbers. */
static void tell_grid(const cf_par *world, int *n_rows, int *n_columns)
{
    int chosen[2] = {*n_rows, *n_columns};

    cf_par_broadcast(world, chosen, sizeof chosen, 0);
    *n_rows = chosen[0];
    *n_columns = chosen[1];
}

/* Blocks on one node share the rows of fields, and go through a part of the graph each. Blocks on
 * several nodes send rows; slices send none, but each goes through all edges of its block for rows
 * that are shorter. So steps take a slice for each node, and blocks inside the nodes; a closed form
 * has no graph, and takes as many slices as it can. Of the grids with that many columns or fewer,
 * the most columns that fit into 70% of the memory, for more blocks divide the graph too; the
 * fewest if none fits. More columns only where blocks would be more than rows. */
static void choose_grid(const cf_dataset *dataset, const run_options *options, int *n_rows,
                        int *n_columns)
{
    const cf_par *world = dataset->world;
    const int size = world->size, n_nodes = cf_par_count_nodes(world);
    const int64_t segments = segments_of(dataset, options), fewest = fewest_rows(dataset);
    const double available = memory_of_rank(world);
    const int limit = (int)cf_min(segments, size);
    const int most = options->is_closed ? limit : (int)cf_min(limit, n_nodes);
    int columns = 0;

    for (int c = most; c >= 1; c--) {
        if (!is_grid(size, c, fewest)) continue;
        columns = c;
        if (grid_predict_bytes(dataset, options, n_nodes, size / c, c) < 0.7 * available) break;
    }
    for (int c = most + 1; c <= limit && columns == 0; c++)
        if (is_grid(size, c, fewest)) columns = c;
    *n_columns = columns > 0 ? columns : 1; /* where no grid will do, the caller says so */
    *n_rows = size / *n_columns;
    tell_grid(world, n_rows, n_columns);
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
                       "grid: %dx%d cuts the dimensions into %d slices, but %s %lld "
                       "has only %lld segments of 16",
                       n_rows, n_columns, n_columns,
                       options->is_closed ? "a row of" : "embedding_size",
                       (long long)dim_of(dataset, options), (long long)segments);
    if (n_rows > fewest)
        return CF_FAIL(CF_ERR_USAGE,
                       "grid: %d blocks of users and items, but there are only %lld users and %lld "
                       "items: use fewer ranks",
                       n_rows, (long long)dataset->n_users, (long long)dataset->n_items);
    return cf_par_create_grid(dataset->world, n_rows, n_columns, out);
}
