/* L3AE (l3ae.c) by one inverse of all items. With l = text_reg_weight, the identity of Woodbury
 * (1950)
 *
 *     P_F = (FF' + l I)^-1 = (I - F M F') / l,    M = (F'F + l I)^-1 (D x D)
 *
 * and h_j = f_j'M f_j, the leverage of item j, the diagonal of P_F is (1 - h_j) / l, so
 *
 *     S'P = P - diag(1 / (1 - h)) (P - F M F'P),
 *     B'  = I + diag(a) P + R Q',    R = diag(b) F M,    Q = P F    (both items x D),
 *                                    b_j = d / (1 - h_j),    a_j = -(1 + (R Q')_jj) / P_jj
 *
 * where a_j is what makes the diagonal zero. So P becomes B' in place. M, F M and h are made in
 * float64, which D x D is little for: 1 - h cancels. */
#include "internal.h"

#include <math.h>

/* Below, 1 - h has lost the digits of float64 to cancellation. */
static const double least_remainder = 1e-10;

double l3ae_weight(const closed_solver *s)
{
    return s->closed->options.reg_weight + s->closed->options.distill_weight;
}

/* M, a new matrix. Collective. */
static cf_status invert_dims(closed_solver *s, const cf_cyclic *f, cf_cyclic **out)
{
    cf_status status;

    CF_TRY(closed_create_matrix(s, CF_F64, (const int64_t[]){f->n_columns, f->n_columns}, out));
    CF_TRY(cf_linalg_add_gram_transposed(f, *out));
    closed_lap(s, &s->seconds.gram, "vectors multiplied");
    CF_TRY(closed_invert(*out, s->closed->options.text_reg_weight, "vectors", "text_reg_weight"));
    closed_lap(s, &s->seconds.invert, "Gram matrix of the vectors inverted");
done:
    return status;
}

/* The factors become b, from F and F M. Collective. */
static cf_status find_factors(closed_solver *s, const cf_cyclic *f, const cf_cyclic *fm)
{
    cf_status status;

    CF_TRY(cf_linalg_get_row_products(f, fm, s->factors));
    for (int64_t j = 0; j < s->n; j++) {
        const double remainder = 1 - s->factors[j];

        CF_REQUIRE(remainder > least_remainder, CF_ERR_NUMERIC,
                   "Gram matrix of the vectors: the vector of item %lld is independent of all "
                   "others: a larger text_reg_weight helps",
                   (long long)j);
        s->factors[j] = s->closed->options.distill_weight / remainder;
    }
done:
    return status;
}

/* F and R, new matrices. Collective. */
static cf_status map_vectors(closed_solver *s, cf_cyclic **f, cf_cyclic **r)
{
    const cf_type precision = s->closed->options.precision;
    cf_cyclic *m = NULL;
    cf_status status;

    CF_TRY(l3ae_read_vectors(s, CF_F64, f));
    CF_TRY(invert_dims(s, *f, &m));
    CF_TRY(closed_create_matrix(s, CF_F64, (const int64_t[]){s->n, m->n_rows}, r));
    CF_TRY(cf_linalg_add_product(*f, m, 1, *r));
    cf_linalg_destroy_cyclic(&m);
    CF_TRY(find_factors(s, *f, *r));
    cf_linalg_scale_rows(*r, s->factors);
    CF_TRY(cf_linalg_round_cyclic(f, precision)); /* exact: vectors are float32 */
    CF_TRY(cf_linalg_round_cyclic(r, precision));
    closed_lap(s, &s->seconds.product, "vectors mapped");
done:
    cf_linalg_destroy_cyclic(&m);
    return status;
}

/* P becomes B'. Destroys F and R. Collective. */
static cf_status combine(closed_solver *s, cf_cyclic *p, cf_cyclic **f, cf_cyclic **r)
{
    cf_cyclic *q = NULL;
    cf_status status;

    CF_TRY(closed_create_matrix(s, p->type, (const int64_t[]){s->n, (*f)->n_columns}, &q));
    CF_TRY(cf_linalg_add_product(p, *f, 1, q));
    cf_linalg_destroy_cyclic(f);
    CF_TRY(cf_linalg_get_row_products(*r, q, s->factors));
    cf_linalg_get_diagonal(p, s->diagonal);
    for (int64_t j = 0; j < s->n; j++)
        s->factors[j] = -(1 + s->factors[j]) / s->diagonal[j];
    cf_linalg_scale_rows(p, s->factors);
    CF_TRY(cf_linalg_add_product_transposed(*r, q, 1, p));
    cf_linalg_destroy_cyclic(r);
    /* I is never added: a_j is what makes the diagonal of B' zero, so it is set to zero exactly */
    cf_linalg_fill_diagonal(p, 0);
    closed_lap(s, &s->seconds.product, "matrices multiplied");
done:
    cf_linalg_destroy_cyclic(&q);
    return status;
}

cf_status l3ae_solve_by_dims(closed_solver *s, cf_cyclic **out)
{
    cf_cyclic *f = NULL, *r = NULL;
    cf_status status;

    CF_TRY(map_vectors(s, &f, &r));
    CF_TRY(closed_invert_pairs(s, l3ae_weight(s), out));
    CF_TRY(combine(s, *out, &f, &r));
done:
    cf_linalg_destroy_cyclic(&f);
    cf_linalg_destroy_cyclic(&r);
    return status;
}

/* Vectors as they are read and as a matrix; that, M and F M; the same rounded; F, R and P; and Q.
 */
double l3ae_predict_by_dims(const closed_size *size)
{
    const cf_cyclic_size items = closed_size_of_items(size),
                         dims = closed_size_of(size, CF_F64, size->dim, size->dim),
                         thin = closed_size_of(size, size->precision, size->n, size->dim),
                         exact = closed_size_of(size, CF_F64, size->n, size->dim);
    const double p = cf_linalg_predict_matrix(&items), m = cf_linalg_predict_matrix(&dims),
                 f = cf_linalg_predict_matrix(&thin), f64 = cf_linalg_predict_matrix(&exact),
                 rows = 4 * (double)size->n * (double)size->dim / size->n_ranks;
    const double read = rows + f64 + cf_linalg_predict_move(&exact),
                 inverted = f64 + m + cf_linalg_predict_inverse(&dims),
                 mapped = 2 * f64 + m + cf_linalg_predict_product(&exact),
                 rounded = size->precision == CF_F64 ? 0 : 2 * f64 + f,
                 solved = 2 * f + p + cf_linalg_predict_inverse(&items),
                 combined = 3 * f + p + cf_linalg_predict_product(&thin);

    return fmax(fmax(fmax(read, inverted), fmax(mapped, rounded)),
                fmax(fmax(solved, combined), closed_predict_kept(size)));
}
