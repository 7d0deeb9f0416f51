/* The memory that a graph takes on a rank, on average over the ranks.
 *
 * Of the halo nothing is known before the graph is there. It is guessed as if all users, and all
 * items, had the same degree and edges went anywhere: then each of the m edges from one of k parts
 * hits one of n rows with chance 1/n, and n (1 - 1/k) (1 - exp(-m/n)) rows of others are needed.
 * Real graphs, whose degrees differ, need fewer; how many fewer is known where the dataset counted
 * them for parts of leaves. */
#include "internal.h"

#include <omp.h>

static double guess_halo(const cf_graph_size *size, double n_parts)
{
    double rows = 0;

    for (int side = 0; side < 2; side++)
        rows += (double)size->n[side] * (1 - 1 / n_parts) *
                -expm1(-(double)size->n_edges / n_parts / (double)size->n[side]);
    return rows;
}

/* What was counted over what is guessed, for the most parts that are no more than n_parts. */
static double counted_share(const cf_graph_size *size, double n_parts)
{
    const cf_leaves *leaves = size->leaves;
    int64_t level = -1;

    while (level + 1 < leaves->n_crossing && ldexp(2, (int)level + 1) <= n_parts)
        level++;
    if (level < 0) return 1;
    return (double)leaves->crossing[level] / ldexp(2, (int)level) /
           guess_halo(size, ldexp(2, (int)level));
}

double cf_graph_predict_halo(const cf_graph_size *size, double n_parts)
{
    return guess_halo(size, n_parts) * counted_share(size, n_parts);
}

/* Starts, scales and a byte of rows; edges; halo lists; scratch. */
double cf_graph_predict_memory(double rows, double edges, double n_halo, double width)
{
    return rows * (8 + 4 + 1) + 4 * edges + 4 * n_halo +
           4 * width * CF_ROWS_PER_CALL * omp_get_max_threads();
}
