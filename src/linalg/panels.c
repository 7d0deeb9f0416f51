/* The sum of x'x over rows x, S (dim x dim): its lower triangle in panels of 128 columns, panel p
 * on rank p % ranks, and the eigenvalues and eigenvectors of S.
 *
 * Rows are added in tiles of 256, which every rank has whole: panel += (tile from the panel's first
 * column on)' (the panel's columns of the tile), one gemm whose shape depends on the panel alone.
 * So an element is a sum over the tiles in their order, with the same bits on any number of ranks,
 * and nothing is exchanged but the tiles. Eigenvectors: rank 0 gathers S and calls LAPACK while S
 * is small, else all ranks call ScaLAPACK, whose bits depend on their number. */
#include "cf/blas.h"
#include "scalapack.h"

#include <string.h>

enum { PANEL = 128 };

/* First column of panel p, and also its first row: above the diagonal nothing is stored. */
static int64_t panel_start(int64_t p)
{
    return p * PANEL;
}

static int64_t panel_width(const cf_panels *c, int64_t p)
{
    return cf_min(c->dim - panel_start(p), PANEL);
}

/* In turn, because the first panels are the longest. */
static int panel_owner(const cf_panels *c, int64_t p)
{
    return (int)(p % c->par->size);
}

/* Local. Errors: MEMORY. */
static cf_status allocate_panels(const cf_par *par, int64_t dim, cf_panels *c)
{
    cf_status status;

    *c = (cf_panels){.par = par, .dim = dim, .n_panels = cf_ceil_div(dim, PANEL)};
    CF_TRY(CF_ALLOC(c->panel, c->n_panels));
    for (int64_t p = par->rank; p < c->n_panels; p += par->size)
        CF_TRY(CF_ALLOC(c->panel[p], (dim - panel_start(p)) * panel_width(c, p)));
done:
    return status;
}

cf_status cf_linalg_create_panels(const cf_par *par, int64_t dim, cf_panels **out)
{
    cf_panels *panels = NULL;
    cf_status status = CF_ALLOC(panels, 1);

    if (status == CF_OK) status = allocate_panels(par, dim, panels);
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

/* Threads take panels in turn: the first ones are the longest. */
void cf_linalg_add_to_panels(cf_panels *c, const double *tile)
{
    const int dim = cf_par_count(c->dim);

#pragma omp parallel for schedule(dynamic)
    for (int64_t k = c->par->rank; k < c->n_panels; k += c->par->size) {
        const double *columns = tile + panel_start(k);
        const int rows = (int)(c->dim - panel_start(k)), width = (int)panel_width(c, k);

        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, rows, width, CF_TILE_ROWS, 1, columns,
                    dim, columns, dim, 1, c->panel[k], width);
    }
}

void cf_linalg_divide_panels(cf_panels *c, double divisor)
{
    for (int64_t p = c->par->rank; p < c->n_panels; p += c->par->size)
        for (int64_t k = 0; k < (c->dim - panel_start(p)) * panel_width(c, p); k++)
            c->panel[p][k] /= divisor;
}

/* Of column j the lower part is in its own panel; the upper part is row j of that panel and of the
 * ones before, for the matrix is symmetric. */
void cf_linalg_get_panels_column(const cf_panels *c, int64_t j, double *out)
{
    const int64_t panel_of_j = j / PANEL;

    memset(out, 0, (size_t)c->dim * sizeof *out);
    for (int64_t p = c->par->rank; p <= panel_of_j; p += c->par->size) {
        const int64_t first = panel_start(p), width = panel_width(c, p);

        for (int64_t k = 0; k < width && first + k < j; k++) /* row j is column j mirrored */
            out[first + k] = c->panel[p][(j - first) * width + k];
        for (int64_t i = j; p == panel_of_j && i < c->dim; i++)
            out[i] = c->panel[p][(i - first) * width + j - first];
    }
    /* one rank has each number, the others 0: exact */
    MPI_Allreduce(MPI_IN_PLACE, out, cf_par_count(c->dim), MPI_DOUBLE, MPI_SUM, c->par->comm);
}

void cf_linalg_get_panels_diagonal(const cf_panels *c, double *out)
{
    memset(out, 0, (size_t)c->dim * sizeof *out);
    for (int64_t p = c->par->rank; p < c->n_panels; p += c->par->size)
        for (int64_t k = 0; k < panel_width(c, p); k++)
            out[panel_start(p) + k] = c->panel[p][k * panel_width(c, p) + k];
    MPI_Allreduce(MPI_IN_PLACE, out, cf_par_count(c->dim), MPI_DOUBLE, MPI_SUM, c->par->comm);
}

