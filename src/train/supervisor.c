/* The supervisor of a run: what the ranks agree on between two steps, to stop or to write a
 * checkpoint.
 *
 * Signals may reach one rank alone, and clocks differ, so each rank brings what it knows (its
 * signal; rank 0 also the clock's part) and an Allreduce of two ints takes the larger: all ranks
 * stop at the same step. Time is reserved within the limit for one more step, as long as the
 * longest so far, and for a checkpoint. tests/train/supervisor.c has tables of cases. */
#include "internal.h"

#include <math.h>

/* A checkpoint takes at most 1 / `rest` of the time between two. */
static const double rest = 20;
/* Reserved for the last checkpoint: this fraction of the limit before one has been measured, then
 * this many times the seconds of the last one. */
static const double unknown_fraction = 0.1, cost_factor = 2;

void supervisor_start(supervisor *s, const cf_par *world, double interval, double limit)
{
    *s = (supervisor){
        .world = world, .interval = interval, .limit = limit, .started = cf_clock_now()};
}

static bool save_is_due(const supervisor *s, double now)
{
    const double since = now - s->saved;

    return s->interval > 0 && since >= s->interval && since >= rest * s->cost;
}

/* Would one more step, and then a checkpoint, pass the time limit? */
static bool limit_is_near(const supervisor *s, double now)
{
    const double cost = s->cost > 0 ? cost_factor * s->cost : unknown_fraction * s->limit;

    return s->limit > 0 && now - s->started + s->longest + cost >= s->limit;
}

/* The first call of a run does not stop it, whatever came: one step at least is done. */
decision supervisor_decide(supervisor *s)
{
    const double now = cf_clock_now();
    decision next = {signals_raised() ? STOP_SIGNAL : STOP_NOT, 0};

    if (s->has_step) {
        s->longest = fmax(s->longest, now - s->ended);
        cf_par_note_step(now - s->ended);
    }
    if (s->world->rank == 0) {
        if (next.stop == STOP_NOT && limit_is_near(s, now)) next.stop = STOP_LIMIT;
        next.save = save_is_due(s, now);
    }
    if (s->world->size > 1) MPI_Allreduce(MPI_IN_PLACE, &next, 2, MPI_INT, MPI_MAX, s->world->comm);
    if (!s->has_step) next.stop = STOP_NOT;
    s->has_step = true;
    s->ended = cf_clock_now();
    return next;
}

void supervisor_saved(supervisor *s, double began)
{
    s->saved = cf_clock_now();
    s->cost = s->saved - began;
    s->ended += s->cost; /* a checkpoint is no part of a step */
}
