/** Private to model: what a step will send, predicted from the graph and the size of a batch. */
#pragma once

#include "internal.h"

/** What is known of a batch before it is drawn. Numbers are expectations, and thus fractions. */
struct forecast {
    cf_model *model;
    double size;        /* samples of the batch, on all ranks */
    double fraction;    /* of all train interactions: each one's chance to be in the batch */
    double mine;        /* samples of my users */
    double distinct[2]; /* users, and positives, in the batch */
    double my_distinct[2];
    int64_t n_warm;   /* items that may be negatives */
    int64_t *warm;    /* grid rows: those of each block */
    double *bytes;    /* CF_N_PHASES: sent by this rank; to be added to */
    double *requests; /* grid rows: distinct items of each other block that my samples need */
    int *node_of;     /* grid rows: the first grid row of each one's node */
    float *log[2];    /* 2 x owned rows: room for logs of chances that rows are near the batch */
    double *replies;  /* grid rows: distinct items of mine that each other block needs */
};

/** Bytes of an Allreduce, as cf_phase_use counts them. */
double forecast_allreduce(const cf_par *par, double bytes);
/** Add what global_batch_find() and global_batch_gather() send, to the phases batch and contrast.
 */
void forecast_global_batch(forecast *f);
