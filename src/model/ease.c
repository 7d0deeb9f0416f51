/*
 * Closed forms. The table is the transpose of the papers' B, so that a score is, as of all models,
 * the product of a user's row and an item's; a user's row here is X's, zeros and ones. With P
 * symmetric, B' = I - diag(1 / diag P) P.
 */
#include "closed.h"

#include "cf/linalg.h"

#include <math.h>
#include <string.h>

/* What one solution is made with; `seconds` goes up by the clock. */
typedef struct solver {
    const cf_model *model;
    const cf_dataset *dataset; /* brings the vectors */
    const cf_config *config;
    int64_t n; /* items */
    cf_type type;
    cf_mesh *mesh;
    double *diagonal, *factors; /* n */
    cf_solved seconds;
    double clock;
} solver;

/* Count the time since the last call for a part, and say so. */
static void lap(solver *s, double *part, const char *what)
{
    const double now = cf_clock_now(), seconds = now - s->clock;

    *part += seconds;
    s->clock = now;
    cf_log("%s: %s, %.1f s", s->model->ops->name, what, seconds);
}

static cf_status open_solver(solver *s)
{
    const cf_par *world = &s->model->grid->world;
    cf_status status;

    s->clock = cf_clock_now();
    s->n = s->model->table[CF_ITEMS]->n_rows;
    s->type = cf_config_is(s->config, "solve_precision", "float32") ? CF_F32 : CF_F64;
    status = CF_ALLOC(s->diagonal, s->n);
    if (status == CF_OK) status = CF_ALLOC(s->factors, s->n);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cf_linalg_create_mesh(world, 0, 0, &s->mesh));
done:
    return status;
}

static void close_solver(solver *s)
{
    cf_free(&s->diagonal);
    cf_free(&s->factors);
    cf_linalg_destroy_mesh(&s->mesh);
}

static cf_status create_matrix(const solver *s, int64_t n_columns, cf_cyclic **out)
{
    return cf_linalg_create_cyclic(s->mesh, s->type, (const int64_t[]){s->n, n_columns},
                                   CF_SOLVE_BLOCK, out);
}

/* ---- Interactions ---- */

/* The train lists of grid row `row`, on every rank of the grid column: mine are borrowed. */
static cf_status share_lists(const cf_model *model, int row, cf_lists *out)
{
    const cf_par *column = &model->grid->column;
    const cf_lists *mine = &model->shard->train;
    int64_t sizes[2] = {mine->count, mine->start[mine->count]};
    cf_status status = CF_OK;

    *out = row == column->rank ? *mine : (cf_lists){0};
    if (column->size == 1) return CF_OK;
    cf_par_broadcast(column, sizes, sizeof sizes, row);
    if (row != column->rank) {
        out->count = sizes[0];
        status = CF_ALLOC(out->start, sizes[0] + 1);
        if (status == CF_OK) status = CF_ALLOC(out->index, sizes[1]);
    }
    CF_TRY(cf_par_agree(&model->grid->world, status));
    cf_par_broadcast(column, out->start, (sizes[0] + 1) * (int64_t)sizeof *out->start, row);
    cf_par_broadcast(column, out->index, sizes[1] * (int64_t)sizeof *out->index, row);
done:
    return status;
}

/* G = X'X: every rank sees each block's users once. */
static cf_status count_pairs(const solver *s, cf_cyclic *gram)
{
    const cf_model *model = s->model;
    cf_status status = CF_OK;

    for (int row = 0; row < model->grid->n_rows && status == CF_OK; row++) {
        cf_lists lists;

        status = share_lists(model, row, &lists);
        if (status == CF_OK)
            status = cf_par_agree(&model->grid->world,
                                  cf_linalg_add_pairs(gram, lists.start, lists.index, lists.count));
        if (row != model->grid->my_row) {
            cf_free(&lists.start);
            cf_free(&lists.index);
        }
    }
    return status;
}

