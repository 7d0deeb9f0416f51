/* The machine: how many nodes the ranks are on, and which MPI library and OpenBLAS kernels they
 * run. */
#include "cf/par.h"

#include <cblas.h>
#include <string.h>

int cf_par_count_nodes(const cf_par *par)
{
    MPI_Comm node;
    int rank_on_node, n;

    MPI_Comm_split_type(par->comm, MPI_COMM_TYPE_SHARED, par->rank, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &rank_on_node);
    MPI_Comm_free(&node);
    n = rank_on_node == 0;
    MPI_Allreduce(MPI_IN_PLACE, &n, 1, MPI_INT, MPI_SUM, par->comm);
    return n;
}

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
