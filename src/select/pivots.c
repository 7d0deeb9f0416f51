/* The pivots of Cholesky's factor of the covariance C (D x D), with diagonal pivoting (Golub and
 * Van Loan, Matrix Computations, section 4.2.8). Step k takes the dimension with the largest
 * variance that the dimensions before do not explain,
 *
 *     left_i = C_ii - sum_l r_li^2,    r_ki = (C_pi - sum_l r_lp r_li) / sqrt(left_p),    p: pivot,
 *
 * the sums over l < k. Since C = X'X / (n - 1) of centred X, and X P = Q R gives P'X'X P = R'R, the
 * pivots are those of QR of X with column pivoting (algorithm 5.4.1 there), for D^2 numbers of
 * memory in place of all vectors. tests/select/map.c finds them by that QR. */
#include "internal.h"

#include <math.h>

/* The factor's rows so far, and what they leave of the diagonal. */
typedef struct unexplained {
    int64_t dim, rank; /* D; rows of the factor */
    double *factor;    /* n x D: a row for each pivot */
    double *left;      /* D: variance that the pivots do not explain; -1: is a pivot */
    double *column;    /* D: the pivot's column of C */
} unexplained;

/* The dimension with most variance left, the first of equal ones; the lowest one that is left where
 * no variance exceeds `least`. */
static int64_t next_pivot(const unexplained *u, double least)
{
    int64_t best = -1;

    for (int64_t i = 0; i < u->dim; i++)
        if (u->left[i] > least && (best < 0 || u->left[i] > u->left[best])) best = i;
    for (int64_t i = 0; best < 0; i++)
        if (u->left[i] >= 0) best = i;
    return best;
}

/* Append the pivot's row to the factor. The subtractions go row by row over the factor, whose rows
 * are contiguous, and always in the same order. */
static void append_row(unexplained *u, int64_t pivot)
{
    const double root = sqrt(u->left[pivot]);
    double *row = u->factor + u->rank * u->dim;

    for (int64_t l = 0; l < u->rank; l++) {
        const double *row_l = u->factor + l * u->dim, times = row_l[pivot];
        for (int64_t i = 0; i < u->dim; i++)
            u->column[i] -= times * row_l[i];
    }
    for (int64_t i = 0; i < u->dim; i++) {
        row[i] = u->column[i] / root;
        if (u->left[i] >= 0) u->left[i] = fmax(u->left[i] - row[i] * row[i], 0);
    }
    u->rank++;
}

/* Local. Errors: MEMORY. n x D numbers on every rank: fewer than the vectors themselves. */
static cf_status create_unexplained(int64_t dim, int64_t n, unexplained *u)
{
    cf_status status;

    u->dim = dim;
    CF_TRY(CF_ALLOC(u->factor, n * dim));
    CF_TRY(CF_ALLOC(u->left, dim));
    CF_TRY(CF_ALLOC(u->column, dim));
done:
    return status;
}

/* Every rank has the whole column and does the same arithmetic, so the pivots need no agreement. */
cf_status select_find_pivots(const cf_panels *c, int64_t n, int64_t *pivots)
{
    unexplained u = {0};
    double least; /* rounding of C: below it nothing is known of what is left */
    cf_status status;

    CF_TRY(cf_par_agree(c->par, create_unexplained(c->dim, n, &u)));
    cf_linalg_get_panels_diagonal(c, u.left);
    least = u.left[next_pivot(&u, 0)] * (double)c->dim * 0x1p-52;
    for (int64_t k = 0; k < n; k++) {
        pivots[k] = next_pivot(&u, least);
        if (u.left[pivots[k]] > least) {
            cf_linalg_get_panels_column(c, pivots[k], u.column);
            append_row(&u, pivots[k]);
        }
        u.left[pivots[k]] = -1;
    }
done:
    cf_free(&u.factor);
    cf_free(&u.left);
    cf_free(&u.column);
    return status;
}
