/* The leading right singular vectors of R = D_u^-1/2 X D_i^-1/2, by Chebyshev-filtered subspace
 * iteration (Zhou, Saad, Tiago and Chelikowsky 2006). Y (items x B) starts as noise; B exceeds the
 * vectors that are wanted by about a quarter, and a is the least eigenvalue so far. Repeat:
 *
 *     Y := T_m(2 R'R / a - I) Y, which shrinks what belongs to eigenvalues below a beside the rest
 *     Z := R Y (users x B);    G = Y'Y,    H = Z'Z: Rayleigh and Ritz solve H w = s^2 G w
 *     Y := Y W,    Z := Z W
 *
 * until |R'Z - Y diag(s^2)| is small in each wanted column, or falls no more. Rows are sums over
 * neighbours; G and H are sums of fixed tiles; rank 0 solves the problem of B x B; rows times W are
 * products of whole rows in fixed tiles; residuals are exact sums: no grid changes a bit. Y and Z
 * have 24 bits, G, H and W are found in float64. tests/filter/singular.c compares with NumPy's. */
#include "internal.h"

#include "cf/blas.h"
#include "cf/linalg.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Residuals that are small enough; and those that are taken where they fall no more: float32 has no
 * more digits for sums of rows with thousands of neighbours. */
static const double small_residual = 1e-5, largest_residual = 1e-4;
/* T_m at the largest eigenvalue, 1: more would drown the least wanted vectors in the rounding of
 * the first. */
static const double largest_growth = 1e5;
enum { MOST_ITERATIONS = 100, MOST_STEPS = 20, LEAST_MORE = 32 };
/* Rows of a pass that moves rows from one table to another. */
enum { ROWS_PER_PASS = 64 };

typedef struct subspace {
    const cf_par *world;
    int64_t wanted, dim; /* vectors: those asked for, and B */
    recurrence recurrence;
    cf_table *table[2]; /* Z and Y */
    cf_tiles *tiles[2];
    float *whole;     /* the larger side's rows in tiles */
    float *scratch;   /* threads x CF_TILE_ROWS x full_width */
    double *gram[2];  /* dim x dim: H and G */
    double *small[2]; /* dim x dim; rank 0 */
    double *values;   /* dim: s^2, descending */
    float *map;       /* dim x dim: W */
} subspace;

/* ---- Creation ---- */

/* Rows of both sides that have edges; the lesser number. Collective. */
static int64_t count_rank(cf_graph *graph, const cf_grid *grid)
{
    int64_t n[2] = {0, 0};

    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < cf_graph_rows(graph, (cf_side)side); row++)
            n[side] += cf_graph_degree(graph, (cf_side)side, row) > 0;
    MPI_Allreduce(MPI_IN_PLACE, n, 2, MPI_INT64_T, MPI_SUM, grid->column.comm);
    return cf_min(n[CF_USERS], n[CF_ITEMS]);
}

int64_t filter_subspace_dim(int64_t wanted)
{
    return cf_table_segments(wanted + cf_max(wanted / 4, LEAST_MORE)) * CF_LANES;
}

/* Local. */
static cf_status allocate(subspace *s, int64_t most_rows)
{
    const int64_t n = s->dim * s->dim, here = s->world->rank == 0 ? n : 0;
    cf_status status;

    CF_TRY(CF_ALLOC(s->whole, most_rows * s->table[CF_ITEMS]->full_width));
    CF_TRY(CF_ALLOC(s->scratch,
                    omp_get_max_threads() * CF_TILE_ROWS * s->table[CF_ITEMS]->full_width));
    for (int k = 0; k < 2; k++) {
        CF_TRY(CF_ALLOC(s->gram[k], n));
        CF_TRY(CF_ALLOC(s->small[k], here));
    }
    CF_TRY(CF_ALLOC(s->values, s->dim));
    CF_TRY(CF_ALLOC(s->map, n));
done:
    return status;
}