/* P = (G + lambda I)^-1 */
static cf_status invert_gram(solver *s, double lambda, cf_cyclic **out)
{
    cf_status status;

    CF_TRY(create_matrix(s, s->n, out));
    CF_TRY(count_pairs(s, *out));
    lap(s, &s->seconds.gram, "pairs of items counted");
    cf_linalg_add_diagonal(*out, lambda);
    status = cf_linalg_invert(*out);
    if (status == CF_ERR_NUMERIC)
        status = CF_FAIL(CF_ERR_NUMERIC, "Gram matrix of the items: %s: a larger reg_weight helps",
                         cf_error_message());
    CF_TRY(status);
    lap(s, &s->seconds.invert, "Gram matrix inverted");
done:
    return status;
}

/* P becomes I - diag(1 / diag P) P (Steck 2019, eq. 8, transposed). */
static void close_form(solver *s, cf_cyclic *p)
{
    cf_linalg_get_diagonal(p, s->diagonal);
    for (int64_t j = 0; j < s->n; j++)
        s->factors[j] = -1 / s->diagonal[j];
    cf_linalg_scale_rows(p, s->factors);
    cf_linalg_fill_diagonal(p, 0);
}

static cf_status keep(solver *s, const cf_cyclic *result)
{
    cf_table *table = s->model->table[CF_ITEMS];
    cf_status status;

    CF_TRY(cf_linalg_get_table(result, table));
    CF_TRY(cf_table_check_finite(table, "item-item matrix"));
    lap(s, &s->seconds.rest, "item-item matrix dealt out");
done:
    return status;
}

static cf_status solve_ease(solver *s)
{
    cf_cyclic *p = NULL;
    cf_status status;

    CF_TRY(invert_gram(s, cf_config_real(s->config, "reg_weight"), &p));
    close_form(s, p);
    CF_TRY(keep(s, p));
done:
    cf_linalg_destroy_cyclic(&p);
    return status;
}

/* ---- Vectors ---- */

/* My even share of the vectors. */
typedef struct vectors {
    int64_t first, count, dim;
    float *rows; /* count x dim */
    uint8_t *present;
    cf_exact *sums; /* dim */
    double *mean;   /* dim */
} vectors;

static cf_status create_vectors(vectors *v)
{
    cf_status status;

    CF_TRY(CF_ALLOC(v->rows, v->count * v->dim));
    CF_TRY(CF_ALLOC(v->present, v->count));
    CF_TRY(CF_ALLOC(v->sums, v->dim));
    CF_TRY(CF_ALLOC(v->mean, v->dim));
done:
    return status;
}

static void destroy_vectors(vectors *v)
{
    cf_free(&v->rows);
    cf_free(&v->present);
    cf_free(&v->sums);
    cf_free(&v->mean);
}

/* Rows minus the mean of all that are there, of length 1; zero where none is there. The mean is an
 * exact sum, rounded once. */
static void normalise(const solver *s, vectors *v)
{
    const int64_t n_present = s->dataset->n_items - s->dataset->n_missing;

    for (int64_t r = 0; r < v->count; r++)
        for (int64_t k = 0; k < v->dim && v->present[r]; k++)
            cf_exact_add(&v->sums[k], (double)v->rows[r * v->dim + k]);
    cf_par_sum_exact(&s->model->grid->world, v->sums, v->dim);
    for (int64_t k = 0; k < v->dim; k++)
        v->mean[k] = cf_exact_value(&v->sums[k]) / (double)n_present;
    for (int64_t r = 0; r < v->count; r++) {
        float *row = v->rows + r * v->dim;
        double squares = 0, factor;

        for (int64_t k = 0; k < v->dim && v->present[r]; k++) {
            row[k] = (float)((double)row[k] - v->mean[k]);
            squares += (double)row[k] * (double)row[k];
        }
        factor = squares > 0 ? 1 / sqrt(squares) : 0;
        for (int64_t k = 0; k < v->dim; k++)
            row[k] = (float)((double)row[k] * factor);
    }
}

