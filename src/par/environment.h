/**
 * par, private: which variables the environment should have. Pure functions of what was found out,
 * so that tests can ask about machines that they do not run on.
 */
#pragma once

#include "cf/par.h"

/** What processors can do. */
typedef struct environment_features {
    bool avx2;   /* and FMA */
    bool avx512; /* F, CD, BW, DQ and VL: what Skylake-X has */
} environment_features;

/** What is known before MPI starts. */
typedef struct environment_facts {
    environment_features processor;
    bool openblas;              /* an OpenBLAS is loaded */
    environment_features built; /* it has kernels for these, to be chosen at run time */
    const char *kernels;        /* those that the BLAS chose */
    bool libomp;                /* else libgomp */
    int threads;                /* of this rank */
    int ranks;                  /* that share `cores` with this one, itself among them */
    int cores;                  /* that this rank may run on */
} environment_facts;

enum { ENVIRONMENT_VARIABLES = 4 };

/** A variable to set. */
typedef struct environment_variable {
    const char *name, *value;
} environment_variable;

/** The OPENBLAS_CORETYPE of better kernels than `kernels`, NULL where these are right, or are none
 * of those that old versions take for unknown processors. Local. */
const char *environment_core_type(const char *kernels, environment_features usable);

/** The variables to set, at most ENVIRONMENT_VARIABLES. `get`: getenv(). What is set stays, but for
 * OPENBLAS_NUM_THREADS. Returns their number. Local. */
int environment_choose(const environment_facts *facts, char *(*get)(const char *),
                       environment_variable *out);
