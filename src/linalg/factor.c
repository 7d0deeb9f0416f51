/* Factorisations of matrices that are dealt out, with the workspaces that ScaLAPACK 2.2.1 needs
 * rather than those it asks for. */
#include "scalapack.h"

#include <math.h>
#include <string.h>

/* The largest `info` of all ranks: some routines tell not every process, and ranks beyond the mesh
 * did not call. */
static int agree_info(const cf_mesh *mesh, int info)
{
    CF_ASSERT(info >= 0); /* below: an argument that is not what it should be */
    MPI_Allreduce(MPI_IN_PLACE, &info, 1, MPI_INT, MPI_MAX, mesh->world.comm);
    return info;
}

/* ---- Eigenvalues ---- */

/* Zeros beyond `reals` show that no routine wrote past what it was given. */
typedef struct workspace {
    void *reals;
    int *ints;
    int n_reals, n_ints;
    size_t size; /* bytes of `reals` before the zeros */
} workspace;

enum { GUARD = 8 }; /* numbers */

static cf_status create_workspace(cf_type type, int64_t n_reals, int64_t n_ints, workspace *out)
{
    const size_t size = cf_store_type_size(type);
    cf_status status;

    CF_TRY(cf_alloc(&out->reals, n_reals + GUARD, size));
    CF_TRY(CF_ALLOC(out->ints, n_ints));
    out->n_reals = (int)n_reals;
    out->n_ints = (int)n_ints;
    out->size = (size_t)n_reals * size;
done:
    return status;
}

static void destroy_workspace(workspace *w)
{
    const char *beyond = (const char *)w->reals + w->size;

    for (size_t k = 0; w->size > 0 && k < GUARD * sizeof(float); k++)
        CF_ASSERT(beyond[k] == 0);
    cf_free(&w->reals);
    cf_free(&w->ints);
}

/* Without `vectors`: p?syev, for p?syevd finds them in any case. */
static int eigen_call(const cf_cyclic *a, void *values, cf_cyclic *vectors, workspace *w)
{
    const int n = (int)a->n_rows;
    const linalg_descriptor of_a = linalg_describe(a), of_v = linalg_describe(vectors ? vectors : a);
    int info = 0;

    if (vectors == NULL && a->type == CF_F64)
        pdsyev_("N", "L", &n, a->data, &linalg_one, &linalg_one, of_a.word, values, NULL, &linalg_one,
                &linalg_one, of_v.word, w->reals, &w->n_reals, &info);
    else if (vectors == NULL)
        pssyev_("N", "L", &n, a->data, &linalg_one, &linalg_one, of_a.word, values, NULL, &linalg_one,
                &linalg_one, of_v.word, w->reals, &w->n_reals, &info);
    else if (a->type == CF_F64)
        pdsyevd_("V", "L", &n, a->data, &linalg_one, &linalg_one, of_a.word, values, vectors->data,
                 &linalg_one, &linalg_one, of_v.word, w->reals, &w->n_reals, w->ints, &w->n_ints,
                 &info);
    else
        pssyevd_("V", "L", &n, a->data, &linalg_one, &linalg_one, of_a.word, values, vectors->data,
                 &linalg_one, &linalg_one, of_v.word, w->reals, &w->n_reals, w->ints, &w->n_ints,
                 &info);
    return info;
}

/*
 * Numbers of workspace for p?syevd on the process that needs most, or on this one. The query is too
 * small where n is not large against the block: p?ormtr then fails inside, info is 0 and the
 * vectors are wrong, or the program hangs. The rest is what p?ormtr needs and some slack, found by
 * trial over 120 shapes. p?syev, without vectors, tells what it needs.
 */
static int64_t eigen_reals(const cf_cyclic *a, bool vectors, int row, int column)
{
    const int64_t n = a->n_rows, block = a->block;
    const int64_t np = linalg_dealt(n, block, a->mesh->n_rows, row),
                  nq = linalg_dealt(n, block, a->mesh->n_columns, column);
    const int64_t tridiagonal =
        3 * n + (block * (np + 1) > 3 * block ? block * (np + 1) : 3 * block);
    const int64_t tree = 1 + 6 * n + 2 * np * nq;
    const int64_t query = (tree > tridiagonal ? tree : tridiagonal) + 2 * n;
    const int64_t triangle = block * (block - 1) / 2, panels = (np + nq) * block;
    const int64_t turn = 2 * n + (triangle > panels ? triangle : panels) + block * block;

    if (!vectors) return tridiagonal + 4 * n + 64;
    return (query > turn ? query : turn) + 2 * n + 64;
}