/* Collective. */
static cf_status create_subspace(cf_graph *graph, const cf_shard *shard, const cf_table *vectors,
                                 subspace *s)
{
    const cf_grid *grid = vectors->grid;
    const int64_t rank = count_rank(graph, grid);
    cf_status status;

    s->world = &grid->world;
    s->wanted = vectors->dim;
    CF_REQUIRE(s->wanted <= rank, CF_ERR_USAGE,
               "%lld singular vectors: expected at most %lld, the lesser of the numbers of users "
               "and of items with interactions",
               (long long)s->wanted, (long long)rank);
    s->dim = cf_min(filter_subspace_dim(s->wanted), rank);
    CF_TRY(cf_table_create(grid, &shard->users, s->dim, &s->table[CF_USERS]));
    CF_TRY(cf_table_create(grid, &shard->items, s->dim, &s->table[CF_ITEMS]));
    for (int side = 0; side < 2; side++)
        CF_TRY(cf_table_create_tiles(s->table[side], CF_TILE_ROWS, &s->tiles[side]));
    CF_TRY(cf_par_agree(
        s->world, allocate(s, cf_max(s->tiles[CF_USERS]->capacity, s->tiles[CF_ITEMS]->capacity))));
    CF_TRY(recurrence_create(graph, s->table[CF_ITEMS]->width, &s->recurrence));
done:
    return status;
}

static void destroy_subspace(subspace *s)
{
    recurrence_destroy(&s->recurrence);
    for (int k = 0; k < 2; k++) {
        cf_table_destroy(&s->table[k]);
        cf_table_destroy_tiles(&s->tiles[k]);
        cf_free(&s->gram[k]);
        cf_free(&s->small[k]);
    }
    cf_free(&s->whole);
    cf_free(&s->scratch);
    cf_free(&s->values);
    cf_free(&s->map);
}

/* ---- The polynomial ---- */

/* The degree m at which T_m(2 / a - 1) = T_2m(a^-1/2) is still small enough. */
static int choose_degree(double least)
{
    const double each = 2 * acosh(1 / sqrt(least));

    return (int)fmax(1, fmin(floor(acosh(largest_growth) / each), MOST_STEPS));
}

/* Y := T_m(2 R'R / a - I) Y; Z := R Y. Before the first a is known, Y stays. Collective. */
static void apply_polynomial(subspace *s)
{
    recurrence *r = &s->recurrence;
    const double least = fmax(s->values[s->dim - 1], 1e-6); /* 0 where R has lower rank */

    recurrence_load(r, CF_ITEMS, s->table[CF_ITEMS]);
    if (s->values[0] > 0 && least < 1) {
        r->factor = (float)(1 / sqrt(least));
        r->step = 0;
        for (int m = choose_degree(least); m > 0; m--) {
            recurrence_step(r);
            recurrence_step(r);
        }
    }
    recurrence_unload(r, CF_ITEMS, s->table[CF_ITEMS]);
    r->factor = 1;
    r->step = 0;
    recurrence_step(r);
    recurrence_unload(r, CF_USERS, s->table[CF_USERS]);
}

/* ---- Rayleigh and Ritz ---- */

/* gram := table'table, on every rank. Collective. */
static cf_status find_gram(const cf_table *table, double *gram)
{
    cf_panels *panels = NULL;
    cf_status status;

    CF_TRY(cf_linalg_create_panels(&table->grid->world, table->dim, &panels));
    CF_TRY(cf_linalg_add_table_to_panels(table, panels));
    for (int64_t j = 0; j < table->dim; j++)
        cf_linalg_get_panels_column(panels, j, gram + j * table->dim);
done:
    cf_linalg_destroy_panels(&panels);
    return status;
}

/* c = a b or, transposed, a b'; n x n. */
static void multiply(int64_t n, const double *a, const double *b, bool transposed, double *c)
{
    const int size = (int)n;

    cblas_dgemm(CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans, size, size,
                size, 1, a, size, b, size, 0, c, size);
}

/* a(i, j) *= factor[i] factor[j]. */
static void scale_both(int64_t n, const double *factor, double *a)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            a[i * n + j] *= factor[i] * factor[j];
}

/* Rows of `q` are eigenvectors of G, whose eigenvalues are in s->values: row k *= value_k^-1/2.
 * What rounding has made as good as dependent stays finite, and is noise that the next iteration
 * works on. */
static void whiten(const subspace *s, double *q)
{
    const int64_t n = s->dim;
    const double least = 1e-12 * s->values[n - 1];

    for (int64_t k = 0; k < n; k++)
        for (int64_t j = 0; j < n; j++)
            q[k * n + j] /= sqrt(fmax(s->values[k], least));
}

