/**
 * The routines of BLACS, LAPACK and ScaLAPACK that linalg calls, none of which comes with a header,
 * and how matrices are passed to them. Nothing outside src/linalg sees this file. Names: linalg_*
 * is shared inside this folder only.
 *
 * Integers are 32 bits. A matrix is passed as its local part, the row and column (from 1) of its
 * first element, and a descriptor. Hidden lengths of character arguments are left out: the routines
 * look at the first letter alone.
 */
#pragma once

#include "cf/linalg.h"

#include <limits.h>

/* ---- BLACS ---- */

int Csys2blacs_handle(MPI_Comm comm);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridinit(int *context, const char *order, int n_rows, int n_columns);
void Cblacs_gridexit(int context);
void Cblacs_set(int context, int what, const int *value);
/* `what`: sums over processes in one order whatever message comes first, and the same on all. */
enum { BLACS_REPEATABLE = 15, BLACS_COHERENT = 16 };

/** Bytes of LAPACK's workspace for the eigenvalues, without vectors, of an n x n matrix. Local. */
double linalg_eigen_one_bytes(int64_t n);

/* ---- LAPACK and ScaLAPACK: s is float32, d float64 ---- */

void dsyevd_(const char *job, const char *triangle, const int *n, double *a, const int *lda,
             double *w, double *work, const int *lwork, int *iwork, const int *liwork, int *info);
void pdsyev_(const char *job, const char *triangle, const int *n, double *a, const int *ia,
             const int *ja, const int *desca, double *w, double *z, const int *iz, const int *jz,
             const int *descz, double *work, const int *lwork, int *info);
void pdsyevd_(const char *job, const char *triangle, const int *n, double *a, const int *ia,
              const int *ja, const int *desca, double *w, double *z, const int *iz, const int *jz,
              const int *descz, double *work, const int *lwork, int *iwork, const int *liwork,
              int *info);

#define LINALG_DECLARE(letter, real)                                                               \
    void p##letter##tradd_(const char *, const char *, const int *, const int *, const real *,     \
                           const real *, const int *, const int *, const int *, const real *,      \
                           real *, const int *, const int *, const int *);                         \
    void letter##potrf_(const char *, const int *, real *, const int *, int *);                    \
    void letter##potri_(const char *, const int *, real *, const int *, int *)

LINALG_DECLARE(s, float);
LINALG_DECLARE(d, double);

/* ---- What the files share ---- */

/** Numbers of its part that a rank moves in a round, times the ranks: what one process of the mesh
 * receives is as much, if the part is evenly distributed. */
enum { LINALG_ROUND = 1 << 23 };

static const int linalg_one = 1;

/** Number `index` of an array of `type`. */
static inline double linalg_read(cf_type type, const void *array, int64_t index)
{
    return type == CF_F64 ? ((const double *)array)[index] : (double)((const float *)array)[index];
}

static inline MPI_Datatype linalg_mpi_type(cf_type type)
{
    return type == CF_F64 ? MPI_DOUBLE : MPI_FLOAT;
}

/** True on the ranks that hold a part of matrices: the others skip the call, and agree afterwards.
 */
static inline bool linalg_on_mesh(const cf_mesh *mesh)
{
    return mesh->my_row >= 0;
}

/** How many of 0 .. n - 1 process `p` of `n_processes` has, in a block-cyclic distribution
 * (ScaLAPACK's NUMROC). */
static inline int64_t linalg_local_count(int64_t n, int64_t block, int n_processes, int p)
{
    const int64_t whole = n / block, rest = n % block, turn = whole % n_processes;

    return whole / n_processes * block + (p < turn ? block : p == turn ? rest : 0);
}

/** The local number of `i` on the process that has it. */
static inline int64_t linalg_local_index(int64_t i, int64_t block, int n_processes)
{
    return i / block / n_processes * block + i % block;
}

/** A matrix's descriptor. */
typedef struct linalg_descriptor {
    int word[9];
} linalg_descriptor;

static inline linalg_descriptor linalg_describe(const cf_cyclic *a)
{
    const int leading = (int)cf_max(a->local_rows, 1);

    return (linalg_descriptor){{1, a->mesh->context, (int)a->n_rows, (int)a->n_columns,
                                (int)a->block, (int)a->block, 0, 0, leading}};
}
