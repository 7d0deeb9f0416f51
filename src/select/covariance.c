/* The covariance of the vectors X (items x D) and its principal components.
 *
 *     C = sum over warm items i with a vector of (x_i - m)(x_i - m)' / (n - 1),    m: their mean.
 *
 * Items are summed by tiles of 256 at fixed offsets, in the order of the tiles. Every rank reads
 * one tile, then the tiles are broadcast one after the other, and each rank adds every tile to its
 * own panels of C (linalg/panels.c) by a product of fixed shape. So an element of C has the same
 * bits on any number of ranks. With m = 0 and no division C is X'X, whose eigenvalues are the
 * squares of X's singular values. tests/select/map.c compares with NumPy's eigenvectors. */
#include "internal.h"

#include <math.h>

enum { TILE = CF_TILE_ROWS };

/* The sum under way; a tile is TILE rows of D. */
typedef struct pass {
    const cf_dataset *dataset;
    const double *mean; /* D; NULL: zero */
    cf_panels *to;
    float *rows;      /* a tile that another rank has read */
    uint8_t *counted; /* its flags */
    double *centred;  /* a tile minus the mean, in double; zero where a row is not counted */
} pass;

/* Local. Errors: MEMORY. The panels are not counted: cf_linalg_create_panels() agrees on them. */
static cf_status create_pass(pass *p)
{
    const int64_t dim = p->dataset->embedding_dim;
    cf_status status;

    CF_TRY(CF_ALLOC(p->rows, TILE * dim));
    CF_TRY(CF_ALLOC(p->counted, TILE));
    CF_TRY(CF_ALLOC(p->centred, TILE * dim));
done:
    return status;
}

static void destroy_pass(pass *p)
{
    cf_free(&p->rows);
    cf_free(&p->counted);
    cf_free(&p->centred);
}

/* Centre a tile of `count` rows. Rows beyond them are zero, so that every product has TILE rows. */
static void centre_tile(const pass *p, const float *rows, const uint8_t *counted, int64_t count)
{
    const int64_t dim = p->to->dim;

#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < TILE; r++)
        for (int64_t k = 0; k < dim; k++)
            p->centred[r * dim + k] =
                r < count && counted[r]
                    ? (double)rows[r * dim + k] - (p->mean != NULL ? p->mean[k] : 0)
                    : 0;
}

/* Add the tiles of one round, one of each rank, in the order of the ranks: that of the tiles. */
static void add_tiles(void *context, const select_block *block)
{
    pass *p = context;
    const cf_par *par = p->to->par;
    const int64_t dim = p->to->dim;

    for (int from = 0; from < par->size; from++) {
        const int64_t tile = block->round * par->size + from;
        const int64_t count = cf_min(TILE, p->dataset->n_items - tile * TILE);
        float *rows = from == par->rank ? block->rows : p->rows;
        uint8_t *counted = from == par->rank ? block->counted : p->counted;

        if (count <= 0) return; /* the last round has fewer tiles than ranks */
        if (par->size > 1) {
            cf_par_broadcast(par, rows, count * dim * (int64_t)sizeof *rows, from);
            cf_par_broadcast(par, counted, count, from);
        }
        centre_tile(p, rows, counted, count);
        cf_linalg_add_to_panels(p->to, p->centred);
    }
}

/* The sum of products of the vectors minus `mean` (NULL: zero). Collective. */
static cf_status sum_products(const cf_dataset *dataset, const double *mean, cf_panels **out)
{
    const cf_par *par = dataset->world;
    const select_range range = {(int64_t)par->rank * TILE, dataset->n_items, TILE,
                                (int64_t)par->size * TILE};
    pass p = {.dataset = dataset, .mean = mean};
    cf_status status;

    CF_TRY(cf_linalg_create_panels(par, dataset->embedding_dim, &p.to));
    CF_TRY(cf_par_agree(par, create_pass(&p)));
    CF_TRY(select_each_block(dataset, &range, add_tiles, &p));
    *out = p.to;
    p.to = NULL;
done:
    cf_linalg_destroy_panels(&p.to);
    destroy_pass(&p);
    return status;
}

/* The divisor n - 1 makes the estimate unbiased, as NumPy's cov does. */
cf_status select_create_covariance(const cf_dataset *dataset, const double *mean, int64_t count,
                                   cf_panels **out)
{
    cf_status status;

    CF_TRY(sum_products(dataset, mean, out));
    cf_linalg_divide_panels(*out, (double)(count - 1));
done:
    return status;
}

/* Rounding of the covariance may leave an eigenvalue of 0 slightly negative; it counts as 0. */
cf_status select_principal_components(const cf_panels *c, int64_t one_rank_dim, int64_t n,
                                      double *values, double *components)
{
    double *all = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(c->par, CF_ALLOC(all, c->dim)));
    CF_TRY(cf_linalg_eigen_panels(c, one_rank_dim, n, all, components));
    for (int64_t k = 0; k < n; k++)
        values[k] = fmax(all[c->dim - 1 - k], 0);
done:
    cf_free(&all);
    return status;
}

/* Not centred: the table as it is, but for the rows of cold items. Items without a vector are rows
 * of zeros, which add nothing. */
cf_status cf_select_spectrum(const cf_dataset *dataset, int64_t one_rank_dim, double *singular)
{
    cf_panels *gram = NULL;
    cf_status status;

    CF_REQUIRE(dataset->embedding_dim > 0, CF_ERR_USAGE, "%s: has no language-model vectors",
               cf_dataset_path(dataset));
    CF_TRY(sum_products(dataset, NULL, &gram));
    CF_TRY(cf_linalg_singular_panels(gram, one_rank_dim, singular));
done:
    cf_linalg_destroy_panels(&gram);
    return status;
}
