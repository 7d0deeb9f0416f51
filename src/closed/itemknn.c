/* ItemKNN, as RecBole has it: the cosine similarity of items by their users, of which an item keeps
 * the k largest,
 *
 *     s(i, j) = G(i, j) / (sqrt(G(i, i)) sqrt(G(j, j)) + shrink + 1e-6),    G = X'X,    s(j, j) = 0
 *
 * Row j of B' has s(i, j) for the neighbours i of item j and 0 elsewhere; ties go to the lower
 * item. The counts G are moved into the table, where each rank chooses the neighbours of its own
 * items from whole rows, some at a time. Counts are whole numbers, and similarities are compared in
 * double, so every rank finds the same bits. The tests sort all similarities of each item. */
#include "internal.h"

#include <math.h>
#include <string.h>

enum { ROWS_PER_PASS = 64 };

/* Rows of a pass, and scratch for one. */
typedef struct itemknn_pass {
    int64_t *numbers; /* ROWS_PER_PASS: local numbers of rows */
    float *rows;      /* ROWS_PER_PASS x full_width: counts, then the similarities that are kept */
    double *similar;  /* n: similarities of one item */
    uint64_t *keys;   /* 2 x n: those that are not 0, as bits, and scratch to sort them */
} itemknn_pass;

static cf_status create_pass(const closed_solver *s, itemknn_pass *pass)
{
    cf_status status;

    CF_TRY(CF_ALLOC(pass->numbers, ROWS_PER_PASS));
    CF_TRY(CF_ALLOC(pass->rows, ROWS_PER_PASS * s->closed->table[CF_ITEMS]->full_width));
    CF_TRY(CF_ALLOC(pass->similar, s->n));
    CF_TRY(CF_ALLOC(pass->keys, 2 * s->n));
done:
    return status;
}

static void destroy_pass(itemknn_pass *pass)
{
    cf_free(&pass->numbers);
    cf_free(&pass->rows);
    cf_free(&pass->similar);
    cf_free(&pass->keys);
}

/* Of doubles from 0 on, the larger one has the larger bits. */
static uint64_t bits_of(double similarity)
{
    uint64_t bits;

    memcpy(&bits, &similarity, sizeof bits);
    return bits;
}

/* From item j's counts (n). Gives the number of similarities that are not 0, and their bits. */
static int64_t find_similarities(const closed_solver *s, int64_t j, const float *counts,
                                 itemknn_pass *pass)
{
    const double beside = s->closed->options.shrink + 1e-6;
    int64_t n_keys = 0;

    for (int64_t i = 0; i < s->n; i++) {
        pass->similar[i] = 0;
        if (i == j || counts[i] == 0) continue;
        pass->similar[i] = (double)counts[i] / (s->factors[i] * s->factors[j] + beside);
        pass->keys[n_keys++] = bits_of(pass->similar[i]);
    }
    return n_keys;
}

/* Item j's counts become its k largest similarities and 0: those above the k-th are kept, and of
 * its equals the first. */
static void keep_nearest(const closed_solver *s, int64_t j, float *row, itemknn_pass *pass)
{
    const int64_t n_keys = find_similarities(s, j, row, pass),
                  k = cf_min(s->closed->options.n_neighbours, n_keys);
    uint64_t least = 1; /* above the bits of 0 */
    int64_t n_equal = 0;

    cf_sort_u64(pass->keys, pass->keys + s->n, n_keys);
    if (k > 0) least = pass->keys[n_keys - k];
    for (int64_t m = n_keys - k; m < n_keys && pass->keys[m] == least; m++)
        n_equal++;
    for (int64_t i = 0; i < s->n; i++) {
        const uint64_t bits = bits_of(pass->similar[i]);
        const bool kept = bits > least || (bits == least && n_equal-- > 0);

        row[i] = kept ? (float)pass->similar[i] : 0;
    }
}

/* For my items from local number `first` on, as many as a pass has. The ranks of a grid row choose
 * for the same items, and each keeps its slice. Collective. */
static cf_status choose_neighbours(const closed_solver *s, int64_t first, itemknn_pass *pass)
{
    cf_table *table = s->closed->table[CF_ITEMS];
    const int64_t count = cf_max(0, cf_min(ROWS_PER_PASS, table->local_rows - first));
    cf_status status;

    for (int64_t r = 0; r < count; r++)
        pass->numbers[r] = first + r;
    CF_TRY(cf_table_gather_own(table, pass->numbers, count, pass->rows));
    for (int64_t r = 0; r < count; r++) {
        float *row = pass->rows + r * table->full_width;

        keep_nearest(s, table->first_row + first + r, row, pass);
        memcpy(table->data + (first + r) * table->width, row + table->first_dim,
               (size_t)table->local_dim * sizeof *row);
    }
done:
    return status;
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

static cf_status itemknn_solve(closed_solver *s)
{
    const cf_blocks *blocks = &s->closed->table[CF_ITEMS]->blocks;
    itemknn_pass pass = {0};
    int64_t most = 0; /* rows of the largest block: all ranks make as many passes */
    cf_status status;

    CF_TRY(count_pairs(s));
    CF_TRY(cf_par_agree(&s->closed->grid->world, create_pass(s, &pass)));
    for (int b = 0; b < blocks->count; b++)
        most = cf_max(most, blocks->start[b + 1] - blocks->start[b]);
    for (int64_t first = 0; first < most; first += ROWS_PER_PASS)
        CF_TRY(choose_neighbours(s, first, &pass));
    closed_lap(s, &s->seconds.rest, "neighbours chosen");
done:
    destroy_pass(&pass);
    return status;
}

/* Either counts on their way to the table, or a pass. */
static double itemknn_predict(const closed_size *size)
{
    const double n = (double)size->n, row = 4 * CF_LANES * (double)cf_table_segments(size->n);

    return fmax(closed_predict_kept(size), ROWS_PER_PASS * (row + 8) + 3 * 8 * n);
}

const closed_form closed_itemknn = {.name = "ItemKNN",
                                    .uses = "k,shrink,solve_precision",
                                    .predict = itemknn_predict,
                                    .solve = itemknn_solve};