/* The query communicates: collective over the mesh. Errors: MEMORY, perhaps on one rank alone. */
static cf_status eigen_workspace(const cf_cyclic *a, cf_cyclic *vectors, void *values, workspace *w)
{
    const cf_mesh *mesh = a->mesh;
    int64_t reals, ints;
    double few_reals[2] = {0};
    int few_ints[2] = {0};
    workspace query = {few_reals, few_ints, -1, -1, 0};

    eigen_call(a, values, vectors, &query);
    reals = (int64_t)ceil(linalg_read(a->type, few_reals, 0)) + 2 * a->n_rows + 64;
    if (eigen_reals(a, vectors != NULL, mesh->my_row, mesh->my_column) > reals)
        reals = eigen_reals(a, vectors != NULL, mesh->my_row, mesh->my_column);
    ints = 7 * a->n_rows + 8 * (int64_t)mesh->n_columns + 2;
    if (few_ints[0] > ints) ints = few_ints[0];
    return create_workspace(a->type, reals, ints, w);
}

/* The eigenvalues are right on process (0, 0) alone where one block holds the matrix. */
static void share_values(const cf_cyclic *a, const void *own, double *values)
{
    for (int64_t i = 0; i < a->n_rows; i++)
        values[i] = linalg_read(a->type, own, i);
    cf_par_broadcast(&a->mesh->world, values, a->n_rows * (int64_t)sizeof *values, 0);
}

cf_status cf_linalg_eigen(cf_cyclic *a, double *values, cf_cyclic *vectors)
{
    const cf_par *world = &a->mesh->world;
    const bool works = linalg_on_mesh(a->mesh);
    workspace w = {0};
    void *own = NULL;
    int info = 0;
    cf_status status;

    CF_ASSERT(a->n_rows == a->n_columns);
    CF_ASSERT(vectors == NULL ||
              (a->mesh == vectors->mesh && a->type == vectors->type && a->block == vectors->block &&
               vectors->n_rows == a->n_rows && vectors->n_columns == a->n_rows));
    if (eigen_reals(a, vectors != NULL, 0, 0) > INT_MAX)
        return CF_FAIL(
            CF_ERR_USAGE,
            "eigenvalues of a %lld x %lld matrix on %d x %d ranks: ScaLAPACK's workspace "
            "would have more than %d numbers: use more ranks",
            (long long)a->n_rows, (long long)a->n_rows, a->mesh->n_rows, a->mesh->n_columns,
            INT_MAX);
    CF_TRY(cf_par_agree(world, cf_alloc(&own, a->n_rows, cf_store_type_size(a->type))));
    if (works) status = eigen_workspace(a, vectors, own, &w);
    CF_TRY(cf_par_agree(world, status));
    if (works) info = eigen_call(a, own, vectors, &w);
    info = agree_info(a->mesh, info);
    if (info > 0)
        CF_TRY(CF_FAIL(CF_ERR_NUMERIC, "eigenvalues of a %lld x %lld matrix did not converge",
                       (long long)a->n_rows, (long long)a->n_rows));
    share_values(a, own, values);
done:
    destroy_workspace(&w);
    cf_free(&own);
    return status;
}

/* Columns that LAPACK reduces at a time, if it is given room for them. */
enum { BLOCK_OF_LAPACK = 64 };

/* Numbers of workspace for dsyevd. */
static int64_t eigen_one_reals(int64_t n, bool vectors)
{
    return 1 + 6 * n + (vectors ? 2 * n * n : BLOCK_OF_LAPACK * n);
}

