/**
 * synth: datasets that are made up, for scaling studies and for trying things: users and items with
 * power-law numbers of interactions, tastes that are known, and vectors that know of them.
 */
#pragma once

#include "cf/config.h"
#include "cf/dataset.h"

/** Settings of `synthesize`. */
extern const cf_setting cf_synth_settings[];

/** Interactions that every user has at least: one for test, one for valid, one to train with. */
enum { CF_SYNTH_LEAST = 3 };

/** Counts for the report. */
typedef struct cf_synth_report {
    int64_t n_users, n_items, n_train, n_valid, n_test, embedding_dim;
    double seconds;
} cf_synth_report;

/**
 * Make a dataset and write it to `path`: the same bytes on any number of ranks.
 *
 * - Users' numbers of interactions follow Zipf's law in random order, the k-th largest about
 *   k^(-1 / (user_exponent - 1)), on top of CF_SYNTH_LEAST, so that the tail of their distribution
 *   falls as n^-user_exponent; their sum is n_interactions. No user gets more than an eighth of the
 *   items, or twice the mean where that is more.
 * - Item i is of cluster i mod n_clusters, a user's cluster is drawn. A user draws distinct items:
 *   with probability cluster_share from the own cluster, else from all clusters alike, and in a
 *   cluster by Zipf's law as well (item_exponent). Where few items are left that the user does not
 *   have, the next free number is taken.
 * - Of each user's interactions one goes to test and one to valid, at random.
 * - A vector is its cluster's normal vector plus embedding_noise times noise of the same variance,
 *   both times a spread of each dimension between 1/16 and 1; vectors have length 1 in the mean.
 *
 * Collective. Memory of a rank: its share of 24 bytes an interaction, 60 bytes a user or item and
 * the titles; n_clusters x embedding_dim floats; 30 MB of buffers. Errors: USAGE (numbers that do
 * not fit one another), MEMORY, IO.
 */
cf_status cf_synth_make(const cf_par *world, const cf_config *config, const char *path,
                        cf_synth_report *report);
