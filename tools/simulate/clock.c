#include "clock.h"

#include "cf/math.h"

#include <math.h>
#include <simgrid/engine.h>
#include <stdio.h>
#include <stdlib.h>
#undef clock_gettime /* SimGrid's, up to here */

enum { MAX_SAMPLES = 64, READINGS = 100 };

typedef struct spans {
    int64_t count, capacity;
    double *seconds;
} spans;

/* SimGrid gives every rank its own. */
static struct {
    enum { IDLE, MEASURE, REPLAY } mode;
    spans sample[MAX_SAMPLES];
    int n_samples;
    int64_t replayed; /* spans of sample[0], which then has the medians */
    double owed;      /* seconds */
    double reading;   /* seconds that a reading of the processor time takes */
    double went_on;   /* processor time where the span began */
    clock_cores cores;
    double share;     /* of the time that a span took on one core */
    cf_random delays; /* of spans; seed 0: none */
    double longest;   /* seconds of a delay */
    uint64_t rank, n_delays;
} me;

static double processor_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- Spans ---- */

static void keep(spans *sample, double seconds)
{
    if (sample->count == sample->capacity) {
        sample->capacity = 2 * sample->capacity + 1024;
        sample->seconds =
            realloc(sample->seconds, (size_t)sample->capacity * sizeof *sample->seconds);
        CF_ASSERT(sample->seconds != NULL);
    }
    sample->seconds[sample->count++] = seconds;
}

/* What a reading adds to a span: microseconds on some virtual machines, as much as many a span. */
static double least_seconds(void)
{
    double least = INFINITY;

    for (int k = 0; k < READINGS; k++) {
        const double began = processor_seconds();

        least = fmin(least, processor_seconds() - began);
    }
    return least;
}

cf_status clock_set_cores(const char *text)
{
    clock_cores *c = &me.cores;

    if (sscanf(text, "%lf,%lf,%lf,%lf,%lf,%lf", &c->threads, &c->efficiency, &c->join, &c->cache,
               &c->bandwidth, &c->core_bandwidth) != 6 ||
        c->threads * c->efficiency <= 0 || c->bandwidth <= 0)
        return CF_FAIL(CF_ERR_USAGE,
                       "%s: expected THREADS,EFFICIENCY,JOIN,CACHE,BANDWIDTH,CORE_BANDWIDTH", text);
    return CF_OK;
}

/* What the rank holds by now is what its steps touch. */
static double share_of_time(const clock_cores *c)
{
    const double each = 1 / (c->threads * c->efficiency);
    const double cached = fmin(1, c->cache / fmax(1, (double)cf_alloc_held()));

    return cached * each + (1 - cached) * fmax(each, c->core_bandwidth / c->bandwidth);
}

cf_status clock_measure(void)
{
    if (me.n_samples == MAX_SAMPLES)
        return CF_FAIL(CF_ERR_USAGE, "steps: expected at most %d", MAX_SAMPLES);
    me.reading = least_seconds();
    me.mode = MEASURE;
    me.n_samples++;
    return CF_OK;
}

void clock_begin_step(void)
{
    if (me.mode == MEASURE) me.sample[me.n_samples - 1].count = 0;
    me.replayed = 0;
    clock_go_on();
}

static double median_of(int64_t k)
{
    double sorted[MAX_SAMPLES];

    for (int s = 0; s < me.n_samples; s++) {
        const double value = me.sample[s].seconds[k];
        int at = s;

        for (; at > 0 && sorted[at - 1] > value; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = value;
    }
    return (sorted[(me.n_samples - 1) / 2] + sorted[me.n_samples / 2]) / 2;
}

cf_status clock_replay(void)
{
    if (me.n_samples == 0) return CF_FAIL(CF_ERR_USAGE, "steps: expected one at least");
    for (int s = 1; s < me.n_samples; s++)
        if (me.sample[s].count != me.sample[0].count)
            return CF_FAIL(CF_ERR_USAGE, "model: its steps differ in what they do: %lld, %lld",
                           (long long)me.sample[0].count, (long long)me.sample[s].count);
    for (int64_t k = 0; k < me.sample[0].count; k++)
        me.sample[0].seconds[k] = median_of(k);
    me.mode = REPLAY;
    me.replayed = me.sample[0].count; /* none until a step begins */
    me.share = share_of_time(&me.cores);
    return CF_OK;
}

void clock_hold_up(uint64_t seed, int rank)
{
    me.delays = (cf_random){seed, CF_STREAM_TEST};
    me.rank = (uint64_t)rank;
    me.longest = cf_random_below(me.delays, me.rank, 0, 1, 4) == 0 ? 1e-2 : 1e-3;
}

/* Whatever is computed after the last span is not timed. */
static void end_span(void)
{
    if (me.delays.seed != 0)
        me.owed += me.longest * cf_random_uniform(me.delays, me.rank, me.n_delays++, 0);
    if (me.mode == MEASURE)
        keep(&me.sample[me.n_samples - 1], fmax(processor_seconds() - me.went_on - me.reading, 0));
    if (me.mode == REPLAY && me.replayed < me.sample[0].count) {
        const double seconds = me.sample[0].seconds[me.replayed++];

        me.owed += clock_is_repeated() ? seconds : me.share * seconds;
    }
}

/* ---- The clock ---- */

void clock_join(void)
{
    if (me.mode == REPLAY) me.owed += me.cores.join;
}

double clock_now(void)
{
    return simgrid_get_clock() + me.owed;
}

void clock_owe(double seconds)
{
    me.owed += seconds;
}

void clock_sleep_until(double time)
{
    const double left = time - simgrid_get_clock();
    struct timespec span;

    if (left <= 0) return;
    span.tv_sec = (time_t)floor(left);
    span.tv_nsec = (long)(1e9 * (left - floor(left)));
    nanosleep(&span, NULL); /* SimGrid's */
}

void clock_stop(void)
{
    const double paid = clock_now();

    me.owed = 0;
    clock_sleep_until(paid);
}

void clock_go_on(void)
{
    if (me.mode == MEASURE) me.went_on = processor_seconds();
}

int clock_read(clockid_t id, struct timespec *out)
{
    double time;

    (void)id;
    end_span();
    time = clock_now();
    out->tv_sec = (time_t)floor(time);
    out->tv_nsec = (long)(1e9 * (time - floor(time)));
    clock_go_on();
    return 0;
}
