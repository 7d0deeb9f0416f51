/* The machine: which MPI library and OpenBLAS kernels the ranks run. */
#include "cf/par.h"

#include <cblas.h>
#include <stdio.h>
#include <string.h>

const char *cf_par_mpi_library(void)
{
    static char name[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;

    MPI_Get_library_version(name, &length);
    name[strcspn(name, ",\n")] = '\0'; /* "Open MPI v4.1.4" is enough */
    return name;
}

cf_blas cf_par_find_blas(void)
{
    static char text[64];
    const char *config = openblas_get_config(); /* "OpenBLAS 0.3.21 NO_LAPACKE ..." */
    const size_t name = strcspn(config, " ");

    snprintf(text, sizeof text, "%.*s",
             (int)(name + (config[name] ? 1 + strcspn(config + name + 1, " ") : 0)), config);
    return (cf_blas){.name = text, .kernels = openblas_get_corename()};
}

void cf_par_log_libraries(void)
{
    const cf_blas blas = cf_par_find_blas();

    cf_log("%s, %s with kernels for %s", cf_par_mpi_library(), blas.name, blas.kernels);
}
