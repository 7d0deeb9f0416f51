/* The covariance of the vectors, and what is found of it. */
#include "internal.h"

#include <math.h>

enum { TILE = CF_TILE_ROWS };

/* ---- Summing up ---- */

/* Buffers of the pass; a tile is `TILE` rows of D, of the items from TILE x number on. */
typedef struct pass {
    const cf_dataset *dataset;
    const double *mean; /* NULL: zero */
    cf_panels *to;
    float *read, *shared; /* the tile that I have read; the one whose turn it is */
    uint8_t *read_present, *shared_present;
    double *centred; /* minus the mean; zero where there is no vector */
} pass;

static cf_status create_pass(pass *p)
{
    const int64_t dim = p->dataset->embedding_dim;
    cf_status status;

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
            p->centred[r * dim + k] = r < count && present[r]
                                          ? (double)rows[r * dim + k] - (p->mean ? p->mean[k] : 0)
                                          : 0;
}

static cf_status add_all(pass *p)
{
    const cf_par *par = p->to->par;
    const int64_t n_tiles = (p->dataset->n_items + TILE - 1) / TILE;
    cf_status status = CF_OK;

    for (int64_t tile = 0; tile < n_tiles; tile += par->size) {
        const int64_t mine = tile + par->rank, rows = rows_of_tile(p, mine);

        CF_TRY(cf_dataset_read_embedding(p->dataset, rows ? mine * TILE : 0, rows, p->read,
                                         p->read_present));
        for (int from = 0; from < par->size && tile + from < n_tiles; from++) {
            share_tile(p, tile + from, from);
            cf_linalg_add_to_panels(p->to, p->centred);
        }
    }
    CF_TRY(cf_dataset_verify_embedding(p->dataset));
done:
    return status;
}

static cf_status take(const cf_dataset *dataset, const double *mean, cf_panels **out)
{
    const cf_par *par = dataset->world;
    pass p = {.dataset = dataset, .mean = mean};
    cf_status status;

    CF_TRY(cf_linalg_create_panels(par, dataset->embedding_dim, &p.to));
    CF_TRY(cf_par_agree(par, create_pass(&p)));
    CF_TRY(add_all(&p));
    *out = p.to;
    p.to = NULL;
done:
    cf_linalg_destroy_panels(&p.to);
    destroy_pass(&p);
    return status;
}

cf_status select_covariance_take(const cf_dataset *dataset, const double *mean, int64_t count,
                                 cf_panels **out)
{
    cf_status status;

    CF_TRY(take(dataset, mean, out));
    cf_linalg_divide_panels(*out, (double)(count - 1));
done:
    return status;
}

cf_status cf_select_spectrum(const cf_dataset *dataset, const cf_config *config, double *singular)
{
    cf_panels *gram = NULL;
    cf_status status;

    if (dataset->embedding_dim == 0)
        CF_TRY(
            CF_FAIL(CF_ERR_USAGE, "%s: has no language-model vectors", cf_dataset_path(dataset)));
    CF_TRY(take(dataset, NULL, &gram));
    CF_TRY(cf_linalg_singular_panels(gram, cf_config_int(config, "pca_one_rank"), singular));
done:
    cf_linalg_destroy_panels(&gram);
    return status;
}

/* ---- Eigenvectors ---- */

cf_status select_covariance_eigen(const cf_panels *c, int64_t one_rank, int64_t n, double *values,
                                  double *directions)
{
    double *all = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(c->par, CF_ALLOC(all, c->dim)));
    CF_TRY(cf_linalg_eigen_panels(c, one_rank, n, all, directions));
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

cf_status select_covariance_pivots(const cf_panels *c, int64_t n, int64_t *pivots)
{
    unexplained r = {0};
    double least;
    cf_status status;

    CF_TRY(cf_par_agree(c->par, create_unexplained(c->dim, n, &r)));
    cf_linalg_get_panels_diagonal(c, r.left);
    least = r.left[next_pivot(&r, 0)] * (double)c->dim * 0x1p-52;
    for (int64_t k = 0; k < n; k++) {
        pivots[k] = next_pivot(&r, least);
        if (r.left[pivots[k]] > least) {
            cf_linalg_get_panels_column(c, pivots[k], r.column);
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
