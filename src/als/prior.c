/* What item rows are shrunk towards: a linear map of the items' vectors, fitted to the rows.
 *
 *     p_i = M'x_i,   M = (X'LX + mu l I)^-1 X'LH,   L = diag(l_i), l their mean
 *
 * X: items x D, centred and of length 1; H: items x d. M makes sum_i l_i |h_i - M'x_i|^2 +
 * mu l |M|^2 smallest, a ridge regression (Hoerl and Kennard 1970) with the weights of the loss.
 * Cold items have weight 0; they have a prior all the same.
 *
 * A rank has the vectors of its tiles of items. X'LX is summed and inverted once; in each sweep
 * X'LH is summed (products.c, some columns at a time), multiplied by the inverse, which is
 * distributed block-cyclically, and M is brought to all ranks. Rows of XM are products of tiles of
 * fixed shape. So the ranks change no bit. tests/als/prior.c solves in double. */
#include "cf/blas.h"
#include "internal.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Columns of X in a sum of products, whole blocks of the matrices; rows and columns of these; and
 * floats that are read at once. */
enum { BLOCK = 128, STRIP = 2 * BLOCK, READ_FLOATS = 1 << 22 };

enum { VECTORS, COUNT, MAP, SUM, TILES };
static const cf_array prior_arrays[] = {
    CF_ARRAY(als_prior, vectors, VECTORS, 1), CF_ARRAY(als_prior, weights, COUNT, 1),
    CF_ARRAY(als_prior, map, MAP, 1), CF_ARRAY(als_prior, strip, SUM, 1),
    CF_ARRAY(als_prior, tile, TILES, 1)};
enum { N_PRIOR_ARRAYS = sizeof prior_arrays / sizeof *prior_arrays };

static int64_t strip_width(int64_t dim, int64_t strip)
{
    return cf_min(STRIP, dim - strip * STRIP);
}

/* The most columns of the right-hand factor of a sum: vectors in strips, rows whole. */
static int64_t widest(int64_t source_dim, int64_t dim)
{
    return cf_max(cf_min(STRIP, source_dim), dim);
}

void als_destroy_prior(als_prior *p)
{
    cf_arrays_destroy(p, prior_arrays, N_PRIOR_ARRAYS);
    als_destroy_products(&p->products);
    cf_linalg_destroy_cyclic(&p->inverse);
    cf_linalg_destroy_mesh(&p->mesh);
}

/* Local. Errors: MEMORY. */
static cf_status allocate(const cf_als *als, int64_t source_dim, als_prior *p)
{
    const cf_tiles *tiles = als->tiles[CF_ITEMS];
    const int64_t dim = als->place.table[CF_ITEMS]->dim, width = widest(source_dim, dim);
    cf_status status;

    p->dim = source_dim;
    CF_TRY(cf_arrays_create(
        p, prior_arrays, N_PRIOR_ARRAYS,
        (const int64_t[]){[VECTORS] = tiles->capacity * source_dim,
                          [COUNT] = tiles->count,
                          [MAP] = source_dim * tiles->full_width,
                          [SUM] = cf_min(STRIP, source_dim) * width,
                          [TILES] = als->n_threads * CF_TILE_ROWS * tiles->full_width}));
    CF_TRY(als_create_products(cf_min(STRIP, source_dim), width, &p->products));
done:
    return status;
}

double als_prior_bytes(const cf_als_size *size)
{
    const double full = CF_LANES * (double)cf_table_segments(size->dim),
                 source = (double)size->source_dim, strip = (double)cf_min(STRIP, size->source_dim),
                 width = (double)widest(size->source_dim, size->dim), items = size->all[CF_ITEMS],
                 capacity = ceil(items / CF_TILE_ROWS) * CF_TILE_ROWS;

    if (size->source_dim == 0) return 0;
    return cf_arrays_bytes(
               prior_arrays, N_PRIOR_ARRAYS,
               (const double[]){[VECTORS] = capacity * source / size->ranks,
                                [COUNT] = items / size->ranks,
                                [MAP] = source * full,
                                [SUM] = strip * width,
                                [TILES] = omp_get_max_threads() * CF_TILE_ROWS * full}) +
           als_products_bytes(strip, width) + 8 * source * source / size->ranks;
}

/* Sums of all strips, rows to tiles and the prior back from them. What the matrices send is left
 * out: a few times D x d numbers, beside exact sums of 23 times as many bytes. */
double als_prior_sent(const cf_als *als)
{
    const als_prior *p = &als->prior;
    const int ranks = als->place.grid->world.size;
    const double source = (double)p->dim, dim = (double)als->place.table[CF_ITEMS]->dim;

    if (p->dim == 0) return 0;
    return 2 * cf_par_plan_bytes(&als->tiles[CF_ITEMS]->plan, sizeof(float), false) +
           2 * (double)sizeof(cf_exact) * source * dim * (ranks - 1) / ranks;
}

