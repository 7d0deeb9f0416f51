/* Eigenvalues and eigenvectors of a symmetric matrix (float64), A = V diag(values) V': by all ranks
 * (ScaLAPACK's p?syevd, Tisseur and Dongarra 1999; p?syev without vectors) or by rank 0 alone
 * (LAPACK's dsyevd).
 *
 * ScaLAPACK 2.2.1 has traps that this file works around. The workspace query of pdsyevd is too
 * small where n is not large against the block: pdormtr then fails inside, info is 0 and the
 * vectors are wrong, or the program hangs. So it gets what pdormtr needs too (eigen_reals). The
 * values are right on process (0, 0) alone where one block holds the whole matrix, and some
 * routines report `info` to some processes only. tests/linalg/factor.c tries sizes about and below
 * the block on every mesh. */
#include "scalapack.h"

#include <math.h>

/* The largest `info` of all ranks; those beyond the mesh did not call. */
static int agree_info(const cf_mesh *mesh, int info)
{
    CF_ASSERT(info >= 0); /* below: a wrong argument */
    MPI_Allreduce(MPI_IN_PLACE, &info, 1, MPI_INT, MPI_MAX, mesh->world.comm);
    return info;
}

/* ---- Workspace ---- */

/* Zeros beyond `reals` show that no routine wrote past what it was given. */
typedef struct workspace {
    double *reals;
    int *ints;
    int n_reals, n_ints;
} workspace;

enum { GUARD = 8 }; /* numbers */

/* cf_alloc() zeroes, and so the guard is set. Local. Errors: MEMORY. */
static cf_status create_workspace(int64_t n_reals, int64_t n_ints, workspace *out)
{
    cf_status status;

    CF_TRY(CF_ALLOC(out->reals, n_reals + GUARD));
    CF_TRY(CF_ALLOC(out->ints, n_ints));
    out->n_reals = (int)n_reals;
    out->n_ints = (int)n_ints;
done:
    return status;
}

static void destroy_workspace(workspace *w)
{
    for (int k = 0; w->n_reals > 0 && k < GUARD; k++)
        CF_ASSERT(w->reals[w->n_reals + k] == 0);
    cf_free(&w->reals);
    cf_free(&w->ints);
}

/* Seconds that it takes at the very most, which may pass in silence: 30 n^3 operations at 1
 * GFLOP/s.
 */
static double slowest(int64_t n)
{
    return 30 * (double)n * (double)n * (double)n / 1e9;
}

/* ---- By all ranks ---- */

/* Without `vectors` pdsyev, because pdsyevd computes them in any case. */
static int call_eigen(const cf_cyclic *a, double *values, cf_cyclic *vectors, workspace *w)
{
    const int n = (int)a->n_rows;
    const linalg_descriptor of_a = linalg_describe(a),
                            of_v = linalg_describe(vectors ? vectors : a);
    int info = 0;

    cf_par_expect(slowest(n));
    if (vectors == NULL)
        pdsyev_("N", "L", &n, a->data, &linalg_one, &linalg_one, of_a.word, values, NULL,
                &linalg_one, &linalg_one, of_v.word, w->reals, &w->n_reals, &info);
    else
        pdsyevd_("V", "L", &n, a->data, &linalg_one, &linalg_one, of_a.word, values, vectors->data,
                 &linalg_one, &linalg_one, of_v.word, w->reals, &w->n_reals, w->ints, &w->n_ints,
                 &info);
    cf_par_expect(0);
    return info;
}

/* Numbers of workspace on process (row, column). With vectors: the larger of what pdsyevd's manual
 * asks for and of what pdormtr needs (`turn`), and some slack; found by trial over 120 shapes.
 * Without: what pdsyev's manual asks for. */
static int64_t eigen_reals(const cf_cyclic *a, bool vectors, int row, int column)
{
    const int64_t n = a->n_rows, block = a->block;
    const int64_t np = linalg_local_count(n, block, a->mesh->n_rows, row),
                  nq = linalg_local_count(n, block, a->mesh->n_columns, column);
    const int64_t tridiagonal = 3 * n + cf_max(block * (np + 1), 3 * block);
    const int64_t tree = 1 + 6 * n + 2 * np * nq;
    const int64_t query = cf_max(tree, tridiagonal) + 2 * n;
    const int64_t turn = 2 * n + cf_max(block * (block - 1) / 2, (np + nq) * block) + block * block;

    if (!vectors) return tridiagonal + 4 * n + 64;
    return cf_max(query, turn) + 2 * n + 64;
}

