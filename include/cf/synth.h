/**
 * synth: made-up datasets, for scaling studies and for trials without own data. Numbers of
 * interactions follow power laws, each user prefers the items of one cluster, and the vectors of
 * items are correlated with their clusters.
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"

/** Settings of `synthesize`. */
extern const cf_setting cf_synth_settings[];

/** Interactions that every user has at least: one for test, one for valid, one for train. */
enum { CF_SYNTH_MIN_PER_USER = 3 };

/** The values of cf_synth_settings. */
typedef struct cf_synth_options {
    int64_t n_users, n_items;
    int64_t n_interactions; /* distinct pairs (user, item) of all three parts */
    double user_exponent; /* above 1: users with n interactions are in proportion to n^-exponent */
    double item_exponent; /* the same for items, within a cluster */
    int64_t n_clusters;
    double cluster_share;   /* 0 to 1: probability that a draw is from the user's own cluster */
    int cluster_depth;      /* 1 ..: levels of the tree of clusters above them; 1: all clusters are
                               equally near */
    int64_t embedding_dim;  /* 0: no vectors */
    cf_type embedding_type; /* CF_F16 or CF_F32 */
    double embedding_noise; /* standard deviation within a cluster over that between clusters */
    bool titles;            /* write a title for each item */
    uint64_t seed;
} cf_synth_options;

/** Read the settings. Local; cannot fail. */
void cf_synth_read_options(const cf_config *config, cf_synth_options *out);

/** Counts for the report. */
typedef struct cf_synth_report {
    int64_t n_users, n_items;
    int64_t n_train, n_valid, n_test; /* interactions */
    int64_t embedding_dim;            /* 0: no vectors */
    double seconds;
} cf_synth_report;

/**
 * Make a dataset and write it to `path`: the same bytes on any number of ranks.
 *
 * - The numbers of interactions of the users follow Zipf's law in random order: the k-th largest is
 *   about k^(-1 / (user_exponent - 1)), plus CF_SYNTH_MIN_PER_USER. The tail of their distribution
 *   thus falls as n^-user_exponent. Their sum is n_interactions. The largest is at most an eighth
 * of n_items, or twice the mean if that is more.
 * - Item i belongs to cluster i mod n_clusters. A user's own cluster is drawn uniformly. A user
 *   draws distinct items: with probability cluster_share from the own cluster, else from a
 * uniformly drawn cluster, and within the cluster by Zipf's law (item_exponent). After several
 * draws of items that the user already has, the next free item number is taken.
 * - Of each user's interactions one goes to test and one to valid, at random.
 * - A vector is the sum of its cluster's normal vector and embedding_noise times uniform noise of
 *   the same variance. Each dimension of both is scaled by a number between 1/16 and 1. The mean
 *   square length of a vector is 1.
 *
 * Collective. Memory of a rank: its part of 24 bytes an interaction, 60 bytes a user or item and
 * the titles; n_clusters x embedding_dim floats; 30 MB of buffers. Errors: USAGE (options that
 * contradict each other), MEMORY, IO.
 */
cf_status cf_synth_make(const cf_par *world, const cf_synth_options *options, const char *path,
                        cf_synth_report *report);
