/** The clock of a rank in a simulation: SimGrid's, and what the rank has yet to pay for. */
#pragma once

#include "cf/core.h"

#include <time.h>

/*
 * A span is what a rank computes from one reading of its clock to the next; a step has the same
 * spans as another of the same batch. On a machine with neighbours some take many times as long as
 * others, and among a thousand ranks that wait for the slowest there is always one of those. So
 * spans are measured in several steps, by the processor time of the thread, and in the step that is
 * timed each takes the median. Elsewhere computing takes no time.
 */

/**
 * What a rank computes with. Spans are measured on one core that has the machine to itself; a rank
 * may have several cores, and shares caches and memory with the other ranks of its node. A span
 * that took t seconds then takes
 *     t (c / speed + (1 - c) max(1 / speed, core_bandwidth / bandwidth)),
 * speed = threads x efficiency, with c the part of what the rank holds that fits into its caches.
 * What every thread would do alike, drawing a batch and finding its rows, takes t.
 */
typedef struct clock_cores {
    double threads, efficiency;
    double join; /* seconds that a rank's threads take to end a loop and begin another */
    double cache, bandwidth, core_bandwidth; /* bytes; bytes a second, of the rank and of a core */
} clock_cores;
/** "THREADS,EFFICIENCY,JOIN,CACHE,BANDWIDTH,CORE_BANDWIDTH". Local. Errors: USAGE. */
cf_status clock_set_cores(const char *text);
/** The threads of the rank end a loop. Local. */
void clock_join(void);
/** Whether the span that ends now is one that all threads would do alike. In profile.c, which knows
 * the phase. Local. */
bool clock_is_repeated(void);

/** The next step is measured. Local. Errors: USAGE (too many). */
cf_status clock_measure(void);
/** The spans of a step begin here: what was done since the last one is none of it. Local. */
void clock_begin_step(void);
/** From the next step on spans take the median of those measured. Local. Errors: USAGE (nothing was
 * measured, or steps of different spans). */
cf_status clock_replay(void);

/** From here on every span takes up to a millisecond more, as `seed` and `rank` draw it; on one
 * rank in four ten times that. Local. */
void clock_hold_up(uint64_t seed, int rank);

/** Seconds of this rank: it may be ahead of SimGrid until it calls MPI. Local. */
double clock_now(void);
/** The rank works for `seconds` more. Local. */
void clock_owe(double seconds);
/** Around whatever is not computing of the program. The first lets SimGrid catch up with the rank:
 * others may run. Local. */
void clock_stop(void);
void clock_go_on(void);
/** SimGrid's clock goes on to `time`, if it isn't there. Between the two above. Local. */
void clock_sleep_until(double time);

/** In place of clock_gettime() for the program's modules: what was computed since the last reading
 * is owed. Local. */
int clock_read(clockid_t id, struct timespec *out);
