/* The machine: how many nodes the ranks are on, and which MPI library and OpenBLAS kernels they
 * run. OpenBLAS picks its kernels by the processor's family; an old version takes a new family for
 * an old one and loses half of its speed, which is worth a warning. */
#include "cf/par.h"

#include <cblas.h>
#include <stdlib.h>
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

/* Old OpenBLAS versions take a processor they do not know for one without AVX-512. */
static bool misses_avx512(const char *kernels)
{
#ifdef __x86_64__
    return getenv("OPENBLAS_CORETYPE") == NULL && __builtin_cpu_supports("avx512f") &&
           (strcmp(kernels, "Haswell") == 0 || strcmp(kernels, "Zen") == 0);
#else
    (void)kernels;
    return false;
#endif
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
    if (misses_avx512(kernels))
        cf_warn("OpenBLAS computes without this processor's AVX-512: OPENBLAS_CORETYPE=SkylakeX "
                "in the environment makes evaluation, SGL and SGCL faster");
}
