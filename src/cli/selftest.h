/**
 * Inside cli: what `llminit selftest` runs, and what it finds. selftest_data.c makes a small
 * dataset, selftest_known.c has the digests that are known, selftest_run.c trains and compares;
 * cli_selftest.c is the command.
 */
#pragma once

#include "cli.h"

enum { SELFTEST_MODELS = 11, SELFTEST_CHECKS = SELFTEST_MODELS + 2 };

/** A digest, and what it is known for. NULL: it does not depend on that. */
typedef struct selftest_known {
    const char *check;
    const char *arithmetic;     /* selftest_arithmetic() */
    const char *blas, *kernels; /* as of cf_blas; several kernels have blanks between them */
    uint64_t digest;
} selftest_known;

/** The table of known digests. */
typedef struct selftest_table {
    const selftest_known *rows;
    int count;
} selftest_table;
extern const selftest_table selftest_all_known;
/** How a * b + c is computed in this build: "fused" (rounded once), or "separate". */
const char *selftest_arithmetic(void);
/** The row of a check for this build and this BLAS; NULL: its digest is not known. Local. */
const selftest_known *selftest_find(const selftest_table *known, const char *check, cf_blas blas);

/** Write the dataset, a function of nothing: its bytes need only whole numbers, and floats that are
 * exact. Collective. Errors: IO, MEMORY. */
cf_status selftest_write_data(const cf_par *world, const char *path);

/** What a check came to; the same on every rank. */
typedef struct selftest_check {
    const char *name;
    bool has_digest;
    uint64_t digest;
    bool is_known; /* `known` is the digest that it must be */
    uint64_t known;
    char ways[128];  /* in which it came out the same: "1 rank, 4x1, 1x4" */
    char wrong[192]; /* "": nothing is */
} selftest_check;
typedef struct selftest_report {
    selftest_check check[SELFTEST_CHECKS];
    int count, n_wrong;
} selftest_report;

/** What is run. All pointers are borrowed. */
typedef struct selftest_plan {
    const char *folder; /* that is there, and is left as it was */
    const selftest_table *known;
    int n_models; /* the first of all SELFTEST_MODELS */
    /** Called on every rank with each check as it is done; NULL: nothing is. */
    void (*done)(const selftest_check *check);
} selftest_plan;
/** Run the checks. One that fails is no error, but counted in the report. Collective. Errors: those
 * of training. */
cf_status selftest_run(const cf_par *world, const selftest_plan *plan, selftest_report *out);
/** RESULT, and which checks, if some failed. Local. */
cf_status selftest_judge(const selftest_report *report);
