/* Sums of products of columns, dealt out by panels, and what is found of them. */
#include "cf/linalg.h"

#include <cblas.h>
#include <string.h>

enum { PANEL = 128 };

static int64_t first_of(int64_t p)
{
    return p * PANEL;
}

static int64_t width_of(const cf_panels *c, int64_t p)
{
    return c->dim - first_of(p) < PANEL ? c->dim - first_of(p) : PANEL;
}

static int owner_of(const cf_panels *c, int64_t p)
{
    return (int)(p % c->par->size);
}

static cf_status fill(const cf_par *par, int64_t dim, cf_panels *c)
{
    cf_status status;

    *c = (cf_panels){.par = par, .dim = dim, .n_panels = (dim + PANEL - 1) / PANEL};
    CF_TRY(CF_ALLOC(c->panel, c->n_panels));
    for (int64_t p = par->rank; p < c->n_panels; p += par->size)
        CF_TRY(CF_ALLOC(c->panel[p], (dim - first_of(p)) * width_of(c, p)));
done:
    return status;
}

cf_status cf_linalg_create_panels(const cf_par *par, int64_t dim, cf_panels **out)
{
    cf_panels *panels = NULL;
    cf_status status = CF_ALLOC(panels, 1);

    if (status == CF_OK) status = fill(par, dim, panels);
    CF_TRY(cf_par_agree(par, status));
    *out = panels;
    panels = NULL;
done:
    cf_linalg_destroy_panels(&panels);
    return status;
}

void cf_linalg_destroy_panels(cf_panels **panels)
{
    cf_panels *c = *panels;

    if (c == NULL) return;
    for (int64_t p = 0; c->panel != NULL && p < c->n_panels; p++)
        cf_free(&c->panel[p]);
    cf_free(&c->panel);
    cf_free(panels);
}

/* panel += (columns first.. of the tile)' (columns of the panel), for my panels. */
void cf_linalg_add_to_panels(cf_panels *c, const double *tile)
{
    const int dim = cf_par_count(c->dim);

#pragma omp parallel for schedule(dynamic)
    for (int64_t k = c->par->rank; k < c->n_panels; k += c->par->size) {
        const double *columns = tile + first_of(k);
        const int rows = (int)(c->dim - first_of(k)), width = (int)width_of(c, k);

        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, rows, width, CF_TILE_ROWS, 1, columns,
                    dim, columns, dim, 1, c->panel[k], width);
    }
}

void cf_linalg_divide_panels(cf_panels *c, double divisor)
{
    for (int64_t p = c->par->rank; p < c->n_panels; p += c->par->size)
        for (int64_t k = 0; k < (c->dim - first_of(p)) * width_of(c, p); k++)
            c->panel[p][k] /= divisor;
}

void cf_linalg_get_panels_column(const cf_panels *c, int64_t j, double *out)
{
    const int64_t of_j = j / PANEL;

    memset(out, 0, (size_t)c->dim * sizeof *out);
    for (int64_t p = c->par->rank; p <= of_j; p += c->par->size) {
        const int64_t first = first_of(p), width = width_of(c, p);

        for (int64_t k = 0; k < width && first + k < j; k++) /* row j is column j mirrored */
            out[first + k] = c->panel[p][(j - first) * width + k];
        for (int64_t i = j; p == of_j && i < c->dim; i++)
            out[i] = c->panel[p][(i - first) * width + j - first];
    }
    /* each has one term that is not zero: exact */
    MPI_Allreduce(MPI_IN_PLACE, out, cf_par_count(c->dim), MPI_DOUBLE, MPI_SUM, c->par->comm);
}

void cf_linalg_get_panels_diagonal(const cf_panels *c, double *out)
{
    memset(out, 0, (size_t)c->dim * sizeof *out);
    for (int64_t p = c->par->rank; p < c->n_panels; p += c->par->size)
        for (int64_t k = 0; k < width_of(c, p); k++)
            out[first_of(p) + k] = c->panel[p][k * width_of(c, p) + k];
    MPI_Allreduce(MPI_IN_PLACE, out, cf_par_count(c->dim), MPI_DOUBLE, MPI_SUM, c->par->comm);
}

/* ---- Eigenvectors ---- */

