/* L3AE (arXiv 2508.13500): EASE drawn towards S, the same item-item matrix of the items' vectors,
 *
 *     S  = I - P_F diag(1 / diag P_F),    P_F = (FF' + text_reg_weight I)^-1
 *     B' = I + d S'P - diag(c) P,         P   = (X'X + (reg_weight + d) I)^-1,
 *                                         c_j = (1 + d (S'P)_jj) / P_jj,    d = distill_weight
 *
 * with F (items x D) the vectors minus their mean, each of length 1. The mean is that of warm
 * items. Rows of cold items are zero, so that B has none for them and is that of the warm items
 * alone, or with `text_of_cold` as those of others: then B has what their text gives. The second
 * line is the paper's P (X'X + d S) - P diag(mu), transposed: P^-1 = X'X + (reg_weight + d) I gives
 * P X'X = I - (reg_weight + d) P, and mu is what makes the diagonal zero; so it does with weights
 * of users, and with item_dropout, which adds another diagonal matrix. It is EASE for d = 0.
 *
 * S takes an inverse of all items and a product, or, of vectors with fewer numbers than there are
 * items, an inverse of D x D (woodbury.c). The tests compute the paper's form, and compare both. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* A cold item is then as one without a vector. */
static void leave_out_cold(const closed_solver *s, const cf_vector_rows *v, uint8_t *present)
{
    for (int64_t r = 0; r < v->count; r++)
        if (cf_is_cold(s->dataset->cold, v->first + r)) {
            memset(v->rows + r * v->dim, 0, (size_t)v->dim * sizeof *v->rows);
            present[r] = 0;
        }
}

/* Each rank reads an even part of the items. */
cf_status l3ae_read_vectors(closed_solver *s, cf_type type, cf_cyclic **out)
{
    const cf_par *world = &s->closed->grid->world;
    const int64_t dim = s->dataset->embedding_dim,
                  first = cf_par_even_start(s->n, world->size, world->rank),
                  count = cf_par_even_start(s->n, world->size, world->rank + 1) - first;
    cf_vector_rows v = {.first = first, .count = count, .dim = dim, .stride = dim};
    uint8_t *present = NULL;
    double *mean = NULL;
    cf_status status = CF_ALLOC(v.rows, count * dim);

    if (status == CF_OK) status = CF_ALLOC(present, count);
    if (status == CF_OK) status = CF_ALLOC(mean, dim);
    CF_TRY(cf_par_agree(world, status));
    v.present = present;
    CF_TRY(cf_dataset_read_embedding(s->dataset, first, count, v.rows, present));
    CF_TRY(cf_dataset_verify_embedding(s->dataset));
    CF_TRY(cf_dataset_find_center(world, &v, s->dataset->cold, mean));
    if (!s->closed->options.text_of_cold) leave_out_cold(s, &v, present);
    cf_dataset_make_directions(&v, mean);
    CF_TRY(closed_create_matrix(s, type, (const int64_t[]){s->n, dim}, out));
    CF_TRY(cf_linalg_put_cyclic(*out, &(cf_slab){first, count, 0, dim, dim}, CF_F32, v.rows));
    closed_lap(s, &s->seconds.rest, "vectors read");
done:
    cf_free(&v.rows);
    cf_free(&present);
    cf_free(&mean);
    return status;
}

/* S', a new matrix. FF' + text_reg_weight I (items x items) is inverted as it stands, also where D
 * is larger than the number of items: text_reg_weight bounds its condition in any case. */
static cf_status solve_text(closed_solver *s, cf_cyclic **out)
{
    cf_cyclic *f = NULL;
    cf_status status;

    CF_TRY(l3ae_read_vectors(s, s->closed->options.precision, &f));
    CF_TRY(closed_create_items(s, out));
    CF_TRY(cf_linalg_add_gram(f, *out));
    cf_linalg_destroy_cyclic(&f);
    closed_lap(s, &s->seconds.gram, "vectors multiplied");
    CF_TRY(closed_invert(*out, s->closed->options.text_reg_weight, "vectors", "text_reg_weight"));
    closed_constrain(s, *out);
    closed_lap(s, &s->seconds.invert, "Gram matrix of the vectors inverted");
done:
    cf_linalg_destroy_cyclic(&f);
    return status;
}

