/* A linear map of the vector: q = M'f, with M the ridge regression of rows on vectors
 *
 *     M = (F'F + l I)^-1 F'Q,    F: items that are fitted on x D,  Q: their rows, items x dim
 *
 * (Hoerl and Kennard 1970). All is done with block-cyclic matrices in float64, whose products and
 * inverses have the same bits on any ranks; Q is taken in strips of columns at fixed offsets, so
 * that of an item-item matrix no second copy is held. F'F and F'Q serve all l. M is rounded to
 * float32 when it becomes a table. tests/cold compares with NumPy. */
#include "internal.h"

/* Rows and columns of a block of the matrices; columns of Q in a strip, whole blocks; columns of F'
 * that are moved at once. */
enum { BLOCK = 128, STRIP = 16 * BLOCK, MOVED = 1024 };

static cf_status create_matrix(const cf_mesh *mesh, int64_t n_rows, int64_t n_columns,
                               cf_cyclic **out)
{
    return cf_linalg_create_cyclic(mesh, CF_F64, (const int64_t[]){n_rows, n_columns}, BLOCK, out);
}

static int64_t strip_width(int64_t dim, int64_t strip)
{
    return cf_min(STRIP, dim - strip * STRIP);
}

/* What a rank has of a strip: rows first .. first + count - 1 (as they are counted in the strip)
 * and the columns that are in its slice of tables like `table`. `*offset`: of its first column in a
 * local row. */
static cf_slab part_of_strip(const cf_table *table, int64_t strip, int64_t first, int64_t count,
                             int64_t *offset)
{
    const int64_t begin = cf_max(table->first_dim, strip * STRIP),
                  end = cf_min(table->first_dim + table->local_dim, (strip + 1) * STRIP);

    *offset = 0;
    if (begin >= end) return (cf_slab){0};
    *offset = begin - table->first_dim;
    return (cf_slab){first, count, begin - strip * STRIP, end - begin, table->width};
}

/* A strip of a table, a new matrix. Collective. */
static cf_status take_strip(const cf_mesh *mesh, const cf_table *table, int64_t strip,
                            cf_cyclic **out)
{
    int64_t offset;
    const cf_slab part = part_of_strip(table, strip, table->first_row, table->local_rows, &offset);
    cf_status status;

    CF_TRY(create_matrix(mesh, table->n_rows, strip_width(table->dim, strip), out));
    CF_TRY(cf_linalg_put_cyclic(*out, &part, CF_F32, table->data + offset));
done:
    return status;
}

/* a b, a new matrix. Collective. */
static cf_status multiply(const cf_cyclic *a, const cf_cyclic *b, cf_cyclic **out)
{
    cf_status status;

    CF_TRY(create_matrix(a->mesh, a->n_rows, b->n_columns, out));
    /* one rank may compute all of it without a message: at 1 GFLOP/s or more */
    cf_par_expect(2e-9 * (double)a->n_rows * (double)a->n_columns * (double)b->n_columns);
    CF_TRY(cf_linalg_add_product(a, b, 1, *out));
done:
    cf_par_expect(0);
    return status;
}

/* ---- Fitting ---- */

/* F' (D x items), a new matrix; zeros for items that are not fitted on. Collective. */
static cf_status transpose_vectors(const cold_vectors *v, cf_cyclic **out)
{
    const cf_table *f = v->rows;
    const int64_t most = cf_par_even_start(f->n_rows, v->grid->n_rows, 1);
    float *moved = NULL; /* D x MOVED */
    cf_status status;

    CF_TRY(create_matrix(v->mesh, f->dim, f->n_rows, out));
    CF_TRY(cf_par_agree(&v->grid->world, CF_ALLOC(moved, f->dim * MOVED)));
    for (int64_t at = 0; at < most; at += MOVED) {
        const int64_t first = cf_min(at, f->local_rows),
                      count = cf_min(MOVED, f->local_rows - first);
        const cf_slab part = {0, count > 0 ? f->dim : 0, f->first_row + first, count, MOVED};

        for (int64_t r = 0; r < count; r++)
            for (int64_t k = 0; k < f->dim; k++)
                moved[k * MOVED + r] =
                    v->outside[f->first_row + first + r] ? 0 : f->data[(first + r) * f->width + k];
        CF_TRY(cf_linalg_put_cyclic(*out, &part, CF_F32, moved));
    }
done:
    cf_free(&moved);
    return status;
}

cf_status cold_create_ridge(const cold_vectors *v, const cf_table *q, cold_ridge *out)
{
    const int64_t dim = v->rows->dim;
    cf_cyclic *f = NULL, *strip = NULL;
    cf_status status;

    *out = (cold_ridge){.n_strips = cf_ceil_div(q->dim, STRIP)};
    CF_TRY(cf_par_agree(&q->grid->world, CF_ALLOC(out->products, out->n_strips)));
    CF_TRY(transpose_vectors(v, &f));
    CF_TRY(create_matrix(v->mesh, dim, dim, &out->gram));
    CF_TRY(cf_linalg_add_gram(f, out->gram));
    for (int64_t s = 0; s < out->n_strips; s++) {
        CF_TRY(take_strip(v->mesh, q, s, &strip));
        CF_TRY(multiply(f, strip, &out->products[s]));
        cf_linalg_destroy_cyclic(&strip);
    }
done:
    cf_linalg_destroy_cyclic(&f);
    cf_linalg_destroy_cyclic(&strip);
    return status;
}

