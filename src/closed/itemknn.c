/* ItemKNN, as RecBole has it: the cosine similarity of items by their users, of which an item keeps
 * the k largest,
 *
 *     s(i, j) = G(i, j) / (sqrt(G(i, i)) sqrt(G(j, j)) + shrink + 1e-6),    G = X'X,    s(j, j) = 0
 *
 * Row j of B' has s(i, j) for the neighbours i of item j and 0 elsewhere; ties go to the lower
 * item. G has whole numbers, so every rank finds the same bits. Each rank takes an even part of the
 * rows, some at a time. The tests sort all similarities of each item. */
#include "internal.h"

#include <math.h>
#include <string.h>

enum { ROWS_PER_PASS = 64 };

/* Rows of a pass, and scratch for the similarities of one. */
typedef struct itemknn_pass {
    double *rows;   /* ROWS_PER_PASS x n */
    uint64_t *keys; /* 2 x n */
} itemknn_pass;

/* Of doubles from 0 on, the larger one has the larger bits. */
static uint64_t bits_of(double similarity)
{
    uint64_t bits;

    memcpy(&bits, &similarity, sizeof bits);
    return bits;
}

/* Counts of pairs with item j (n) become similarities. Gives the number that are not 0, and their
 * bits. */
static int64_t find_similarities(const closed_solver *s, int64_t j, double *row, uint64_t *keys)
{
    const double beside = s->closed->options.shrink + 1e-6;
    int64_t n_keys = 0;

    row[j] = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (row[i] == 0) continue;
        row[i] /= s->factors[i] * s->factors[j] + beside;
        keys[n_keys++] = bits_of(row[i]);
    }
    return n_keys;
}

/* All but the k largest become 0: those below the k-th, and of its equals the last. */
static void keep_nearest(const closed_solver *s, int64_t j, double *row, uint64_t *keys)
{
    const int64_t k = s->closed->options.n_neighbours;
    const int64_t n_keys = find_similarities(s, j, row, keys);
    int64_t n_equal = 0;
    uint64_t least;

    if (n_keys <= k) return;
    cf_sort_u64(keys, keys + s->n, n_keys);
    least = keys[n_keys - k];
    for (int64_t m = n_keys - k; m < n_keys && keys[m] == least; m++)
        n_equal++;
    for (int64_t i = 0; i < s->n; i++)
        if (bits_of(row[i]) < least || (bits_of(row[i]) == least && n_equal-- <= 0)) row[i] = 0;
}

/* Each rank's even part of the rows, in as many passes as the largest part needs. Collective. */
static cf_status choose_neighbours(closed_solver *s, cf_cyclic *pairs, const itemknn_pass *pass)
{
    const cf_par *world = &s->closed->grid->world;
    const int64_t first = cf_par_even_start(s->n, world->size, world->rank),
                  count = cf_par_even_start(s->n, world->size, world->rank + 1) - first;
    cf_status status = CF_OK;

    for (int64_t at = 0; at < cf_ceil_div(s->n, world->size); at += ROWS_PER_PASS) {
        const int64_t begin = cf_min(at, count), end = cf_min(at + ROWS_PER_PASS, count);
        const cf_slab slab = {first + begin, end - begin, 0, s->n, s->n};

        CF_TRY(cf_linalg_get_cyclic(pairs, &slab, CF_F64, pass->rows));
        for (int64_t r = 0; r < slab.n_rows; r++)
            keep_nearest(s, slab.first_row + r, pass->rows + r * s->n, pass->keys);
        CF_TRY(cf_linalg_put_cyclic(pairs, &slab, CF_F64, pass->rows));
    }
done:
    return status;
}

static cf_status itemknn_solve(closed_solver *s)
{
    cf_cyclic *pairs = NULL;
    itemknn_pass pass = {NULL, NULL};
    cf_status status = CF_ALLOC(pass.rows, ROWS_PER_PASS * s->n);

    if (status == CF_OK) status = CF_ALLOC(pass.keys, 2 * s->n);
    CF_TRY(cf_par_agree(&s->closed->grid->world, status));
    CF_TRY(closed_count_pairs(s, &pairs));
    cf_linalg_get_diagonal(pairs, s->factors);
    for (int64_t i = 0; i < s->n; i++)
        s->factors[i] = sqrt(s->factors[i]);
    CF_TRY(choose_neighbours(s, pairs, &pass));
    closed_lap(s, &s->seconds.rest, "neighbours chosen");
    CF_TRY(closed_keep(s, pairs));
done:
    cf_linalg_destroy_cyclic(&pairs);
    cf_free(&pass.rows);
    cf_free(&pass.keys);
    return status;
}

const closed_form closed_itemknn = {
    .name = "ItemKNN", .uses = "k,shrink,solve_precision", .n_matrices = 1, .solve = itemknn_solve};