/* W (columns in descending order) = D P' U', D = diag(G)^-1/2, P = whitened eigenvectors of D G D,
 * U = eigenvectors of P D H D P'; a row each. s->gram holds H and G, s->small is scratch. What
 * rank 0 computes all ranks get. Collective. */
static cf_status solve_ritz(subspace *s)
{
    const int64_t n = s->dim;
    const bool here = s->world->rank == 0;
    double *factor = NULL, *p = s->small[0], *u = s->small[1], *h = s->gram[CF_USERS],
           *g = s->gram[CF_ITEMS];
    cf_status status;

    CF_TRY(cf_par_agree(s->world, CF_ALLOC(factor, n)));
    for (int64_t k = 0; k < n; k++)
        factor[k] = 1 / sqrt(g[k * n + k]);
    scale_both(n, factor, g);
    scale_both(n, factor, h);
    if (here) memcpy(p, g, (size_t)(n * n) * sizeof *p);
    CF_TRY(cf_linalg_eigen_one(s->world, n, true, p, s->values));
    if (here) {
        whiten(s, p);
        multiply(n, p, h, false, g);
        multiply(n, g, p, true, u);
    }
    CF_TRY(cf_linalg_eigen_one(s->world, n, true, u, s->values));
    if (here) multiply(n, u, p, false, g); /* row k: the k-th column of W / D, ascending */
    cf_par_broadcast(s->world, g, n * n * (int64_t)sizeof *g, 0);
    for (int64_t k = 0; k < n; k++)
        for (int64_t j = 0; j < n; j++)
            s->map[j * n + k] = (float)(factor[j] * g[(n - 1 - k) * n + j]);
    for (int64_t k = 0; k < n / 2; k++) {
        const double swap = s->values[k];

        s->values[k] = s->values[n - 1 - k];
        s->values[n - 1 - k] = swap;
    }
done:
    cf_free(&factor);
    return status;
}

/* Rows of a side := rows W, in tiles of whole rows. Collective. */
static void map_rows(subspace *s, cf_side side)
{
    cf_tiles *tiles = s->tiles[side];
    const int64_t full = tiles->full_width, floats = CF_TILE_ROWS * full;
    const int n = (int)s->dim;

    cf_table_to_tiles(tiles, s->table[side]->data, s->whole);
    memset(s->whole + tiles->count * full, 0,
           (size_t)((tiles->capacity - tiles->count) * full) * sizeof(float));
#pragma omp parallel for schedule(dynamic)
    for (int64_t first = 0; first < tiles->capacity * full; first += floats) {
        float *tile = s->scratch + omp_get_thread_num() * floats;

        memcpy(tile, s->whole + first, (size_t)floats * sizeof *tile);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, CF_TILE_ROWS, n, n, 1, tile,
                    (int)full, s->map, n, 0, s->whole + first, (int)full);
    }
    cf_table_from_tiles(tiles, s->whole, s->table[side]->data);
}

/* ---- Residuals ---- */

/* Row of R'Z - Y diag(s^2), into the field. */
static void make_residuals(void *context, const cf_rows *rows)
{
    const subspace *s = context;
    const cf_table *y = s->table[CF_ITEMS];
    const float *scale = cf_graph_scale(s->recurrence.graph, CF_ITEMS);

    for (int k = 0; k < rows->count; k++) {
        const int64_t row = rows->rows[k];
        const float *sum = rows->sums + k * y->width, *old = y->data + row * y->width;
        float *out = s->recurrence.field.rows[CF_ITEMS] + row * y->width;

        for (int64_t d = 0; d < y->local_dim; d++)
            out[d] = scale[row] * sum[d] - (float)s->values[y->first_dim + d] * old[d];
    }
}

/* The length of column d of the field's rows of items. Local: my rows. */
static void add_squares(const subspace *s, int64_t d, cf_exact *sum)
{
    const cf_table *y = s->table[CF_ITEMS];
    const float *rows = s->recurrence.field.rows[CF_ITEMS];

    for (int64_t row = 0; row < y->local_rows; row++) {
        const double x = (double)rows[row * y->width + d];

        cf_exact_add(sum, x * x);
    }
}

