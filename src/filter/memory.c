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
    const int64_t n[2] = {size->n_users, size->n_items};
    const double node_blocks = (double)cf_min(size->n_rows, size->node_ranks);

    return (shape){.users = (double)n[CF_USERS] / size->n_rows,
                   .items = (double)n[CF_ITEMS] / size->n_rows,
                   .edges = 2 * (double)size->n_train / size->n_rows,
                   .halo = cf_graph_guess_halo(n, size->n_train, size->n_rows / node_blocks) /
                           node_blocks,
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
           4 * (double)size->n_items * per_rank;
}

/* Y and Z, the field, whole rows of the larger side, their parts on the way, tiles of each thread;
 * matrices of B x B: four of each rank, and of rank 0 the sum and its eigenvectors. */
double cf_filter_predict_singular(const cf_filter_size *size, int64_t dim)
{
    const shape s = shape_of(size);
    const double b = (double)filter_subspace_dim(dim), rows = (s.users + s.items) / size->n_columns,
                 most = fmax(s.users, s.items) / size->n_columns, moving = s.ranks > 1 ? rows : 0;

    return recurrence_memory(&s, b / size->n_columns) + 4 * b * (rows + most + moving) +
           4 * b * CF_TILE_ROWS * (omp_get_max_threads() + 1 + 2) + b * b * (2 * 8 + 4) +
           2 * 8 * b * b / s.ranks + cf_linalg_predict_panels((int64_t)b, (int)s.ranks, (int64_t)b);
}
