/* The covariance of the vectors, dealt out by panels, and what is found of it. */
#include "internal.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

/* A tile's products are added to the panels one tile after the other. */
enum { TILE = 256, PANEL = 128 };

static int64_t first_of(int64_t p)
{
    return p * PANEL;
}

static int64_t width_of(const select_covariance *c, int64_t p)
{
    return c->dim - first_of(p) < PANEL ? c->dim - first_of(p) : PANEL;
}

static int owner_of(const select_covariance *c, int64_t p)
{
    return (int)(p % c->par->size);
}

static cf_status create_panels(select_covariance *c)
{
    cf_status status;

    c->n_panels = (c->dim + PANEL - 1) / PANEL;
    CF_TRY(CF_ALLOC(c->panel, c->n_panels));
    for (int64_t p = c->par->rank; p < c->n_panels; p += c->par->size)
        CF_TRY(CF_ALLOC(c->panel[p], (c->dim - first_of(p)) * width_of(c, p)));
done:
    return status;
}

void select_covariance_destroy(select_covariance *c)
{
    for (int64_t p = 0; c->panel != NULL && p < c->n_panels; p++)
        cf_free(&c->panel[p]);
    cf_free(&c->panel);
}

/* ---- Summing up ---- */

/* Buffers of the pass; a tile is `TILE` rows of D, of the items from TILE x number on. */
typedef struct pass {
    const cf_dataset *dataset;
    const double *mean;
    select_covariance *to;
    int64_t n_tiles;
    float *read, *shared; /* the tile that I have read; the one whose turn it is */
    uint8_t *read_present, *shared_present;
    double *centred; /* minus the mean; zero where there is no vector */
} pass;

static cf_status create_pass(pass *p)
{
    const int64_t dim = p->to->dim;
    cf_status status;

    CF_TRY(create_panels(p->to));
    CF_TRY(CF_ALLOC(p->read, TILE * dim));
    CF_TRY(CF_ALLOC(p->shared, TILE * dim));
    CF_TRY(CF_ALLOC(p->read_present, TILE));
    CF_TRY(CF_ALLOC(p->shared_present, TILE));
    CF_TRY(CF_ALLOC(p->centred, TILE * dim));
done:
    return status;
}

static void destroy_pass(pass *p)
{
    cf_free(&p->read);
    cf_free(&p->shared);
    cf_free(&p->read_present);
    cf_free(&p->shared_present);
    cf_free(&p->centred);
}

static int64_t rows_of_tile(const pass *p, int64_t tile)
{
    const int64_t left = p->dataset->n_items - tile * TILE;

    return left < 0 ? 0 : left < TILE ? left : TILE;
}

/* Give all ranks the tile that rank `from` has read, and centre it. */
static void share_tile(pass *p, int64_t tile, int from)
{
    const cf_par *par = p->to->par;
    const int64_t dim = p->to->dim, count = rows_of_tile(p, tile);
    float *rows = from == par->rank ? p->read : p->shared;
    uint8_t *present = from == par->rank ? p->read_present : p->shared_present;

    if (par->size > 1) {
        cf_par_broadcast(par, rows, count * dim * (int64_t)sizeof *rows, from);
        cf_par_broadcast(par, present, count, from);
    }
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < TILE; r++)
        for (int64_t k = 0; k < dim; k++)
            p->centred[r * dim + k] =
                r < count && present[r] ? (double)rows[r * dim + k] - p->mean[k] : 0;
}

/* panel += (columns first.. of the tile)' (columns of the panel), for my panels. */
static void add_tile(const pass *p)
{
    const select_covariance *c = p->to;
    const int dim = cf_par_count(c->dim);

#pragma omp parallel for schedule(dynamic)
    for (int64_t k = c->par->rank; k < c->n_panels; k += c->par->size) {
        const double *columns = p->centred + first_of(k);
        const int rows = (int)(c->dim - first_of(k)), width = (int)width_of(c, k);

        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, rows, width, TILE, 1, columns, dim,
                    columns, dim, 1, c->panel[k], width);
    }
}