/* ---- Eigenvectors ---- */

/* The whole matrix on rank 0, both triangles. `buffer`: D x PANEL. Collective. */
static void gather_whole(const cf_panels *c, double *buffer, double *matrix)
{
    for (int64_t p = 0; p < c->n_panels; p++) {
        const int64_t first = panel_start(p), width = panel_width(c, p), rows = c->dim - first;
        const int owner = panel_owner(c, p), count = cf_par_count(rows * width);
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

/* By rank 0 alone. dsyevd leaves eigenvector k in row k, ascending: the last n rows become columns,
 * the largest first. */
static cf_status eigen_on_one(const cf_panels *c, int64_t n, double *values, double *vectors)
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
            vectors[j * n + k] = matrix[(dim - 1 - k) * dim + j];
    cf_par_broadcast(par, vectors, dim * n * (int64_t)sizeof *vectors, 0);
done:
    cf_free(&matrix);
    cf_free(&buffer);
    return status;
}

/* Ascending to descending: reverse the order of the columns. */
static void reverse_columns(int64_t dim, int64_t n, double *vectors)
{
    for (int64_t j = 0; j < dim; j++)
        for (int64_t k = 0; k < n / 2; k++) {
            double *row = vectors + j * n, swap = row[k];
            row[k] = row[n - 1 - k];
            row[n - 1 - k] = swap;
        }
}

/* By all ranks. The panels are put into a block-cyclic matrix, and the last n columns of the
 * eigenvectors got from one. */
static cf_status eigen_on_all(const cf_panels *c, int64_t n, double *values, double *vectors)
{
    const int64_t dim = c->dim;
    const cf_slab last = {0, dim, dim - n, n, n};
    cf_mesh *mesh = NULL;
    cf_cyclic *matrix = NULL, *cyclic = NULL;
    cf_status status;

    CF_TRY(cf_linalg_create_mesh(c->par, 0, 0, &mesh));
    CF_TRY(cf_linalg_create_cyclic(mesh, CF_F64, (const int64_t[]){dim, dim}, 0, &matrix));
    if (n > 0)
        CF_TRY(cf_linalg_create_cyclic(mesh, CF_F64, (const int64_t[]){dim, dim}, 0, &cyclic));
    for (int64_t p = 0; p < c->n_panels; p++) {
        const int64_t first = panel_start(p), rows = c->panel[p] != NULL ? dim - first : 0;
        const cf_slab panel = {first, rows, first, panel_width(c, p), panel_width(c, p)};

        CF_TRY(cf_linalg_put_cyclic(matrix, &panel, CF_F64, c->panel[p]));
    }
    CF_TRY(cf_linalg_eigen(matrix, values, cyclic));
    if (n > 0) CF_TRY(cf_linalg_get_cyclic(cyclic, &last, CF_F64, vectors));
    reverse_columns(dim, n, vectors);
done:
    cf_linalg_destroy_cyclic(&matrix);
    cf_linalg_destroy_cyclic(&cyclic);
    cf_linalg_destroy_mesh(&mesh);
    return status;
}

/* dsyevd on one rank takes 3 dim^2 numbers there, and has the same bits on any number of ranks;
 * where that is too much, or too slow, all ranks do it. */
cf_status cf_linalg_eigen_panels(const cf_panels *c, int64_t one_rank_dim, int64_t n,
                                 double *values, double *vectors)
{
    return c->dim <= one_rank_dim ? eigen_on_one(c, n, values, vectors)
                                  : eigen_on_all(c, n, values, vectors);
}

double cf_linalg_predict_sum(int64_t dim, int n_ranks)
{
    double panels = 0;

    for (int64_t first = 0; first < dim; first += PANEL)
        panels += 8 * (double)(dim - first) * (double)cf_min(dim - first, PANEL);
    return panels / n_ranks;
}

/* Rank 0 has the longest panels. By all ranks: ScaLAPACK's matrix, and workspace of that order. */
double cf_linalg_predict_panels(int64_t dim, int n_ranks, int64_t one_rank_dim)
{
    const double n = (double)dim;
    double panels = 0;

    for (int64_t first = 0; first < dim; first += PANEL * (int64_t)n_ranks)
        panels += 8 * (double)(dim - first) * (double)cf_min(dim - first, PANEL);
    return panels + 8 * n +
           (dim <= one_rank_dim ? 8 * n * (n + PANEL) + linalg_eigen_one_bytes(dim)
                                : 16 * n * n / n_ranks);
}