/* The query communicates: collective over the mesh. Errors: MEMORY, perhaps on one rank alone. */
static cf_status create_eigen_workspace(const cf_cyclic *a, cf_cyclic *vectors, double *values,
                                        workspace *w)
{
    const cf_mesh *mesh = a->mesh;
    int64_t reals, ints;
    double few_reals[2] = {0};
    int few_ints[2] = {0};
    workspace query = {few_reals, few_ints, -1, -1};

    call_eigen(a, values, vectors, &query);
    reals = cf_max((int64_t)ceil(few_reals[0]) + 2 * a->n_rows + 64,
                   eigen_reals(a, vectors != NULL, mesh->my_row, mesh->my_column));
    ints = cf_max(7 * a->n_rows + 8 * (int64_t)mesh->n_columns + 2, few_ints[0]);
    return create_workspace(reals, ints, w);
}

/* Every step that can fail on one rank is agreed on before the next collective call. `values` are
 * taken from rank 0, which is process (0, 0). */
cf_status cf_linalg_eigen(cf_cyclic *a, double *values, cf_cyclic *vectors)
{
    const cf_par *world = &a->mesh->world;
    const bool works = linalg_on_mesh(a->mesh);
    workspace w = {0};
    double *found = NULL; /* so that `values` stays untouched on failure */
    int info = 0;
    cf_status status;

    CF_ASSERT(a->n_rows == a->n_columns && a->type == CF_F64);
    CF_ASSERT(vectors == NULL ||
              (a->mesh == vectors->mesh && a->type == vectors->type && a->block == vectors->block &&
               vectors->n_rows == a->n_rows && vectors->n_columns == a->n_rows));
    CF_REQUIRE(eigen_reals(a, vectors != NULL, 0, 0) <= INT_MAX, CF_ERR_USAGE,
               "eigenvalues of a %lld x %lld matrix on %d x %d ranks: ScaLAPACK's workspace would "
               "have more than %d numbers: use more ranks",
               (long long)a->n_rows, (long long)a->n_rows, a->mesh->n_rows, a->mesh->n_columns,
               INT_MAX);
    CF_TRY(cf_par_agree(world, CF_ALLOC(found, a->n_rows)));
    if (works) status = create_eigen_workspace(a, vectors, found, &w);
    CF_TRY(cf_par_agree(world, status));
    if (works) info = call_eigen(a, found, vectors, &w);
    info = agree_info(a->mesh, info);
    CF_REQUIRE(info == 0, CF_ERR_NUMERIC, "eigenvalues of a %lld x %lld matrix did not converge",
               (long long)a->n_rows, (long long)a->n_rows);
    for (int64_t i = 0; i < a->n_rows; i++)
        values[i] = found[i];
    cf_par_broadcast(world, values, a->n_rows * (int64_t)sizeof *values, 0);
done:
    destroy_workspace(&w);
    cf_free(&found);
    return status;
}

/* ---- By one rank ---- */

/* Columns that LAPACK reduces at a time, if its workspace has room for them. */
enum { LAPACK_BLOCK = 64 };

/* Numbers of workspace for dsyevd. */
static int64_t eigen_one_reals(int64_t n, bool vectors)
{
    return 1 + 6 * n + (vectors ? 2 * n * n : LAPACK_BLOCK * n);
}

static double eigen_one_bytes(int64_t n, bool vectors)
{
    return 8 * (double)(eigen_one_reals(n, vectors) + GUARD) + 4 * (double)(3 + 5 * n);
}

double linalg_eigen_one_bytes(int64_t n)
{
    return eigen_one_bytes(n, false);
}

double cf_linalg_predict_eigen_one(int64_t n)
{
    return eigen_one_bytes(n, true);
}

/* Local. Errors: MEMORY, NUMERIC. */
static cf_status eigen_local(int64_t size, bool vectors, double *matrix, double *values)
{
    const int n = (int)size;
    workspace w = {0};
    int info = 0;
    cf_status status;

    CF_TRY(create_workspace(eigen_one_reals(size, vectors), 3 + 5 * size, &w));
    dsyevd_(vectors ? "V" : "N", "L", &n, matrix, &n, values, w.reals, &w.n_reals, w.ints,
            &w.n_ints, &info);
    CF_ASSERT(info >= 0);
    CF_REQUIRE(info == 0, CF_ERR_NUMERIC, "eigenvalues of a %d x %d matrix did not converge", n, n);
done:
    destroy_workspace(&w);
    return status;
}

cf_status cf_linalg_eigen_one(const cf_par *par, int64_t n, bool vectors, double *matrix,
                              double *values)
{
    cf_status status = CF_OK;

    CF_REQUIRE(
        eigen_one_reals(n, vectors) <= INT_MAX, CF_ERR_USAGE,
        "eigenvalues of a %lld x %lld matrix on one rank: LAPACK's workspace would have more "
        "than %d numbers",
        (long long)n, (long long)n, INT_MAX);
    cf_par_expect(slowest(n));
    if (par->rank == 0) status = eigen_local(n, vectors, matrix, values);
    status = cf_par_agree(par, status);
    cf_par_expect(0);
    CF_TRY(status);
    cf_par_broadcast(par, values, n * (int64_t)sizeof *values, 0);
done:
    return status;
}