static void divide(const select_covariance *c, int64_t count)
{
    for (int64_t p = c->par->rank; p < c->n_panels; p += c->par->size)
        for (int64_t k = 0; k < (c->dim - first_of(p)) * width_of(c, p); k++)
            c->panel[p][k] /= (double)(count - 1);
}

cf_status select_covariance_take(const cf_dataset *dataset, const double *mean, int64_t count,
                                 select_covariance *out)
{
    const cf_par *par = dataset->world;
    pass p = {.dataset = dataset, .mean = mean, .to = out};
    cf_status status;

    *out = (select_covariance){.par = par, .dim = dataset->embedding_dim};
    p.n_tiles = (dataset->n_items + TILE - 1) / TILE;
    CF_TRY(cf_par_agree(par, create_pass(&p)));
    for (int64_t tile = 0; tile < p.n_tiles; tile += par->size) {
        const int64_t mine = tile + par->rank, rows = rows_of_tile(&p, mine);

        CF_TRY(cf_dataset_read_embedding(dataset, rows ? mine * TILE : 0, rows, p.read,
                                         p.read_present));
        for (int from = 0; from < par->size && tile + from < p.n_tiles; from++) {
            share_tile(&p, tile + from, from);
            add_tile(&p);
        }
    }
    CF_TRY(cf_dataset_verify_embedding(dataset));
    divide(out, count);
done:
    destroy_pass(&p);
    return status;
}

void select_covariance_column(const select_covariance *c, int64_t j, double *out)
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

/* ---- Eigenvectors ---- */

/* The whole matrix on rank 0, both triangles. `buffer`: D x PANEL. Collective. */
static void gather_whole(const select_covariance *c, double *buffer, double *matrix)
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

/* By rank 0 alone: the last n eigenvectors, which are the last rows there. */
static cf_status eigen_on_one(const select_covariance *c, int64_t n, double *values,
                              double *directions)
{
    const cf_par *par = c->par;
    const int64_t dim = c->dim, here = par->rank == 0 ? dim : 0;
    double *matrix = NULL, *buffer = NULL;
    cf_status status = CF_ALLOC(matrix, here * here);

    if (status == CF_OK) status = CF_ALLOC(buffer, here * PANEL);
    CF_TRY(cf_par_agree(par, status));
    gather_whole(c, buffer, matrix);
    CF_TRY(cf_dense_eigen_one(par, dim, matrix, values));
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
static cf_status eigen_on_all(const select_covariance *c, int64_t n, double *values,
                              double *directions)
{
    const int64_t dim = c->dim;
    const cf_slab last = {0, dim, dim - n, n, n};
    cf_mesh *mesh = NULL;
    cf_cyclic *matrix = NULL, *vectors = NULL;
    cf_status status;

    CF_TRY(cf_dense_create_mesh(c->par, 0, 0, &mesh));
    CF_TRY(cf_dense_create_cyclic(mesh, CF_F64, (const int64_t[]){dim, dim}, 0, &matrix));
    CF_TRY(cf_dense_create_cyclic(mesh, CF_F64, (const int64_t[]){dim, dim}, 0, &vectors));
    for (int64_t p = 0; p < c->n_panels; p++) {
        const int64_t first = first_of(p), rows = c->panel[p] ? dim - first : 0;
        const cf_slab panel = {first, rows, first, width_of(c, p), width_of(c, p)};

        CF_TRY(cf_dense_put_cyclic(matrix, &panel, CF_F64, c->panel[p]));
    }
    CF_TRY(cf_dense_eigen(matrix, values, vectors));
    CF_TRY(cf_dense_get_cyclic(vectors, &last, CF_F64, directions));
    reverse_columns(dim, n, directions);
done:
    cf_dense_destroy_cyclic(&matrix);
    cf_dense_destroy_cyclic(&vectors);
    cf_dense_destroy_mesh(&mesh);
    return status;
}

cf_status select_covariance_eigen(const select_covariance *c, int64_t one_rank, int64_t n,
                                  double *values, double *directions)
{
    double *all = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(c->par, CF_ALLOC(all, c->dim)));
    if (c->dim <= one_rank)
        CF_TRY(eigen_on_one(c, n, all, directions));
    else
        CF_TRY(eigen_on_all(c, n, all, directions));
    for (int64_t k = 0; k < n; k++)
        values[k] = fmax(all[c->dim - 1 - k], 0);
done:
    cf_free(&all);
    return status;
}

