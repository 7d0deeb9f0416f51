/**
 * Private to train: what a run cost each rank. report.c gathers the numbers and logs the table of
 * phases, profile.c writes them as JSON. Functions are Local, on rank 0, unless they say otherwise.
 */
#pragma once

#include "cf/train.h"

/** What the program cost a rank so far. */
typedef struct rank_costs {
    int64_t rows;       /* of the block's users and items together */
    int64_t edges;      /* train interactions of its users, and those of its items */
    int64_t held, peak; /* bytes allocated now, and at most; without those of libraries */
    int64_t has_energy; /* is 1 on the first rank of a node that has meters, else 0 */
    int64_t resident;   /* bytes of memory that the process had at most, by the system's count */
    double cpu_seconds; /* of all threads of the process, likewise */
    cf_profile profile; /* seconds, bytes and messages by phase */
} rank_costs;

/** What is known of the steps beside the profile; zeros where there were none. */
typedef struct step_costs {
    int64_t steps;            /* done by this process */
    double memory;            /* predicted: bytes that a rank holds */
    double mean[CF_N_PHASES]; /* predicted: bytes sent in a step, by phase, mean of the ranks */
    double maximum;           /* predicted: the largest sum over the phases of any rank */
} step_costs;

/** Predicted bytes of a step, of all phases, mean of the ranks. Local. */
double step_costs_bytes(const step_costs *steps);

/** Costs of all ranks. */
typedef struct report {
    int n_ranks;
    rank_costs *rank; /* n_ranks on rank 0, NULL on the others; owned */
} report;

/** A number of a rank. */
typedef enum report_number {
    REPORT_SECONDS, /* the first seven belong to a phase; with the phase CF_N_PHASES to all */
    REPORT_MPI_SECONDS,
    REPORT_BYTES,
    REPORT_MESSAGES,
    REPORT_FILE_SECONDS,
    REPORT_READ,
    REPORT_WRITTEN,
    REPORT_ROWS, /* from here on the phase is ignored; the next six are those of rank_costs */
    REPORT_EDGES,
    REPORT_HELD,
    REPORT_PEAK,
    REPORT_RESIDENT,
    REPORT_CPU_SECONDS,
    REPORT_STEP_SECONDS, /* of computing in steps: without MPI calls */
    REPORT_STEP_BYTES    /* sent in steps */
} report_number;

/** A number over the ranks. */
typedef struct spread {
    double minimum, mean, maximum;
} spread;

/** Gather the costs of all ranks on rank 0. Collective. Errors: MEMORY. Free with
 * report_destroy(). */
cf_status report_gather(const cf_grid *grid, const cf_shard *shard, report *out);
void report_destroy(report *r);
/** A number of one rank. */
double report_value(const rank_costs *rank, report_number number, int phase);
/** The same over all ranks. */
spread report_spread(const report *r, report_number number, int phase);
/** Maximum over mean of the ranks: 1 is a perfect balance, and what is said of zeros. */
double report_balance(const report *r, report_number number);
/** Is the energy of all nodes, or of some, measured? */
bool report_has_energy(const report *r);
/** Joules of all nodes that measure it in a phase; of steps in CF_PHASE_OTHER, CF_N_PHASES: in all.
 */
double report_energy(const report *r, int phase);
/** Log the table of phases, the balance, and what was sent in a step. */
void report_log(const report *r, const step_costs *steps);

/** The event "profile" of log.jsonl: phases, balance and memory, as [minimum, mean, maximum] of the
 * ranks. */
json_t *profile_summary(const report *r, const step_costs *steps);
/** The predicted bytes of a step by phase, and their "total" and "most" of one rank. */
json_t *profile_predicted(const step_costs *steps);
/** Check that `path` can be written, before hours of training. Collective. Errors: IO, MEMORY. */
cf_status profile_check(const cf_par *world, const char *path);
/** Write all numbers of all ranks into `path`. Collective; `r` is rank 0's. Errors: IO, MEMORY. */
cf_status profile_write(const report *r, const cf_report_context *context, const step_costs *steps,
                        const char *path);
