#include "internal.h"

/* A checkpoint takes at most 1/20 of the time between two. */
static const double rest_per_cost = 20;
/* Kept free of the time limit: so much for a checkpoint that has not been measured yet, and so many
 * times the last one's seconds once it has. */
static const double unknown_share = 0.1, times_cost = 2;

void watch_start(struct watch *watch, const cf_par *world, const cf_config *config, double limit)
{
    *watch = (struct watch){.world = world,
                            .interval = cf_config_real(config, "checkpoint_interval"),
                            .limit = limit,
                            .started = cf_clock_now()};
}

static bool save_is_due(const struct watch *watch, double now)
{
    const double rested = now - watch->saved;

    return watch->interval > 0 && rested >= watch->interval &&
           rested >= rest_per_cost * watch->cost;
}

/* Would the time limit pass if there were one more step, and then a checkpoint? */
static bool limit_is_near(const struct watch *watch, double now)
{
    const double cost = watch->cost > 0 ? times_cost * watch->cost : unknown_share * watch->limit;

    return watch->limit > 0 && now - watch->started + watch->longest + cost >= watch->limit;
}

struct duty watch_agree(struct watch *watch)
{
    const double now = cf_clock_now();
    struct duty duty = {signals_raised() ? STOP_SIGNAL : STOP_NOT, 0};

    if (watch->world->rank == 0) {
        if (watch->worked && now - watch->ended > watch->longest)
            watch->longest = now - watch->ended;
        if (!duty.stop && limit_is_near(watch, now)) duty.stop = STOP_LIMIT;
        duty.save = save_is_due(watch, now);
    }
    if (watch->world->size > 1)
        MPI_Allreduce(MPI_IN_PLACE, &duty, 2, MPI_INT, MPI_MAX, watch->world->comm);
    if (!watch->worked) duty.stop = STOP_NOT;
    watch->worked = true;
    watch->ended = cf_clock_now();
    return duty;
}

void watch_saved(struct watch *watch, double began)
{
    watch->saved = cf_clock_now();
    watch->cost = watch->saved - began;
    watch->ended += watch->cost; /* which is no part of a step */
}
