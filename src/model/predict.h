/** Private to model: what a step sends, foretold from the graph and the size of a batch. */
#pragma once

#include "internal.h"

/** What is known of a batch before it is drawn. */
struct forecast {
    const cf_model *model;
    double size;        /* samples in it, on all ranks */
    double share;       /* of all train interactions, so each one's chance to be in it */
    double mine;        /* samples of my users */
    double distinct[2]; /* users, and positives, that are in it */
    double my_distinct[2];
    double *bytes;  /* CF_N_PHASES: sent by this rank; to be added to */
    double *wanted; /* grid rows: scratch */
    double *asked;
};

/** Bytes of an Allreduce, as cf_phase_use counts them. */
double forecast_allreduce(const cf_par *par, double bytes);
/** The samples and the rows of a whole_batch, on all ranks: into the phases batch and contrast. */
void forecast_whole_batch(forecast *f);