/* ---- Reading ---- */

/* The vectors of my tiles, centred and of length 1. Collective. */
static cf_status read_vectors(const cf_als *als, const cf_dataset *dataset, als_prior *p)
{
    const cf_par *world = &als->place.grid->world;
    const cf_tiles *tiles = als->tiles[CF_ITEMS];
    const int64_t step = cf_max(1, READ_FLOATS / p->dim);
    int64_t most = tiles->count;
    uint8_t *present = NULL;
    double *center = NULL;
    cf_vector_rows rows;
    cf_status status = CF_ALLOC(present, tiles->count);

    if (status == CF_OK) status = CF_ALLOC(center, p->dim);
    CF_TRY(cf_par_agree(world, status));
    MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT64_T, MPI_MAX, world->comm);
    for (int64_t at = 0; at < most; at += step) {
        const int64_t begin = cf_min(at, tiles->count), count = cf_min(step, tiles->count - begin);

        CF_TRY(cf_dataset_read_embedding(dataset, count > 0 ? tiles->first_row + begin : 0, count,
                                         p->vectors + begin * p->dim, present + begin));
    }
    CF_TRY(cf_dataset_verify_embedding(dataset));
    rows = (cf_vector_rows){tiles->first_row, tiles->count, p->dim, p->dim, p->vectors, present};
    CF_TRY(cf_dataset_find_center(world, &rows, als->place.cold, center));
    cf_dataset_make_directions(&rows, center);
done:
    cf_free(&present);
    cf_free(&center);
    return status;
}

/* The total confidence of each item of my tiles. Collective. */
static cf_status read_totals(const cf_als *als, const cf_dataset *dataset, double *out)
{
    const cf_tiles *tiles = als->tiles[CF_ITEMS];
    const int64_t first = tiles->count > 0 ? tiles->first_row : 0;
    int64_t *counts = NULL;
    cf_status status;

    if (als->is_weighted) {
        CF_TRY(cf_dataset_read_item_weights(dataset, first, tiles->count, out));
    } else {
        CF_TRY(cf_par_agree(&als->place.grid->world, CF_ALLOC(counts, tiles->count)));
        CF_TRY(cf_dataset_read_item_counts(dataset, first, tiles->count, counts));
    }
    for (int64_t k = 0; k < tiles->count; k++)
        out[k] = als->is_weighted ? als->unit * out[k] : (double)counts[k];
done:
    cf_free(&counts);
    return status;
}

/* l of the items of my tiles, and their mean over all that count. Collective. */
static cf_status find_weights(const cf_als *als, const cf_dataset *dataset, als_prior *p,
                              double *mean)
{
    const cf_tiles *tiles = als->tiles[CF_ITEMS];
    cf_exact sum = {{0}, 0};
    cf_status status;

    CF_TRY(read_totals(als, dataset, p->weights));
    for (int64_t k = 0; k < tiles->count; k++) {
        p->weights[k] = cf_is_cold(als->place.cold, tiles->first_row + k)
                            ? 0
                            : als_weight(als, CF_ITEMS, p->weights[k]);
        cf_exact_add(&sum, p->weights[k]);
    }
    cf_par_sum_exact(&als->place.grid->world, &sum, 1);
    *mean = cf_exact_value(&sum) / (double)als->place.n_counted[CF_ITEMS];
done:
    return status;
}

/* ---- Sums ---- */

/* Rank 0's part of a matrix, from p->strip: all ranks have summed it, and one is enough. */
static cf_status put_strip(const cf_als *als, const als_prior *p, int64_t strip,
                           const als_columns *right, cf_cyclic *out)
{
    const int64_t rows = als->place.grid->world.rank == 0 ? strip_width(p->dim, strip) : 0;
    const cf_slab part = {strip * STRIP, rows, right->first, right->n, right->n};

    return cf_linalg_put_cyclic(out, &part, CF_F64, p->strip);
}

/* X'L times `right`, the rows of a strip, into a matrix. Collective. */
static cf_status sum_strip(cf_als *als, int64_t strip, const als_columns *right, cf_cyclic *out)
{
    als_prior *p = &als->prior;
    const als_columns left = {p->vectors, p->dim, strip * STRIP, strip_width(p->dim, strip),
                              p->weights};

    als_sum_products(&p->products, &als->place.grid->world, &left, right,
                     als->tiles[CF_ITEMS]->count, p->strip);
    return put_strip(als, p, strip, right, out);
}

static cf_status create_matrix(const cf_mesh *mesh, int64_t n_rows, int64_t n_columns,
                               cf_cyclic **out)
{
    return cf_linalg_create_cyclic(mesh, CF_F64, (const int64_t[]){n_rows, n_columns}, BLOCK, out);
}