void cold_destroy_ridge(cold_ridge *ridge)
{
    for (int64_t s = 0; ridge->products != NULL && s < ridge->n_strips; s++)
        cf_linalg_destroy_cyclic(&ridge->products[s]);
    cf_free(&ridge->products);
    cf_linalg_destroy_cyclic(&ridge->gram);
}

cf_status cold_create_weights(const cf_grid *grid, int64_t source_dim, int64_t dim, cf_table **out)
{
    cf_blocks blocks = {0};
    cf_status status;

    CF_TRY(cf_par_agree(&grid->world, cf_par_create_blocks(source_dim, grid->n_rows, &blocks)));
    CF_TRY(cf_table_create(grid, &blocks, dim, out));
done:
    cf_par_destroy_blocks(&blocks);
    return status;
}

/* (F'F + reg I)^-1, a new matrix. Collective. */
static cf_status invert(const cold_ridge *ridge, double reg, cf_cyclic **out)
{
    const int64_t dim = ridge->gram->n_rows;
    cf_status status;

    CF_TRY(create_matrix(ridge->gram->mesh, dim, dim, out));
    cf_linalg_add_cyclic(ridge->gram, *out);
    cf_linalg_add_diagonal(*out, reg);
    status = cf_linalg_invert(*out);
    if (status == CF_ERR_NUMERIC)
        status = CF_FAIL(CF_ERR_NUMERIC,
                         "Gram matrix of the vectors, cold_reg %g: %s: a larger one helps", reg,
                         cf_error_message());
done:
    return status;
}

cf_status cold_solve_ridge(const cold_ridge *ridge, double reg, cf_table *weights)
{
    cf_cyclic *inverse = NULL, *strip = NULL;
    cf_status status;

    CF_TRY(invert(ridge, reg, &inverse));
    for (int64_t s = 0; s < ridge->n_strips; s++) {
        int64_t offset;
        const cf_slab part =
            part_of_strip(weights, s, weights->first_row, weights->local_rows, &offset);

        CF_TRY(multiply(inverse, ridge->products[s], &strip));
        CF_TRY(cf_linalg_get_cyclic(strip, &part, CF_F32, weights->data + offset));
        cf_linalg_destroy_cyclic(&strip);
    }
    CF_TRY(cf_table_check_finite(weights, "map of cold items"));
done:
    cf_linalg_destroy_cyclic(&inverse);
    cf_linalg_destroy_cyclic(&strip);
    return status;
}

/* ---- Applying ---- */

/* The vectors of the rows' items (count x D), a new matrix. Those of my part of the items are
 * consecutive. Collective. */
static cf_status take_vectors(const cold_vectors *v, const cold_rows *rows, cf_cyclic **out)
{
    const cf_table *f = v->rows;
    const int64_t first = cf_search_i64(rows->items, rows->count, f->first_row),
                  end = cf_search_i64(rows->items, rows->count, f->first_row + f->local_rows);
    const cf_slab part = {first, end - first, 0, f->dim, f->dim};
    float *mine = NULL;
    cf_status status;

    CF_TRY(create_matrix(v->mesh, rows->count, f->dim, out));
    CF_TRY(cf_par_agree(&v->grid->world, CF_ALLOC(mine, part.n_rows * f->dim)));
    for (int64_t r = first; r < end; r++)
        for (int64_t k = 0; k < f->dim; k++)
            mine[(r - first) * f->dim + k] =
                f->data[(rows->items[r] - f->first_row) * f->width + k];
    CF_TRY(cf_linalg_put_cyclic(*out, &part, CF_F32, mine));
done:
    cf_free(&mine);
    return status;
}

cf_status cold_fill_ridge(const cold_vectors *v, const cf_table *weights, cold_rows *rows)
{
    cf_cyclic *f = NULL, *strip = NULL, *product = NULL;
    cf_status status;

    if (rows->count == 0) return CF_OK;
    CF_TRY(take_vectors(v, rows, &f));
    for (int64_t s = 0; s < cf_ceil_div(weights->dim, STRIP); s++) {
        int64_t offset;
        const cf_slab part = part_of_strip(weights, s, rows->first, rows->n_mine, &offset);

        CF_TRY(take_strip(v->mesh, weights, s, &strip));
        CF_TRY(multiply(f, strip, &product));
        CF_TRY(cf_linalg_get_cyclic(product, &part, CF_F32, rows->rows + offset));
        cf_linalg_destroy_cyclic(&strip);
        cf_linalg_destroy_cyclic(&product);
    }
done:
    cf_linalg_destroy_cyclic(&f);
    cf_linalg_destroy_cyclic(&strip);
    cf_linalg_destroy_cyclic(&product);
    return status;
}
