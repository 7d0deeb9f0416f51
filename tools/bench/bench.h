/** Shared by the benchmarks: timing and JSON lines. */
#pragma once

#include "cf/par.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { BENCH_RUNS = 7 };

static inline int bench_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/** The median, the upper one of an even count. Sorts `seconds`. */
static inline double bench_median(double *seconds, int count)
{
    qsort(seconds, (size_t)count, sizeof *seconds, bench_compare);
    return seconds[count / 2];
}

/** Median seconds of BENCH_RUNS calls after one to warm up; each call counts as its slowest rank.
 * Collective. */
static inline double bench_time(const cf_par *world, void (*run)(void *), void *context)
{
    double seconds[BENCH_RUNS];

    run(context);
    for (int k = 0; k < BENCH_RUNS; k++) {
        MPI_Barrier(world->comm);
        seconds[k] = cf_clock_now();
        run(context);
        seconds[k] = cf_clock_now() - seconds[k];
        MPI_Allreduce(MPI_IN_PLACE, &seconds[k], 1, MPI_DOUBLE, MPI_MAX, world->comm);
    }
    return bench_median(seconds, BENCH_RUNS);
}
