/** Graphs for tests of filters, and R of them as a plain matrix. */
#pragma once

#include "cf/filter.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline double *new_doubles(int64_t count)
{
    double *out = calloc((size_t)count, sizeof *out);

    assert_non_null(out);
    return out;
}

/** Train interactions of each item (side 1) or user (side 0). */
static inline double *count_degrees(const cf_test_graph *graph, int side)
{
    double *out = new_doubles(side ? graph->n_items : graph->n_users);

    for (int64_t e = 0; e < graph->n_pairs; e++)
        out[graph->pairs[e][side]]++;
    return out;
}

/** R'R, items x items. */
static inline double *square_plainly(const cf_test_graph *graph)
{
    const int64_t n = graph->n_items, m = graph->n_users;
    double *users = count_degrees(graph, 0), *items = count_degrees(graph, 1),
           *r = new_doubles(m * n), *out = new_doubles(n * n);

    for (int64_t e = 0; e < graph->n_pairs; e++) {
        const int64_t u = graph->pairs[e][0], i = graph->pairs[e][1];

        r[u * n + i] = 1 / sqrt(users[u] * items[i]);
    }
    for (int64_t u = 0; u < m; u++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n && r[u * n + i] != 0; j++)
                out[i * n + j] += r[u * n + i] * r[u * n + j];
    free(users);
    free(items);
    free(r);
    return out;
}
