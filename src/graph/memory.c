/* The memory that a graph takes on a rank, on average over the ranks.
 *
 * Of the halo nothing is known before the graph is there. It is guessed as if all users, and all
 * items, had the same degree and edges went anywhere: then each of the m edges from one of k parts
 * hits one of n rows with chance 1/n, and n (1 - 1/k) (1 - exp(-m/n)) rows of others are needed.
 * Real graphs, whose degrees differ, need fewer. */
#include "internal.h"

#include <omp.h>

double cf_graph_guess_halo(const int64_t n[2], int64_t n_edges, double n_parts)
{
    double rows = 0;

    for (int side = 0; side < 2; side++)
        rows += (double)n[side] * (1 - 1 / n_parts) *
                -expm1(-(double)n_edges / n_parts / (double)n[side]);
    return rows;
}

/* Starts, scales and a byte of rows; edges; halo lists; scratch. */
double cf_graph_predict_memory(double rows, double edges, double n_halo, double width)
{
    return rows * (8 + 4 + 1) + 4 * edges + 4 * n_halo +
           4 * width * CF_ROWS_PER_CALL * omp_get_max_threads();
}
