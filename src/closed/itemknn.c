/* ItemKNN, as RecBole has it: the cosine similarity of items by their users, of which an item keeps
 * the k largest,
 *
 *     s(i, j) = G(i, j) / (sqrt(G(i, i)) sqrt(G(j, j)) + shrink + 1e-6),    G = X'X,    s(j, j) = 0
 *
 * Row j of B' has s(i, j) for the neighbours i of item j and 0 elsewhere; ties go to the lower
 * item. The counts G are moved into the table, where each rank chooses the neighbours of its own
 * items from whole rows (rows.c). Counts are whole numbers, and similarities are compared in
 * double, so every rank finds the same bits. The tests sort all similarities of each item. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* Scratch for one row. */
typedef struct itemknn_row {
    const closed_solver *solver;
    double *similar; /* n: similarities of one item */
    uint64_t *keys;  /* 2 x n: those that are not 0, as bits, and scratch to sort them */
} itemknn_row;

/* Of doubles from 0 on, the larger one has the larger bits. */
static uint64_t bits_of(double similarity)
{
    uint64_t bits;

    memcpy(&bits, &similarity, sizeof bits);
    return bits;
}

/* From item j's counts (n). Gives the number of similarities that are not 0, and their bits. */
static int64_t find_similarities(const itemknn_row *r, int64_t j, const float *counts)
{
    const closed_solver *s = r->solver;
    const double beside = s->closed->options.shrink + 1e-6;
    int64_t n_keys = 0;

    for (int64_t i = 0; i < s->n; i++) {
        r->similar[i] = 0;
        if (i == j || counts[i] == 0) continue;
        r->similar[i] = (double)counts[i] / (s->factors[i] * s->factors[j] + beside);
        r->keys[n_keys++] = bits_of(r->similar[i]);
    }
    return n_keys;
}

/* Item j's counts become its k largest similarities and 0. */
static void keep_nearest(void *context, int64_t j, float *row)
{
    const itemknn_row *r = context;
    const closed_solver *s = r->solver;
    const int64_t n_keys = find_similarities(r, j, row);
    closed_limit limit =
        closed_find_limit(r->keys, r->keys + s->n, n_keys, s->closed->options.n_neighbours);

    for (int64_t i = 0; i < s->n; i++)
        row[i] = closed_is_kept(&limit, bits_of(r->similar[i])) ? (float)r->similar[i] : 0;
}

/* X'X in the table, and the roots of its diagonal. Collective. */
static cf_status count_pairs(closed_solver *s)
{
    cf_cyclic *pairs = NULL;
    cf_status status;

    CF_TRY(closed_count_pairs(s, 0, &pairs));
    cf_linalg_get_diagonal(pairs, s->factors);
    for (int64_t i = 0; i < s->n; i++)
        s->factors[i] = sqrt(s->factors[i]);
    CF_TRY(closed_keep(s, pairs));
done:
    cf_linalg_destroy_cyclic(&pairs);
    return status;
}

static cf_status create_row(itemknn_row *r)
{
    cf_status status;

    CF_TRY(CF_ALLOC(r->similar, r->solver->n));
    CF_TRY(CF_ALLOC(r->keys, 2 * r->solver->n));
done:
    return status;
}

static cf_status itemknn_solve(closed_solver *s)
{
    itemknn_row row = {.solver = s};
    cf_status status;

    CF_TRY(count_pairs(s));
    CF_TRY(cf_par_agree(&s->closed->grid->world, create_row(&row)));
    CF_TRY(closed_change_rows(s->closed->table[CF_ITEMS], keep_nearest, &row));
    closed_lap(s, &s->seconds.rest, "neighbours chosen");
done:
    cf_free(&row.similar);
    cf_free(&row.keys);
    return status;
}

/* Either counts on their way to the table, or a pass. */
static double itemknn_predict(const closed_size *size)
{
    const double n = (double)size->n, row = 4 * CF_LANES * (double)cf_table_segments(size->n);

    return fmax(closed_predict_kept(size), CLOSED_ROWS_PER_PASS * (row + 8) + 3 * 8 * n);
}

const closed_form closed_itemknn = {.name = "ItemKNN",
                                    .uses = "k,shrink,solve_precision",
                                    .predict = itemknn_predict,
                                    .solve = itemknn_solve};
