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

/** The spans from here on, up to the next of these calls, are of another step that is measured.
 * Local. Errors: USAGE (too many). */
cf_status clock_measure(void);
/** From here on spans take the median of those measured. Local. Errors: USAGE (nothing was
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
