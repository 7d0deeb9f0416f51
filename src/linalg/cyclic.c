/* The mesh of ranks, block-cyclic matrices over it, and what each rank does to its own part of one.
 *
 * Element (i, j) of a matrix in blocks of b x b lies on process row i / b % R and process column
 * j / b % C, there at local row i / b / R * b + i % b (columns alike); local parts are stored
 * column by column, as ScaLAPACK takes them. BLACS is told to sum in one order on all processes:
 * without that the bits of eigenvectors change from call to call. tests/linalg/cyclic.c checks
 * every element by the formula. */
#include "scalapack.h"

#include <math.h>
#include <string.h>

enum { DEFAULT_BLOCK = 64 };

/* BLACS numbers communicators and meshes by handles of its own, and has one for a communicator:
 * each mesh has a communicator of its own, so that it can be destroyed while others are there.
 * Cblacs_gridinit() is entered by all ranks; those that are not on the mesh get no context. */
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
    MPI_Comm_split(world->comm, 0, world->rank, &mesh->own);
    mesh->handle = mesh->context = Csys2blacs_handle(mesh->own);
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
    MPI_Comm_free(&(*mesh)->own);
    cf_free(mesh);
}

/* The limits are the same on every rank, so they are checked before anything is allocated. */
cf_status cf_linalg_create_cyclic(const cf_mesh *mesh, cf_type type, const int64_t shape[2],
                                  int64_t block, cf_cyclic **out)
{
    cf_cyclic *a = NULL;
    cf_status status;

    CF_ASSERT((type == CF_F32 || type == CF_F64) && shape[0] > 0 && shape[1] > 0 && block >= 0);
    if (block == 0) block = DEFAULT_BLOCK;
    /* process (0, 0) has the largest part */
    if (shape[0] > INT_MAX || shape[1] > INT_MAX ||
        linalg_local_count(shape[0], block, mesh->n_rows, 0) >
            INT_MAX / linalg_local_count(shape[1], block, mesh->n_columns, 0))
        return CF_FAIL(CF_ERR_USAGE,
                       "a matrix of %lld x %lld on %d x %d ranks: ScaLAPACK takes at most %d rows, "
                       "columns, and numbers on a rank: use more ranks",
                       (long long)shape[0], (long long)shape[1], mesh->n_rows, mesh->n_columns,
                       INT_MAX);
    status = CF_ALLOC(a, 1);
    if (status == CF_OK) {
        *a = (cf_cyclic){mesh, type, shape[0], shape[1], block, 0, 0, NULL};
        if (linalg_on_mesh(mesh)) {
            a->local_rows = linalg_local_count(shape[0], block, mesh->n_rows, mesh->my_row);
            a->local_columns =
                linalg_local_count(shape[1], block, mesh->n_columns, mesh->my_column);
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

/* The global number of process p's local number k. */
static int64_t global_index(int64_t k, int64_t block, int n_processes, int p)
{
    return (k / block * n_processes + p) * block + k % block;
}

/* Elements of my part by index, whatever the type. */
static double read_at(const cf_cyclic *a, int64_t at)
{
    return linalg_read(a->type, a->data, at);
}

static void write_at(cf_cyclic *a, int64_t at, double value)
{
    if (a->type == CF_F64)
        ((double *)a->data)[at] = value;
    else
        ((float *)a->data)[at] = (float)value;
}

/* Element (r, c) of my part, times by_row[its row] or by_column[its column]; the other is NULL.
 * Products are rounded to the type once: the same bits on any mesh. */
static void scale(cf_cyclic *a, const double *by_row, const double *by_column)
{
    const cf_mesh *mesh = a->mesh;

#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < a->local_columns; c++) {
        const int64_t column = global_index(c, a->block, mesh->n_columns, mesh->my_column);

        for (int64_t r = 0; r < a->local_rows; r++) {
            const int64_t at = c * a->local_rows + r;
            const double factor =
                by_row == NULL ? by_column[column]
                               : by_row[global_index(r, a->block, mesh->n_rows, mesh->my_row)];
            write_at(a, at, read_at(a, at) * factor);
        }
    }
}

void cf_linalg_scale_rows(cf_cyclic *a, const double *factors)
{
    scale(a, factors, NULL);
}

void cf_linalg_scale_columns(cf_cyclic *a, const double *factors)
{
    scale(a, NULL, factors);
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

/* `at`: the index of element (i, i) in my part; false if another rank has it. */
static bool find_diagonal(const cf_cyclic *a, int64_t i, int64_t *at)
{
    const cf_mesh *mesh = a->mesh;
    const int64_t b = i / a->block;

    if (b % mesh->n_rows != mesh->my_row || b % mesh->n_columns != mesh->my_column) return false;
    *at = linalg_local_index(i, a->block, mesh->n_columns) * a->local_rows +
          linalg_local_index(i, a->block, mesh->n_rows);
    return true;
}

/* Of a matrix that may not be square. */
static int64_t diagonal_length(const cf_cyclic *a)
{
    return cf_min(a->n_rows, a->n_columns);
}

void cf_linalg_add_diagonal(cf_cyclic *a, double value)
{
    int64_t at;

    for (int64_t i = 0; i < diagonal_length(a); i++)
        if (find_diagonal(a, i, &at)) write_at(a, at, read_at(a, at) + value);
}

void cf_linalg_scale_diagonal(cf_cyclic *a, double factor)
{
    int64_t at;

    for (int64_t i = 0; i < diagonal_length(a); i++)
        if (find_diagonal(a, i, &at)) write_at(a, at, read_at(a, at) * factor);
}

void cf_linalg_fill_diagonal(cf_cyclic *a, double value)
{
    int64_t at;

    for (int64_t i = 0; i < diagonal_length(a); i++)
        if (find_diagonal(a, i, &at)) write_at(a, at, value);
}

/* Each rank fills in its own elements, and one Allreduce gives them to all. */
void cf_linalg_get_diagonal(const cf_cyclic *a, double *out)
{
    const int64_t n = diagonal_length(a);
    int64_t at;

    for (int64_t i = 0; i < n; i++)
        out[i] = find_diagonal(a, i, &at) ? read_at(a, at) : 0;
    /* one rank has each: 0 + x is exact */
    MPI_Allreduce(MPI_IN_PLACE, out, cf_par_count(n), MPI_DOUBLE, MPI_SUM, a->mesh->world.comm);
}

/* Each rank's own part of the products of one block column, added to the rows of `sums` (n_rows).
 */
static void add_row_products(const cf_cyclic *a, const cf_cyclic *b, int64_t column, double *sums)
{
    const cf_mesh *mesh = a->mesh;
    const int64_t first = linalg_local_index(column * a->block, a->block, mesh->n_columns),
                  end = cf_min(first + a->block, a->local_columns);

    if (column % mesh->n_columns != mesh->my_column) return;
    for (int64_t c = first; c < end; c++)
        for (int64_t r = 0; r < a->local_rows; r++) {
            const int64_t at = c * a->local_rows + r;
            sums[global_index(r, a->block, mesh->n_rows, mesh->my_row)] +=
                read_at(a, at) * read_at(b, at);
        }
}

/* A row of a block column lies on one rank: the Allreduce adds zeros, which is exact. */
cf_status cf_linalg_get_row_products(const cf_cyclic *a, const cf_cyclic *b, double *out)
{
    const MPI_Comm comm = a->mesh->world.comm;
    double *sums = NULL;
    cf_status status = cf_par_agree(&a->mesh->world, CF_ALLOC(sums, a->n_rows));

    CF_ASSERT(a->mesh == b->mesh && a->type == b->type && a->block == b->block &&
              a->n_rows == b->n_rows && a->n_columns == b->n_columns);
    CF_TRY(status);
    memset(out, 0, (size_t)a->n_rows * sizeof *out);
    for (int64_t column = 0; column * a->block < a->n_columns; column++) {
        memset(sums, 0, (size_t)a->n_rows * sizeof *sums);
        add_row_products(a, b, column, sums);
        MPI_Allreduce(MPI_IN_PLACE, sums, cf_par_count(a->n_rows), MPI_DOUBLE, MPI_SUM, comm);
        for (int64_t i = 0; i < a->n_rows; i++)
            out[i] += sums[i];
    }
done:
    cf_free(&sums);
    return status;
}

cf_status cf_linalg_round_cyclic(cf_cyclic **a, cf_type type)
{
    const cf_cyclic *from = *a;
    cf_cyclic *to = NULL;
    cf_status status;

    if (from->type == type) return CF_OK;
    CF_TRY(cf_linalg_create_cyclic(
        from->mesh, type, (const int64_t[]){from->n_rows, from->n_columns}, from->block, &to));
    for (int64_t k = 0; k < to->local_rows * to->local_columns; k++)
        write_at(to, k, read_at(from, k));
    cf_linalg_destroy_cyclic(a);
    *a = to;
done:
    return status;
}

/* The local numbers of those of a list that process[0] of process[1] has; returns their count. */
static int64_t keep_local(const int64_t *list, int64_t n, int64_t block, const int process[2],
                          int64_t *out)
{
    int64_t count = 0;

    for (int64_t k = 0; k < n; k++)
        if (list[k] / block % process[1] == process[0])
            out[count++] = linalg_local_index(list[k], block, process[1]);
    return count;
}

/* Of each vector only the rows and the columns that I have matter, so a rank does about 1 / ranks
 * of the work. The list is filtered once for rows and once for columns, by the same formula. */
cf_status cf_linalg_add_pairs(cf_cyclic *a, const int64_t *start, const int64_t *index,
                              const double *weights, int64_t count)
{
    const int row_process[2] = {a->mesh->my_row, a->mesh->n_rows},
              column_process[2] = {a->mesh->my_column, a->mesh->n_columns};
    int64_t longest = 0, *rows = NULL, *columns = NULL;
    cf_status status = CF_OK;

    CF_ASSERT(a->n_rows == a->n_columns);
    if (!linalg_on_mesh(a->mesh)) return CF_OK;
    for (int64_t k = 0; k < count; k++)
        longest = cf_max(longest, start[k + 1] - start[k]);
    CF_TRY(CF_ALLOC(rows, longest));
    CF_TRY(CF_ALLOC(columns, longest));
    for (int64_t k = 0; k < count; k++) {
        const int64_t *list = index + start[k], n = start[k + 1] - start[k];
        const int64_t n_rows = keep_local(list, n, a->block, row_process, rows),
                      n_columns = keep_local(list, n, a->block, column_process, columns);

        const double weight = weights == NULL ? 1 : weights[k];

        for (int64_t c = 0; c < n_columns; c++)
            for (int64_t r = 0; r < n_rows; r++) {
                const int64_t at = columns[c] * a->local_rows + rows[r];
                write_at(a, at, read_at(a, at) + weight);
            }
    }
done:
    cf_free(&rows);
    cf_free(&columns);
    return status;
}
