/* Predicted memory of a rank, a mean over ranks: what the graph, the fields and the tables of a
 * filter and of singular vectors hold. */
#include "internal.h"

#include "cf/linalg.h"

#include <math.h>
#include <omp.h>

/* A rank's part. */
typedef struct shape {
    double users, items, edges, halo; /* edges: from both sides */
    double ranks;
} shape;

static shape shape_of(const cf_filter_size *size)
{
    const cf_graph_size *graph = &size->graph;
    const double node_blocks = (double)cf_min(size->n_rows, size->node_ranks);

    return (shape){.users = (double)graph->n[CF_USERS] / size->n_rows,
                   .items = (double)graph->n[CF_ITEMS] / size->n_rows,
                   .edges = 2 * (double)graph->n_edges / size->n_rows,
                   .halo = cf_graph_predict_halo(graph, size->n_rows / node_blocks) / node_blocks,
                   .ranks = (double)size->n_rows * size->n_columns};
}

/* A field, its send buffer, and what tells the sides of the halo apart. */
static double recurrence_memory(const shape *s, double width)
{
    return 4 * width * (s->users + s->items + 2 * s->halo) + 4 * s->halo;
}

/* Beside the graph: the field, sums and two factors of items, and the scores that are received. */
double cf_filter_predict_memory(const cf_filter_size *size)
{
    const shape s = shape_of(size);
    const double per_rank = (double)filter_columns_of_rank(size->n_rows),
                 width = per_rank * size->n_rows;

    return cf_graph_predict_memory(s.users + s.items, s.edges, s.halo, width) +
           recurrence_memory(&s, width) + s.items * (4 * width + 8) +
           4 * (double)size->graph.n[CF_ITEMS] * per_rank;
}

/* A tile of rows of the subspace. */
static double tile_bytes(int64_t dim)
{
    return 4 * (double)dim * CF_TILE_ROWS;
}

/* Either a sum of products of rows, on all ranks, from two tiles, or the eigenvectors of one, on
 * rank 0. */
static double ritz_memory(int64_t dim, int n_ranks)
{
    const double sum = cf_linalg_predict_sum(dim, n_ranks) + 2 * tile_bytes(dim);

    return sum + fmax(0, cf_linalg_predict_eigen_one(dim) - sum) / n_ranks;
}

/* Y and Z, the field, whole rows of the larger side, their parts on the way, tiles of each thread;
 * matrices of B x B: G, H and W of each rank, two of rank 0. */
double cf_filter_predict_singular(const cf_filter_size *size, int64_t dim)
{
    const shape s = shape_of(size);
    const int64_t columns = filter_subspace_dim(dim);
    const double b = (double)columns, rows = (s.users + s.items) / size->n_columns,
                 most = fmax(s.users, s.items) / size->n_columns, moving = s.ranks > 1 ? rows : 0;

    return recurrence_memory(&s, b / size->n_columns) + 4 * b * (rows + most + moving) +
           tile_bytes(columns) * (omp_get_max_threads() + 1) + b * b * (2 * 8 + 4) +
           2 * 8 * b * b / s.ranks + ritz_memory(columns, (int)s.ranks);
}
