/** Inside synth: Zipf's law, the plan of a dataset, and the draws. Everything is Local. */
#pragma once

#include "cf/synth.h"

/* ---- Zipf's law (law.c) ---------------------------------------------------------------------- */

/**
 * The Zipf-Mandelbrot law over positions 0 .. n - 1 in closed form. Position k has the mass of x^-s
 * from k + shift to k + shift + 1, with s = 1 / (exponent - 1), so that sizes in proportion to it
 * are distributed as x^-exponent. The shift flattens about the first `shift` positions. (A position
 * is Zipf's "rank", a word that means MPI's here.)
 */
typedef struct synth_law {
    int64_t n;
    double q;     /* 1 - s */
    double shift; /* at least 1; 1: Zipf's law */
    double total; /* mass of all positions, over shift^q */
} synth_law;

/** Zipf's law, with a shift of 1. */
synth_law synth_make_law(double exponent, int64_t n);
/** Draw a position: where the cumulated mass reaches the fraction `u` in [0, 1) of the total. */
int64_t synth_draw_position(const synth_law *law, double u);

/** Whole numbers in proportion to a law, whose sum is `total` and of which none is above `max`. */
typedef struct synth_sizes {
    synth_law law;
    int64_t total, max;
} synth_sizes;

/** The law gets the smallest shift of a geometric series that respects `max`; n * max >= total. */
synth_sizes synth_make_sizes(double exponent, int64_t n, int64_t total, int64_t max);
/** The number at a position. */
int64_t synth_size(const synth_sizes *sizes, int64_t position);

/* ---- Plan (plan.c) --------------------------------------------------------------------------- */

/** The options and what follows from them alone: the same on all ranks. */
typedef struct synth_plan {
    cf_synth_options options;
    synth_sizes sizes;         /* of users, beyond CF_SYNTH_MIN_PER_USER */
    cf_permutation user_order; /* a user's position in `sizes` */
    /* The first n_items % n_clusters clusters have n_items / n_clusters + 1 items, the others one
     * less: [0] is for the large clusters, [1] for the small ones. */
    synth_law popularity[2];
    cf_permutation item_order[2]; /* from a position in `popularity` to an index in the cluster */
} synth_plan;

/** Errors: USAGE (options that contradict each other). */
cf_status synth_make_plan(const cf_synth_options *options, synth_plan *out);

/** The cluster of an item. */
static inline int64_t synth_cluster_of(const synth_plan *plan, int64_t item)
{
    return item % plan->options.n_clusters;
}

/** Random numbers of one purpose. A value, once assigned, is never reused or changed. */
typedef enum synth_purpose {
    SYNTH_USER_ORDER = 1,   /* which user has which number of interactions */
    SYNTH_ITEM_ORDER = 2,   /* which item of a cluster is how popular */
    SYNTH_USER_CLUSTER = 3, /* the own cluster of a user */
    SYNTH_ITEM = 4,         /* the items of a user */
    SYNTH_SPLIT = 5,        /* which of them go to valid and test */
    SYNTH_CENTER = 6,       /* vectors of clusters */
    SYNTH_SPREAD = 7,       /* scales of dimensions */
    SYNTH_NOISE = 8         /* vectors of items around their clusters' */
} synth_purpose;
cf_random synth_random(const synth_plan *plan, synth_purpose purpose);

/* ---- Interactions (draw.c) ------------------------------------------------------------------- */

/** Draw the lists of users first .. first + train->count - 1. The counts of the three lists are
 * set; `start` and `index` are new, to be freed with cf_free(), also on errors. Errors: MEMORY. */
cf_status synth_draw_lists(const synth_plan *plan, int64_t first, cf_lists *train, cf_lists *valid,
                           cf_lists *test);

/* ---- Vectors (vectors.c) --------------------------------------------------------------------- */

/** What the vectors of items are computed from. */
typedef struct synth_vectors {
    const synth_plan *plan; /* borrowed */
    int64_t first_item;     /* of this rank */
    float *centers;         /* n_clusters x dim, row-major: vectors of the clusters */
    float *spread;          /* dim: half the range of the noise */
    float *row;             /* dim, padded: one vector before its conversion to float16 */
} synth_vectors;

/** Errors: MEMORY. Close in every case. */
cf_status synth_open_vectors(const synth_plan *plan, int64_t first_item, synth_vectors *out);
/** The read_vectors() of a cf_dataset_content; `context` is the synth_vectors. */
cf_status synth_read_vectors(void *context, int64_t first, int64_t count, void *rows,
                             uint8_t *present);
void synth_close_vectors(synth_vectors *vectors);