/* ---- Pivots ---- */

/* What Cholesky's factor leaves: `factor` has a row of D numbers for each pivot. */
typedef struct unexplained {
    int64_t dim;
    double *factor, *left, *column; /* left: variance that the pivots do not explain, -1: a pivot */
    int64_t rank;
} unexplained;

static int64_t next_pivot(const unexplained *r, double least)
{
    int64_t best = -1;

    for (int64_t i = 0; i < r->dim; i++)
        if (r->left[i] > least && (best < 0 || r->left[i] > r->left[best])) best = i;
    for (int64_t i = 0; best < 0; i++) /* nothing is left to explain: the lowest */
        if (r->left[i] >= 0) best = i;
    return best;
}

/* The next row of the factor (Golub and Van Loan, section 4.2.8): `column` is the covariance's. */
static void eliminate(unexplained *r, int64_t pivot)
{
    const double root = sqrt(r->left[pivot]);
    double *row = r->factor + r->rank * r->dim;

    for (int64_t l = 0; l < r->rank; l++) {
        const double *of_l = r->factor + l * r->dim, times = of_l[pivot];
        for (int64_t i = 0; i < r->dim; i++)
            r->column[i] -= times * of_l[i];
    }
    for (int64_t i = 0; i < r->dim; i++) {
        row[i] = r->column[i] / root;
        if (r->left[i] >= 0) r->left[i] = fmax(r->left[i] - row[i] * row[i], 0);
    }
    r->rank++;
}

static cf_status create_unexplained(int64_t dim, int64_t n, unexplained *r)
{
    cf_status status;

    r->dim = dim;
    CF_TRY(CF_ALLOC(r->factor, n * dim));
    CF_TRY(CF_ALLOC(r->left, dim));
    CF_TRY(CF_ALLOC(r->column, dim));
done:
    return status;
}

/* The variances: each panel's diagonal. Collective. */
static void get_diagonal(const select_covariance *c, double *out)
{
    for (int64_t p = c->par->rank; p < c->n_panels; p += c->par->size)
        for (int64_t k = 0; k < width_of(c, p); k++)
            out[first_of(p) + k] = c->panel[p][k * width_of(c, p) + k];
    MPI_Allreduce(MPI_IN_PLACE, out, cf_par_count(c->dim), MPI_DOUBLE, MPI_SUM, c->par->comm);
}

cf_status select_covariance_pivots(const select_covariance *c, int64_t n, int64_t *pivots)
{
    unexplained r = {0};
    double least;
    cf_status status;

    CF_TRY(cf_par_agree(c->par, create_unexplained(c->dim, n, &r)));
    get_diagonal(c, r.left);
    least = r.left[next_pivot(&r, 0)] * (double)c->dim * 0x1p-52;
    for (int64_t k = 0; k < n; k++) {
        pivots[k] = next_pivot(&r, least);
        if (r.left[pivots[k]] > least) {
            select_covariance_column(c, pivots[k], r.column);
            eliminate(&r, pivots[k]);
        }
        r.left[pivots[k]] = -1;
    }
done:
    cf_free(&r.factor);
    cf_free(&r.left);
    cf_free(&r.column);
    return status;
}