/* The whole matrix on rank 0, both triangles. `buffer`: D x PANEL. Collective. */
static void gather_whole(const cf_panels *c, double *buffer, double *matrix)
{
    for (int64_t p = 0; p < c->n_panels; p++) {
        const int64_t first = first_of(p), width = width_of(c, p), rows = c->dim - first;
        const int owner = owner_of(c, p), count = cf_par_count(rows * width);
        const double *panel = c->panel[p];

        if (owner != 0 && c->par->rank == owner)
            MPI_Send(panel, count, MPI_DOUBLE, 0, 0, c->par->comm);
        if (c->par->rank != 0) continue;
        if (owner != 0) {
            MPI_Recv(buffer, count, MPI_DOUBLE, owner, 0, c->par->comm, MPI_STATUS_IGNORE);
            panel = buffer;
        }
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < width && k <= r; k++) {
                matrix[(first + r) * c->dim + first + k] = panel[r * width + k];
                matrix[(first + k) * c->dim + first + r] = panel[r * width + k];
            }
    }
}

/* By rank 0 alone: the last n eigenvectors, if any, which are the last rows there, as columns. */
static cf_status eigen_on_one(const cf_panels *c, int64_t n, double *values, double *directions)
{
    const cf_par *par = c->par;
    const int64_t dim = c->dim, here = par->rank == 0 ? dim : 0;
    double *matrix = NULL, *buffer = NULL;
    cf_status status = CF_ALLOC(matrix, here * here);

    if (status == CF_OK) status = CF_ALLOC(buffer, here * PANEL);
    CF_TRY(cf_par_agree(par, status));
    gather_whole(c, buffer, matrix);
    CF_TRY(cf_linalg_eigen_one(par, dim, n > 0, matrix, values));
    for (int64_t k = 0; k < n && par->rank == 0; k++)
        for (int64_t j = 0; j < dim; j++)
            directions[j * n + k] = matrix[(dim - 1 - k) * dim + j];
    cf_par_broadcast(par, directions, dim * n * (int64_t)sizeof *directions, 0);
done:
    cf_free(&matrix);
    cf_free(&buffer);
    return status;
}

/* The columns of `directions` the other way round. */
static void reverse_columns(int64_t dim, int64_t n, double *directions)
{
    for (int64_t j = 0; j < dim; j++)
        for (int64_t k = 0; k < n / 2; k++) {
            double *row = directions + j * n, swap = row[k];
            row[k] = row[n - 1 - k];
            row[n - 1 - k] = swap;
        }
}

/* By all ranks: each gets the last n columns. */
static cf_status eigen_on_all(const cf_panels *c, int64_t n, double *values, double *directions)
{
    const int64_t dim = c->dim;
    const cf_slab last = {0, dim, dim - n, n, n};
    cf_mesh *mesh = NULL;
    cf_cyclic *matrix = NULL, *vectors = NULL;
    cf_status status;

    CF_TRY(cf_linalg_create_mesh(c->par, 0, 0, &mesh));
    CF_TRY(cf_linalg_create_cyclic(mesh, CF_F64, (const int64_t[]){dim, dim}, 0, &matrix));
    if (n > 0)
        CF_TRY(cf_linalg_create_cyclic(mesh, CF_F64, (const int64_t[]){dim, dim}, 0, &vectors));
    for (int64_t p = 0; p < c->n_panels; p++) {
        const int64_t first = first_of(p), rows = c->panel[p] ? dim - first : 0;
        const cf_slab panel = {first, rows, first, width_of(c, p), width_of(c, p)};

        CF_TRY(cf_linalg_put_cyclic(matrix, &panel, CF_F64, c->panel[p]));
    }
    CF_TRY(cf_linalg_eigen(matrix, values, vectors));
    if (n > 0) CF_TRY(cf_linalg_get_cyclic(vectors, &last, CF_F64, directions));
    reverse_columns(dim, n, directions);
done:
    cf_linalg_destroy_cyclic(&matrix);
    cf_linalg_destroy_cyclic(&vectors);
    cf_linalg_destroy_mesh(&mesh);
    return status;
}

cf_status cf_linalg_eigen_panels(const cf_panels *c, int64_t one_rank, int64_t n, double *values,
                                double *directions)
{
    return c->dim <= one_rank ? eigen_on_one(c, n, values, directions)
                              : eigen_on_all(c, n, values, directions);
}