/* F, items x D */
static cf_status read_vectors(solver *s, cf_cyclic **out)
{
    const cf_par *world = &s->model->grid->world;
    vectors v = {.first = cf_par_even_start(s->n, world->size, world->rank),
                 .dim = s->dataset->embedding_dim};
    cf_status status;

    v.count = cf_par_even_start(s->n, world->size, world->rank + 1) - v.first;
    CF_TRY(cf_par_agree(world, create_vectors(&v)));
    CF_TRY(cf_dataset_read_embedding(s->dataset, v.first, v.count, v.rows, v.present));
    CF_TRY(cf_dataset_verify_embedding(s->dataset));
    normalise(s, &v);
    CF_TRY(create_matrix(s, v.dim, out));
    CF_TRY(
        cf_linalg_put_cyclic(*out, &(cf_slab){v.first, v.count, 0, v.dim, v.dim}, CF_F32, v.rows));
    lap(s, &s->seconds.rest, "vectors read");
done:
    destroy_vectors(&v);
    return status;
}

/* S' from the vectors, the inverse found as it stands: as well conditioned as FF' +
 * text_reg_weight I, also where the vectors are wider than there are items. */
static cf_status solve_text(solver *s, cf_cyclic **out)
{
    cf_cyclic *f = NULL;
    cf_status status;

    CF_TRY(read_vectors(s, &f));
    CF_TRY(create_matrix(s, s->n, out));
    CF_TRY(cf_linalg_add_gram(f, *out));
    cf_linalg_destroy_cyclic(&f);
    lap(s, &s->seconds.gram, "vectors multiplied");
    cf_linalg_add_diagonal(*out, cf_config_real(s->config, "text_reg_weight"));
    status = cf_linalg_invert(*out);
    if (status == CF_ERR_NUMERIC)
        status = CF_FAIL(CF_ERR_NUMERIC,
                         "Gram matrix of the vectors: %s: a larger text_reg_weight helps",
                         cf_error_message());
    CF_TRY(status);
    close_form(s, *out);
    lap(s, &s->seconds.invert, "Gram matrix of the vectors inverted");
done:
    cf_linalg_destroy_cyclic(&f);
    return status;
}

/*
 * P^-1 = G + (lambda + d) I, so that P G = I - (lambda + d) P, and the diagonal's mu comes out as
 *
 *     B' = I + d S'P - diag(c) P,    c_j = (1 + d (S'P)_jj) / P_jj,
 *
 * which is EASE where d = 0. `result`: zeros that become B'; p is destroyed.
 */
static cf_status combine(solver *s, const cf_cyclic *text, cf_cyclic *p, cf_cyclic *result)
{
    cf_status status;

    CF_TRY(cf_linalg_add_product(text, p, cf_config_real(s->config, "distill_weight"), result));
    cf_linalg_get_diagonal(p, s->diagonal);
    cf_linalg_get_diagonal(result, s->factors);
    for (int64_t j = 0; j < s->n; j++)
        s->factors[j] = -(1 + s->factors[j]) / s->diagonal[j];
    cf_linalg_scale_rows(p, s->factors);
    cf_linalg_add_cyclic(p, result);
    cf_linalg_fill_diagonal(result, 0);
    lap(s, &s->seconds.product, "matrices multiplied");
done:
    return status;
}

static cf_status solve_l3ae(solver *s)
{
    const double lambda =
        cf_config_real(s->config, "reg_weight") + cf_config_real(s->config, "distill_weight");
    cf_cyclic *text = NULL, *p = NULL, *result = NULL;
    cf_status status;

    CF_TRY(solve_text(s, &text));
    CF_TRY(invert_gram(s, lambda, &p));
    CF_TRY(create_matrix(s, s->n, &result));
    CF_TRY(combine(s, text, p, result));
    cf_linalg_destroy_cyclic(&text);
    cf_linalg_destroy_cyclic(&p);
    CF_TRY(keep(s, result));
done:
    cf_linalg_destroy_cyclic(&text);
    cf_linalg_destroy_cyclic(&p);
    cf_linalg_destroy_cyclic(&result);
    return status;
}

