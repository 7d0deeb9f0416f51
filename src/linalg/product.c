/* Products of distributed matrices by sums of outer products (outer.c): c += alpha ab is the sum
 * over inner blocks k of (block column k of a) (block row k of b), c += alpha ab' that of (block
 * column k of a) (block column k of b)'. c += aa' and c += a'a are those of a block column or row
 * and itself, lower triangle alone: half the work, and the mirror image makes c symmetric to the
 * last bit. The same bits on any mesh. */
#include "outer.h"

/* What lets blocks of `a` and c be multiplied without copying them to another layout. */
static void check_same_kind(const cf_cyclic *a, const cf_cyclic *c)
{
    CF_ASSERT(a->mesh == c->mesh && a->type == c->type && a->block == c->block);
}

/* Broadcast block column k of `a`. */
static void broadcast_column(linalg_outer *o, const cf_cyclic *a)
{
    linalg_plan_rows(o, a->n_rows, linalg_in_column);
    if (o->n_mine > 0)
        linalg_read_rows(o, o->n_mine, linalg_element(a, 0, linalg_columns_before(a, o->first)), 1,
                         a->local_rows, o->mine);
    linalg_broadcast_rows(o);
}

/* Broadcast block row k of `b`, transposed: a row here is a column of b. */
static void broadcast_row(linalg_outer *o, const cf_cyclic *b)
{
    linalg_plan_rows(o, b->n_columns, linalg_in_row);
    if (o->n_mine > 0)
        linalg_read_rows(o, o->n_mine, linalg_element(b, linalg_rows_before(b, o->first), 0),
                         b->local_rows, 1, o->mine);
    linalg_broadcast_rows(o);
}

/* One of these two. */
typedef void broadcast(linalg_outer *outer, const cf_cyclic *a);

/* Two broadcasts an inner block: rows for L from block columns of a, rows for R from b. */
static cf_status add_product(const cf_cyclic *a, const cf_cyclic *b, broadcast *broadcast_b,
                             double alpha, cf_cyclic *c)
{
    linalg_outer outer = {0};
    cf_status status;

    check_same_kind(a, c);
    check_same_kind(b, c);
    CF_TRY(linalg_create_outer(c, &outer));
    for (int64_t k = 0; linalg_next_inner(&outer, a->n_columns, k); k++) {
        broadcast_column(&outer, a);
        linalg_set_left(&outer);
        broadcast_b(&outer, b);
        linalg_set_right(&outer);
        linalg_add_outer(&outer, alpha, false);
    }
done:
    linalg_destroy_outer(&outer);
    return status;
}

cf_status cf_linalg_add_product(const cf_cyclic *a, const cf_cyclic *b, double alpha, cf_cyclic *c)
{
    CF_ASSERT(a->n_rows == c->n_rows && b->n_columns == c->n_columns && a->n_columns == b->n_rows);
    return add_product(a, b, broadcast_row, alpha, c);
}

cf_status cf_linalg_add_product_transposed(const cf_cyclic *a, const cf_cyclic *b, double alpha,
                                           cf_cyclic *c)
{
    CF_ASSERT(a->n_rows == c->n_rows && b->n_rows == c->n_columns && a->n_columns == b->n_columns);
    return add_product(a, b, broadcast_column, alpha, c);
}

/* One broadcast an inner block serves both sides. */
static cf_status add_gram(const cf_cyclic *a, broadcast *broadcast_a, int64_t n_inner, cf_cyclic *c)
{
    linalg_outer outer = {0};
    cf_status status;

    check_same_kind(a, c);
    CF_TRY(linalg_create_outer(c, &outer));
    for (int64_t k = 0; linalg_next_inner(&outer, n_inner, k); k++) {
        broadcast_a(&outer, a);
        linalg_set_left(&outer);
        linalg_set_right(&outer);
        linalg_add_outer(&outer, 1, true);
    }
done:
    linalg_destroy_outer(&outer);
    return status;
}

cf_status cf_linalg_add_gram(const cf_cyclic *a, cf_cyclic *c)
{
    CF_ASSERT(a->n_rows == c->n_rows && a->n_rows == c->n_columns);
    return add_gram(a, broadcast_column, a->n_columns, c);
}

cf_status cf_linalg_add_gram_transposed(const cf_cyclic *a, cf_cyclic *c)
{
    CF_ASSERT(a->n_columns == c->n_rows && a->n_columns == c->n_columns);
    return add_gram(a, broadcast_row, a->n_rows, c);
}

/* What lies strictly below the diagonal is the lower triangle, diagonal included, of rows 2.. and
 * columns 1 .. n - 1; its transpose goes to rows 1 .. n - 1 and columns 2.., so that the two do not
 * overlap. */
#define MIRROR(letter, real)                                                                       \
    do {                                                                                           \
        const real times = 1, keep = 0;                                                            \
        p##letter##tradd_("U", "T", &n, &n, &times, a->data, &two, &linalg_one, of_a.word, &keep,  \
                          a->data, &linalg_one, &two, of_a.word);                                  \
    } while (0)

void cf_linalg_mirror(cf_cyclic *a)
{
    const int n = (int)a->n_rows - 1, two = 2;
    const linalg_descriptor of_a = linalg_describe(a);

    CF_ASSERT(a->n_rows == a->n_columns);
    if (!linalg_on_mesh(a->mesh) || n == 0) return;
    if (a->type == CF_F64)
        MIRROR(d, double);
    else
        MIRROR(s, float);
}
