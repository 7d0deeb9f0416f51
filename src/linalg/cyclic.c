/* Matrices dealt out over a mesh of ranks: making them, and what each rank does to its own part. */
#include "scalapack.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64 };

cf_status cf_linalg_create_mesh(const cf_par *world, int n_rows, int n_columns, cf_mesh **out)
{
    cf_mesh *mesh = NULL;
    cf_status status = cf_par_agree(world, CF_ALLOC(mesh, 1));

    if (status != CF_OK) {
        cf_free(&mesh);
        return status;
    }
    if (n_rows == 0) {
        n_rows = (int)sqrt((double)world->size);
        n_columns = world->size / n_rows;
    }
    CF_ASSERT(n_rows > 0 && n_columns > 0 && n_rows <= world->size / n_columns);
    mesh->world = *world;
    mesh->n_rows = n_rows;
    mesh->n_columns = n_columns;
    mesh->handle = mesh->context = Csys2blacs_handle(world->comm);
    Cblacs_gridinit(&mesh->context, "Row", n_rows, n_columns);
    if (world->rank < n_rows * n_columns) {
        Cblacs_set(mesh->context, BLACS_REPEATABLE, &linalg_one);
        Cblacs_set(mesh->context, BLACS_COHERENT, &linalg_one);
    }
    mesh->my_row = world->rank < n_rows * n_columns ? world->rank / n_columns : -1;
    mesh->my_column = world->rank < n_rows * n_columns ? world->rank % n_columns : -1;
    *out = mesh;
    return CF_OK;
}

void cf_linalg_destroy_mesh(cf_mesh **mesh)
{
    if (*mesh == NULL) return;
    if (linalg_on_mesh(*mesh)) Cblacs_gridexit((*mesh)->context);
    Cfree_blacs_system_handle((*mesh)->handle);
    cf_free(mesh);
}

cf_status cf_linalg_create_cyclic(const cf_mesh *mesh, cf_type type, const int64_t shape[2],
                                 int64_t block, cf_cyclic **out)
{
    cf_cyclic *a = NULL;
    cf_status status;

    CF_ASSERT((type == CF_F32 || type == CF_F64) && shape[0] > 0 && shape[1] > 0 && block >= 0);
    if (block == 0) block = BLOCK;
    /* process (0, 0) has most */
    if (shape[0] > INT_MAX || shape[1] > INT_MAX ||
        linalg_dealt(shape[0], block, mesh->n_rows, 0) >
            INT_MAX / linalg_dealt(shape[1], block, mesh->n_columns, 0))
        return CF_FAIL(CF_ERR_USAGE,
                       "a matrix of %lld x %lld on %d x %d ranks: ScaLAPACK takes at most %d rows, "
                       "columns, and numbers on a rank: use more ranks",
                       (long long)shape[0], (long long)shape[1], mesh->n_rows, mesh->n_columns,
                       INT_MAX);
    status = CF_ALLOC(a, 1);
    if (status == CF_OK) {
        *a = (cf_cyclic){mesh, type, shape[0], shape[1], block, 0, 0, NULL};
        if (linalg_on_mesh(mesh)) {
            a->local_rows = linalg_dealt(shape[0], block, mesh->n_rows, mesh->my_row);
            a->local_columns = linalg_dealt(shape[1], block, mesh->n_columns, mesh->my_column);
        }
        status = cf_alloc(&a->data, a->local_rows * a->local_columns, cf_store_type_size(type));
    }
    CF_TRY(cf_par_agree(&mesh->world, status));
    *out = a;
    a = NULL;
done:
    cf_linalg_destroy_cyclic(&a);
    return status;
}

void cf_linalg_destroy_cyclic(cf_cyclic **a)
{
    if (*a == NULL) return;
    cf_free(&(*a)->data);
    cf_free(a);
}

/* Global number of a process's k-th. */
static int64_t global_of(int64_t k, int64_t block, int n_processes, int p)
{
    return (k / block * n_processes + p) * block + k % block;
}

static double read_at(const cf_cyclic *a, int64_t place)
{
    return linalg_read(a->type, a->data, place);
}

static void write_at(cf_cyclic *a, int64_t place, double value)
{
    if (a->type == CF_F64)
        ((double *)a->data)[place] = value;
    else
        ((float *)a->data)[place] = (float)value;
}

void cf_linalg_fill_cyclic(cf_cyclic *a, double (*at)(const void *context, int64_t i, int64_t j),
                          const void *context)
{
    const cf_mesh *mesh = a->mesh;

#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < a->local_columns; c++) {
        const int64_t j = global_of(c, a->block, mesh->n_columns, mesh->my_column);
        for (int64_t r = 0; r < a->local_rows; r++) {
            const int64_t i = global_of(r, a->block, mesh->n_rows, mesh->my_row);
            write_at(a, c * a->local_rows + r, at(context, i, j));
        }
    }
}