/* The longest residual of the wanted columns, the same on every rank. Collective. */
static cf_status find_residual(subspace *s, double *out)
{
    const cf_table *y = s->table[CF_ITEMS];
    const int64_t mine = cf_max(0, cf_min(y->local_dim, s->wanted - y->first_dim));
    cf_exact *sums = NULL;
    double longest = 0;
    cf_status status;

    CF_TRY(cf_par_agree(s->world, CF_ALLOC(sums, mine)));
    recurrence_load(&s->recurrence, CF_USERS, s->table[CF_USERS]);
    cf_graph_sum_side(s->recurrence.graph, &s->recurrence.sides, CF_ITEMS, s->recurrence.field,
                      make_residuals, s);
#pragma omp parallel for schedule(static)
    for (int64_t d = 0; d < mine; d++)
        add_squares(s, d, &sums[d]);
    cf_par_sum_exact(&y->grid->column, sums, mine);
    for (int64_t d = 0; d < mine; d++)
        longest = fmax(longest, cf_exact_value(&sums[d]));
    MPI_Allreduce(MPI_IN_PLACE, &longest, 1, MPI_DOUBLE, MPI_MAX, s->world->comm);
    *out = sqrt(longest);
done:
    cf_free(&sums);
    return status;
}

/* ---- The iteration ---- */

/* Collective. */
static cf_status iterate(subspace *s, double *residual)
{
    cf_status status;

    apply_polynomial(s);
    for (int side = 0; side < 2; side++)
        CF_TRY(find_gram(s->table[side], s->gram[side]));
    CF_TRY(solve_ritz(s));
    for (int side = 0; side < 2; side++)
        map_rows(s, (cf_side)side);
    CF_TRY(find_residual(s, residual));
done:
    return status;
}

/* The wanted columns, which other ranks of the grid row may have. Collective. */
static cf_status keep_columns(const subspace *s, cf_table *out)
{
    const cf_table *y = s->table[CF_ITEMS];
    int64_t numbers[ROWS_PER_PASS], most = 0;
    float *rows = NULL;
    cf_status status = cf_par_agree(s->world, CF_ALLOC(rows, ROWS_PER_PASS * y->full_width));

    CF_TRY(status);
    for (int b = 0; b < y->blocks.count; b++)
        most = cf_max(most, y->blocks.start[b + 1] - y->blocks.start[b]);
    for (int64_t first = 0; first < most; first += ROWS_PER_PASS) {
        const int64_t count = cf_max(0, cf_min(ROWS_PER_PASS, y->local_rows - first));

        for (int64_t k = 0; k < count; k++)
            numbers[k] = first + k;
        CF_TRY(cf_table_gather_own(y, numbers, count, rows));
        for (int64_t k = 0; k < count; k++)
            memcpy(out->data + (first + k) * out->width, rows + k * y->full_width + out->first_dim,
                   (size_t)out->local_dim * sizeof *rows);
    }
done:
    cf_free(&rows);
    return status;
}

/* `before`: of the iteration before. */
static bool has_converged(double residual, double before)
{
    return residual <= small_residual || (residual <= largest_residual && !(residual < before / 2));
}

cf_status cf_filter_singular(cf_graph *graph, const cf_shard *shard, cf_table *vectors,
                             double *values)
{
    subspace s = {0};
    double residual = INFINITY, before;
    int n = 0;
    cf_status status;

    CF_TRY(create_subspace(graph, shard, vectors, &s));
    cf_table_fill_normal(s.table[CF_ITEMS], 0, 0, 1);
    do {
        before = residual;
        CF_TRY(iterate(&s, &residual));
        cf_log("singular vectors: iteration %d, residual %.1e", ++n, residual);
    } while (n < MOST_ITERATIONS && !has_converged(residual, before));
    CF_REQUIRE(
        residual <= largest_residual, CF_ERR_NUMERIC,
        "singular vectors: after %d iterations a residual is %g, expected at most %g: fewer or "
        "more of them may do",
        n, residual, largest_residual);
    CF_TRY(keep_columns(&s, vectors));
    for (int64_t k = 0; k < s.wanted; k++)
        values[k] = sqrt(fmax(s.values[k], 0));
done:
    destroy_subspace(&s);
    return status;
}
