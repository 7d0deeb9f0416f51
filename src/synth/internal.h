/** Inside synth: Zipf's law, what is drawn, and from what. Everything is Local. */
#pragma once

#include "cf/synth.h"

/* ---- Zipf's law (law.c) ---------------------------------------------------------------------- */

/**
 * The law of Zipf and Mandelbrot over ranks 0 .. n - 1 in closed form: rank k has the mass of x^-s
 * from k + shift to k + shift + 1, with s = 1 / (exponent - 1), so that sizes drawn by it are
 * distributed as x^-exponent, but for about `shift` ranks at the head, which it makes flatter.
 */
typedef struct synth_law {
    int64_t n;
    double q; /* 1 - s */
    double shift;
    double total; /* mass of all ranks, over shift^q */
} synth_law;

/** With a shift of 1: Zipf's law. */
synth_law synth_make_law(double exponent, int64_t n);
/** The rank at which the share `u` in [0, 1) of the mass ends. */
int64_t synth_draw_rank(const synth_law *law, double u);

/** Whole numbers by the law: `total` over all ranks, none above `most`. */
typedef struct synth_sizes {
    synth_law law;
    int64_t total, most;
} synth_sizes;

/** The law is shifted as far as `most` asks for; n * most >= total. */
synth_sizes synth_make_sizes(double exponent, int64_t n, int64_t total, int64_t most);
/** The number of a rank. */
int64_t synth_size(const synth_sizes *sizes, int64_t rank);

/* ---- Users and items (draw.c) ---------------------------------------------------------------- */

/** What the settings say, and what follows from it alone: the same on all ranks. */
typedef struct synth_plan {
    int64_t n_users, n_items, n_interactions, n_clusters, dim;
    double cluster_share, noise;
    cf_type type;
    bool titles;
    uint64_t seed;
    synth_sizes sizes;         /* of users, beside CF_SYNTH_LEAST */
    cf_permutation user_order; /* a user's rank in `sizes` */
    /* Clusters have n_items / n_clusters items, the first n_items % n_clusters of them one more:
     * [0] is for these. */
    synth_law popularity[2];
    cf_permutation item_order[2]; /* place in the cluster of a rank of popularity */
} synth_plan;

/** Errors: USAGE. */
cf_status synth_make_plan(const cf_config *config, synth_plan *out);

static inline int64_t synth_cluster_of(const synth_plan *plan, int64_t item)
{
    return item % plan->n_clusters;
}

/** Random numbers of one purpose. A number, once given, is never reused or changed. */
typedef enum synth_purpose {
    SYNTH_USER_ORDER = 1,
    SYNTH_ITEM_ORDER = 2,
    SYNTH_USER_CLUSTER = 3,
    SYNTH_ITEM = 4,
    SYNTH_SPLIT = 5,
    SYNTH_CENTER = 6,
    SYNTH_SPREAD = 7,
    SYNTH_NOISE = 8
} synth_purpose;
cf_random synth_random(const synth_plan *plan, synth_purpose purpose);

/** The lists of users first .. first + train->count - 1, whose counts are set; `start` and `index`
 * are new, freed with cf_free(). Errors: MEMORY; what is made by then is to be freed. */
cf_status synth_draw_lists(const synth_plan *plan, int64_t first, cf_lists *train, cf_lists *valid,
                           cf_lists *test);

/* ---- Vectors (vectors.c) --------------------------------------------------------------------- */

typedef struct synth_vectors {
    const synth_plan *plan; /* borrowed */
    int64_t first_item;     /* of this rank */
    float *centers;         /* n_clusters x dim, as they are written */
    float *spread;          /* dim: half the range of the noise */
    float *row;             /* dim */
} synth_vectors;

/** Errors: MEMORY. Free with synth_close_vectors() in every case. */
cf_status synth_open_vectors(const synth_plan *plan, int64_t first_item, synth_vectors *out);
/** The read_vectors() of a cf_dataset_content; `context` is the synth_vectors. */
cf_status synth_read_vectors(void *context, int64_t first, int64_t count, void *rows,
                             uint8_t *present);
void synth_close_vectors(synth_vectors *vectors);
