/**
 * par, private: what is asked of the BLAS beside its routines.
 */
#pragma once

#include "environment.h"

/** Hold each call to one thread, and to sums in one order wherever its matrices lie, if this BLAS
 * can be told to. Before its first call; local. */
void blas_prepare(void);

/** Is an OpenBLAS loaded, be it this BLAS or another's part? It reads OPENBLAS_* then. Local. */
bool blas_loads_openblas(void);

/** The processors that this OpenBLAS has kernels for, to be chosen at run time. None, where this
 * BLAS is another. Local. */
environment_features blas_built_kernels(void);
