/* The time that a grid takes, as a formula that compares grids before any is made.
 *
 * A step over all rows has 2 L - 1 sums over all neighbours (the first one backward is of few
 * rows). In one, a rank adds the rows of its edges up, and its node receives the halo:
 *
 *     edges / threads x (line + 64) x (c near + (1 - c) far max(1, cores / busy))
 *     + slices halo row / link_rate + (nodes - 1) latency
 *
 * `row` are the bytes of a slice of a row, `line` the same in whole cache lines of 64: a narrow row
 * takes nearly as long as a wide one. c is the part of what a rank holds that its caches have. near
 * and far are from sums of rows of 64 to 256 bytes in and out of the caches of one core
 * (tools/bench/sum.c); `busy` cores use up the memory's bandwidth. Link, latency, caches and `busy`
 * are those that tools/simulate takes for a node. tests/train/grid.c has choices of simulated
 * runs. */
#include "internal.h"
#include "memory.h"

#include <omp.h>

static const double line = 64;            /* bytes */
static const double near = 0.015e-9;      /* seconds a byte of a row that is in a cache */
static const double far = 0.1e-9;         /* of one in memory */
static const double busy = 16;            /* cores */
static const double core_cache = 4 << 20; /* bytes */
static const double link_rate = 12.5e9;   /* bytes a second */
static const double latency = 1e-6;       /* seconds a message */

double cf_model_predict_seconds(const cf_model_options *options, const cf_model_size *size,
                                double bytes)
{
    const memory_shape m = memory_shape_of(options, size);
    const double threads = omp_get_max_threads(), cores = threads * size->node_ranks;
    const double cached = fmin(1, threads * core_cache / bytes);
    const double lines = line * ceil(m.field_bytes / line);
    const double sum = m.edges / threads * (lines + line) *
                       (cached * near + (1 - cached) * far * fmax(1, cores / busy));
    const double exchange =
        m.halo * size->node_ranks * m.field_bytes / link_rate + (m.n_nodes - 1) * latency;

    if (!model_find_ops(options->name)->propagates || options->ranking_only) return 0;
    return fmax(0, 2 * options->n_layers - 1) * (sum + exchange);
}