void cf_linalg_scale_columns(cf_cyclic *a, const double *factors)
{
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < a->local_columns; c++) {
        const double factor =
            factors[global_of(c, a->block, a->mesh->n_columns, a->mesh->my_column)];
        for (int64_t k = c * a->local_rows; k < (c + 1) * a->local_rows; k++)
            write_at(a, k, read_at(a, k) * factor);
    }
}

void cf_linalg_scale_rows(cf_cyclic *a, const double *factors)
{
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < a->local_columns; c++)
        for (int64_t r = 0; r < a->local_rows; r++) {
            const double factor = factors[global_of(r, a->block, a->mesh->n_rows, a->mesh->my_row)];
            const int64_t place = c * a->local_rows + r;
            write_at(a, place, read_at(a, place) * factor);
        }
}

void cf_linalg_add_cyclic(const cf_cyclic *a, cf_cyclic *c)
{
    const int64_t n = a->local_rows * a->local_columns;

    CF_ASSERT(a->mesh == c->mesh && a->type == c->type && a->block == c->block &&
              a->n_rows == c->n_rows && a->n_columns == c->n_columns);
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < n; k++)
        write_at(c, k, read_at(c, k) + read_at(a, k));
}

/* Where (i, i) lies in my part; false if it is another rank's. */
static bool find_diagonal(const cf_cyclic *a, int64_t i, int64_t *place)
{
    const cf_mesh *mesh = a->mesh;
    const int64_t b = i / a->block, within = i % a->block;

    if (b % mesh->n_rows != mesh->my_row || b % mesh->n_columns != mesh->my_column) return false;
    *place = (b / mesh->n_columns * a->block + within) * a->local_rows +
             b / mesh->n_rows * a->block + within;
    return true;
}

static int64_t diagonal_length(const cf_cyclic *a)
{
    return a->n_rows < a->n_columns ? a->n_rows : a->n_columns;
}

void cf_linalg_add_diagonal(cf_cyclic *a, double value)
{
    int64_t place;

    for (int64_t i = 0; i < diagonal_length(a); i++)
        if (find_diagonal(a, i, &place)) write_at(a, place, read_at(a, place) + value);
}

void cf_linalg_fill_diagonal(cf_cyclic *a, double value)
{
    int64_t place;

    for (int64_t i = 0; i < diagonal_length(a); i++)
        if (find_diagonal(a, i, &place)) write_at(a, place, value);
}

void cf_linalg_get_diagonal(const cf_cyclic *a, double *out)
{
    const int64_t n = diagonal_length(a);
    int64_t place;

    for (int64_t i = 0; i < n; i++)
        out[i] = find_diagonal(a, i, &place) ? read_at(a, place) : 0;
    /* one rank has each: 0 + x is exact */
    MPI_Allreduce(MPI_IN_PLACE, out, cf_par_count(n), MPI_DOUBLE, MPI_SUM, a->mesh->world.comm);
}

/* Local numbers of those of the list that a process holds (its number, of how many); gives their
 * count. */
static int64_t keep_dealt(const int64_t *list, int64_t n, int64_t block, const int process[2],
                          int64_t *out)
{
    const int p = process[0], n_processes = process[1];
    int64_t count = 0;

    for (int64_t k = 0; k < n; k++) {
        const int64_t b = list[k] / block;
        if (b % n_processes == p) out[count++] = b / n_processes * block + list[k] % block;
    }
    return count;
}

cf_status cf_linalg_add_pairs(cf_cyclic *a, const int64_t *start, const int64_t *index,
                             int64_t count)
{
    const int down[2] = {a->mesh->my_row, a->mesh->n_rows},
              across[2] = {a->mesh->my_column, a->mesh->n_columns};
    int64_t longest = 0, *rows = NULL, *columns = NULL;
    cf_status status = CF_OK;

    CF_ASSERT(a->n_rows == a->n_columns);
    if (!linalg_on_mesh(a->mesh)) return CF_OK;
    for (int64_t k = 0; k < count; k++)
        longest = start[k + 1] - start[k] > longest ? start[k + 1] - start[k] : longest;
    CF_TRY(CF_ALLOC(rows, longest));
    CF_TRY(CF_ALLOC(columns, longest));
    for (int64_t k = 0; k < count; k++) {
        const int64_t *list = index + start[k], n = start[k + 1] - start[k];
        const int64_t n_rows = keep_dealt(list, n, a->block, down, rows),
                      n_columns = keep_dealt(list, n, a->block, across, columns);

        for (int64_t c = 0; c < n_columns; c++)
            for (int64_t r = 0; r < n_rows; r++) {
                const int64_t place = columns[c] * a->local_rows + rows[r];
                write_at(a, place, read_at(a, place) + 1);
            }
    }
done:
    cf_free(&rows);
    cf_free(&columns);
    return status;
}