/* result (zeros at first) := B', from text = S' and P. Overwrites P. Collective. */
static cf_status combine(closed_solver *s, const cf_cyclic *text, cf_cyclic *p, cf_cyclic *result)
{
    cf_status status;

    CF_TRY(cf_linalg_add_product(text, p, s->closed->options.distill_weight, result));
    /* result = d S'P here; the factors become -c_j of the formula above */
    cf_linalg_get_diagonal(p, s->diagonal);
    cf_linalg_get_diagonal(result, s->factors);
    for (int64_t j = 0; j < s->n; j++)
        s->factors[j] = -(1 + s->factors[j]) / s->diagonal[j];
    cf_linalg_scale_rows(p, s->factors);
    cf_linalg_add_cyclic(p, result);
    /* I is never added: c_j is what makes the diagonal of B' zero, so it is set to zero exactly */
    cf_linalg_fill_diagonal(result, 0);
    closed_lap(s, &s->seconds.product, "matrices multiplied");
done:
    return status;
}

cf_status l3ae_solve_by_items(closed_solver *s, cf_cyclic **out)
{
    cf_cyclic *text = NULL, *p = NULL;
    cf_status status;

    CF_TRY(solve_text(s, &text));
    CF_TRY(closed_invert_pairs(s, l3ae_weight(s), &p));
    CF_TRY(closed_create_items(s, out));
    CF_TRY(combine(s, text, p, *out));
done:
    cf_linalg_destroy_cyclic(&text);
    cf_linalg_destroy_cyclic(&p);
    return status;
}

/* The inverse is of the smaller of the vectors' two Gram matrices. */
static bool is_by_dims(int64_t dim, int64_t n_items)
{
    return dim < n_items;
}

static cf_status l3ae_solve(closed_solver *s)
{
    const int64_t dim = s->dataset->embedding_dim;
    const bool by_dims = is_by_dims(dim, s->n);
    cf_cyclic *result = NULL;
    cf_status status;

    cf_log("L3AE: inverts a Gram matrix of the vectors' %lld %s", (long long)(by_dims ? dim : s->n),
           by_dims ? "dimensions" : "items");
    CF_TRY(by_dims ? l3ae_solve_by_dims(s, &result) : l3ae_solve_by_items(s, &result));
    closed_apply_power(s, result);
    CF_TRY(closed_keep(s, result));
done:
    cf_linalg_destroy_cyclic(&result);
    return status;
}

/* Vectors as they are read and as a matrix; that, and S'; S', P, and what they become. */
static double predict_by_items(const closed_size *size)
{
    const cf_cyclic_size items = closed_size_of_items(size),
                         thin = closed_size_of(size, size->precision, size->n, size->dim);
    const double matrix = cf_linalg_predict_matrix(&items),
                 vectors = cf_linalg_predict_matrix(&thin),
                 product = cf_linalg_predict_product(&items),
                 rows = 4 * (double)size->n * (double)size->dim / size->n_ranks;
    const double read = rows + vectors + cf_linalg_predict_move(&thin),
                 text = vectors + matrix + product,
                 invert = 2 * matrix + cf_linalg_predict_inverse(&items),
                 combined = 3 * matrix + product;

    return fmax(fmax(read, text), fmax(fmax(invert, combined), closed_predict_kept(size)));
}

static double l3ae_predict(const closed_size *size)
{
    return is_by_dims(size->dim, size->n) ? l3ae_predict_by_dims(size) : predict_by_items(size);
}

const closed_form closed_l3ae = {
    .name = "L3AE",
    .reg_default = "reg_weight=10",
    .uses = "reg_weight,text_reg_weight,distill_weight,item_dropout,user_weight,item_power,"
            "solve_precision,missing_embedding",
    .vectors = true,
    .predict = l3ae_predict,
    .solve = l3ae_solve};