/* (X'LX + reg I)^-1, of which the lower triangle is summed. Collective. */
static cf_status make_inverse(cf_als *als)
{
    als_prior *p = &als->prior;
    cf_status status;

    CF_TRY(create_matrix(p->mesh, p->dim, p->dim, &p->inverse));
    for (int64_t s = 0; s * STRIP < p->dim; s++)
        for (int64_t t = 0; t <= s; t++) {
            const als_columns right = {p->vectors, p->dim, t * STRIP, strip_width(p->dim, t), NULL};

            CF_TRY(sum_strip(als, s, &right, p->inverse));
        }
    cf_linalg_add_diagonal(p->inverse, p->reg);
    status = cf_linalg_invert(p->inverse);
    if (status == CF_ERR_NUMERIC)
        status = CF_FAIL(CF_ERR_NUMERIC,
                         "Gram matrix of the vectors: %s: a larger prior_reg_weight helps",
                         cf_error_message());
done:
    return status;
}

cf_status cf_als_read_vectors(cf_als *als, const cf_dataset *dataset, double reg_weight)
{
    const cf_par *world = &als->place.grid->world;
    als_prior *p = &als->prior;
    double mean;
    cf_status status;

    CF_TRY(cf_linalg_create_mesh(world, 0, 0, &p->mesh));
    CF_TRY(cf_par_agree(world, allocate(als, dataset->embedding_dim, p)));
    CF_TRY(read_vectors(als, dataset, p));
    CF_TRY(find_weights(als, dataset, p, &mean));
    CF_REQUIRE(mean > 0, CF_ERR_USAGE,
               "reg_weight: 0 shrinks no item towards a map of its vector: set it above 0, or "
               "item_prior: none");
    p->reg = reg_weight * mean;
    CF_TRY(make_inverse(als));
done:
    return status;
}

/* M of the current rows, on every rank. Collective. */
static cf_status fit_map(cf_als *als)
{
    als_prior *p = &als->prior;
    const cf_table *table = als->place.table[CF_ITEMS];
    const als_columns rows = {als_take_tiles(als, CF_ITEMS), table->full_width, 0, table->dim,
                              NULL};
    const cf_slab all = {0, p->dim, 0, table->dim, table->full_width};
    cf_cyclic *sum = NULL, *product = NULL;
    cf_status status;

    CF_TRY(create_matrix(p->mesh, p->dim, table->dim, &sum));
    CF_TRY(create_matrix(p->mesh, p->dim, table->dim, &product));
    for (int64_t s = 0; s * STRIP < p->dim; s++)
        CF_TRY(sum_strip(als, s, &rows, sum));
    CF_TRY(cf_linalg_add_product(p->inverse, sum, 1, product));
    CF_TRY(cf_linalg_get_cyclic(product, &all, CF_F32, p->map));
done:
    cf_linalg_destroy_cyclic(&sum);
    cf_linalg_destroy_cyclic(&product);
    return status;
}

/* ---- Rows ---- */

/* XM, into the item table. Collective. */
static void apply_map(cf_als *als)
{
    const als_prior *p = &als->prior;
    cf_tiles *tiles = als->tiles[CF_ITEMS];
    cf_table *table = als->place.table[CF_ITEMS];
    const int64_t full = tiles->full_width;
    float *rows = als->whole != NULL ? als->whole : table->data;

#pragma omp parallel for num_threads(als->n_threads) schedule(static)
    for (int64_t first = 0; first < tiles->count; first += CF_TILE_ROWS) {
        float *tile = p->tile + omp_get_thread_num() * CF_TILE_ROWS * full;

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, CF_TILE_ROWS, (int)full, (int)p->dim,
                    1, p->vectors + first * p->dim, (int)p->dim, p->map, (int)full, 0, tile,
                    (int)full);
        memcpy(rows + first * full, tile,
               (size_t)(cf_min(CF_TILE_ROWS, tiles->count - first) * full) * sizeof *rows);
    }
    if (als->whole != NULL) cf_table_from_tiles(tiles, als->whole, table->data);
}

cf_status cf_als_fill_prior(cf_als *als, double *penalty)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_EQUATIONS);
    const als_prior *p = &als->prior;
    cf_table *table = als->place.table[CF_ITEMS];
    double squares = 0;
    cf_status status = CF_OK;

    if (p->dim == 0) {
        memset(table->data, 0, (size_t)(table->local_rows * table->width) * sizeof *table->data);
        goto done;
    }
    CF_TRY(fit_map(als));
    for (int64_t k = 0; k < p->dim * table->full_width; k++)
        squares += (double)p->map[k] * p->map[k];
    apply_map(als);
done:
    *penalty = p->reg * squares;
    cf_par_restore_phase(before);
    return status;
}
