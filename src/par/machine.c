/* The machine: which MPI library and OpenBLAS kernels the ranks run. */
#include "cf/par.h"

#include <cblas.h>
#include <string.h>

void cf_par_log_libraries(void)
{
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
    const char *kernels = openblas_get_corename(), *blas = openblas_get_config();
    const size_t name = strcspn(blas, " "); /* "OpenBLAS 0.3.21 NO_LAPACKE ..." */
    int length;

    MPI_Get_library_version(mpi, &length);
    mpi[strcspn(mpi, ",\n")] = '\0'; /* "Open MPI v4.1.4" is enough */
    cf_log("%s, %.*s with kernels for %s", mpi,
           (int)(name + (blas[name] ? 1 + strcspn(blas + name + 1, " ") : 0)), blas, kernels);
}
