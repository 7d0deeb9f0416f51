/* Products of matrices that are dealt out, by PBLAS. */
#include "scalapack.h"

static void check_alike(const cf_cyclic *a, const cf_cyclic *c)
{
    CF_ASSERT(a->mesh == c->mesh && a->type == c->type && a->block == c->block);
}

#define MULTIPLY(letter, real)                                                                     \
    do {                                                                                           \
        const real alpha = (real)product->alpha, beta = (real)product->beta;                       \
        p##letter##gemm_(product->transpose_a ? "T" : "N", product->transpose_b ? "T" : "N", &m,   \
                         &n, &k, &alpha, a->data, &dense_one, &dense_one, of_a.word, b->data,      \
                         &dense_one, &dense_one, of_b.word, &beta, c->data, &dense_one,            \
                         &dense_one, of_c.word);                                                   \
    } while (0)

void cf_dense_multiply(const cf_product *product, cf_cyclic *c)
{
    const cf_cyclic *a = product->a, *b = product->b;
    const int64_t inner = product->transpose_a ? a->n_rows : a->n_columns;
    const int m = (int)c->n_rows, n = (int)c->n_columns, k = (int)inner;
    const dense_descriptor of_a = dense_describe(a), of_b = dense_describe(b),
                           of_c = dense_describe(c);

    check_alike(a, c);
    check_alike(b, c);
    CF_ASSERT((product->transpose_a ? a->n_columns : a->n_rows) == c->n_rows);
    CF_ASSERT((product->transpose_b ? b->n_columns : b->n_rows) == inner);
    CF_ASSERT((product->transpose_b ? b->n_rows : b->n_columns) == c->n_columns);
    if (!dense_on_mesh(c->mesh)) return;
    if (c->type == CF_F64)
        MULTIPLY(d, double);
    else
        MULTIPLY(s, float);
}

#define GRAM(letter, real)                                                                         \
    do {                                                                                           \
        const real times = (real)alpha, keep = (real)beta;                                         \
        p##letter##syrk_("L", transpose_first ? "T" : "N", &n, &k, &times, a->data, &dense_one,    \
                         &dense_one, of_a.word, &keep, c->data, &dense_one, &dense_one,            \
                         of_c.word);                                                               \
    } while (0)

void cf_dense_gram(const cf_cyclic *a, bool transpose_first, double alpha, double beta,
                   cf_cyclic *c)
{
    const int n = (int)c->n_rows, k = (int)(transpose_first ? a->n_rows : a->n_columns);
    const dense_descriptor of_a = dense_describe(a), of_c = dense_describe(c);

    check_alike(a, c);
    CF_ASSERT(c->n_rows == c->n_columns);
    CF_ASSERT((transpose_first ? a->n_columns : a->n_rows) == c->n_rows);
    if (!dense_on_mesh(c->mesh)) return;
    if (c->type == CF_F64)
        GRAM(d, double);
    else
        GRAM(s, float);
}

/* What lies strictly below the diagonal is the lower triangle, diagonal included, of rows 2.. and
 * columns 1 .. n - 1; its transpose goes to rows 1 .. n - 1 and columns 2.., so that the two do not
 * overlap. */
#define MIRROR(letter, real)                                                                       \
    do {                                                                                           \
        const real times = 1, keep = 0;                                                            \
        p##letter##tradd_("U", "T", &n, &n, &times, a->data, &two, &dense_one, of_a.word, &keep,   \
                          a->data, &dense_one, &two, of_a.word);                                   \
    } while (0)

void cf_dense_mirror(cf_cyclic *a)
{
    const int n = (int)a->n_rows - 1, two = 2;
    const dense_descriptor of_a = dense_describe(a);

    CF_ASSERT(a->n_rows == a->n_columns);
    if (!dense_on_mesh(a->mesh) || n == 0) return;
    if (a->type == CF_F64)
        MIRROR(d, double);
    else
        MIRROR(s, float);
}