/* Local. Errors: MEMORY, NUMERIC. */
static cf_status eigen_here(int64_t size, bool vectors, double *matrix, double *values)
{
    const int n = (int)size;
    workspace w = {0};
    int info = 0;
    cf_status status;

    CF_TRY(create_workspace(CF_F64, eigen_one_reals(size, vectors), 3 + 5 * size, &w));
    dsyevd_(vectors ? "V" : "N", "L", &n, matrix, &n, values, w.reals, &w.n_reals, w.ints,
            &w.n_ints, &info);
    CF_ASSERT(info >= 0);
    if (info > 0)
        status = CF_FAIL(CF_ERR_NUMERIC, "eigenvalues of a %d x %d matrix did not converge", n, n);
done:
    destroy_workspace(&w);
    return status;
}

cf_status cf_linalg_eigen_one(const cf_par *par, int64_t n, bool vectors, double *matrix,
                             double *values)
{
    cf_status status = CF_OK;

    if (eigen_one_reals(n, vectors) > INT_MAX)
        return CF_FAIL(CF_ERR_USAGE,
                       "eigenvalues of a %lld x %lld matrix on one rank: LAPACK's workspace would "
                       "have more than %d numbers",
                       (long long)n, (long long)n, INT_MAX);
    if (par->rank == 0) status = eigen_here(n, vectors, matrix, values);
    CF_TRY(cf_par_agree(par, status));
    cf_par_broadcast(par, values, n * (int64_t)sizeof *values, 0);
done:
    return status;
}

/* ---- QR with column pivoting ---- */

static void pivot_call(const cf_cyclic *a, int *pivots, void *tau, workspace *w)
{
    const int m = (int)a->n_rows, n = (int)a->n_columns;
    const linalg_descriptor of_a = linalg_describe(a);
    int info = 0;

    if (a->type == CF_F64)
        pdgeqpf_(&m, &n, a->data, &linalg_one, &linalg_one, of_a.word, pivots, tau, w->reals,
                 &w->n_reals, &info);
    else
        psgeqpf_(&m, &n, a->data, &linalg_one, &linalg_one, of_a.word, pivots, tau, w->reals,
                 &w->n_reals, &info);
    CF_ASSERT(info == 0);
}

/* A process without columns writes one number past what the query asks for. The query
 * communicates: collective over the mesh. Errors: MEMORY, perhaps on one rank alone. */
static cf_status pivot_workspace(const cf_cyclic *a, int *pivots, void *tau, workspace *w)
{
    double few_reals[2] = {0};
    workspace query = {few_reals, NULL, -1, 0, 0};
    int64_t reals;

    pivot_call(a, pivots, tau, &query);
    reals = (int64_t)ceil(linalg_read(a->type, few_reals, 0));
    return create_workspace(a->type, reals + 2 * a->block, 0, w);
}

/* Local columns' numbers, from 1, to all columns' on every rank, from 0: the first process row's
 * count. */
static void share_order(const cf_cyclic *a, const int *pivots, int64_t *order)
{
    const cf_mesh *mesh = a->mesh;

    memset(order, 0, (size_t)a->n_columns * sizeof *order);
    for (int64_t c = 0; c < a->local_columns && mesh->my_row == 0; c++)
        order[(c / a->block * mesh->n_columns + mesh->my_column) * a->block + c % a->block] =
            pivots[c] - 1;
    MPI_Allreduce(MPI_IN_PLACE, order, cf_par_count(a->n_columns), MPI_INT64_T, MPI_SUM,
                  mesh->world.comm);
}

cf_status cf_linalg_pivot_columns(cf_cyclic *a, int64_t *order, double *diagonal)
{
    const cf_par *world = &a->mesh->world;
    const bool works = linalg_on_mesh(a->mesh);
    const int64_t room = a->local_columns + a->block;
    workspace w = {0};
    int *pivots = NULL;
    void *tau = NULL;
    cf_status status = CF_ALLOC(pivots, room);

    if (status == CF_OK) status = cf_alloc(&tau, room, cf_store_type_size(a->type));
    CF_TRY(cf_par_agree(world, status));
    if (works) status = pivot_workspace(a, pivots, tau, &w);
    CF_TRY(cf_par_agree(world, status));
    if (works) pivot_call(a, pivots, tau, &w);
    share_order(a, pivots, order);
    cf_linalg_get_diagonal(a, diagonal);
done:
    destroy_workspace(&w);
    cf_free(&pivots);
    cf_free(&tau);
    return status;
}