/* ---- The models ---- */

/* The table, and, while it is solved for, what lies on the ranks of the mesh, and a block of every
 * item's row on its way. */
double closed_memory(const model_ops *ops, const cf_config *config, const cf_model_size *size)
{
    const double word = cf_config_is(config, "solve_precision", "float32") ? 4 : 8;
    const double items = (double)size->n_items,
                 dim = ops->vectors ? (double)size->embedding_dim : 0,
                 width = CF_LANES * (double)cf_table_segments(size->n_items);
    const int ranks = size->n_rows * size->n_columns, down = (int)sqrt((double)ranks),
              across = ranks / down;
    const double matrices = items * ops->matrices * word + dim * (4 + word),
                 on_their_way = CF_SOLVE_BLOCK * (1 + 1.0 / down + 1.0 / across) * word;

    return items * (4 * width / ranks + matrices / (down * across) + on_their_way);
}

static cf_status check_vectors(const cf_config *config, const cf_dataset *dataset)
{
    const char *path = cf_dataset_path(dataset);

    if (dataset->embedding_dim == 0)
        return CF_FAIL(CF_ERR_USAGE, "%s: has no language-model vectors, which L3AE needs", path);
    if (dataset->n_missing == 0) return CF_OK;
    if (cf_config_is(config, "missing_embedding", "error"))
        return cf_dataset_refuse_missing(dataset, "zero or mean");
    if (cf_config_is(config, "missing_embedding", "random"))
        return CF_FAIL(CF_ERR_USAGE, "missing_embedding: L3AE draws no vectors, so that it has to "
                                     "be zero or mean, which are the same to it");
    return CF_OK;
}

cf_status closed_check_dataset(const model_ops *ops, const cf_config *config,
                               const cf_dataset *dataset)
{
    if (cf_config_is(config, "solve_precision", "float32") && dataset->n_users > 1 << 24)
        return CF_FAIL(CF_ERR_USAGE,
                       "solve_precision: float32 counts exactly up to %d users, there are %lld: "
                       "float64 is needed",
                       1 << 24, (long long)dataset->n_users);
    return ops->vectors ? check_vectors(config, dataset) : CF_OK;
}

static cf_status solve(solver *s, cf_status (*how)(solver *s), cf_solved *out)
{
    cf_status status;

    CF_TRY(open_solver(s));
    CF_TRY(how(s));
    *out = s->seconds;
done:
    close_solver(s);
    return status;
}

static cf_status ease(cf_model *model, const cf_dataset *dataset, const cf_config *config,
                      cf_solved *out)
{
    return solve(&(solver){.model = model, .dataset = dataset, .config = config}, solve_ease, out);
}

static cf_status l3ae(cf_model *model, const cf_dataset *dataset, const cf_config *config,
                      cf_solved *out)
{
    return solve(&(solver){.model = model, .dataset = dataset, .config = config}, solve_l3ae, out);
}

/* Steck 2019: the item-item matrix that reconstructs the interactions best, without a diagonal. */
const model_ops model_ease = {.name = "EASE",
                              .defaults = "reg_weight=250",
                              .solve = ease,
                              .matrices = 1,
                              .uses = "reg_weight,solve_precision"};

/* The same, drawn towards the item-item matrix of the items' texts (arXiv 2508.13500). */
const model_ops model_l3ae = {
    .name = "L3AE",
    .defaults = "reg_weight=10",
    .solve = l3ae,
    .matrices = 3,
    .vectors = true,
    .uses = "reg_weight,text_reg_weight,distill_weight,solve_precision,missing_embedding"};
